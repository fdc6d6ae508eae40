/* SPDX-License-Identifier: MIT
 * load.c - changes while data are loaded: none that was acknowledged is lost, and no value is older than one before
 *
 * The loader puts version V in place: every value is V * STRIDE. Each addition and each exchange adds one to the first
 * value, so a value is never acknowledged twice unless an acknowledged change was lost. Meanwhile the loader is killed
 * and stopped at random moments.
 */
#include <config.h>

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "deadline.h"
#include "shm.h"
#define SLOW_SEGMENTS
#include "slow.h"
#include "tap.h"

#define STRIDE 100000
#define VERSIONS 20000
#define VALUES 40000 /* 320 kB: the copy takes as long as many changes */

enum { ADDER, EXCHANGER, SETTER, WRITER, READER, WAITER, WORKERS };

struct shared {
	_Atomic bool stop;
	_Atomic long wrong, versions, loads;
	_Atomic long done[WORKERS];
	_Atomic long newest;	 /* the highest first value that was acknowledged */
	_Atomic int64_t slowest; /* nanoseconds of one change */
	_Atomic unsigned char seen[VERSIONS][STRIDE / 8 / 10];
};
static struct shared *shared;

static int64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wrong(const char *what, long value)
{
	printf("# %s: %ld: %s\n", what, value, ipcu_last_error()->message);
	fflush(stdout);
	shared->wrong++;
}

static void raise_newest(long value)
{
	long newest = shared->newest;

	while (newest < value && !atomic_compare_exchange_weak(&shared->newest, &newest, value))
		;
}

/* VALUE was acknowledged; each is once. */
static void acknowledged(long value)
{
	long version = value / STRIDE, change = value % STRIDE;
	unsigned char bit = (unsigned char)(1 << change % 8);

	raise_newest(value);
	if (version >= VERSIONS || change / 8 >= (long)sizeof(shared->seen[0]))
		return;
	if (atomic_fetch_or(&shared->seen[version][change / 8], bit) & bit)
		wrong("a change was lost before", value);
}

/* ---- the loader -------------------------------------------------------------------- */

static void load(long version)
{
	ipcu_shm_stage *stage;
	int64_t *values;

	if (ipcu_shm_stage_open(&stage, VALUES * sizeof(*values)) != IPCU_OK) {
		wrong("stage", version);
		return;
	}
	values = ipcu_shm_stage_data(stage);
	for (long i = 0; i < VALUES; i++)
		values[i] = version * STRIDE;
	if (ipcu_shm_publish(stage, "loaded", NULL) != IPCU_OK)
		wrong("publish", version);
	raise_newest(version * STRIDE);
	ipcu_shm_stage_close(stage);
	shared->loads++;
}

static void loader(int unused)
{
	(void)unused;
	while (!shared->stop && shared->versions < VERSIONS - 1)
		load(atomic_fetch_add(&shared->versions, 1));
}

/* ---- changes: each opens the memory as a command does --------------------------------- */

static bool is_changed(ipcu_shm *shm, int worker)
{
	union ipcu_value one = { .i = 1 }, value, new;

	if (worker == ADDER) {
		if (ipcu_shm_add(shm, 0, one, &value) != IPCU_OK)
			return false;
		acknowledged((long)value.i);
		return true;
	}
	if (ipcu_shm_get(shm, 0, &value) != IPCU_OK)
		return false;
	for (;;) {
		enum ipcu_result result;

		new.i = value.i + 1;
		result = ipcu_shm_compare_set(shm, 0, value, new, &value);
		if (result == IPCU_OK)
			acknowledged((long)new.i);
		if (result != IPCU_NOT_NOW)
			return result == IPCU_OK;
	}
}

/* What is at INDEX after VALUE was put there: that, or what a later load has put there. */
static void is_kept(uint64_t index, long value)
{
	union ipcu_value found = { .i = -1 };
	ipcu_shm *shm;

	if (ipcu_shm_open(&shm, "loaded", NULL, NULL) != IPCU_OK ||
	    ipcu_shm_get(shm, index, &found) != IPCU_OK ||
	    (found.i != value && found.i % STRIDE != 0))
		wrong("a value that was put there is gone", (long)found.i);
	else
		ipcu_shm_close(shm);
}

static bool is_put(ipcu_shm *shm, int worker, long n)
{
	union ipcu_value value = { .i = n * 8 + 1 };
	size_t size;
	int64_t *values;

	if (worker == SETTER)
		return ipcu_shm_set(shm, SETTER, value) == IPCU_OK;
	if (ipcu_shm_writable(shm) != IPCU_OK)
		return false;
	values = ipcu_shm_data(shm, &size);
	__atomic_store_n(&values[WRITER], value.i, __ATOMIC_SEQ_CST);
	ipcu_shm_changed(shm, WRITER * sizeof(*values), sizeof(*values));
	return true;
}

