/* SPDX-License-Identifier: MIT
 * probe.c - waiting for several queues at once, without polling
 *
 * msgrcv(2) for a body of at most zero bytes sleeps while there is no message,
 * and when one comes fails with E2BIG and leaves it there: a thread in that call
 * is a poller that needs no help from the sender. One thread a queue sleeps so; the
 * first to wake ends the others, by a timer that each has, and
 * only then does the caller's thread try to take a message.
 *
 * The one message such a call does take is one of zero bytes. It is delivered. If several queues get one in the same
 * instant, the others return to the end of their queues; where a queue refuses its own, the handle keeps it for the
 * next receive. Our own senders mark an empty body on a named queue (spill.h), so this concerns only messages of
 * other programs.
 *
 * Before any thread is started the queues are looked at, so that a message that is already there is neither missed at
 * a deadline that has passed nor taken by the look.
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "queue.h"
#include "returned.h"

#define FAR_NANOSECONDS INT64_C(100000000000000000) /* three years */

struct watch;

struct probe {
	struct watch *watch;
	ipcu_queue *queue;
	pthread_t thread;
	bool started;
	_Atomic bool ready, done; /* it has its alarm; it has ended */
	struct ipcu_alarm alarm;  /* that ends its wait */
	struct ipcu_error error;  /* why it has none */
	int errnum; /* E2BIG: there is a message; 0: took one of zero bytes; EINTR: was stopped */
	long type;  /* of that */
	struct ipcu_kept *room; /* to return it, made before it is taken */
};

struct watch {
	int event;
	_Atomic bool stop;
	long wanted;
	int flags;
	size_t count;
	struct probe *probes;
};

/* Sleep until there is a message or the alarm rings. */
static void wait_for_message(struct probe *self)
{
	struct watch *watch = self->watch;
	struct {
		long type;
		char body[1];
	} message;

	while (!atomic_load(&watch->stop) && self->errnum == EINTR) {
		if (msgrcv(self->queue->object.id, &message, 0, watch->wanted, watch->flags) < 0) {
			self->errnum = errno;
		} else {
			self->errnum = 0;
			self->type = message.type;
		}
	}
}

static void *probe(void *arg)
{
	struct probe *self = arg;
	struct timespec far = ipcu_deadline_in(FAR_NANOSECONDS);
	uint64_t one = 1;

	self->errnum = EINTR;
	if (ipcu_alarm_start(&self->alarm, &far) == IPCU_OK) {
		atomic_store(&self->ready, true);
		wait_for_message(self);
	} else {
		self->error = *ipcu_last_error();
		self->errnum = IPCU_REPORTED;
	}
	atomic_store(&self->done, true);
	if (write(self->watch->event, &one, sizeof(one)) < 0)
		return NULL; /* cannot happen: the counter is far from full */
	return NULL;
}

/* Our threads take no signal but the library's: the caller's are for the caller's threads. */
static enum ipcu_result start(struct watch *watch)
{
	int signo = ipcu_signal(), error = 0;
	sigset_t all_but, old;
	pthread_attr_t attributes;
	long minimum = sysconf(_SC_THREAD_STACK_MIN);

	if (!signo)
		return ipcu_fail(
			IPCU_SYSTEM,
			"cannot wait for several queues: every real-time signal is in use");
	if (ipcu_signal_check() != IPCU_OK)
		return ipcu_last_error()->result;
	sigfillset(&all_but);
	sigdelset(&all_but, signo);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes,
				  (size_t)(minimum > 0 ? minimum : PTHREAD_STACK_MIN) + 65536);
	pthread_sigmask(SIG_SETMASK, &all_but, &old);
	for (size_t i = 0; i < watch->count && !error; i++) {
		error = pthread_create(&watch->probes[i].thread, &attributes, probe,
				       &watch->probes[i]);
		watch->probes[i].started = !error;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
	return error ? ipcu_fail_call("pthread_create", error, "cannot wait for several queues")
		     : IPCU_OK;
}

