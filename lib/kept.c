/* SPDX-License-Identifier: MIT
 * kept.c - messages that were taken and could not be written back to their queue
 *
 * A message that was taken and cannot be delivered returns to its queue, or to a queue of returned messages if its queue is
 * full (returned.c). If neither takes it, because this user may not send to the queue for example, the handle keeps the
 * message: the next receive through the handle delivers it before what the queue holds. So no receive has to wait for
 * room, which might take for ever, and no message is lost meanwhile.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "queue.h"
#include "returned.h"

#define WAKE_ATTEMPTS 5000 /* of a millisecond, for room that one message needs */

struct ipcu_kept {
	struct ipcu_kept *next;
	size_t size;	/* of the body */
	long message[]; /* what msgsnd(2) takes: the type, then the body */
};

struct ipcu_kept *ipcu_kept_new(size_t size)
{
	struct ipcu_kept *kept = malloc(sizeof(*kept) + sizeof(long) + size);

	if (!kept)
		return NULL;
	kept->next = NULL;
	kept->size = size;
	return kept;
}

void ipcu_kept_fill(struct ipcu_kept *kept, long type, const void *body)
{
	kept->message[0] = type;
	if (kept->size)
		memcpy(kept->message + 1, body, kept->size);
}

long ipcu_kept_type(const struct ipcu_kept *kept)
{
	return kept->message[0];
}

void ipcu_kept_free(struct ipcu_kept *kept)
{
	free(kept);
}

/* Append KEPT to what QUEUE keeps, or put it in front. */
static void link_in(ipcu_queue *queue, struct ipcu_kept *kept, bool front)
{
	struct ipcu_kept **at = &queue->kept;

	pthread_mutex_lock(&queue->kept_lock);
	while (!front && *at)
		at = &(*at)->next;
	kept->next = *at;
	*at = kept;
	atomic_fetch_add(&queue->kept_count, 1);
	pthread_mutex_unlock(&queue->kept_lock);
}

/* Caller holds the lock of what QUEUE keeps. */
static struct ipcu_kept *link_out(ipcu_queue *queue, struct ipcu_kept **at)
{
	struct ipcu_kept *kept = *at;

	*at = kept->next;
	atomic_fetch_sub(&queue->kept_count, 1);
	return kept;
}

/* Take the oldest one out, or NULL. */
static struct ipcu_kept *take_first(ipcu_queue *queue)
{
	struct ipcu_kept *kept = NULL;

	pthread_mutex_lock(&queue->kept_lock);
	if (queue->kept)
		kept = link_out(queue, &queue->kept);
	pthread_mutex_unlock(&queue->kept_lock);
	return kept;
}

/* ---- returning ------------------------------------------------------------ */

/* Take the first message out of queue ID; NULL: there is none, or no memory for it. */
static struct ipcu_kept *take_out(int id)
{
	struct ipcu_kept *kept;
	struct msqid_ds state;
	ssize_t size;

	if (ipcu_stat_queue(id, &state) < 0)
		return NULL;
	kept = ipcu_kept_new(state.msg_qbytes);
	if (!kept)
		return NULL;
	size = msgrcv(id, kept->message, kept->size, 0, IPC_NOWAIT);
	if (size < 0) {
		free(kept);
		return NULL;
	}
	kept->size = (size_t)size;
	return kept;
}

static bool has_messages(int id)
{
	struct msqid_ds state;

	return ipcu_stat_queue(id, &state) < 0 || state.msg_qnum > 0;
}

/* msgsnd(2) to queue ID without waiting: 0 or an errno. EIDRM: it is gone; EMSGSIZE: kernel.msgmax was lowered meanwhile. */
static int send_now(int id, const struct ipcu_kept *kept)
{
	struct msqid_ds state;

	if (msgsnd(id, kept->message, kept->size, IPC_NOWAIT) == 0)
		return 0;
	if (errno != EINVAL)
		return errno;
	return ipcu_stat_queue(id, &state) == 0 ? EMSGSIZE : EIDRM;
}

/*
 * Return KEPT to QUEUE without waiting. NULL: it has returned. Otherwise it, or a message that had returned before, with
 * *ERRNUM. If QUEUE has been emptied by the time its message is stored, its receivers may sleep, so a stored message is moved
 * to QUEUE.
 */
static struct ipcu_kept *give_back(ipcu_queue *queue, struct ipcu_kept *kept, int *errnum)
{
	int id = queue->object.id, stored;

	while (kept) {
		*errnum = send_now(id, kept);
		if (*errnum == EAGAIN) {
			*errnum = ipcu_returned_store(id, kept->message, kept->size, &stored);
			if (!*errnum && !has_messages(id)) {
				free(kept);
				kept = take_out(stored);
				continue;
			}
		}
		/* A queue that was removed has taken its messages with it. */
		if (*errnum && *errnum != EIDRM)
			return kept;
		free(kept);
		kept = NULL;
	}
	return NULL;
}

void ipcu_queue_return(ipcu_queue *queue, struct ipcu_kept *kept)
{
	int errnum;

	kept = give_back(queue, kept, &errnum);
	if (kept)
		link_in(queue, kept, false);
}

