/* SPDX-License-Identifier: MIT
 * hostile.h - the parts of the hostile-user test
 *
 *	hostile.c		the cases, one after the other
 *	hostile-forge.c		what the hostile user does to its objects in each case
 *	hostile-witness.c	what the commands must not change
 *	hostile-run.c		every command, as root and as another user
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <sys/types.h>

#define HOSTILE_UID 1000
#define OTHER_UID 1001

/* One object of each kind, made by the hostile user. */
#define HOSTILE_NAMES 7
extern const char *const hostile_names[HOSTILE_NAMES];

/* One case; shared between the processes that take part. */
struct hostile_case {
	long wanted;		 /* the number of the case */
	long count;		 /* how many were passed on the way to it */
	bool done;		 /* this one exists, and was done */
	bool aims;		 /* at one name */
	char name[8];		 /* that name */
	char what[160];		 /* what was done */
	int queue, set, segment; /* objects of root, which the forged ones may name */
	int key;		 /* of those */
};

/* As HOSTILE_UID: make the objects, then do what the wanted case is, if it exists. */
void hostile_forge(struct hostile_case *one);

/* Make the objects of root and OTHER_UID. */
void hostile_make_witnesses(struct hostile_case *one);

/* Whether nothing but the hostile user's was changed, removed or created since then; prints what was. */
bool hostile_check_witnesses(void);

/* Open the commands in DIRECTORY. False: one is not there. */
bool hostile_open_commands(const char *directory);

/* Run every command on the names of the case, each as root and as OTHER_UID. Returns how many went wrong. */
long hostile_run(const struct hostile_case *one);

#endif
