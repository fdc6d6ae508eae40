/* SPDX-License-Identifier: MIT
 * remove.c - removing objects: what is not in use, and what nobody can reach
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "holder.h"
#include "object.h"
#include "pipe.h"
#include "shm.h"
#include "spill.h"

/* ---- in use ------------------------------------------------------------- */

struct named_users {
	char text[160];
	size_t count;
};

static void name_user(const struct ipcu_user *user, void *context)
{
	struct named_users *users = context;
	size_t used = strlen(users->text);

	if (users->count++ < 3)
		snprintf(users->text + used, sizeof(users->text) - used, "%s%d %s (%.40s)",
			 used ? ", " : "", (int)user->pid, user->how, user->command);
}

static enum ipcu_result check_unused(enum ipcu_kind kind, enum ipcu_family family, int id,
				     const struct ipcu_record *record)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops(kind);
	struct named_users users = { .text = "" };
	struct shmid_ds segment;

	ipcu_users(kind, id, name_user, &users);
	if (users.count) {
		ipcu_fail(IPCU_CONFLICT, "it is in use: %s%s", users.text,
			  users.count > 3 ? " and others" : "");
		ipcu_hint("end what uses it, or remove it all the same with -f");
		return IPCU_CONFLICT;
	}
	/* Attached by somebody whose /proc we cannot read. */
	if (family == IPCU_FAMILY_SEGMENT && ipcu_stat_segment(id, &segment) == 0 &&
	    segment.shm_nattch > 0) {
		ipcu_fail(IPCU_CONFLICT, "it is in use: attached %lu times, last by process %d",
			  (unsigned long)segment.shm_nattch, (int)segment.shm_lpid);
		ipcu_hint("end what uses it, or remove it all the same with -f");
		return IPCU_CONFLICT;
	}
	return ops && record && ops->in_use ? ops->in_use(id, record) : IPCU_OK;
}

/* ---- one object --------------------------------------------------------- */

static enum ipcu_result destroy(const struct ipcu_kind_ops *ops, enum ipcu_family family, int id,
				const struct ipc_perm *perm)
{
	static const char *const calls[] = { "msgctl", "semctl", "shmctl" };
	int errnum;

	if (ipcu_family_remove(family, id) == 0) {
		if (ops && ops->removed)
			ops->removed(id);
		return IPCU_OK;
	}
	errnum = errno == EINVAL ? EIDRM : errno;
	ipcu_fail_call(calls[family], errnum, "cannot remove it");
	if (errnum == EPERM || errnum == EACCES)
		ipcu_hint("only its owner (user %lu), its creator (user %lu) and root can",
			  (unsigned long)perm->uid, (unsigned long)perm->cuid);
	return ipcu_last_error()->result;
}

static enum ipcu_result remove_raw(const struct ipcu_name *name, enum ipcu_kind kind,
				   unsigned flags)
{
	static const enum ipcu_kind kinds[] = { IPCU_KIND_QUEUE, IPCU_KIND_SEMAPHORE,
						IPCU_KIND_MEMORY };
	enum ipcu_family family = IPCU_FAMILY_QUEUE;
	struct ipc_perm perm, one;
	int found = 0, id = -1;
	enum ipcu_result result;

	for (int i = IPCU_FAMILY_QUEUE; i <= IPCU_FAMILY_SEGMENT; i++) {
		int candidate = name->form == IPCU_NAME_ID
					? name->id
					: ipcu_family_get((enum ipcu_family)i, name->key);

		if ((kind != IPCU_KIND_ANY && kind != kinds[i]) || candidate < 0 ||
		    ipcu_family_stat((enum ipcu_family)i, candidate, &one) < 0)
			continue;
		found++;
		family = (enum ipcu_family)i;
		id = candidate;
		perm = one;
	}
	if (!found)
		return ipcu_fail(IPCU_NOT_FOUND, "no such %s", ipcu_kind_name(kind));
	if (found > 1) {
		ipcu_fail(IPCU_CONFLICT, "there are %d objects of different kinds with it", found);
		ipcu_hint("say which with -k queue, -k semaphore or -k memory");
		return IPCU_CONFLICT;
	}
	result =
		flags & IPCU_REMOVE_FORCE ? IPCU_OK : check_unused(kinds[family], family, id, NULL);
	if (result != IPCU_OK || flags & IPCU_REMOVE_DRY_RUN)
		return result;
	return destroy(ipcu_kind_ops(kinds[family]), family, id, &perm);
}