enum ipcu_result ipcu_queue_return_body(ipcu_queue *queue, long type, const void *body, size_t size)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_kept *kept = ipcu_kept_new(size);

	if (!kept)
		return ipcu_fail_call("malloc", ENOMEM,
				      "1 message is lost: cannot keep it or put it back");
	ipcu_kept_fill(kept, type, body);
	ipcu_queue_return(queue, kept);
	ipcu_error_restore(&error);
	return IPCU_OK;
}

/* The first that SELECT wants, of the lowest type if it says so. Caller holds the lock of what QUEUE keeps. */
static struct ipcu_kept **find(ipcu_queue *queue, const struct ipcu_select *select)
{
	struct ipcu_kept **best = NULL;

	for (struct ipcu_kept **at = &queue->kept; *at; at = &(*at)->next) {
		if (!ipcu_select_wants(select, (*at)->message[0]))
			continue;
		if (!best || (*at)->message[0] < (*best)->message[0])
			best = at;
		if (!select || select->pick != IPCU_PICK_MAX_TYPE)
			break;
	}
	return best;
}

bool ipcu_kept_wanted(ipcu_queue *queue, const struct ipcu_select *select)
{
	bool wanted;

	if (!atomic_load(&queue->kept_count))
		return false;
	pthread_mutex_lock(&queue->kept_lock);
	wanted = find(queue, select) != NULL;
	pthread_mutex_unlock(&queue->kept_lock);
	return wanted;
}

/* Copy KEPT to BODY, which has room for CAPACITY bytes; its size, or -1 with E2BIG. */
static ssize_t copy(const struct ipcu_kept *kept, char *body, size_t capacity, long *type)
{
	if (kept->size > capacity) {
		errno = E2BIG;
		return -1;
	}
	*type = kept->message[0];
	if (kept->size)
		memcpy(body, kept->message + 1, kept->size);
	return (ssize_t)kept->size;
}

ssize_t ipcu_kept_take(ipcu_queue *queue, const struct ipcu_select *select, char *body,
		       size_t capacity, long *type)
{
	struct ipcu_kept **at;
	ssize_t size = -1;

	pthread_mutex_lock(&queue->kept_lock);
	at = find(queue, select);
	errno = ENOMSG;
	if (at)
		size = copy(*at, body, capacity, type);
	if (size >= 0)
		free(link_out(queue, at));
	pthread_mutex_unlock(&queue->kept_lock);
	return size;
}

ssize_t ipcu_kept_peek(ipcu_queue *queue, size_t *index, char *body, size_t capacity, long *type)
{
	struct ipcu_kept *at;
	ssize_t size = -1;

	errno = ENOMSG;
	if (!atomic_load(&queue->kept_count))
		return -1;
	pthread_mutex_lock(&queue->kept_lock);
	for (at = queue->kept; at && *index; at = at->next)
		--*index;
	errno = ENOMSG;
	if (at)
		size = copy(at, body, capacity, type);
	pthread_mutex_unlock(&queue->kept_lock);
	return size;
}

/* ---- public ------------------------------------------------------------- */

size_t ipcu_queue_kept(ipcu_queue *queue)
{
	return atomic_load(&queue->kept_count);
}

enum ipcu_result ipcu_queue_put_back(ipcu_queue *queue, const struct timespec *deadline)
{
	struct ipcu_kept *kept;

	while ((kept = take_first(queue))) {
		int errnum = 0;

		kept = give_back(queue, kept, &errnum);
		if (!kept)
			continue;
		if (errnum == EAGAIN)
			errnum = ipcu_send_until(queue->object.id, kept->message, kept->size,
						 deadline);
		if (!errnum) {
			free(kept);
			continue;
		}
		link_in(queue, kept, true);
		if (errnum == EACCES)
			return ipcu_object_denied(&queue->object, "msgsnd",
						  "cannot put messages back");
		if (errnum == EAGAIN || errnum == EINTR || errnum == ETIMEDOUT)
			return ipcu_not_now(errnum);
		return errnum < 0 ? ipcu_last_error()->result
				  : ipcu_fail_call("msgsnd", errnum == EINVAL ? EIDRM : errnum,
						   "cannot put messages back");
	}
	return IPCU_OK;
}

/* QUEUE was not empty when a message returned to it, so it woke no receiver; this handle may have emptied it since. */
static void wake_receivers(ipcu_queue *queue)
{
	struct timespec pause = { 0, 1000000 };
	int ids[IPCU_RETURNED_MAX], errnum;
	unsigned count = ipcu_returned_none(queue->returned_keys)
				 ? 0
				 : ipcu_returned_find(&queue->object.perm, ids);

	for (unsigned i = 0; i < count && !has_messages(queue->object.id); i++) {
		struct ipcu_kept *kept = give_back(queue, take_out(ids[i]), &errnum);

		/* All queues were filled in this instant. */
		for (int attempt = 0; kept && attempt < WAKE_ATTEMPTS; attempt++) {
			nanosleep(&pause, NULL);
			kept = give_back(queue, kept, &errnum);
		}
		free(kept);
	}
}

void ipcu_kept_close(ipcu_queue *queue)
{
	struct ipcu_kept *kept;
	int errnum;

	while ((kept = take_first(queue)))
		free(give_back(queue, kept, &errnum));
	if (atomic_load(&queue->receives))
		wake_receivers(queue);
	pthread_mutex_destroy(&queue->kept_lock);
}
