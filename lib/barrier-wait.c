/* SPDX-License-Identifier: MIT
 * barrier-wait.c - one party's visit to a barrier: arriving, waiting, and releasing the others
 *
 * The steps and what they guarantee are described in barrier.c.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "barrier.h"
#include "deadline.h"
#include "error.h"
#include "queue.h"

#define OVERFLOW 32767

#define GRACE_NANOSECONDS 50000000 /* for the lock, which is held for microseconds */

/*
 * How often a step may find the barrier changed before the visit fails. Only a process that may write the set and
 * changes it all the time makes the steps of a process with the lock fail so often, within seconds.
 */
#define CHANGES_MAX 1000000
#define CHANGES_LEAST 100 /* also after the deadline: other parties change the barrier too */

/* One party's visit. */
struct visit {
	ipcu_barrier *barrier;
	const struct ipcu_barrier_how *how;
	const struct timespec *deadline;
	struct ipcu_barrier_state state;
	bool locked; /* holds LOCK */
	bool acting; /* holds ACTION, and the action was done for GENERATION */
	uint64_t generation;
	unsigned slot, place;
	bool arrived, released; /* what became of it: one of several, or the last one */
};

/* ---- steps ---------------------------------------------------------------- */

static int do_now(ipcu_barrier *barrier, struct ipcu_steps *steps)
{
	return ipcu_steps_do(barrier->object.id, steps, NULL);
}

static enum ipcu_result broken(void)
{
	ipcu_fail(IPCU_BROKEN, "the barrier is broken");
	ipcu_hint("a timeout, an action, abort or reset broke it; ipc-barrier reset repairs it");
	return IPCU_BROKEN;
}

/* Add to STEPS: release what the visit holds of the barrier. */
static void and_unlock(const struct visit *visit, struct ipcu_steps *steps)
{
	if (visit->acting)
		ipcu_step(steps, ACTION, -1, SEM_UNDO | IPC_NOWAIT);
	if (visit->locked)
		ipcu_step(steps, LOCK, 1, SEM_UNDO);
}

static void unlock(struct visit *visit)
{
	struct ipcu_steps steps = { .count = 0 };

	and_unlock(visit, &steps);
	if (steps.count)
		do_now(visit->barrier, &steps);
	visit->acting = visit->locked = false;
}

/* Do STEPS, which wait while the barrier is sealed, and release what the visit holds. */
static int do_and_unlock(struct visit *visit, struct ipcu_steps *steps,
			 const struct timespec *deadline)
{
	int errnum;

	and_unlock(visit, steps);
	errnum = ipcu_steps_do(visit->barrier->object.id, steps, deadline);
	if (!errnum)
		visit->acting = visit->locked = false;
	return errnum;
}

static enum ipcu_result lock(struct visit *visit)
{
	struct timespec grace = ipcu_deadline_in(GRACE_NANOSECONDS);
	const struct timespec *deadline = visit->deadline;
	struct ipcu_steps steps = { .count = 0 };
	int errnum;

	ipcu_step(&steps, LOCK, -1, SEM_UNDO);
	errnum = ipcu_steps_do(visit->barrier->object.id, &steps,
			       deadline && ipcu_deadline_passed(deadline) ? &grace : deadline);
	visit->locked = !errnum;
	return errnum ? ipcu_steps_failed(&visit->barrier->object, errnum,
					  "cannot lock the barrier", deadline)
		      : IPCU_OK;
}

/* ---- waiting -------------------------------------------------------------- */

static void and_leave(const struct visit *visit, struct ipcu_steps *steps)
{
	ipcu_step(steps, ARRIVED + visit->slot, -1, SEM_UNDO);
	ipcu_step(steps, PLACE + visit->place, -(1 << visit->slot), SEM_UNDO);
}

/* Released: 0. Broken: ERANGE, and the arrival still stands. */
static int pass(const struct visit *visit, int flags, const struct timespec *deadline)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, BROKEN + visit->slot, OVERFLOW, 0);
	ipcu_step(&steps, BROKEN + visit->slot, -OVERFLOW, 0);
	ipcu_step(&steps, GATE + visit->slot, 0, flags);
	and_leave(visit, &steps);
	return ipcu_steps_do(visit->barrier->object.id, &steps, deadline);
}

/* Take the arrival back, or, with BREAKING, break the barrier. EAGAIN: released or broken meanwhile. */
static int retract(const struct visit *visit, bool breaking)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, BROKEN + visit->slot, 0, IPC_NOWAIT);
	ipcu_step(&steps, GATE + visit->slot, -1, IPC_NOWAIT);
	ipcu_step(&steps, GATE + visit->slot, 1, 0);
	and_leave(visit, &steps);
	if (breaking)
		ipcu_step(&steps, BROKEN + visit->slot, 1, 0);
	return do_now(visit->barrier, &steps);
}

