/* SPDX-License-Identifier: MIT
 * shm.c - values changed by many, waits that end at once, data replaced under its readers
 */
#include <config.h>

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "tap.h"

#define WORKERS 4

struct shared {
	_Atomic long wrong, seen, versions, ready;
	_Atomic long slowest; /* nanoseconds */
	_Atomic bool stop;
};
static struct shared *shared;

static ipcu_shm *must_open(const char *name, enum ipcu_type type, uint64_t count)
{
	const struct ipcu_shm_layout layout = { .type = type, .count = count };
	ipcu_shm *shm;

	if (ipcu_shm_open(&shm, name, &layout, NULL) != IPCU_OK) {
		printf("# %s: %s\n", name, ipcu_last_error()->message);
		_exit(1);
	}
	return shm;
}

/* Run FN in WORKERS processes and wait; all must end well. */
static void in_parallel(void (*fn)(int worker, long count), long count)
{
	pid_t workers[WORKERS];
	int status;

	fflush(stdout);
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		if (workers[i] == 0) {
			alarm(60);
			fn(i, count);
			_exit(0);
		}
	}
	for (int i = 0; i < WORKERS; i++)
		if (waitpid(workers[i], &status, 0) != workers[i] || status != 0)
			shared->wrong++;
}

/* ---- sums ----------------------------------------------------------------- */

static const enum ipcu_type types[] = { IPCU_I8,  IPCU_U8,  IPCU_I16, IPCU_U16, IPCU_I32,
					IPCU_U32, IPCU_I64, IPCU_U64, IPCU_F32, IPCU_F64 };
#define TYPES (sizeof(types) / sizeof(types[0]))

static union ipcu_value number(enum ipcu_type type, long n)
{
	union ipcu_value value = { .i = n };

	if (type == IPCU_F32 || type == IPCU_F64)
		value.f = (double)n;
	return value;
}

static void adder(int worker, long count)
{
	ipcu_shm *all[TYPES];

	(void)worker;
	for (size_t i = 0; i < TYPES; i++)
		all[i] = must_open(ipcu_type_name(types[i]), types[i], 3);
	for (size_t i = 0; i < TYPES; i++) {
		/* All at the same one at the same time. */
		for (shared->ready++; shared->ready < (long)(i + 1) * WORKERS;)
			sched_yield();
		for (long n = 0; n < count; n++) {
			/* Up and down for the small ones, so that none overflows. */
			long delta = ipcu_type_size(types[i]) < 4 ? (n % 2 ? -1 : 1) : 1;

			if (ipcu_shm_add(all[i], 1, number(types[i], delta), NULL) != IPCU_OK)
				shared->wrong++;
		}
	}
	for (size_t i = 0; i < TYPES; i++)
		ipcu_shm_close(all[i]);
}

/* Adds one by compare and set. */
static void setter(int worker, long count)
{
	ipcu_shm *shm = must_open("cas", IPCU_I64, 1);
	union ipcu_value old = { .i = 0 }, found;

	(void)worker;
	for (long n = 0; n < count;) {
		union ipcu_value new = { .i = old.i + 1 };

		if (ipcu_shm_compare_set(shm, 0, old, new, &found) == IPCU_OK) {
			old = new;
			n++;
		} else {
			old = found;
		}
	}
	ipcu_shm_close(shm);
}

static void sums(long count)
{
	union ipcu_value value;
	ipcu_shm *shm;

	count -= count % 2;
	in_parallel(adder, count);
	in_parallel(setter, count);
	for (size_t i = 0; i < TYPES; i++) {
		long wanted = ipcu_type_size(types[i]) < 4 ? 0 : WORKERS * count;

		shm = must_open(ipcu_type_name(types[i]), types[i], 3);
		is_result(ipcu_shm_get(shm, 1, &value), IPCU_OK, "get");
		ok(value.u == number(types[i], wanted).u, "%s: %d times %ld additions are exact",
		   ipcu_type_name(types[i]), WORKERS, count);
		ipcu_shm_get(shm, 0, &value);
		ok(value.u == 0, "its neighbour is untouched");
		ipcu_shm_close(shm);
		is_result(ipcu_remove(ipcu_type_name(types[i]), IPCU_KIND_MEMORY, 0), IPCU_OK,
			  "removed");
	}
	shm = must_open("cas", IPCU_I64, 1);
	is_result(ipcu_shm_get(shm, 0, &value), IPCU_OK, "get");
	is_number(value.i, WORKERS * count, "compare and set loses nothing");
	ipcu_shm_close(shm);
	ipcu_remove("cas", IPCU_KIND_MEMORY, 0);
}