/* Return true unless the kernel is sure to refuse the removal: then nothing is sealed before. */
static bool may_remove(const struct ipc_perm *perm)
{
	uid_t user = geteuid();

	return user == 0 || user == perm->uid || user == perm->cuid;
}

static enum ipcu_result remove_named(struct ipcu_registry *registry, const char *name,
				     enum ipcu_kind kind, unsigned flags)
{
	const struct ipcu_kind_ops *ops;
	struct ipcu_record record;
	struct ipc_perm perm;
	enum ipcu_result result = ipcu_registry_find(registry, name, &record);
	int id;

	if (result != IPCU_OK)
		return result;
	if (kind != IPCU_KIND_ANY && record.kind != (int32_t)kind)
		return ipcu_fail(IPCU_CONFLICT, "it is %s, not %s",
				 ipcu_kind_phrase((enum ipcu_kind)record.kind),
				 ipcu_kind_phrase(kind));
	ops = ipcu_kind_ops((enum ipcu_kind)record.kind);
	/* What a load of memory has under way ends here: its parts are then those of the record. */
	if (ops == &ipcu_shm_ops && flags & IPCU_REMOVE_FORCE && !(flags & IPCU_REMOVE_DRY_RUN))
		ipcu_shm_cancel(registry, name, &record);
	else if (ops == &ipcu_shm_ops)
		ipcu_shm_settle(registry, name, &record, flags & IPCU_REMOVE_DRY_RUN);
	if (!ops || !ipcu_object_verify(registry, name, &record, &id, &perm)) {
		if (!(flags & IPCU_REMOVE_DRY_RUN))
			ipcu_object_clear_up(registry, name);
		return ipcu_fail(IPCU_NOT_FOUND, "it was already removed by another program");
	}
	if (!(flags & IPCU_REMOVE_FORCE))
		result = check_unused(ops->kind, ops->family, id, &record);
	if (result != IPCU_OK || flags & IPCU_REMOVE_DRY_RUN)
		return result;
	/* From here on the object cannot come into use until it is gone. */
	if (!(flags & IPCU_REMOVE_FORCE) && ops->seal && may_remove(&perm))
		result = ops->seal(id, &record);
	if (result != IPCU_OK)
		return result;
	/* Object first: a name without one is noticed, an object without a name would be lost. */
	result = destroy(ops, ops->family, id, &perm);
	if (result != IPCU_OK && result != IPCU_NOT_FOUND)
		return result;
	if (ops->remove)
		ops->remove(registry->owner, name, &record, false);
	ipcu_registry_drop(registry, name);
	return result;
}

/* Who may not write the registry may read whether there is something to be removed at all. */
static enum ipcu_result denied(const struct ipcu_name *name)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_registry registry;
	struct ipcu_record record;
	enum ipcu_result result = ipcu_registry_open(&registry, name->owner);

	if (result == IPCU_OK)
		result = ipcu_registry_find(&registry, name->name, &record);
	ipcu_registry_close(&registry);
	if (result == IPCU_NOT_FOUND)
		return result;
	ipcu_error_restore(&error);
	ipcu_hint("only user %lu and root can remove names there", (unsigned long)name->owner);
	return IPCU_DENIED;
}

enum ipcu_result ipcu_remove(const char *typed, enum ipcu_kind kind, unsigned flags)
{
	struct ipcu_registry registry;
	struct ipcu_name name;
	enum ipcu_result result = ipcu_name_read(&name, typed);

