/* SPDX-License-Identifier: MIT
 * damage.c - what is wrong with a registry of names, and mending it
 *
 * Nothing of ours leaves a registry as this looks for, whatever is killed when; a program that writes where it should not
 * may. What a kill does leave, entries that nothing leads to and a count that is too high, is no damage.
 *
 * It is mended in place, for others read it meanwhile without a lock: a name first gets a slot that leads to it, then the
 * wrong one becomes a tombstone, and a slot is emptied only when no chain leads through it. The truth is what the kernel
 * has: an entry whose record leads to an object of the owner's is kept, whatever else of it is wrong.
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "damage-index.h"
#include "error.h"
#include "object.h"
#include "shm.h"

#define BEYOND 64u /* entries looked at behind the last that is in use */

static void damaged(const struct examination *e, const char *format, ...) IPCU_PRINTF(2, 3);

static void damaged(const struct examination *e, const char *format, ...)
{
	char what[256];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	e->fn(what, e->repair, e->context);
}

/* ---- records -------------------------------------------------------------- */

/* Return true if RECORD leads to an object of its kind, whatever the name is: that may be what is damaged. */
static bool has_object(const struct examination *e, const struct ipcu_record *record)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops((enum ipcu_kind)record->kind);
	struct ipc_perm perm;

	return ipcu_family_stat(ops->family, record->id, &perm) == 0 &&
	       PERM_KEY(perm) == record->key && perm.cuid == e->registry.owner;
}

static bool is_alive(struct examination *e, const char *name, const struct ipcu_record *record)
{
	struct ipc_perm perm;
	int id;

	return ipcu_record_is_sane(record) &&
	       (has_object(e, record) ||
		ipcu_object_verify(&e->registry, name, record, &id, &perm));
}

/* An object on one of the keys of NAME that is proven, or memory, which is a plain array. */
static bool find_object(struct examination *e, const char *name, struct ipcu_record *record)
{
	struct ipc_perm perm;

	if (ipcu_object_recover(&e->registry, name, record, &perm) == IPCU_OK)
		return true;
	for (unsigned i = 0; i < IPCU_CANDIDATES; i++) {
		key_t key = ipcu_name_derive(e->registry.owner, name, i);
		int id = ipcu_family_get(IPCU_FAMILY_SEGMENT, key);
		struct shmid_ds segment;

		/* With a set on the key it is a companion of that, or nothing of ours. */
		if (id < 0 || ipcu_stat_segment(id, &segment) < 0 ||
		    segment.shm_perm.cuid != e->registry.owner ||
		    ipcu_registry_has_key(&e->registry, key, name) ||
		    ipcu_family_get(IPCU_FAMILY_SET, key) >= 0)
			continue;
		*record = (struct ipcu_record){
			.kind = IPCU_KIND_MEMORY, .state = IPCU_RECORD_LIVE, .id = id, .key = key
		};
		record->definition[IPCU_SHM_LENGTH] = segment.shm_segsz;
		return true;
	}
	return false;
}

/* The record in force cannot be; false if there is nothing to put in its place. */
static bool restore_record(struct examination *e, uint32_t number, const char *name,
			   struct ipcu_record *record)
{
	struct registry_entry *entry = &e->segment->entries[number];
	struct ipcu_record before = entry->records[!(atomic_load(&entry->word) & 1)];
	const char *how = "the one before it still holds";

	if (!is_alive(e, name, &before)) {
		how = "an object has its key";
		if (!find_object(e, name, &before))
			return false;
	}
	damaged(e, "the record of %s is damaged: %s", name, how);
	*record = before;
	if (e->repair)
		ipcu_registry_publish(entry, record);
	return true;
}

/* A slot leads to entry NUMBER, which says that it is not in use: is it, by what is in it? */
static bool revive(struct examination *e, uint32_t number)
{
	struct registry_entry *entry = &e->segment->entries[number];
	char name[IPCU_NAME_MAX + 1];
	unsigned current = atomic_load(&entry->word) & 1;

	memcpy(name, entry->name, sizeof(name));
	name[IPCU_NAME_MAX] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		struct ipcu_record record = entry->records[current ^ i];

		if (ipcu_name_check(name) != IPCU_OK || !is_alive(e, name, &record))
			continue;
		damaged(e, "%s is marked as not in use", name);
		if (e->repair)
			ipcu_registry_publish(entry, &record);
		else
			e->names++;
		return true;
	}
	return false;
}

/* ---- entries -------------------------------------------------------------- */

static void forget(struct examination *e, uint32_t number)
{
	ipcu_damage_bury_others(e, number, REGISTRY_SLOTS);
	if (e->repair)
		ipcu_registry_release_entry(e->segment, number);
}

/* Keep the object of RECORD under a name that it can have. */
static void rename_entry(struct examination *e, uint32_t number, const struct ipcu_record *record)
{
	struct registry_entry *entry = &e->segment->entries[number];
	struct ipcu_record other;
	char name[IPCU_NAME_MAX + 1] = { 0 };

	snprintf(name, sizeof(name), "recovered-0x%08x", (unsigned)record->key);
	if (ipcu_registry_slot(e->segment, name, &other) < REGISTRY_SLOTS)
		return; /* by an examination before this one: it is there already */
	damaged(e, "the name of a %s cannot be read: it becomes %s",
		ipcu_kind_name((enum ipcu_kind)record->kind), name);
	e->names++;
	if (!e->repair)
		return;
	ipcu_damage_bury_others(e, number, REGISTRY_SLOTS);
	ipcu_registry_set_name(entry, name);
	ipcu_registry_publish(entry, record); /* a process that reads the name now reads it again */
	ipcu_damage_lead_to(e, name, number);
}

