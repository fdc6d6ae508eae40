/* SPDX-License-Identifier: MIT
 * returned.c - messages that return to a queue which is full meanwhile
 *
 * A message that was taken and cannot be delivered returns to its queue. If the queue is full, waiting for room could take
 * for ever. So the message goes to a second queue, a queue of returned messages, of which a queue has none until one is
 * needed. Its key is derived from the key and the creator of the queue.
 *
 * Receivers look there when their queue has nothing for them, and at every 64th message. They also look once a second
 * while they sleep if a message has ever returned to the queue, or if they wait for messages of a certain type, which
 * cannot come while others fill the queue. A receiver sleeps without that only if there was no such queue when it looked. A
 * message that returns later wakes it: the queue is full then, or, if it has been emptied by the time the message is stored,
 * the returner moves the message to the queue (kept.c). If it was emptied after that, the receivers that emptied it
 * move the message, at the latest when they close the queue.
 *
 * A different program may use any of the keys. So all keys of a search are looked at; a free one does not end it. The search
 * is over a few keys if there is nothing on them: no message returns to later ones before there is a queue on one of these.
 *
 * Only the creator of the queue, or root, can create such a queue, so no other user's is mistaken for one. Its mode has two
 * bits that mean nothing to the kernel, and otherwise grants what the queue grants. It stays until the queue is removed: a
 * message may return to it at any time, and the kernel cannot remove it only if it is empty.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "name.h"
#include "returned.h"

#define SHARE 4	  /* so many receivers who cannot create a queue can return what they have taken */
#define MARK 0011 /* of 0111, which the kernel stores and does not use */

bool ipcu_returned_is(const struct ipc_perm *perm)
{
	return (perm->mode & 0111) == MARK && PERM_KEY(*perm) != IPC_PRIVATE;
}

/* What the keys of the queues of returned messages are derived from, besides their number. */
struct source {
	uid_t creator;
	char name[32];
};

static struct source source_of(const struct ipc_perm *queue)
{
	struct source source = { .creator = queue->cuid };

	snprintf(source.name, sizeof(source.name), ":returned:%08x", (unsigned)PERM_KEY(*queue));
	return source;
}

static key_t key_of(const struct source *source, unsigned number)
{
	return ipcu_name_derive(source->creator, source->name, number);
}

static bool belongs(const struct ipc_perm *perm, const struct ipc_perm *queue)
{
	return ipcu_returned_is(perm) && (perm->cuid == queue->cuid || perm->cuid == 0);
}

/* Such a queue has none itself, nor has one that has no key. */
static bool can_have(const struct ipc_perm *queue)
{
	return PERM_KEY(*queue) != IPC_PRIVATE && !ipcu_returned_is(queue);
}

/* ---- finding ------------------------------------------------------------- */

unsigned ipcu_returned_find(const struct ipc_perm *perm, int ids[IPCU_RETURNED_MAX])
{
	struct source source;
	unsigned count = 0;

	if (!can_have(perm))
		return 0;
	source = source_of(perm);
	for (unsigned i = 0; i < (count ? IPCU_RETURNED_MAX : IPCU_RETURNED_FIRST); i++) {
		int id = ipcu_family_get(IPCU_FAMILY_QUEUE, key_of(&source, i));
		struct msqid_ds state;

		if (id >= 0 && ipcu_stat_queue(id, &state) == 0 && belongs(&state.msg_perm, perm))
			ids[count++] = id;
	}
	return count;
}

void ipcu_returned_keys(const struct ipc_perm *perm, key_t keys[IPCU_RETURNED_FIRST])
{
	struct source source = source_of(perm);

	for (unsigned i = 0; i < IPCU_RETURNED_FIRST; i++)
		keys[i] = can_have(perm) ? key_of(&source, i) : IPC_PRIVATE;
}

bool ipcu_returned_none(const key_t keys[IPCU_RETURNED_FIRST])
{
	for (unsigned i = 0; i < IPCU_RETURNED_FIRST; i++)
		if (ipcu_family_get(IPCU_FAMILY_QUEUE, keys[i]) >= 0)
			return false;
	return true;
}

uint64_t ipcu_returned_count(const struct ipc_perm *perm, uint64_t *bytes)
{
	int ids[IPCU_RETURNED_MAX];
	unsigned count = ipcu_returned_find(perm, ids);
	uint64_t messages = 0;

	*bytes = 0;
	for (unsigned i = 0; i < count; i++) {
		struct msqid_ds state;

		if (ipcu_stat_queue(ids[i], &state) < 0)
			continue;
		messages += state.msg_qnum;
		*bytes += state.__msg_cbytes;
	}
	return messages;
}

bool ipcu_returned_is_orphan(int id)
{
	struct msginfo info;
	int last = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&info);

	for (int slot = 0; slot <= last; slot++) {
		int ids[IPCU_RETURNED_MAX];
		struct msqid_ds state;
		unsigned count;

		if (msgctl(slot, MSG_STAT_ANY, &state) < 0)
			continue;
		count = ipcu_returned_find(&state.msg_perm, ids);
		while (count > 0)
			if (ids[--count] == id)
				return false;
	}
	return last >= 0;
}