/* After arriving: until released, broken, or the deadline. */
static enum ipcu_result stay(const struct visit *visit)
{
	const struct ipcu_object *object = &visit->barrier->object;
	struct ipcu_steps leave = { .count = 0 };
	int errnum = pass(visit, 0, visit->deadline), why = errnum, retracted;

	while (errnum == EAGAIN || errnum == EINTR) {
		retracted = retract(visit, why == EAGAIN && visit->how->break_on_timeout);
		if (retracted == 0)
			return ipcu_steps_failed(object, why, "cannot wait", visit->deadline);
		errnum = retracted == EAGAIN ? pass(visit, IPC_NOWAIT, NULL) : retracted;
	}
	if (errnum == ERANGE) {
		and_leave(visit, &leave);
		do_now(visit->barrier, &leave);
		return broken();
	}
	return errnum ? ipcu_steps_failed(object, errnum, "cannot wait", visit->deadline) : IPCU_OK;
}

/* ---- arriving --------------------------------------------------------------- */

/* The first free place, or the last one if a damaged set has none. */
static unsigned choose_place(const struct visit *visit)
{
	const unsigned short *places = visit->state.values + PLACE;
	unsigned place = 0;

	while (place + 2 < visit->barrier->parties && places[place] >> visit->state.slot & 1)
		place++;
	return place;
}

/*
 * Arrive as one of several, but not as the last one. EAGAIN: the generation is broken or over, or another process took the
 * place, or the deadline has come.
 */
static int arrive(struct visit *visit)
{
	struct ipcu_barrier_state *state = &visit->state;
	struct ipcu_steps steps = { .count = 0 };
	int bits;

	visit->slot = state->slot;
	visit->place = choose_place(visit);
	bits = state->values[PLACE + visit->place];
	ipcu_step(&steps, SEALED, 0, 0);
	ipcu_step(&steps, BROKEN + state->slot, 0, IPC_NOWAIT);
	ipcu_step(&steps, GATE + state->slot, -1, IPC_NOWAIT);
	ipcu_step(&steps, GATE + state->slot, 1, 0);
	if (bits)
		ipcu_step(&steps, PLACE + visit->place, -bits, IPC_NOWAIT);
	ipcu_step(&steps, PLACE + visit->place, 0, IPC_NOWAIT);
	if (bits)
		ipcu_step(&steps, PLACE + visit->place, bits, 0);
	ipcu_step(&steps, PLACE + visit->place, 1 << state->slot, SEM_UNDO);
	ipcu_step(&steps, ARRIVED + state->slot, 1, SEM_UNDO);
	return do_and_unlock(visit, &steps, visit->deadline);
}

/* Add to STEPS: all others are there and the generation is not broken. */
static void complete(const struct visit *visit, struct ipcu_steps *steps)
{
	unsigned slot = visit->state.slot;
	int others = (int)visit->barrier->parties - 1;

	ipcu_step(steps, SEALED, 0, 0);
	if (others) {
		ipcu_step(steps, ARRIVED + slot, -others, IPC_NOWAIT);
		ipcu_step(steps, ARRIVED + slot, others, 0);
	}
	ipcu_step(steps, BROKEN + slot, 0, IPC_NOWAIT);
}

/*
 * Release all. EAGAIN: a waiter has left, or the generation was broken or reset meanwhile. It waits only where every other slot
 * has a stopped process in it.
 */
static int release(struct visit *visit)
{
	struct timespec slice = ipcu_deadline_in(IPCU_BARRIER_SLICE);
	struct ipcu_steps steps = { .count = 0 };

	complete(visit, &steps);
	ipcu_barrier_open_next(&visit->state, &steps);
	return do_and_unlock(visit, &steps, ipcu_deadline_earlier(visit->deadline, &slice));
}

/* ---- the action ------------------------------------------------------------- */

/* Break the generation that the action failed for, unless it is over. */
static void break_generation(struct visit *visit)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_barrier_same(&visit->state, &steps);
	ipcu_step(&steps, BROKEN + visit->state.slot, 0, IPC_NOWAIT);
	ipcu_step(&steps, BROKEN + visit->state.slot, 1, 0);
	do_and_unlock(visit, &steps, NULL);
	unlock(visit);
}

/*
 * With the lock, which it releases: run the action while others may arrive and leave. *ERRNUM EAGAIN: a waiter has left, or the
 * generation was broken or reset meanwhile.
 */
static enum ipcu_result act(struct visit *visit, int *errnum)
{
	struct ipcu_steps steps = { .count = 0 };
	enum ipcu_result result;

	complete(visit, &steps);
	ipcu_barrier_same(&visit->state, &steps);
	ipcu_step(&steps, ACTION, 0, IPC_NOWAIT);
	ipcu_step(&steps, ACTION, 1, SEM_UNDO);
	*errnum = do_and_unlock(visit, &steps, visit->deadline);
	if (*errnum)
		return IPCU_OK;
	visit->acting = true;
	visit->generation = visit->state.generation;
	result = visit->how->action(visit->how->context);
	if (result == IPCU_OK)
		return IPCU_OK;
	break_generation(visit);
	ipcu_fail(result, "the action of the barrier failed, so the barrier is broken");
	return result;
}