/* In use, but its name does not lead to it. */
static void examine_lost(struct examination *e, uint32_t number, const char *name,
			 struct ipcu_record *record)
{
	struct ipcu_record other;
	bool taken = ipcu_registry_slot(e->segment, name, &other) < REGISTRY_SLOTS;

	if (!is_alive(e, name, record)) { /* a killed writer's, unless a slot leads there */
		e->bad_slots += e->slots[number] != 0;
		if (e->slots[number])
			forget(e, number);
		return;
	}
	if (taken && other.id == record->id && other.kind == record->kind) {
		damaged(e, "%s is there twice", name);
		forget(e, number);
	} else if (taken || !ipcu_record_is_plausible(e->registry.owner, name, record)) {
		rename_entry(e, number, record);
	} else {
		damaged(e, "%s cannot be found by its name", name);
		e->names++;
		ipcu_damage_lead_to(e, name, number);
	}
}

static void examine_entry(struct examination *e, uint32_t number)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record, found;
	uint32_t slot;

	if (!ipcu_registry_read_entry(e->segment, number, name, &record))
		return;
	e->high = number + 1;
	slot = ipcu_registry_slot(e->segment, name, &found);
	if (slot == REGISTRY_SLOTS || atomic_load(&e->segment->index[slot]) != number + 1) {
		if (ipcu_record_is_sane(&record) || restore_record(e, number, name, &record))
			examine_lost(e, number, name, &record);
		return;
	}
	e->names++;
	if (ipcu_record_is_plausible(e->registry.owner, name, &record) ||
	    (ipcu_name_check(name) == IPCU_OK && restore_record(e, number, name, &record)))
		return;
	e->names--;
	if (ipcu_record_is_sane(&record) && has_object(e, &record)) {
		rename_entry(e, number, &record);
		return;
	}
	damaged(e, "the record of %s is damaged: it is forgotten, what it led to stays", name);
	forget(e, number);
}

/* ---- the header ----------------------------------------------------------- */

static void examine_header(struct examination *e)
{
	struct registry_segment *segment = e->segment;
	uint32_t names = atomic_load(&segment->names), high = atomic_load(&segment->high);

	if (high < e->high || high > REGISTRY_ENTRIES) {
		damaged(e,
			"it says that %u entries were ever used, but %u are: names are not listed, "
			"and new ones would take their place",
			high, e->high);
		if (e->repair)
			atomic_store(&segment->high, e->high);
	}
	if (segment->free_head > atomic_load(&segment->high)) {
		damaged(e, "its list of free entries leads astray");
		if (e->repair)
			segment->free_head = 0; /* they are collected when they are needed */
	}
	if (names < e->names || names > REGISTRY_NAMES_MAX) {
		damaged(e, "it counts %u names, but there are %u: %s", names, e->names,
			names < e->names ? "it would be removed with names in it"
					 : "it takes no new ones");
		if (e->repair)
			atomic_store(&segment->names, e->names);
	}
}

static void examine_magic(struct examination *e)
{
	uint64_t magic = atomic_load(&e->segment->magic);

	if (magic == 0 || magic == REGISTRY_MAGIC)
		return;
	damaged(e, "its magic is wrong: no name can be used");
	if (!e->repair)
		return;
	atomic_store(&e->segment->version, REGISTRY_VERSION);
	atomic_store(&e->segment->magic, REGISTRY_MAGIC);
}

static void examine(struct examination *e)
{
	uint32_t high = atomic_load(&e->segment->high);

	/*
	 * Reading what was never used would make it take memory, so only to mend is all of it looked at;
	 * otherwise as far as header and index say, and a few pages behind what is found.
	 */
	e->limit = e->repair ? REGISTRY_ENTRIES : high < REGISTRY_ENTRIES ? high : 0;
	examine_magic(e);
	ipcu_damage_index(e, revive);
	for (uint32_t number = 0; number < REGISTRY_ENTRIES; number++) {
		if (number >= e->limit && number >= e->high + BEYOND)
			break;
		examine_entry(e, number);
	}
	ipcu_damage_tidy(e);
	if (e->bad_slots)
		damaged(e, "%u slots of its index lead nowhere", e->bad_slots);
	examine_header(e);
}

enum ipcu_result ipcu_registry_examine(uid_t owner, bool repair, ipcu_damage_fn fn, void *context)
{
	struct examination e = { .repair = repair, .fn = fn, .context = context };
	enum ipcu_result result;

	e.slots = calloc(REGISTRY_SLOTS, sizeof(*e.slots));
	if (!e.slots)
		return ipcu_fail_call("malloc", ENOMEM, "cannot examine the registry of names");
	result = ipcu_registry_open_damaged(&e.registry, owner);
	if (result == IPCU_OK) {
		e.segment = e.registry.segment;
		/* Only looked at, it stays as it is, even if it counts no names. */
		e.registry.keep = !repair;
		result = ipcu_damage_chains(&e);
		if (result == IPCU_OK)
			examine(&e);
		ipcu_registry_unlock_close(&e.registry);
	}
	free(e.slots);
	return result == IPCU_NOT_FOUND ? IPCU_OK : result;
}
