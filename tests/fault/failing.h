/* SPDX-License-Identifier: MIT
 * failing.h - what the driver and the library that makes calls fail say to each other
 *
 * A page of shared memory: which call, which of its calls, with which errno. The processes of a command (a
 * keeper is one) count together; what a command executes is left alone.
 */
#ifndef FAILING_H
#define FAILING_H

#include <stdint.h>

struct failing {
	char call[32]; /* "msgget" */
	int32_t errnum;
	uint32_t nth;		/* 1: the first */
	_Atomic uint32_t count; /* of its calls so far */
	_Atomic uint32_t hit;	/* the nth one was made, and so: */
	int32_t command;	/* of a msgctl, semctl or shmctl that failed */
	_Atomic uint32_t all;	/* of all calls that are watched */
	uint32_t planted;	/* what to do wrong instead, to see whether it is found out */
};

enum { FAILING_NOT_REACHED, FAILING_FAILED, FAILING_NOT_POSSIBLE }; /* the errno would be a lie */

/* Errors planted on purpose. */
enum {
	PLANTED_NOTHING,
	PLANTED_CRASH,
	PLANTED_LEAK,	 /* leaves a queue behind */
	PLANTED_LIE,	 /* ends with success */
	PLANTED_SILENCE, /* ends with 4 and no word */
	PLANTED_STATUS,	 /* ends with 77 */
	PLANTED_TWICE,	 /* a msgsnd that fails has sent twice */
	PLANTED_LOSS	 /* a msgrcv that fails has taken the message */
};

#define FAILING_FILE "IPC_TEST_FAILING" /* the environment's name for the file of the page */

#endif
