/* SPDX-License-Identifier: MIT
 * alarm-thread.c - a thread that ends the blocking call of another one, where a sandbox refuses timers
 *
 * It does what the timer of deadline.c does: from the deadline on it sends the library's signal again and again, until it is
 * stopped.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "deadline.h"
#include "error.h"

#define AGAIN_NANOSECONDS 2000000

struct ipcu_ringer {
	pthread_t thread, sleeper;
	pthread_mutex_t mutex;
	pthread_cond_t stopped;
	bool stop;
	int signo;
	bool now;
	struct timespec deadline;
};

static void *ring(void *arg)
{
	struct ipcu_ringer *ringer = arg;
	struct timespec next = ringer->deadline;

	pthread_mutex_lock(&ringer->mutex);
	while (!ringer->stop) {
		if (!ringer->now &&
		    pthread_cond_timedwait(&ringer->stopped, &ringer->mutex, &next) != ETIMEDOUT)
			continue;
		ringer->now = false;
		pthread_kill(ringer->sleeper, ringer->signo);
		next = ipcu_deadline_in(AGAIN_NANOSECONDS);
	}
	pthread_mutex_unlock(&ringer->mutex);
	return NULL;
}

static void initialise(struct ipcu_ringer *ringer)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&ringer->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&ringer->stopped, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void release(struct ipcu_ringer *ringer)
{
	pthread_cond_destroy(&ringer->stopped);
	pthread_mutex_destroy(&ringer->mutex);
	free(ringer);
}

enum ipcu_result ipcu_ringer_start(struct ipcu_ringer **out, int signo,
				   const struct timespec *deadline)
{
	struct ipcu_ringer *ringer = calloc(1, sizeof(*ringer));
	sigset_t all, old;
	int errnum;

	if (!ringer)
		return ipcu_fail_call("malloc", ENOMEM, "cannot wait with a timeout");
	ringer->sleeper = pthread_self();
	ringer->signo = signo;
	ringer->deadline = *deadline;
	initialise(ringer);
	/* The signals of the caller are for the threads of the caller. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	errnum = pthread_create(&ringer->thread, NULL, ring, ringer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (errnum) {
		release(ringer);
		return ipcu_fail_call("pthread_create", errnum, "cannot wait with a timeout");
	}
	*out = ringer;
	return IPCU_OK;
}

void ipcu_ringer_ring(struct ipcu_ringer *ringer)
{
	pthread_mutex_lock(&ringer->mutex);
	ringer->now = true;
	pthread_cond_signal(&ringer->stopped);
	pthread_mutex_unlock(&ringer->mutex);
}

void ipcu_ringer_stop(struct ipcu_ringer *ringer)
{
	pthread_mutex_lock(&ringer->mutex);
	ringer->stop = true;
	pthread_cond_signal(&ringer->stopped);
	pthread_mutex_unlock(&ringer->mutex);
	pthread_join(ringer->thread, NULL);
	release(ringer);
}
