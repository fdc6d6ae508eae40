/* SPDX-License-Identifier: MIT
 * sem.c - units never leak and never multiply, whoever is killed whenever
 *
 * Workers take units, locks and tokens with deadlines of microseconds; some are killed at
 * random moments and replaced, while the count is changed. Who is inside says so in shared memory, so
 * that an exclusive lock that is not alone, or a slot that two have, is seen at once. Before a worker is
 * killed it is marked as doomed: what it said is void from then on.
 */
#include <config.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

#include "slow.h"
#include "tap.h"

#define WORKERS 6
#define SLOTS 16

struct shared {
	_Atomic int inside[WORKERS]; /* 0 no, 1 with others, 2 exclusively */
	_Atomic int slots[SLOTS];    /* which worker, from 1 */
	_Atomic bool doomed[WORKERS];
	_Atomic long held, locked, taken, timeouts, resizes, not_alone, same_slot, wrong;
	_Atomic bool stop;
};
static struct shared *shared;

/* Whether MARK stands for a worker that is not about to be killed, and stays. */
static bool believed(_Atomic int *mark, int value, int worker)
{
	return atomic_load(mark) == value && !shared->doomed[worker] && atomic_load(mark) == value;
}

/* Who is exclusive is alone, and nobody else is beside one who is. */
static void look_around(int self, bool exclusive)
{
	for (int i = 0; i < WORKERS; i++)
		if (i != self && (believed(&shared->inside[i], 2, i) ||
				  (exclusive && believed(&shared->inside[i], 1, i))))
			shared->not_alone++;
}

/* Long enough, now and then, that others come in if they can, and that many are killed here. */
static void stay(unsigned *seed)
{
	if (rand_r(seed) % 3 == 0)
		nanosleep(&(struct timespec){ 0, rand_r(seed) % 100000 }, NULL);
}

static void enter(int self, const struct ipcu_hold *hold)
{
	bool exclusive = hold->mode == IPCU_HOLD_EXCLUSIVE;
	int before;

	if (hold->slot < 0 || hold->slot >= SLOTS) {
		shared->wrong++;
		return;
	}
	before = atomic_exchange(&shared->slots[hold->slot], self + 1);
	/* DOOMED is looked at before and after, for another process may change it between the looks. */
	/* cppcheck-suppress duplicateExpression */ /* NOLINTNEXTLINE(misc-redundant-expression) */
	if (before && !shared->doomed[before - 1] && shared->inside[before - 1] &&
	    !shared->doomed[before - 1])
		shared->same_slot++;
	shared->inside[self] = exclusive ? 2 : 1;
	look_around(self, exclusive);
}

static void leave(int self, const struct ipcu_hold *hold)
{
	int mark = self + 1;

	look_around(self, hold->mode == IPCU_HOLD_EXCLUSIVE);
	if (hold->slot >= 0 && hold->slot < SLOTS && shared->slots[hold->slot] != mark)
		shared->same_slot++;
	shared->inside[self] = 0;
	if (hold->slot >= 0 && hold->slot < SLOTS)
		atomic_compare_exchange_strong(&shared->slots[hold->slot], &mark, 0);
}

static void hold_once(ipcu_sem *sem, int self, int kind, unsigned *seed)
{
	/* Some deadlines are so short that timeout and success often meet. */
	struct timespec deadline =
		ipcu_deadline_in(rand_r(seed) % 2 ? rand_r(seed) % 20000 : 20000000);
	struct ipcu_hold hold;
	enum ipcu_result result;

	result = kind == 0 ? ipcu_lock_exclusive(sem, &deadline, &hold)
		 : kind == 1
			 ? ipcu_lock_shared(sem, &deadline, &hold)
			 : ipcu_sem_acquire(sem, (unsigned)rand_r(seed) % 2 + 1, &deadline, &hold);
	if (result == IPCU_NOT_NOW) {
		shared->timeouts++;
		return;
	}
	if (result != IPCU_OK) {
		shared->wrong++;
		return;
	}
	enter(self, &hold);
	if (kind == 0)
		shared->locked++;
	else
		shared->held++;
	stay(seed);
	leave(self, &hold);
	if (ipcu_sem_release(sem, &hold) != IPCU_OK)
		shared->wrong++;
}

