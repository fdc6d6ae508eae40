/* SPDX-License-Identifier: MIT
 * remove.c - a process that begins to use an object between the check of its remover and the removal
 *
 * The library that is linked into this test calls the functions below in place of those of libc. Just before the kernel
 * removes an object they let a second process try to use it. What is in use must not be removed: either the second process
 * is in, and the removal is refused, or it finds the object removed.
 */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

#include "sysv.h"
#include "tap.h"

static ipcu_barrier *barrier;
static ipcu_event *event;

static enum ipcu_result come_to_barrier(const struct timespec *deadline)
{
	return ipcu_barrier_wait(barrier, NULL, deadline, NULL);
}

static enum ipcu_result wait_for_event(const struct timespec *deadline)
{
	return ipcu_event_wait(event, NULL, deadline);
}

static enum ipcu_result come_to_pipe(const struct timespec *deadline)
{
	const struct ipcu_open how = { .create = IPCU_CREATE_NEVER };
	ipcu_pipe *pipe;

	return ipcu_pipe_open(&pipe, "p", IPCU_PIPE_WRITER, 0, &how, deadline);
}

static unsigned at_barrier(void)
{
	struct ipcu_barrier_info info = { 0 };

	ipcu_barrier_status(barrier, &info);
	return info.waiting;
}

static unsigned at_event(void)
{
	struct ipcu_event_info info = { 0 };

	ipcu_event_status(event, &info);
	return info.waiting;
}

static unsigned at_pipe(void)
{
	return 0; /* its user returns as soon as it is in */
}

struct kind {
	enum ipcu_kind kind;
	const char *name;
	enum ipcu_result (*use)(const struct timespec *deadline);
	unsigned (*count)(void);
};

static const struct kind kinds[] = {
	{ IPCU_KIND_BARRIER, "b", come_to_barrier, at_barrier },
	{ IPCU_KIND_EVENT, "e", wait_for_event, at_event },
	{ IPCU_KIND_PIPE, "p", come_to_pipe, at_pipe },
};

static const struct kind *intruding; /* the second process comes once, when this is not NULL */
static bool intruded, got_in;

/* Let a second process use the object until its deadline; record whether it got in. */
static void intrude(void)
{
	const struct kind *kind = intruding;
	int status = 0;
	pid_t child;

	if (!kind)
		return;
	intruding = NULL;
	intruded = true;
	child = fork();
	if (child == 0) {
		struct timespec deadline = ipcu_deadline_in(200000000);

		_exit(kind->use(&deadline));
	}
	while (waitpid(child, &status, WNOHANG) == 0) {
		got_in = got_in || kind->count() > 0;
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	got_in = got_in || WEXITSTATUS(status) == IPCU_OK;
}

int semctl(int id, int number, int command, ...)
{
	static int (*real)(int, int, int, union semun);
	union semun argument = { .val = 0 };
	va_list arguments;

	if (!real)
		real = (int (*)(int, int, int, union semun))dlsym(RTLD_NEXT, "semctl");
	va_start(arguments, command);
	/* What is not passed is not used either: the kernel takes four arguments at any rate. */
	if (command != IPC_RMID && command != GETVAL && command != GETPID && command != GETZCNT &&
	    command != GETNCNT)
		argument = va_arg(arguments, union semun);
	va_end(arguments);
	if (command == IPC_RMID)
		intrude();
	return real(id, number, command, argument);
}

int shmctl(int id, int command, struct shmid_ds *state)
{
	static int (*real)(int, int, struct shmid_ds *);

	if (!real)
		real = (int (*)(int, int, struct shmid_ds *))dlsym(RTLD_NEXT, "shmctl");
	if (command == IPC_RMID)
		intrude();
	return real(id, command, state);
}

/* A pipe that no process is at: its ends were killed. */
static void leave_pipe(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		ipcu_pipe *pipe;

		_exit(ipcu_pipe_open(&pipe, "p", IPCU_PIPE_READER, 4096, NULL, NULL));
	}
	waitpid(child, NULL, 0);
}

int main(void)
{
	deadline_for_all(60);
	is_result(ipcu_barrier_open(&barrier, "b", 2, NULL), IPCU_OK, "a barrier");
	is_result(ipcu_event_open(&event, "e", NULL), IPCU_OK, "an event");
	leave_pipe();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *what = ipcu_kind_name(kinds[i].kind);

		intruded = got_in = false;
		intruding = &kinds[i];
		is_result(ipcu_remove(kinds[i].name, kinds[i].kind, 0), IPCU_OK, "remove it");
		ok(intruded, "%s: a second process tried to use it just before", what);
		ok(!got_in, "%s: it did not get in", what);
		is_result(kinds[i].use(NULL), IPCU_NOT_FOUND, "and finds it removed");
	}
	ipcu_barrier_close(barrier);
	ipcu_event_close(event);
	return done();
}
