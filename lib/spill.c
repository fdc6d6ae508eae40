/* SPDX-License-Identifier: MIT
 * spill.c - message bodies too big for a queue, in segments of their own
 *
 * The queue carries a descriptor. A body that begins with the magic is sent this way whatever its size, so a message
 * that begins with the magic and is no valid descriptor is not from an ipcutils sender. Any user who may write the
 * queue can forge a descriptor. So the segment must have the key of a body, hold a head with the same random nonce and
 * the identifier of this very queue, and be large enough. Only users who may read the queue know the nonce, and they
 * could take the message anyway.
 *
 * A body never grants more than its queue: the users who may receive can read it, and only its sender and the owner
 * of the queue could write it. A receiver who is neither of them cannot remove it; spill-reach.c does that later.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "process.h"
#include "random.h"
#include "spill-head.h"

#define SWEEP_IDLE \
	10 /* seconds; a receiver needs microseconds between taking a message and attaching its body */
#define SWEEP_SHORT 1 /* the same where no segment is free */

static const char magic[8] = IPCU_SPILL_MAGIC;

bool ipcu_spill_looks_like(const void *body, size_t size)
{
	return size >= sizeof(magic) && memcmp(body, magic, sizeof(magic)) == 0;
}

struct ipcu_spill_empty ipcu_spill_empty(void)
{
	return (struct ipcu_spill_empty){ IPCU_SPILL_MAGIC, "empty" };
}

bool ipcu_spill_is_empty(const void *body, size_t size)
{
	struct ipcu_spill_empty empty = ipcu_spill_empty();

	return size == sizeof(empty) && memcmp(body, &empty, sizeof(empty)) == 0;
}

/* ---- heads ------------------------------------------------------------------ */

bool ipcu_spill_is_body(const struct shmid_ds *state)
{
	return ((uint32_t)PERM_KEY(state->shm_perm) & ~IPCU_SPILL_RANDOM) == IPCU_SPILL_PREFIX &&
	       state->shm_segsz >= sizeof(struct ipcu_spill_head);
}

bool ipcu_spill_is_head(const struct ipcu_spill_head *head)
{
	return memcmp(head->magic, magic, sizeof(magic)) == 0;
}

/*
 * Each word is read once, and the first one before the others: the sender stores it last, so a head with its magic has
 * the rest.
 */
static void copy_head(struct ipcu_spill_head *head, const uint32_t *from)
{
	uint32_t words[sizeof(*head) / sizeof(uint32_t)] = { 0 };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
	memcpy(head, words, sizeof(*head));
}

static void publish_head(struct ipcu_spill_head *to, const struct ipcu_spill_head *head)
{
	uint32_t first;

	memcpy(&first, head, sizeof(first));
	memcpy((char *)to + sizeof(first), (const char *)head + sizeof(first),
	       sizeof(*head) - sizeof(first));
	__atomic_store_n((uint32_t *)(void *)to, first, __ATOMIC_RELEASE);
}

void *ipcu_spill_map(int id, struct shmid_ds *state, struct ipcu_spill_head *head)
{
	void *mapping;

	if (ipcu_stat_segment(id, state) < 0)
		return NULL;
	if (!ipcu_spill_is_body(state)) {
		errno = EINVAL;
		return NULL;
	}
	mapping = shmat(id, NULL, SHM_RDONLY);
	if (mapping == (void *)-1)
		return NULL;
	copy_head(head, mapping);
	return mapping;
}

bool ipcu_spill_read_head(int id, struct shmid_ds *state, struct ipcu_spill_head *head)
{
	void *mapping = ipcu_spill_map(id, state, head);

	if (mapping)
		shmdt(mapping);
	return mapping != NULL;
}

unsigned ipcu_spill_mode(const struct ipc_perm *queue, gid_t sender)
{
	return ipcu_companion_mode(queue, sender) & 0444;
}

/* ---- sending ---------------------------------------------------------------- */

