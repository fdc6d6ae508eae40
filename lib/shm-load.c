/* SPDX-License-Identifier: MIT
 * shm-load.c - replacing all of a segment's data at once
 *
 * A segment can neither be resized nor given another key, and programs that were told the key shall find the new data
 * there. So:
 *
 *   stage    a new segment on a random key, filled without any lock
 *   switch   the record leads to it: this one store is the moment of the change
 *   clear    the old segment is removed, which frees its key
 *   copy     a segment is made on that key and filled from the staged one
 *   return   the record leads to that
 *   end      the staged segment is removed
 *
 * At every instant the record leads to a segment that is whole, and all but staging happens with the registry's lock. The record
 * also names the one other segment there may be, with the process that made it, before that is made: whatever step
 * a publisher is killed at, the next one to come ends its work, which is the same whoever does it. A staged segment
 * that no record leads to is known by its key and its dead maker.
 *
 * While it is copied the segment on the name's key has mode 0: who goes by the key alone is refused rather
 * than shown a half.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "process.h"
#include "shm.h"

struct ipcu_shm_stage {
	int id;
	key_t key;
	size_t size;
	void *data;
	bool published;
};

/* ---- staging -------------------------------------------------------------- */

static int make_staged(size_t size, key_t *key)
{
	uint32_t random;
	int id = -1;

	for (int attempt = 0; attempt < 1000; attempt++) {
		if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
			continue;
		*key = (key_t)(IPCU_STAGE_PREFIX | (random & ~IPCU_STAGE_MASK));
		id = shmget(*key, size ? size : 1, IPC_CREAT | IPC_EXCL | 0600);
		if (id >= 0 || errno != EEXIST)
			break;
	}
	return id;
}

enum ipcu_result ipcu_shm_stage_open(ipcu_shm_stage **out, size_t size)
{
	ipcu_shm_stage *stage = calloc(1, sizeof(*stage));

	if (!stage)
		return ipcu_fail_call("malloc", ENOMEM, "cannot stage it");
	stage->size = size;
	stage->id = make_staged(size, &stage->key);
	if (stage->id < 0) {
		ipcu_fail_call("shmget", errno, "no segment for %zu bytes", size);
		goto no_segment;
	}
	stage->data = shmat(stage->id, NULL, 0);
	if (stage->data == (void *)-1) {
		ipcu_fail_call("shmat", errno, "no segment for %zu bytes", size);
		goto not_attached;
	}
	*out = stage;
	return IPCU_OK;
not_attached:
	shmctl(stage->id, IPC_RMID, NULL);
no_segment:
	free(stage);
	return ipcu_last_error()->result;
}

void *ipcu_shm_stage_data(ipcu_shm_stage *stage)
{
	return stage->data;
}

void ipcu_shm_stage_close(ipcu_shm_stage *stage)
{
	if (!stage)
		return;
	if (!stage->published)
		shmctl(stage->id, IPC_RMID, NULL);
	shmdt(stage->data);
	free(stage);
}

bool ipcu_stage_stale(const struct ipcu_info *info)
{
	return info->kind == IPCU_KIND_MEMORY && ipcu_stage_key(info->key) && info->attached == 0 &&
	       info->creator == geteuid() && !ipcu_process_lives(info->creator_pid, 0);
}

/* ---- the other segment of a record ---------------------------------------- */

static void set_other(struct ipcu_record *record, key_t key, pid_t maker)
{
	record->definition[IPCU_SHM_OTHER] = ipcu_pair((uint32_t)key, (uint32_t)maker);
}

void ipcu_shm_other_remove(const struct ipcu_record *record, uid_t owner)
{
	key_t key = (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER]);
	pid_t maker = (pid_t)ipcu_pair_high(record->definition[IPCU_SHM_OTHER]);
	struct shmid_ds segment;
	int id;

	if (!maker || !key)
		return;
	id = shmget(key, 0, 0);
	/* Its owner could have named anybody's segment: only his own go. */
	if (id >= 0 && id != record->id && ipcu_stat_segment(id, &segment) == 0 &&
	    segment.shm_cpid == maker && segment.shm_perm.cuid == owner)
		shmctl(id, IPC_RMID, NULL);
}

/* ---- going home ----------------------------------------------------------- */

/* The owner, group and mode that LIKE has, and only these bits of it. */
static bool set_perm(int id, const struct ipc_perm *like, unsigned mode)
{
	struct shmid_ds segment;

	if (ipcu_stat_segment(id, &segment) < 0)
		return false;
	segment.shm_perm.uid = like->uid;
	segment.shm_perm.gid = like->gid;
	segment.shm_perm.mode = (unsigned short)(mode & 0777);
	return shmctl(id, IPC_SET, &segment) == 0;
}

