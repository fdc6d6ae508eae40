/* SPDX-License-Identifier: MIT
 * registry-lock.c - the lock that writers of a registry hold
 *
 * A semaphore taken with SEM_UNDO, so the kernel unlocks for the dead. The registry names it by identifier:
 * nobody else's semaphore on our key can be taken for it. It is held for microseconds; who cannot get it
 * finds out who holds it and says so.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "registry.h"
#include "sysv.h"

#define LOCK_NANOSECONDS INT64_C(30000000000)
#define MOMENT_NANOSECONDS INT64_C(1000000000)

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

/* Make the semaphore on KEY; -1 with errno. */
static int make_semaphore(uid_t owner, key_t key)
{
	struct semid_ds state;
	int id = semget(key, 1, IPC_CREAT | IPC_EXCL | 0600);

	if (id >= 0 && geteuid() != owner) { /* root, in somebody's namespace */
		state.sem_perm.uid = owner;
		state.sem_perm.gid = getegid();
		state.sem_perm.mode = 0600;
		if (semctl(id, 0, IPC_SET, (union semun){ .buf = &state }) < 0)
			return -1;
	}
	return id;
}

/*
 * The owner's semaphore on one of the lock's keys, made if need be; -1 with errno. One that goes in the very
 * instant is no reason for the next key: two that come at once must find the same one, or that of the
 * loser would be left behind.
 */
static int lock_semaphore(uid_t owner)
{
	unsigned candidate = 0;

	for (int attempt = 0; candidate < IPCU_CANDIDATES && attempt < 1000; attempt++) {
		key_t key = ipcu_name_derive(owner, IPCU_LOCK_NAME, candidate);
		struct semid_ds state;
		int id = make_semaphore(owner, key);

		if (id >= 0 || errno != EEXIST)
			return id;
		id = semget(key, 0, 0);
		if (id >= 0 && is_lock(owner, id))
			return id;
		if (id >= 0 ? ipcu_stat_set(id, &state) == 0 : errno != ENOENT)
			candidate++; /* it is there, and not ours */
	}
	errno = EEXIST;
	return -1;
}

/* Wait for zero and add one in one step: zero is free, and a new semaphore is zero. */
static int take(int id, const struct timespec *deadline)
{
	struct sembuf ops[2] = { { 0, 0, 0 }, { 0, 1, SEM_UNDO } };
	struct timespec last =
		ipcu_deadline_between(deadline, MOMENT_NANOSECONDS, LOCK_NANOSECONDS);
	struct timespec left;
	int result;

	do {
		left = ipcu_deadline_left(&last);
		result = semtimedop(id, ops, 2, &left);
	} while (result < 0 && errno == EINTR);
	return result;
}

void ipcu_registry_give(int id)
{
	struct sembuf op = { 0, -1, SEM_UNDO | IPC_NOWAIT };

	/* It is ours, so nobody else's undo is wiped. To keep it would stop this very process next time. */
	if (semop(id, &op, 1) < 0)
		semctl(id, 0, SETVAL, 0);
}

/* It is held for microseconds: who holds it now does not run. */
static enum ipcu_result stuck(int id)
{
	ipcu_fail(IPCU_SYSTEM, "the registry of names is locked: process %d does not give it back",
		  semctl(id, 0, GETPID));
	ipcu_hint(
		"that process may be stopped: let it go on (kill -CONT) or end it; the lock then comes back by itself");
	return IPCU_SYSTEM;
}

enum ipcu_result ipcu_registry_lock(uid_t owner, _Atomic uint32_t *word,
				    const struct timespec *deadline, int *out)
{
	for (int attempt = 0; attempt < 100; attempt++) {
		uint32_t known = atomic_load(word);
		int id = (int)known - 1;

		if (!known) {
			id = lock_semaphore(owner);
			if (id < 0)
				return ipcu_fail_call("semget", errno,
						      "cannot create the registry's lock");
			/* A loser's semaphore has the same key, so it is the same one. */
			if (!atomic_compare_exchange_strong(word, &known, (uint32_t)id + 1))
				continue;
		}
		if (is_lock(owner, id) && take(id, deadline) == 0) {
			*out = id;
			return IPCU_OK;
		}
		if (errno == EAGAIN)
			return stuck(id);
		if (errno != EIDRM && errno != EINVAL)
			return ipcu_fail_call("semop", errno, "cannot lock the registry of names");
		/* It was removed, with the registry or behind its back. */
		known = (uint32_t)id + 1;
		atomic_compare_exchange_strong(word, &known, 0);
	}
	return ipcu_fail(IPCU_SYSTEM,
			 "cannot lock the registry of names: its lock vanishes again and again");
}

pid_t ipcu_registry_lock_holder(uid_t owner)
{
	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++) {
		int id = semget(ipcu_name_derive(owner, IPCU_LOCK_NAME, candidate), 0, 0);
		int holder;

		if (id < 0 || !is_lock(owner, id) || semctl(id, 0, GETVAL) <= 0)
			continue;
		holder = semctl(id, 0, GETPID);
		return holder > 0 ? (pid_t)holder : 0;
	}
	return 0;
}

bool ipcu_registry_orphan_lock(uid_t owner, bool dry_run)
{
	bool found = false;

	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++) {
		int id = semget(ipcu_name_derive(owner, IPCU_LOCK_NAME, candidate), 0, 0);
		struct semid_ds state;

		if (id < 0 || ipcu_stat_set(id, &state) < 0 || state.sem_perm.uid != owner ||
		    semctl(id, 0, GETVAL) != 0)
			continue;
		found = true;
		if (!dry_run)
			semctl(id, 0, IPC_RMID);
	}
	return found;
}
