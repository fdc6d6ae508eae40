/* SPDX-License-Identifier: MIT
 * list.c - objects by name, and all the kernel knows
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "object.h"
#include "pipe.h"
#include "purpose.h"
#include "returned.h"
#include "shm.h"

static void fill_perm(struct ipcu_info *info, const struct ipc_perm *perm)
{
	info->key = PERM_KEY(*perm);
	info->owner = perm->uid;
	info->creator = perm->cuid;
	info->group = perm->gid;
	info->mode = perm->mode & 0777;
}

/* Everything the kernel says of one object; false if it is gone. */
static bool fill(struct ipcu_info *info, enum ipcu_family family, int id)
{
	struct msqid_ds queue;
	struct semid_ds set;
	struct shmid_ds segment;

	info->id = id;
	switch (family) {
	case IPCU_FAMILY_QUEUE:
		if (ipcu_stat_queue(id, &queue) < 0)
			return false;
		fill_perm(info, &queue.msg_perm);
		info->messages =
			queue.msg_qnum + ipcu_returned_count(&queue.msg_perm, &info->bytes);
		info->bytes += queue.__msg_cbytes;
		info->bytes_max = queue.msg_qbytes;
		info->last_sender = queue.msg_lspid;
		info->last_receiver = queue.msg_lrpid;
		info->send_time = queue.msg_stime;
		info->receive_time = queue.msg_rtime;
		info->created = info->changed = queue.msg_ctime;
		return true;
	case IPCU_FAMILY_SET:
		if (ipcu_stat_set(id, &set) < 0)
			return false;
		fill_perm(info, &set.sem_perm);
		info->semaphores = set.sem_nsems;
		info->created = info->changed = set.sem_ctime;
		return true;
	case IPCU_FAMILY_SEGMENT:
		if (ipcu_stat_segment(id, &segment) < 0)
			return false;
		fill_perm(info, &segment.shm_perm);
		info->size = segment.shm_segsz;
		info->attached = segment.shm_nattch;
		info->creator_pid = segment.shm_cpid;
		info->last_pid = segment.shm_lpid;
		info->attach_time = segment.shm_atime;
		info->detach_time = segment.shm_dtime;
		info->created = info->changed = segment.shm_ctime;
		info->removed = (segment.shm_perm.mode & SHM_DEST) != 0;
		return true;
	}
	return false;
}

static enum ipcu_family family_of(const struct ipcu_record *record)
{
	return ipcu_family_of_kind((enum ipcu_kind)record->kind);
}

/*
 * What NAME leads to: by RECORD, which may be NULL, if that is true, else by its keys. *NOW is what its record should
 * be. IPCU_NOT_FOUND: to nothing; if RECORD is LIVE, a different program has removed the object.
 */
static enum ipcu_result resolve(struct ipcu_registry *registry, const char *name,
				const struct ipcu_record *record, struct ipcu_record *now)
{
	struct ipc_perm perm;
	int id;

	if (!record || !ipcu_object_verify(registry, name, record, &id, &perm))
		return ipcu_object_recover(registry, name, now, &perm);
	*now = *record;
	now->id = id;
	return IPCU_OK;
}

/* Describe NAME with RECORD, which leads to an object unless GONE. */
static void describe(struct ipcu_info *info, struct ipcu_registry *registry, const char *name,
		     const struct ipcu_record *record, bool gone)
{
	memset(info, 0, sizeof(*info));
	info->name = name;
	info->kind = (enum ipcu_kind)record->kind;
	info->owner = info->creator = registry->owner;
	memcpy(info->definition, record->definition, sizeof(info->definition));
	info->changed = record->created;
	if (gone || !fill(info, family_of(record), record->id)) {
		info->gone = true;
		info->id = record->id;
	}
	info->key = record->key;
	info->created = record->created;
	if (!info->gone && ipcu_kind_ops(info->kind)->describe)
		ipcu_kind_ops(info->kind)->describe(info);
}

/*
 * Describe NAME, whose record is RECORD or NULL. IPCU_NOT_FOUND: there is nothing to list, since the object was never
 * finished or is not recorded.
 */
static enum ipcu_result describe_name(struct ipcu_info *info, struct ipcu_registry *registry,
				      const char *name, struct ipcu_record *record)
{
	struct ipcu_record now;
	enum ipcu_result result = resolve(registry, name, record, &now);

	if (result == IPCU_OK)
		describe(info, registry, name, &now, false);
	else if (record && record->state == IPCU_RECORD_LIVE)
		describe(info, registry, name, record, true);
	else
		return result;
	if (record && !info->gone)
		*record = now;
	return IPCU_OK;
}

/* ---- all objects -------------------------------------------------------- */

/* What has a name already, and so is not listed again. */
struct seen {
	struct {
		enum ipcu_family family;
		int id;
	} * items;
	size_t count, capacity;
	bool sorted;
};