/* Without the alarm: again and again, for the first signal may come just before the thread is in the call. */
static void signal_until_done(struct probe *one)
{
	struct timespec pause = { 0, 100000 };

	while (!atomic_load(&one->done)) {
		pthread_kill(one->thread, ipcu_signal());
		nanosleep(&pause, NULL);
	}
}

static void stop(struct watch *watch)
{
	struct timespec pause = { 0, 100000 };

	atomic_store(&watch->stop, true);
	for (size_t i = 0; i < watch->count; i++) {
		struct probe *one = &watch->probes[i];

		if (!one->started)
			continue;
		while (!atomic_load(&one->ready) && !atomic_load(&one->done))
			nanosleep(&pause, NULL);
		if (!atomic_load(&one->done) && !ipcu_alarm_ring(&one->alarm))
			signal_until_done(one);
		pthread_join(one->thread, NULL);
		ipcu_alarm_release(&one->alarm);
	}
}

/* Sleep until a probe has something; 0, ETIMEDOUT or EINTR. */
static int sleep_until(int event, const struct timespec *deadline)
{
	struct pollfd fd = { .fd = event, .events = POLLIN };

	for (;;) {
		struct timespec now, left;
		int ready;

		if (deadline) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			left.tv_sec = deadline->tv_sec - now.tv_sec;
			left.tv_nsec = deadline->tv_nsec - now.tv_nsec;
			if (left.tv_nsec < 0) {
				left.tv_sec--;
				left.tv_nsec += 1000000000;
			}
			if (left.tv_sec < 0)
				return ETIMEDOUT;
		}
		ready = ppoll(&fd, 1, deadline ? &left : NULL, NULL);
		if (ready > 0)
			return 0;
		if (ready < 0)
			return errno;
	}
}

/* A watch of COUNT queues, with all it needs; its probes are not started. */
static enum ipcu_result prepare(struct watch *watch, ipcu_queue *const *queues, size_t count)
{
	bool complete = true;

	watch->count = count;
	watch->event = eventfd(0, EFD_CLOEXEC);
	if (watch->event < 0)
		return ipcu_fail_call("eventfd", errno, "cannot wait for several queues");
	watch->probes = calloc(count, sizeof(*watch->probes));
	for (size_t i = 0; watch->probes && i < count; i++) {
		watch->probes[i].watch = watch;
		watch->probes[i].queue = queues[i];
		watch->probes[i].room = ipcu_kept_new(0);
		complete &= watch->probes[i].room != NULL;
	}
	return watch->probes && complete
		       ? IPCU_OK
		       : ipcu_fail_call("malloc", ENOMEM, "cannot wait for several queues");
}

static void discard(struct watch *watch)
{
	for (size_t i = 0; watch->probes && i < watch->count; i++)
		ipcu_kept_free(watch->probes[i].room);
	free(watch->probes);
	if (watch->event >= 0)
		close(watch->event);
}

/* The message of zero bytes that ONE has taken, in the room that was made for it. */
static struct ipcu_kept *taken_by(struct probe *one)
{
	struct ipcu_kept *kept = one->room;

	one->room = NULL;
	ipcu_kept_fill(kept, one->type, "");
	return kept;
}

/* The error of the thread of ONE becomes that of this one. */
static enum ipcu_result failed(const struct probe *one)
{
	ipcu_error_restore(&one->error);
	return one->error.result;
}

/*
 * What the stopped probes have found, or else RESULT. A message that one of them has taken is delivered in *TAKEN,
 * whatever has become of the other queues.
 */
static enum ipcu_result collect(struct watch *watch, enum ipcu_result result, size_t *which,
				struct ipcu_kept **taken)
{
	for (size_t i = 0; i < watch->count; i++) {
		struct probe *one = &watch->probes[i];

		if (!one->started || one->errnum == EINTR)
			continue;
		if (one->errnum == 0 && *taken) {
			ipcu_queue_return(one->queue, taken_by(one));
			continue;
		}
		if (*taken)
			continue;
		*which = i;
		result = IPCU_OK;
		if (one->errnum == 0)
			*taken = taken_by(one);
		else if (one->errnum == IPCU_REPORTED)
			result = failed(one);
		else if (one->errnum != E2BIG)
			result = ipcu_queue_receive_failed(one->queue, one->errnum);
	}
	return result;
}

