/* SPDX-License-Identifier: MIT
 * registry-table.c - the names in a registry: finding, adding, forgetting
 *
 * The order of stores and loads, for CPUs that keep none by themselves:
 *
 * Publishing an entry is a sequence lock with two records. The writer fills the record that is not in force and stores the
 * word with release, so a reader that loads the word with acquire sees the record it selects. A writer that publishes twice
 * fills the record that a reader of the first word may still be copying; the release fence before it writes orders the word
 * of the first publish before these stores. A reader that copied any of them passes its acquire fence and then finds
 * that the word has changed. The name of an entry, and its release, follow the same rule. What is copied is copied by
 * relaxed atomic words, so a reader never uses a torn one.
 *
 * The index slot is stored with release after the entry, and loaded with acquire: a slot that leads to an entry leads to
 * one that is published. "high" and "names" are raised, sequentially consistent, before the slot: a reader that does not see
 * the new "high" yet lists one name less, as if it had come earlier, and "names" is only compared by holders of the lock. The
 * version is stored before the magic, with release.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "error.h"
#include "object.h"
#include "registry-layout.h"
#include "shm.h"

/* Names and records are bytes and numbers; they are copied by words of this type. */
typedef unsigned long __attribute__((may_alias)) word_t;

void ipcu_registry_store(void *shared, const void *from, size_t size)
{
	for (size_t i = 0; i < size / sizeof(word_t); i++) {
		word_t word;

		memcpy(&word, (const char *)from + i * sizeof(word), sizeof(word));
		__atomic_store_n((word_t *)shared + i, word, __ATOMIC_RELAXED);
	}
}

void ipcu_registry_load(void *to, const void *shared, size_t size)
{
	for (size_t i = 0; i < size / sizeof(word_t); i++) {
		word_t word = __atomic_load_n((const word_t *)shared + i, __ATOMIC_RELAXED);

		memcpy((char *)to + i * sizeof(word), &word, sizeof(word));
	}
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
		ipcu_registry_load(name, entry->name, IPCU_NAME_MAX + 1);
		ipcu_registry_load(record, &entry->records[word & 1], sizeof(*record));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&entry->word, memory_order_relaxed) == word) {
			name[IPCU_NAME_MAX] = '\0';
			return true;
		}
	}
	return false;
}

bool ipcu_name_is_recovered(const char *name, key_t key)
{
	char expected[IPCU_NAME_MAX + 1];

	snprintf(expected, sizeof(expected), "recovered-0x%08x", (unsigned)key);
	return strcmp(name, expected) == 0;
}

static bool is_key_of(uid_t owner, const char *name, const struct ipcu_record *record)
{
	for (unsigned i = 0; i < IPCU_CANDIDATES; i++)
		if (ipcu_name_derive(owner, name, i) == record->key)
			return true;
	if (record->kind == IPCU_KIND_MEMORY && ipcu_stage_key(record->key))
		return true;
	return ipcu_name_is_recovered(name, record->key);
}

bool ipcu_record_is_sane(const struct ipcu_record *record)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops((enum ipcu_kind)record->kind);

	return ops &&
	       (record->state == IPCU_RECORD_LIVE || record->state == IPCU_RECORD_CREATING) &&
	       record->key != IPC_PRIVATE && record->id >= 0 &&
	       (!ops->plausible || ops->plausible(record->definition));
}

bool ipcu_record_is_plausible(uid_t owner, const char *name, const struct ipcu_record *record)
{
	return ipcu_record_is_sane(record) && is_key_of(owner, name, record);
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
	if (ipcu_record_is_plausible(registry->owner, name, record))
		return IPCU_OK;
	ipcu_fail(IPCU_SYSTEM,
		  "the registry of names is damaged: kind %d, key 0x%08x, identifier %d",
		  record->kind, (unsigned)record->key, record->id);
	ipcu_hint("ipc-doctor --repair");
	return IPCU_SYSTEM;
}

bool ipcu_registry_next_entry(struct registry_segment *segment, uint32_t *cursor,
			      char name[IPCU_NAME_MAX + 1], struct ipcu_record *record)
{
	uint32_t high;

	if (!segment)
		return false;
	high = atomic_load(&segment->high);
	if (high > REGISTRY_ENTRIES)
		high = REGISTRY_ENTRIES;
	while (*cursor < high) {
		uint32_t number = (*cursor)++;

		/* An entry that the index does not lead to was left by a killed writer. */
		if (ipcu_registry_read_entry(segment, number, name, record) &&
		    is_led_to(segment, name, number))
			return true;
	}
	return false;
}

bool ipcu_registry_next(struct ipcu_registry *registry, uint32_t *cursor,
			char name[IPCU_NAME_MAX + 1], struct ipcu_record *record)
{
	while (ipcu_registry_next_entry(registry->segment, cursor, name, record))
		if (ipcu_record_is_plausible(registry->owner, name, record))
			return true;
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

void ipcu_registry_set_name(struct registry_entry *entry, const char *name)
{
	char padded[IPCU_NAME_MAX + 1] = { 0 };

	memcpy(padded, name, strnlen(name, IPCU_NAME_MAX));
	/* After the store of the word that says that the entry is not in use. */
	atomic_thread_fence(memory_order_release);
	ipcu_registry_store(entry->name, padded, sizeof(padded));
}

void ipcu_registry_publish(struct registry_entry *entry, const struct ipcu_record *record)
{
	uint64_t word = atomic_load(&entry->word);
	unsigned other = !(word & 1);

	atomic_thread_fence(memory_order_release);
	ipcu_registry_store(&entry->records[other], record, sizeof(*record));
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
	uint32_t slot, number;
	struct registry_entry *entry;

	if (!segment)
		return ipcu_fail(IPCU_NOT_FOUND, "the registry of names is gone");
	slot = ipcu_registry_slot(segment, name, &old);
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
	ipcu_registry_set_name(entry, name);
	ipcu_registry_publish(entry, record);
	atomic_store_explicit(&segment->version, REGISTRY_VERSION, memory_order_relaxed);
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
	uint32_t slot, number;

	slot = segment ? ipcu_registry_slot(segment, name, &old) : REGISTRY_SLOTS;
	if (slot == REGISTRY_SLOTS)
		return;
	number = atomic_load(&segment->index[slot]) - 1;
	atomic_store(&segment->index[slot], REGISTRY_TOMBSTONE);
	ipcu_registry_release_entry(segment, number);
	atomic_fetch_sub(&segment->names, 1);
	sweep_tombstones(segment, slot);
}
