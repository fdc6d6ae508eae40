/* SPDX-License-Identifier: MIT
 * pipe.h - the parts of a pipe
 */
#ifndef PIPE_H
#define PIPE_H

#include <stdatomic.h>

#include "object.h"

/* The members of a pipe's definition. */
enum {
	IPCU_PIPE_CAPACITY, /* of each ring, bytes */
	IPCU_PIPE_RINGS	    /* 1: from the first end to the second; 2: both ways */
};

/*
 * One direction. A position counts all bytes since the beginning; its word is twice that, plus one at the end. So the
 * low half of a word, which a sleeper sleeps on, changes with everything that could wake it.
 */
struct ipcu_pipe_ring {
	_Alignas(64) _Atomic uint64_t written; /* by the writer alone; + 1: the stream has ended */
	_Atomic uint32_t reader_asleep;	       /* 1: or was */
	_Alignas(64) _Atomic uint64_t taken;   /* by the reader alone; + 1: all is processed */
	_Atomic uint32_t writer_asleep;
};

/* The first page of the segment; the rings' bytes follow. All zero is the head of a new pipe. */
#define IPCU_PIPE_HEAD 4096
struct ipcu_pipe_head {
	struct ipcu_pipe_ring rings[2];
	/* Of the ends. Only for messages, and for the decision of pipe.c whether to wait for the peer. */
	_Alignas(64) _Atomic uint32_t pid[2];
	_Atomic uint32_t uid[2];
};
_Static_assert(sizeof(struct ipcu_pipe_head) == 320, "the layout is shared between processes");

struct ipcu_pipe {
	struct ipcu_object object;
	int set;	 /* pipe-ends.c: which ends are taken */
	unsigned end;	 /* 0 or 1 */
	bool present;	 /* and not yet left */
	bool met;	 /* the peer has joined */
	size_t capacity; /* of a ring */
	struct ipcu_pipe_head *head;
	struct ipcu_pipe_ring *out, *in; /* NULL: not in this direction */
	unsigned char *out_bytes, *in_bytes;
	uint64_t written, taken; /* what the peer cannot change under us */
	bool ended;		 /* our stream */
	bool at_end;		 /* of the peer's stream */
};

/* pipe-ends.c */

/* How many members the set of a pipe has. */
unsigned ipcu_pipe_set_members(void);

/*
 * The set on KEY that looks like the set of a pipe of OWNER, whatever its name, or -1 with errno; EEXIST: a different program's.
 * Only to describe pipes: a set that is used or removed is found by ipcu_pipe_set_of().
 */
int ipcu_pipe_set(key_t key, uid_t owner);

/*
 * The set that records which ends of OWNER's pipe NAME are taken, proven by its identity, or -1 with errno. EEXIST: a
 * different program's, or that of a different name; EACCES: it cannot be read.
 */
int ipcu_pipe_set_of(key_t key, uid_t owner, const char *name);

/*
 * Caller holds the registry lock; no segment has KEY. Create the set, zero apart from its identity, in place of one that a
 * removed pipe of the same name left. IPCU_CONFLICT: a different program uses the key.
 */
enum ipcu_result ipcu_pipe_set_make(const struct ipcu_object *object, key_t key, mode_t mode,
				    const uint64_t definition[4]);

/* Give SET the owner and the mode of SEGMENT, if this process may: the set must not grant more than the segment. */
void ipcu_pipe_set_follow(int set, const struct ipc_perm *segment);

/* Bit 0: the first end is taken, bit 1: the second. *OVER: an end that had joined has left. */
unsigned ipcu_pipe_ends(int set, bool *over);

/* Bit 0: the first end has begun the present session, bit 1: the second. */
unsigned ipcu_pipe_joined(int set);

/* Return true if a session is over and no process is left that would remove the pipe. */
bool ipcu_pipe_is_left(int set);

/* Become present at the WANTED end. IPCU_NOT_FOUND: the pipe was removed, and must be opened again. */
enum ipcu_result ipcu_pipe_come(ipcu_pipe *pipe, unsigned wanted, const struct timespec *deadline);

/* Initialise our words in the head and join. */
enum ipcu_result ipcu_pipe_join(ipcu_pipe *pipe);

/* Set *THERE if the peer is present now. IPCU_NOT_FOUND: the pipe was removed. */
enum ipcu_result ipcu_pipe_other(const ipcu_pipe *pipe, bool *there);

/*
 * Leave. True if this process was the last and REMOVES the pipe: no process can come to it until it is removed. With WAIT, try
 * for two seconds to be the last, since the peer cannot remove it.
 */
bool ipcu_pipe_leave(ipcu_pipe *pipe, bool removes, bool wait);

/*
 * Close the pipe if no process is at either end, so that none comes until it is removed: 0. EAGAIN if a process is, or if
 * another process has been removing the pipe until DEADLINE; EIDRM if it is removed.
 */
int ipcu_pipe_close_empty(int set, const struct timespec *deadline);

/* Open the pipe again if it could not be removed. Otherwise all processes that come would wait for this one to end. */
void ipcu_pipe_reopen(int set);

/* Report the errno of a failed step. */
enum ipcu_result ipcu_pipe_failed(const ipcu_pipe *pipe, int errnum, const char *doing,
				  const struct timespec *deadline);

/* pipe-ring.c */

/* Wake the process that sleeps on the word POSITION, if ASLEEP says that one does. */
void ipcu_pipe_wake(_Atomic uint64_t *position, _Atomic uint32_t *asleep);

/* pipe.c */

/*
 * Caller holds the registry lock. Remove a pipe whose ends were killed. False, and no change, if a process is at an end, or
 * none ever was. DRY_RUN only looks.
 */
bool ipcu_pipe_settle(struct ipcu_registry *registry, const char *name,
		      const struct ipcu_record *record, bool dry_run);

#endif
