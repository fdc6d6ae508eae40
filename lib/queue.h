/* SPDX-License-Identifier: MIT
 * queue.h - queues, as the library and the commands see them
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "object.h"
#include "returned.h"

struct ipcu_queue {
	struct ipcu_object object;
	_Atomic size_t limit;	   /* bodies up to this size fit into a message; 0: not yet asked */
	size_t bytes_max;	   /* of the whole queue, when it was opened */
	_Atomic unsigned turn;	   /* which of several queues is asked first */
	_Atomic unsigned receives; /* how many were begun */
	_Atomic bool was_empty;	   /* when a receive last tried */
	key_t returned_keys[IPCU_RETURNED_FIRST];
	pthread_mutex_t kept_lock;
	struct ipcu_kept *kept;		  /* the oldest of the messages that this handle keeps */
	_Atomic size_t kept_count;	  /* 0 is known without the lock */
	_Atomic int64_t permissions_seen; /* time and mode of the last change that bodies follow */
};

#define IPCU_REPORTED (-1) /* in place of an errno: the last error has it */

/* A deadline that has passed, known without asking the clock. */
extern const struct timespec ipcu_no_wait;

/*
 * Send and receive where the body already is, without a copy: the eight bytes in
 * front of BODY must be writable; they are used meanwhile and restored. Results as
 * ipcu_queue_send and _receive, but: a receive of a body over CAPACITY is IPCU_LIMIT with
 * errnum E2BIG and leaves the message there, and what stands for a body, a descriptor for example, is
 * returned as it is: see ipcu_queue_locate().
 */
enum ipcu_result ipcu_queue_send_at(ipcu_queue *queue, long type, char *body, size_t size,
				    const struct timespec *deadline);
enum ipcu_result ipcu_queue_receive_at(ipcu_queue *queue, char *body, size_t capacity, long *type,
				       size_t *size, const struct ipcu_select *select,
				       const struct timespec *deadline);

/*
 * Set body, size and mapping of MESSAGE, whose type is set, from the SIZE bytes that were RECEIVED. With TAKE the
 * message was taken. IPCU_LIMIT: there is no memory for the body; IPCU_DENIED: this user may not read it; after both
 * the message has returned to the queue. IPCU_BROKEN: it is refused.
 */
enum ipcu_result ipcu_queue_locate(ipcu_queue *queue, struct ipcu_message *message,
				   const char *received, size_t size, bool take);

/*
 * Return a message that was taken and cannot be delivered: to the end of QUEUE, or to a queue of returned messages, or,
 * where neither takes it, to what the handle keeps. Never waits. IPCU_OK, with the last error as it was; IPCU_LIMIT: the
 * message is lost, for there is no memory to keep it.
 */
enum ipcu_result ipcu_queue_return_body(ipcu_queue *queue, long type, const void *body,
					size_t size);

/* The same for a message as a receive delivers it. IPCU_LIMIT also: there is no segment for a big one. */
enum ipcu_result ipcu_queue_return_message(ipcu_queue *queue, long type, const void *body,
					   size_t size);

/* The same with room that was made before the message was taken, so that it cannot fail. Frees or keeps KEPT. */
struct ipcu_kept *ipcu_kept_new(size_t size); /* NULL: no memory */
void ipcu_kept_fill(struct ipcu_kept *kept, long type, const void *body);
long ipcu_kept_type(const struct ipcu_kept *kept);
void ipcu_kept_free(struct ipcu_kept *kept);
void ipcu_queue_return(ipcu_queue *queue, struct ipcu_kept *kept);

/* Whether QUEUE keeps a message that SELECT wants. */
bool ipcu_kept_wanted(ipcu_queue *queue, const struct ipcu_select *select);

/* Take what SELECT wants of what QUEUE keeps; the size, or -1 with ENOMSG or E2BIG. */
ssize_t ipcu_kept_take(ipcu_queue *queue, const struct ipcu_select *select, char *body,
		       size_t capacity, long *type);

/* Copy the one at INDEX; -1 with ENOMSG: there are not so many, and *INDEX is that of the queue itself. */
ssize_t ipcu_kept_peek(ipcu_queue *queue, size_t *index, char *body, size_t capacity, long *type);

/*
 * Put back what the queue takes without waiting, and free the rest. If QUEUE is empty, move a message to it that has
 * returned: its receivers may sleep.
 */
void ipcu_kept_close(ipcu_queue *queue);

/* msgsnd(2) until DEADLINE; 0 or an errno: ETIMEDOUT, EINTR (a signal of the caller's); -1: the last error says why. */
int ipcu_send_until(int id, const void *message, size_t size, const struct timespec *deadline);

/* Return true if SELECT (NULL: any) wants messages of TYPE. */
bool ipcu_select_wants(const struct ipcu_select *select, long type);

/* msgrcv(2)'s type and flags for SELECT (NULL: any). IPCU_USAGE: a type < 1. */
enum ipcu_result ipcu_select_flags(const struct ipcu_select *select, long *type, int *flags);

/* What errno of a failed msgrcv comes to. */
enum ipcu_result ipcu_queue_receive_failed(ipcu_queue *queue, int errnum);

#endif
