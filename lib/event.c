/* SPDX-License-Identifier: MIT
 * event.c - an event that is set or not, and the processes that wait for it
 *
 * A set of semaphores: the generation in two digits, SLOTS gates, and SEALED, which is 1 while a process removes the event.
 * While the event is not set, the gate of the open generation is 1 and all others are 0; while it is set, all
 * are 0. A waiter waits for zero at the gate of the generation in which it came.
 *
 *   wait   {wait for SEALED 0, wait for gate 0}
 *   set    {same generation, gate 0}
 *   clear  {same generation, generation+1, its gate 1}
 *   pulse  {same generation, gate 0, generation+1, its gate 1}
 *   seal   {SEALED+1 undo}, and then count the waiters at the gate
 *
 * Each is one semop, and the kernel releases all sleepers at a gate within that call, even if the next call closes a gate. A
 * process that comes after a pulse finds another gate. There is nothing to undo but a seal: a kill changes nothing. Waiting
 * for zero needs only read permission.
 *
 * A waiter cannot announce itself, since it may have read permission only. So a remover seals first and counts then: a waiter
 * that fell asleep before is counted, and a waiter that comes later sleeps on SEALED until the event is removed or unsealed.
 *
 * A waiter whose generation is over is released, since the generation ended by a set or a pulse. A waiter that
 * slept through SLOTS of them between looking and waiting finds its gate closed again;
 * for the kernel it had not begun to wait. It looks again on a slow timer.
 *
 * There is no shared memory. The kernel makes each step, and each reading of all values, indivisible.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "error.h"
#include "identity.h"
#include "queue.h"
#include "steps.h"

#define SLOTS 8u
#define SLICE_NANOSECONDS INT64_C(30000000000)

/*
 * The time limit of a change, which has no deadline. It never waits, and fails only if other processes change the event in
 * between. A process that may write the set could repeat that without end.
 */
#define CHANGE_NANOSECONDS INT64_C(5000000000)

enum { LOW, HIGH, GATE, SEALED = GATE + SLOTS, IDENTITY, SIZE = IDENTITY + IPCU_IDENTITY_MEMBERS };

struct ipcu_event {
	struct ipcu_object object;
};

struct state {
	unsigned short values[SIZE];
	uint64_t generation;
	unsigned slot;
	bool set;
};

static int create(key_t key, int flags, const uint64_t definition[4])
{
	(void)definition;
	return semget(key, SIZE, flags);
}

static enum ipcu_result init(const struct ipcu_object *object, int id, const uint64_t definition[4])
{
	const struct ipcu_identity identity =
		ipcu_identity_of(IPCU_KIND_EVENT, object->owner, object->name, 0);
	struct ipcu_steps steps = { .count = 0 };

	(void)definition;
	ipcu_identity_step(&steps, SIZE, &identity);
	ipcu_step(&steps, GATE, 1, 0);
	return ipcu_identity_init(id, &steps);
}

static unsigned members(const uint64_t definition[4])
{
	(void)definition;
	return SIZE;
}

static bool redefine(struct ipcu_found *found, uint64_t definition[4])
{
	(void)definition;
	return found->members == SIZE;
}

static bool is_event(int id)
{
	struct semid_ds set;

	return ipcu_stat_set(id, &set) == 0 && set.sem_nsems == SIZE;
}

static enum ipcu_result look(const struct ipcu_object *object, int id, struct state *state)
{
	unsigned open = 0;

	memset(state, 0, sizeof(*state));
	if (ipcu_set_read(id, state->values, SIZE, NULL) < 0) {
		if (errno == EACCES && object)
			return ipcu_object_denied(object, "semctl", "cannot read the event");
		return ipcu_fail_call("semctl", errno, "cannot read the event");
	}
	state->generation = state->values[HIGH] * (uint64_t)IPCU_DIGIT + state->values[LOW];
	state->slot = (unsigned)(state->generation % SLOTS);
	for (unsigned slot = 0; slot < SLOTS; slot++)
		open += state->values[GATE + slot];
	state->set = open == 0;
	if (open <= 1 && open == state->values[GATE + state->slot] && state->values[SEALED] <= 1)
		return IPCU_OK;
	ipcu_fail(IPCU_SYSTEM, "the event is corrupted: another program changed its semaphores");
	ipcu_hint("stop the programs that use it before it is replaced; ipc-ls -o +USE shows them");
	return IPCU_SYSTEM;
}

