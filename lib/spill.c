/* SPDX-License-Identifier: MIT
 * spill.c - message bodies too big for a queue, in segments of their own
 *
 * The queue carries a descriptor. A body that begins with the magic is sent this
 * way whatever its size, so what begins with it and does not hold is no message
 * of ours. Whoever can write the queue can forge a descriptor, so it counts for
 * nothing by itself: the segment must have a big message's key, hold a header with
 * the same random nonce and the identifier of this very queue, and be large enough.
 * The nonce is known only to who may read the queue, and they could take the
 * message anyway.
 *
 * The segment is given to the queue's owner, with the queue's read bits, so that
 * a receiver can take and remove what another user sent.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "process.h"
#include "random.h"
#include "spill.h"

static const char magic[8] = "\x1bipcu\x01\xf5";

enum { FILLING = 1, SENT = 2, TAKEN = 3 };

struct spill_header {
	char magic[8];
	uint64_t nonce[2];
	uint64_t size;
	uint64_t sender_start;
	int32_t sender;
	int32_t queue; /* identifier */
	_Atomic uint32_t state;
	char reserved[12];
};
_Static_assert(sizeof(struct spill_header) == 64, "the body begins behind it");

bool ipcu_spill_looks_like(const void *body, size_t size)
{
	return size >= sizeof(magic) && memcmp(body, magic, sizeof(magic)) == 0;
}

static void *body_of(struct spill_header *header)
{
	return header + 1;
}

/* Whether segment ID may be a body of ours that nobody has attached. */
static bool is_idle(int id, struct shmid_ds *state)
{
	return ipcu_stat_segment(id, state) == 0 && state->shm_nattch == 0 &&
	       ((uint32_t)PERM_KEY(state->shm_perm) & ~IPCU_SPILL_RANDOM) == IPCU_SPILL_PREFIX &&
	       state->shm_segsz >= sizeof(struct spill_header) &&
	       (state->shm_perm.uid == geteuid() || state->shm_perm.cuid == geteuid());
}

/* Remove the bodies of QUEUE's messages that we may remove and nobody has attached: all, or only the TAKEN. */
static void remove_bodies(int queue, bool all)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

	for (int slot = 0; slot <= last; slot++) {
		struct spill_header *header;
		struct shmid_ds state;
		int id = shmctl(slot, SHM_STAT_ANY, &state);

		/* What only its sender has ever attached was not taken. */
		if (id < 0 || (!all && state.shm_lpid == state.shm_cpid) || !is_idle(id, &state))
			continue;
		header = shmat(id, NULL, SHM_RDONLY);
		if (header == (void *)-1)
			continue;
		if (memcmp(header->magic, magic, sizeof(magic)) == 0 && header->queue == queue &&
		    (all || atomic_load(&header->state) == TAKEN))
			shmctl(id, IPC_RMID, NULL);
		shmdt(header);
	}
}

void ipcu_spill_remove_all(int queue)
{
	remove_bodies(queue, true);
}

/* Who may read the queue may read and write the body: taking is marked in it. */
static void hand_over(int id, const struct ipcu_object *queue)
{
	struct shmid_ds state;
	unsigned readers = queue->perm.mode & 0444;

	if (ipcu_stat_segment(id, &state) < 0)
		return;
	state.shm_perm.uid = queue->perm.uid;
	state.shm_perm.gid = queue->perm.gid;
	state.shm_perm.mode = (unsigned short)(readers | readers >> 1);
	shmctl(id, IPC_SET, &state);
}

static int make_segment(size_t size, struct ipcu_spill_descriptor *descriptor)
{
	uint32_t random[5];

	for (int attempt = 0; attempt < 1000; attempt++) {
		ipcu_random(random, sizeof(random));
		descriptor->key = (int32_t)(IPCU_SPILL_PREFIX | (random[4] & IPCU_SPILL_RANDOM));
		memcpy(descriptor->nonce, random, sizeof(descriptor->nonce));
		descriptor->id = shmget(descriptor->key, sizeof(struct spill_header) + size,
					IPC_CREAT | IPC_EXCL | 0600);
		if (descriptor->id >= 0 || errno != EEXIST)
			return descriptor->id;
	}
	return -1;
}

enum ipcu_result ipcu_spill_create(struct ipcu_spill *spill, const struct ipcu_object *queue,
				   const void *body, size_t size)
{
	struct ipcu_spill_descriptor *descriptor = &spill->descriptor;
	struct spill_header *header;

	memset(spill, 0, sizeof(*spill));
	/* What a receiver that is neither owner nor sender has taken is ours to remove: one comes, those go. */
	if (queue->perm.mode & 0044)
		remove_bodies(queue->id, false);
	if (make_segment(size, descriptor) < 0)
		return ipcu_fail_call("shmget", errno,
				      "no memory segment for a message of %zu bytes", size);
	header = shmat(descriptor->id, NULL, 0);
	if (header == (void *)-1) {
		int errnum = errno;

		shmctl(descriptor->id, IPC_RMID, NULL);
		return ipcu_fail_call("shmat", errnum,
				      "cannot attach the segment of a big message");
	}
	spill->segment = header;
	header->sender = getpid();
	header->sender_start = ipcu_process_start(header->sender);
	header->queue = queue->id;
	header->size = size;
	memcpy(header->nonce, descriptor->nonce, sizeof(header->nonce));
	atomic_store(&header->state, FILLING);
	memcpy(header->magic, magic, sizeof(magic));
	memcpy(body_of(header), body, size);

	hand_over(descriptor->id, queue);
	memcpy(descriptor->magic, magic, sizeof(magic));
	descriptor->size = size;
	return IPCU_OK;
}

