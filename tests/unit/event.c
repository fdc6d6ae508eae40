/* SPDX-License-Identifier: MIT
 * event.c - the event calls of the library
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "object.h"
#include "tap.h"

#define MANY 100

static void until_waiting(ipcu_event *event, unsigned count)
{
	struct timespec pause = { 0, 1000000 };
	struct ipcu_event_info info = { 0 };

	while (ipcu_event_status(event, &info) == IPCU_OK && info.waiting < count)
		nanosleep(&pause, NULL);
}

/* MANY processes wait; END lets them go, all of them, and the event stays as SET says. */
static void release_many(ipcu_event *event, enum ipcu_result (*end)(ipcu_event *), bool set,
			 const char *what)
{
	struct ipcu_event_info info;
	int released = 0;

	for (int i = 0; i < MANY; i++)
		if (fork() == 0)
			_exit(ipcu_event_wait(event, NULL, NULL));
	until_waiting(event, MANY);
	is_result(end(event), IPCU_OK, what);
	for (int i = 0; i < MANY; i++) {
		int status;

		released += wait(&status) > 0 && status == 0;
	}
	is_number(released, MANY, "all are released");
	ipcu_event_status(event, &info);
	is_number(info.set, set, "and it is as it should be");
}

static enum ipcu_result set_and_clear(ipcu_event *event)
{
	enum ipcu_result result = ipcu_event_set(event);

	return result == IPCU_OK ? ipcu_event_clear(event) : result;
}

