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

/* One party's visit. */
struct visit {
	ipcu_barrier *barrier;
	const struct ipcu_barrier_how *how;
	const struct timespec *deadline;
	struct ipcu_barrier_state state;
	bool acting; /* holds ACTION, and the action was done for GENERATION */
	uint64_t generation;
	unsigned slot, place;
};

/* ---- steps ---------------------------------------------------------------- */

static int do_now(ipcu_barrier *barrier, struct ipcu_steps *steps)
{
	return ipcu_steps_do(barrier->object.id, steps, NULL);
}

static enum ipcu_result broken(void)
{
	ipcu_fail(IPCU_BROKEN, "the barrier is broken");
	ipcu_hint(
		"it was aborted, a timeout or an action broke it: ipc-barrier reset makes it whole again");
	return IPCU_BROKEN;
}

/* What every step of a holder ends with. */
static void and_unlock(const struct visit *visit, struct ipcu_steps *steps)
{
	if (visit->acting)
		ipcu_step(steps, ACTION, -1, SEM_UNDO | IPC_NOWAIT);
	ipcu_step(steps, LOCK, 1, SEM_UNDO);
}

static void unlock(struct visit *visit)
{
	struct ipcu_steps steps = { .count = 0 };

	and_unlock(visit, &steps);
	do_now(visit->barrier, &steps);
	visit->acting = false;
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

/*
 * Come as one who is not the last; needs no lock, but gives it back if it is LOCKED. EAGAIN: broken, the
 * generation is over, or somebody was faster in taking the place.
 */
static int arrive(struct visit *visit, bool locked)
{
	struct ipcu_barrier_state *state = &visit->state;
	struct ipcu_steps steps = { .count = 0 };
	unsigned place = 0;
	int errnum, bits;

	while (place + 2 < visit->barrier->parties &&
	       state->values[PLACE + place] >> state->slot & 1)
		place++;
	visit->slot = state->slot;
	visit->place = place;
	bits = state->values[PLACE + place];
	ipcu_step(&steps, BROKEN + state->slot, 0, IPC_NOWAIT);
	ipcu_step(&steps, GATE + state->slot, -1, IPC_NOWAIT);
	ipcu_step(&steps, GATE + state->slot, 1, 0);
	if (bits)
		ipcu_step(&steps, PLACE + place, -bits, IPC_NOWAIT);
	ipcu_step(&steps, PLACE + place, 0, IPC_NOWAIT);
	if (bits)
		ipcu_step(&steps, PLACE + place, bits, 0);
	ipcu_step(&steps, PLACE + place, 1 << state->slot, SEM_UNDO);
	ipcu_step(&steps, ARRIVED + state->slot, 1, SEM_UNDO);
	if (locked)
		and_unlock(visit, &steps);
	errnum = do_now(visit->barrier, &steps);
	if (!errnum)
		visit->acting = false;
	return errnum;
}

/* With the lock, which it gives back: release all. EAGAIN: one has left, or broken meanwhile. */
static int release(struct visit *visit)
{
	struct ipcu_barrier_state *state = &visit->state;
	struct timespec slice = ipcu_deadline_in(IPCU_BARRIER_SLICE);
	int others = (int)visit->barrier->parties - 1;
	struct ipcu_steps steps = { .count = 0 };
	int errnum;

	if (others) {
		ipcu_step(&steps, ARRIVED + state->slot, -others, IPC_NOWAIT);
		ipcu_step(&steps, ARRIVED + state->slot, others, 0);
	}
	ipcu_step(&steps, BROKEN + state->slot, 0, IPC_NOWAIT);
	ipcu_barrier_open_next(state, &steps);
	and_unlock(visit, &steps);
	/* It waits only where every other slot has a stopped process in it. */
	errnum = ipcu_steps_do(visit->barrier->object.id, &steps, &slice);
	if (!errnum)
		visit->acting = false;
	return errnum;
}

/* With the lock, and with it again on IPCU_OK: run the action while others may come and go. */
static enum ipcu_result act(struct visit *visit)
{
	ipcu_barrier *barrier = visit->barrier;
	struct ipcu_steps steps = { .count = 0 };
	enum ipcu_result result, locked;
	int errnum;

	ipcu_step(&steps, ACTION, 1, SEM_UNDO);
	ipcu_step(&steps, LOCK, 1, SEM_UNDO);
	errnum = do_now(barrier, &steps);
	if (errnum) {
		unlock(visit);
		return ipcu_steps_failed(&barrier->object, errnum, "cannot run the action", NULL);
	}
	visit->acting = true;
	visit->generation = visit->state.generation;
	result = visit->how->action(visit->how->context);
	do
		locked = ipcu_barrier_lock(barrier, NULL);
	while (locked == IPCU_NOT_NOW);
	if (locked != IPCU_OK || result == IPCU_OK)
		return locked;
	/* The generation it failed for is the one it breaks, no later one. */
	if (ipcu_barrier_look(barrier, &visit->state) == IPCU_OK &&
	    visit->state.generation == visit->generation && !visit->state.broken) {
		memset(&steps, 0, sizeof(steps));
		ipcu_step(&steps, BROKEN + visit->state.slot, 0, IPC_NOWAIT);
		ipcu_step(&steps, BROKEN + visit->state.slot, 1, 0);
		do_now(barrier, &steps);
	}
	unlock(visit);
	ipcu_fail(result, "the barrier's action failed, and so the barrier is broken");
	return result;
}

/* Without the lock: all others are there and the last one runs its action; wait until something changes. */
static enum ipcu_result wait_for_action(struct visit *visit)
{
	struct ipcu_steps steps = { .count = 0 };
	int errnum;

	ipcu_step(&steps, BROKEN + visit->state.slot, OVERFLOW, 0);
	ipcu_step(&steps, BROKEN + visit->state.slot, -OVERFLOW, 0);
	ipcu_step(&steps, ACTION, 0, 0);
	errnum = ipcu_steps_do(visit->barrier->object.id, &steps, visit->deadline);
	if (errnum == 0 || errnum == ERANGE)
		return ipcu_barrier_lock(visit->barrier, visit->deadline);
	return ipcu_steps_failed(&visit->barrier->object, errnum, "cannot wait", visit->deadline);
}

/* With the lock, which it gives back: arrive, or be the last. */
static enum ipcu_result come(struct visit *visit, unsigned *index)
{
	ipcu_barrier *barrier = visit->barrier;
	struct ipcu_barrier_state *state = &visit->state;
	int errnum = 0;

	while (errnum == 0 || errnum == EAGAIN || errnum == EINTR) {
		enum ipcu_result result = ipcu_barrier_look(barrier, state);
		bool complete = state->arrived + 1 == barrier->parties;

		if (result == IPCU_OK &&
		    (state->broken || (visit->acting && state->generation != visit->generation)))
			result = broken();
		if (result != IPCU_OK) {
			unlock(visit);
			return result;
		}
		if (complete && !visit->acting && state->values[ACTION]) {
			unlock(visit);
			result = wait_for_action(visit);
		} else if (complete && !visit->acting && visit->how->action) {
			result = act(visit);
		} else if (complete) {
			errnum = release(visit);
			*index = barrier->parties - 1;
			if (!errnum)
				return IPCU_OK;
			if (errnum == EAGAIN && visit->deadline &&
			    ipcu_deadline_passed(visit->deadline))
				break;
		} else {
			errnum = arrive(visit, true);
			*index = visit->place;
			if (!errnum)
				return stay(visit);
		}
		if (result != IPCU_OK)
			return result;
	}
	unlock(visit);
	return ipcu_steps_failed(&barrier->object, errnum, "cannot wait", visit->deadline);
}

/*
 * Without the lock: arrive as one who is not the last, and stay. *ARRIVED false: all others are there
 * already, or come and go so fast that it is better to queue for the lock.
 */
static enum ipcu_result come_at_once(struct visit *visit, bool *arrived, unsigned *index)
{
	int errnum = EAGAIN;

	*arrived = false;
	for (int try = 0; try < 8 && (errnum == EAGAIN || errnum == EINTR); try++) {
		enum ipcu_result result = ipcu_barrier_look(visit->barrier, &visit->state);

		if (result != IPCU_OK)
			return result;
		if (visit->state.broken)
			return broken();
		if (visit->state.arrived + 1 == visit->barrier->parties)
			return IPCU_OK;
		errnum = arrive(visit, false);
	}
	if (errnum == EAGAIN || errnum == EINTR)
		return IPCU_OK;
	if (errnum)
		return ipcu_steps_failed(&visit->barrier->object, errnum, "cannot wait",
					 visit->deadline);
	*arrived = true;
	*index = visit->place;
	return stay(visit);
}

enum ipcu_result ipcu_barrier_wait(ipcu_barrier *barrier, const struct ipcu_barrier_how *how,
				   const struct timespec *deadline, unsigned *index)
{
	static const struct ipcu_barrier_how plain;
	struct visit visit = { .barrier = barrier,
			       .how = how ? how : &plain,
			       .deadline = deadline };
	unsigned mine = 0;
	bool arrived;
	enum ipcu_result result = come_at_once(&visit, &arrived, &mine);

	if (result == IPCU_OK && !arrived)
		result = ipcu_barrier_lock(barrier, deadline);
	if (result == IPCU_OK && !arrived)
		result = come(&visit, &mine);
	if (result == IPCU_OK && index)
		*index = mine;
	free(visit.state.values);
	return result;
}
