/* SPDX-License-Identifier: MIT
 * barrier.c - where parties wait until all have arrived, generation by generation
 *
 * All state is in one semaphore set, and every change of it is one semop: a kill leaves no half-done
 * state. The set has a LOCK, the generation in two digits, ACTION (1 while a process runs the
 * action), SEALED (1 while a process removes the barrier), a place for each party but the last,
 * and SLOTS slots. The open generation has a slot to itself:
 *
 *   GATE     1 while the slot holds its waiters. Exactly one slot's gate is 1.
 *   ARRIVED  the number of processes that arrived and have not left
 *   BROKEN   1: the generation was aborted or reset
 *
 *   arrive   {wait for SEALED 0, not broken, GATE is 1, the place is free, place, ARRIVED+1}, with undo: the
 *            kernel takes the arrival of a dead process back. Needs no lock, so that hundreds need not queue for
 *            it. A process whose step has failed eight times takes the lock first.
 *   wait     {BROKEN overflows if 1, wait for GATE 0, ARRIVED-1, place}
 *   retract  {not broken, GATE 1, ARRIVED-1, place}: fails if the waiter was released meanwhile
 *   last     {ARRIVED is all others, not broken, same generation, GATE 0, next GATE 1, generation+1}
 *   abort    {same generation, BROKEN 1}
 *   reset    {same generation, BROKEN 1, GATE 0, next GATE 1, generation+1}
 *   seal     {same generation, ARRIVED 0, ACTION 0, SEALED+1 undo}: no process can arrive until the barrier is
 *            removed, or the remover ends
 *
 * The kernel carries the sleepers' "wait" out within the step that ends it: they are released or ejected, have
 * left and have no undo in the same instant, running or not. The last one's step fails if a waiter died or
 * gave up in between, so no waiter is released by the arrival of a dead process. (SETALL,
 * which would clear undo records too, has no condition.) That BROKEN + 32767
 * overflows makes semop fail with ERANGE, for sleepers too: a waiter learns
 * from the same call which of the two happened to its own generation, whatever came later.
 *
 * A reset ejects the waiters and opens the next generation in one step. A waiter that returns at once therefore arrives
 * in the next generation; in two steps it could find the old one, still broken, and be ejected again and again.
 *
 * A slot is opened again only when no process is left in it, so no process mistakes a later generation for
 * its own. Only a process that is stopped or slow between "arrive" and "wait" stays in a slot,
 * and any free slot will do for the next generation.
 *
 * Every step that ends a generation names it by its two digits. So the lock decides nothing: it is a queue for the
 * processes that change the barrier, which would otherwise make each other's steps fail.
 *
 * A place is a semaphore with a bit for each slot. Its number is the arrival index,
 * so no two parties of a generation have the same one, though the place of a waiter that left is taken again.
 *
 * The order of memory needs no thought here: there is no shared memory, and the kernel makes each step, and each reading of
 * all values, indivisible under the lock of the set.
 *
 * This file has the kind, opening, looking, abort and reset; barrier-wait.c has arriving, waiting and releasing.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "barrier.h"
#include "deadline.h"
#include "error.h"
#include "identity.h"

/*
 * The time limit of abort and reset, which have no deadline. They wait only while stopped processes occupy all other slots,
 * or while a process that may write the set keeps changing it.
 */
#define CHANGE_NANOSECONDS INT64_C(5000000000)

#define SEAL_TRIES 1000 /* none of them waits: about a millisecond */

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

static unsigned members(const uint64_t definition[4])
{
	return (unsigned)set_size(definition[0]);
}

static bool may_be_defined(const uint64_t definition[4])
{
	return definition[0] >= 1 && definition[0] <= IPCU_PARTIES_MAX;
}

/* The number of parties follows from the number of members. */
static bool redefine(struct ipcu_found *found, uint64_t definition[4])
{
	unsigned least = (unsigned)set_size(1);

	definition[0] = found->members < least ? 0 : found->members - least + 1;
	return may_be_defined(definition);
}

/* Return true if only the open slot's gate is 1, and no value is larger than PARTIES can make it. */
static bool plausible(struct ipcu_barrier_state *state, uint64_t parties)
{
	const unsigned short *values = state->values;
	unsigned open = 0;

	for (unsigned slot = 0; slot < IPCU_BARRIER_SLOTS; slot++)
		if (values[GATE + slot] == 1) {
			open++;
			state->slot = slot;
		}
	for (unsigned place = 0; place + 1 < parties; place++)
		if (values[PLACE + place] >= 1u << IPCU_BARRIER_SLOTS)
			return false;
	return open == 1 && values[ARRIVED + state->slot] < parties &&
	       values[BROKEN + state->slot] <= 1 && values[ACTION] <= 1 && values[LOCK] <= 1 &&
	       values[SEALED] <= 1;
}

