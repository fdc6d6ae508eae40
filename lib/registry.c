/* SPDX-License-Identifier: MIT
 * registry.c - one user's names in a System V segment: finding, attaching, locking it
 *
 * The segment is created sparse and all zero, which is a valid empty registry: there is nothing to initialise and so no
 * race between two creators.
 *
 *   header    one page
 *   index     65536 numbers, found by the hash of the name, linear probing:
 *             0 empty, else entry + 1, or a tombstone
 *   entries   32768 of 256 bytes, used from the front, so a small registry
 *             touches few pages and a listing reads only what was ever used
 *
 * Readers take no lock. An entry holds two records and one word that says which is in force and counts every change: a
 * writer fills the other one and then stores the word. A reader copies and checks that the word is still the same. So a kill
 * leaves either the old state or the new one, and no reader ever waits for a writer. A name exists when its index slot says
 * so; the store of that slot is the last of an insertion and the first of a removal. registry-table.c has that part.
 *
 * Writers hold a lock (registry-lock.c), which the kernel releases if they die. The lock exists without a registry too:
 * removing an object whose registry is gone takes it as well.
 *
 * The owner of a registry may be hostile to its readers. So nothing in it is used unchecked: every number is bounded, every
 * loop ends, and a record is returned only if it is one that this library could have written for the name.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "holder.h"
#include "identity.h"
#include "registry-layout.h"
#include "sysv.h"

#define TRIES 100 /* how often the registry may be removed while we open it */
#define LOCK_NANOSECONDS INT64_C(30000000000)
#define MOMENT_NANOSECONDS INT64_C(1000000000)

const struct timespec ipcu_registry_no_wait = { 0, 0 };

/* ---- finding and attaching -------------------------------------------- */

/* A registry is its owner's, made by its owner, and nobody else may write it. */
static bool trusted(const struct shmid_ds *state, uid_t owner)
{
	return state->shm_perm.cuid == owner && state->shm_perm.uid == owner &&
	       (state->shm_perm.mode & 022) == 0 && !(state->shm_perm.mode & SHM_DEST) &&
	       state->shm_segsz >= sizeof(struct registry_segment);
}

/*
 * The identifier of OWNER's registry, or -1 with errno: 0 if there is none, otherwise why the kernel refused to look.
 * FREE_KEY is the first of its keys that no segment has, 0 if other users' segments have all; SQUATTER is the creator
 * of the first one.
 */
static int find_segment(uid_t owner, key_t *free_key, uid_t *squatter)
{
	*free_key = 0;
	*squatter = owner;
	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++) {
		key_t key = ipcu_name_derive(owner, IPCU_REGISTRY_NAME, candidate);
		int id = shmget(key, 0, 0);
		struct shmid_ds state;

		if (id < 0 && errno == ENOENT) {
			if (!*free_key)
				*free_key = key;
			continue; /* a squatter on it may have gone since: look on */
		}
		if (id < 0 && errno != EACCES)
			return -1;
		if (id < 0 || ipcu_stat_segment(id, &state) < 0)
			continue; /* not readable by us: not a registry */
		if (trusted(&state, owner))
			return id;
		if (*squatter == owner)
			*squatter = state.shm_perm.cuid;
	}
	errno = 0;
	return -1;
}

static enum ipcu_result cannot_find(int errnum)
{
	/* The meaning of this one in hints.c is that of a creation: the size is too large. */
	if (errnum == EINVAL)
		return ipcu_fail(IPCU_SYSTEM,
				 "cannot look up the registry of names: shmget: Invalid argument");
	return ipcu_fail_call("shmget", errnum, "cannot look up the registry of names");
}

bool ipcu_registry_is_marked(uid_t owner, unsigned mark)
{
	for (unsigned candidate = 0; mark && candidate < IPCU_CANDIDATES; candidate++)
		if (ipcu_identity_registry(shmget(
			    ipcu_name_derive(owner, IPCU_REGISTRY_NAME, candidate), 0, 0)) == mark)
			return true;
	return false;
}

