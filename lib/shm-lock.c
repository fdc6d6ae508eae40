/* SPDX-License-Identifier: MIT
 * shm-lock.c - an object's own lock: a set of one semaphore beside the segment
 *
 * Taken by one step {wait for zero, add one, with undo}: zero is free, so a new set is a free lock and there is nothing
 * to initialise. The kernel keeps the line, and takes the one back whatever ends the holder. The set has the key that the
 * name has for segments; the registry records the key before the set is made and its identifier after.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "queue.h"
#include "shm.h"
#include "steps.h"

int ipcu_shm_lock_set(uint64_t lock, uid_t owner)
{
	key_t key = (key_t)ipcu_pair_low(lock);
	int id = (int)ipcu_pair_high(lock) - 1;
	struct semid_ds set;

	if (id < 0 || ipcu_stat_set(id, &set) < 0 || set.sem_nsems != 1 ||
	    PERM_KEY(set.sem_perm) != key || set.sem_perm.cuid != owner)
		return -1;
	return id;
}

pid_t ipcu_shm_lock_holder(uint64_t lock, uid_t owner, unsigned *waiting)
{
	int id = ipcu_shm_lock_set(lock, owner), count;
	pid_t holder;

	*waiting = 0;
	if (id < 0 || semctl(id, 0, GETVAL) != 1)
		return 0;
	holder = semctl(id, 0, GETPID);
	count = semctl(id, 0, GETZCNT);
	*waiting = count > 0 ? (unsigned)count : 0;
	/* Of another pid namespace, perhaps; but held it is. */
	return holder > 0 ? holder : 1;
}

void ipcu_shm_lock_remove(uint64_t lock, uid_t owner)
{
	key_t key = (key_t)ipcu_pair_low(lock);
	int id = ipcu_shm_lock_set(lock, owner);
	struct semid_ds set;

	/* Its maker may have been killed before it could tell the identifier; then nobody has used it. */
	if (id < 0 && key && !ipcu_pair_high(lock)) {
		id = semget(key, 1, 0);
		if (id >= 0 && (ipcu_stat_set(id, &set) < 0 || set.sem_nsems != 1 ||
				set.sem_otime != 0 || set.sem_perm.cuid != owner))
			id = -1;
	}
	if (id >= 0)
		semctl(id, 0, IPC_RMID);
}

enum ipcu_result ipcu_shm_lock_add(struct ipcu_registry *registry, const char *name,
				   struct ipcu_record *record, const struct ipc_perm *perm)
{
	struct semid_ds set;
	int id = -1;

	ipcu_shm_lock_remove(record->definition[IPCU_SHM_LOCK], registry->owner);
	for (unsigned i = 0; i < IPCU_CANDIDATES && id < 0; i++) {
		key_t key = ipcu_name_derive(registry->owner, name, i);
		enum ipcu_result result;

		record->definition[IPCU_SHM_LOCK] = ipcu_pair((uint32_t)key, 0);
		result = ipcu_registry_put(registry, name, record);
		if (result != IPCU_OK)
			return result;
		id = semget(key, 1, IPC_CREAT | IPC_EXCL | (int)(perm->mode & 0666));
		if (id < 0 && errno != EEXIST)
			break;
	}
	if (id < 0) {
		int errnum = errno;

		record->definition[IPCU_SHM_LOCK] = 0;
		ipcu_registry_put(registry, name, record);
		return ipcu_fail_call("semget", errnum, "cannot create its lock");
	}
	if (ipcu_stat_set(id, &set) == 0 && set.sem_perm.gid != perm->gid) {
		set.sem_perm.gid = perm->gid;
		semctl(id, 0, IPC_SET, (union semun){ .buf = &set });
	}
	record->definition[IPCU_SHM_LOCK] =
		ipcu_pair(ipcu_pair_low(record->definition[IPCU_SHM_LOCK]), (uint32_t)id + 1);
	return ipcu_registry_put(registry, name, record);
}

