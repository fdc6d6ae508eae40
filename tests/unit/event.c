/* SPDX-License-Identifier: MIT
 * event.c - the event calls of the library
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>

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
		ok(strstr(ipcu_last_error()->hint, "ipc-rm -f"), "with a hint");
	}
	ipcu_event_close(event);
	is_result(ipcu_remove("damaged", IPCU_KIND_ANY, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}

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
	return done();
}
