/* SPDX-License-Identifier: MIT
 * registry-lock.c - the lock that writers of a registry hold
 *
 * A semaphore taken with SEM_UNDO, so the kernel releases it if its holder dies. It is found by its key, so that all who
 * need it find the same one, with or without a registry; the registry then names it by identifier. It is held for
 * microseconds: a process that cannot get it finds out which one has it and reports that.
 *
 * Only the process that holds it removes it. A process that waits for it, or was about to take it, then finds it removed and
 * starts over, so two processes are never in possession of locks of which both count.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "registry.h"
#include "sysv.h"
#include "undo.h"

#define TRIES \
	1000 /* how often the lock may be removed while we take it; no attempt waits after the deadline */

/* Whether semaphore ID is OWNER's, who alone may use it; errno EIDRM if not. */
static bool is_lock(uid_t owner, int id)
{
	struct semid_ds state;

	if (ipcu_stat_set(id, &state) == 0 && state.sem_perm.uid == owner &&
	    (state.sem_perm.cuid == owner || state.sem_perm.cuid == 0) &&
	    (state.sem_perm.mode & 022) == 0 && state.sem_nsems == 1 &&
	    ipcu_registry_is_key(owner, PERM_KEY(state.sem_perm), true))
		return true;
	errno = EIDRM;
	return false;
}

/* Create the semaphore on KEY; -1 with errno. */
static int make_semaphore(uid_t owner, key_t key)
{
	struct semid_ds state;
	int id;

	if (geteuid() != owner && geteuid() != 0) {
		errno = EACCES;
		return -1;
	}
	id = semget(key, 1, IPC_CREAT | IPC_EXCL | 0600);
	if (id >= 0 && geteuid() != owner) { /* root, in the namespace of a different user */
		state.sem_perm.uid = owner;
		state.sem_perm.gid = getegid();
		state.sem_perm.mode = 0600;
		if (semctl(id, 0, IPC_SET, (union semun){ .buf = &state }) < 0)
			return -1;
	}
	return id;
}

/* The owner's semaphore on one of the lock's keys; -1: there is none, and *FREE_KEY is the first free key, or 0. */
static int find_semaphore(uid_t owner, key_t *free_key)
{
	*free_key = 0;
	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++) {
		key_t key = ipcu_name_derive(owner, IPCU_LOCK_NAME, candidate);
		int id = ipcu_family_get(IPCU_FAMILY_SET, key);

		if (id >= 0 && is_lock(owner, id))
			return id;
		if (id < 0 && errno == ENOENT && !*free_key)
			*free_key = key;
	}
	return -1;
}

/*
 * The owner's semaphore, created if need be; -1 with errno. All keys are looked at before one is created: two processes
 * that come at once must find the same one, though a different program's set may come or go on an earlier key.
 */
static int lock_semaphore(uid_t owner)
{
	for (int attempt = 0; attempt < TRIES; attempt++) {
		key_t key;
		int id = find_semaphore(owner, &key);

		if (id >= 0)
			return id;
		if (!key)
			break;
		id = make_semaphore(owner, key);
		if (id >= 0 && !ipcu_undo_works(id)) {
			semctl(id, 0, IPC_RMID);
			errno = EOPNOTSUPP;
			return -1;
		}
		if (id >= 0 || errno != EEXIST)
			return id;
	}
	errno = EEXIST;
	return -1;
}

/* Wait for zero and add one in one step: zero is free, and a new semaphore is zero. */
static int take(int id, const struct timespec *last)
{
	struct sembuf ops[2] = { { 0, 0, 0 }, { 0, 1, SEM_UNDO } };
	struct timespec left;
	int result;

	do {
		left = ipcu_deadline_left(last);
		result = semtimedop(id, ops, 2, &left);
	} while (result < 0 && errno == EINTR);
	return result;
}

void ipcu_registry_give(int id)
{
	struct sembuf op = { 0, -1, SEM_UNDO | IPC_NOWAIT };

	/* The lock is ours, so no undo of a different process is wiped. Keeping it would block this very process next time. */
	if (semop(id, &op, 1) < 0)
		semctl(id, 0, SETVAL, 0);
}

/* The lock is held for microseconds: its holder does not run now. */
static enum ipcu_result stuck(int id)
{
	int holder = semctl(id, 0, GETPID);

	if (holder > 0)
		ipcu_fail(
			IPCU_SYSTEM,
			"the registry of names is locked by process %d, which does not release it",
			holder);
	else
		ipcu_fail(
			IPCU_SYSTEM,
			"the registry of names is locked by a process of another PID namespace, which does not release it");
	ipcu_hint(
		"continue that process if it is stopped (kill -CONT), or end it: either releases the lock");
	return IPCU_SYSTEM;
}

/* The lock's identifier was found removed: forget it, unless a different one is recorded by now. */
static void forget(_Atomic uint32_t *word, int id)
{
	uint32_t known = (uint32_t)id + 1;

	atomic_compare_exchange_strong(word, &known, 0);
}

enum ipcu_result ipcu_registry_lock(uid_t owner, _Atomic uint32_t *word,
				    const struct timespec *last, int *out)
{
	for (int attempt = 0; attempt < TRIES; attempt++) {
		uint32_t known = atomic_load(word);
		int id = (int)known - 1;

		if (!known) {
			id = lock_semaphore(owner);
			if (id < 0 && errno == EOPNOTSUPP)
				return ipcu_undo_missing();
			if (id < 0)
				return ipcu_fail_call("semget", errno,
						      "cannot create the registry's lock");
			if (!atomic_compare_exchange_strong(word, &known, (uint32_t)id + 1))
				continue;
		}
		if (is_lock(owner, id) && take(id, last) == 0) {
			*out = id;
			return IPCU_OK;
		}
		if (errno == EAGAIN)
			return stuck(id);
		if (errno != EIDRM && errno != EINVAL)
			return ipcu_fail_call("semop", errno, "cannot lock the registry of names");
		forget(word, id);
	}
	return ipcu_fail(IPCU_SYSTEM,
			 "cannot lock the registry of names: its lock vanishes again and again");
}

pid_t ipcu_registry_lock_holder(uid_t owner)
{
	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++) {
		int id = ipcu_family_get(IPCU_FAMILY_SET,
					 ipcu_name_derive(owner, IPCU_LOCK_NAME, candidate));
		int holder;

		if (id < 0 || !is_lock(owner, id) || semctl(id, 0, GETVAL) <= 0)
			continue;
		holder = semctl(id, 0, GETPID);
		return holder > 0 ? (pid_t)holder : 0;
	}
	return 0;
}

/*
 * Remove the lock ID if it is free. It is taken first: a process that took it between a look at its value and the removal
 * would lose it, and a second process would get a new one.
 */
static bool remove_free(int id)
{
	static const struct timespec now = { 0, 0 };

	return take(id, &now) == 0 && semctl(id, 0, IPC_RMID) == 0;
}

bool ipcu_registry_orphan_lock(uid_t owner, bool dry_run)
{
	bool found = false;

	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++) {
		int id = ipcu_family_get(IPCU_FAMILY_SET,
					 ipcu_name_derive(owner, IPCU_LOCK_NAME, candidate));

		if (id < 0 || !is_lock(owner, id) || semctl(id, 0, GETVAL) != 0)
			continue;
		found = dry_run || remove_free(id) || found;
	}
	return found;
}
