/* SPDX-License-Identifier: MIT
 * barrier.c - where parties wait until all have come, generation by generation
 *
 * Everything is in one semaphore set, and every change of it is one semop: there is
 * no half-done state for a kill to leave. The set has a LOCK, the generation in two
 * digits, ACTION (somebody runs the action), a place for each party but the last,
 * and SLOTS slots. The open generation has a slot to itself:
 *
 *   GATE     1 while it holds its waiters. Exactly one slot's gate is 1.
 *   ARRIVED  who arrived and has not left
 *   BROKEN   1: it was aborted
 *
 *   arrive   {not broken, GATE is 1, the place is free, place, ARRIVED+1}, with undo: the kernel
 *            takes the arrival of the dead back. Needs no lock, so that hundreds need not queue for it;
 *            who has tried in vain for too often does it with the lock
 *   wait     {BROKEN overflows if 1, wait for GATE 0, ARRIVED-1, place}
 *   retract  {not broken, GATE 1, ARRIVED-1, place}: not if released meanwhile
 *   last     with the lock {ARRIVED is all others, not broken, GATE 0, next GATE 1,
 *            generation+1, unlock}
 *
 * The kernel carries the sleepers' "wait" out within the last one's step: they are released, have
 * left and have no undo in the same instant, running or not. And the step fails if somebody died or
 * gave up in between, so nobody is released by the arrival of a dead one. (SETALL,
 * which would clear undo records too, cannot be told to fail.) That BROKEN + 32767
 * overflows makes semop fail with ERANGE, for sleepers too: so a waiter learns
 * from the same call which of the two happened to its own generation, whatever came later.
 *
 * A slot is opened again only when nobody is left in it, so nobody ever mistakes a later generation for
 * its own. Only who is stopped or slow between "arrive" and "wait" stays in one,
 * and any free slot does.
 *
 * A place is a semaphore with a bit for each slot. Its number is the arrival index,
 * and so no two of a generation have the same, though places of leavers are taken again.
 *
 * Here are the kind, opening, looking, abort and reset; arriving, waiting and releasing are in barrier-wait.c.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "barrier.h"
#include "deadline.h"
#include "error.h"
#include "identity.h"

#define GRACE_NANOSECONDS \
	50000000 /* for a lock that is held for microseconds, whatever the deadline */

/* ---- the kind ------------------------------------------------------------- */

static int set_size(uint64_t parties)
{
	return (int)(PLACE + parties - 1 + IPCU_IDENTITY_MEMBERS);
}

static int create(key_t key, int flags, const uint64_t definition[4])
{
	return semget(key, set_size(definition[0]), flags);
}

static enum ipcu_result init(const struct ipcu_object *object, int id, const uint64_t definition[4])
{
	const struct ipcu_identity identity =
		ipcu_identity_of(IPCU_KIND_BARRIER, object->owner, object->name, 0);
	struct ipcu_steps steps = { .count = 0 };

	ipcu_identity_step(&steps, (unsigned)set_size(definition[0]), &identity);
	ipcu_step(&steps, LOCK, 1, 0);
	ipcu_step(&steps, GATE, 1, 0);
	return ipcu_identity_init(id, &steps);
}

/* All values of a set of PARTIES, checked. Free state->values whatever it returns. */
static enum ipcu_result look(int id, uint64_t parties, struct ipcu_barrier_state *state)
{
	unsigned open = 0;

	if (!state->values)
		state->values = calloc((size_t)set_size(parties), sizeof(*state->values));
	if (!state->values)
		return ipcu_fail_call("malloc", ENOMEM, "cannot read the barrier");
	if (ipcu_set_read(id, state->values, (unsigned)set_size(parties), NULL) < 0)
		return ipcu_fail_call("semctl", errno, "cannot read the barrier");
	for (unsigned slot = 0; slot < IPCU_BARRIER_SLOTS; slot++)
		if (state->values[GATE + slot] == 1) {
			open++;
			state->slot = slot;
		}
	if (open != 1 || state->values[ARRIVED + state->slot] >= parties ||
	    state->values[BROKEN + state->slot] > 1) {
		ipcu_fail(IPCU_SYSTEM,
			  "the barrier is damaged: another program changed its semaphores");
		ipcu_hint("remove it with ipc-rm -f and create it again");
		return IPCU_SYSTEM;
	}
	state->generation = state->values[HIGH] * (uint64_t)IPCU_DIGIT + state->values[LOW];
	state->arrived = state->values[ARRIVED + state->slot];
	state->broken = state->values[BROKEN + state->slot];
	return IPCU_OK;
}

static bool has_parties(int id, uint64_t parties)
{
	struct semid_ds set;

	return parties >= 1 && parties <= IPCU_PARTIES_MAX && ipcu_stat_set(id, &set) == 0 &&
	       set.sem_nsems == (unsigned long)set_size(parties);
}

