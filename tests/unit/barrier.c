/* SPDX-License-Identifier: MIT
 * barrier.c - the barrier calls of the library
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/sem.h>

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
	ok(strstr(ipcu_last_error()->hint, "ipc-rm -f"), "with a hint");
	ipcu_barrier_close(barrier);
	is_result(ipcu_remove("carry", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

int main(void)
{
	struct ipcu_barrier_how how = { .action = refuse };
	ipcu_barrier *barrier, *other;
	int calls = 0;

	deadline_for_all(30);
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
