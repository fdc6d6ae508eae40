/* SPDX-License-Identifier: MIT
 * receive.c - receiving from one queue
 *
 * Messages that returned to the queue while it was full are in queues of their own (returned.c). They are received when the
 * queue has nothing that is wanted, and in turn with its messages.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "error.h"
#include "queue.h"
#include "returned.h"
#include "spill.h"

#define FIRST_CAPACITY 65536
#define TRY 8 /* one of so many receives that would sleep tries first whether there is a message */
#define TURN 64 /* at each so many receives, what has returned comes before what the queue has */

enum ipcu_result ipcu_select_flags(const struct ipcu_select *select, long *type, int *flags)
{
	*type = 0;
	*flags = 0;
	if (!select || select->pick == IPCU_PICK_FIRST)
		return IPCU_OK;
	if (select->type < 1)
		return ipcu_fail(IPCU_USAGE, "a message type is 1 or more, not %ld", select->type);
	*type = select->pick == IPCU_PICK_MAX_TYPE ? -select->type : select->type;
	*flags = select->pick == IPCU_PICK_NOT_TYPE ? MSG_EXCEPT : 0;
	return IPCU_OK;
}

bool ipcu_select_wants(const struct ipcu_select *select, long type)
{
	switch (select ? select->pick : IPCU_PICK_FIRST) {
	case IPCU_PICK_TYPE:
		return type == select->type;
	case IPCU_PICK_MAX_TYPE:
		return type <= select->type;
	case IPCU_PICK_NOT_TYPE:
		return type != select->type;
	case IPCU_PICK_FIRST:
		break;
	}
	return true;
}

enum ipcu_result ipcu_queue_receive_failed(ipcu_queue *queue, int errnum)
{
	if (errnum == IPCU_REPORTED)
		return ipcu_last_error()->result;
	if (errnum == ENOMSG)
		errnum = EAGAIN;
	if (errnum == EAGAIN || errnum == EINTR || errnum == ETIMEDOUT)
		return ipcu_not_now(errnum);
	if (errnum == EACCES)
		return ipcu_object_denied(&queue->object, "msgrcv", "cannot receive");
	return ipcu_fail_call("msgrcv", errnum == EINVAL ? EIDRM : errnum, "cannot receive");
}

/* msgrcv until the deadline; -1 with errno as in ipcu_send_until. */
static ssize_t receive_until(int id, void *message, size_t capacity, long type, int flags,
			     const struct timespec *deadline)
{
	struct ipcu_alarm alarm;
	ssize_t size = msgrcv(id, message, capacity, type, flags | (deadline ? IPC_NOWAIT : 0));
	int errnum;

	if (size >= 0 || errno != ENOMSG || !deadline || deadline == &ipcu_no_wait)
		return size;
	if (ipcu_deadline_passed(deadline)) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (ipcu_alarm_start(&alarm, deadline) != IPCU_OK) {
		errno = IPCU_REPORTED;
		return -1;
	}
	size = msgrcv(id, message, capacity, type, flags);
	errnum = errno;
	ipcu_alarm_stop(&alarm);
	if (size < 0)
		errno = errnum == EINTR && ipcu_deadline_passed(deadline) ? ETIMEDOUT : errnum;
	return size;
}

/* What msgrcv(2) is called with. */
struct receive {
	ipcu_queue *queue;
	void *message;
	size_t capacity;
	long type;
	int flags;
	bool looks; /* from time to time, at what has returned */
};

/* As msgrcv(2) without waiting, from what has returned to the queue. */
static ssize_t receive_returned(struct receive *receive)
{
	ipcu_queue *queue = receive->queue;
	int ids[IPCU_RETURNED_MAX];
	unsigned count = ipcu_returned_none(queue->returned_keys)
				 ? 0
				 : ipcu_returned_find(&queue->object.perm, ids);

	receive->looks = count || receive->type;
	for (unsigned i = 0; i < count; i++) {
		ssize_t size = msgrcv(ids[i], receive->message, receive->capacity, receive->type,
				      receive->flags | IPC_NOWAIT);

		if (size >= 0 || errno == E2BIG)
			return size;
	}
	errno = ENOMSG;
	return -1;
}