static unsigned waiting(int id, const struct state *state)
{
	int count = state->set ? 0 : semctl(id, (int)(GATE + state->slot), GETZCNT);

	return count > 0 ? (unsigned)count : 0;
}

static enum ipcu_result used(unsigned count)
{
	if (!count)
		return IPCU_OK;
	ipcu_fail(IPCU_CONFLICT, "it is in use: %u processes wait for it", count);
	ipcu_hint(
		"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
	return IPCU_CONFLICT;
}

static enum ipcu_result in_use(int id, const struct ipcu_record *record)
{
	struct state state;

	(void)record;
	if (!is_event(id) || look(NULL, id, &state) != IPCU_OK)
		return IPCU_OK;
	return used(waiting(id, &state));
}

static enum ipcu_result seal(int id, const struct ipcu_record *record)
{
	struct ipcu_steps steps = { .count = 0 };
	enum ipcu_result result;
	int errnum;

	if (!is_event(id))
		return IPCU_OK;
	ipcu_step(&steps, SEALED, 0, IPC_NOWAIT);
	ipcu_step(&steps, SEALED, 1, SEM_UNDO);
	errnum = ipcu_steps_do(id, &steps, NULL);
	if (errnum == EAGAIN) {
		ipcu_fail(IPCU_CONFLICT, "another process is removing it");
		ipcu_hint("try again; ipc-ls shows whether it still exists");
		return IPCU_CONFLICT;
	}
	result = in_use(id, record);
	if (result != IPCU_OK && !errnum) {
		steps.count = 0;
		ipcu_step(&steps, SEALED, -1, SEM_UNDO | IPC_NOWAIT);
		ipcu_steps_do(id, &steps, NULL);
	}
	return result;
}

static void describe(struct ipcu_info *info)
{
	struct state state;

	if (!is_event(info->id) || look(NULL, info->id, &state) != IPCU_OK)
		return;
	info->waiting = waiting(info->id, &state);
	info->set = state.set;
}

const struct ipcu_kind_ops ipcu_event_ops = {
	.kind = IPCU_KIND_EVENT,
	.family = IPCU_FAMILY_SET,
	.call = "semget",
	.create = create,
	.init = init,
	.redefine = redefine,
	.members = members,
	.seal = seal,
	.in_use = in_use,
	.describe = describe,
};

/* It may also have been removed since its name was looked up, and then nothing is damaged. */
static enum ipcu_result check_set(int id)
{
	long members = ipcu_set_members(id);

	if (members < 0)
		return ipcu_fail_call("semctl", errno, "cannot open it");
	if (members != SIZE)
		return ipcu_fail(IPCU_SYSTEM,
				 "the event is corrupted: its set has a different size");
	return IPCU_OK;
}

enum ipcu_result ipcu_event_open(ipcu_event **out, const char *name, const struct ipcu_open *how)
{
	static const uint64_t definition[4];
	ipcu_event *event = calloc(1, sizeof(*event));
	enum ipcu_result result;

