/* SPDX-License-Identifier: MIT
 * barrier.c - the barrier calls of the library
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>

#include "barrier.h"
#include "tap.h"

static enum ipcu_result refuse(void *context)
{
	++*(int *)context;
	return IPCU_LIMIT;
}

static void *come(void *argument)
{
	static unsigned indexes[64];
	static _Atomic unsigned next;
	unsigned *index = &indexes[next++ % 64];

	if (ipcu_barrier_wait(argument, NULL, NULL, index) != IPCU_OK)
		*index = 1000 + (unsigned)ipcu_last_error()->result;
	return index;
}

static void threads(ipcu_barrier *barrier)
{
	struct ipcu_barrier_info before, after;
	unsigned seen = 0;

	ipcu_barrier_status(barrier, &before);
	for (int round = 0; round < 20; round++) {
		pthread_t all[3];

		seen = 0;
		for (int i = 0; i < 3; i++)
			pthread_create(&all[i], NULL, come, barrier);
		for (int i = 0; i < 3; i++) {
			void *index;

			pthread_join(all[i], &index);
			seen |= 1u << *(unsigned *)index;
		}
		if (seen != 7)
			break;
	}
	is_number(seen, 7, "three threads have three indexes");
	ipcu_barrier_status(barrier, &after);
	is_number((long long)(after.generation - before.generation), 20, "a generation each");
}

static void giving_up(ipcu_barrier *barrier)
{
	struct ipcu_barrier_how breaking = { .break_on_timeout = true };
	struct timespec deadline = ipcu_deadline_in(20000000);
	struct ipcu_barrier_info info;
	unsigned index = 77;

	is_result(ipcu_barrier_wait(barrier, NULL, &deadline, &index), IPCU_NOT_NOW,
		  "alone it times out");
	is_number(ipcu_last_error()->errnum, ETIMEDOUT, "and says so");
	is_number(index, 77, "no index");
	ipcu_barrier_status(barrier, &info);
	is_number(info.waiting, 0, "it has not arrived");
	deadline = ipcu_deadline_in(1000000);
	is_result(ipcu_barrier_wait(barrier, &breaking, &deadline, NULL), IPCU_NOT_NOW,
		  "a breaking timeout");
	is_result(ipcu_barrier_wait(barrier, NULL, NULL, NULL), IPCU_BROKEN, "breaks");
	is_result(ipcu_barrier_abort(barrier), IPCU_OK, "abort of a broken one");
	for (int i = 0; i < 20; i++)
		if (ipcu_barrier_reset(barrier) != IPCU_OK ||
		    ipcu_barrier_abort(barrier) != IPCU_OK)
			ok(false, "reset and abort, round %d", i);
	is_result(ipcu_barrier_reset(barrier), IPCU_OK, "reset");
	ipcu_barrier_status(barrier, &info);
	ok(!info.broken && !info.waiting, "whole and empty");
}

/* The generation is two digits: set it just before each carry, as no run would get there. */
static void carries(void)
{
	static const unsigned short ends[][2] = { { 32766, 0 }, { 32766, 32766 } };
	static const unsigned long long wanted[] = { 32767, 0 };
	ipcu_barrier *barrier;
	key_t key;
	int id;

	is_result(ipcu_barrier_open(&barrier, "carry", 1, NULL), IPCU_OK, "opens");
	ipcu_name_key("carry", &key);
	id = semget(key, 0, 0);
	for (int i = 0; i < 2; i++) {
		struct ipcu_barrier_info info;
		unsigned index;

		semctl(id, 1, SETVAL, ends[i][0]);
		semctl(id, 2, SETVAL, ends[i][1]);
		is_result(ipcu_barrier_wait(barrier, NULL, NULL, &index), IPCU_OK, "passes");
		is_number(index, 0, "the only one is the first");
		ipcu_barrier_status(barrier, &info);
		is_number((long long)info.generation, (long long)wanted[i],
			  "the generation is carried");
	}
	semctl(id, 4, SETVAL, 1);
	semctl(id, 5, SETVAL, 1);
	semctl(id, 6, SETVAL, 1);
	is_result(ipcu_barrier_wait(barrier, NULL, NULL, NULL), IPCU_SYSTEM,
		  "two open gates are damage");
	ok(strstr(ipcu_last_error()->hint, "stop the programs"),
	   "with a hint that removes nothing");
	ipcu_barrier_close(barrier);
	is_result(ipcu_remove("carry", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static ipcu_barrier *must_open(const char *name, unsigned parties)
{
	ipcu_barrier *barrier = NULL;

	if (ipcu_barrier_open(&barrier, name, parties, NULL) != IPCU_OK) {
		printf("Bail out! %s\n", ipcu_last_error()->message);
		exit(1);
	}
	return barrier;
}

static void remove_barrier(ipcu_barrier *barrier, const char *name)
{
	ipcu_barrier_close(barrier);
	is_result(ipcu_remove(name, IPCU_KIND_BARRIER, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}

static void ignore(int signo)
{
	(void)signo;
}

/* Send SIGUSR1 to this process until the child is killed. */
static pid_t start_signals(void)
{
	struct sigaction action = { .sa_handler = ignore };
	pid_t parent = getpid(), child;

	sigaction(SIGUSR1, &action, NULL);
	fflush(stdout);
	child = fork();
	while (child == 0) {
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
		if (kill(parent, SIGUSR1) < 0)
			_exit(0);
	}
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A user who may write the set pretends that stopped processes are in all slots. */
static void occupied(void)
{
	ipcu_barrier *barrier = must_open("occupied", 1);
	struct timespec deadline = ipcu_deadline_in(50000000), start;
	pid_t child;

	for (int slot = 1; slot < (int)IPCU_BARRIER_SLOTS; slot++)
		semctl(barrier->object.id, ARRIVED + slot, SETVAL, 1);
	clock_gettime(CLOCK_MONOTONIC, &start);
	is_result(ipcu_barrier_wait(barrier, NULL, &deadline, NULL), IPCU_NOT_NOW,
		  "with all slots occupied a wait ends at its deadline");
	ok(seconds_since(&start) < 3, "in time");
	child = start_signals();
	is_result(ipcu_barrier_wait(barrier, NULL, NULL, NULL), IPCU_NOT_NOW,
		  "without a deadline it ends at a signal");
	is_number(ipcu_last_error()->errnum, EINTR, "and reports the signal");
	ipcu_barrier_abort(barrier);
	clock_gettime(CLOCK_MONOTONIC, &start);
	is_result(ipcu_barrier_reset(barrier), IPCU_SYSTEM, "a reset fails");
	end(child);
	ok(seconds_since(&start) < 15, "after a limited time");
	ok(strstr(ipcu_last_error()->hint, "kill -CONT"), "with a hint");
	remove_barrier(barrier, "occupied");
}

/* A user who may write the set takes the lock for ever. */
static enum ipcu_result take_lock(void *context)
{
	ipcu_barrier *barrier = context;

	semctl(barrier->object.id, LOCK, SETVAL, 0);
	return IPCU_OK;
}

static void locked(void)
{
	ipcu_barrier *barrier = must_open("locked", 1);
	struct ipcu_barrier_how how = { .action = take_lock, .context = barrier };
	struct timespec deadline = ipcu_deadline_in(5000000000);
	struct ipcu_barrier_info info = { 0 };

	is_result(ipcu_barrier_wait(barrier, &how, &deadline, NULL), IPCU_OK,
		  "after its action a party needs no lock to release the others");
	deadline = ipcu_deadline_in(20000000);
	is_result(ipcu_barrier_wait(barrier, NULL, &deadline, NULL), IPCU_NOT_NOW,
		  "a wait for the lock ends at the deadline");
	ipcu_barrier_abort(barrier);
	is_result(ipcu_barrier_reset(barrier), IPCU_OK, "a reset needs no lock");
	ipcu_barrier_status(barrier, &info);
	is_number((long long)info.generation, 2, "and opens the next generation");
	remove_barrier(barrier, "locked");
}

/* Values that no sequence of steps can lead to. */
static void implausible(void)
{
	static const struct {
		int semaphore, value;
	} wrong[] = { { LOCK, 2 }, { ACTION, 2 }, { SEALED, 2 }, { PLACE, 256 }, { ARRIVED, 2 } };
	ipcu_barrier *barrier = must_open("implausible", 2);
	struct ipcu_barrier_info info;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int id = barrier->object.id, before = semctl(id, wrong[i].semaphore, GETVAL);

		semctl(id, wrong[i].semaphore, SETVAL, wrong[i].value);
		is_result(ipcu_barrier_status(barrier, &info), IPCU_SYSTEM,
			  "a value that cannot be is corruption");
		semctl(id, wrong[i].semaphore, SETVAL, before);
	}
	is_result(ipcu_barrier_status(barrier, &info), IPCU_OK, "and without it there is none");
	remove_barrier(barrier, "implausible");
}

static enum ipcu_result seal(const ipcu_barrier *barrier)
{
	const struct ipcu_record record = { .kind = IPCU_KIND_BARRIER,
					    .definition = { barrier->parties } };

	return ipcu_barrier_ops.seal(barrier->object.id, &record);
}

static enum ipcu_result seal_within(void *context)
{
	is_result(seal(context), IPCU_CONFLICT, "a barrier whose action runs cannot be sealed");
	return IPCU_OK;
}

/* Wait in a child process; returns when it has arrived, and tells so. */
static pid_t start_waiter(ipcu_barrier *barrier, bool *arrived)
{
	struct ipcu_barrier_info info = { 0 };
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0)
		_exit(ipcu_barrier_wait(barrier, NULL, NULL, NULL));
	/* It sleeps: in its place or, if the barrier is sealed, before it. */
	while (semctl(barrier->object.id, SEALED, GETZCNT) == 0 &&
	       ipcu_barrier_status(barrier, &info) == IPCU_OK && info.waiting == 0)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	*arrived = info.waiting > 0;
	return child;
}

/* Kill a process that has sealed the barrier. */
static void seal_and_die(ipcu_barrier *barrier)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0)
		_exit(seal(barrier));
	waitpid(child, NULL, 0);
}

static void sealing(void)
{
	ipcu_barrier *barrier = must_open("sealed", 2), *one = must_open("alone", 1);
	struct ipcu_barrier_how how = { .action = seal_within, .context = one };
	struct timespec deadline = ipcu_deadline_in(20000000);
	bool arrived;
	pid_t child = start_waiter(barrier, &arrived);
	int status = -1;

	is_result(seal(barrier), IPCU_CONFLICT, "a barrier with a waiter cannot be sealed");
	end(child);
	ipcu_barrier_wait(one, &how, NULL, NULL);
	seal_and_die(barrier);
	is_result(ipcu_barrier_wait(barrier, NULL, &deadline, NULL), IPCU_NOT_NOW,
		  "after the death of its remover a barrier can be used");
	is_result(seal(barrier), IPCU_OK, "an unused barrier is sealed");
	is_result(seal(one), IPCU_OK, "also one for a single party");
	deadline = ipcu_deadline_in(20000000);
	is_result(ipcu_barrier_wait(one, NULL, &deadline, NULL), IPCU_NOT_NOW,
		  "then the single party does not pass");
	child = start_waiter(barrier, &arrived);
	ok(!arrived, "a process that comes then does not arrive");
	is_result(ipcu_barrier_reset(barrier), IPCU_OK, "a reset changes nothing");
	remove_barrier(barrier, "sealed");
	waitpid(child, &status, 0);
	is_number(WEXITSTATUS(status), IPCU_NOT_FOUND, "it learns that the barrier was removed");
	remove_barrier(one, "alone");
}

int main(void)
{
	struct ipcu_barrier_how how = { .action = refuse };
	ipcu_barrier *barrier, *other;
	int calls = 0;

	deadline_for_all(60);
	is_result(ipcu_barrier_open(&barrier, "b", 0, NULL), IPCU_NOT_FOUND,
		  "without parties it is not created");
	is_result(ipcu_barrier_open(&barrier, "key:0x77", 2, NULL), IPCU_USAGE,
		  "a raw key is none");
	is_result(ipcu_barrier_open(&barrier, "b", IPCU_PARTIES_MAX + 1, NULL), IPCU_USAGE,
		  "too many parties");
	is_result(ipcu_barrier_open(&barrier, "b", 3, NULL), IPCU_OK, "created");
	is_result(ipcu_barrier_open(&other, "b", 4, NULL), IPCU_CONFLICT, "other parties conflict");
	is_result(ipcu_barrier_open(&other, "b", 0, NULL), IPCU_OK, "no parties: what it has");
	ipcu_barrier_close(other);
	threads(barrier);
	giving_up(barrier);
	carries();
	occupied();
	locked();
	implausible();
	sealing();
	is_result(ipcu_remove("b", IPCU_KIND_BARRIER, 0), IPCU_OK, "removed");
	is_result(ipcu_barrier_wait(barrier, NULL, NULL, NULL), IPCU_NOT_FOUND, "gone");
	ipcu_barrier_close(barrier);
	how.context = &calls;
	is_result(ipcu_barrier_open(&barrier, "one", 1, NULL), IPCU_OK, "one party");
	is_result(ipcu_barrier_wait(barrier, &how, NULL, NULL), IPCU_LIMIT,
		  "a failing action is the result");
	is_number(calls, 1, "it ran once");
	is_result(ipcu_barrier_wait(barrier, &how, NULL, NULL), IPCU_BROKEN,
		  "and broke the barrier");
	ipcu_barrier_close(barrier);
	is_result(ipcu_remove("one", IPCU_KIND_BARRIER, 0), IPCU_OK, "removed");
	return done();
}
