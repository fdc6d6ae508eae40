/* SPDX-License-Identifier: MIT
 * shm-lock.c - the set of a named segment: the lock of the object, and its identity
 *
 * The set is created before the segment, on the same key. It proves without a registry whose name the segment has
 * (identity.h), and it outlives the segment: if a clean-up job removes the segment while a process holds the lock, the
 * next creator of the name uses the same set, and the lock stays held.
 *
 * The lock is taken by one step {wait for zero, add one, with undo}. Zero is free, so a new set is a free lock. The
 * kernel keeps the wait queue, and releases the lock whatever ends the holder.
 *
 * A set never grants more than its segment. Changing a set needs write permission, and writing a segment needs read and
 * write permission, so a class of users that has both for the segment may change the set; any other class may at most
 * read it. An owner that opens the object repairs a difference that a chmod(2)-like call of a different program caused.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "queue.h"
#include "shm.h"

/* ---- the set ---------------------------------------------------------------- */

static mode_t set_mode(mode_t segment)
{
	return (segment & 0444) | (segment & 0222 & segment >> 1);
}

static unsigned detail_of(const uint64_t definition[4])
{
	return ((unsigned)definition[IPCU_SHM_TYPE] & SHM_DETAIL_TYPE) |
	       (definition[IPCU_SHM_LENGTH] ? 0 : SHM_DETAIL_EMPTY);
}

int ipcu_shm_lock_set(uint64_t lock, uid_t owner)
{
	key_t key = (key_t)ipcu_pair_low(lock);
	int id = (int)ipcu_pair_high(lock) - 1;
	struct semid_ds set;

	if (id < 0 || ipcu_stat_set(id, &set) < 0 || set.sem_nsems != SHM_MEMBERS ||
	    PERM_KEY(set.sem_perm) != key || set.sem_perm.cuid != owner)
		return -1;
	return id;
}

void ipcu_shm_set_restrict(int id, const struct ipc_perm *perm)
{
	mode_t mode = set_mode(perm->mode);
	struct semid_ds set;

	if (ipcu_stat_set(id, &set) < 0 ||
	    (set.sem_perm.uid == perm->uid && set.sem_perm.gid == perm->gid &&
	     (set.sem_perm.mode & 0777) == mode))
		return;
	set.sem_perm.uid = perm->uid;
	set.sem_perm.gid = perm->gid;
	set.sem_perm.mode = (unsigned short)mode;
	semctl(id, 0, IPC_SET, (union semun){ .buf = &set });
}

void ipcu_shm_set_describe(int id, const uint64_t definition[4])
{
	unsigned member = SHM_MEMBERS - IPCU_IDENTITY_MEMBERS + IDENTITY_DETAIL;
	int old = semctl(id, (int)member, GETVAL), new = (int)detail_of(definition);
	struct ipcu_steps steps = { .count = 0 };

	if (old < 0 || old == new)
		return;
	if (old)
		ipcu_step(&steps, member, -old, IPC_NOWAIT);
	ipcu_step(&steps, member, 0, IPC_NOWAIT);
	if (new)
		ipcu_step(&steps, member, new, 0);
	ipcu_steps_do(id, &steps, NULL);
}

enum ipcu_result ipcu_shm_set_make(const struct ipcu_object *object, key_t key, mode_t mode,
				   uint64_t definition[4])
{
	struct ipc_perm perm = { .mode = (unsigned short)mode, .uid = geteuid(), .gid = getegid() };
	int id;
	enum ipcu_result result = ipcu_identity_make_set(object, key, set_mode(mode), SHM_MEMBERS,
							 detail_of(definition), &id);

	if (result == IPCU_LIMIT)
		return ipcu_fail_call("semget", ipcu_last_error()->errnum,
				      "cannot create its lock");
	if (result != IPCU_OK)
		return result;
	definition[IPCU_SHM_LOCK] = ipcu_pair((uint32_t)key, (uint32_t)id + 1);
	/* One that existed may have been made for a segment with a different mode or type. */
	ipcu_shm_set_restrict(id, &perm);
	ipcu_shm_set_describe(id, definition);
	return IPCU_OK;
}

static int take_at_once(int id)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, SHM_HELD, 0, IPC_NOWAIT);
	ipcu_step(&steps, SHM_HELD, 1, SEM_UNDO);
	return ipcu_steps_do(id, &steps, NULL);
}

static int give(int id)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, SHM_HELD, -1, SEM_UNDO | IPC_NOWAIT);
	return ipcu_steps_do(id, &steps, NULL);
}

void ipcu_shm_set_remove(uid_t owner, const char *name, uint64_t lock, bool idle_only)
{
	int id = ipcu_shm_lock_set(lock, owner);
	key_t key;

	if (id < 0 || !ipcu_identity_is(id, IPCU_KIND_MEMORY, owner, name))
		id = ipcu_identity_find(IPCU_KIND_MEMORY, owner, name, &key);
	if (id < 0)
		return;
	/* Taken in the same step as it is found free: no process can hold it when it is removed. */
	if (idle_only && take_at_once(id) != 0)
		return;
	if (idle_only && semctl(id, SHM_HELD, GETZCNT) > 0)
		give(id);
	else
		semctl(id, 0, IPC_RMID);
}

enum ipcu_result ipcu_shm_set_seal(uint64_t lock, uid_t owner)
{
	int id = ipcu_shm_lock_set(lock, owner), errnum;
	unsigned waiting;
	pid_t holder;