static bool hand_over(int id, const struct ipc_perm *queue)
{
	struct shmid_ds state;

	if (ipcu_stat_segment(id, &state) < 0)
		return false;
	state.shm_perm.uid = queue->uid;
	state.shm_perm.gid = queue->gid;
	state.shm_perm.mode = (unsigned short)ipcu_spill_mode(queue, state.shm_perm.cgid);
	return shmctl(id, IPC_SET, &state) == 0;
}

static int make_segment(size_t size, struct ipcu_spill_descriptor *descriptor)
{
	uint32_t random[5];

	for (int attempt = 0; attempt < 1000; attempt++) {
		ipcu_random(random, sizeof(random));
		descriptor->key = (int32_t)(IPCU_SPILL_PREFIX | (random[4] & IPCU_SPILL_RANDOM));
		memcpy(descriptor->nonce, random, sizeof(descriptor->nonce));
		descriptor->id = shmget(descriptor->key, sizeof(struct ipcu_spill_head) + size,
					IPC_CREAT | IPC_EXCL | 0600);
		if (descriptor->id >= 0 || errno != EEXIST)
			return descriptor->id;
	}
	return -1;
}

/* As make_segment(). Where no segment is free, look first for one that is no longer needed. */
static int make_segment_swept(size_t size, struct ipcu_spill_descriptor *descriptor,
			      const struct msqid_ds *queue)
{
	int errnum;

	if (make_segment(size, descriptor) >= 0)
		return 0;
	errnum = errno;
	if (errnum == ENOSPC && ipcu_spill_sweep(queue, SWEEP_SHORT) > 0)
		return make_segment(size, descriptor);
	errno = errnum;
	return -1;
}

static void fill(struct ipcu_spill *spill, int id, const void *body, size_t size)
{
	struct ipcu_spill_head head = { .magic = IPCU_SPILL_MAGIC,
					.size = size,
					.sender = getpid(),
					.queue = id,
					.state = IPCU_SPILL_FILLING };

	head.sender_start = ipcu_process_start(head.sender);
	memcpy(head.nonce, spill->descriptor.nonce, sizeof(head.nonce));
	publish_head(spill->segment, &head);
	memcpy(spill->segment + 1, body, size);
}

enum ipcu_result ipcu_spill_create(struct ipcu_spill *spill, int id, const struct msqid_ds *queue,
				   const void *body, size_t size)
{
	struct ipcu_spill_descriptor *descriptor = &spill->descriptor;
	void *segment;

	memset(spill, 0, sizeof(*spill));
	if (queue->msg_perm.mode & 0044)
		ipcu_spill_sweep(queue, SWEEP_IDLE);
	if (make_segment_swept(size, descriptor, queue) < 0)
		return ipcu_fail_call("shmget", errno,
				      "cannot create a segment for a message of %zu bytes", size);
	segment = shmat(descriptor->id, NULL, 0);
	if (segment == (void *)-1) {
		int errnum = errno;

		shmctl(descriptor->id, IPC_RMID, NULL);
		return ipcu_fail_call("shmat", errnum,
				      "cannot attach the segment of a big message");
	}
	spill->segment = segment;
	fill(spill, id, body, size);
	if (!hand_over(descriptor->id, &queue->msg_perm)) {
		ipcu_fail_call("shmctl", errno, "cannot give the body of a message its mode");
		ipcu_spill_cancel(spill);
		return ipcu_last_error()->result;
	}
	memcpy(descriptor->magic, magic, sizeof(magic));
	descriptor->size = size;
	return IPCU_OK;
}

static bool same_permissions(const struct ipc_perm *a, const struct ipc_perm *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode;
}

void ipcu_spill_sent(struct ipcu_spill *spill, int id, const struct msqid_ds *queue)
{
	struct msqid_ds now;

	/* Chmod came between the look at the queue and here; a receiver may have removed the segment already. */
	if (ipcu_stat_queue(id, &now) == 0 && !same_permissions(&now.msg_perm, &queue->msg_perm))
		hand_over(spill->descriptor.id, &now.msg_perm);
	__atomic_store_n(&spill->segment->state, IPCU_SPILL_SENT, __ATOMIC_RELEASE);
	shmdt(spill->segment);
}

