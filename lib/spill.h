/* SPDX-License-Identifier: MIT
 * spill.h - message bodies that a message of the queue cannot carry: too big ones, and empty ones
 */
#ifndef SPILL_H
#define SPILL_H

#include "object.h"

struct ipcu_spill_descriptor {
	char magic[8];
	int32_t id;
	int32_t key;
	uint64_t size;
	uint64_t nonce[2];
};

/* Return true if a body begins as a descriptor does. Then it must be one, or be stored out of line itself. */
bool ipcu_spill_looks_like(const void *body, size_t size);

/*
 * What stands for a body of zero bytes on a named queue. A message of zero bytes cannot be waited for without being
 * taken, for the kernel offers no smaller buffer.
 */
struct ipcu_spill_empty {
	char magic[8];
	char word[8];
};
struct ipcu_spill_empty ipcu_spill_empty(void);
bool ipcu_spill_is_empty(const void *body, size_t size);

struct ipcu_spill {
	struct ipcu_spill_head *segment;
	struct ipcu_spill_descriptor descriptor;
};

/* Put a body into a segment that the users who may read QUEUE, which has identifier ID, can read. */
enum ipcu_result ipcu_spill_create(struct ipcu_spill *spill, int id, const struct msqid_ds *queue,
				   const void *body, size_t size);

/* The descriptor is in the queue. If the permissions of queue ID are no longer those of QUEUE, follow them. */
void ipcu_spill_sent(struct ipcu_spill *spill, int id, const struct msqid_ds *queue);

/* The descriptor is not in the queue: remove the segment. */
void ipcu_spill_cancel(struct ipcu_spill *spill);

/*
 * Attach the body that a message of QUEUE describes; the caller detaches *MAPPING with shmdt(2). With TAKE the segment
 * is removed with that, if this user may remove it.
 *
 * IPCU_BROKEN: the descriptor is not to be believed; IPCU_LIMIT: no memory; IPCU_DENIED: the body is closed to this
 * user. After the last two the message is as good as before.
 */
enum ipcu_result ipcu_spill_attach(const struct ipcu_object *queue, const void *message,
				   size_t message_size, bool take, void **mapping,
				   const void **body, size_t *size);

/* ---- spill-reach.c: bodies that no process can receive any more ---------- */

/*
 * Remove the bodies, of messages of any queue, that another user has received and could not remove. SENT_TO is the state
 * of the queue that is being sent to. Return how many were removed. A body whose last receiver is not known must have
 * been idle for IDLE seconds.
 */
size_t ipcu_spill_sweep(const struct msqid_ds *sent_to, int64_t idle);

/* Withdraw from the bodies of queue ID the permissions that QUEUE, its state, no longer gives. */
void ipcu_spill_narrow(int id, const struct msqid_ds *queue);

/* Remove queue ID and the bodies of its messages. 0, or -1 with errno as msgctl(2). */
int ipcu_spill_discard_queue(int id);

/*
 * Return true if segment ID is the body of a big message that no process can receive any more and that was
 * last touched SECONDS or more ago. Fills WHAT.
 */
bool ipcu_spill_stale(int id, int64_t seconds, char *what, size_t capacity);

#endif
