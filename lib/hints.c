/* SPDX-License-Identifier: MIT
 * hints.c - what an errno of a System V call really means
 *
 * "No space left on device" has nothing to do with a disk here and "Invalid
 * argument" is mostly a limit. One row says what the errno of that call comes
 * to, in words, and what helps.
 */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "error.h"

/* Arrays, not pointers: each pointer would have to be relocated whenever a command starts. */
struct meaning {
	char call[16]; /* "": any; "msg*": all that begin so */
	int errnum;
	enum ipcu_result result;
	char why[64]; /* "": what strerror(3) says; with a blank at its end, the name of the call follows */
	char hint[168];
};

#define NO_IPC_HINT \
	"it needs a kernel with CONFIG_SYSVIPC, and a sandbox that lets these calls through"
#define REFUSES "this kernel or a sandbox refuses "
#define REFUSED_HINT "run it on a kernel, and in a sandbox (seccomp), that lets this call through"

static const struct meaning meanings[] = {
	{ "msgget", ENOSPC, IPCU_LIMIT, "too many queues",
	  "kernel.msgmni is reached (ipc-ls -l): raise it with sysctl -w kernel.msgmni=N; ipc-doctor finds unreachable queues" },
	{ "semget", ENOSPC, IPCU_LIMIT, "too many semaphores",
	  "kernel.sem is reached (ipc-ls -l shows SEMMNI and SEMMNS): raise it with sysctl -w kernel.sem='SEMMSL SEMMNS SEMOPM SEMMNI'" },
	{ "semget", EINVAL, IPCU_LIMIT, "more semaphores than the kernel allows in one set",
	  "the first number of kernel.sem (SEMMSL) is the limit: raise it with sysctl -w kernel.sem='SEMMSL SEMMNS SEMOPM SEMMNI'" },
	{ "semget", EEXIST, IPCU_CONFLICT, "other users hold all its keys",
	  "ipc-ls -a -k semaphore shows them; they must be removed by their owners or root" },
	{ "shmget", ENOSPC, IPCU_LIMIT, "too many memory segments or too much memory in them",
	  "kernel.shmmni or kernel.shmall is reached (ipc-ls -l): raise it with sysctl; ipc-doctor finds unreachable segments" },
	{ "shmget", EINVAL, IPCU_LIMIT, "the size is over the kernel's limit for a segment",
	  "raise it with sysctl -w kernel.shmmax=BYTES" },
	{ "shmget", ENOMEM, IPCU_LIMIT, "not enough memory", "" },
	{ "semget", ENOMEM, IPCU_LIMIT, "not enough memory", "" },
	{ "shmat", ENOMEM, IPCU_LIMIT, "not enough memory or address space", "" },
	{ "msgget", ENOMEM, IPCU_LIMIT, "not enough memory", "" },
	{ "msgsnd", ENOMEM, IPCU_LIMIT, "not enough memory", "" },
	{ "malloc", ENOMEM, IPCU_LIMIT, "not enough memory", "" },
	{ "semop", E2BIG, IPCU_LIMIT, "more operations than the kernel allows in one call",
	  "the third number of kernel.sem (SEMOPM) is the limit: raise it with sysctl -w kernel.sem='SEMMSL SEMMNS SEMOPM SEMMNI'" },
	{ "semop", ENOSPC, IPCU_LIMIT, "too many undo entries",
	  "kernel memory for SEM_UNDO is used up" },
	{ "semop", ERANGE, IPCU_LIMIT, "the value would be over 32767", "" },
	{ "msgrcv", ENOSYS, IPCU_SYSTEM, "this kernel cannot show a message without taking it",
	  "looking without taking needs a kernel with CONFIG_CHECKPOINT_RESTORE" },
	{ "msg*", ENOSYS, IPCU_SYSTEM, "this kernel has no System V IPC", NO_IPC_HINT },
	{ "sem*", ENOSYS, IPCU_SYSTEM, "this kernel has no System V IPC", NO_IPC_HINT },
	{ "shm*", ENOSYS, IPCU_SYSTEM, "this kernel has no System V IPC", NO_IPC_HINT },
	/* The kernel itself refuses these with EACCES; EPERM is a sandbox's. */
	{ "msgget", EPERM, IPCU_SYSTEM, "a sandbox refuses System V IPC", NO_IPC_HINT },
	{ "msgsnd", EPERM, IPCU_SYSTEM, "a sandbox refuses System V IPC", NO_IPC_HINT },
	{ "msgrcv", EPERM, IPCU_SYSTEM, "a sandbox refuses System V IPC", NO_IPC_HINT },
	{ "semget", EPERM, IPCU_SYSTEM, "a sandbox refuses System V IPC", NO_IPC_HINT },
	{ "semop", EPERM, IPCU_SYSTEM, "a sandbox refuses System V IPC", NO_IPC_HINT },
	{ "shmget", EPERM, IPCU_SYSTEM, "a sandbox refuses System V IPC", NO_IPC_HINT },
	{ "shmat", EPERM, IPCU_SYSTEM, "a sandbox refuses System V IPC", NO_IPC_HINT },
	{ "eventfd", EPERM, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
	{ "fork", EPERM, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
	{ "getrandom", EPERM, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
	{ "pidfd_open", EPERM, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
	{ "pthread_create", EPERM, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
	{ "socketpair", EPERM, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
	{ "timer_create", EPERM, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
	{ "pthread_create", EAGAIN, IPCU_LIMIT, "too many processes and threads",
	  "ulimit -u, kernel.threads-max or pids.max of the control group is reached" },
	{ "fork", EAGAIN, IPCU_LIMIT, "too many processes",
	  "ulimit -u, kernel.threads-max or pids.max of the control group is reached" },
	{ "fork", ENOMEM, IPCU_LIMIT, "not enough memory", "" },
	{ "timer_create", EAGAIN, IPCU_LIMIT, "too many timers and pending signals",
	  "ulimit -i is reached: raise it, or end what of this user keeps signals pending" },
	{ "ftok", ENOENT, IPCU_NOT_FOUND, "", "" },
	{ "ftok", ENOTDIR, IPCU_NOT_FOUND, "", "" },
	/* These calls get identifiers only: EINVAL means that the object is gone. */
	{ "shmat", EINVAL, IPCU_NOT_FOUND, "it was removed", "" },
	{ "msgctl", EINVAL, IPCU_NOT_FOUND, "it was removed", "" },
	{ "semctl", EINVAL, IPCU_NOT_FOUND, "it was removed", "" },
	{ "shmctl", EINVAL, IPCU_NOT_FOUND, "it was removed", "" },
	{ "", EIDRM, IPCU_NOT_FOUND, "it was removed", "" },
	{ "", ENOENT, IPCU_NOT_FOUND, "no such object", "" },
	{ "", EACCES, IPCU_DENIED, "", "" },
	{ "", EPERM, IPCU_DENIED, "", "" },
	{ "", EAGAIN, IPCU_NOT_NOW, "not now", "" },
	{ "", ENOSYS, IPCU_SYSTEM, REFUSES, REFUSED_HINT },
};

static bool is_of(const struct meaning *meaning, const char *call)
{
	const char *star = strchr(meaning->call, '*');

	if (star)
		return strncmp(meaning->call, call, (size_t)(star - meaning->call)) == 0;
	return !meaning->call[0] || strcmp(meaning->call, call) == 0;
}

void ipcu_explain(struct ipcu_error *error, const char **why)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		const struct meaning *m = &meanings[i];

		if (m->errnum != error->errnum || !is_of(m, error->call))
			continue;
		error->result = m->result;
		*why = m->why[0] ? m->why : NULL;
		strcpy(error->hint, m->hint);
		return;
	}
}
