/* SPDX-License-Identifier: MIT
 * soak.h - the parts of the soak test
 *
 *	soak.c       starts commands at random, kills and stops them at random, waits for them
 *	soak-ops.c   what is started, and what its end must look like
 *	soak-book.c  what was sent and received, taken and given
 *	soak-end.c   the invariants, when all is over
 *	soak-hold.c  what runs under a lock, and looks whether it is alone
 *	soak-cleanup.c  removes segments that no process has attached
 */
#ifndef SOAK_H
#define SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define CHILDREN 24
#define WORDS_MAX 14
#define QUEUES 3
#define OWNERS 5
#define PARTIES 3
#define COUNT_LEAST 3 /* units of k, which is resized */
#define COUNT_MOST 6
#define TOKENS 5

/* One running command. */
struct child {
	pid_t pid; /* 0: none */
	const struct operation *operation;
	int out, err;	       /* memory files */
	unsigned first, count; /* messages: numbers sent, or how many it may take */
	bool safe;	       /* the queue's receivers are never killed */
	bool killed;	       /* by SIGKILL, by us */
	unsigned signals;      /* a bit for each signal we sent */
	struct timespec started;
	bool stopped;
	struct timespec go_on;
};

/* How a command ended. */
struct ending {
	int status; /* exit status, or 128 + signal */
	char *out;
	size_t out_size;
	const char *err;
};

/* What is run at random. */
struct operation {
	const char *name;
	unsigned weight;
	/* Fill WORDS; *INPUT for its stdin (freed by the caller). False: not now. */
	bool (*begin)(struct child *child, const char *words[WORDS_MAX], char **input,
		      size_t *size);
	/* Judge its end, beyond its status. May be NULL. */
	void (*end)(struct child *child, const struct ending *ending);
	/* When a kill or a signal has ended it. May be NULL. */
	void (*cut)(struct child *child, const struct ending *ending);
	const char *statuses; /* digits of the statuses it may end with */
	bool never_killed;    /* only asked to end, so that nothing may be lost */
	unsigned done, cuts, by_status[10];
};
extern struct operation soak_operations[];
extern const size_t soak_operation_count;

/* soak.c */
bool soak_ok(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
unsigned soak_random(unsigned below);
void soak_wrong(const struct child *child, const struct ending *ending, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
extern unsigned soak_wrongs, soak_kills, soak_stops, soak_signals, soak_keepers;
extern pid_t soak_owners[OWNERS];
extern const char *soak_self, *soak_scratch; /* this program; where its files are */

/* soak-book.c: a message has a number, and its body begins with it. */
unsigned book_new(unsigned count, bool safe);	/* the first of COUNT; SAFE: none may be lost */
void book_sent(unsigned first, unsigned count); /* they were sent for sure */
void book_received(const struct child *child, const struct ending *ending, const char *out,
		   size_t size);
void book_may_lose(unsigned count); /* a receiver was killed that may have taken so many */
char *book_body(unsigned number, size_t *size);

struct book {
	unsigned made, sent, received, doubled, lost, lost_allowed, unknown;
	unsigned safe, safe_lost; /* of a queue whose receivers nobody kills with SIGKILL */
	/* tokens of t, units of c, arrivals at b: for sure, and at most */
	long tokens_least, tokens_most, added, added_most, arrived, arrived_most;
};
extern struct book book;
void book_close(void); /* count what was sent and never came */

/* soak-end.c */
void soak_prepare(void);
void soak_kill_keeper(void);
void soak_check(void);

/* soak-hold.c: main() of "soak hold FILE MODE MILLISECONDS". Exit 0, or 9: not alone. */
int soak_hold(const char *file, bool exclusive, long milliseconds);

/* soak-cleanup.c: main() of "soak cleanup". */
int soak_cleanup(void);

#endif
