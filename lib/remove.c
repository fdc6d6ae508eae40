/* SPDX-License-Identifier: MIT
 * remove.c - removing objects that are not in use; stale.c removes what no process can reach
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "object.h"
#include "purpose.h"
#include "shm.h"

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
		ipcu_hint(
			"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
		return IPCU_CONFLICT;
	}
	/* Attached by somebody whose /proc we cannot read. */
	if (family == IPCU_FAMILY_SEGMENT && ipcu_stat_segment(id, &segment) == 0 &&
	    segment.shm_nattch > 0) {
		ipcu_fail(IPCU_CONFLICT, "it is in use: attached %lu times, last by process %d",
			  (unsigned long)segment.shm_nattch, (int)segment.shm_lpid);
		ipcu_hint(
			"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
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

	if ((ops && ops->discard ? ops->discard(id) : ipcu_family_remove(family, id)) == 0)
		return IPCU_OK;
	errnum = errno == EINVAL ? EIDRM : errno;
	ipcu_fail_call(calls[family], errnum, "cannot remove it");
	if (errnum == EPERM || errnum == EACCES)
		ipcu_hint("only its owner (user %lu), its creator (user %lu) and root can",
			  (unsigned long)perm->uid, (unsigned long)perm->cuid);
	return ipcu_last_error()->result;
}

/* Objects with one key or identifier. */
struct raw {
	enum ipcu_kind kind; /* that is wanted */
	struct ipcu_info info;
	enum ipcu_family family;
	int count;
};

static enum ipcu_result collect_raw(const struct ipcu_info *info, void *context)
{
	static const enum ipcu_kind foreign[] = { IPCU_KIND_QUEUE, IPCU_KIND_SEMAPHORE,
						  IPCU_KIND_MEMORY };
	struct raw *raw = context;
	enum ipcu_family family = ipcu_family_of_kind(info->kind);

	if (raw->kind != IPCU_KIND_ANY && raw->kind != info->kind && raw->kind != foreign[family])
		return IPCU_OK;
	raw->count++;
	raw->info = *info;
	raw->family = family;
	return IPCU_OK;
}

static enum ipcu_result remove_raw(const struct ipcu_name *name, enum ipcu_kind kind,
				   unsigned flags)
{
	struct raw raw = { .kind = kind };
	enum ipcu_result result = ipcu_list_raw(name, collect_raw, &raw);
	const struct ipc_perm perm = { .uid = raw.info.owner, .cuid = raw.info.creator };
	const struct ipcu_kind_ops *ops = ipcu_kind_ops(raw.info.kind);

	if (result != IPCU_OK && result != IPCU_NOT_FOUND)
		return result;
	if (!raw.count)
		return ipcu_fail(IPCU_NOT_FOUND, "no such %s", ipcu_kind_name(kind));
	if (raw.count > 1) {
		ipcu_fail(IPCU_CONFLICT, "there are %d objects of different kinds with it",
			  raw.count);
		ipcu_hint("say which with -k queue, -k semaphore or -k memory");
		return IPCU_CONFLICT;
	}
	if (!(flags & IPCU_REMOVE_FORCE)) {
		result = ipcu_check_dependents(&raw.info, raw.family);
		if (result == IPCU_OK)
			result = check_unused(raw.info.kind, raw.family, raw.info.id, NULL);
	}
	if (result != IPCU_OK || flags & IPCU_REMOVE_DRY_RUN)
		return result;
	return destroy(ops, raw.family, raw.info.id, &perm);
}

/* Return true unless the kernel is sure to refuse the removal: then nothing is sealed before. */
static bool may_remove(const struct ipc_perm *perm)
{
	uid_t user = geteuid();

	return user == 0 || user == perm->uid || user == perm->cuid;
}

/* Caller holds the registry lock. Remove OPS' object ID, unless it is in use, in one step with the check. */
static enum ipcu_result remove_object(const struct ipcu_kind_ops *ops,
				      const struct ipcu_record *record, const struct ipc_perm *perm,
				      unsigned flags)
{
	enum ipcu_result result = IPCU_OK;

	if (!(flags & IPCU_REMOVE_FORCE))
		result = check_unused(ops->kind, ops->family, record->id, record);
	if (result != IPCU_OK || flags & IPCU_REMOVE_DRY_RUN)
		return result;
	/* From here on the object cannot come into use until it is gone. */
	if (!(flags & IPCU_REMOVE_FORCE) && ops->seal && may_remove(perm))
		result = ops->seal(record->id, record);
	return result == IPCU_OK ? destroy(ops, ops->family, record->id, perm) : result;
}

static enum ipcu_result already_removed(struct ipcu_registry *registry, const char *name,
					unsigned flags)
{
	if (!(flags & IPCU_REMOVE_DRY_RUN))
		ipcu_object_clear_up(registry, name);
	return ipcu_fail(IPCU_NOT_FOUND, "a different program has already removed it");
}

static enum ipcu_result remove_named(struct ipcu_registry *registry, const char *name,
				     enum ipcu_kind kind, unsigned flags)
{
	const struct ipcu_kind_ops *ops;
	struct ipcu_record record;
	struct ipc_perm perm;
	bool recorded;
	enum ipcu_result result = ipcu_object_find(registry, name, &record, &perm, &recorded);

	if (result == IPCU_NOT_FOUND && ipcu_registry_find(registry, name, &record) == IPCU_OK)
		return already_removed(registry, name, flags);
	if (result != IPCU_OK)
		return result;
	if (kind != IPCU_KIND_ANY && record.kind != (int32_t)kind)
		return ipcu_fail(IPCU_CONFLICT, "it is %s, not %s",
				 ipcu_kind_phrase((enum ipcu_kind)record.kind),
				 ipcu_kind_phrase(kind));
	ops = ipcu_kind_ops((enum ipcu_kind)record.kind);
	/* What a load of memory has under way ends here: its parts are then those of the record. */
	if (recorded && ops == &ipcu_shm_ops) {
		int id;

		if (flags & IPCU_REMOVE_FORCE && !(flags & IPCU_REMOVE_DRY_RUN))
			ipcu_shm_cancel(registry, name, &record);
		else
			ipcu_shm_settle(registry, name, &record, flags & IPCU_REMOVE_DRY_RUN);
		if (!ipcu_object_verify(registry, name, &record, &id, &perm))
			return already_removed(registry, name, flags);
		record.id = id;
	}
	/* Object first: a name without one is noticed, an object without a name would be lost. */
	result = remove_object(ops, &record, &perm, flags);
	if (flags & IPCU_REMOVE_DRY_RUN || (result != IPCU_OK && result != IPCU_NOT_FOUND))
		return result;
	if (ops->remove)
		ops->remove(registry->owner, name, &record, false);
	ipcu_registry_drop(registry, name);
	return result;
}

/* Return IPCU_OK if NAME leads to anything that could be removed; it may be read without the lock. */
static enum ipcu_result find_unlocked(const struct ipcu_name *name)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	struct ipc_perm perm;
	bool recorded;
	enum ipcu_result result = ipcu_registry_open(&registry, name->owner);

	if (result == IPCU_OK)
		result = ipcu_registry_find(&registry, name->name, &record);
	if (result == IPCU_NOT_FOUND)
		result = ipcu_object_find(&registry, name->name, &record, &perm, &recorded);
	ipcu_registry_close(&registry);
	return result;
}