static void token_once(ipcu_sem *sem, unsigned *seed)
{
	struct timespec deadline = ipcu_deadline_in(rand_r(seed) % 20000);
	enum ipcu_result result = ipcu_sem_wait(sem, 1, &deadline);

	if (result == IPCU_NOT_NOW) {
		shared->timeouts++;
		return;
	}
	shared->taken++;
	if (result != IPCU_OK || ipcu_sem_post(sem, 1) != IPCU_OK)
		shared->wrong++;
}

static void resize_once(ipcu_sem *sem, unsigned *seed)
{
	struct timespec deadline = ipcu_deadline_in(1000000);

	if (ipcu_sem_resize(sem, 3 + (unsigned)rand_r(seed) % 4, &deadline) > IPCU_NOT_NOW)
		shared->wrong++;
	shared->resizes++;
}

/* What some of the workers do, beside holding. */
enum others { HOLD_TOO, TAKE_TOKENS, RESIZE };

static void work(int self, unsigned seed, enum others others)
{
	ipcu_sem *sem;

	alarm(60);
	if (ipcu_sem_open(&sem, "storm", 0, 4, NULL) != IPCU_OK)
		_exit(1);
	while (!shared->stop)
		if (others == TAKE_TOKENS && self % 2)
			token_once(sem, &seed);
		else if (others == RESIZE && self < 2)
			resize_once(sem, &seed);
		else
			hold_once(sem, self, rand_r(&seed) % (others == RESIZE ? 2 : 4), &seed);
	_exit(0);
}

static pid_t start(int self, enum others others)
{
	static unsigned seed = 1;
	pid_t pid;

	seed += 7919;
	pid = fork();
	if (pid == 0)
		work(self, seed, others);
	return pid;
}

static void replace(pid_t *worker, int self, enum others others)
{
	shared->doomed[self] = true;
	kill(*worker, SIGKILL);
	if (self % 2) /* not waited for at once: its units are back, and its number still there */
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	waitpid(*worker, NULL, 0);
	shared->inside[self] = 0;
	for (int slot = 0; slot < SLOTS; slot++) {
		int mark = self + 1;

		atomic_compare_exchange_strong(&shared->slots[slot], &mark, 0);
	}
	shared->doomed[self] = false;
	*worker = start(self, others);
}

/* Kill KILLS times at random moments; change the count now and then. Returns the instants that did not add up. */
static long storm(ipcu_sem *sem, long kills, enum others others)
{
	pid_t workers[WORKERS];
	unsigned seed = 42;
	long bad = 0;

	for (int i = 0; i < WORKERS; i++)
		workers[i] = start(i, others);
	for (long i = 0; i < kills; i++) {
		struct timespec pause = { 0, rand_r(&seed) % 2000000 },
				deadline = ipcu_deadline_in(3000000);
		struct ipcu_sem_info info;

		nanosleep(&pause, NULL);
		if (ipcu_sem_status(sem, &info) != IPCU_OK ||
		    info.value + info.taken > info.count || info.held > info.count)
			bad++;
		if (i % 5 == 0 &&
		    ipcu_sem_resize(sem, 3 + (unsigned)rand_r(&seed) % 4, &deadline) > IPCU_NOT_NOW)
			bad++;
		replace(&workers[i % WORKERS], (int)(i % WORKERS), others);
	}
	shared->stop = true;
	for (int i = 0; i < WORKERS; i++)
		waitpid(workers[i], NULL, 0);
	shared->stop = false;
	return bad;
}