/* All others are there and the last one runs its action. Wait until something changes. Returns with the lock. */
static enum ipcu_result wait_for_action(struct visit *visit)
{
	struct ipcu_steps steps = { .count = 0 };
	int errnum;

	unlock(visit);
	ipcu_step(&steps, BROKEN + visit->state.slot, OVERFLOW, 0);
	ipcu_step(&steps, BROKEN + visit->state.slot, -OVERFLOW, 0);
	ipcu_step(&steps, ACTION, 0, 0);
	errnum = ipcu_steps_do(visit->barrier->object.id, &steps, visit->deadline);
	if (errnum == 0 || errnum == ERANGE)
		return lock(visit);
	return ipcu_steps_failed(&visit->barrier->object, errnum, "cannot wait", visit->deadline);
}

/* ---- a visit ---------------------------------------------------------------- */

/* Look, and fail if the generation is broken, or over although the action was run for it. */
static enum ipcu_result look(struct visit *visit)
{
	struct ipcu_barrier_state *state = &visit->state;
	enum ipcu_result result = ipcu_barrier_look(visit->barrier, state);

	if (result == IPCU_OK &&
	    (state->broken || (visit->acting && state->generation != visit->generation)))
		return broken();
	return result;
}

/* With the lock, or acting: one attempt to arrive or to release the others. *ERRNUM says why neither was done. */
static enum ipcu_result attempt(struct visit *visit, int *errnum)
{
	enum ipcu_result result = look(visit);

	if (result != IPCU_OK)
		return result;
	if (visit->state.arrived + 1 < visit->barrier->parties) {
		*errnum = arrive(visit);
		visit->arrived = !*errnum;
	} else if (!visit->acting && visit->state.values[ACTION]) {
		return wait_for_action(visit);
	} else if (!visit->acting && visit->how->action) {
		return act(visit, errnum);
	} else {
		*errnum = release(visit);
		visit->released = !*errnum;
	}
	return IPCU_OK;
}

/* Report that the steps of this process failed CHANGES_MAX times. */
static enum ipcu_result restless(void)
{
	ipcu_fail(IPCU_SYSTEM, "cannot arrive: another process keeps changing the barrier");
	ipcu_hint("find the processes that use it with ipc-barrier status");
	return IPCU_SYSTEM;
}

/* With the lock, which it releases: arrive, or release the others. */
static enum ipcu_result come(struct visit *visit)
{
	enum ipcu_result result = IPCU_OK;
	int errnum = 0;

	for (long changes = 0; changes < CHANGES_MAX; changes++) {
		result = attempt(visit, &errnum);
		if (result != IPCU_OK || visit->arrived || visit->released)
			break;
		if (errnum && errnum != EAGAIN)
			break;
		errnum = 0;
		if (changes >= CHANGES_LEAST && visit->deadline &&
		    ipcu_deadline_passed(visit->deadline)) {
			errnum = EAGAIN;
			break;
		}
	}
	unlock(visit);
	if (result != IPCU_OK || visit->arrived || visit->released)
		return result;
	if (!errnum)
		return restless();
	return ipcu_steps_failed(&visit->barrier->object, errnum, "cannot wait", visit->deadline);
}

/*
 * Without the lock: arrive, unless all others are there already, or arrive and leave so fast that it is better to queue
 * for the lock.
 */
static enum ipcu_result come_at_once(struct visit *visit)
{
	int errnum = EAGAIN;

	for (int try = 0; try < 8 && errnum == EAGAIN; try++) {
		enum ipcu_result result = look(visit);

		if (result != IPCU_OK)
			return result;
		if (visit->state.arrived + 1 == visit->barrier->parties)
			return IPCU_OK;
		errnum = arrive(visit);
	}
	visit->arrived = !errnum;
	if (errnum && errnum != EAGAIN)
		return ipcu_steps_failed(&visit->barrier->object, errnum, "cannot wait",
					 visit->deadline);
	return IPCU_OK;
}

enum ipcu_result ipcu_barrier_wait(ipcu_barrier *barrier, const struct ipcu_barrier_how *how,
				   const struct timespec *deadline, unsigned *index)
{
	static const struct ipcu_barrier_how plain;
	struct visit visit = { .barrier = barrier,
			       .how = how ? how : &plain,
			       .deadline = deadline };
	enum ipcu_result result = come_at_once(&visit);

	if (result == IPCU_OK && !visit.arrived)
		result = lock(&visit);
	if (result == IPCU_OK && !visit.arrived)
		result = come(&visit);
	if (result == IPCU_OK && visit.arrived)
		result = stay(&visit);
	if (result == IPCU_OK && index)
		*index = visit.released ? barrier->parties - 1 : visit.place;
	free(visit.state.values);
	return result;
}
