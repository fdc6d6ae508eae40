/* SPDX-License-Identifier: MIT
 * doctor-deadlock.c - processes that wait for each other
 *
 * The objects are semaphores and the locks of memories. An object is stuck if only its holders can free units, and each
 * of them is blocked on an object that is stuck. This is the greatest set of objects for which that holds, so it contains
 * the cycles and all that depends on them. A cycle is found by following holders from a stuck object.
 *
 * A holder is blocked if it waits itself, or if a descendant waits and each process on the way to it waits for its only
 * child, as a shell does for a command. A process with several threads is not regarded as blocked.
 *
 * The processes run on while they are examined, so an object counts only if a second examination finds it stuck too.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>

#include "doctor.h"
#include "error.h"
#include "holder.h"
#include "process.h"
#include "sem.h"
#include "shm.h"
#include "users.h"

#define ANCESTORS_MAX 64

struct object {
	const struct ipcu_info *info;
	int set;
	bool stuck, before; /* now, and in the examination before */
	bool reported;
};

struct holding {
	size_t object;
	pid_t pid;
	size_t blocked_on; /* an object, NONE: it is not blocked */
};

struct waiting {
	size_t object;
	pid_t pid;
};

#define NONE ((size_t)-1)

struct graph {
	struct object *objects;
	struct holding *holdings;
	struct waiting *waitings;
	size_t object_count, holding_count, waiting_count;
	size_t at;   /* the object whose holders are being listed */
	bool failed; /* no memory */
};

/* Make room for one more item in ITEMS, which has COUNT of them and grows at powers of two. */
static void *grow(struct graph *graph, void *items, size_t count, size_t size)
{
	void *new = items;

	if (count == 0 || (count & (count - 1)) == 0)
		new = realloc(items, (count ? 2 * count : 1) * size);
	graph->failed |= !new;
	return new;
}

/* ---- holders ---------------------------------------------------------------- */

static void add_holding(struct graph *graph, pid_t pid)
{
	struct holding *items = grow(graph, graph->holdings, graph->holding_count, sizeof(*items));

	if (!items)
		return;
	graph->holdings = items;
	items[graph->holding_count++] = (struct holding){ graph->at, pid, NONE };
}

static void add_holder(const struct ipcu_holder *holder, void *context)
{
	add_holding(context, holder->pid);
}

/* Whether listed holders have all units that are not free, and a process waits for more than are free. */
static bool only_holders_free(struct graph *graph, int set)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	unsigned unlisted = 0;
	size_t before = graph->holding_count;

	if (ipcu_set_read(set, m, SEM_MEMBERS, NULL) < 0 || m[SEM_TAKEN] != 0)
		return false;
	if (m[SEM_VALUE] != 0 && semctl(set, SEM_VALUE, GETNCNT) <= 0)
		return false;
	return ipcu_holders_list(set, add_holder, graph, &unlisted) == IPCU_OK && !unlisted &&
	       graph->holding_count > before;
}

static bool memory_is_held(struct graph *graph, const struct ipcu_info *info)
{
	unsigned waiters;
	pid_t pid = ipcu_shm_lock_holder(info->definition[IPCU_SHM_LOCK], info->creator, &waiters);

	if (pid > 1 && waiters)
		add_holding(graph, pid);
	return pid > 1 && waiters;
}

static void list_holders(struct graph *graph)
{
	graph->holding_count = 0;
	for (graph->at = 0; graph->at < graph->object_count; graph->at++) {
		struct object *object = &graph->objects[graph->at];

		object->before = object->stuck;
		object->stuck = object->info->kind == IPCU_KIND_MEMORY
					? memory_is_held(graph, object->info)
					: only_holders_free(graph, object->set);
	}
}

/* ---- waiters ---------------------------------------------------------------- */

static void add_waiting(const struct ipcu_usage *usage, void *context)
{
	struct graph *graph = context;
	struct waiting *items;
	size_t i = 0;

	while (i < graph->object_count && graph->objects[i].set != usage->id)
		i++;
	if (i == graph->object_count)
		return;
	items = grow(graph, graph->waitings, graph->waiting_count, sizeof(*items));
	if (!items)
		return;
	graph->waitings = items;
	items[graph->waiting_count++] = (struct waiting){ i, usage->pid };
}

/*
 * The process that waits for PID alone, its only child, or 0. A keeper waits on behalf of the command that started it,
 * which waits for the answer of the keeper.
 */
static pid_t waits_for_child(pid_t pid)
{
	char comm[32];
	bool keeper = ipcu_process_file(pid, "comm", comm, sizeof(comm)) > 0 &&
		      strncmp(comm, "keeper ", 7) == 0;
	pid_t parent = ipcu_process_parent(pid);

	if (parent <= 1 || !ipcu_process_has_one_child(parent, pid))
		return 0;
	return keeper || ipcu_process_waits_for_child(parent) ? parent : 0;
}