/* The version is stored before the magic (registry-table.c), so a reader of the magic reads the version that goes with it. */
static enum ipcu_result check_version(struct registry_segment *segment, bool damaged)
{
	uint64_t magic = atomic_load_explicit(&segment->magic, memory_order_acquire);
	uint32_t version = atomic_load_explicit(&segment->version, memory_order_relaxed);

	if (magic == 0 || (magic == REGISTRY_MAGIC && version == REGISTRY_VERSION))
		return IPCU_OK;
	if (magic != REGISTRY_MAGIC)
		return damaged ? IPCU_OK
			       : ipcu_fail(IPCU_SYSTEM,
					   "the registry of names is damaged: bad magic");
	ipcu_fail(IPCU_SYSTEM, "the registry of names has version %u, this program needs %u",
		  version, REGISTRY_VERSION);
	if (version > REGISTRY_VERSION)
		ipcu_hint("a newer ipcutils created it: use that version");
	else
		ipcu_hint(
			"an older ipcutils created it: use that version while its objects are in use");
	return IPCU_SYSTEM;
}

static enum ipcu_result attach(struct ipcu_registry *registry, bool writable, bool damaged)
{
	struct registry_segment *segment;
	enum ipcu_result result;

	segment = shmat(registry->id, NULL, writable ? 0 : SHM_RDONLY);
	if (segment == (void *)-1) {
		if (errno == EINVAL || errno == EIDRM)
			return IPCU_NOT_FOUND; /* removed meanwhile */
		return ipcu_fail_call("shmat", errno, "cannot attach the registry of names");
	}
	result = check_version(segment, damaged);
	if (result != IPCU_OK) {
		shmdt(segment);
		return result;
	}
	registry->segment = segment;
	registry->writable = writable;
	return IPCU_OK;
}

enum ipcu_result ipcu_registry_open(struct ipcu_registry *registry, uid_t owner)
{
	enum ipcu_result result;
	key_t free_key;
	uid_t squatter;

	memset(registry, 0, sizeof(*registry));
	registry->owner = owner;
	registry->lock = -1;
	result = ipcu_name_mapped(owner, false);
	if (result != IPCU_OK)
		return result;
	registry->id = find_segment(owner, &free_key, &squatter);
	if (registry->id < 0)
		return errno ? cannot_find(errno) : IPCU_OK;
	result = attach(registry, false, false);
	return result == IPCU_NOT_FOUND ? IPCU_OK : result;
}

void ipcu_registry_close(struct ipcu_registry *registry)
{
	if (registry->segment)
		shmdt(registry->segment);
	registry->segment = NULL;
}

/* A registry that the kernel removes with its last user is no registry. */
static bool removed_when_unattached(void)
{
	int fd = open("/proc/sys/kernel/shm_rmid_forced", O_RDONLY | O_CLOEXEC);
	char value = '0';

	if (fd >= 0) {
		if (read(fd, &value, 1) != 1)
			value = '0';
		close(fd);
	}
	return value == '1';
}

static enum ipcu_result create(uid_t owner)
{
	enum ipcu_result result;
	key_t key;
	uid_t squatter;

	if (removed_when_unattached()) {
		ipcu_fail(
			IPCU_SYSTEM,
			"names cannot be kept: the kernel removes shared memory with its last user");
		ipcu_hint(
			"kernel.shm_rmid_forced is 1: sysctl -w kernel.shm_rmid_forced=0, or use key:KEY, which needs no registry");
		return IPCU_SYSTEM;
	}
	result = ipcu_name_mapped(owner, true);
	if (result != IPCU_OK)
		return result;
	if (find_segment(owner, &key, &squatter) >= 0)
		return IPCU_OK;
	if (errno)
		return cannot_find(errno);
	if (!key) {
		ipcu_fail(
			IPCU_CONFLICT,
			"cannot create the registry of names: user %lu has segments on all its keys",
			(unsigned long)squatter);
		ipcu_hint(
			"ipc-ls -a --user=%lu shows them; they must be removed (by that user or root)",
			(unsigned long)squatter);
		return IPCU_CONFLICT;
	}
	if (shmget(key, sizeof(struct registry_segment),
		   IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0644) < 0 &&
	    errno != EEXIST)
		return ipcu_fail_call("shmget", errno, "cannot create the registry of names");
	return IPCU_OK;
}

