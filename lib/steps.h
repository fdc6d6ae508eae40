/* SPDX-License-Identifier: MIT
 * steps.h - several changes of a semaphore set as one atomic step
 */
#ifndef STEPS_H
#define STEPS_H

#include <sys/sem.h>

#include "object.h"

/* The digits of a counter that goes through semaphores: a value can be 0 to 32766, and 32767 once. */
#define IPCU_DIGIT 32767u

struct ipcu_steps {
	struct sembuf ops[24];
	unsigned count;
};

/* Add one: CHANGE 0 waits for zero; FLAGS are SEM_UNDO and IPC_NOWAIT. */
void ipcu_step(struct ipcu_steps *steps, unsigned semaphore, int change, int flags);

/* Count the two-digit number in LOW and LOW + 1 up; its digits are LOW_VALUE and HIGH_VALUE now. */
void ipcu_step_count(struct ipcu_steps *steps, unsigned low, unsigned low_value,
		     unsigned high_value);

/*
 * Do all of them at once, waiting until that can be (NULL: for ever). 0 or an errno,
 * EAGAIN at the deadline or where IPC_NOWAIT says so; EIDRM if the set is gone.
 */
int ipcu_steps_do(int id, struct ipcu_steps *steps, const struct timespec *deadline);

/* What the errno of a failed step comes to: "DOING: WHY". */
enum ipcu_result ipcu_steps_failed(const struct ipcu_object *object, int errnum, const char *doing,
				   const struct timespec *deadline);

/*
 * Open NAME, whose set has SEMAPHORES; raw keys are not for what other programs cannot
 * understand. DEFINITION NULL: only open, semaphores follow from what is recorded.
 */
enum ipcu_result ipcu_steps_open(struct ipcu_object *object, const struct ipcu_kind_ops *ops,
				 const char *name, const struct ipcu_open *how,
				 const uint64_t definition[4]);

#endif
