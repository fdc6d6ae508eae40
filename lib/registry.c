/* SPDX-License-Identifier: MIT
 * registry.c - one user's names in a System V segment
 *
 * The segment is created sparse and all zeroes, which is a valid empty registry:
 * there is nothing to initialise and so nothing to race for.
 *
 *   header    one page
 *   index     65536 numbers, found by the hash of the name, linear probing:
 *             0 empty, else entry + 1, or a tombstone
 *   entries   32768 of 256 bytes, used from the front, so a small registry
 *             touches few pages and a listing reads only what was ever used
 *
 * Readers take no lock. An entry holds two records and one word that says which
 * is in force and counts every change: a writer fills the other one and then
 * stores the word. A reader copies and looks whether the word is still the same. Whoever
 * is killed wherever has either published or not, and no reader ever waits for
 * a writer. A name is there when its index slot says so; the store of that slot is
 * the last of an insertion and the first of a removal.
 *
 * Writers hold a lock (registry-lock.c), which the kernel gives back for the dead.
 *
 * Nothing in here is believed unchecked, for the owner of a registry may be
 * hostile to who reads it: every number is bounded, every loop ends.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "registry-layout.h"
#include "sysv.h"

/* ---- finding and attaching -------------------------------------------- */

/* A registry is its owner's, made by its owner, and nobody else may write it. */
static bool trusted(const struct shmid_ds *state, uid_t owner)
{
	return state->shm_perm.cuid == owner && state->shm_perm.uid == owner &&
	       (state->shm_perm.mode & 022) == 0 && !(state->shm_perm.mode & SHM_DEST) &&
	       state->shm_segsz >= sizeof(struct registry_segment);
}

/*
 * The identifier of OWNER's registry, or -1. FREE_KEY is the first of its keys
 * that nobody has, 0 if others hold all; SQUATTER is who holds the first taken one.
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
		if (id < 0 || ipcu_stat_segment(id, &state) < 0)
			continue; /* not readable by us: not a registry */
		if (trusted(&state, owner))
			return id;
		if (*squatter == owner)
			*squatter = state.shm_perm.cuid;
	}
	return -1;
}

static enum ipcu_result attach(struct ipcu_registry *registry, bool writable, bool damaged)
{
	struct registry_segment *segment;
	uint64_t magic;