bool ipcu_registry_is_key(uid_t owner, key_t key, bool is_lock)
{
	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++)
		if (ipcu_name_derive(owner, is_lock ? IPCU_LOCK_NAME : IPCU_REGISTRY_NAME,
				     candidate) == key)
			return true;
	return false;
}

/* ---- locked --------------------------------------------------------------- */

/* Whether the attached and locked segment is still the one that names lead to. */
static bool still_there(const struct ipcu_registry *registry)
{
	struct shmid_ds state;

	return ipcu_stat_segment(registry->id, &state) == 0 && trusted(&state, registry->owner);
}

/* What to do if the owner has no registry. */
enum absent { ABSENT_FAIL, ABSENT_CREATE, ABSENT_LOCK };

/* Lock an attached registry. IPCU_NOT_NOW: it was removed meanwhile; look again. */
static enum ipcu_result lock_attached(struct ipcu_registry *registry, const struct timespec *last)
{
	enum ipcu_result result = ipcu_registry_lock(registry->owner, &registry->segment->lock,
						     last, &registry->lock);

	if (result == IPCU_OK && still_there(registry))
		return IPCU_OK;
	/* The last name was removed meanwhile. The lock is ours and goes too, or it would be left. */
	if (registry->lock >= 0)
		semctl(registry->lock, 0, IPC_RMID);
	registry->lock = -1;
	ipcu_registry_close(registry);
	return result == IPCU_OK ? IPCU_NOT_NOW : result;
}

/* Take the lock although there is no registry. IPCU_NOT_NOW: there is one by now. */
static enum ipcu_result lock_alone(struct ipcu_registry *registry, const struct timespec *last)
{
	_Atomic uint32_t word = 0;
	key_t free_key;
	uid_t squatter;
	enum ipcu_result result = ipcu_registry_lock(registry->owner, &word, last, &registry->lock);

	if (result != IPCU_OK || find_segment(registry->owner, &free_key, &squatter) < 0)
		return result;
	/* Created meanwhile by a process that may wait for this lock. */
	ipcu_registry_give(registry->lock);
	registry->lock = -1;
	return IPCU_NOT_NOW;
}

/*
 * Create the registry with its lock held, so that a process that cannot take the lock leaves no empty registry. Return
 * IPCU_NOT_NOW if there is a registry by now.
 */
static enum ipcu_result create_locked(struct ipcu_registry *registry, const struct timespec *last)
{
	enum ipcu_result result = lock_alone(registry, last);

	if (result != IPCU_OK)
		return result;
	result = create(registry->owner);
	if (result == IPCU_OK)
		ipcu_registry_give(registry->lock);
	else
		semctl(registry->lock, 0, IPC_RMID);
	registry->lock = -1;
	return result == IPCU_OK ? IPCU_NOT_NOW : result;
}

static enum ipcu_result open_once(struct ipcu_registry *registry, enum absent absent, bool damaged,
				  const struct timespec *last)
{
	key_t free_key;
	uid_t squatter;
	enum ipcu_result result;

	registry->id = find_segment(registry->owner, &free_key, &squatter);
	if (registry->id < 0) {
		if (errno)
			return cannot_find(errno);
		if (absent == ABSENT_FAIL)
			return ipcu_fail(IPCU_NOT_FOUND, "no such object");
		if (absent == ABSENT_LOCK)
			return lock_alone(registry, last);
		return create_locked(registry, last);
	}
	result = attach(registry, true, damaged);
	if (result != IPCU_OK)
		return result == IPCU_NOT_FOUND ? IPCU_NOT_NOW : result;
	return lock_attached(registry, last);
}