void ipcu_spill_cancel(struct ipcu_spill *spill)
{
	shmctl(spill->descriptor.id, IPC_RMID, NULL);
	shmdt(spill->segment);
}

/* ---- receiving -------------------------------------------------------------- */

static enum ipcu_result refuse(const char *why)
{
	ipcu_fail(IPCU_BROKEN, "a big message was refused: %s", why);
	ipcu_hint(
		"its sender is not an ipcutils sender, or its body was removed (systemd's RemoveIPC, ipcrm): see ipcutils(7)");
	return IPCU_BROKEN;
}

/* Why a body with STATE could not be attached. Its owner and its sender could open it, so theirs is forged. */
static enum ipcu_result not_attached(const struct shmid_ds *state, int errnum)
{
	const struct ipc_perm *perm = &state->shm_perm;

	if (errnum == ENOMEM)
		return ipcu_fail_call("shmat", ENOMEM, "cannot receive a big message");
	if (errnum != EACCES || perm->uid == geteuid() || perm->cuid == geteuid())
		return refuse("its body cannot be read");
	ipcu_fail_call("shmat", EACCES,
		       "cannot receive a big message: its body belongs to user %lu",
		       (unsigned long)perm->uid);
	ipcu_hint("members of a queue's group can read it only if its sender's group is the same "
		  "(sg GROUP), and users who were admitted later cannot");
	return IPCU_DENIED;
}

static const char *why_wrong(const struct ipcu_spill_descriptor *descriptor, int queue,
			     const struct ipcu_spill_head *head)
{
	if (!ipcu_spill_is_head(head) || head->queue != queue ||
	    memcmp(head->nonce, descriptor->nonce, sizeof(descriptor->nonce)) != 0)
		return "its body belongs to another message";
	return NULL;
}

/* As ipcu_spill_map(), for what DESCRIPTOR says. NULL with *WHY, or with errno and *STATE. */
static void *map_described(const struct ipcu_spill_descriptor *descriptor, struct shmid_ds *state,
			   struct ipcu_spill_head *head, const char **why)
{
	*why = "its descriptor is malformed";
	if (((uint32_t)descriptor->key & ~IPCU_SPILL_RANDOM) != IPCU_SPILL_PREFIX ||
	    descriptor->size > IPCU_MESSAGE_MAX)
		return NULL;
	*why = "its body does not exist";
	if (descriptor->id < 0 || ipcu_stat_segment(descriptor->id, state) < 0 ||
	    PERM_KEY(state->shm_perm) != descriptor->key)
		return NULL;
	*why = "its body is too short";
	if (state->shm_segsz < sizeof(*head) || state->shm_segsz - sizeof(*head) < descriptor->size)
		return NULL;
	*why = NULL;
	return ipcu_spill_map(descriptor->id, state, head);
}

enum ipcu_result ipcu_spill_attach(const struct ipcu_object *queue, const void *message,
				   size_t message_size, bool take, void **mapping,
				   const void **body, size_t *size)
{
	struct ipcu_spill_descriptor descriptor;
	struct ipcu_spill_head head;
	struct shmid_ds state;
	const char *why;
	void *segment;

	if (message_size != sizeof(descriptor))
		return refuse("its descriptor is malformed");
	memcpy(&descriptor, message, sizeof(descriptor));
	segment = map_described(&descriptor, &state, &head, &why);
	if (!segment)
		return why ? refuse(why) : not_attached(&state, errno);
	why = why_wrong(&descriptor, queue->id, &head);
	if (why) {
		shmdt(segment);
		return refuse(why);
	}
	if (take)
		shmctl(descriptor.id, IPC_RMID, NULL);
	*mapping = segment;
	*body = (char *)segment + sizeof(head);
	*size = (size_t)descriptor.size;
	return IPCU_OK;
}