static void check(ipcu_sem *sem, long bad, const char *what)
{
	struct ipcu_sem_info info;
	key_t key;

	ipcu_name_key("storm", &key);
	is_result(ipcu_sem_status(sem, &info), IPCU_OK, what);
	is_number(bad, 0, "values added up at every instant");
	is_number(info.held, 0, "all held units are back");
	is_number(info.value + info.taken, info.count, "none has leaked or multiplied");
	is_number(info.waiters, 0, "nobody is in the line");
	is_number(semctl(semget(key, 0, 0), 1, GETVAL), 1, "the gate is free");
	is_number(semctl(semget(key, 0, 0), 4, GETVAL), 0, "nobody is exclusive");
	is_number(shared->not_alone, 0, "an exclusive lock was always alone");
	is_number(shared->same_slot, 0, "no two had the same slot");
	is_number(shared->wrong, 0, "nobody got a wrong answer");
	ok(shared->held > 100 && shared->locked > 20 && shared->timeouts > 0,
	   "%ld holds, %ld exclusive, %ld tokens, %ld timeouts", shared->held, shared->locked,
	   shared->taken, shared->timeouts);
}

/* ---- fairness ------------------------------------------------------------- */

/* Shared, again and again, and never so that all have let go of it by themselves. */
static void share(void)
{
	struct ipcu_hold hold;
	ipcu_sem *sem;

	alarm(60);
	if (ipcu_sem_open(&sem, "fair", 0, 4, NULL) != IPCU_OK)
		_exit(1);
	while (!shared->stop) {
		if (ipcu_lock_shared(sem, NULL, &hold) != IPCU_OK)
			_exit(1);
		shared->held++;
		nanosleep(&(struct timespec){ 0, 300000 }, NULL);
		ipcu_sem_release(sem, &hold);
	}
	_exit(0);
}