static enum ipcu_result open_locked(struct ipcu_registry *registry, uid_t owner, enum absent absent,
				    bool damaged, const struct timespec *deadline)
{
	/* One bound for all attempts, whatever the owner of the lock does. */
	struct timespec last =
		ipcu_deadline_between(deadline,
				      deadline == &ipcu_registry_no_wait ? 0 : MOMENT_NANOSECONDS,
				      LOCK_NANOSECONDS);
	enum ipcu_result result = IPCU_NOT_NOW;

	memset(registry, 0, sizeof(*registry));
	registry->owner = owner;
	registry->lock = -1;
	if (ipcu_name_mapped(owner, false) != IPCU_OK)
		return ipcu_last_error()->result;
	for (int attempt = 0; result == IPCU_NOT_NOW && attempt < TRIES; attempt++)
		result = open_once(registry, absent, damaged, &last);
	if (result != IPCU_NOT_NOW)
		return result;
	ipcu_fail(IPCU_SYSTEM, "the registry of names vanishes as soon as it is created");
	ipcu_hint("kernel.shm_rmid_forced must be 0: sysctl -w kernel.shm_rmid_forced=0");
	return IPCU_SYSTEM;
}

enum ipcu_result ipcu_registry_open_until(struct ipcu_registry *registry, uid_t owner, bool make,
					  const struct timespec *deadline)
{
	return open_locked(registry, owner, make ? ABSENT_CREATE : ABSENT_FAIL, false, deadline);
}

enum ipcu_result ipcu_registry_open_damaged(struct ipcu_registry *registry, uid_t owner)
{
	return open_locked(registry, owner, ABSENT_FAIL, true, NULL);
}

enum ipcu_result ipcu_registry_open_locked(struct ipcu_registry *registry, uid_t owner, bool make)
{
	return ipcu_registry_open_until(registry, owner, make, NULL);
}

enum ipcu_result ipcu_registry_open_any(struct ipcu_registry *registry, uid_t owner)
{
	return open_locked(registry, owner, ABSENT_LOCK, false, NULL);
}

/*
 * Return true if nothing needs the registry and its lock any more. The lock is held, so no process can be inside; a process
 * that waits for it finds it removed and starts over.
 */
static bool is_finished(const struct ipcu_registry *registry)
{
	/* With the last name go the tables of holders that no semaphore uses. */
	if (!registry->keep && (!registry->segment || atomic_load(&registry->segment->names) == 0))
		ipcu_holders_remove_unused(registry->owner, false, NULL, NULL);
	if (!registry->segment)
		return true; /* locked without one: the lock alone would be left */
	return registry->writable && !registry->keep &&
	       atomic_load(&registry->segment->names) == 0 &&
	       shmctl(registry->id, IPC_RMID, NULL) == 0;
}

void ipcu_registry_unlock_close(struct ipcu_registry *registry)
{
	if (registry->lock >= 0) {
		/* Segment first: a process that waits for the lock then finds no registry to return to. */
		if (is_finished(registry))
			semctl(registry->lock, 0, IPC_RMID);
		else
			ipcu_registry_give(registry->lock);
	}
	registry->lock = -1;
	ipcu_registry_close(registry);
}

/* ---- what the killed leave --------------------------------------------- */

/* names is a hint that a kill can leave too high: count the names that are led to. */
static void recount(struct ipcu_registry *registry)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t cursor = 0, names = 0;

	while (ipcu_registry_next_entry(registry->segment, &cursor, name, &record))
		names++;
	atomic_store(&registry->segment->names, names);
}

enum ipcu_result ipcu_registry_remove_stale(uid_t owner, bool dry_run, bool *found)
{
	struct ipcu_registry registry;
	enum ipcu_result result = ipcu_registry_open_locked(&registry, owner, false);

	*found = false;
	if (result == IPCU_NOT_FOUND) {
		*found = ipcu_registry_orphan_lock(owner, dry_run);
		return IPCU_OK;
	}
	if (result != IPCU_OK)
		return result;
	recount(&registry);
	*found = atomic_load(&registry.segment->names) == 0;
	registry.keep = dry_run;
	ipcu_registry_unlock_close(&registry);
	return IPCU_OK;
}
