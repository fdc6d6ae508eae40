/* SPDX-License-Identifier: MIT
 * sem-holders.c - which processes hold units of a semaphore
 *
 * The table of holders names them. It may lack some: a clean-up may have removed the segment while a COMMAND held units, and
 * holders of a different PID namespace cannot be named. The kernel keeps the last process that changed each member of a
 * set. The last process that changed SEM_EXCLUSIVE while it is 1, or SEM_VALUE of a semaphore with one unit while
 * it is 0, holds the lock, because no other operation of this library succeeds on these members meanwhile.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "process.h"
#include "sem.h"
#include "sysv.h"

#define TRIES 3 /* a process may have taken units, and not yet have entered itself */

struct list {
	struct ipcu_holder *items;
	size_t count, capacity;
	unsigned units;
	bool failed;
};

static void add(const struct ipcu_holder *holder, void *context)
{
	struct list *list = context;

	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 16;
		void *items = realloc(list->items, capacity * sizeof(*list->items));

		if (!items) {
			list->failed = true;
			return;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = *holder;
	list->units += holder->units;
}

static unsigned held_units(const unsigned short m[SEM_MEMBERS])
{
	int held = m[SEM_COUNT] - m[SEM_VALUE] - m[SEM_TAKEN];

	return held > 0 ? (unsigned)held : 0;
}

/* What the table says, read again while it accounts for fewer units than are held. */
static enum ipcu_result read_table(int set, struct holder_table *table, unsigned short *m,
				   struct list *list)
{
	for (int try = 0; try < TRIES; try++) {
		list->count = list->units = 0;
		if (ipcu_set_read(set, m, SEM_MEMBERS, NULL) < 0)
			return ipcu_fail_call("semctl", errno, "cannot list its holders");
		if (table)
			ipcu_holders_each(table, set, add, list);
		if (list->failed)
			return ipcu_fail_call("malloc", ENOMEM, "cannot list its holders");
		if (list->units >= held_units(m) || !table)
			break;
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	return IPCU_OK;
}

/* Return true if PID has closed the gate and taken the units in one step, which only a removal does (ipcu_sem_seal_once). */
static bool is_removal(int set, const unsigned short m[SEM_MEMBERS], pid_t pid)
{
	return m[SEM_GATE] == 0 && semctl(set, SEM_GATE, GETPID) == pid;
}

/* Add the only holder if the table lacks it and the kernel knows it. */
static void add_known_by_kernel(int set, const unsigned short m[SEM_MEMBERS], struct list *list)
{
	struct ipcu_holder holder = { .units = held_units(m) };
	unsigned short again[SEM_MEMBERS] = { 0 };
	bool exclusive = m[SEM_EXCLUSIVE] == 1;

	if (list->count || !holder.units || !(exclusive || m[SEM_COUNT] == 1))
		return;
	holder.mode = exclusive ? IPCU_HOLD_EXCLUSIVE : IPCU_HOLD_UNKNOWN;
	holder.slot = holder.units == m[SEM_COUNT] ? 0 : -1;
	holder.pid = semctl(set, exclusive ? SEM_EXCLUSIVE : SEM_VALUE, GETPID);
	if (holder.pid <= 0 || is_removal(set, m, holder.pid) ||
	    (kill(holder.pid, 0) < 0 && errno == ESRCH) ||
	    ipcu_set_read(set, again, SEM_MEMBERS, NULL) < 0 ||
	    again[SEM_EXCLUSIVE] != m[SEM_EXCLUSIVE] || again[SEM_COUNT] != m[SEM_COUNT] ||
	    held_units(again) != holder.units)
		return;
	add(&holder, list);
}

static void report(struct list *list, ipcu_holder_fn fn, void *context)
{
	char command[4096];

	for (size_t i = 0; i < list->count; i++) {
		ipcu_process_command(list->items[i].pid, command, sizeof(command));
		list->items[i].command = command;
		fn(&list->items[i], context);
	}
}

enum ipcu_result ipcu_holders_list(int set, ipcu_holder_fn fn, void *context, unsigned *unlisted)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	struct holder_table *table = NULL;
	struct list list = { 0 };
	enum ipcu_result result;

	ipcu_holders_attach(set, NULL, false, &table);
	result = read_table(set, table, m, &list);
	ipcu_holders_detach(table);
	if (result == IPCU_OK) {
		add_known_by_kernel(set, m, &list);
		if (unlisted)
			*unlisted = held_units(m) > list.units ? held_units(m) - list.units : 0;
		if (fn)
			report(&list, fn, context);
	}
	free(list.items);
	return result;
}

struct units_of {
	pid_t pid;
	unsigned units;
};

static void add_units(const struct ipcu_holder *holder, void *context)
{
	struct units_of *of = context;

	if (holder->pid == of->pid)
		of->units += holder->units;
}

unsigned ipcu_holders_units_of(int set, pid_t pid)
{
	struct units_of of = { .pid = pid };

	return ipcu_holders_list(set, add_units, &of, NULL) == IPCU_OK ? of.units : 0;
}

enum ipcu_result ipcu_sem_holders(ipcu_sem *sem, ipcu_holder_fn fn, void *context,
				  unsigned *unlisted)
{
	if (unlisted)
		*unlisted = 0;
	return sem->object.named ? ipcu_holders_list(sem->object.id, fn, context, unlisted)
				 : IPCU_OK;
}

/* ---- removal ------------------------------------------------------------------- */

struct user_list {
	char text[160];
	size_t count;
};

static void name_holder(const struct ipcu_holder *holder, void *context)
{
	struct user_list *users = context;
	size_t used = strlen(users->text);

	if (users->count++ < 3)
		snprintf(users->text + used, sizeof(users->text) - used, "%s%d holds %u (%.40s)",
			 used ? ", " : "", (int)holder->pid, holder->units, holder->command);
}

enum ipcu_result ipcu_sem_in_use(int id, const struct ipcu_record *record)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	struct user_list users = { .text = "" };

	(void)record;
	if (ipcu_set_read(id, m, SEM_MEMBERS, NULL) < 0 || !held_units(m))
		return IPCU_OK; /* a user who may not read the set may not remove it either */
	ipcu_holders_list(id, name_holder, &users, NULL);
	if (users.count)
		ipcu_fail(IPCU_CONFLICT, "it is in use: %s%s", users.text,
			  users.count > 3 ? " and others" : "");
	else
		ipcu_fail(IPCU_CONFLICT, "it is in use: %u units are held", held_units(m));
	ipcu_hint(
		"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
	return IPCU_CONFLICT;
}

/*
 * All units that are not consumed must be free, and no process may wait at the gate. One step checks this and takes
 * the units, so that no lock is taken between the check and the removal. The kernel returns them if this process is killed.
 */
int ipcu_sem_seal_once(int id)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	struct sembuf ops[4];
	size_t count = 0;
	int units;

	if (ipcu_set_read(id, m, SEM_MEMBERS, NULL) < 0)
		return errno;
	units = m[SEM_COUNT] - m[SEM_TAKEN];
	ops[count++] = (struct sembuf){ SEM_GATE, -1, IPC_NOWAIT | SEM_UNDO };
	if (units > 0)
		ops[count++] = (struct sembuf){ SEM_VALUE, (short)-units, IPC_NOWAIT | SEM_UNDO };
	ops[count++] = (struct sembuf){ SEM_VALUE, 0, IPC_NOWAIT };
	ops[count++] = (struct sembuf){ SEM_EXCLUSIVE, 0, IPC_NOWAIT };
	return semop(id, ops, count) == 0 ? 0 : errno;
}

enum ipcu_result ipcu_sem_seal(int id, const struct ipcu_record *record)
{
	for (int attempt = 0; attempt < SEM_ATTEMPTS; attempt++) {
		enum ipcu_result result = ipcu_sem_in_use(id, record);

		if (result != IPCU_OK)
			return result;
		/* A user who may not change the set cannot remove it either; a set that is gone is sealed. */
		if (ipcu_sem_seal_once(id) != EAGAIN)
			return IPCU_OK;
	}
	ipcu_fail(IPCU_CONFLICT, "it is in use: processes take and release its units");
	ipcu_hint(
		"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
	return IPCU_CONFLICT;
}