/* Read and check all values of a set of PARTIES. The caller frees state->values, whatever the result. */
static enum ipcu_result look(int id, uint64_t parties, struct ipcu_barrier_state *state)
{
	if (!state->values)
		state->values = calloc((size_t)set_size(parties), sizeof(*state->values));
	if (!state->values)
		return ipcu_fail_call("malloc", ENOMEM, "cannot read the barrier");
	if (ipcu_set_read(id, state->values, (unsigned)set_size(parties), NULL) < 0)
		return ipcu_fail_call("semctl", errno, "cannot read the barrier");
	if (!plausible(state, parties)) {
		ipcu_fail(IPCU_SYSTEM,
			  "the barrier is corrupted: another program changed its semaphores");
		ipcu_hint(
			"stop the programs that use it before it is replaced; ipc-ls -o +USE shows them");
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

static enum ipcu_result used(const struct ipcu_barrier_state *state, uint64_t parties)
{
	if (state->arrived)
		ipcu_fail(IPCU_CONFLICT, "it is in use: %u of %u parties wait at it",
			  state->arrived, (unsigned)parties);
	else if (state->values[ACTION])
		ipcu_fail(IPCU_CONFLICT, "it is in use: a process runs its action");
	else
		return IPCU_OK;
	ipcu_hint(
		"wait until it is no longer in use; ipc-barrier status shows the waiting processes");
	return IPCU_CONFLICT;
}

static enum ipcu_result in_use(int id, const struct ipcu_record *record)
{
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = IPCU_OK;

	if (has_parties(id, record->definition[0]) &&
	    look(id, record->definition[0], &state) == IPCU_OK)
		result = used(&state, record->definition[0]);
	free(state.values);
	return result;
}

/* Set SEALED in the step that finds no party at the barrier. 0 or an errno; EAGAIN if there is one. */
static int seal_once(int id, const struct ipcu_barrier_state *state)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_barrier_same(state, &steps);
	ipcu_step(&steps, ARRIVED + state->slot, 0, IPC_NOWAIT);
	ipcu_step(&steps, ACTION, 0, IPC_NOWAIT);
	ipcu_step(&steps, SEALED, 0, IPC_NOWAIT);
	ipcu_step(&steps, SEALED, 1, SEM_UNDO);
	return ipcu_steps_do(id, &steps, NULL);
}

static enum ipcu_result seal(int id, const struct ipcu_record *record)
{
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = IPCU_OK;
	int errnum = EAGAIN;