/* ---- storing ------------------------------------------------------------- */

/* Return true if queue ID, with STATE, grants no more than QUEUE does; make it so where this process may. */
static bool follow(int id, struct msqid_ds *state, const struct ipc_perm *queue)
{
	struct ipc_perm *perm = &state->msg_perm;
	unsigned mode = ipcu_companion_mode(queue, perm->cgid);

	if (perm->uid == queue->uid && perm->gid == queue->gid && (perm->mode & 0666) == mode)
		return true;
	perm->uid = queue->uid;
	perm->gid = queue->gid;
	perm->mode = (unsigned short)(mode | MARK);
	return msgctl(id, IPC_SET, state) == 0;
}

/* The queue on the key with NUMBER, which may be used to store, or -1 with errno: ENOENT, there is none. */
static int use(const struct ipc_perm *queue, unsigned number)
{
	struct source source = source_of(queue);
	int id = ipcu_family_get(IPCU_FAMILY_QUEUE, key_of(&source, number));
	struct msqid_ds state;

	if (id < 0)
		return -1;
	if (ipcu_stat_queue(id, &state) == 0 && belongs(&state.msg_perm, queue) &&
	    follow(id, &state, queue))
		return id;
	errno = EEXIST;
	return -1;
}

static bool may_create(const struct ipc_perm *queue)
{
	return geteuid() == queue->cuid || geteuid() == 0;
}

/* Create it. -1: not this user's to create, or no room for one. */
static int create(const struct ipc_perm *queue, unsigned number)
{
	struct source source = source_of(queue);
	struct msqid_ds state;
	int id;

	if (!may_create(queue))
		return -1;
	id = msgget(key_of(&source, number), IPC_CREAT | IPC_EXCL | MARK | 0600);
	if (id < 0 || (ipcu_stat_queue(id, &state) == 0 && follow(id, &state, queue)))
		return id;
	msgctl(id, IPC_RMID, NULL);
	return -1;
}

/* As use() or create(); -1: there is none, and none can be created. */
static int use_or_create(int queue, const struct ipc_perm *perm, unsigned number, bool *end)
{
	struct msqid_ds state;
	int id = use(perm, number);

	if (id >= 0 || errno != ENOENT)
		return id;
	id = create(perm, number);
	*end = id < 0 && errno != EEXIST;
	/* It would stay for ever if the queue was removed before. */
	if (id >= 0 && ipcu_stat_queue(queue, &state) < 0) {
		msgctl(id, IPC_RMID, NULL);
		id = -1;
	}
	return id;
}

/* Return true if queue ID has no room for a message of SIZE bytes even when it is empty; nor has the next queue then. */
static bool too_small(int id, size_t size)
{
	struct msqid_ds state;

	return ipcu_stat_queue(id, &state) == 0 && size > state.msg_qbytes;
}

int ipcu_returned_store(int id, const void *message, size_t size, int *stored)
{
	struct msqid_ds state;
	bool end = false, found = false;

	for (unsigned i = 0; !end && i < (found ? IPCU_RETURNED_MAX : IPCU_RETURNED_FIRST); i++) {
		if (ipcu_stat_queue(id, &state) < 0)
			return EIDRM;
		if (!can_have(&state.msg_perm))
			return EAGAIN;
		*stored = use_or_create(id, &state.msg_perm, i, &end);
		if (*stored < 0)
			continue;
		found = true;
		if (msgsnd(*stored, message, size, IPC_NOWAIT) == 0)
			return 0;
		end = too_small(*stored, size);
	}
	return EAGAIN;
}

size_t ipcu_returned_room(const struct ipc_perm *perm)
{
	int ids[IPCU_RETURNED_MAX];
	struct msqid_ds state;

	if (!can_have(perm))
		return 0;
	if (may_create(perm))
		return SIZE_MAX;
	return ipcu_returned_find(perm, ids) && ipcu_stat_queue(ids[0], &state) == 0
		       ? state.msg_qbytes / SHARE
		       : 0;
}

/* ---- with the queue ------------------------------------------------------ */

void ipcu_returned_discard(const struct ipc_perm *perm)
{
	int ids[IPCU_RETURNED_MAX];
	unsigned count = ipcu_returned_find(perm, ids);

	while (count > 0)
		msgctl(ids[--count], IPC_RMID, NULL);
}

/* Return true if users who are not the owner may both receive and send. */
static bool is_shared(const struct ipc_perm *perm)
{
	return (perm->mode & 0060) == 0060 || (perm->mode & 0006) == 0006;
}

void ipcu_returned_prepare(int id)
{
	struct msqid_ds state;

	if (ipcu_stat_queue(id, &state) < 0)
		return;
	ipcu_returned_discard(&state.msg_perm);
	if (is_shared(&state.msg_perm))
		create(&state.msg_perm, 0);
}