static enum ipcu_result in_use(int id, const struct ipcu_record *record)
{
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = IPCU_OK;

	if (has_parties(id, record->definition[0]) &&
	    look(id, record->definition[0], &state) == IPCU_OK && state.arrived) {
		ipcu_fail(IPCU_CONFLICT, "it is in use: %u of %u parties wait at it", state.arrived,
			  (unsigned)record->definition[0]);
		ipcu_hint("ipc-barrier status shows who; ipc-rm -f removes it all the same");
		result = IPCU_CONFLICT;
	}
	free(state.values);
	return result;
}

static void describe(struct ipcu_info *info)
{
	struct ipcu_barrier_state state = { 0 };

	if (has_parties(info->id, info->definition[0]) &&
	    look(info->id, info->definition[0], &state) == IPCU_OK) {
		info->waiting = state.arrived;
		info->broken = state.broken;
	}
	free(state.values);
}

const struct ipcu_kind_ops ipcu_barrier_ops = {
	.kind = IPCU_KIND_BARRIER,
	.family = IPCU_FAMILY_SET,
	.call = "semget",
	.create = create,
	.init = init,
	.in_use = in_use,
	.describe = describe,
};

/* ---- opening -------------------------------------------------------------- */

static enum ipcu_result check_opened(const struct ipcu_object *object, unsigned parties)
{
	uint64_t has = object->definition[0];
	long members = ipcu_set_members(object->id);

	/* It may have been removed since its name was looked up, and then nothing is damaged. */
	if (members < 0)
		return ipcu_fail_call("semctl", errno, "cannot open it");
	if (parties && has != parties) {
		ipcu_fail(IPCU_CONFLICT, "it has %llu parties, not %u", (unsigned long long)has,
			  parties);
		ipcu_hint("use another name, or remove it with ipc-rm to create it anew");
		return IPCU_CONFLICT;
	}
	if (has < 1 || has > IPCU_PARTIES_MAX || members != set_size(has))
		return ipcu_fail(IPCU_SYSTEM,
				 "the barrier is damaged: its set does not fit %llu parties",
				 (unsigned long long)has);
	return IPCU_OK;
}

enum ipcu_result ipcu_barrier_open(ipcu_barrier **out, const char *name, unsigned parties,
				   const struct ipcu_open *how)
{
	uint64_t definition[4] = { parties };
	ipcu_barrier *barrier;
	enum ipcu_result result;

	if (parties > IPCU_PARTIES_MAX)
		return ipcu_fail(IPCU_USAGE, "a barrier has 1 to %d parties, not %u",
				 IPCU_PARTIES_MAX, parties);
	barrier = calloc(1, sizeof(*barrier));
	if (!barrier)
		return ipcu_fail_call("malloc", ENOMEM, "cannot open it");
	result = ipcu_steps_open(&barrier->object, &ipcu_barrier_ops, name, how,
				 parties ? definition : NULL);
	if (result == IPCU_OK)
		result = check_opened(&barrier->object, parties);
	else if (result == IPCU_NOT_FOUND && !parties)
		ipcu_hint("the first to use a barrier says how many PARTIES it has");
	if (result != IPCU_OK) {
		free(barrier);
		return result;
	}
	barrier->parties = (unsigned)barrier->object.definition[0];
	*out = barrier;
	return IPCU_OK;
}

void ipcu_barrier_close(ipcu_barrier *barrier)
{
	free(barrier);
}

enum ipcu_result ipcu_barrier_look(const ipcu_barrier *barrier, struct ipcu_barrier_state *state)
{
	enum ipcu_result result = look(barrier->object.id, barrier->parties, state);

	if (result == IPCU_DENIED)
		return ipcu_object_denied(&barrier->object, "semctl", "cannot read the barrier");
	return result;
}

/* ---- steps ---------------------------------------------------------------- */

enum ipcu_result ipcu_barrier_lock(ipcu_barrier *barrier, const struct timespec *deadline)
{
	struct timespec grace = ipcu_deadline_in(GRACE_NANOSECONDS);
	struct ipcu_steps steps = { .count = 0 };
	int errnum;

	ipcu_step(&steps, LOCK, -1, SEM_UNDO);
	errnum = ipcu_steps_do(barrier->object.id, &steps,
			       deadline && ipcu_deadline_passed(deadline) ? &grace : deadline);
	return errnum ? ipcu_steps_failed(&barrier->object, errnum, "cannot lock the barrier",
					  deadline)
		      : IPCU_OK;
}

static void unlock(ipcu_barrier *barrier)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, LOCK, 1, SEM_UNDO);
	ipcu_steps_do(barrier->object.id, &steps, NULL);
}

