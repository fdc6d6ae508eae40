/* SPDX-License-Identifier: MIT
 * shm-load.c - replacing all of a segment's data at once
 *
 * A segment can neither be resized nor given a different key, and programs that were told the key must find the new data
 * there. So:
 *
 *   stage    a new segment on a random key, filled without any lock (shm-stage.c)
 *   switch   the record leads to it: this one store is the moment of the change
 *   clear    the old segment is removed, which frees its key
 *   return   the data are copied to that key (shm-home.c), now or by a later process
 *
 * At every instant the record leads to a segment that holds all of the old or all of the new data. Only the switch and
 * the removal happen with the registry's lock. The record also names the old segment by its identifier, so that the next
 * process removes it if this one is killed in between. A staged segment that no record leads to is known by its key and
 * its dead maker.
 *
 * Until the return, programs that go by the key find no segment, or one with mode 0 that they cannot attach: it gets its mode
 * in the step before the change.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "stage.h"

/* ---- waking ------------------------------------------------------------------ */

/* Processes that sleep on segment ID, which was replaced, must look again. */
static void wake_old(int id, const struct shmid_ds *state, const struct ipcu_record *record)
{
	void *data = state->shm_nattch ? shmat(id, NULL, 0) : (void *)-1;
	ipcu_shm old = { .writable = true, .data = data, .size = state->shm_segsz };
	struct ipcu_shm_control *control = NULL;

	if (data == (void *)-1)
		return;
	if (ipcu_stage_key(record->key))
		control = ipcu_stage_control(data, state->shm_segsz,
					     record->definition[IPCU_SHM_LENGTH]);
	old.tail = control ? &control->tail : ipcu_shm_tail(data, state->shm_segsz);
	ipcu_shm_wake_all(&old);
	shmdt(data);
}

/* ---- publishing ----------------------------------------------------------- */

static enum ipcu_result check_type(const ipcu_shm_stage *stage, enum ipcu_type type)
{
	if (stage->size % ipcu_type_size(type) == 0)
		return IPCU_OK;
	ipcu_fail(IPCU_CONFLICT, "%zu bytes are not a whole number of values of type %s",
		  stage->size, ipcu_type_name(type));
	return IPCU_CONFLICT;
}

/* Caller holds the registry lock. Make RECORD, which is live, lead to what is staged. */
static enum ipcu_result replace(ipcu_shm_stage *stage, struct ipcu_registry *registry,
				const char *name, struct ipcu_record *record,
				const struct ipc_perm *perm)
{
	const struct ipcu_record old_record = *record;
	bool away = ipcu_stage_key(record->key);
	key_t home = away ? (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER]) : record->key;
	struct shmid_ds old;
	enum ipcu_result result =
		check_type(stage, (enum ipcu_type)record->definition[IPCU_SHM_TYPE]);
	int set;

	if (result != IPCU_OK)
		return result;
	if (ipcu_stat_segment(record->id, &old) < 0)
		return ipcu_fail_call("shmctl", EIDRM, "cannot replace it");
	if (!ipcu_segment_set_perm(stage->id, perm, perm->mode))
		return ipcu_fail_call("shmctl", errno, "cannot give it its owner and mode");
	record->definition[IPCU_SHM_OTHER] = ipcu_pair((uint32_t)home, (uint32_t)record->id + 1);
	record->id = stage->id;
	record->key = stage->key;
	record->definition[IPCU_SHM_LENGTH] = stage->size;
	result = ipcu_registry_put(registry, name, record);
	if (result != IPCU_OK)
		return result;
	stage->published = true;
	set = ipcu_shm_lock_set(record->definition[IPCU_SHM_LOCK], registry->owner);
	if (set >= 0)
		ipcu_shm_set_describe(set, record->definition);
	/* If it stays, the record names it on, and the next process tries again. */
	if (shmctl(old_record.id, IPC_RMID, NULL) == 0 || errno == EINVAL || errno == EIDRM) {
		record->definition[IPCU_SHM_OTHER] = ipcu_pair((uint32_t)home, 0);
		ipcu_registry_put(registry, name, record);
	}
	wake_old(old_record.id, &old, &old_record);
	return IPCU_OK;
}

/* The set of the new NAME, on the first of its keys on which there is no segment. */
static enum ipcu_result make_set(struct ipcu_registry *registry, const char *name,
				 struct ipcu_record *record, mode_t mode)
{
	struct ipcu_object object = { .ops = &ipcu_shm_ops, .owner = registry->owner };
	enum ipcu_result result = IPCU_CONFLICT;

	strcpy(object.name, name);
	for (unsigned i = 0; i < IPCU_CANDIDATES && result == IPCU_CONFLICT; i++) {
		key_t key = ipcu_name_derive(registry->owner, name, i);

		if (shmget(key, 0, 0) >= 0 || errno != ENOENT)
			continue;
		/* Recorded first: a set that a killed process has just made is then found. */
		record->definition[IPCU_SHM_OTHER] = ipcu_pair((uint32_t)key, 0);
		result = ipcu_registry_put(registry, name, record);
		if (result == IPCU_OK)
			result = ipcu_shm_set_make(&object, key, mode, record->definition);
	}
	if (result == IPCU_CONFLICT) {
		ipcu_fail(IPCU_CONFLICT, "cannot create it: other objects hold all its keys");
		ipcu_hint("ipc-ls -a shows them");
	}
	return result;
}