static bool see(struct seen *seen, enum ipcu_family family, int id)
{
	if (seen->count == seen->capacity) {
		size_t capacity = seen->capacity ? seen->capacity * 2 : 64;
		void *items = realloc(seen->items, capacity * sizeof(*seen->items));

		if (!items)
			return false;
		seen->items = items;
		seen->capacity = capacity;
	}
	seen->items[seen->count].family = family;
	seen->items[seen->count++].id = id;
	seen->sorted = false;
	return true;
}

/* The lock of a memory and the ends of a pipe belong to its name too. */
static bool see_set(struct seen *seen, const struct ipcu_record *record, uid_t owner)
{
	int id = record->kind == IPCU_KIND_MEMORY
			 ? ipcu_shm_lock_set(record->definition[IPCU_SHM_LOCK], owner)
		 : record->kind == IPCU_KIND_PIPE ? ipcu_pipe_set(record->key, owner)
						  : -1;

	return id < 0 || see(seen, IPCU_FAMILY_SET, id);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(*((struct seen *)0)->items));
}

static bool was_seen(struct seen *seen, enum ipcu_family family, int id)
{
	struct seen one = { 0 };
	bool found;

	if (!seen->sorted && seen->count)
		qsort(seen->items, seen->count, sizeof(*seen->items), compare);
	seen->sorted = true;
	if (!see(&one, family, id))
		return false;
	found = seen->count &&
		bsearch(one.items, seen->items, seen->count, sizeof(*seen->items), compare);
	free(one.items);
	return found;
}

static enum ipcu_result list_names(uid_t user, ipcu_list_fn fn, void *context, struct seen *seen)
{
	struct ipcu_registry registry;
	enum ipcu_result result = ipcu_registry_open(&registry, user);
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t cursor = 0;

	while (result == IPCU_OK && ipcu_registry_next(&registry, &cursor, name, &record)) {
		struct ipcu_info info;

		if (describe_name(&info, &registry, name, &record) != IPCU_OK)
			continue;
		if (!info.gone && seen &&
		    (!see(seen, family_of(&record), info.id) || !see_set(seen, &record, user)))
			result = ipcu_fail_call("malloc", ENOMEM, "cannot list");
		else
			result = fn(&info, context);
	}
	ipcu_registry_close(&registry);
	return result;
}

/* The highest slot of FAMILY in use and, for each slot, the identifier in it or -1. */
static int highest(enum ipcu_family family)
{
	struct msginfo msg;
	struct seminfo sem;
	struct shm_info shm;

	switch (family) {
	case IPCU_FAMILY_QUEUE:
		return msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&msg);
	case IPCU_FAMILY_SET:
		return semctl(0, 0, SEM_INFO, (union semun){ .__buf = &sem });
	case IPCU_FAMILY_SEGMENT:
		return shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&shm);
	}
	return -1;
}

static int id_in_slot(enum ipcu_family family, int slot)
{
	struct msqid_ds queue;
	struct semid_ds set;
	struct shmid_ds segment;

	switch (family) {
	case IPCU_FAMILY_QUEUE:
		return msgctl(slot, MSG_STAT_ANY, &queue);
	case IPCU_FAMILY_SET:
		return semctl(slot, 0, SEM_STAT_ANY, (union semun){ .buf = &set });
	case IPCU_FAMILY_SEGMENT:
		return shmctl(slot, SHM_STAT_ANY, &segment);
	}
	return -1;
}

static enum ipcu_result for_all(ipcu_list_fn fn, void *context)
{
	static const struct {
		enum ipcu_family family;
		enum ipcu_kind kind;
		char call[8];
	} all[] = {
		{ IPCU_FAMILY_QUEUE, IPCU_KIND_QUEUE, "msgctl" },
		{ IPCU_FAMILY_SET, IPCU_KIND_SEMAPHORE, "semctl" },
		{ IPCU_FAMILY_SEGMENT, IPCU_KIND_MEMORY, "shmctl" },
	};
	enum ipcu_result result = IPCU_OK;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int last = highest(all[i].family);

		if (last < 0)
			return ipcu_fail_call(all[i].call, errno, "cannot list objects");
		for (int slot = 0; slot <= last && result == IPCU_OK; slot++) {
			struct ipcu_info info = { .kind = all[i].kind };
			int id = id_in_slot(all[i].family, slot);

			if (id < 0 || !fill(&info, all[i].family, id))
				continue;
			result = fn(&info, context);
		}
	}
	return result;
}

struct all_context {
	uid_t *owners; /* whose registries there are */
	size_t count;
	ipcu_list_fn fn;
	void *context;
	struct seen seen;
};

static enum ipcu_result collect_owner(const struct ipcu_info *info, void *context)
{
	struct all_context *all = context;
	uid_t *owners;