static void copy(char *target, char *source, size_t size)
{
	for (size_t done = 0, part; done < size; done += part) {
		part = size - done < IPCU_POPULATE_CHUNK ? size - done : IPCU_POPULATE_CHUNK;
		ipcu_shm_populate(target + done, part, true);
		ipcu_shm_populate(source + done, part, false);
		memcpy(target + done, source + done, part);
	}
}

/* A copy of segment FROM on KEY; its identifier, or -1: the key is taken, or no memory. */
static int copy_to(key_t key, int from, const struct shmid_ds *state)
{
	int id = shmget(key, state->shm_segsz, IPC_CREAT | IPC_EXCL | 0600);
	void *source, *target;
	bool good;

	if (id < 0)
		return -1;
	target = shmat(id, NULL, 0);
	good = set_perm(id, &state->shm_perm, 0);
	source = shmat(from, NULL, SHM_RDONLY);
	good = good && target != (void *)-1 && source != (void *)-1;
	if (good) {
		copy(target, source, state->shm_segsz);
		good = set_perm(id, &state->shm_perm, state->shm_perm.mode);
	}
	if (!good) {
		shmctl(id, IPC_RMID, NULL);
		id = -1;
	}
	if (source != (void *)-1)
		shmdt(source);
	if (target != (void *)-1)
		shmdt(target);
	return id;
}

/*
 * From the staged segment that RECORD leads to, back to a key of the name: HOME, or the first free one. Where there is
 * none the staged one stays, and is as good but for its key.
 */
static void go_home(struct ipcu_registry *registry, const char *name, struct ipcu_record *record,
		    key_t home)
{
	struct shmid_ds state;
	key_t staged = record->key;
	int id = -1;

	if (ipcu_stat_segment(record->id, &state) < 0)
		return;
	for (unsigned i = 0; i <= IPCU_CANDIDATES && id < 0; i++) {
		key_t key = i ? ipcu_name_derive(registry->owner, name, i - 1) : home;

		if (!key)
			continue;
		set_other(record, key, getpid());
		if (ipcu_registry_put(registry, name, record) != IPCU_OK)
			return;
		id = copy_to(key, record->id, &state);
		if (id < 0)
			continue;
		record->key = key;
		record->id = id;
		set_other(record, staged, state.shm_cpid);
		ipcu_registry_put(registry, name, record);
		ipcu_shm_other_remove(record, registry->owner);
	}
	set_other(record, id < 0 ? home : 0, 0);
	ipcu_registry_put(registry, name, record);
}

bool ipcu_shm_settle(struct ipcu_registry *registry, const char *name, struct ipcu_record *record,
		     bool dry_run)
{
	key_t home = (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER]);
	bool away = ipcu_stage_key(record->key);

	if (record->state != IPCU_RECORD_LIVE || (!away && !record->definition[IPCU_SHM_OTHER]))
		return false;
	if (dry_run)
		return true;
	ipcu_shm_other_remove(record, registry->owner);
	if (away) {
		go_home(registry, name, record, home);
	} else {
		set_other(record, 0, 0);
		ipcu_registry_put(registry, name, record);
	}
	return true;
}

/* ---- publishing ----------------------------------------------------------- */

/* What sleeps on the old segment shall look at once. */
static void wake_sleepers(void *data, size_t size)
{
	ipcu_shm old = {
		.writable = true, .size = size, .data = data, .tail = ipcu_shm_tail(data, size)
	};

	ipcu_shm_wake_all(&old);
}

static void wake_old(int id, const struct shmid_ds *state)
{
	void *data = state->shm_nattch ? shmat(id, NULL, 0) : (void *)-1;

	if (data == (void *)-1)
		return;
	wake_sleepers(data, state->shm_segsz);
	shmdt(data);
}

/* With the lock: RECORD, live, is replaced by what is staged. */
static enum ipcu_result replace(ipcu_shm_stage *stage, struct ipcu_registry *registry,
				const char *name, struct ipcu_record *record,
				const struct ipc_perm *perm)
{
	size_t size = ipcu_type_size((enum ipcu_type)record->definition[IPCU_SHM_TYPE]);
	struct shmid_ds old;
	int old_id = record->id;
	enum ipcu_result result;
	bool gone;

	if (stage->size % size) {
		ipcu_fail(IPCU_CONFLICT, "%zu bytes are no whole number of values of type %s",
			  stage->size,
			  ipcu_type_name((enum ipcu_type)record->definition[IPCU_SHM_TYPE]));
		return IPCU_CONFLICT;
	}
	if (ipcu_stat_segment(old_id, &old) < 0)
		return ipcu_fail_call("shmctl", EIDRM, "cannot replace it");
	if (!set_perm(stage->id, perm, perm->mode))
		return ipcu_fail_call("shmctl", errno, "cannot give it its owner and mode");
	set_other(record, record->key, old.shm_cpid);
	record->id = stage->id;
	record->key = stage->key;
	record->definition[IPCU_SHM_LENGTH] = stage->size;
	result = ipcu_registry_put(registry, name, record);
	if (result != IPCU_OK)
		return result;
	stage->published = true;
	/* Should it stay, the record names it on, and whoever opens the name tries again. */
	gone = shmctl(old_id, IPC_RMID, NULL) == 0 || errno == EINVAL || errno == EIDRM;
	wake_old(old_id, &old);
	if (!gone)
		return IPCU_OK;
	go_home(registry, name, record, (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER]));
	wake_sleepers(stage->data, stage->size); /* who came in between */
	return IPCU_OK;
}