static enum ipcu_result publish_new(ipcu_shm_stage *stage, struct ipcu_registry *registry,
				    const char *name, struct ipcu_record *record, mode_t mode)
{
	struct shmid_ds state;
	enum ipcu_result result;

	*record = (struct ipcu_record){ .kind = IPCU_KIND_MEMORY, .state = IPCU_RECORD_CREATING };
	if (ipcu_stat_segment(stage->id, &state) < 0)
		return ipcu_fail_call("shmctl", EIDRM, "cannot create it");
	mode = mode ? mode : 0600;
	if (!ipcu_segment_set_perm(stage->id, &state.shm_perm, mode))
		return ipcu_fail_call("shmctl", errno, "cannot give it its mode");
	record->id = stage->id;
	record->key = stage->key;
	record->created = (int64_t)time(NULL);
	record->creator = getpid();
	record->definition[IPCU_SHM_LENGTH] = stage->size;
	result = make_set(registry, name, record, mode);
	record->state = IPCU_RECORD_LIVE;
	if (result == IPCU_OK)
		result = ipcu_registry_put(registry, name, record);
	if (result == IPCU_OK) {
		stage->published = true;
		return result;
	}
	ipcu_shm_set_remove(registry->owner, name, record->definition[IPCU_SHM_LOCK], true);
	ipcu_registry_drop(registry, name);
	return result;
}

/* Caller holds the registry lock. */
static enum ipcu_result publish(ipcu_shm_stage *stage, struct ipcu_registry *registry,
				const char *name, struct ipcu_record *record,
				const struct ipcu_open *how)
{
	struct ipc_perm perm;
	bool recorded;
	enum ipcu_result result = ipcu_object_find(registry, name, record, &perm, &recorded);
	int id;

	/* Found by its key: a cleanup job may have removed the registry. */
	if (result == IPCU_OK && !recorded)
		result = ipcu_registry_put(registry, name, record);
	if (result != IPCU_OK && result != IPCU_NOT_FOUND)
		return result;
	if (result == IPCU_OK) {
		if (record->kind != IPCU_KIND_MEMORY) {
			ipcu_fail(IPCU_CONFLICT, "it is %s, not memory",
				  ipcu_kind_phrase((enum ipcu_kind)record->kind));
			ipcu_hint("all kinds share one namespace: use another name");
			return IPCU_CONFLICT;
		}
		ipcu_shm_cancel(registry, name, record);
		if (!ipcu_object_verify(registry, name, record, &id, &perm))
			return ipcu_fail_call("shmctl", EIDRM, "cannot replace it");
		record->id = id;
		if (how && how->found_mode)
			*how->found_mode = (mode_t)perm.mode & 0777;
		return replace(stage, registry, name, record, &perm);
	}
	if (how && how->create == IPCU_CREATE_NEVER)
		return ipcu_fail(IPCU_NOT_FOUND, "no such memory");
	if (ipcu_name_check_new(name) != IPCU_OK)
		return IPCU_USAGE;
	ipcu_object_clear_up(registry, name);
	if (how && how->found_mode)
		*how->found_mode = how->mode;
	return publish_new(stage, registry, name, record, how ? how->mode : 0);
}

static enum ipcu_result check_name(struct ipcu_name *name, const char *typed)
{
	enum ipcu_result result = ipcu_name_read(name, typed);

	if (result != IPCU_OK)
		return result;
	if (name->form != IPCU_NAME_PLAIN) {
		ipcu_fail(IPCU_USAGE, "only a NAME can be loaded");
		ipcu_hint(
			"for the segment of a different program use ipc-shm write, which changes it in place");
		return IPCU_USAGE;
	}
	if (name->owner != geteuid()) {
		ipcu_fail(IPCU_DENIED, "only user %lu can replace or create it",
			  (unsigned long)name->owner);
		ipcu_hint("ipc-shm write changes it in place, if its mode allows");
		return IPCU_DENIED;
	}
	return IPCU_OK;
}

enum ipcu_result ipcu_shm_publish(ipcu_shm_stage *stage, const char *typed,
				  const struct ipcu_open *how)
{
	struct ipcu_object object = { .ops = &ipcu_shm_ops, .named = true };
	struct ipcu_registry registry;
	struct ipcu_record record;
	struct ipcu_name name;
	enum ipcu_result result = check_name(&name, typed);

	if (result != IPCU_OK)
		return result;
	result = ipcu_registry_open_until(&registry, name.owner,
					  !how || how->create != IPCU_CREATE_NEVER,
					  how ? how->deadline : NULL);
	if (result != IPCU_OK)
		return result;
	result = publish(stage, &registry, name.name, &record, how);
	ipcu_registry_unlock_close(&registry);
	if (result != IPCU_OK)
		return result;
	/* The data are in force. Whether they return now or later changes nothing for processes that go by the name. */
	object.owner = name.owner;
	strcpy(object.name, name.name);
	memcpy(object.definition, record.definition, sizeof(object.definition));
	if (ipcu_shm_bring_home(&object, stage->id, stage->data, stage->whole))
		stage->published =
			false; /* nothing leads to it: closing it removes it if it is still there */
	return IPCU_OK;
}