/* Each wrong in a way of its own: two gates, one that is not the generation's, one that is 2. */
static void damaged(void)
{
	static const unsigned short values[][3] = { { 2, 3, 1 }, { 2, 3, 0 }, { 2, 2, 2 } };
	struct ipcu_event_info info;
	ipcu_event *event;
	key_t key;
	int id;

	is_result(ipcu_event_open(&event, "damaged", NULL), IPCU_OK, "opens");
	ipcu_name_key("damaged", &key);
	id = semget(key, 0, 0);
	for (int i = 0; i < 3; i++) {
		semctl(id, 2, SETVAL, 0);
		semctl(id, 3, SETVAL, 0);
		semctl(id, values[i][1], SETVAL, i == 2 ? 2 : 1);
		semctl(id, values[i][0], SETVAL, values[i][2]);
		is_result(ipcu_event_status(event, &info), IPCU_SYSTEM, "damage is seen");
		is_result(ipcu_event_clear(event), IPCU_SYSTEM, "and nothing is changed");
		ok(strstr(ipcu_last_error()->hint, "stop the programs"),
		   "with a hint that removes nothing");
	}
	ipcu_event_close(event);
	is_result(ipcu_remove("damaged", IPCU_KIND_ANY, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}

/* ---- removal ---------------------------------------------------------------- */

#define SEALED 10 /* its semaphore: two digits and eight gates come before */

static int set_of(const char *name)
{
	key_t key;

	ipcu_name_key(name, &key);
	return semget(key, 0, 0);
}

/* A child that waits. Returns when it sleeps: at the gate or, if the event is sealed, before it. */
static pid_t start_waiter(ipcu_event *event, bool *counted)
{
	struct ipcu_event_info info = { 0 };
	int id = set_of("sealed");
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0)
		_exit(ipcu_event_wait(event, NULL, NULL));
	while (semctl(id, SEALED, GETZCNT) == 0 && ipcu_event_status(event, &info) == IPCU_OK &&
	       info.waiting == 0)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	*counted = info.waiting > 0;
	return child;
}

static int end_of(pid_t child)
{
	int status = -1;

	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void sealing(void)
{
	const struct ipcu_record record = { .kind = IPCU_KIND_EVENT };
	struct timespec deadline = ipcu_deadline_in(20000000);
	bool at_gate, later;
	ipcu_event *event;
	pid_t first, second;
	int id;

	is_result(ipcu_event_open(&event, "sealed", NULL), IPCU_OK, "opens");
	id = set_of("sealed");
	first = start_waiter(event, &at_gate);
	is_result(ipcu_event_ops.seal(id, &record), IPCU_CONFLICT,
		  "an event with a waiter cannot be sealed");
	is_number(semctl(id, SEALED, GETVAL), 0, "and stays usable");
	is_result(ipcu_event_pulse(event), IPCU_OK, "pulse");
	is_number(end_of(first), IPCU_OK, "releases the waiter");
	first = fork();
	if (first == 0)
		_exit(ipcu_event_ops.seal(id, &record));
	is_number(end_of(first), IPCU_OK, "a remover that dies after sealing");
	is_number(semctl(id, SEALED, GETVAL), 0, "leaves the event usable");
	is_result(ipcu_event_ops.seal(id, &record), IPCU_OK, "an unused event is sealed");
	is_result(ipcu_event_ops.seal(id, &record), IPCU_CONFLICT, "once");
	is_result(ipcu_event_wait(event, NULL, &deadline), IPCU_NOT_NOW,
		  "a wait for a sealed event ends at its deadline");
	second = start_waiter(event, &later);
	ok(at_gate && !later, "a process that comes then does not use it");
	is_result(ipcu_remove("sealed", IPCU_KIND_EVENT, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
	is_number(end_of(second), IPCU_NOT_FOUND, "it learns that the event was removed");
	ipcu_event_close(event);
}

/* ---- a process that changes the set all the time ------------------------------ */

#ifdef __LP64__ /* elsewhere the call has a different name where time has 64 bits */
static int restless_id = -1;

/* The library that is linked into this test calls it. The set is different before each call, so every comparison fails. */
int semtimedop(int id, struct sembuf *ops, size_t count, const struct timespec *timeout)
{
	if (id == restless_id)
		semctl(id, 0, SETVAL, (semctl(id, 0, GETVAL) + 8) % 32760);
	return (int)syscall(SYS_semtimedop, id, ops, count, timeout);
}

static void restless(void)
{
	struct timespec start, now;
	ipcu_event *event;

	is_result(ipcu_event_open(&event, "restless", NULL), IPCU_OK, "opens");
	restless_id = set_of("restless");
	clock_gettime(CLOCK_MONOTONIC, &start);
	is_result(ipcu_event_pulse(event), IPCU_SYSTEM, "a change that never succeeds fails");
	clock_gettime(CLOCK_MONOTONIC, &now);
	ok(now.tv_sec - start.tv_sec < 20, "after a limited time");
	restless_id = -1;
	is_result(ipcu_event_pulse(event), IPCU_OK, "the event is still usable");
	ipcu_event_close(event);
	is_result(ipcu_remove("restless", IPCU_KIND_EVENT, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}
#else
static void restless(void)
{
	ok(true, "a change that never succeeds # SKIP semtimedop has a different name here");
}
#endif

int main(void)
{
	struct timespec deadline;
	ipcu_event *event;
	uint64_t ticket = 0;

	deadline_for_all(60);
	is_result(ipcu_event_open(&event, "id:5", NULL), IPCU_USAGE, "a raw identifier is none");
	is_result(ipcu_event_open(&event, "e", NULL), IPCU_OK, "opens");
	deadline = ipcu_deadline_in(20000000);
	is_result(ipcu_event_wait(event, &ticket, &deadline), IPCU_NOT_NOW, "not set: times out");
	is_number(ipcu_last_error()->errnum, ETIMEDOUT, "and says so");
	is_result(ipcu_event_pulse(event), IPCU_OK, "pulse");
	is_result(ipcu_event_wait(event, &ticket, &deadline), IPCU_OK,
		  "who goes on waiting has not missed it");
	is_result(ipcu_event_wait(event, NULL, &deadline), IPCU_NOT_NOW,
		  "who begins after it is not let through");
	release_many(event, ipcu_event_pulse, false, "pulse");
	release_many(event, set_and_clear, false, "set and at once clear");
	for (int i = 0; i < 40000; i++)
		if (ipcu_event_pulse(event) != IPCU_OK)
			ok(false, "pulse %d", i);
	deadline = ipcu_deadline_in(1000000);
	is_result(ipcu_event_wait(event, NULL, &deadline), IPCU_NOT_NOW,
		  "40000 pulses later it still waits");
	release_many(event, ipcu_event_set, true, "set");
	is_result(ipcu_event_wait(event, NULL, NULL), IPCU_OK, "set: nobody waits");
	is_result(ipcu_event_set(event), IPCU_OK, "set again");
	is_result(ipcu_event_pulse(event), IPCU_OK, "a pulse");
	is_result(ipcu_event_wait(event, NULL, NULL), IPCU_OK, "leaves it set");
	is_result(ipcu_remove("e", IPCU_KIND_EVENT, 0), IPCU_OK, "removed");
	is_result(ipcu_event_wait(event, NULL, NULL), IPCU_NOT_FOUND, "gone");
	ipcu_event_close(event);
	damaged();
	sealing();
	restless();
	return done();
}
