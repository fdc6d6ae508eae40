/* SPDX-License-Identifier: MIT
 * sweep.h - the parts of the sweep of failing calls
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "failing.h"

/* What there is before a command runs (errno-state.c). */
enum state {
	NOTHING,
	QUEUE,	      /* q: "one" */
	QUEUES,	      /* q: "one" "two" "three", r: "four" */
	EMPTY_QUEUE,  /* q */
	EMPTY_QUEUES, /* q and r */
	EMPTY_RAW,    /* a queue on RAW_KEY */
	FULL_QUEUE,   /* q: no room for one byte more */
	BIG,	      /* q: a message of 20000 bytes */
	SEM,	      /* s: 3 units */
	MUTEX,	      /* s: 1 unit */
	SEM_TAKEN,    /* s: one of them taken for good */
	SEM_HELD,     /* s: one of them held for the owner by a keeper */
	BARRIER,      /* b: 2 parties */
	BROKEN,	      /* b: the same, aborted */
	ALONE,	      /* b: 1 party */
	ALONE_BROKEN, /* b: the same, aborted */
	EVENT,	      /* e */
	EVENT_SET,    /* e, set */
	ARRAY,	      /* a: i64 7 */
	ZERO,	      /* a: i64 0 */
	MEMORY,	      /* m: 3000 bytes, loaded */
	LOCKED,	      /* the same, and it has a lock */
	STALE,	      /* n: a name without its object, and a segment of a big message nobody gets */
	PIPE,	      /* p: whose only end has died */
	RAW,	      /* a queue with "one", a set and a segment on RAW_KEY */
	MIXED	      /* one of each kind */
};
#define RAW_KEY 0x77

/* Remove everything there is in this namespace, and make STATE. */
void state_prepare(enum state state);

/* What there is, as text; free it. Identifiers, keys and processes do not show. */
char *state_describe(void);

/* Remove all names and what has RAW_KEY, by the library's own means. How many objects are then left. */
unsigned state_clear(char *left, size_t capacity);

/* The number of messages in all queues. */
unsigned state_messages(void);

/* Until nobody holds units of s: false after five seconds. */
bool state_units_back(void);

/* How a command is judged. */
enum {
	LINES = 1,    /* each line of its input is a change of its own */
	MESSAGES = 2, /* a message is on stdout or in a queue, and never in both or none */
	VARIES = 4,   /* its output is another one in each run */
	HEAVY = 16,   /* makes so many calls that only some are tried */
	OWNED = 8     /* OWNER in its words is a process, which ends after it */
};
#define CREATES(state) ((unsigned)(state) << 8) /* what first use makes, before the rest is done */

/* A command line, and what is to be expected of it. */
struct test {
	const char *name;
	enum state state;
	int status; /* without a failing call */
	unsigned how;
	const char *input; /* what stdin holds, "" nothing */
	const char *words[10];
};
extern const struct test tests[];
extern const size_t test_count;

#endif