void ipcu_spill_sent(struct ipcu_spill *spill)
{
	uint32_t filling = FILLING; /* the receiver may have been faster: leave TAKEN alone */

	atomic_compare_exchange_strong(&spill->segment->state, &filling, SENT);
	shmdt(spill->segment);
}

void ipcu_spill_cancel(struct ipcu_spill *spill)
{
	shmctl(spill->descriptor.id, IPC_RMID, NULL);
	shmdt(spill->segment);
}

static enum ipcu_result refuse(const char *why)
{
	ipcu_fail(IPCU_BROKEN, "a big message was refused: %s", why);
	ipcu_hint(
		"its sender is not an ipcutils sender, or its body was removed (systemd's RemoveIPC, ipcrm): see ipcutils(7)");
	return IPCU_BROKEN;
}

enum ipcu_result ipcu_spill_attach(const struct ipcu_object *queue, const void *message,
				   size_t message_size, bool take, void **mapping,
				   const void **body, size_t *size)
{
	struct ipcu_spill_descriptor descriptor;
	struct spill_header *header;
	struct shmid_ds state;
	bool removable;

	if (message_size != sizeof(descriptor))
		return refuse("its descriptor is malformed");
	memcpy(&descriptor, message, sizeof(descriptor));
	if (((uint32_t)descriptor.key & ~IPCU_SPILL_RANDOM) != IPCU_SPILL_PREFIX ||
	    descriptor.size > IPCU_MESSAGE_MAX)
		return refuse("its descriptor is malformed");
	if (descriptor.id < 0 || ipcu_stat_segment(descriptor.id, &state) < 0 ||
	    PERM_KEY(state.shm_perm) != descriptor.key)
		return refuse("its body is not there");
	if (state.shm_segsz < sizeof(*header) ||
	    state.shm_segsz - sizeof(*header) < descriptor.size)
		return refuse("its body is too short");
	header = shmat(descriptor.id, NULL, take ? 0 : SHM_RDONLY);
	if (header == (void *)-1 && errno == ENOMEM)
		return ipcu_fail_call("shmat", ENOMEM, "cannot receive a big message");
	if (header == (void *)-1)
		return refuse("its body cannot be read");
	if (memcmp(header->magic, magic, sizeof(magic)) != 0 ||
	    memcmp(header->nonce, descriptor.nonce, sizeof(descriptor.nonce)) != 0 ||
	    header->queue != queue->id || atomic_load(&header->state) == TAKEN) {
		shmdt(header);
		return refuse("its body belongs to another message");
	}
	if (take) {
		/* Marked too: who is neither owner nor creator cannot remove it. */
		removable = shmctl(descriptor.id, IPC_RMID, NULL) == 0;
		if (!removable)
			atomic_store(&header->state, TAKEN);
	}
	*mapping = header;
	*body = body_of(header);
	*size = (size_t)descriptor.size;
	return IPCU_OK;
}

/* ---- what nobody can receive any more ----------------------------------- */

/* Whether QUEUE holds the descriptor with NONCE. Cannot tell means yes. */
static bool is_queued(int queue, const uint64_t nonce[2])
{
	struct {
		long type;
		struct ipcu_spill_descriptor descriptor;
	} message;

	for (long index = 0;; index++) {
		ssize_t size = msgrcv(queue, &message, sizeof(message.descriptor), index,
				      MSG_COPY | IPC_NOWAIT | MSG_NOERROR);

		if (size < 0)
			return errno != ENOMSG;
		if (size == (ssize_t)sizeof(message.descriptor) &&
		    memcmp(message.descriptor.nonce, nonce, sizeof(message.descriptor.nonce)) == 0)
			return true;
	}
}

static bool unreachable(const struct spill_header *header, int64_t seconds)
{
	struct msqid_ds queue;
	uint32_t state = atomic_load(&header->state);

	if (state == TAKEN)
		return true;
	if (state == FILLING && ipcu_process_lives(header->sender, header->sender_start))
		return false;
	if (ipcu_stat_queue(header->queue, &queue) < 0)
		return errno == EINVAL || errno == EIDRM;
	/* Who has just received the descriptor may be about to attach the body. */
	return !is_queued(header->queue, header->nonce) && time(NULL) - queue.msg_rtime >= seconds;
}

bool ipcu_spill_stale(int id, int64_t seconds, char *what, size_t capacity)
{
	struct spill_header *header;
	struct shmid_ds state;
	time_t touched;
	bool stale = false;

	if (!is_idle(id, &state))
		return false;
	touched = state.shm_ctime > state.shm_dtime ? state.shm_ctime : state.shm_dtime;
	if (time(NULL) - touched < seconds)
		return false;
	header = shmat(id, NULL, SHM_RDONLY);
	if (header == (void *)-1)
		return false;
	/* One whose creator was killed before the header was whole has no magic, and is old enough. */
	if (memcmp(header->magic, magic, sizeof(magic)) != 0)
		stale = header->magic[0] == '\0' && !ipcu_process_lives(state.shm_cpid, 0);
	else
		stale = unreachable(header, seconds);
	if (stale)
		snprintf(what, capacity, "big message of queue %d, %llu bytes", header->queue,
			 (unsigned long long)state.shm_segsz - sizeof(*header));
	shmdt(header);
	return stale;
}