/* A process that must not change the names of a user may know whether there is something to be removed at all. */
static enum ipcu_result denied(const struct ipcu_name *name)
{
	struct ipcu_error error = *ipcu_last_error();

	if (find_unlocked(name) == IPCU_NOT_FOUND)
		return IPCU_NOT_FOUND;
	ipcu_error_restore(&error);
	ipcu_hint("only user %lu and root can remove names there", (unsigned long)name->owner);
	return IPCU_DENIED;
}

/* Lock the names of the owner of NAME. Without a registry the lock is only created if there is an object to remove. */
static enum ipcu_result open_registry(struct ipcu_registry *registry, const struct ipcu_name *name)
{
	enum ipcu_result result = ipcu_registry_open_locked(registry, name->owner, false);

	if (result == IPCU_NOT_FOUND)
		result = find_unlocked(name);
	else
		return result;
	return result == IPCU_OK ? ipcu_registry_open_any(registry, name->owner) : result;
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
	result = open_registry(&registry, &name);
	if (result == IPCU_OK) {
		result = remove_named(&registry, name.name, kind, flags);
		ipcu_registry_unlock_close(&registry);
	} else if (result == IPCU_DENIED) {
		result = denied(&name);
	}
	return result == IPCU_NOT_FOUND ? ipcu_name_not_found(name.name) : result;
}