/* ---- waits ---------------------------------------------------------------- */

static const char *court;

static int64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Each waits for its turn, and gives it to the next one. */
static void player(int worker, long count)
{
	ipcu_shm *shm = must_open(court, IPCU_I64, strcmp(court, "page") == 0 ? 512 : 1);
	union ipcu_value one = { .i = 1 };

	for (long n = 0; n < count; n++) {
		union ipcu_value turn = { .i = n * WORKERS + worker };
		int64_t begun = nanoseconds(), took;

		if (ipcu_shm_wait(shm, 0, IPCU_GREATER_EQUAL, turn, NULL, NULL) != IPCU_OK ||
		    ipcu_shm_add(shm, 0, one, NULL) != IPCU_OK)
			shared->wrong++;
		took = nanoseconds() - begun;
		if (took > shared->slowest)
			shared->slowest = took;
	}
	ipcu_shm_close(shm);
}

static void waits(const char *name, long count)
{
	ipcu_shm *shm;

	court = name;
	shared->slowest = 0;
	shm = must_open(court, IPCU_I64, strcmp(court, "page") == 0 ? 512 : 1);
	in_parallel(player, count);
	ipcu_shm_close(shm);
	is_number(shared->wrong, 0, "nothing went wrong");
	/* Who misses a wake-up looks by himself after a second. */
	ok(shared->slowest < 900000000,
	   "%s: no wake-up is lost: the slowest of %ld turns took %ld ms", name, count * WORKERS,
	   shared->slowest / 1000000);
	is_result(ipcu_remove(name, IPCU_KIND_MEMORY, 0), IPCU_OK, "removed");
}

/* ---- replacing ------------------------------------------------------------ */

/* Version V is V % 5000 + 8 bytes that are all V's last. */
static void replace(long version)
{
	size_t size = (size_t)version % 5000 + 8;
	ipcu_shm_stage *stage;

	if (ipcu_shm_stage_open(&stage, size) != IPCU_OK) {
		shared->wrong++;
		return;
	}
	memset(ipcu_shm_stage_data(stage), (int)(version & 0xff), size);
	memcpy(ipcu_shm_stage_data(stage), &version, sizeof(version));
	if (ipcu_shm_publish(stage, "storm", NULL) != IPCU_OK) {
		printf("# publish: %s\n", ipcu_last_error()->message);
		shared->wrong++;
	}
	ipcu_shm_stage_close(stage);
}

static void loader(int worker)
{
	alarm(60);
	(void)worker;
	while (!shared->stop)
		replace(atomic_fetch_add(&shared->versions, 1));
	_exit(0);
}

static void read_whole(void)
{
	ipcu_shm *shm;
	size_t size;
	unsigned char *data;
	long version;

	if (ipcu_shm_open(&shm, "storm", NULL, NULL) != IPCU_OK) {
		printf("# open: %s\n", ipcu_last_error()->message);
		shared->wrong++;
		return;
	}
	data = ipcu_shm_data(shm, &size);
	memcpy(&version, data, sizeof(version));
	if (size != (size_t)version % 5000 + 8)
		shared->wrong++;
	for (size_t i = sizeof(version); i < size; i++)
		if (data[i] != (version & 0xff)) {
			shared->wrong++;
			break;
		}
	ipcu_shm_close(shm);
	shared->seen++;
}

static void reader(void)
{
	alarm(60);
	while (!shared->stop)
		read_whole();
	_exit(0);
}

static pid_t start_loader(int worker)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		loader(worker);
	return pid;
}