	/* EAGAIN: a process arrived, and perhaps left again, since the values were read. */
	for (int try = 0; try < SEAL_TRIES && errnum == EAGAIN && result == IPCU_OK; try++) {
		if (!has_parties(id, record->definition[0]) ||
		    look(id, record->definition[0], &state) != IPCU_OK) {
			errnum = 0; /* corrupted: no process can use it */
			break;
		}
		result = used(&state, record->definition[0]);
		if (result == IPCU_OK)
			errnum = seal_once(id, &state);
	}
	free(state.values);
	if (result == IPCU_OK && errnum == EAGAIN) {
		ipcu_fail(IPCU_CONFLICT, "it is in use: other processes keep changing it");
		ipcu_hint(
			"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
		return IPCU_CONFLICT;
	}
	/* Otherwise sealed, removed meanwhile, or without write permission: then it is as far as one can look. */
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
	.redefine = redefine,
	.members = members,
	.plausible = may_be_defined,
	.in_use = in_use,
	.seal = seal,
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
		ipcu_hint("use another name; ipc-ls shows the object of this one");
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
	else if (result == IPCU_NOT_FOUND && !parties && !*ipcu_last_error()->hint)
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

/* Fail with EAGAIN unless SEMAPHORE has VALUE. */
static void expect(struct ipcu_steps *steps, unsigned semaphore, unsigned short value)
{
	if (value)
		ipcu_step(steps, semaphore, -(int)value, IPC_NOWAIT);
	ipcu_step(steps, semaphore, 0, IPC_NOWAIT);
	if (value)
		ipcu_step(steps, semaphore, (int)value, 0);
}

void ipcu_barrier_same(const struct ipcu_barrier_state *state, struct ipcu_steps *steps)
{
	expect(steps, LOW, state->values[LOW]);
	expect(steps, HIGH, state->values[HIGH]);
}

void ipcu_barrier_open_next(const struct ipcu_barrier_state *state, struct ipcu_steps *steps)
{
	unsigned next = (state->slot + 1) % IPCU_BARRIER_SLOTS;

	for (unsigned i = 1; i < IPCU_BARRIER_SLOTS && state->values[ARRIVED + next]; i++)
		next = next + 1 == IPCU_BARRIER_SLOTS ? 0 : next + 1;
	if (next == state->slot)
		next = (next + 1) % IPCU_BARRIER_SLOTS;
	ipcu_barrier_same(state, steps);
	ipcu_step(steps, ARRIVED + next, 0, 0);
	if (state->values[BROKEN + next])
		ipcu_step(steps, BROKEN + next, -state->values[BROKEN + next], IPC_NOWAIT);
	ipcu_step(steps, GATE + state->slot, -1, IPC_NOWAIT);
	ipcu_step(steps, GATE + next, 1, 0);
	ipcu_step_count(steps, LOW, state->values[LOW], state->values[HIGH]);
}

/* ---- abort, reset, status -------------------------------------------------- */

/* Report why a step that has no deadline failed. */
static enum ipcu_result not_changed(const ipcu_barrier *barrier, int errnum, const char *doing)
{
	if (errnum != EAGAIN && errnum != EINTR)
		return ipcu_steps_failed(&barrier->object, errnum, doing, NULL);
	ipcu_fail(IPCU_SYSTEM, "%s: other processes occupy all its slots, or keep changing it",
		  doing);
	ipcu_hint("continue stopped processes (kill -CONT) or end them; ipc-barrier status lists "
		  "the waiters");
	return IPCU_SYSTEM;
}

enum ipcu_result ipcu_barrier_abort(ipcu_barrier *barrier)
{
	struct timespec last = ipcu_deadline_in(CHANGE_NANOSECONDS);
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result;
	int errnum;

	/* EAGAIN: another process ended the generation, or broke it. */
	do {
		struct ipcu_steps steps = { .count = 0 };

		errnum = 0;
		result = ipcu_barrier_look(barrier, &state);
		if (result != IPCU_OK || state.broken)
			break;
		ipcu_barrier_same(&state, &steps);
		ipcu_step(&steps, BROKEN + state.slot, 0, IPC_NOWAIT);
		ipcu_step(&steps, BROKEN + state.slot, 1, 0);
		errnum = ipcu_steps_do(barrier->object.id, &steps, NULL);
	} while (errnum == EAGAIN && !ipcu_deadline_passed(&last));
	free(state.values);
	return errnum ? not_changed(barrier, errnum, "cannot break the barrier") : result;
}

/* Eject the waiters of STATE's generation and open the next one, in one step. */
static int reset_once(ipcu_barrier *barrier, const struct ipcu_barrier_state *state,
		      const struct timespec *last)
{
	struct timespec slice = ipcu_deadline_in(IPCU_BARRIER_SLICE);
	struct ipcu_steps steps = { .count = 0 };

	if (!state->broken) {
		ipcu_step(&steps, BROKEN + state->slot, 0, IPC_NOWAIT);
		ipcu_step(&steps, BROKEN + state->slot, 1, 0);
	}
	ipcu_barrier_open_next(state, &steps);
	return ipcu_steps_do(barrier->object.id, &steps, ipcu_deadline_earlier(last, &slice));
}

enum ipcu_result ipcu_barrier_reset(ipcu_barrier *barrier)
{
	struct timespec last = ipcu_deadline_in(CHANGE_NANOSECONDS);
	struct ipcu_barrier_state state = { 0 };
	enum ipcu_result result = ipcu_barrier_look(barrier, &state);
	uint64_t generation = state.generation;
	int errnum = 0;

	/* If another process has ended the generation meanwhile, none of its waiters is left. */
	while (result == IPCU_OK && state.generation == generation &&
	       (state.broken || state.arrived || state.values[ACTION])) {
		errnum = reset_once(barrier, &state, &last);
		if ((errnum != EAGAIN && errnum != EINTR) || ipcu_deadline_passed(&last))
			break;
		errnum = 0;
		result = ipcu_barrier_look(barrier, &state);
	}
	free(state.values);
	return errnum ? not_changed(barrier, errnum, "cannot reset the barrier") : result;
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