	if (result != IPCU_OK)
		return result;
	if (name.form != IPCU_NAME_PLAIN)
		return remove_raw(&name, kind, flags);
	result = ipcu_registry_open_locked(&registry, name.owner, false);
	if (result != IPCU_OK)
		return result == IPCU_DENIED ? denied(&name) : result;
	result = remove_named(&registry, name.name, kind, flags);
	ipcu_registry_unlock_close(&registry);
	return result;
}

/* ---- what nobody can reach ----------------------------------------------- */

struct stale {
	int64_t seconds;
	unsigned flags;
	ipcu_stale_fn fn;
	void *context;
};

static void found(const struct stale *stale, const char *what)
{
	if (stale->fn)
		stale->fn(what, stale->context);
}

static enum ipcu_result stale_segment(const struct ipcu_info *info, void *context)
{
	const struct stale *stale = context;
	char what[96];

	if (info->kind != IPCU_KIND_MEMORY || !info->internal)
		return IPCU_OK;
	if (ipcu_holders_stale(info))
		snprintf(what, sizeof(what), "table of holders %d: its semaphore is gone",
			 info->id);
	else if (ipcu_stage_stale(info))
		snprintf(what, sizeof(what), "memory %d: who filled it is gone", info->id);
	else if (!ipcu_spill_stale(info->id, stale->seconds, what, sizeof(what)))
		return IPCU_OK;
	if (stale->flags & IPCU_REMOVE_DRY_RUN || shmctl(info->id, IPC_RMID, NULL) == 0)
		found(stale, what);
	return IPCU_OK;
}

/* Names whose object is gone and what dead creators left, with the lock. */
static void stale_names(struct ipcu_registry *registry, const struct stale *stale)
{
	char name[IPCU_NAME_MAX + 1], what[160];
	struct ipcu_record record;
	bool dry_run = stale->flags & IPCU_REMOVE_DRY_RUN;
	struct ipc_perm perm;
	uint32_t cursor = 0;
	int id;

	while (ipcu_registry_next(registry, &cursor, name, &record)) {
		if (ipcu_object_verify(registry, name, &record, &id, &perm)) {
			const char *why = NULL;

			if (record.kind == IPCU_KIND_MEMORY &&
			    ipcu_shm_settle(registry, name, &record, dry_run))
				why = "who loaded it died half-way";
			else if (record.kind == IPCU_KIND_PIPE &&
				 ipcu_pipe_settle(registry, name, &record, dry_run))
				why = "both its ends are gone";
			if (why) {
				snprintf(what, sizeof(what), "%s %s: %s",
					 ipcu_kind_name((enum ipcu_kind)record.kind), name, why);
				found(stale, what);
			}
			continue;
		}
		snprintf(what, sizeof(what), "%s %s: %s",
			 ipcu_kind_name((enum ipcu_kind)record.kind), name,
			 record.state == IPCU_RECORD_CREATING
				 ? "its creator died before it was ready"
				 : "the object is gone");
		found(stale, what);
		if (!dry_run)
			ipcu_object_clear_up(registry, name);
	}
}

enum ipcu_result ipcu_remove_stale(int64_t seconds, unsigned flags, ipcu_stale_fn fn, void *context)
{
	struct stale stale = { seconds, flags, fn, context };
	struct ipcu_registry registry;
	uid_t self = geteuid();
	bool dry_run = flags & IPCU_REMOVE_DRY_RUN, left = false;
	enum ipcu_result result = ipcu_list(self, IPCU_LIST_ALL, stale_segment, &stale);

	if (result != IPCU_OK)
		return result;
	result = ipcu_registry_open_locked(&registry, self, false);
	if (result == IPCU_OK) {
		registry.keep = true; /* the last step below says so */
		stale_names(&registry, &stale);
		ipcu_registry_unlock_close(&registry);
	} else if (result != IPCU_NOT_FOUND) {
		return result;
	}
	result = ipcu_registry_remove_stale(self, dry_run, &left);
	if (left)
		found(&stale, "registry of names: it holds no name");
	return result;
}