static bool is_read(ipcu_shm *shm, long newest)
{
	union ipcu_value value = { .i = -1 };

	return ipcu_shm_get(shm, 0, &value) == IPCU_OK && value.i >= newest;
}

static bool is_waited(ipcu_shm *shm)
{
	union ipcu_value never = { .i = -1 };
	struct timespec deadline = ipcu_deadline_in(3000000);

	ipcu_shm_let_go(shm);
	return ipcu_shm_wait(shm, 0, IPCU_EQUAL, never, &deadline, NULL) == IPCU_NOT_NOW;
}

static void change(int worker, long n)
{
	int64_t begun = nanoseconds(), took;
	long newest = shared->newest;
	ipcu_shm *shm;
	bool good;

	if (ipcu_shm_open(&shm, "loaded", NULL, NULL) != IPCU_OK) {
		wrong("open", worker);
		return;
	}
	good = worker <= EXCHANGER ? is_changed(shm, worker)
	       : worker <= WRITER  ? is_put(shm, worker, n)
	       : worker == READER  ? is_read(shm, newest)
				   : is_waited(shm);
	if (!good)
		wrong("a change, or a value older than one before", worker);
	ipcu_shm_close(shm);
	took = nanoseconds() - begun;
	if (took > shared->slowest)
		shared->slowest = took;
	if (worker == SETTER || worker == WRITER)
		is_kept((uint64_t)worker, n * 8 + 1);
	shared->done[worker]++;
}

static void changer(int worker)
{
	for (long n = 1; !shared->stop; n++)
		change(worker, n);
}

/* ---- the storm --------------------------------------------------------------------------- */

static pid_t start(void (*fn)(int), int argument)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(110);
		fn(argument);
		_exit(0);
	}
	return pid;
}

static void disturb(pid_t *victim, long count)
{
	unsigned seed = 5;

	for (long n = 0; n < count; n++) {
		struct timespec pause = { 0, rand_r(&seed) % 6000000 };
		bool stops = rand_r(&seed) % 2;

		nanosleep(&pause, NULL);
		kill(*victim, stops ? SIGSTOP : SIGKILL);
		if (stops) {
			nanosleep(&pause, NULL);
			kill(*victim, SIGCONT);
			continue;
		}
		waitpid(*victim, NULL, 0);
		*victim = start(loader, 0);
	}
}

static void storm(long count)
{
	pid_t workers[WORKERS], victim;
	int status;

	atomic_store(&shared->versions, 1);
	load(0);
	/* It has a type, so that values can be changed. */
	for (int i = 0; i < WORKERS; i++)
		workers[i] = start(changer, i);
	victim = start(loader, 0);
	disturb(&victim, count);
	shared->stop = true;
	waitpid(victim, &status, 0);
	shared->wrong += status != 0;
	for (int i = 0; i < WORKERS; i++) {
		waitpid(workers[i], &status, 0);
		shared->wrong += status != 0;
	}
	is_number(shared->wrong, 0, "no acknowledged change was lost, no value was older");
	ok(shared->done[ADDER] > 0 && shared->done[EXCHANGER] > 0 && shared->done[SETTER] > 0 &&
		   shared->done[WRITER] > 0 && shared->done[READER] > 0 && shared->done[WAITER] > 0,
	   "%ld additions, %ld exchanges, %ld sets, %ld writes, %ld reads, %ld waits, %ld loads",
	   shared->done[ADDER], shared->done[EXCHANGER], shared->done[SETTER], shared->done[WRITER],
	   shared->done[READER], shared->done[WAITER], shared->loads);
	ok(shared->slowest < INT64_C(8000000000), "the slowest took %lld ms",
	   (long long)(shared->slowest / 1000000));
}

/* After it, the next process that opens it brings it home, and removal leaves nothing. */
static void after(void)
{
	ipcu_shm *shm;
	int64_t end = nanoseconds() + INT64_C(10000000000);
	struct shmid_ds state;
	bool home = false;
	key_t key = ipcu_name_derive(geteuid(), "loaded", 0);

	while (!home && nanoseconds() < end) {
		if (ipcu_shm_open(&shm, "loaded", NULL, NULL) == IPCU_OK)
			ipcu_shm_close(shm);
		home = shmget(key, 0, 0) >= 0 && shmctl(shmget(key, 0, 0), IPC_STAT, &state) == 0 &&
		       (state.shm_perm.mode & 0777) == 0600;
	}
	ok(home, "the data came home to the key of the name");
	is_result(ipcu_remove("loaded", IPCU_KIND_MEMORY, 0), IPCU_OK, "removed");
	is_result(ipcu_remove_stale(0, 0, NULL, NULL), IPCU_OK, "what the killed left is found");
}

int main(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I64, .count = VALUES };
	ipcu_shm *shm;

	deadline_for_all(120);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	is_result(ipcu_shm_open(&shm, "loaded", &layout, NULL), IPCU_OK, "memory of values");
	ipcu_shm_close(shm);
	storm(rounds("ROUNDS", 500));
	after();
	return done();
}