/* Sleep until DEADLINE for a message of the queue, and look at what has returned to it once a second where that is needed. */
static ssize_t receive_asleep(struct receive *receive, const struct timespec *deadline)
{
	ssize_t size;

	while (receive->looks) {
		struct timespec look = ipcu_deadline_in(IPCU_RETURNED_LOOK);

		if (deadline && ipcu_deadline_before(deadline, &look))
			break;
		size = receive_until(receive->queue->object.id, receive->message, receive->capacity,
				     receive->type, receive->flags, &look);
		if (size < 0 && errno == IPCU_REPORTED && !deadline)
			break; /* without a timer, sleep until a message of the queue comes */
		if (size >= 0 || errno != ETIMEDOUT)
			return size;
		size = receive_returned(receive);
		if (size >= 0 || errno != ENOMSG)
			return size;
	}
	return receive_until(receive->queue->object.id, receive->message, receive->capacity,
			     receive->type, receive->flags, deadline);
}

/*
 * Whether a receive without a deadline does not try first, since one before it found nothing: then the queue is probably empty,
 * as that of a server between two requests, and the try would be one more call.
 */
static bool skips_try(ipcu_queue *queue, unsigned turn, const struct timespec *deadline)
{
	return !deadline && turn % TRY != 0 && atomic_load(&queue->was_empty);
}

/* msgrcv until the deadline, from the queue or from what has returned to it. */
static ssize_t receive_message(struct receive *receive, const struct timespec *deadline)
{
	ipcu_queue *queue = receive->queue;
	unsigned turn = atomic_fetch_add(&queue->receives, 1);
	ssize_t size = -1;

	errno = ENOMSG;
	if (turn % TURN == 0)
		size = receive_returned(receive);
	if (size < 0 && errno == ENOMSG && !skips_try(queue, turn, deadline)) {
		size = msgrcv(queue->object.id, receive->message, receive->capacity, receive->type,
			      receive->flags | IPC_NOWAIT);
		atomic_store(&queue->was_empty, size < 0 && errno == ENOMSG);
	}
	if (size < 0 && errno == ENOMSG)
		size = receive_returned(receive);
	if (size >= 0 || errno != ENOMSG || deadline == &ipcu_no_wait)
		return size;
	return receive_asleep(receive, deadline);
}

/* The same into BODY; the eight bytes in front of it stay what they are. What the handle keeps comes first. */
static ssize_t receive_in_place(ipcu_queue *queue, char *body, size_t capacity, long *type,
				const struct ipcu_select *select, const struct timespec *deadline)
{
	struct receive receive = { .queue = queue,
				   .message = body - sizeof(long),
				   .capacity = capacity };
	char saved[sizeof(long)];
	int errnum;
	ssize_t received;

	if (ipcu_select_flags(select, &receive.type, &receive.flags) != IPCU_OK) {
		errno = IPCU_REPORTED;
		return -1;
	}
	if (atomic_load(&queue->kept_count)) {
		received = ipcu_kept_take(queue, select, body, capacity, type);
		if (received >= 0 || errno != ENOMSG)
			return received;
	}
	memcpy(saved, receive.message, sizeof(saved));
	received = receive_message(&receive, deadline);
	errnum = errno;
	if (received >= 0)
		memcpy(type, receive.message, sizeof(*type));
	memcpy(receive.message, saved, sizeof(saved));
	errno = errnum;
	return received;
}

enum ipcu_result ipcu_queue_receive_at(ipcu_queue *queue, char *body, size_t capacity, long *type,
				       size_t *size, const struct ipcu_select *select,
				       const struct timespec *deadline)
{
	ssize_t received = receive_in_place(queue, body, capacity, type, select, deadline);

	if (received < 0 && errno == E2BIG) {
		ipcu_fail_call("msgrcv", E2BIG, "cannot receive");
		return IPCU_LIMIT;
	}
	if (received < 0)
		return ipcu_queue_receive_failed(queue, errno);
	*size = (size_t)received;
	return IPCU_OK;
}

void ipcu_message_clear(struct ipcu_message *message)
{
	if (message->mapping)
		shmdt(message->mapping);
	free(message->buffer);
	memset(message, 0, sizeof(*message));
}