	segment = shmat(registry->id, NULL, writable ? 0 : SHM_RDONLY);
	if (segment == (void *)-1) {
		if (errno == EINVAL || errno == EIDRM)
			return IPCU_NOT_FOUND; /* removed meanwhile */
		return ipcu_fail_call("shmat", errno, "cannot attach the registry of names");
	}
	magic = atomic_load(&segment->magic);
	if (magic == REGISTRY_MAGIC ? segment->version != REGISTRY_VERSION
				    : magic != 0 && !damaged) {
		uint32_t version = segment->version;

		shmdt(segment);
		if (magic != REGISTRY_MAGIC)
			return ipcu_fail(IPCU_SYSTEM,
					 "the registry of names is damaged: bad magic");
		ipcu_fail(IPCU_SYSTEM,
			  "the registry of names has version %u, this program knows %u", version,
			  REGISTRY_VERSION);
		ipcu_hint(
			"a newer ipcutils made it: use that one, or remove its objects and the registry first");
		return IPCU_SYSTEM;
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
	registry->id = find_segment(owner, &free_key, &squatter);
	if (registry->id < 0)
		return IPCU_OK;
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
	if (find_segment(owner, &key, &squatter) >= 0)
		return IPCU_OK;
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

static enum ipcu_result open_locked(struct ipcu_registry *registry, uid_t owner, bool make,
				    bool damaged, const struct timespec *deadline)
{
	enum ipcu_result result;
	key_t free_key;
	uid_t squatter;

	memset(registry, 0, sizeof(*registry));
	registry->owner = owner;
	registry->lock = -1;
	for (int attempt = 0; attempt < 100; attempt++) {
		registry->id = find_segment(owner, &free_key, &squatter);
		if (registry->id < 0) {
			if (!make)
				return ipcu_fail(IPCU_NOT_FOUND, "no such object");
			result = create(owner);
			if (result != IPCU_OK)
				return result;
			continue;
		}
		result = attach(registry, true, damaged);
		if (result == IPCU_NOT_FOUND)
			continue;
		if (result != IPCU_OK)
			return result;
		result = ipcu_registry_lock(owner, &registry->segment->lock, deadline,
					    &registry->lock);
		if (result == IPCU_OK && still_there(registry))
			return IPCU_OK;
		/* Its last name went while we came: the lock goes too, or it would be left behind. */
		if (registry->lock >= 0)
			semctl(registry->lock, 0, IPC_RMID);
		registry->lock = -1;
		ipcu_registry_close(registry);
		if (result != IPCU_OK)
			return result;
	}
	ipcu_fail(IPCU_SYSTEM, "the registry of names vanishes as soon as it is made");
	ipcu_hint("kernel.shm_rmid_forced must be 0: sysctl -w kernel.shm_rmid_forced=0");
	return IPCU_SYSTEM;
}

enum ipcu_result ipcu_registry_open_until(struct ipcu_registry *registry, uid_t owner, bool make,
					  const struct timespec *deadline)
{
	return open_locked(registry, owner, make, false, deadline);
}

enum ipcu_result ipcu_registry_open_damaged(struct ipcu_registry *registry, uid_t owner)
{
	return open_locked(registry, owner, false, true, NULL);
}

enum ipcu_result ipcu_registry_open_locked(struct ipcu_registry *registry, uid_t owner, bool make)
{
	return ipcu_registry_open_until(registry, owner, make, NULL);
}

void ipcu_registry_unlock_close(struct ipcu_registry *registry)
{
	bool empty =
		!registry->keep && registry->segment && atomic_load(&registry->segment->names) == 0;

	if (registry->lock < 0) {
		ipcu_registry_close(registry);
		return;
	}
	/* Segment first: who waits for the lock then finds no registry to return to. */
	if (empty && shmctl(registry->id, IPC_RMID, NULL) == 0)
		semctl(registry->lock, 0, IPC_RMID);
	else
		ipcu_registry_give(registry->lock);
	registry->lock = -1;
	ipcu_registry_close(registry);
}

/* ---- reading ----------------------------------------------------------- */

bool ipcu_registry_read_entry(struct registry_segment *segment, uint32_t number,
			      char name[IPCU_NAME_MAX + 1], struct ipcu_record *record)
{
	struct registry_entry *entry = &segment->entries[number];

	for (int attempt = 0; attempt < 1000; attempt++) {
		uint64_t word = atomic_load_explicit(&entry->word, memory_order_acquire);

		if (!(word & REGISTRY_IN_USE))
			return false;
		memcpy(name, entry->name, IPCU_NAME_MAX + 1);
		memcpy(record, &entry->records[word & 1], sizeof(*record));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&entry->word, memory_order_relaxed) == word) {
			name[IPCU_NAME_MAX] = '\0';
			return true;
		}
	}
	return false;
}

uint32_t ipcu_registry_home_slot(const char *name)
{
	uint64_t hash = ipcu_hash(name, strlen(name), IPCU_HASH_START);

	return (uint32_t)(hash ^ hash >> 32) % REGISTRY_SLOTS;
}

uint32_t ipcu_registry_slot(struct registry_segment *segment, const char *name,
			    struct ipcu_record *record)
{
	uint32_t slot = ipcu_registry_home_slot(name);
	char found[IPCU_NAME_MAX + 1];

	for (uint32_t probes = 0; probes < REGISTRY_SLOTS;
	     probes++, slot = (slot + 1) % REGISTRY_SLOTS) {
		uint32_t value = atomic_load_explicit(&segment->index[slot], memory_order_acquire);

		if (value == 0)
			return REGISTRY_SLOTS;
		if (value > REGISTRY_ENTRIES) /* a tombstone, or damage */
			continue;
		if (ipcu_registry_read_entry(segment, value - 1, found, record) &&
		    strcmp(found, name) == 0)
			return slot;
	}
	return REGISTRY_SLOTS;
}

