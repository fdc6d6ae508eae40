/* SPDX-License-Identifier: MIT
 * stale.c - removing what no process can reach
 *
 * Each object is judged again in the moment of its removal, with the lock that its users take or in one step with the check:
 * what was unreachable when it was listed may be in use by then.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "holder.h"
#include "pipe.h"
#include "purpose.h"
#include "queue.h" /* ipcu_no_wait */
#include "returned.h"
#include "sem.h"
#include "shm.h"
#include "spill.h"

struct stale {
	int64_t seconds;
	unsigned flags;
	ipcu_stale_fn fn;
	void *context;
	struct {
		int *ids;
		size_t count;
	} sets; /* of memory and pipes without a segment, when they were listed */
};

static void found(const struct stale *stale, const char *what)
{
	if (stale->fn)
		stale->fn(what, stale->context);
}

static enum ipcu_result stale_segment(const struct ipcu_info *info, const struct stale *stale)
{
	char what[96];

	if (ipcu_stage_stale(info))
		snprintf(what, sizeof(what), "memory %d: the process that filled it is gone",
			 info->id);
	else if (!ipcu_spill_stale(info->id, stale->seconds, what, sizeof(what)))
		return IPCU_OK;
	if (stale->flags & IPCU_REMOVE_DRY_RUN || shmctl(info->id, IPC_RMID, NULL) == 0)
		found(stale, what);
	return IPCU_OK;
}

/* The messages that returned to a queue that is gone: no process can receive them. */
static enum ipcu_result stale_returned(const struct ipcu_info *info, const struct stale *stale)
{
	char what[96];

	if (info->creator != geteuid() || !ipcu_returned_is_orphan(info->id))
		return IPCU_OK;
	snprintf(what, sizeof(what),
		 "queue %d: %llu messages that returned to a queue that is gone", info->id,
		 (unsigned long long)info->messages);
	if (stale->flags & IPCU_REMOVE_DRY_RUN || msgctl(info->id, IPC_RMID, NULL) == 0)
		found(stale, what);
	return IPCU_OK;
}

/* Return true if set ID, created by this user, is that of memory or a pipe without a segment. */
static bool is_left_set(int id, struct ipcu_record *record, struct ipcu_proven *proven)
{
	struct ipc_perm perm;

	return ipcu_prove_id(id, record, &perm, proven) == IPCU_PROOF_SET &&
	       perm.cuid == geteuid() &&
	       (record->kind == IPCU_KIND_MEMORY || record->kind == IPCU_KIND_PIPE);
}

static enum ipcu_result note_set(const struct ipcu_info *info, struct stale *stale)
{
	struct ipcu_proven proven;
	struct ipcu_record record;
	int *ids;

	if (!is_left_set(info->id, &record, &proven))
		return IPCU_OK;
	ids = realloc(stale->sets.ids, (stale->sets.count + 1) * sizeof(*ids));
	if (!ids)
		return ipcu_fail_call("malloc", ENOMEM, "cannot list");
	stale->sets.ids = ids;
	ids[stale->sets.count++] = info->id;
	return IPCU_OK;
}

static enum ipcu_result look_at(const struct ipcu_info *info, void *context)
{
	struct stale *stale = context;

	if (!info->internal)
		return IPCU_OK;
	if (ipcu_family_of_kind(info->kind) == IPCU_FAMILY_SET)
		return note_set(info, stale);
	if (ipcu_family_of_kind(info->kind) == IPCU_FAMILY_QUEUE)
		return stale_returned(info, stale);
	return stale_segment(info, stale);
}

/* In one step with the check: no process holds set ID or waits for it, and none will until this process ends. */
static bool seal_set(int id, key_t key, int kind)
{
	if (kind == IPCU_KIND_PIPE)
		return ipcu_pipe_close_empty(id, &ipcu_no_wait) == 0;
	return ipcu_shm_set_seal(ipcu_pair((uint32_t)key, (uint32_t)id + 1), geteuid()) == IPCU_OK;
}

/*
 * Caller holds the registry lock, so no creator is about to use the set. Remove set ID if it still is without a segment, no
 * listed name has it (memory that is being loaded has its segment elsewhere), and no process uses it.
 */
static void stale_set(struct ipcu_registry *registry, const struct stale *stale, int id)
{
	char name[IPCU_NAME_MAX + 1], what[96];
	struct ipcu_record record, listed;
	struct ipcu_proven proven;
	struct semid_ds state;

	if (!is_left_set(id, &record, &proven) || ipcu_stat_set(id, &state) < 0 ||
	    ipcu_find_hash(registry, proven.hash, name, &listed))
		return;
	snprintf(what, sizeof(what), "set %d of %s: it is gone, and no process uses the set", id,
		 record.kind == IPCU_KIND_PIPE ? "a pipe" : "memory");
	if (stale->flags & IPCU_REMOVE_DRY_RUN) {
		found(stale, what);
		return;
	}
	if (semctl(id, 0, GETZCNT) == 0 && seal_set(id, PERM_KEY(state.sem_perm), record.kind) &&
	    ipcu_family_remove(IPCU_FAMILY_SET, id) == 0)
		found(stale, what);
}

