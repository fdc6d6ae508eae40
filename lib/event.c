/* SPDX-License-Identifier: MIT
 * event.c - something that has happened, or not yet, and those who wait for it
 *
 * A set of semaphores: the generation in two digits and SLOTS gates. While the event is not
 * set, the gate of the open generation is 1 and all others are 0; while it is set, all
 * are 0. A waiter waits for zero at the gate of the generation it came in.
 *
 *   set    {gate 0}
 *   clear  {generation+1, its gate 1}
 *   pulse  {gate 0, generation+1, its gate 1}
 *
 * Each is one semop, and the kernel lets the sleepers at a gate go within that call, all
 * of them, even if the next call closes a gate. Who comes after a pulse finds
 * another gate. There is nothing to undo: a kill changes nothing. Waiting for zero needs only
 * read permission.
 *
 * Who came in a generation that is over is let through, for it ended by a set or a pulse. A waiter that
 * slept through SLOTS of them between looking and waiting finds its gate closed again;
 * it had not begun to wait in the kernel's eyes, and looks again on a slow timer.
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

enum { LOW, HIGH, GATE, IDENTITY = GATE + SLOTS, SIZE = IDENTITY + IPCU_IDENTITY_MEMBERS };

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
	if (open <= 1 && open == state->values[GATE + state->slot])
		return IPCU_OK;
	ipcu_fail(IPCU_SYSTEM, "the event is damaged: another program changed its semaphores");
	ipcu_hint("remove it with ipc-rm -f and create it again");
	return IPCU_SYSTEM;
}

static unsigned waiting(int id, const struct state *state)
{
	int count = state->set ? 0 : semctl(id, (int)(GATE + state->slot), GETZCNT);

	return count > 0 ? (unsigned)count : 0;
}

static enum ipcu_result in_use(int id, const struct ipcu_record *record)
{
	struct state state;

	(void)record;
	if (!is_event(id) || look(NULL, id, &state) != IPCU_OK || !waiting(id, &state))
		return IPCU_OK;
	ipcu_fail(IPCU_CONFLICT, "it is in use: %u processes wait for it", waiting(id, &state));
	ipcu_hint("end what uses it, or remove it all the same with -f");
	return IPCU_CONFLICT;
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
				 "the event is damaged: it is another set of semaphores");
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

/* What a set, clear or pulse changes: open the gate there is, close the next generation's. */
static enum ipcu_result change(ipcu_event *event, bool when_set, bool open, bool next)
{
	int errnum = EAGAIN;

	/* EAGAIN: somebody was faster with another one. */
	while (errnum == EAGAIN || errnum == EINTR) {
		struct ipcu_steps steps = { .count = 0 };
		struct state state;
		enum ipcu_result result = look(&event->object, event->object.id, &state);

		if (result != IPCU_OK || state.set != when_set)
			return result;
		/* Only if the generation is still this one, which its low digit tells. */
		ipcu_step(&steps, LOW, -(int)state.values[LOW], IPC_NOWAIT);
		ipcu_step(&steps, LOW, 0, IPC_NOWAIT);
		if (state.values[LOW])
			ipcu_step(&steps, LOW, (int)state.values[LOW], 0);
		ipcu_step(&steps, GATE + state.slot, open ? -1 : 0, IPC_NOWAIT);
		if (next) {
			ipcu_step_count(&steps, LOW, state.values[LOW], state.values[HIGH]);
			state.generation =
				(state.generation + 1) % ((uint64_t)IPCU_DIGIT * IPCU_DIGIT);
			ipcu_step(&steps, GATE + (unsigned)(state.generation % SLOTS), 1, 0);
		}
		errnum = ipcu_steps_do(event->object.id, &steps, NULL);
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
