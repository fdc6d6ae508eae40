/* SPDX-License-Identifier: MIT
 * spill-head.h - the head of the segment that holds a big message's body
 *
 * The owner and the sender of a body may rewrite its segment at any time, and any user may create a segment with such a
 * key. So no code but ipcu_spill_map() reads a head in place: it checks the size first, copies the head once, and its
 * callers judge the copy.
 */
#ifndef SPILL_HEAD_H
#define SPILL_HEAD_H

#include "spill.h"

#define IPCU_SPILL_MAGIC "\x1bipcu\x01\xf5" /* with its NUL eight bytes */

enum { IPCU_SPILL_FILLING = 1, IPCU_SPILL_SENT = 2 };

struct ipcu_spill_head {
	char magic[8];
	uint64_t nonce[2];
	uint64_t size;
	uint64_t sender_start;
	int32_t sender;
	int32_t queue; /* identifier */
	uint32_t state;
	char reserved[12];
};
_Static_assert(sizeof(struct ipcu_spill_head) == 64, "the body follows the head");

/* Return true if STATE is that of a segment that may hold a body. */
bool ipcu_spill_is_body(const struct shmid_ds *state);

/* Return true if HEAD is complete. One whose creator was killed before that is not. */
bool ipcu_spill_is_head(const struct ipcu_spill_head *head);

/*
 * Attach segment ID for reading, and fill STATE (as it was before) and HEAD. NULL with errno: EINVAL if it cannot hold
 * a body, otherwise as shmat(2).
 */
void *ipcu_spill_map(int id, struct shmid_ds *state, struct ipcu_spill_head *head);

/* As ipcu_spill_map(), and detach it again. */
bool ipcu_spill_read_head(int id, struct shmid_ds *state, struct ipcu_spill_head *head);

/*
 * The mode of a body in a segment whose creator has the group SENDER, for a queue with the permissions QUEUE. Users who
 * may not receive may not read the body, and no mode bit allows to write it.
 */
unsigned ipcu_spill_mode(const struct ipc_perm *queue, gid_t sender);

#endif
