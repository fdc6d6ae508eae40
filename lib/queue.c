/* SPDX-License-Identifier: MIT
 * queue.c - sending to and receiving from one queue
 *
 * One message is one System V message, body and type as they are, so that other
 * languages read and write the same queues. Only what does not fit takes the way
 * through spill.c, and only on named queues.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "error.h"
#include "queue.h"
#include "spill.h"

#define FIRST_CAPACITY 65536
#define SAID (-1) /* in place of an errno: the last error says it already */

const struct timespec ipcu_no_wait = { 0, 0 };

static int create(key_t key, int flags, const uint64_t definition[4])
{
	(void)definition;
	return msgget(key, flags);
}

/* A queue has no first state of its own: whoever made it, it is a queue. */
static bool adopt(int id, uint64_t definition[4])
{
	(void)id;
	(void)definition;
	return true;
}

const struct ipcu_kind_ops ipcu_queue_ops = {
	.kind = IPCU_KIND_QUEUE,
	.family = IPCU_FAMILY_QUEUE,
	.call = "msgget",
	.create = create,
	.adopt = adopt,
	.discard = ipcu_spill_discard_queue,
};

enum ipcu_result ipcu_queue_open(ipcu_queue **out, const char *name, const struct ipcu_open *how)
{
	ipcu_queue *queue = calloc(1, sizeof(*queue));
	struct msqid_ds state;
	enum ipcu_result result;

	if (!queue)
		return ipcu_fail_call("malloc", ENOMEM, "cannot open it");
	result = ipcu_object_open(&queue->object, &ipcu_queue_ops, name, how, NULL);
	if (result != IPCU_OK) {
		free(queue);
		return result;
	}
	queue->bytes_max =
		ipcu_stat_queue(queue->object.id, &state) == 0 ? state.msg_qbytes : SIZE_MAX;
	pthread_mutex_init(&queue->kept_lock, NULL);
	*out = queue;
	return IPCU_OK;
}

void ipcu_queue_close(ipcu_queue *queue)
{
	if (queue)
		ipcu_kept_close(queue);
	free(queue);
}

enum ipcu_result ipcu_queue_status(ipcu_queue *queue, struct ipcu_queue_info *info)
{
	struct msqid_ds state;

	if (ipcu_stat_queue(queue->object.id, &state) < 0)
		return ipcu_fail_call("msgctl", errno == EINVAL ? EIDRM : errno, "no status");
	info->messages = state.msg_qnum + ipcu_queue_kept(queue);
	info->bytes = state.__msg_cbytes;
	info->bytes_max = state.msg_qbytes;
	info->named = queue->object.named;
	return IPCU_OK;
}

/* ---- sending ------------------------------------------------------------ */

/* The largest body of one message: what the kernel takes at all, and what the queue can hold. */
static size_t message_limit(ipcu_queue *queue)
{
	struct msginfo info;
	size_t limit = atomic_load(&queue->limit);

	if (limit)
		return limit;
	limit = queue->bytes_max;
	if (msgctl(0, IPC_INFO, (struct msqid_ds *)(void *)&info) >= 0 &&
	    (size_t)info.msgmax < limit)
		limit = (size_t)info.msgmax;
	atomic_store(&queue->limit, limit ? limit : 1);
	return limit;
}

static enum ipcu_result too_large(ipcu_queue *queue, size_t size)
{
	const char *otherwise = queue->object.named ? "" : "; a named queue takes any size";
	size_t limit = message_limit(queue);
	char need[64] = "";

	if (queue->object.named)
		snprintf(need, sizeof(need), ", and it takes %zu to tell of a big one",
			 sizeof(struct ipcu_spill_descriptor));
	ipcu_fail(IPCU_LIMIT, "cannot send %zu bytes: one message of this queue can have %zu%s",
		  size, limit, need);
	if (limit < queue->bytes_max)
		ipcu_hint("the limit is kernel.msgmax: sysctl -w kernel.msgmax=BYTES%s", otherwise);
	else
		ipcu_hint(
			"the limit is the queue's own size, from kernel.msgmnb when it was made%s",
			otherwise);
	return IPCU_LIMIT;
}

