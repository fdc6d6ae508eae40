/* SPDX-License-Identifier: MIT
 * barrier.c - nobody passes a barrier early or twice, whoever dies, gives up and comes back
 *
 * Workers, more than the barrier has parties, come again and again; some with timeouts of microseconds,
 * some are killed at random moments and replaced. Of each generation each index is given
 * out once, so no index may ever have passed more often than there were generations; and in the end
 * each has passed exactly as often, but for those who were killed before they could say so.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "deadline.h"
#include "slow.h"
#include "tap.h"

#define PARTIES 3
#define WORKERS 5

struct shared {
	_Atomic long passed[PARTIES];
	_Atomic long early, timeouts, wrong, ejected;
	_Atomic bool stop;
};
static struct shared *shared;

static void pass(ipcu_barrier *barrier, unsigned index)
{
	struct ipcu_barrier_info info;
	long count;

	if (index >= PARTIES || ipcu_barrier_status(barrier, &info) != IPCU_OK) {
		shared->wrong++;
		return;
	}
	count = atomic_fetch_add(&shared->passed[index], 1) + 1;
	if (ipcu_barrier_status(barrier, &info) != IPCU_OK || (uint64_t)count > info.generation)
		shared->early++;
}

static void work(unsigned seed)
{
	ipcu_barrier *barrier;

	alarm(60);
	if (ipcu_barrier_open(&barrier, "storm", PARTIES, NULL) != IPCU_OK)
		_exit(1);
	while (!shared->stop) {
		/* Half of the waits are so short that timeout and release often meet. */
		struct timespec deadline =
			ipcu_deadline_in(rand_r(&seed) % 2 ? rand_r(&seed) % 15000 : 20000000);
		unsigned index;

		switch (ipcu_barrier_wait(barrier, NULL, &deadline, &index)) {
		case IPCU_OK:
			pass(barrier, index);
			break;
		case IPCU_NOT_NOW:
			shared->timeouts++;
			break;
		default:
			shared->wrong++;
		}
	}
	_exit(0);
}

static pid_t start(void)
{
	static unsigned seed = 1;
	pid_t pid;

	seed += 7919;
	pid = fork();
	if (pid == 0)
		work(seed);
	return pid;
}

/* Until GENERATIONS are over; returns how many were killed. */
static long storm(ipcu_barrier *barrier, uint64_t generations, bool kill_some)
{
	struct timespec pause = { 0, 1000000 };
	struct ipcu_barrier_info info = { 0 };
	pid_t workers[WORKERS];
	unsigned seed = 42;
	uint64_t until;
	long killed = 0;

	ipcu_barrier_status(barrier, &info);
	until = info.generation + generations;
	for (int i = 0; i < WORKERS; i++)
		workers[i] = start();
	while (ipcu_barrier_status(barrier, &info) == IPCU_OK && info.generation < until &&
	       !shared->wrong) {
		int victim = rand_r(&seed) % WORKERS;

		pause.tv_nsec = rand_r(&seed) % 1000000;
		nanosleep(&pause, NULL);
		if (!kill_some)
			continue;
		kill(workers[victim], SIGKILL);
		waitpid(workers[victim], NULL, 0);
		killed++;
		workers[victim] = start();
	}
	shared->stop = true;
	for (int i = 0; i < WORKERS; i++)
		waitpid(workers[i], NULL, 0);
	shared->stop = false;
	return killed;
}

static void check(ipcu_barrier *barrier, const char *what, long killed)
{
	struct ipcu_barrier_info info;
	long missing = 0;

	is_result(ipcu_barrier_status(barrier, &info), IPCU_OK, "status");
	for (int i = 0; i < PARTIES; i++) {
		ok(shared->passed[i] <= (long)info.generation,
		   "%s: index %d passed %ld times in %llu generations", what, i, shared->passed[i],
		   (unsigned long long)info.generation);
		missing += (long)info.generation - shared->passed[i];
	}
	ok(missing <= killed, "%s: %ld passages are not accounted for, %ld were killed", what,
	   missing, killed);
	is_number(shared->early, 0, "nobody passed early or twice");
	is_number(shared->wrong, 0, "nobody got a wrong answer");
	ok(shared->timeouts > 0, "there were %ld timeouts", shared->timeouts);
	is_number(info.waiting, 0, "all places are open again");
	ok(!info.broken, "it is whole");
}

/* ---- reset ------------------------------------------------------------------ */

/* All parties but one: come again at once, whether released or ejected. */
static void come_again(ipcu_barrier *barrier)
{
	alarm(100);
	for (;;) {
		switch (ipcu_barrier_wait(barrier, NULL, NULL, NULL)) {
		case IPCU_OK:
			break;
		case IPCU_BROKEN:
			shared->ejected++;
			break;
		default:
			_exit(0); /* removed: the end of the test */
		}
	}
}

/* Poll until COUNT processes wait; false after ten seconds. */
static bool until_waiting(ipcu_barrier *barrier, unsigned count)
{
	struct timespec deadline = ipcu_deadline_in(10000000000), pause = { 0, 20000 };
	struct ipcu_barrier_info info = { 0 };

	while (ipcu_barrier_status(barrier, &info) == IPCU_OK && info.waiting != count) {
		if (ipcu_deadline_passed(&deadline))
			return false;
		nanosleep(&pause, NULL);
	}
	return info.waiting == count;
}

/* A reset ejects each waiter once, and the generation after it fills although the waiters return at once. */
static void resets(long count)
{
	pid_t waiters[WORKERS - 1];
	ipcu_barrier *barrier;
	long filled = 0;

	is_result(ipcu_barrier_open(&barrier, "reset", WORKERS, NULL), IPCU_OK, "opens");
	for (int i = 0; i < WORKERS - 1; i++) {
		waiters[i] = fork();
		if (waiters[i] == 0)
			come_again(barrier);
	}
	for (long i = 0; i < count && until_waiting(barrier, WORKERS - 1); i++) {
		struct timespec deadline = ipcu_deadline_in(10000000000);

		if (ipcu_barrier_reset(barrier) != IPCU_OK)
			break;
		filled += ipcu_barrier_wait(barrier, NULL, &deadline, NULL) == IPCU_OK;
	}
	is_number(filled, count, "the generation after each reset fills");
	is_number(shared->ejected, count * (WORKERS - 1), "each reset ejects each waiter once");
	is_result(ipcu_remove("reset", IPCU_KIND_BARRIER, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
	for (int i = 0; i < WORKERS - 1; i++)
		waitpid(waiters[i], NULL, 0);
	ipcu_barrier_close(barrier);
}

int main(void)
{
	uint64_t generations = (uint64_t)rounds("ROUNDS", 60000);
	ipcu_barrier *barrier;
	long killed;

	deadline_for_all(120);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	resets(rounds("RESETS", 200));
	is_result(ipcu_barrier_open(&barrier, "storm", PARTIES, NULL), IPCU_OK, "opens");
	storm(barrier, generations, false);
	check(barrier, "timeouts", 0);
	killed = storm(barrier, generations, true);
	check(barrier, "kills", killed);
	ok(killed > 10, "%ld were killed", killed);
	ipcu_barrier_close(barrier);
	is_result(ipcu_remove("storm", IPCU_KIND_BARRIER, 0), IPCU_OK, "removed");
	return done();
}