static void fair(long count)
{
	struct ipcu_hold hold;
	long starved = 0, held;
	int status, wrong = 0;
	ipcu_sem *sem;

	is_result(ipcu_sem_open(&sem, "fair", 40, 0, NULL), IPCU_OK, "opens");
	shared->held = 0;
	fflush(stdout);
	for (int i = 0; i < 12; i++)
		if (fork() == 0)
			share();
	for (long i = 0; i < count && !starved; i++) {
		struct timespec deadline = ipcu_deadline_in(5000000000);

		held = shared->held;
		while (shared->held < held + 12) /* until all are at it */
			nanosleep(&(struct timespec){ 0, 100000 }, NULL);
		if (ipcu_lock_exclusive(sem, &deadline, &hold) != IPCU_OK)
			starved++;
		else
			ipcu_sem_release(sem, &hold);
	}
	shared->stop = true;
	while (wait(&status) > 0)
		wrong += status != 0;
	shared->stop = false;
	is_number(starved, 0, "an exclusive one is not starved by those who share");
	is_number(wrong, 0, "who all got it again and again");
	ipcu_sem_close(sem);
	is_result(ipcu_remove("fair", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

/* ---- setters -------------------------------------------------------------- */

static bool is_one_of_ours(unsigned value)
{
	return value == 1 || value == 4 || value == 9;
}

static void set_and_get(unsigned seed, long count)
{
	static const unsigned values[] = { 1, 4, 9 };
	unsigned value;
	ipcu_sem *sem;

	alarm(60);
	if (ipcu_sem_open(&sem, "set", 0, 30, NULL) != IPCU_OK)
		_exit(1);
	for (long i = 0; i < count; i++)
		if (ipcu_sem_set(sem, values[rand_r(&seed) % 3]) != IPCU_OK ||
		    ipcu_sem_get(sem, &value) != IPCU_OK || !is_one_of_ours(value))
			_exit(1);
	_exit(0);
}

/* Of several who set it at once one is the last; no mixture of two is ever seen. */
static void setters(long count)
{
	struct ipcu_sem_info info;
	int status, wrong = 0;
	ipcu_sem *sem;

	is_result(ipcu_sem_open(&sem, "set", 30, 0, NULL), IPCU_OK, "opens");
	is_result(ipcu_sem_set(sem, 1), IPCU_OK, "set");
	fflush(stdout);
	for (unsigned i = 0; i < 4; i++)
		if (fork() == 0)
			set_and_get(i + 1, count);
	while (wait(&status) > 0)
		wrong += status != 0;
	is_number(wrong, 0, "each saw what one of them had set");
	is_result(ipcu_sem_status(sem, &info), IPCU_OK, "status");
	ok(is_one_of_ours(info.value) && info.value + info.taken == info.count,
	   "the last one's is there");
	ipcu_sem_close(sem);
	is_result(ipcu_remove("set", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

/* ---- transient semaphores -------------------------------------------------- */

static void hold_transient(long count)
{
	const struct ipcu_sem_options options = { .otherwise = 1, .transient = true };
	enum ipcu_result result = IPCU_OK;
	struct ipcu_sem_info info;
	struct ipcu_hold hold;
	ipcu_sem *sem;

	alarm(60);
	for (long i = 0; i < count && result == IPCU_OK; i++) {
		if (ipcu_sem_open_with(&sem, "transient", &options, NULL) != IPCU_OK)
			_exit(1);
		result = ipcu_sem_acquire(sem, 1, NULL, &hold);
		if (result == IPCU_NOT_FOUND) /* it was removed before its units were taken */
			result = IPCU_OK;
		else if (result == IPCU_OK)
			result = ipcu_sem_status(sem, &info) == IPCU_OK && info.held == 1
					 ? ipcu_sem_release(sem, &hold)
					 : IPCU_SYSTEM;
		ipcu_sem_close(sem);
	}
	_exit(result != IPCU_OK);
}

/* The close after a release removes the semaphore, unless a different process has taken its units meanwhile. */
static void transient(long count)
{
	ipcu_sem *sem;
	int status, wrong = 0;

	fflush(stdout);
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			hold_transient(count);
	while (wait(&status) > 0)
		wrong += status != 0;
	is_number(wrong, 0, "no semaphore is removed while a process holds it");
	is_result(ipcu_sem_open(&sem, "transient", 0, 0, NULL), IPCU_USAGE,
		  "the last release has removed it");
}

/* ---- many locks ------------------------------------------------------------ */

static int segments(void)
{
	struct shm_info info;

	return shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info) < 0 ? -1 : info.used_ids;
}

static char *name_of(long number, char name[32])
{
	snprintf(name, 32, "many-%ld", number);
	return name;
}

static bool hold_one(long number)
{
	struct ipcu_hold hold;
	ipcu_sem *sem;
	char name[32];
	bool good;

	if (ipcu_sem_open(&sem, name_of(number, name), 2, 0, NULL) != IPCU_OK)
		return false;
	good = ipcu_sem_acquire(sem, 1, NULL, &hold) == IPCU_OK && hold.slot == 0;
	ipcu_sem_close(sem);
	return good;
}

/* As many locks as kernel.sem allows, all held at once, need as many segments as one. */
static void many(long count)
{
	char name[32];
	long made = 0, first = 0, bad = 0;

	while (made < count && hold_one(made)) {
		if (++made == 1)
			first = segments();
	}
	ok(made == count || ipcu_last_error()->result == IPCU_LIMIT, "%ld locks are held at once",
	   made);
	is_number(segments(), first, "they need no more segments than one lock");
	for (long i = 0; i < made; i++)
		bad += ipcu_remove(name_of(i, name), IPCU_KIND_SEMAPHORE, IPCU_REMOVE_FORCE) !=
		       IPCU_OK;
	is_number(bad, 0, "all are removed");
	is_number(segments(), 0, "the last name takes the segments with it");
}

int main(void)
{
	long kills = rounds("ROUNDS", 800);
	ipcu_sem *sem;

	deadline_for_all(120);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	is_result(ipcu_sem_open(&sem, "storm", 4, 0, NULL), IPCU_OK, "opens");
	check(sem, storm(sem, kills, HOLD_TOO), "units and locks, with kills");
	check(sem, storm(sem, kills / 2, RESIZE), "resized all the time, with kills");
	ok(shared->resizes > 100, "%ld times", shared->resizes);
	/* Last, for tokens of the killed stay taken, and then no lock is exclusive any more. */
	check(sem, storm(sem, kills / 2, TAKE_TOKENS), "tokens too, with kills");
	ipcu_sem_close(sem);
	is_result(ipcu_remove("storm", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
	setters(kills * 10);
	transient(kills * 2);
	fair(kills / 10);
	many(30000);
	return done();
}
