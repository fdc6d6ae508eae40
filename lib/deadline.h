/* SPDX-License-Identifier: MIT
 * deadline.h - absolute monotonic deadlines, and a timer that ends a call at one
 */
#ifndef DEADLINE_H
#define DEADLINE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "ipcutils.h"

bool ipcu_deadline_passed(const struct timespec *deadline);

/* The earlier of A and B, either of which may be NULL, for ever. */
const struct timespec *ipcu_deadline_earlier(const struct timespec *a, const struct timespec *b);

/* How long it is until DEADLINE; never negative. */
struct timespec ipcu_deadline_left(const struct timespec *deadline);

bool ipcu_deadline_before(const struct timespec *a, const struct timespec *b);

/*
 * DEADLINE, which may be NULL, but not sooner than LEAST nanoseconds from now, nor later than MOST: for what takes
 * no time unless something is wrong.
 */
struct timespec ipcu_deadline_between(const struct timespec *deadline, int64_t least, int64_t most);

/*
 * Makes the blocking call of this thread fail with EINTR at the deadline. The
 * timer fires again and again from then on, so a signal that comes in the
 * instant before the call is entered is not the last one.
 */
struct ipcu_alarm {
	bool armed;
	struct ipcu_ringer *ringer; /* alarm-thread.c: where there are no timers */
	timer_t timer;
	sigset_t old_mask;
};
enum ipcu_result ipcu_alarm_start(struct ipcu_alarm *alarm, const struct timespec *deadline);
void ipcu_alarm_stop(struct ipcu_alarm *alarm);

/*
 * For a different thread than the one that started ALARM: let it go off now, and release it after its thread has ended. A
 * timer needs no room in the queue of signals, which may be full by then. False: it cannot be set.
 */
bool ipcu_alarm_ring(struct ipcu_alarm *alarm);
void ipcu_alarm_release(struct ipcu_alarm *alarm);

/* ---- alarm-thread.c: a thread that does what the timer does ------------------------ */

/* Start a thread that sends SIGNO to this thread from DEADLINE on. IPCU_OK, or why there is none. */
enum ipcu_result ipcu_ringer_start(struct ipcu_ringer **ringer, int signo,
				   const struct timespec *deadline);
void ipcu_ringer_ring(struct ipcu_ringer *ringer);
void ipcu_ringer_stop(struct ipcu_ringer *ringer);

/*
 * Return IPCU_OK if signals can be sent, or if that cannot be told. IPCU_LIMIT: no more may be pending, so the library's
 * own threads could not be woken.
 */
enum ipcu_result ipcu_signal_check(void);

/* The library's signal, with its handler in place; 0 if there is none to be had. */
int ipcu_signal(void);

#endif