enum ipcu_result ipcu_shm_lock_make(ipcu_shm *shm)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	enum ipcu_result result;

	if (shm->object.owner != geteuid()) {
		ipcu_fail(IPCU_DENIED, "it has no lock yet");
		ipcu_hint("user %lu must take it once, or create the object with a mode for others",
			  (unsigned long)shm->object.owner);
		return IPCU_DENIED;
	}
	result = ipcu_registry_open_locked(&registry, shm->object.owner, false);
	if (result != IPCU_OK)
		return result;
	result = ipcu_registry_find(&registry, shm->object.name, &record);
	if (result == IPCU_OK &&
	    (record.kind != IPCU_KIND_MEMORY || record.state != IPCU_RECORD_LIVE))
		result = ipcu_fail_call("semop", EIDRM, "cannot lock it");
	if (result == IPCU_OK &&
	    ipcu_shm_lock_set(record.definition[IPCU_SHM_LOCK], registry.owner) < 0)
		result = ipcu_shm_lock_add(&registry, shm->object.name, &record, &shm->object.perm);
	ipcu_registry_unlock_close(&registry);
	if (result == IPCU_OK)
		atomic_store(&shm->lock, record.definition[IPCU_SHM_LOCK]);
	return result;
}

/* The set, from what is recorded now: it may have been made since the object was opened. */
static enum ipcu_result find_set(ipcu_shm *shm, int *id)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	enum ipcu_result result;

	if (!shm->object.named) {
		ipcu_fail(IPCU_USAGE, "only a NAME has a lock");
		ipcu_hint(
			"key:, id: and ftok: reach objects of other programs, and those have none: use ipc-sem run");
		return IPCU_USAGE;
	}
	*id = ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner);
	if (*id >= 0)
		return IPCU_OK;
	result = ipcu_registry_open(&registry, shm->object.owner);
	if (result != IPCU_OK)
		return result;
	result = ipcu_registry_find(&registry, shm->object.name, &record);
	ipcu_registry_close(&registry);
	if (result != IPCU_OK || record.kind != IPCU_KIND_MEMORY)
		return ipcu_fail_call("semop", EIDRM, "cannot lock it");
	atomic_store(&shm->lock, record.definition[IPCU_SHM_LOCK]);
	*id = ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner);
	if (*id >= 0)
		return IPCU_OK;
	result = ipcu_shm_lock_make(shm);
	*id = ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner);
	return result;
}

enum ipcu_result ipcu_shm_lock(ipcu_shm *shm, const struct timespec *deadline)
{
	struct ipcu_steps steps = { .count = 0 };
	int id, errnum;
	enum ipcu_result result = find_set(shm, &id);

	if (result != IPCU_OK)
		return result;
	ipcu_step(&steps, 0, 0, 0);
	ipcu_step(&steps, 0, 1, SEM_UNDO);
	errnum = ipcu_steps_do(id, &steps, deadline);
	return errnum ? ipcu_steps_failed(&shm->object, errnum, "cannot lock it", deadline)
		      : IPCU_OK;
}

enum ipcu_result ipcu_shm_unlock(ipcu_shm *shm)
{
	int id = shm->object.named ? ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner)
				   : -1,
	    errnum;
	struct ipcu_steps steps = { .count = 0 };

	if (id < 0)
		return ipcu_fail(IPCU_NOT_FOUND, "it was removed, or never locked");
	if (semctl(id, 0, GETVAL) != 1 || semctl(id, 0, GETPID) != getpid())
		return IPCU_OK;
	ipcu_step(&steps, 0, -1, SEM_UNDO | IPC_NOWAIT);
	errnum = ipcu_steps_do(id, &steps, NULL);
	return errnum && errnum != EAGAIN
		       ? ipcu_steps_failed(&shm->object, errnum, "cannot unlock it", NULL)
		       : IPCU_OK;
}
