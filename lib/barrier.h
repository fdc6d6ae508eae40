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
	SEALED = BROKEN + IPCU_BARRIER_SLOTS, /* 1: a process is removing the barrier */
	PLACE /* one for each party but the last; the members of identity.h follow */
};

/* Nanoseconds to wait for an occupied slot before looking for another one. */
#define IPCU_BARRIER_SLICE 100000000

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

/* Read and check all values. The caller frees state->values, whatever the result. */
enum ipcu_result ipcu_barrier_look(const ipcu_barrier *barrier, struct ipcu_barrier_state *state);

/* Add to STEPS: fail with EAGAIN unless the open generation is still the one of STATE. */
void ipcu_barrier_same(const struct ipcu_barrier_state *state, struct ipcu_steps *steps);

/*
 * Add to STEPS: close the gate of STATE's generation and open the next generation in an empty slot. The step fails with
 * EAGAIN if the generation is over. It waits only if all other slots are occupied.
 */
void ipcu_barrier_open_next(const struct ipcu_barrier_state *state, struct ipcu_steps *steps);

#endif
