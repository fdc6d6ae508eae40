/* SPDX-License-Identifier: MIT
 * probe.c - waiting for several queues at once, without polling
 *
 * msgrcv(2) for a body of at most zero bytes sleeps while there is no message,
 * and when one comes fails with E2BIG and leaves it there: a thread in that call
 * is a poller that needs no help from the sender. One thread a queue sleeps so; the
 * first to wake ends the others, by a signal sent until each has answered, and
 * only then does the caller's thread try to take a message.
 *
 * The one message such a call does take is one of zero bytes. It is delivered;
 * should several queues get one in the same instant, the others are put back.
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

struct watch;

struct probe {
	struct watch *watch;
	ipcu_queue *queue;
	pthread_t thread;
	bool started;
	_Atomic bool done;
	int errnum; /* E2BIG: there is a message; 0: took one of zero bytes; EINTR: was stopped */
	long type;  /* of that */
};

struct watch {
	int event;
	_Atomic bool stop;
	long wanted;
	int flags;
	size_t count;
	struct probe *probes;
};

static void *probe(void *arg)
{
	struct probe *self = arg;
	struct watch *watch = self->watch;
	uint64_t one = 1;
	struct {
		long type;
		char body[1];
	} message;

	self->errnum = EINTR;
	while (!atomic_load(&watch->stop) && self->errnum == EINTR) {
		if (msgrcv(self->queue->object.id, &message, 0, watch->wanted, watch->flags) < 0) {
			self->errnum = errno;
		} else {
			self->errnum = 0;
			self->type = message.type;
		}
	}
	atomic_store(&self->done, true);
	if (write(watch->event, &one, sizeof(one)) < 0)
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

static void stop(struct watch *watch)
{
	struct timespec pause = { 0, 100000 };

	atomic_store(&watch->stop, true);
	for (size_t i = 0; i < watch->count; i++) {
		struct probe *one = &watch->probes[i];

		if (!one->started)
			continue;
		/* Again and again: the first may come just before the thread is in the call. */
		while (!atomic_load(&one->done)) {
			pthread_kill(one->thread, ipcu_signal());
			if (!atomic_load(&one->done))
				nanosleep(&pause, NULL);
		}
		pthread_join(one->thread, NULL);
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

/* False with errno, and the message is lost. */
static bool put_back(const struct probe *one)
{
	struct {
		long type;
		char body[1];
	} message = { one->type, "" };
	int result;

	do
		result = msgsnd(one->queue->object.id, &message, 0, 0);
	while (result < 0 && errno == EINTR);
	return result == 0;
}

/*
 * Wait until some queue has a message. IPCU_OK with *TOOK false: try to take from
 * *WHICH; with *TOOK true: a message of zero bytes and *TYPE was taken from it.
 */
static enum ipcu_result wait_for_one(ipcu_queue *const *queues, size_t count, long wanted,
				     int flags, const struct timespec *deadline, size_t *which,
				     bool *took, long *type)
{
	struct watch watch = { .wanted = wanted, .flags = flags, .count = count };
	enum ipcu_result result;
	int errnum = EINTR;

	*took = false;
	watch.event = eventfd(0, EFD_CLOEXEC);
	if (watch.event < 0)
		return ipcu_fail_call("eventfd", errno, "cannot wait for several queues");
	watch.probes = calloc(count, sizeof(*watch.probes));
	if (!watch.probes) {
		close(watch.event);
		return ipcu_fail_call("malloc", ENOMEM, "cannot wait for several queues");
	}
	for (size_t i = 0; i < count; i++) {
		watch.probes[i].watch = &watch;
		watch.probes[i].queue = queues[i];
	}
	result = start(&watch);
	if (result == IPCU_OK)
		errnum = sleep_until(watch.event, deadline);
	stop(&watch);
	close(watch.event);

	result = result == IPCU_OK && errnum ? ipcu_not_now(errnum) : result;
	for (size_t i = 0; i < count; i++) {
		const struct probe *one = &watch.probes[i];

		if (!one->started || one->errnum == EINTR)
			continue;
		if (one->errnum == 0 && *took) {
			put_back(one);
			continue;
		}
		if (*took) /* what was taken is delivered, whatever became of the others */
			continue;
		*which = i;
		*took = one->errnum == 0;
		*type = one->type;
		result = *took || one->errnum == E2BIG
				 ? IPCU_OK
				 : ipcu_queue_receive_failed(queues[i], one->errnum);
	}
	free(watch.probes);
	return result;
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
	long wanted, type;
	int flags;
	bool took;
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
		result = wait_for_one(queues, count, wanted, flags, deadline, which, &took, &type);
		if (result != IPCU_OK)
			return result;
		if (took) {
			make_empty(message, type);
			return IPCU_OK;
		}
	}
}

enum ipcu_result ipcu_queue_wait_any(ipcu_queue *const *queues, size_t count, size_t *which,
				     const struct ipcu_select *select,
				     const struct timespec *deadline)
{
	struct probe taken = { 0 };
	long wanted;
	int flags;
	bool took;
	enum ipcu_result result;

	if (count == 0)
		return ipcu_fail(IPCU_USAGE, "no queue to wait for");
	*which = 0;
	result = ipcu_select_flags(select, &wanted, &flags);
	if (result == IPCU_OK)
		result = wait_for_one(queues, count, wanted, flags, deadline, which, &took,
				      &taken.type);
	if (result == IPCU_OK && took) {
		taken.queue = queues[*which];
		if (!put_back(&taken) && errno == EACCES)
			result = ipcu_object_denied(
				&taken.queue->object, "msgsnd",
				"a message of zero bytes was taken by looking and cannot be put back");
	}
	return result;
}