/* A name whose object exists: what a process that died left of it. NULL: nothing. */
static const char *stale_parts(struct ipcu_registry *registry, const char *name,
			       struct ipcu_record *record, bool dry_run)
{
	if (record->kind == IPCU_KIND_MEMORY && ipcu_shm_settle(registry, name, record, dry_run))
		return "the process that loaded it died before it had finished";
	if (record->kind == IPCU_KIND_PIPE && ipcu_pipe_settle(registry, name, record, dry_run))
		return "both its ends are gone";
	if (ipcu_sem_stale(registry, name, record, dry_run))
		return "it is transient, and no process uses it";
	return NULL;
}

/* Caller holds the registry lock. Forget names whose object is gone, with what dead creators left. */
static void stale_names(struct ipcu_registry *registry, const struct stale *stale)
{
	char name[IPCU_NAME_MAX + 1], what[160];
	struct ipcu_record record, now;
	bool dry_run = stale->flags & IPCU_REMOVE_DRY_RUN, recorded;
	struct ipc_perm perm;
	uint32_t cursor = 0;

	while (ipcu_registry_next(registry, &cursor, name, &record)) {
		enum ipcu_result result = ipcu_object_find(registry, name, &now, &perm, &recorded);
		const char *why = NULL;

		if (result == IPCU_OK)
			why = recorded ? stale_parts(registry, name, &record, dry_run) : NULL;
		else if (result == IPCU_NOT_FOUND)
			why = record.state == IPCU_RECORD_CREATING
				      ? "its creator died before it was ready"
				      : "the object is gone";
		if (!why)
			continue;
		snprintf(what, sizeof(what), "%s %s: %s",
			 ipcu_kind_name((enum ipcu_kind)record.kind), name, why);
		found(stale, what);
		if (result == IPCU_NOT_FOUND && !dry_run)
			ipcu_object_clear_up(registry, name);
	}
}

/* Without a registry, the lock alone is needed if there is any set to be removed. */
static enum ipcu_result open_registry(struct ipcu_registry *registry, const struct stale *stale)
{
	return stale->sets.count ? ipcu_registry_open_any(registry, geteuid())
				 : ipcu_registry_open_locked(registry, geteuid(), false);
}

static void found_table(int id, void *context)
{
	char what[96];

	snprintf(what, sizeof(what), "table of holders %d: no semaphore uses it", id);
	found(context, what);
}

static void count_table(int id, void *context)
{
	(void)id;
	++*(unsigned *)context;
}

/* Remove the tables that no semaphore uses, with the registry lock, so that no semaphore is created meanwhile. */
static enum ipcu_result stale_tables(struct stale *stale)
{
	struct ipcu_registry registry;
	enum ipcu_result result;
	unsigned count = 0;

	ipcu_holders_remove_unused(geteuid(), true, count_table, &count);
	if (!count)
		return IPCU_OK;
	if (stale->flags & IPCU_REMOVE_DRY_RUN) {
		ipcu_holders_remove_unused(geteuid(), true, found_table, stale);
		return IPCU_OK;
	}
	result = ipcu_registry_open_any(&registry, geteuid());
	if (result != IPCU_OK)
		return result;
	ipcu_holders_remove_unused(geteuid(), false, found_table, stale);
	registry.keep = true; /* an empty registry is reported by the last step */
	ipcu_registry_unlock_close(&registry);
	return IPCU_OK;
}

static enum ipcu_result remove_stale(struct stale *stale)
{
	struct ipcu_registry registry;
	bool left = false;
	enum ipcu_result result = ipcu_list(geteuid(), IPCU_LIST_ALL, look_at, stale);

	if (result != IPCU_OK)
		return result;
	result = open_registry(&registry, stale);
	if (result == IPCU_OK) {
		registry.keep = true; /* the last step below reports it */
		stale_names(&registry, stale);
		for (size_t i = 0; i < stale->sets.count; i++)
			stale_set(&registry, stale, stale->sets.ids[i]);
		ipcu_registry_unlock_close(&registry);
	} else if (result != IPCU_NOT_FOUND) {
		return result;
	}
	result = stale_tables(stale);
	if (result != IPCU_OK)
		return result;
	result = ipcu_registry_remove_stale(geteuid(), stale->flags & IPCU_REMOVE_DRY_RUN, &left);
	if (left)
		found(stale, "registry of names: it holds no name");
	return result;
}

enum ipcu_result ipcu_remove_stale(int64_t seconds, unsigned flags, ipcu_stale_fn fn, void *context)
{
	struct stale stale = { .seconds = seconds, .flags = flags, .fn = fn, .context = context };
	enum ipcu_result result = remove_stale(&stale);

	free(stale.sets.ids);
	return result;
}
