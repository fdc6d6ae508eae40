/* SPDX-License-Identifier: MIT
 * sem.c - locks: a command under one, taking and giving, handing over
 *
 * Handing over: two processes want the same lock all the time. The holder keeps it for 200
 * microseconds, so that the other one surely sleeps, notes the time and gives it back; who
 * gets it looks how long ago that was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ipcutils.h"

#define PAIRS 100000
#define HANDOVERS 500

/* ---- a command under a lock ------------------------------------------------------------- */

static void command_rows(const char *from, const char *kind, const char *bindir, double target,
			 size_t count)
{
	char run[4096], wrapper[4096];
	const char *run_argv[] = { run, "run", "bench-lock", "--", "true", NULL };
	const char *wrapper_argv[] = { wrapper, "true", NULL };
	const char *flock_argv[] = { "/usr/bin/flock", "/tmp/ipc-bench-lock", "true", NULL };
	const char *sem_argv[] = { "/usr/bin/sem", "--fg", "--id", "ipc-bench", "true", NULL };
	char work[128];
	bool has_sem = access(sem_argv[0], X_OK) == 0;
	struct samples ours = { 0 }, bare = { 0 }, flock_1 = { 0 }, gnu = { 0 };

	snprintf(run, sizeof(run), "%s/ipc-sem", from);
	snprintf(wrapper, sizeof(wrapper), "%s/../tests/bench/wrapper", bindir);
	for (size_t i = 0; i < count; i++) {
		double sums[3] = { 0 };

		for (int j = 0; j < 50; j++) {
			sums[0] += once(run_argv);
			sums[1] += once(wrapper_argv);
			sums[2] += once(flock_argv);
		}
		add(&ours, sums[0]);
		add(&bare, sums[1]);
		add(&flock_1, sums[2]);
		if (has_sem && i < 3)
			add(&gnu, 50 * once(sem_argv));
	}
	unlink(flock_argv[1]);
	snprintf(work, sizeof(work), "`ipc-sem run m -- true`%s, start to exit", kind);
	row(work, "an empty C program that execs `true`", median(&ours) / median(&bare), true,
	    target);
	row("the same", "flock(1)", median(&ours) / median(&flock_1), true, *kind ? 0.65 : 0.75);
	if (has_sem)
		row("the same", "GNU sem --fg", median(&ours) / median(&gnu), true, 0);
	else
		printf("| the same | GNU sem | skipped: not installed | | |\n");
	if (ipcu_remove("bench-lock", IPCU_KIND_SEMAPHORE, IPCU_REMOVE_FORCE) != IPCU_OK)
		die(ipcu_last_error()->message);
}

/* ---- taking and giving ------------------------------------------------------------------- */

static double pairs_ours(ipcu_sem *sem)
{
	double begun = now();

	for (int i = 0; i < PAIRS; i++) {
		struct ipcu_hold hold;

		if (ipcu_sem_acquire(sem, 1, NULL, &hold) != IPCU_OK ||
		    ipcu_sem_release(sem, &hold) != IPCU_OK)
			die(ipcu_last_error()->message);
	}
	return now() - begun;
}

static double pairs_bare(int id)
{
	struct sembuf take = { 0, -1, SEM_UNDO }, give = { 0, 1, SEM_UNDO };
	double begun = now();

	for (int i = 0; i < PAIRS; i++)
		if (semop(id, &take, 1) < 0 || semop(id, &give, 1) < 0)
			die("semop");
	return now() - begun;
}

/* ---- handing over ------------------------------------------------------------------------ */

struct board {
	_Atomic double given;
	_Atomic int by; /* who gave it last */
	_Atomic long count;
	double total;
};

struct lock {
	ipcu_sem *sem;
	const char *path; /* of flock(2), if sem is NULL */
	int fd;
	struct ipcu_hold hold;
	struct board *board;
};

static void take(struct lock *lock)
{
	if (lock->sem ? ipcu_sem_acquire(lock->sem, 1, NULL, &lock->hold) != IPCU_OK
		      : flock(lock->fd, LOCK_EX) < 0)
		die("lock");
}

static void give(struct lock *lock)
{
	if (lock->sem ? ipcu_sem_release(lock->sem, &lock->hold) != IPCU_OK
		      : flock(lock->fd, LOCK_UN) < 0)
		die("unlock");
}

static void contend(void *argument)
{
	struct timespec pause = { 0, 200000 };
	struct lock *lock = argument;
	struct board *board = lock->board;
	int self = getpid();

	if (!lock->sem) /* a description of its own */
		lock->fd = open(lock->path, O_RDWR);
	while (board->count < HANDOVERS) {
		take(lock);
		if (board->by != self && board->by != 0) {
			board->total += now() - board->given;
			board->count++;
		}
		nanosleep(&pause, NULL);
		board->by = self;
		board->given = now();
		give(lock);
		nanosleep(
			&pause,
			NULL); /* flock gives it to whoever is fastest: to the one that is awake */
	}
}

static double hand_over(struct lock *lock)
{
	pid_t children[2];
	double seconds;

	lock->board = mmap(NULL, sizeof(*lock->board), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (lock->board == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < 2; i++)
		children[i] = start_function(contend, lock, i, NULL);
	for (int i = 0; i < 2; i++)
		finish(children[i], false);
	seconds = lock->board->total / (double)lock->board->count;
	munmap(lock->board, sizeof(*lock->board));
	return seconds;
}

void sem_rows(const char *bindir, const char *staticdir, const char *directory, size_t rounds)
{
	struct samples ours = { 0 }, bare = { 0 }, handed = { 0 }, flocked = { 0 };
	struct lock lock = { 0 }, file = { 0 };
	int id = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf up = { 0, 1, 0 };
	char path[4096], work[128];

	command_rows(bindir, "", bindir, 1.12, rounds);
	if (staticdir)
		command_rows(staticdir, " (static)", bindir, 1.12, rounds);
	if (ipcu_sem_open(&lock.sem, "bench-pairs", 1, 0, NULL) != IPCU_OK)
		die(ipcu_last_error()->message);
	if (id < 0 || semop(id, &up, 1) < 0)
		die("semget");
	snprintf(path, sizeof(path), "%s/lock", directory);
	file.path = path;
	close(open(path, O_RDWR | O_CREAT, 0600));
	for (size_t i = 0; i < rounds; i++) {
		add(&ours, pairs_ours(lock.sem));
		add(&bare, pairs_bare(id));
		add(&handed, hand_over(&lock));
		add(&flocked, hand_over(&file));
	}
	snprintf(work, sizeof(work), "acquire and release in the library (%.1f us), time",
		 median(&ours) / PAIRS * 1e6);
	row(work, "a bare semop pair with undo", median(&ours) / median(&bare), true, 1.8);
	snprintf(work, sizeof(work), "handing a lock over to a waiting process (%.0f us), time",
		 median(&handed) * 1e6);
	row(work, "flock(2), what flock(1) does", median(&handed) / median(&flocked), true, 0);
	ipcu_sem_close(lock.sem);
	semctl(id, 0, IPC_RMID);
	if (ipcu_remove("bench-pairs", IPCU_KIND_SEMAPHORE, IPCU_REMOVE_FORCE) != IPCU_OK)
		die(ipcu_last_error()->message);
}
