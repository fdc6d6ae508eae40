/* SPDX-License-Identifier: MIT
 * spill.h - message bodies too big for a queue, in segments of their own
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

/* Whether a body begins as a descriptor does: it must then be one, or be spilled itself. */
bool ipcu_spill_looks_like(const void *body, size_t size);

struct ipcu_spill {
	struct spill_header *segment;
	struct ipcu_spill_descriptor descriptor;
};

/* Put a body into a segment that those who may read QUEUE may take. */
enum ipcu_result ipcu_spill_create(struct ipcu_spill *spill, const struct ipcu_object *queue,
				   const void *body, size_t size);
void ipcu_spill_sent(struct ipcu_spill *spill);	  /* the descriptor is in the queue */
void ipcu_spill_cancel(struct ipcu_spill *spill); /* it is not: remove the segment */

/*
 * The body that a message of QUEUE describes, attached; detach *MAPPING with
 * shmdt(2). With TAKE the segment goes away with that. IPCU_BROKEN: not to be believed; IPCU_LIMIT: no
 * memory, and nothing was removed.
 */
enum ipcu_result ipcu_spill_attach(const struct ipcu_object *queue, const void *message,
				   size_t message_size, bool take, void **mapping,
				   const void **body, size_t *size);

/* Remove the bodies of what was in QUEUE, which was itself removed. */
void ipcu_spill_remove_all(int queue);

/*
 * Whether segment ID is a big message's that nobody can receive any more and that was
 * last touched SECONDS or more ago. Fills WHAT.
 */
bool ipcu_spill_stale(int id, int64_t seconds, char *what, size_t capacity);

#endif