static enum ipcu_result send_failed(ipcu_queue *queue, size_t size, int errnum)
{
	struct msqid_ds state;

	if (errnum == SAID)
		return ipcu_last_error()->result;
	if (errnum == EAGAIN || errnum == EINTR || errnum == ETIMEDOUT)
		return ipcu_not_now(errnum);
	if (errnum == EACCES)
		return ipcu_object_denied(&queue->object, "msgsnd", "cannot send");
	if (errnum == EINVAL && ipcu_stat_queue(queue->object.id, &state) < 0)
		errnum = EIDRM;
	if (errnum == EINVAL)
		return too_large(queue, size);
	return ipcu_fail_call("msgsnd", errnum, "cannot send");
}

int ipcu_send_until(int id, const void *message, size_t size, const struct timespec *deadline)
{
	struct ipcu_alarm alarm;
	int errnum = 0;

	if (msgsnd(id, message, size, deadline ? IPC_NOWAIT : 0) == 0)
		return 0;
	if (errno != EAGAIN || !deadline || deadline == &ipcu_no_wait)
		return errno;
	if (ipcu_deadline_passed(deadline))
		return ETIMEDOUT;
	if (ipcu_alarm_start(&alarm, deadline) != IPCU_OK)
		return SAID;
	if (msgsnd(id, message, size, 0) < 0)
		errnum = errno;
	ipcu_alarm_stop(&alarm);
	if (errnum == EINTR && ipcu_deadline_passed(deadline))
		return ETIMEDOUT;
	return errnum;
}

/* The body cannot be read by users who may not read the queue now, which may be fewer than when it was opened. */
static enum ipcu_result look_at_permissions(ipcu_queue *queue, struct msqid_ds *state)
{
	int64_t seen;

	if (ipcu_stat_queue(queue->object.id, state) < 0)
		return ipcu_fail_call("msgctl", errno == EINVAL ? EIDRM : errno, "cannot send");
	seen = (int64_t)state->msg_ctime << 9 | (state->msg_perm.mode & 0777);
	if (atomic_exchange(&queue->permissions_seen, seen) != seen)
		ipcu_spill_narrow(queue->object.id, state);
	return IPCU_OK;
}

static enum ipcu_result send_big(ipcu_queue *queue, long type, const void *body, size_t size,
				 const struct timespec *deadline)
{
	struct {
		long type;
		struct ipcu_spill_descriptor descriptor;
	} message;
	struct ipcu_spill spill;
	struct msqid_ds state;
	enum ipcu_result result;
	int errnum;

	if (message_limit(queue) < sizeof(message.descriptor))
		return too_large(queue, size);
	result = look_at_permissions(queue, &state);
	if (result == IPCU_OK)
		result = ipcu_spill_create(&spill, queue->object.id, &state, body, size);
	if (result != IPCU_OK)
		return result;
	message.type = type;
	message.descriptor = spill.descriptor;
	errnum = ipcu_send_until(queue->object.id, &message, sizeof(message.descriptor), deadline);
	if (errnum) {
		ipcu_spill_cancel(&spill);
		return send_failed(queue, size, errnum);
	}
	ipcu_spill_sent(&spill, queue->object.id, &state);
	return IPCU_OK;
}

/* A message that stands for one of zero bytes. */
static enum ipcu_result send_empty(ipcu_queue *queue, long type, const struct timespec *deadline)
{
	struct {
		long type;
		struct ipcu_spill_empty empty;
	} message = { type, ipcu_spill_empty() };
	int errnum = ipcu_send_until(queue->object.id, &message, sizeof(message.empty), deadline);

	return errnum ? send_failed(queue, sizeof(message.empty), errnum) : IPCU_OK;
}

/* What no queue takes. */
static enum ipcu_result check(long type, size_t size)
{
	if (type < 1)
		return ipcu_fail(IPCU_USAGE, "a message type is 1 or more, not %ld", type);
	if (size > IPCU_MESSAGE_MAX)
		return ipcu_fail(IPCU_LIMIT, "cannot send %zu bytes: a message can have %zu", size,
				 IPCU_MESSAGE_MAX);
	return IPCU_OK;
}