/*
 * Wait until some queue has a message. IPCU_OK with *TAKEN: a message of zero bytes was taken from *WHICH, which the
 * caller delivers or returns; with *TAKEN NULL: try to take from *WHICH.
 */
static enum ipcu_result wait_for_one(ipcu_queue *const *queues, size_t count, long wanted,
				     int flags, const struct timespec *deadline, size_t *which,
				     struct ipcu_kept **taken)
{
	struct watch watch = { .wanted = wanted, .flags = flags, .event = -1 };
	enum ipcu_result result;

	*taken = NULL;
	if (ipcu_deadline_passed(deadline))
		return ipcu_not_now(deadline == &ipcu_no_wait ? EAGAIN : ETIMEDOUT);
	result = prepare(&watch, queues, count);
	if (result == IPCU_OK) {
		result = start(&watch);
		if (result == IPCU_OK) {
			int errnum = sleep_until(watch.event, deadline);

			result = errnum ? ipcu_not_now(errnum) : IPCU_OK;
		}
		stop(&watch);
		result = collect(&watch, result, which, taken);
	}
	discard(&watch);
	return result;
}

/*
 * The next moment to look at what has returned: never for any message if none has returned to any queue. Otherwise the wait is over
 * after a while: *UNTIL.
 */
static const struct timespec *next_look(ipcu_queue *const *queues, size_t count, long wanted,
					const struct timespec *deadline, struct timespec *until)
{
	bool looks = wanted != 0;

	for (size_t i = 0; i < count && !looks; i++)
		looks = !ipcu_returned_none(queues[i]->returned_keys);
	if (!looks)
		return deadline;
	*until = ipcu_deadline_in(IPCU_RETURNED_LOOK);
	return ipcu_deadline_earlier(deadline, until);
}

/* Return true if a wait that ended with RESULT is to be continued after a look. */
static bool look_again(enum ipcu_result result, bool last)
{
	return result == IPCU_NOT_NOW && ipcu_last_error()->errnum == ETIMEDOUT && !last;
}

/* One try at each queue, beginning with another one each time. IPCU_NOT_NOW: all empty. */
static enum ipcu_result sweep(ipcu_queue *const *queues, size_t count, size_t *which,
			      struct ipcu_message *message, const struct ipcu_select *select)
{
	size_t first = atomic_fetch_add(&queues[0]->turn, 1) % count;
	enum ipcu_result result = IPCU_NOT_NOW;

	for (size_t i = 0; i < count && result == IPCU_NOT_NOW; i++) {
		*which = (first + i) % count;
		result = ipcu_queue_receive(queues[*which], message, select, &ipcu_no_wait);
	}
	return result;
}

/* MESSAGE becomes one of zero bytes. */
static void make_empty(struct ipcu_message *message, long type)
{
	if (message->mapping)
		ipcu_message_clear(message);
	message->type = type;
	message->size = 0;
	message->body = message->buffer ? (char *)message->buffer + sizeof(long) : "";
}

enum ipcu_result ipcu_queue_receive_any(ipcu_queue *const *queues, size_t count, size_t *which,
					struct ipcu_message *message,
					const struct ipcu_select *select,
					const struct timespec *deadline)
{
	const struct timespec *until;
	struct timespec look;
	struct ipcu_kept *taken;
	long wanted;
	int flags;
	enum ipcu_result result;

	if (count == 0)
		return ipcu_fail(IPCU_USAGE, "no queue to receive from");
	*which = 0;
	if (count == 1)
		return ipcu_queue_receive(queues[0], message, select, deadline);
	result = ipcu_select_flags(select, &wanted, &flags);
	if (result != IPCU_OK)
		return result;
	for (;;) {
		result = sweep(queues, count, which, message, select);
		if (result != IPCU_NOT_NOW || deadline == &ipcu_no_wait)
			return result;
		until = next_look(queues, count, wanted, deadline, &look);
		result = wait_for_one(queues, count, wanted, flags, until, which, &taken);
		if (look_again(result, until == deadline))
			continue;
		if (result != IPCU_OK)
			return result;
		if (taken) {
			make_empty(message, ipcu_kept_type(taken));
			ipcu_kept_free(taken);
			return IPCU_OK;
		}
	}
}