uint32_t ipcu_registry_slot_of_entry(struct registry_segment *segment, const char *name,
				     uint32_t number)
{
	uint32_t slot = ipcu_registry_home_slot(name);

	for (uint32_t probes = 0; probes < REGISTRY_SLOTS;
	     probes++, slot = (slot + 1) % REGISTRY_SLOTS) {
		uint32_t value = atomic_load_explicit(&segment->index[slot], memory_order_acquire);

		if (value == number + 1)
			return slot;
		if (value == 0)
			break;
	}
	return REGISTRY_SLOTS;
}

static bool is_led_to(struct registry_segment *segment, const char *name, uint32_t number)
{
	return ipcu_registry_slot_of_entry(segment, name, number) < REGISTRY_SLOTS;
}

enum ipcu_result ipcu_registry_find(struct ipcu_registry *registry, const char *name,
				    struct ipcu_record *record)
{
	if (!registry->segment ||
	    ipcu_registry_slot(registry->segment, name, record) == REGISTRY_SLOTS)
		return ipcu_fail(IPCU_NOT_FOUND, "no such object");
	if (record->kind <= IPCU_KIND_ANY || record->kind > IPCU_KIND_PIPE ||
	    (record->state != IPCU_RECORD_LIVE && record->state != IPCU_RECORD_CREATING))
		return ipcu_fail(IPCU_SYSTEM, "the registry of names is damaged: kind %d",
				 record->kind);
	return IPCU_OK;
}

bool ipcu_registry_next(struct ipcu_registry *registry, uint32_t *cursor,
			char name[IPCU_NAME_MAX + 1], struct ipcu_record *record)
{
	struct registry_segment *segment = registry->segment;
	uint32_t high;

	if (!segment)
		return false;
	high = atomic_load(&segment->high);
	if (high > REGISTRY_ENTRIES)
		high = REGISTRY_ENTRIES;
	while (*cursor < high) {
		uint32_t number = (*cursor)++;

		/* An entry that the index does not lead to is a killed writer's. */
		if (ipcu_registry_read_entry(segment, number, name, record) &&
		    is_led_to(segment, name, number))
			return true;
	}
	return false;
}

bool ipcu_registry_has_key(struct ipcu_registry *registry, key_t key, const char *except)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t cursor = 0;

	while (ipcu_registry_next(registry, &cursor, name, &record))
		if (record.key == key && strcmp(name, except) != 0)
			return true;
	return false;
}

/* ---- writing, with the lock -------------------------------------------- */

void ipcu_registry_publish(struct registry_entry *entry, const struct ipcu_record *record)
{
	uint64_t word = atomic_load(&entry->word);
	unsigned other = !(word & 1);

	memcpy(&entry->records[other], record, sizeof(*record));
	atomic_store_explicit(&entry->word, ((word >> 2) + 1) << 2 | REGISTRY_IN_USE | other,
			      memory_order_release);
}

void ipcu_registry_release_entry(struct registry_segment *segment, uint32_t number)
{
	struct registry_entry *entry = &segment->entries[number];
	uint64_t word = atomic_load(&entry->word);

	atomic_store(&entry->word, ((word >> 2) + 1) << 2 | (word & 1));
	entry->next_free = segment->free_head;
	segment->free_head = number + 1;
}

/* Entries that are not in use, or in use but not led to, become the free list again. */
static void collect_free(struct registry_segment *segment)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;

	segment->free_head = 0;
	for (uint32_t number = REGISTRY_ENTRIES; number-- > 0;)
		if (!ipcu_registry_read_entry(segment, number, name, &record) ||
		    !is_led_to(segment, name, number))
			ipcu_registry_release_entry(segment, number);
}