void ipcu_barrier_open_next(const struct ipcu_barrier_state *state, struct ipcu_steps *steps)
{
	unsigned next = (state->slot + 1) % IPCU_BARRIER_SLOTS;

	for (unsigned i = 1; i < IPCU_BARRIER_SLOTS && state->values[ARRIVED + next]; i++)
		next = next + 1 == IPCU_BARRIER_SLOTS ? 0 : next + 1;
	if (next == state->slot)
		next = (next + 1) % IPCU_BARRIER_SLOTS;
	ipcu_step(steps, ARRIVED + next, 0, 0);
	if (state->values[BROKEN + next])
		ipcu_step(steps, BROKEN + next, -state->values[BROKEN + next], IPC_NOWAIT);
	ipcu_step(steps, GATE + state->slot, -1, IPC_NOWAIT);
	ipcu_step(steps, GATE + next, 1, 0);
	ipcu_step_count(steps, LOW, state->values[LOW], state->values[HIGH]);
}

/* ---- abort, reset, status -------------------------------------------------- */

/* Break the open generation; *STATE is what it was. Needs no lock, so an action does not delay it. */
static enum ipcu_result break_open(ipcu_barrier *barrier, struct ipcu_barrier_state *state)
{
	int errnum = EAGAIN;

	while (errnum == EAGAIN || errnum == EINTR) {
		struct ipcu_steps steps = { .count = 0 };
		enum ipcu_result result = ipcu_barrier_look(barrier, state);

		if (result != IPCU_OK || state->broken)
			return result;
		ipcu_step(&steps, GATE + state->slot, -1, IPC_NOWAIT);
		ipcu_step(&steps, GATE + state->slot, 1, 0);
		ipcu_step(&steps, BROKEN + state->slot, 0, IPC_NOWAIT);
		ipcu_step(&steps, BROKEN + state->slot, 1, 0);
		errnum = ipcu_steps_do(barrier->object.id, &steps, NULL);
	}
	return errnum ? ipcu_steps_failed(&barrier->object, errnum, "cannot break the barrier",
					  NULL)
		      : IPCU_OK;
}

enum ipcu_result ipcu_barrier_abort(ipcu_barrier *barrier)
{
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = break_open(barrier, &state);

	free(state.values);
	return result;
}

enum ipcu_result ipcu_barrier_reset(ipcu_barrier *barrier)
{
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = ipcu_barrier_look(barrier, &state);
	uint64_t generation;
	int errnum = EAGAIN;

	if (result == IPCU_OK && (state.broken || state.arrived || state.values[ACTION]))
		result = break_open(barrier, &state);
	else
		errnum = 0; /* whole, and nobody there: nothing to do */
	generation = state.generation;
	while (result == IPCU_OK && (errnum == EAGAIN || errnum == EINTR)) {
		struct timespec slice = ipcu_deadline_in(IPCU_BARRIER_SLICE);
		struct ipcu_steps steps = { .count = 0 };

		result = ipcu_barrier_lock(barrier, NULL);
		if (result == IPCU_NOT_NOW) { /* a signal: begin again */
			result = IPCU_OK;
			continue;
		}
		if (result != IPCU_OK)
			break;
		result = ipcu_barrier_look(barrier, &state);
		if (result != IPCU_OK) {
			unlock(barrier);
			break;
		}
		errnum = 0; /* another reset may have been faster */
		if (state.generation == generation && state.broken) {
			ipcu_barrier_open_next(&state, &steps);
			ipcu_step(&steps, LOCK, 1, SEM_UNDO);
			errnum = ipcu_steps_do(barrier->object.id, &steps, &slice);
		}
		if (errnum || !steps.count)
			unlock(barrier);
	}
	free(state.values);
	if (result == IPCU_OK && errnum)
		return ipcu_steps_failed(&barrier->object, errnum, "cannot reset the barrier",
					 NULL);
	return result;
}

enum ipcu_result ipcu_barrier_status(ipcu_barrier *barrier, struct ipcu_barrier_info *info)
{
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = ipcu_barrier_look(barrier, &state);

	if (result == IPCU_OK) {
		info->parties = barrier->parties;
		info->waiting = state.arrived;
		info->generation = state.generation;
		info->broken = state.broken;
		info->acting = state.values[ACTION] != 0;
	}
	free(state.values);
	return result;
}

enum ipcu_result ipcu_barrier_waiters(ipcu_barrier *barrier, ipcu_barrier_waiter_fn fn,
				      void *context)
{
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = ipcu_barrier_look(barrier, &state);

	for (unsigned place = 0; result == IPCU_OK && place + 1 < barrier->parties; place++) {
		int pid;

		if (!(state.values[PLACE + place] >> state.slot & 1))
			continue;
		/* Who changed its place last is who came to it. */
		pid = semctl(barrier->object.id, (int)(PLACE + place), GETPID);
		if (pid > 0)
			fn((pid_t)pid, place, context);
	}
	free(state.values);
	return result;
}
