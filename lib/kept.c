/* SPDX-License-Identifier: MIT
 * kept.c - messages that were taken and could not be written back to their queue
 *
 * A message that was taken and cannot be delivered goes back to its queue. If the queue is full or this user may not
 * send to it, the handle keeps the message: the next receive through the handle delivers it before what the queue
 * holds. So no receive has to wait for room, which might take for ever, and no message is lost meanwhile.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "queue.h"

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

void ipcu_queue_return(ipcu_queue *queue, struct ipcu_kept *kept)
{
	/* A queue that was removed has taken its messages with it. */
	if (msgsnd(queue->object.id, kept->message, kept->size, IPC_NOWAIT) == 0 ||
	    errno == EIDRM || errno == EINVAL)
		free(kept);
	else
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
		int errnum = ipcu_send_until(queue->object.id, kept->message, kept->size, deadline);

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

void ipcu_kept_close(ipcu_queue *queue)
{
	struct ipcu_kept *kept;

	while ((kept = take_first(queue))) {
		msgsnd(queue->object.id, kept->message, kept->size, IPC_NOWAIT);
		free(kept);
	}
	pthread_mutex_destroy(&queue->kept_lock);
}