static bool take_entry(struct registry_segment *segment, uint32_t *number)
{
	for (int collected = 0; collected < 2; collected++) {
		uint32_t head = segment->free_head;

		if (head > 0 && head <= REGISTRY_ENTRIES &&
		    !(atomic_load(&segment->entries[head - 1].word) & REGISTRY_IN_USE)) {
			segment->free_head = segment->entries[head - 1].next_free;
			*number = head - 1;
			return true;
		}
		segment->free_head = 0;
		if (atomic_load(&segment->high) < REGISTRY_ENTRIES) {
			/* Raised before the entry is filled: a listing that sees it unused skips it. */
			*number = atomic_fetch_add(&segment->high, 1);
			return true;
		}
		collect_free(segment);
	}
	return false;
}

uint32_t ipcu_registry_vacant_slot(struct registry_segment *segment, const char *name)
{
	uint32_t slot = ipcu_registry_home_slot(name);

	for (uint32_t probes = 0; probes < REGISTRY_SLOTS;
	     probes++, slot = (slot + 1) % REGISTRY_SLOTS) {
		uint32_t value = atomic_load(&segment->index[slot]);

		if (value == 0 || value > REGISTRY_ENTRIES)
			return slot;
	}
	return REGISTRY_SLOTS;
}

enum ipcu_result ipcu_registry_put(struct ipcu_registry *registry, const char *name,
				   const struct ipcu_record *record)
{
	struct registry_segment *segment = registry->segment;
	struct ipcu_record old;
	uint32_t slot = ipcu_registry_slot(segment, name, &old), number;
	struct registry_entry *entry;

	if (slot < REGISTRY_SLOTS) {
		ipcu_registry_publish(&segment->entries[atomic_load(&segment->index[slot]) - 1],
				      record);
		return IPCU_OK;
	}
	slot = ipcu_registry_vacant_slot(segment, name);
	if (atomic_load(&segment->names) >= REGISTRY_NAMES_MAX || slot == REGISTRY_SLOTS ||
	    !take_entry(segment, &number)) {
		ipcu_fail(IPCU_LIMIT, "too many names: a user can have %u", REGISTRY_NAMES_MAX);
		ipcu_hint(
			"remove what is not needed with ipc-rm; ipc-rm --stale forgets names whose objects are gone");
		return IPCU_LIMIT;
	}
	entry = &segment->entries[number];
	memset(entry->name, 0, sizeof(entry->name));
	memcpy(entry->name, name, strlen(name));
	ipcu_registry_publish(entry, record);
	segment->version = REGISTRY_VERSION;
	atomic_store(&segment->magic, REGISTRY_MAGIC);
	/* Counted first: a kill between the two leaves a count too high, never an "empty" registry with a name. */
	atomic_fetch_add(&segment->names, 1);
	atomic_store_explicit(&segment->index[slot], number + 1, memory_order_release);
	return IPCU_OK;
}

/* Tombstones in front of an empty slot are of no use to any chain. */
static void sweep_tombstones(struct registry_segment *segment, uint32_t slot)
{
	if (atomic_load(&segment->index[(slot + 1) % REGISTRY_SLOTS]) != 0)
		return;
	for (uint32_t steps = 0; steps < REGISTRY_SLOTS;
	     steps++, slot = (slot + REGISTRY_SLOTS - 1) % REGISTRY_SLOTS) {
		if (atomic_load(&segment->index[slot]) != REGISTRY_TOMBSTONE)
			return;
		atomic_store(&segment->index[slot], 0);
	}
}

void ipcu_registry_drop(struct ipcu_registry *registry, const char *name)
{
	struct registry_segment *segment = registry->segment;
	struct ipcu_record old;
	uint32_t slot = ipcu_registry_slot(segment, name, &old), number;

	if (slot == REGISTRY_SLOTS)
		return;
	number = atomic_load(&segment->index[slot]) - 1;
	atomic_store(&segment->index[slot], REGISTRY_TOMBSTONE);
	ipcu_registry_release_entry(segment, number);
	atomic_fetch_sub(&segment->names, 1);
	sweep_tombstones(segment, slot);
}

/* ---- what the killed leave --------------------------------------------- */

/* names is a hint that a kill can leave too high: count what is really there. */
static void recount(struct ipcu_registry *registry)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t cursor = 0, names = 0;

	while (ipcu_registry_next(registry, &cursor, name, &record))
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