static void storm(long kills)
{
	pid_t loaders[2], readers[2];
	unsigned seed = 7;
	int status;

	atomic_store(&shared->versions, 1);
	replace(0);
	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		readers[i] = fork();
		if (readers[i] == 0)
			reader();
		loaders[i] = start_loader(i);
	}
	for (long n = 0; n < kills; n++) {
		struct timespec pause = { 0, rand_r(&seed) % 4000000 };
		int victim = rand_r(&seed) % 2;

		nanosleep(&pause, NULL);
		kill(loaders[victim], SIGKILL);
		waitpid(loaders[victim], NULL, 0);
		loaders[victim] = start_loader(victim);
	}
	shared->stop = true;
	for (int i = 0; i < 2; i++) {
		waitpid(loaders[i], &status, 0);
		shared->wrong += status != 0;
		waitpid(readers[i], &status, 0);
		shared->wrong += status != 0;
	}
	is_number(shared->wrong, 0, "every reader saw one whole version");
	ok(shared->seen > kills, "%ld were read, %ld published, %ld loaders killed", shared->seen,
	   shared->versions, kills);
	read_whole();
	is_number(shared->wrong, 0, "and what is left is whole");
	is_result(ipcu_remove_stale(0, 0, NULL, NULL), IPCU_OK, "what the killed left is found");
	is_result(ipcu_remove("storm", IPCU_KIND_MEMORY, 0), IPCU_OK, "removed");
}

/* ---- the lock ------------------------------------------------------------- */

/* Takes the lock again and again, and is alone whenever it has it. */
static void locker(int worker)
{
	ipcu_shm *shm = must_open("locked", IPCU_I64, 1);
	union ipcu_value nobody = { .i = 0 }, self = { .i = getpid() };

	(void)worker;
	alarm(60);
	while (!shared->stop) {
		if (ipcu_shm_lock(shm, NULL) != IPCU_OK)
			shared->wrong++;
		/* Who was killed while it had the lock left its number; who lives misses it below. */
		if (ipcu_shm_compare_set(shm, 0, nobody, self, NULL) != IPCU_OK) {
			ipcu_shm_set(shm, 0, self);
			shared->versions++;
		}
		/* Long enough that many are killed here. */
		if (shared->seen++ % 4 == 0)
			nanosleep(&(struct timespec){ 0, 100000 }, NULL);
		if (ipcu_shm_compare_set(shm, 0, self, nobody, NULL) != IPCU_OK ||
		    ipcu_shm_unlock(shm) != IPCU_OK)
			shared->wrong++;
	}
	_exit(0);
}

static pid_t start_locker(int worker)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		locker(worker);
	return pid;
}

static void lock_storm(long kills)
{
	ipcu_shm *shm = must_open("locked", IPCU_I64, 1);
	pid_t lockers[WORKERS];
	struct ipcu_shm_info info;
	unsigned seed = 11;

	shared->stop = false;
	shared->seen = shared->versions = shared->wrong = 0;
	for (int i = 0; i < WORKERS; i++)
		lockers[i] = start_locker(i);
	for (long n = 0; n < kills; n++) {
		struct timespec pause = { 0, rand_r(&seed) % 2000000 };
		int victim = rand_r(&seed) % WORKERS;

		nanosleep(&pause, NULL);
		kill(lockers[victim], SIGKILL);
		waitpid(lockers[victim], NULL, 0);
		lockers[victim] = start_locker(victim);
	}
	shared->stop = true;
	for (int i = 0; i < WORKERS; i++) {
		int status;

		waitpid(lockers[i], &status, 0);
		shared->wrong += status != 0;
	}
	is_number(shared->wrong, 0, "nobody had the lock beside a living holder");
	ok(shared->seen > kills && shared->versions > 0,
	   "it was taken %ld times, %ld of %ld killed had it", shared->seen, shared->versions,
	   kills);
	is_result(ipcu_shm_status(shm, &info), IPCU_OK, "status");
	is_number(info.locked_by, 0, "in the end nobody has it");
	ipcu_shm_close(shm);
	is_result(ipcu_remove("locked", IPCU_KIND_MEMORY, 0), IPCU_OK, "removed");
}

int main(void)
{
	long count = rounds("ROUNDS", 200000);

	deadline_for_all(120);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	sums(count);
	is_number(shared->wrong, 0, "no call failed");
	waits("turns", count / 50);
	waits("page", count / 50);
	storm(count / 500);
	lock_storm(count / 500);
	return done();
}
