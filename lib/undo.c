/* SPDX-License-Identifier: MIT
 * undo.c - whether the kernel takes back what a process that ended held
 *
 * Every lock and every unit relies on SEM_UNDO, which some kernels accept and ignore (gVisor). The only proof is a process
 * that takes a unit and ends. It costs as much as a command, so it is done once: when the lock of a registry is created,
 * with the first name of a user in an IPC namespace. The lock is the record that it was done.
 */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "error.h"
#include "sysv.h"
#include "undo.h"

#define STACK_SIZE 65536

struct trial {
	int id, errnum;
};

/* In the child. */
static int take_and_end(void *arg)
{
	struct trial *trial = arg;
	struct sembuf ops[2] = { { 0, 0, IPC_NOWAIT }, { 0, 1, SEM_UNDO | IPC_NOWAIT } };

	trial->errnum = semop(trial->id, ops, 2) == 0 ? 0 : errno;
	return 0;
}

/*
 * Run it in a child that shares our memory and is waited for here only: no SIGCHLD is sent, and no other wait sees it. -1: no
 * child could be created.
 */
static pid_t run_child(struct trial *trial)
{
	char *stack = malloc(STACK_SIZE);
	sigset_t all, old;
	pid_t pid = -1;

	if (!stack)
		return -1;
	/* A handler that ran in the child would run on our data. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = clone(take_and_end, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK, trial);
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	free(stack);
	return pid;
}

bool ipcu_undo_works(int id)
{
	struct trial trial = { id, EAGAIN };
	struct semid_ds state;
	pid_t pid = run_child(&trial);

	if (pid < 0)
		return true;
	if (trial.errnum)
		return trial.errnum != EOPNOTSUPP &&
		       !(trial.errnum == EINVAL && ipcu_stat_set(id, &state) == 0);
	/* The last process that changed it is the child, by its end too, unless another one has taken it since. */
	if (semctl(id, 0, GETVAL) != 1 || semctl(id, 0, GETPID) != pid)
		return true;
	semctl(id, 0, SETVAL, (union semun){ .val = 0 });
	return false;
}

enum ipcu_result ipcu_undo_missing(void)
{
	ipcu_fail(
		IPCU_SYSTEM,
		"names cannot be used: this kernel does not release what a process held that has ended");
	ipcu_hint(
		"it ignores SEM_UNDO (as gVisor does): run on a Linux kernel, or use queues by key:KEY");
	return IPCU_SYSTEM;
}