/* WAITING blocks its process and each ancestor that only waits for it: mark what these hold. */
static void mark_blocked(struct graph *graph, const struct waiting *waiting)
{
	pid_t pid = waiting->pid;

	for (int i = 0; i < ANCESTORS_MAX && pid > 0; i++, pid = waits_for_child(pid)) {
		if (ipcu_process_threads(pid) != 1)
			return;
		for (size_t h = 0; h < graph->holding_count; h++)
			if (graph->holdings[h].pid == pid)
				graph->holdings[h].blocked_on = waiting->object;
	}
}

/* ---- the set of stuck objects ------------------------------------------------ */

static bool some_holder_goes_on(const struct graph *graph, size_t object)
{
	for (size_t h = 0; h < graph->holding_count; h++) {
		const struct holding *holding = &graph->holdings[h];

		if (holding->object == object &&
		    (holding->blocked_on == NONE || !graph->objects[holding->blocked_on].stuck))
			return true;
	}
	return false;
}

static enum ipcu_result examine(struct graph *graph)
{
	bool changed = true;

	list_holders(graph);
	graph->waiting_count = 0;
	ipcu_usage_each(1u << IPCU_FAMILY_SET, add_waiting, graph);
	if (graph->failed)
		return ipcu_fail_call("malloc", ENOMEM, "cannot look for deadlocks");
	for (size_t i = 0; i < graph->waiting_count; i++)
		mark_blocked(graph, &graph->waitings[i]);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < graph->object_count; i++) {
			if (!graph->objects[i].stuck || !some_holder_goes_on(graph, i))
				continue;
			graph->objects[i].stuck = false;
			changed = true;
		}
	}
	return IPCU_OK;
}

/* ---- the report ---------------------------------------------------------------- */

/* The object on which the first holder of OBJECT is blocked. */
static size_t next_object(const struct graph *graph, size_t object)
{
	for (size_t h = 0; h < graph->holding_count; h++)
		if (graph->holdings[h].object == object)
			return graph->holdings[h].blocked_on;
	return NONE;
}

/* Append to TEXT what the holders of OBJECT hold and wait for. */
static void append_holders(const struct graph *graph, size_t object, char *text)
{
	char has[DOCTOR_NAME], wants[DOCTOR_NAME], process[DOCTOR_PROCESS];

	for (size_t h = 0; h < graph->holding_count; h++) {
		const struct holding *holding = &graph->holdings[h];
		size_t used = strlen(text);

		if (holding->object != object)
			continue;
		snprintf(text + used, DOCTOR_TEXT - used, "%sprocess %s holds %s and waits for %s",
			 used ? ", " : "", doctor_process(holding->pid, process),
			 doctor_name(graph->objects[object].info, has),
			 doctor_name(graph->objects[holding->blocked_on].info, wants));
	}
}

static void report_cycle(struct doctor *doctor, struct graph *graph, size_t first)
{
	char text[DOCTOR_TEXT] = "", name[DOCTOR_NAME];
	size_t object = first;

	do {
		append_holders(graph, object, text);
		object = next_object(graph, object);
	} while (object != first);
	doctor_advise(doctor, doctor_name(graph->objects[first].info, name),
		      "end one of these processes", "deadlock: %s", text);
}

/* Follow holders from START to an object that was passed before: it is in a cycle, which is reported if it is new. */
static void follow(struct doctor *doctor, struct graph *graph, size_t start)
{
	size_t object = start;

	for (size_t i = 0; i < graph->object_count; i++) /* now it is in a cycle */
		object = next_object(graph, object);
	if (graph->objects[object].reported)
		return;
	report_cycle(doctor, graph, object);
	while (!graph->objects[object].reported) {
		graph->objects[object].reported = true;
		object = next_object(graph, object);
	}
}

static enum ipcu_result collect(const struct doctor *doctor, struct graph *graph)
{
	graph->objects = calloc(doctor->object_count + 1, sizeof(*graph->objects));
	if (!graph->objects)
		return ipcu_fail_call("malloc", ENOMEM, "cannot look for deadlocks");
	for (size_t i = 0; i < doctor->object_count; i++) {
		const struct ipcu_info *info = &doctor->objects[i];
		int set = -1;

		if (!info->name || info->gone)
			continue;
		if (info->kind == IPCU_KIND_SEMAPHORE)
			set = info->id;
		else if (info->kind == IPCU_KIND_MEMORY)
			set = ipcu_shm_lock_set(info->definition[IPCU_SHM_LOCK], info->creator);
		if (set >= 0)
			graph->objects[graph->object_count++] =
				(struct object){ .info = info, .set = set };
	}
	return IPCU_OK;
}

enum ipcu_result doctor_deadlock(struct doctor *doctor)
{
	struct graph graph = { 0 };
	enum ipcu_result result = collect(doctor, &graph);

	for (int pass = 0; pass < 2 && result == IPCU_OK; pass++)
		result = examine(&graph);
	for (size_t i = 0; i < graph.object_count && result == IPCU_OK; i++)
		if (graph.objects[i].stuck && graph.objects[i].before)
			follow(doctor, &graph, i);
	free(graph.objects);
	free(graph.holdings);
	free(graph.waitings);
	return result;
}
