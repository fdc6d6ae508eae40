/* SPDX-License-Identifier: MIT
 * deadline.h - absolute monotonic deadlines, and a timer that ends a call at one
 */
#ifndef DEADLINE_H
#define DEADLINE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

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
	timer_t timer;
	sigset_t old_mask;
};
enum ipcu_result ipcu_alarm_start(struct ipcu_alarm *alarm, const struct timespec *deadline);
void ipcu_alarm_stop(struct ipcu_alarm *alarm);

/*
 * Whether signals can be sent at all: where no more may be pending, the library's own
 * threads could not be woken. IPCU_OK, or IPCU_LIMIT with what to do.
 */
enum ipcu_result ipcu_signal_check(void);

/* The library's signal, with its handler in place; 0 if there is none to be had. */
int ipcu_signal(void);

#endif
