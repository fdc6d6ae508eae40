/* SPDX-License-Identifier: MIT
 * barrier.h - what the two files of a barrier share
 */
#ifndef BARRIER_H
#define BARRIER_H

#include "steps.h"

#define IPCU_BARRIER_SLOTS 8u

/* The semaphores of a set; barrier.c says what each is for. */
enum {
	LOCK, /* 1: free */
	LOW,
	HIGH,
	ACTION,
	GATE,
	ARRIVED = GATE + IPCU_BARRIER_SLOTS,
	BROKEN = ARRIVED + IPCU_BARRIER_SLOTS,
	PLACE = BROKEN + IPCU_BARRIER_SLOTS /* and, after the places, those of identity.h */
};

#define IPCU_BARRIER_SLICE 100000000 /* nanoseconds to wait for a slot that nobody is in */

struct ipcu_barrier {
	struct ipcu_object object;
	unsigned parties;
};

/* What a set held at one instant. */
struct ipcu_barrier_state {
	unsigned short *values;
	uint64_t generation;
	unsigned slot;
	unsigned arrived;
	bool broken;
};

/* All values, checked. Free state->values whatever it returns. */
enum ipcu_result ipcu_barrier_look(const ipcu_barrier *barrier, struct ipcu_barrier_state *state);

/* The lock, which a step gives back with {LOCK, +1, SEM_UNDO}. */
enum ipcu_result ipcu_barrier_lock(ipcu_barrier *barrier, const struct timespec *deadline);

/* Have STEPS close the open generation's gate and open the next one in a slot that nobody is in. */
void ipcu_barrier_open_next(const struct ipcu_barrier_state *state, struct ipcu_steps *steps);

#endif