enum ipcu_result ipcu_queue_send_at(ipcu_queue *queue, long type, char *body, size_t size,
				    const struct timespec *deadline)
{
	bool named = queue->object.named;
	char *message = body - sizeof(long);
	char saved[sizeof(long)];
	int errnum;
	enum ipcu_result result = check(type, size);

	if (result != IPCU_OK)
		return result;
	/* The kernel would wait for ever for room that the queue does not have. */
	if (size > queue->bytes_max && !named)
		return too_large(queue, size);
	if (named && size == 0 && message_limit(queue) >= sizeof(struct ipcu_spill_empty))
		return send_empty(queue, type, deadline);
	if (named && (size > queue->bytes_max || ipcu_spill_looks_like(body, size)))
		return send_big(queue, type, body, size, deadline);

	memcpy(saved, message, sizeof(saved));
	memcpy(message, &type, sizeof(type));
	errnum = ipcu_send_until(queue->object.id, message, size, deadline);
	memcpy(message, saved, sizeof(saved));
	if (!errnum)
		return IPCU_OK;
	if (errnum == EINVAL && named && size > message_limit(queue))
		return send_big(queue, type, body, size, deadline);
	return send_failed(queue, size, errnum);
}

enum ipcu_result ipcu_queue_send(ipcu_queue *queue, long type, const void *body, size_t size,
				 const struct timespec *deadline)
{
	char small[512], *copy = small;
	enum ipcu_result result = check(type, size);

	if (result != IPCU_OK)
		return result;
	if (size > sizeof(small) - sizeof(long)) {
		/* Surely a big one: no copy. A small one the kernel refuses finds its way in send_at. */
		if (queue->object.named && size > message_limit(queue))
			return send_big(queue, type, body, size, deadline);
		if (size > queue->bytes_max)
			return too_large(queue, size);
		copy = malloc(sizeof(long) + size);
		if (!copy)
			return ipcu_fail_call("malloc", ENOMEM, "cannot send %zu bytes", size);
	}
	if (size)
		memcpy(copy + sizeof(long), body, size);
	result = ipcu_queue_send_at(queue, type, copy + sizeof(long), size, deadline);
	if (copy != small)
		free(copy);
	return result;
}

/* ---- receiving ---------------------------------------------------------- */

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
	if (errnum == SAID)
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
		errno = SAID;
		return -1;
	}
	size = msgrcv(id, message, capacity, type, flags);
	errnum = errno;
	ipcu_alarm_stop(&alarm);
	if (size < 0)
		errno = errnum == EINTR && ipcu_deadline_passed(deadline) ? ETIMEDOUT : errnum;
	return size;
}

/* msgrcv into BODY until the deadline, as receive_until; the eight bytes in front of it stay what they are. */
static ssize_t receive_in_place(ipcu_queue *queue, char *body, size_t capacity, long *type,
				const struct ipcu_select *select, const struct timespec *deadline)
{
	char *message = body - sizeof(long);
	char saved[sizeof(long)];
	long wanted;
	int flags, errnum;
	ssize_t received;

	if (ipcu_select_flags(select, &wanted, &flags) != IPCU_OK) {
		errno = SAID;
		return -1;
	}
	if (atomic_load(&queue->kept_count)) {
		received = ipcu_kept_take(queue, select, body, capacity, type);
		if (received >= 0 || errno != ENOMSG)
			return received;
	}
	memcpy(saved, message, sizeof(saved));
	received = receive_until(queue->object.id, message, capacity, wanted, flags, deadline);
	errnum = errno;
	if (received >= 0)
		memcpy(type, message, sizeof(*type));
	memcpy(message, saved, sizeof(saved));
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

/* As msgrcv(2) with MSG_COPY, but what the handle keeps comes first. */
static ssize_t copy_at(ipcu_queue *queue, size_t index, struct ipcu_message *message)
{
	char *body = (char *)message->buffer + sizeof(long);
	ssize_t size = ipcu_kept_peek(queue, &index, body, message->capacity, &message->type);

	if (size >= 0 || errno != ENOMSG)
		return size;
	size = msgrcv(queue->object.id, message->buffer, message->capacity, (long)index,
		      MSG_COPY | IPC_NOWAIT);
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
