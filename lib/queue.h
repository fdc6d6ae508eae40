/* SPDX-License-Identifier: MIT
 * queue.h - queues, as the library and the commands see them
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <stdatomic.h>

#include "object.h"

struct ipcu_queue {
	struct ipcu_object object;
	_Atomic size_t limit;  /* bodies up to this size fit into a message; 0: not yet asked */
	size_t bytes_max;      /* of the whole queue, when it was opened */
	_Atomic unsigned turn; /* which of several queues is asked first */
};

/* A deadline that has passed, known without asking the clock. */
extern const struct timespec ipcu_no_wait;

/*
 * Send and receive where the body already is, without a copy: the eight bytes in
 * front of BODY must be writable; they are used meanwhile and restored. Results as
 * ipcu_queue_send and _receive, but: a receive of a body over CAPACITY is IPCU_LIMIT with
 * errnum E2BIG and leaves the message there, and a big message's descriptor is returned as it is.
 */
enum ipcu_result ipcu_queue_send_at(ipcu_queue *queue, long type, char *body, size_t size,
				    const struct timespec *deadline);
enum ipcu_result ipcu_queue_receive_at(ipcu_queue *queue, char *body, size_t capacity, long *type,
				       size_t *size, const struct ipcu_select *select,
				       const struct timespec *deadline);

/*
 * Back to the end of QUEUE with a message that was taken and cannot be delivered, as it came: the eight bytes
 * in front of BODY must be writable. Its room was just made; should somebody be faster, this waits.
 */
void ipcu_queue_put_back(ipcu_queue *queue, long type, char *body, size_t size);

/* msgrcv(2)'s type and flags for SELECT (NULL: any). IPCU_USAGE: a type < 1. */
enum ipcu_result ipcu_select_flags(const struct ipcu_select *select, long *type, int *flags);

/* What errno of a failed msgrcv comes to. */
enum ipcu_result ipcu_queue_receive_failed(ipcu_queue *queue, int errnum);

#endif