	if (!event)
		return ipcu_fail_call("malloc", ENOMEM, "cannot open it");
	result = ipcu_steps_open(&event->object, &ipcu_event_ops, name, how, definition);
	if (result == IPCU_OK)
		result = check_set(event->object.id);
	if (result != IPCU_OK) {
		free(event);
		return result;
	}
	*out = event;
	return IPCU_OK;
}

void ipcu_event_close(ipcu_event *event)
{
	free(event);
}

/* Fail with EAGAIN unless the generation is still that of STATE: its low digit identifies it. */
static void same(const struct state *state, struct ipcu_steps *steps)
{
	if (state->values[LOW])
		ipcu_step(steps, LOW, -(int)state->values[LOW], IPC_NOWAIT);
	ipcu_step(steps, LOW, 0, IPC_NOWAIT);
	if (state->values[LOW])
		ipcu_step(steps, LOW, (int)state->values[LOW], 0);
}

/* Open the gate of the generation if OPEN, and begin the NEXT one. 0 or an errno. */
static int change_once(ipcu_event *event, struct state *state, bool open, bool next)
{
	struct ipcu_steps steps = { .count = 0 };

	same(state, &steps);
	ipcu_step(&steps, GATE + state->slot, open ? -1 : 0, IPC_NOWAIT);
	if (next) {
		ipcu_step_count(&steps, LOW, state->values[LOW], state->values[HIGH]);
		state->generation = (state->generation + 1) % ((uint64_t)IPCU_DIGIT * IPCU_DIGIT);
		ipcu_step(&steps, GATE + (unsigned)(state->generation % SLOTS), 1, 0);
	}
	return ipcu_steps_do(event->object.id, &steps, NULL);
}

/* Set, clear or pulse. Nothing changes unless the event is set as WHEN_SET says. */
static enum ipcu_result change(ipcu_event *event, bool when_set, bool open, bool next)
{
	struct timespec last = ipcu_deadline_in(CHANGE_NANOSECONDS);
	struct state state;
	int errnum;

	/* EAGAIN: another process changed the event since its state was read. */
	do {
		enum ipcu_result result = look(&event->object, event->object.id, &state);

		if (result != IPCU_OK || state.set != when_set)
			return result;
		errnum = change_once(event, &state, open, next);
	} while (errnum == EAGAIN && !ipcu_deadline_passed(&last));
	if (errnum == EAGAIN) {
		ipcu_fail(IPCU_SYSTEM,
			  "cannot change the event: another process keeps changing it");
		ipcu_hint("ipc-ls -o +USE shows the processes that use it");
		return IPCU_SYSTEM;
	}
	return errnum ? ipcu_steps_failed(&event->object, errnum, "cannot change the event", NULL)
		      : IPCU_OK;
}

enum ipcu_result ipcu_event_set(ipcu_event *event)
{
	return change(event, false, true, false);
}

enum ipcu_result ipcu_event_clear(ipcu_event *event)
{
	return change(event, true, false, true);
}

enum ipcu_result ipcu_event_pulse(ipcu_event *event)
{
	return change(event, false, true, true);
}

enum ipcu_result ipcu_event_wait(ipcu_event *event, uint64_t *ticket,
				 const struct timespec *deadline)
{
	uint64_t first = ticket ? *ticket : 0;
	int errnum = EAGAIN;

	while (errnum == EAGAIN) {
		struct timespec slice = ipcu_deadline_in(SLICE_NANOSECONDS);
		struct ipcu_steps steps = { .count = 0 };
		struct state state;
		enum ipcu_result result = look(&event->object, event->object.id, &state);

		if (result != IPCU_OK)
			return result;
		if (!first)
			first = state.generation + 1;
		if (ticket)
			*ticket = first;
		if (state.set || state.generation + 1 != first)
			return IPCU_OK;
		if (deadline && ipcu_deadline_passed(deadline))
			return ipcu_steps_failed(&event->object, EAGAIN, "cannot wait", deadline);
		ipcu_step(&steps, SEALED, 0, 0);
		ipcu_step(&steps, GATE + state.slot, 0, 0);
		errnum = ipcu_steps_do(event->object.id, &steps,
				       ipcu_deadline_earlier(deadline, &slice));
	}
	return errnum ? ipcu_steps_failed(&event->object, errnum, "cannot wait", deadline)
		      : IPCU_OK;
}

enum ipcu_result ipcu_event_status(ipcu_event *event, struct ipcu_event_info *info)
{
	struct state state;
	enum ipcu_result result = look(&event->object, event->object.id, &state);

	if (result != IPCU_OK)
		return result;
	info->set = state.set;
	info->waiting = waiting(event->object.id, &state);
	return IPCU_OK;
}
