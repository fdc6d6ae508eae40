/* SPDX-License-Identifier: MIT
 * event.c - how long it takes until the last of many waiters is awake
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ipcutils.h"

#define WAITERS_MAX 1000

struct waiter {
	ipcu_event *event; /* NULL: a bare wait for zero */
	int id;
	double *awake;
};

static void wait_once(void *argument)
{
	struct sembuf zero = { 0, 0, 0 };
	struct waiter *waiter = argument;

	if (waiter->event ? ipcu_event_wait(waiter->event, NULL, NULL) != IPCU_OK
			  : semop(waiter->id, &zero, 1) < 0)
		die("wait");
	*waiter->awake = now();
}

static int asleep(const struct waiter *waiter)
{
	struct ipcu_event_info info = { 0 };

	if (!waiter->event)
		return semctl(waiter->id, 0, GETZCNT);
	return ipcu_event_status(waiter->event, &info) == IPCU_OK ? (int)info.waiting : -1;
}

/* Seconds from the set to the last awake. */
static double wake(struct waiter waiter, double *awake, int waiters)
{
	struct timespec pause = { 0, 1000000 };
	struct sembuf down = { 0, -1, 0 };
	pid_t children[WAITERS_MAX];
	double begun, last = 0;

	for (int i = 0; i < waiters; i++) {
		waiter.awake = &awake[i];
		children[i] = start_function(wait_once, &waiter, -1, NULL);
	}
	while (asleep(&waiter) < waiters)
		nanosleep(&pause, NULL);
	begun = now();
	if (waiter.event ? ipcu_event_set(waiter.event) != IPCU_OK : semop(waiter.id, &down, 1) < 0)
		die("set");
	for (int i = 0; i < waiters; i++) {
		finish(children[i], false);
		if (awake[i] > last)
			last = awake[i];
	}
	return last - begun;
}

void event_row(int waiters, size_t rounds)
{
	double *awake = mmap(NULL, WAITERS_MAX * sizeof(*awake), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct waiter ours = { 0 }, bare = { .id = semget(IPC_PRIVATE, 1, 0600) };
	struct samples events = { 0 }, zeroes = { 0 };
	struct sembuf up = { 0, 1, 0 };
	char work[128];

	if (awake == MAP_FAILED || bare.id < 0 ||
	    ipcu_event_open(&ours.event, "bench-event", NULL) != IPCU_OK)
		die("event");
	for (size_t i = 0; i < rounds; i++) {
		if (ipcu_event_clear(ours.event) != IPCU_OK || semop(bare.id, &up, 1) < 0)
			die("clear");
		add(&events, wake(ours, awake, waiters));
		add(&zeroes, wake(bare, awake, waiters));
	}
	snprintf(work, sizeof(work),
		 "event set, until the last of %d waiters is awake (%.0f us), time", waiters,
		 median(&events) * 1e6);
	row(work, "bare semop, waiting for zero", median(&events) / median(&zeroes), true, 0);
	ipcu_event_close(ours.event);
	semctl(bare.id, 0, IPC_RMID);
	munmap(awake, WAITERS_MAX * sizeof(*awake));
	if (ipcu_remove("bench-event", IPCU_KIND_EVENT, IPCU_REMOVE_FORCE) != IPCU_OK)
		die(ipcu_last_error()->message);
}