static enum ipcu_result publish_new(ipcu_shm_stage *stage, struct ipcu_registry *registry,
				    const char *name, mode_t mode)
{
	struct ipcu_record record = { .kind = IPCU_KIND_MEMORY, .state = IPCU_RECORD_CREATING };
	struct shmid_ds state;
	enum ipcu_result result = IPCU_OK;

	if (ipcu_stat_segment(stage->id, &state) < 0)
		return ipcu_fail_call("shmctl", EIDRM, "cannot create it");
	state.shm_perm.mode = (unsigned short)(mode ? mode : 0600);
	if (!set_perm(stage->id, &state.shm_perm, state.shm_perm.mode))
		return ipcu_fail_call("shmctl", errno, "cannot give it its mode");
	record.id = stage->id;
	record.key = stage->key;
	record.created = (int64_t)time(NULL);
	record.creator = getpid();
	record.definition[IPCU_SHM_LENGTH] = stage->size;
	/* Others cannot make its lock, so it has one from the beginning. */
	if (state.shm_perm.mode & 066)
		result = ipcu_shm_lock_add(registry, name, &record, &state.shm_perm);
	record.state = IPCU_RECORD_LIVE;
	if (result == IPCU_OK)
		result = ipcu_registry_put(registry, name, &record);
	if (result != IPCU_OK) {
		ipcu_registry_drop(registry, name);
		return result;
	}
	stage->published = true;
	go_home(registry, name, &record, 0);
	return IPCU_OK;
}

/* With the lock. */
static enum ipcu_result publish(ipcu_shm_stage *stage, struct ipcu_registry *registry,
				const char *name, const struct ipcu_open *how)
{
	struct ipcu_record record;
	struct ipc_perm perm;
	enum ipcu_result result = ipcu_registry_find(registry, name, &record);
	int id;

	if (result != IPCU_OK && result != IPCU_NOT_FOUND)
		return result;
	if (result == IPCU_OK && ipcu_object_verify(registry, name, &record, &id, &perm)) {
		if (record.kind != IPCU_KIND_MEMORY) {
			ipcu_fail(IPCU_CONFLICT, "it is %s, not memory",
				  ipcu_kind_phrase((enum ipcu_kind)record.kind));
			ipcu_hint(
				"all kinds share one namespace: use another name, or remove that with ipc-rm");
			return IPCU_CONFLICT;
		}
		ipcu_shm_settle(registry, name, &record, false);
		if (!ipcu_object_verify(registry, name, &record, &id, &perm))
			return ipcu_fail_call("shmctl", EIDRM, "cannot replace it");
		record.id = id;
		return replace(stage, registry, name, &record, &perm);
	}
	if (how && how->create == IPCU_CREATE_NEVER)
		return ipcu_fail(IPCU_NOT_FOUND, "no such memory");
	if (result == IPCU_OK)
		ipcu_object_clear_up(registry, name);
	return publish_new(stage, registry, name, how ? how->mode : 0);
}

enum ipcu_result ipcu_shm_publish(ipcu_shm_stage *stage, const char *typed,
				  const struct ipcu_open *how)
{
	struct ipcu_registry registry;
	struct ipcu_name name;
	enum ipcu_result result = ipcu_name_read(&name, typed);

	if (result != IPCU_OK)
		return result;
	if (name.form != IPCU_NAME_PLAIN) {
		ipcu_fail(IPCU_USAGE, "only a NAME can be loaded");
		ipcu_hint(
			"key:, id: and ftok: reach segments of other programs: use ipc-shm write, which changes them in place");
		return IPCU_USAGE;
	}
	if (name.owner != geteuid()) {
		ipcu_fail(IPCU_DENIED, "only user %lu can replace or create it",
			  (unsigned long)name.owner);
		ipcu_hint("ipc-shm write changes it in place, if its mode allows");
		return IPCU_DENIED;
	}
	result = ipcu_registry_open_until(&registry, name.owner,
					  !how || how->create != IPCU_CREATE_NEVER,
					  how ? how->deadline : NULL);
	if (result != IPCU_OK)
		return result;
	result = publish(stage, &registry, name.name, how);
	ipcu_registry_unlock_close(&registry);
	return result;
}