/* At least CAPACITY bytes for a body, behind room for the type. */
static enum ipcu_result grow(struct ipcu_message *message, size_t capacity)
{
	void *buffer;

	if (message->mapping)
		shmdt(message->mapping);
	message->mapping = NULL;
	if (message->capacity >= capacity)
		return IPCU_OK;
	buffer = realloc(message->buffer, sizeof(long) + capacity);
	if (!buffer)
		return ipcu_fail_call("malloc", ENOMEM, "cannot receive a message");
	message->buffer = buffer;
	message->capacity = capacity;
	return IPCU_OK;
}

enum ipcu_result ipcu_queue_locate(ipcu_queue *queue, struct ipcu_message *message,
				   const char *received, size_t size, bool take)
{
	enum ipcu_result result;

	message->body = received;
	message->size = size;
	if (!queue->object.named || !ipcu_spill_looks_like(received, size))
		return IPCU_OK;
	if (ipcu_spill_is_empty(received, size)) {
		message->size = 0;
		return IPCU_OK;
	}
	result = ipcu_spill_attach(&queue->object, received, size, take, &message->mapping,
				   &message->body, &message->size);
	if (take && (result == IPCU_LIMIT || result == IPCU_DENIED) &&
	    ipcu_queue_return_body(queue, message->type, received, size) != IPCU_OK)
		return ipcu_last_error()->result;
	return result;
}

enum ipcu_result ipcu_queue_receive(ipcu_queue *queue, struct ipcu_message *message,
				    const struct ipcu_select *select,
				    const struct timespec *deadline)
{
	enum ipcu_result result = grow(message, FIRST_CAPACITY);
	size_t size = 0;

	while (result == IPCU_OK) {
		result = ipcu_queue_receive_at(queue, (char *)message->buffer + sizeof(long),
					       message->capacity, &message->type, &size, select,
					       deadline);
		if (result == IPCU_OK)
			return ipcu_queue_locate(
				queue, message, (char *)message->buffer + sizeof(long), size, true);
		if (result != IPCU_LIMIT || ipcu_last_error()->errnum != E2BIG)
			return result;
		result = grow(message, message->capacity * 2);
	}
	return result;
}

/* As msgrcv(2) with MSG_COPY, of the messages of queue ID and, after them, of those that have returned to it. */
static ssize_t copy_or_returned(const struct ipcu_object *queue, size_t index, void *message,
				size_t capacity)
{
	int ids[IPCU_RETURNED_MAX], id = queue->id;
	unsigned count = 0, next = 0;

	for (;;) {
		struct msqid_ds state;
		ssize_t size = msgrcv(id, message, capacity, (long)index, MSG_COPY | IPC_NOWAIT);

		if (size >= 0 || (errno != ENOMSG && id == queue->id) || errno == E2BIG)
			return size;
		if (next == 0)
			count = ipcu_returned_find(&queue->perm, ids);
		if (ipcu_stat_queue(id, &state) == 0)
			index -= index < state.msg_qnum ? index : state.msg_qnum;
		errno = ENOMSG;
		if (next == count)
			return -1;
		id = ids[next++];
	}
}

/* The same, but what the handle keeps comes first. */
static ssize_t copy_at(ipcu_queue *queue, size_t index, struct ipcu_message *message)
{
	char *body = (char *)message->buffer + sizeof(long);
	ssize_t size = ipcu_kept_peek(queue, &index, body, message->capacity, &message->type);

	if (size >= 0 || errno != ENOMSG)
		return size;
	size = copy_or_returned(&queue->object, index, message->buffer, message->capacity);
	if (size >= 0)
		memcpy(&message->type, message->buffer, sizeof(message->type));
	return size;
}

enum ipcu_result ipcu_queue_peek(ipcu_queue *queue, size_t index, struct ipcu_message *message)
{
	enum ipcu_result result = grow(message, FIRST_CAPACITY);

	while (result == IPCU_OK) {
		ssize_t size = copy_at(queue, index, message);

		if (size >= 0)
			return ipcu_queue_locate(queue, message,
						 (char *)message->buffer + sizeof(long),
						 (size_t)size, false);
		if (errno != E2BIG)
			return ipcu_queue_receive_failed(queue, errno);
		result = grow(message, message->capacity * 2);
	}
	return result;
}
