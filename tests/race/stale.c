/* SPDX-License-Identifier: MIT
 * stale.c - the lock of a registry is removed by no process but its holder, and no owner of it delays others without end
 */
#include <config.h>

#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "deadline.h"
#include "registry-layout.h"
#include "sysv.h"
#include "tap.h"

/* ---- a lock that is taken between the look at it and its removal ------------ */

static bool armed;
static pid_t holder;
static int release_pipe[2];

/* In a child: take the lock of the registry, and hold it until the parent closes its end of the pipe. */
static void start_holder(void)
{
	int ready[2];
	char byte;

	if (pipe(ready) < 0 || pipe(release_pipe) < 0)
		exit(printf("Bail out! no pipe\n") > 0);
	fflush(stdout);
	holder = fork();
	if (holder == 0) {
		struct ipcu_registry registry;

		close(release_pipe[1]);
		byte = ipcu_registry_open_locked(&registry, geteuid(), true) == IPCU_OK;
		if (write(ready[1], &byte, 1) != 1 || read(release_pipe[0], &byte, 1) != 0)
			_exit(1);
		ipcu_registry_unlock_close(&registry);
		_exit(0);
	}
	close(release_pipe[0]);
	if (read(ready[0], &byte, 1) != 1 || !byte)
		exit(printf("Bail out! no holder\n") > 0);
	close(ready[0]);
	close(ready[1]);
}

/* The library's calls come here. A look at the value of a lock is followed by a process that takes it. */
int semctl(int id, int member, int command, ...)
{
	static int (*real)(int, int, int, ...);
	union semun arg;
	va_list args;
	int result;

	if (!real)
		real = (int (*)(int, int, int, ...))dlsym(RTLD_NEXT, "semctl");
	va_start(args, command);
	arg = va_arg(args, union semun);
	va_end(args);
	result = real(id, member, command, arg);
	if (armed && command == GETVAL && result == 0) {
		armed = false;
		start_holder();
	}
	return result;
}

/* A lock without a registry, as a kill between the two removals leaves it. */
static void make_orphan(void)
{
	struct ipcu_registry registry;

	if (ipcu_registry_open_locked(&registry, geteuid(), true) != IPCU_OK)
		exit(printf("Bail out! no registry\n") > 0);
	shmctl(registry.id, IPC_RMID, NULL);
	ipcu_registry_give(registry.lock);
	registry.lock = -1;
	ipcu_registry_close(&registry);
}

static void taken_meanwhile(void)
{
	struct ipcu_registry registry;
	bool found = false;
	int status;

	make_orphan();
	armed = true;
	is_result(ipcu_registry_remove_stale(geteuid(), false, &found), IPCU_OK,
		  "a lock without a registry is taken just before it is removed");
	ok(!found, "it is not removed");
	is_result(ipcu_registry_open_until(&registry, geteuid(), true, &ipcu_registry_no_wait),
		  IPCU_SYSTEM, "and not granted a second time");
	close(release_pipe[1]);
	waitpid(holder, &status, 0);
	is_number(status, 0, "until its holder releases it");
	make_orphan();
	is_result(ipcu_registry_remove_stale(geteuid(), false, &found), IPCU_OK, "a free one");
	ok(found && ipcu_family_get(IPCU_FAMILY_SET,
				    ipcu_name_derive(geteuid(), IPCU_LOCK_NAME, 0)) < 0,
	   "is removed");
}

/* ---- an owner that replaces the lock again and again ------------------------- */

/* Hold the lock of REGISTRY, but a different one every tenth of a second. */
static void replace_lock(struct ipcu_registry *registry)
{
	struct sembuf take = { 0, 1, 0 };
	int held = registry->lock;

	for (unsigned i = 1; i < 100; i++) {
		int next = semget(ipcu_name_derive(geteuid(), IPCU_LOCK_NAME, i % 2), 1,
				  IPC_CREAT | 0600);

		if (semop(next, &take, 1) < 0)
			break;
		atomic_store(&registry->segment->lock, (uint32_t)next + 1);
		semctl(held, 0, IPC_RMID);
		held = next;
		nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	}
	semctl(held, 0, IPC_RMID);
}

static void bounded(void)
{
	struct timespec begun, ended, past = ipcu_deadline_in(0);
	struct ipcu_registry registry, other;
	enum ipcu_result result;
	pid_t owner;

	is_result(ipcu_registry_open_locked(&registry, geteuid(), true), IPCU_OK,
		  "the owner of a registry");
	fflush(stdout);
	owner = fork();
	if (owner == 0) {
		replace_lock(&registry);
		_exit(0);
	}
	clock_gettime(CLOCK_MONOTONIC, &begun);
	result = ipcu_registry_open_until(&other, geteuid(), true, &past);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	is_result(result, IPCU_SYSTEM, "replaces its lock again and again");
	ok(ended.tv_sec - begun.tv_sec < 6, "and delays a process no longer than one wait (%ld s)",
	   (long)(ended.tv_sec - begun.tv_sec));
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	for (unsigned i = 0; i < 2; i++)
		semctl(semget(ipcu_name_derive(geteuid(), IPCU_LOCK_NAME, i), 1, 0), 0, IPC_RMID);
	shmctl(registry.id, IPC_RMID, NULL);
	ipcu_registry_close(&registry);
}

int main(void)
{
	deadline_for_all(100);
	taken_meanwhile();
	bounded();
	return done();
}
