/* SPDX-License-Identifier: MIT
 * deadline.c - deadlines, and the one signal that ends a blocking call
 *
 * msgsnd(2) and msgrcv(2) have no timeout. What does not work: alarm(2) with a
 * flag (the signal may come between the test and the call, and the call then
 * sleeps for ever), a second thread that receives (it may hold a message when the
 * time is up), pthread_cancel (before glibc 2.41 a call that had taken a message
 * could be cancelled on its way out). What does: a timer that interrupts this very
 * thread, and keeps doing so until it is stopped. The call then either
 * returned a message or did nothing.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"

#define NANO 1000000000
#define AGAIN_NANOSECONDS 2000000 /* how often the timer fires once the deadline has come */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct timespec ipcu_deadline_in(int64_t nanoseconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (nanoseconds < 0)
		nanoseconds = 0;
	/* A thousand years is "for ever" and fits a 64-bit time_t with room to spare. */
	if (sizeof(t.tv_sec) < 8 && nanoseconds / NANO > INT_MAX / 2)
		nanoseconds = (int64_t)(INT_MAX / 2) * NANO;
	t.tv_sec += (time_t)(nanoseconds / NANO);
	t.tv_nsec += (long)(nanoseconds % NANO);
	if (t.tv_nsec >= NANO) {
		t.tv_sec++;
		t.tv_nsec -= NANO;
	}
	return t;
}

bool ipcu_deadline_passed(const struct timespec *deadline)
{
	struct timespec now;

	if (!deadline)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > deadline->tv_sec ||
	       (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

struct timespec ipcu_deadline_left(const struct timespec *deadline)
{
	struct timespec now, left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left.tv_sec = deadline->tv_sec - now.tv_sec;
	left.tv_nsec = deadline->tv_nsec - now.tv_nsec;
	if (left.tv_nsec < 0) {
		left.tv_sec--;
		left.tv_nsec += NANO;
	}
	if (left.tv_sec < 0)
		left.tv_sec = left.tv_nsec = 0;
	return left;
}

bool ipcu_deadline_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

const struct timespec *ipcu_deadline_earlier(const struct timespec *a, const struct timespec *b)
{
	if (!a || !b)
		return a ? a : b;
	return ipcu_deadline_before(a, b) ? a : b;
}

struct timespec ipcu_deadline_between(const struct timespec *deadline, int64_t least, int64_t most)
{
	struct timespec first = ipcu_deadline_in(least), last = ipcu_deadline_in(most);

	if (!deadline || ipcu_deadline_before(&last, deadline))
		return last;
	return ipcu_deadline_before(deadline, &first) ? first : *deadline;
}

static void nothing(int signo)
{
	(void)signo;
}

static _Atomic int chosen;
static pthread_mutex_t choosing = PTHREAD_MUTEX_INITIALIZER;

static bool take_signal(int signo)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = nothing; /* and no SA_RESTART: ending the call is its purpose */
	sigemptyset(&action.sa_mask);
	return sigaction(signo, &action, NULL) == 0;
}

enum ipcu_result ipcu_signal_use(int signo)
{
	if (signo <= 0 || !take_signal(signo))
		return ipcu_fail(IPCU_USAGE, "cannot use signal %d: it cannot be handled", signo);
	atomic_store(&chosen, signo);
	return IPCU_OK;
}

int ipcu_signal(void)
{
	int signo = atomic_load(&chosen);

	if (signo)
		return signo;
	pthread_mutex_lock(&choosing);
	signo = atomic_load(&chosen);
	for (int candidate = SIGRTMAX; !signo && candidate >= SIGRTMIN; candidate--) {
		struct sigaction current;

		if (sigaction(candidate, NULL, &current) == 0 && current.sa_handler == SIG_DFL &&
		    take_signal(candidate))
			signo = candidate;
	}
	atomic_store(&chosen, signo);
	pthread_mutex_unlock(&choosing);
	return signo;
}

enum ipcu_result ipcu_signal_check(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
		timer_delete(timer);
	else if (errno != ENOSYS && errno != EPERM)
		return ipcu_fail_call("timer_create", errno, "cannot wait for several queues");
	return IPCU_OK;
}

static void unblock(int signo, sigset_t *old)
{
	sigset_t only;

	sigemptyset(&only);
	sigaddset(&only, signo);
	pthread_sigmask(SIG_UNBLOCK, &only, old);
}

/* The timer, or the thread where a sandbox or an old kernel refuses timers. */
static enum ipcu_result make_timer(struct ipcu_alarm *alarm, int signo,
				   const struct timespec *deadline)
{
	struct sigevent event;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = signo;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &alarm->timer) == 0)
		return IPCU_OK;
	if (errno != ENOSYS && errno != EPERM)
		return ipcu_fail_call("timer_create", errno, "cannot wait with a timeout");
	return ipcu_ringer_start(&alarm->ringer, signo, deadline);
}

enum ipcu_result ipcu_alarm_start(struct ipcu_alarm *alarm, const struct timespec *deadline)
{
	struct itimerspec when = { .it_value = *deadline, .it_interval = { 0, AGAIN_NANOSECONDS } };
	enum ipcu_result result;
	int signo = ipcu_signal();

	alarm->armed = false;
	alarm->ringer = NULL;
	if (!signo)
		return ipcu_fail(IPCU_SYSTEM,
				 "cannot wait with a timeout: every real-time signal is in use");
	result = make_timer(alarm, signo, deadline);
	if (result != IPCU_OK)
		return result;
	unblock(signo, &alarm->old_mask);
	if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0)
		when.it_value.tv_nsec = 1; /* zero would disarm it */
	alarm->armed = true;
	if (!alarm->ringer && timer_settime(alarm->timer, TIMER_ABSTIME, &when, NULL) < 0) {
		int errnum = errno;

		ipcu_alarm_stop(alarm);
		return ipcu_fail_call("timer_settime", errnum, "cannot wait with a timeout");
	}
	return IPCU_OK;
}

bool ipcu_alarm_ring(struct ipcu_alarm *alarm)
{
	struct itimerspec now = { { 0, AGAIN_NANOSECONDS }, { 0, 1 } };

	if (!alarm->ringer)
		return timer_settime(alarm->timer, 0, &now, NULL) == 0;
	ipcu_ringer_ring(alarm->ringer);
	return true;
}

void ipcu_alarm_release(struct ipcu_alarm *alarm)
{
	if (!alarm->armed)
		return;
	if (alarm->ringer)
		ipcu_ringer_stop(alarm->ringer);
	else
		timer_delete(alarm->timer);
	alarm->armed = false;
}

void ipcu_alarm_stop(struct ipcu_alarm *alarm)
{
	if (!alarm->armed)
		return;
	ipcu_alarm_release(alarm);
	pthread_sigmask(SIG_SETMASK, &alarm->old_mask, NULL);
}