/* Look with a call that takes nothing but a message of zero bytes, which then returns to its queue. */
static enum ipcu_result look_by_type(ipcu_queue *queue, int id, long wanted, int flags)
{
	struct ipcu_kept *room = ipcu_kept_new(0);
	struct {
		long type;
		char body[1];
	} message;

	if (!room)
		return ipcu_fail_call("malloc", ENOMEM, "cannot wait for a message");
	if (msgrcv(id, &message, 0, wanted, flags | IPC_NOWAIT) == 0) {
		ipcu_kept_fill(room, message.type, "");
		ipcu_queue_return(queue, room);
		return IPCU_OK;
	}
	ipcu_kept_free(room);
	return errno == E2BIG ? IPCU_OK : ipcu_queue_receive_failed(queue, errno);
}

/*
 * Look whether ID, QUEUE or one of its returned messages, has a message now: IPCU_OK or IPCU_NOT_NOW. The first message can be
 * looked at without taking it where the kernel has MSG_COPY.
 */
static enum ipcu_result look_at(ipcu_queue *queue, int id, long wanted, int flags)
{
	struct {
		long type;
		char body[1];
	} message;

	if (wanted != 0)
		return look_by_type(queue, id, wanted, flags);
	if (msgrcv(id, &message, 0, 0, MSG_COPY | IPC_NOWAIT) == 0 || errno == E2BIG)
		return IPCU_OK;
	return errno == ENOSYS ? look_by_type(queue, id, wanted, flags)
			       : ipcu_queue_receive_failed(queue, errno);
}

static enum ipcu_result look(ipcu_queue *queue, const struct ipcu_select *select, long wanted,
			     int flags)
{
	int ids[IPCU_RETURNED_MAX];
	unsigned count;
	enum ipcu_result result;

	if (ipcu_kept_wanted(queue, select))
		return IPCU_OK;
	result = look_at(queue, queue->object.id, wanted, flags);
	if (result != IPCU_NOT_NOW)
		return result;
	count = ipcu_returned_find(&queue->object.perm, ids);
	while (count > 0)
		if (look_at(queue, ids[--count], wanted, flags) == IPCU_OK)
			return IPCU_OK;
	return ipcu_not_now(EAGAIN);
}

static enum ipcu_result look_at_all(ipcu_queue *const *queues, size_t count, size_t *which,
				    const struct ipcu_select *select, long wanted, int flags)
{
	enum ipcu_result result = IPCU_NOT_NOW;

	for (size_t i = 0; i < count && result == IPCU_NOT_NOW; i++) {
		*which = i;
		result = look(queues[i], select, wanted, flags);
	}
	return result;
}

enum ipcu_result ipcu_queue_wait_any(ipcu_queue *const *queues, size_t count, size_t *which,
				     const struct ipcu_select *select,
				     const struct timespec *deadline)
{
	const struct timespec *until;
	struct timespec storage;
	struct ipcu_kept *taken;
	long wanted;
	int flags;
	enum ipcu_result result;

	if (count == 0)
		return ipcu_fail(IPCU_USAGE, "no queue to wait for");
	*which = 0;
	result = ipcu_select_flags(select, &wanted, &flags);
	if (result != IPCU_OK)
		return result;
	do {
		result = look_at_all(queues, count, which, select, wanted, flags);
		if (result != IPCU_NOT_NOW)
			return result;
		until = next_look(queues, count, wanted, deadline, &storage);
		result = wait_for_one(queues, count, wanted, flags, until, which, &taken);
	} while (look_again(result, until == deadline));
	if (result == IPCU_OK && taken)
		ipcu_queue_return(queues[*which], taken);
	return result;
}