	if (info->kind != IPCU_KIND_MEMORY || info->creator != info->owner ||
	    !ipcu_registry_is_key(info->creator, info->key, false) ||
	    ipcu_name_mapped(info->creator, false) != IPCU_OK)
		return IPCU_OK;
	owners = realloc(all->owners, (all->count + 1) * sizeof(*owners));
	if (!owners)
		return ipcu_fail_call("malloc", ENOMEM, "cannot list");
	all->owners = owners;
	owners[all->count++] = info->creator;
	return IPCU_OK;
}

static enum ipcu_result unnamed_only(const struct ipcu_info *info, void *context)
{
	struct all_context *all = context;
	enum ipcu_family family = ipcu_family_of_kind(info->kind);
	struct ipcu_info recognised = *info;

	if (was_seen(&all->seen, family, info->id))
		return IPCU_OK;
	ipcu_recognise(&recognised, family);
	return all->fn(&recognised, all->context);
}

static enum ipcu_result list_all(ipcu_list_fn fn, void *context)
{
	struct all_context all = { .fn = fn, .context = context };
	enum ipcu_result result = for_all(collect_owner, &all);

	for (size_t i = 0; i < all.count && result == IPCU_OK; i++) {
		result = list_names(all.owners[i], fn, context, &all.seen);
		/* Another user's broken registry must not hide everything else. */
		if (result == IPCU_SYSTEM && all.owners[i] != geteuid())
			result = IPCU_OK;
	}
	if (result == IPCU_OK)
		result = for_all(unnamed_only, &all);
	free(all.owners);
	free(all.seen.items);
	return result;
}

enum ipcu_result ipcu_list(uid_t user, unsigned flags, ipcu_list_fn fn, void *context)
{
	return flags & IPCU_LIST_ALL ? list_all(fn, context) : list_names(user, fn, context, NULL);
}

/* ---- one object --------------------------------------------------------- */

/* INFO is an object that has the listed NAME and RECORD. */
static void be_named(struct ipcu_info *info, const char *name, const struct ipcu_record *record)
{
	info->name = name;
	info->kind = (enum ipcu_kind)record->kind;
	info->created = record->created;
	memcpy(info->definition, record->definition, sizeof(info->definition));
	if (ipcu_kind_ops(info->kind)->describe)
		ipcu_kind_ops(info->kind)->describe(info);
}

enum ipcu_result ipcu_list_raw(const struct ipcu_name *name, ipcu_list_fn fn, void *context)
{
	static const enum ipcu_kind kinds[] = { IPCU_KIND_QUEUE, IPCU_KIND_SEMAPHORE,
						IPCU_KIND_MEMORY };
	enum ipcu_result result = IPCU_OK;
	int found = 0, errnum = 0;

	for (int family = IPCU_FAMILY_QUEUE; family <= IPCU_FAMILY_SEGMENT && result == IPCU_OK;
	     family++) {
		struct ipcu_info info = { .kind = kinds[family] };
		char listed[IPCU_NAME_MAX + 1];
		struct ipcu_record record;
		int id = name->form == IPCU_NAME_ID
				 ? name->id
				 : ipcu_family_get((enum ipcu_family)family, name->key);

		if (id < 0 || !fill(&info, (enum ipcu_family)family, id)) {
			errnum = errno == ENOSYS ? ENOSYS : errnum;
			continue;
		}
		found++;
		if (ipcu_listed_name(&info, (enum ipcu_family)family, listed, &record) &&
		    family_of(&record) == (enum ipcu_family)family && record.id == info.id)
			be_named(&info, listed, &record);
		else
			ipcu_recognise(&info, (enum ipcu_family)family);
		result = fn(&info, context);
	}
	if (result == IPCU_OK && !found && errnum)
		return ipcu_fail_call("msgget", errnum, "cannot list objects");
	return result == IPCU_OK && !found ? ipcu_fail(IPCU_NOT_FOUND, "no such object") : result;
}

enum ipcu_result ipcu_list_one(const char *typed, ipcu_list_fn fn, void *context)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	struct ipcu_name name;
	struct ipcu_info info;
	enum ipcu_result result = ipcu_name_read(&name, typed);

	if (result != IPCU_OK)
		return result;
	if (name.form != IPCU_NAME_PLAIN)
		return ipcu_list_raw(&name, fn, context);
	result = ipcu_registry_open(&registry, name.owner);
	if (result != IPCU_OK)
		return result;
	result = ipcu_registry_find(&registry, name.name, &record);
	if (result == IPCU_OK)
		result = describe_name(&info, &registry, name.name, &record);
	else if (result == IPCU_NOT_FOUND)
		result = describe_name(&info, &registry, name.name, NULL);
	if (result == IPCU_OK)
		result = fn(&info, context);
	ipcu_registry_close(&registry);
	return result == IPCU_NOT_FOUND ? ipcu_name_not_found(name.name) : result;
}
