/* SPDX-License-Identifier: MIT
 * queue.c - a queue, and sending to it
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
#include "returned.h"
#include "spill.h"

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

static enum ipcu_result init(const struct ipcu_object *object, int id, const uint64_t definition[4])
{
	(void)object;
	(void)definition;
	ipcu_returned_prepare(id);
	return IPCU_OK;
}

/* The queue with the key of RECORD is gone; a different program may have created another one. */
static void remove_returned(uid_t owner, const char *name, const struct ipcu_record *record,
			    bool idle_only)
{
	struct ipc_perm perm = { .cuid = owner };
	int id = ipcu_family_get(IPCU_FAMILY_QUEUE, record->key);
	struct msqid_ds state;

	(void)name;
	(void)idle_only;
	PERM_KEY(perm) = record->key;
	if (id < 0 || (ipcu_stat_queue(id, &state) == 0 && state.msg_perm.cuid != owner))
		ipcu_returned_discard(&perm);
}

static int discard(int id)
{
	struct msqid_ds state;
	bool known = ipcu_stat_queue(id, &state) == 0;

	if (ipcu_spill_discard_queue(id) < 0)
		return -1;
	if (known)
		ipcu_returned_discard(&state.msg_perm);
	return 0;
}

const struct ipcu_kind_ops ipcu_queue_ops = {
	.kind = IPCU_KIND_QUEUE,
	.family = IPCU_FAMILY_QUEUE,
	.call = "msgget",
	.create = create,
	.init = init,
	.adopt = adopt,
	.remove = remove_returned,
	.discard = discard,
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
	/* By key; another process may have created it in the same instant, and used it. */
	if (queue->object.created && !queue->object.named && state.msg_stime == 0)
		ipcu_returned_prepare(queue->object.id);
	ipcu_returned_keys(&queue->object.perm, queue->returned_keys);
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
	info->messages = ipcu_returned_count(&state.msg_perm, &info->bytes) + state.msg_qnum +
			 ipcu_queue_kept(queue);
	info->bytes += state.__msg_cbytes;
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

	if (errnum == IPCU_REPORTED)
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
		return IPCU_REPORTED;
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

/* Put BODY into a segment; STATE becomes that of the queue. */
static enum ipcu_result spill_body(ipcu_queue *queue, const void *body, size_t size,
				   struct ipcu_spill *spill, struct msqid_ds *state)
{
	enum ipcu_result result;

	if (message_limit(queue) < sizeof(spill->descriptor))
		return too_large(queue, size);
	result = look_at_permissions(queue, state);
	if (result == IPCU_OK)
		result = ipcu_spill_create(spill, queue->object.id, state, body, size);
	return result;
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
	enum ipcu_result result = spill_body(queue, body, size, &spill, &state);
	int errnum;

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

enum ipcu_result ipcu_queue_return_message(ipcu_queue *queue, long type, const void *body,
					   size_t size)
{
	struct ipcu_spill_empty empty = ipcu_spill_empty();
	struct ipcu_spill spill;
	struct msqid_ds state;
	enum ipcu_result result;

	if (queue->object.named && size == 0 && message_limit(queue) >= sizeof(empty))
		return ipcu_queue_return_body(queue, type, &empty, sizeof(empty));
	if (!queue->object.named ||
	    (size <= message_limit(queue) && !ipcu_spill_looks_like(body, size)))
		return ipcu_queue_return_body(queue, type, body, size);
	result = spill_body(queue, body, size, &spill, &state);
	if (result != IPCU_OK)
		return result;
	result = ipcu_queue_return_body(queue, type, &spill.descriptor, sizeof(spill.descriptor));
	if (result == IPCU_OK)
		ipcu_spill_sent(&spill, queue->object.id, &state);
	else
		ipcu_spill_cancel(&spill);
	return result;
}