	errnum = id < 0 ? EIDRM : take_at_once(id);
	if (errnum == 0 || errnum == EIDRM)
		return IPCU_OK;
	if (errnum != EAGAIN)
		return ipcu_fail_call("semop", errnum, "cannot take its lock to remove it");
	holder = ipcu_shm_lock_holder(lock, owner, &waiting);
	ipcu_fail(IPCU_CONFLICT, "it is in use: process %d holds its lock, %u wait for it",
		  (int)holder, waiting);
	ipcu_hint(
		"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
	return IPCU_CONFLICT;
}

void ipcu_shm_set_unseal(uint64_t lock, uid_t owner)
{
	int id = ipcu_shm_lock_set(lock, owner);

	if (id >= 0)
		give(id);
}

pid_t ipcu_shm_lock_holder(uint64_t lock, uid_t owner, unsigned *waiting)
{
	int id = ipcu_shm_lock_set(lock, owner), count;
	pid_t holder;

	*waiting = 0;
	if (id < 0 || semctl(id, SHM_HELD, GETVAL) <= 0)
		return 0;
	holder = semctl(id, SHM_HELD, GETPID);
	count = semctl(id, SHM_HELD, GETZCNT);
	*waiting = count > 0 ? (unsigned)count : 0;
	/* The kernel gives 0 for a process of a different PID namespace. */
	return holder > 0 ? holder : IPCU_PID_UNKNOWN;
}

/* ---- the lock of an object ------------------------------------------------------ */

/* The record of SHM says where the set is by now, or the owner makes it again. */
static enum ipcu_result restore_set(ipcu_shm *shm, const struct ipc_perm *perm)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	enum ipcu_result result = ipcu_registry_open_locked(&registry, shm->object.owner, false);

	if (result != IPCU_OK)
		return result;
	result = ipcu_registry_find(&registry, shm->object.name, &record);
	if (result == IPCU_OK && (record.kind != IPCU_KIND_MEMORY ||
				  record.state != IPCU_RECORD_LIVE || record.id != shm->object.id))
		result = ipcu_fail_call("semop", EIDRM, "cannot lock it");
	if (result == IPCU_OK &&
	    ipcu_shm_lock_set(record.definition[IPCU_SHM_LOCK], registry.owner) < 0) {
		result = IPCU_CONFLICT;
		for (unsigned i = 0; i < IPCU_CANDIDATES && result == IPCU_CONFLICT; i++)
			result = ipcu_shm_set_make(
				&shm->object, ipcu_name_derive(registry.owner, shm->object.name, i),
				perm->mode, record.definition);
		if (result == IPCU_OK)
			result = ipcu_registry_put(&registry, shm->object.name, &record);
	}
	ipcu_registry_unlock_close(&registry);
	if (result == IPCU_OK)
		atomic_store(&shm->lock, record.definition[IPCU_SHM_LOCK]);
	return result;
}

void ipcu_shm_lock_check(ipcu_shm *shm, const struct ipc_perm *perm)
{
	int id = ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner);
	struct ipcu_error error;

	if (id >= 0) {
		ipcu_shm_set_restrict(id, perm);
		return;
	}
	error = *ipcu_last_error();
	if (shm->object.owner == geteuid() && !ipcu_registry_lock_holder(shm->object.owner))
		restore_set(shm, perm);
	ipcu_error_restore(&error);
}

static enum ipcu_result find_set(ipcu_shm *shm, int *id)
{
	enum ipcu_result result;

	if (!shm->object.named) {
		ipcu_fail(IPCU_USAGE, "only a NAME has a lock");
		ipcu_hint("for the segment of a different program use ipc-sem run");
		return IPCU_USAGE;
	}
	*id = ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner);
	if (*id >= 0)
		return IPCU_OK;
	if (ipcu_shm_gone(shm))
		return ipcu_fail_call("semop", EIDRM, "cannot lock it");
	if (shm->object.owner != geteuid()) {
		ipcu_fail(IPCU_NOT_FOUND, "its lock was removed by a different program");
		ipcu_hint("user %lu repairs it with any command that opens it",
			  (unsigned long)shm->object.owner);
		return IPCU_NOT_FOUND;
	}
	result = restore_set(shm, &shm->object.perm);
	*id = ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner);
	return result == IPCU_OK && *id < 0 ? ipcu_fail_call("semop", EIDRM, "cannot lock it")
					    : result;
}

enum ipcu_result ipcu_shm_lock(ipcu_shm *shm, const struct timespec *deadline)
{
	struct ipcu_steps steps = { .count = 0 };
	int id, errnum;
	enum ipcu_result result = find_set(shm, &id);

	if (result != IPCU_OK)
		return result;
	ipcu_step(&steps, SHM_HELD, 0, 0);
	ipcu_step(&steps, SHM_HELD, 1, SEM_UNDO);
	errnum = ipcu_steps_do(id, &steps, deadline);
	return errnum ? ipcu_steps_failed(&shm->object, errnum, "cannot lock it", deadline)
		      : IPCU_OK;
}

enum ipcu_result ipcu_shm_unlock(ipcu_shm *shm)
{
	int id = shm->object.named ? ipcu_shm_lock_set(atomic_load(&shm->lock), shm->object.owner)
				   : -1,
	    errnum;

	if (id < 0)
		return ipcu_fail(IPCU_NOT_FOUND, "it was removed, or never locked");
	if (semctl(id, SHM_HELD, GETVAL) <= 0 || semctl(id, SHM_HELD, GETPID) != getpid())
		return IPCU_OK;
	errnum = give(id);
	return errnum && errnum != EAGAIN
		       ? ipcu_steps_failed(&shm->object, errnum, "cannot unlock it", NULL)
		       : IPCU_OK;
}
