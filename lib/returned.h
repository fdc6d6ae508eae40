/* SPDX-License-Identifier: MIT
 * returned.h - messages that return to a queue which is full meanwhile
 */
#ifndef RETURNED_H
#define RETURNED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sysv.h"

#define IPCU_RETURNED_FIRST 2 /* keys; there is a queue on one of them if there is any */
#define IPCU_RETURNED_MAX 32  /* such queues of one queue */
#define IPCU_RETURNED_LOOK \
	INT64_C(1000000000) /* nanoseconds from one look of a receiver of certain types to the next */

/* Return true if PERM is that of a queue of returned messages. */
bool ipcu_returned_is(const struct ipc_perm *perm);

/* The identifiers of the queues of returned messages of the queue with PERM, and how many there are: usually none. */
unsigned ipcu_returned_find(const struct ipc_perm *perm, int ids[IPCU_RETURNED_MAX]);

/* The first of the keys that may have such queues; 0 if there cannot be any. */
void ipcu_returned_keys(const struct ipc_perm *perm, key_t keys[IPCU_RETURNED_FIRST]);

/* Return true if no object has any of KEYS: the usual case, which costs two calls. */
bool ipcu_returned_none(const key_t keys[IPCU_RETURNED_FIRST]);

/*
 * Store what msgsnd(2) takes for queue ID, which is full, in a queue of returned messages: one that *STORED is then the
 * identifier of, created if need be. Never waits. 0, or an errno: EAGAIN, there is no room, or only the creator of queue
 * ID can make it; EIDRM, queue ID is gone.
 */
int ipcu_returned_store(int id, const void *message, size_t size, int *stored);

/*
 * Queue ID was created. Remove what returned to one that had its key before; where users of the group or all others may
 * receive and send, create the first queue for returned messages, which only the creator can.
 */
void ipcu_returned_prepare(int id);

/*
 * How many bytes this process should have taken from the queue with PERM at once, so that they can return: 0, one message
 * at a time; SIZE_MAX, any number.
 */
size_t ipcu_returned_room(const struct ipc_perm *perm);

/* The messages that returned to the queue with PERM: how many, and their bytes. */
uint64_t ipcu_returned_count(const struct ipc_perm *perm, uint64_t *bytes);

/* The queue with PERM is gone: remove what returned to it. */
void ipcu_returned_discard(const struct ipc_perm *perm);

/* Return true if ID, a queue of returned messages, belongs to no queue. Looks at every queue. */
bool ipcu_returned_is_orphan(int id);

#endif
