/* SPDX-License-Identifier: MIT
 * damage-index.c - damage of a registry's index, and mending it
 *
 * Others read it meanwhile: see damage.c for the order of what is done.
 */
#include <config.h>

#include <string.h>
#include <unistd.h>

#include "damage-index.h"
#include "error.h"

#define CHAIN_MAX 4096u

static void bury(const struct examination *e, uint32_t slot)
{
	if (e->repair)
		atomic_store(&e->segment->index[slot], REGISTRY_TOMBSTONE);
}

/* Whoever led to entry NUMBER without being found by its name does so no more. */
void ipcu_damage_bury_others(struct examination *e, uint32_t number, uint32_t good)
{
	for (uint32_t slot = 0; e->repair && slot < REGISTRY_SLOTS; slot++)
		if (slot != good && atomic_load(&e->segment->index[slot]) == number + 1)
			bury(e, slot);
}

/* Let NAME be found: the first free slot of its chain leads to entry NUMBER. */
void ipcu_damage_lead_to(struct examination *e, const char *name, uint32_t number)
{
	uint32_t slot = ipcu_registry_vacant_slot(e->segment, name);

	if (!e->repair || slot == REGISTRY_SLOTS)
		return;
	atomic_store_explicit(&e->segment->index[slot], number + 1, memory_order_release);
	ipcu_damage_bury_others(e, number, slot);
}

/* Whether the slot leads to entry NUMBER although its name leads there by another one. */
static bool is_spare(struct examination *e, uint32_t slot, uint32_t number)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t good;

	if (!ipcu_registry_read_entry(e->segment, number, name, &record))
		return false;
	good = ipcu_registry_slot_of_entry(e->segment, name, number);
	return good != slot && good != REGISTRY_SLOTS;
}

static bool is_good_slot(struct examination *e, uint32_t slot, uint32_t value,
			 bool (*revive)(struct examination *e, uint32_t number))
{
	if (value > REGISTRY_ENTRIES || is_spare(e, slot, value - 1))
		return false;
	return atomic_load(&e->segment->entries[value - 1].word) & REGISTRY_IN_USE ||
	       revive(e, value - 1);
}

/* Slots that lead nowhere; of the others, which entry each leads to. */
void ipcu_damage_index(struct examination *e,
		       bool (*revive)(struct examination *e, uint32_t number))
{
	for (uint32_t slot = 0; slot < REGISTRY_SLOTS; slot++) {
		uint32_t value = atomic_load(&e->segment->index[slot]);

		if (value == 0 || value == REGISTRY_TOMBSTONE)
			continue;
		if (is_good_slot(e, slot, value, revive)) {
			e->slots[value - 1] = slot + 1;
			if (value > e->limit)
				e->limit = value;
			continue;
		}
		e->bad_slots++;
		bury(e, slot);
	}
}

/* A slot that was put into a gap joins chains: what was the only way to an entry may be a second one now. */
static void bury_spares(struct examination *e)
{
	for (uint32_t slot = 0; slot < REGISTRY_SLOTS; slot++) {
		uint32_t value = atomic_load(&e->segment->index[slot]);

		if (value > 0 && value <= REGISTRY_ENTRIES && is_spare(e, slot, value - 1))
			bury(e, slot);
	}
}

/* Tombstones that no chain leads through are empty slots again: where noise was, chains would stay long. */
static void sweep_tombstones(struct examination *e)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;

	/* From here on: for each slot, whether a chain leads through it. */
	memset(e->slots, 0, REGISTRY_SLOTS * sizeof(*e->slots));
	for (uint32_t number = 0; number < REGISTRY_ENTRIES; number++) {
		uint32_t end, slot;

		if (!ipcu_registry_read_entry(e->segment, number, name, &record))
			continue;
		end = ipcu_registry_slot_of_entry(e->segment, name, number);
		slot = ipcu_registry_home_slot(name);
		for (; end < REGISTRY_SLOTS && slot != end; slot = (slot + 1) % REGISTRY_SLOTS)
			e->slots[slot] = 1;
	}
	for (uint32_t slot = 0; slot < REGISTRY_SLOTS; slot++)
		if (!e->slots[slot] && atomic_load(&e->segment->index[slot]) == REGISTRY_TOMBSTONE)
			atomic_store(&e->segment->index[slot], 0);
}

/*
 * What the owner of a registry can make of it must not keep another one busy for long: a name is compared with all others of its
 * chain, and those are short unless somebody wants them to be long.
 */
enum ipcu_result ipcu_damage_chains(const struct examination *e)
{
	uint32_t longest = 0, length = 0;

	for (uint32_t slot = 0; slot < REGISTRY_SLOTS; slot++) {
		length = atomic_load(&e->segment->index[slot]) ? length + 1 : 0;
		longest = length > longest ? length : longest;
	}
	if (e->registry.owner == geteuid() || longest < CHAIN_MAX)
		return IPCU_OK;
	ipcu_fail(IPCU_SYSTEM, "a chain of %u names in its index is too long for others to follow",
		  longest);
	ipcu_hint("setpriv --reuid=%lu --clear-groups ipc-doctor --repair",
		  (unsigned long)e->registry.owner);
	return IPCU_SYSTEM;
}

void ipcu_damage_tidy(struct examination *e)
{
	if (!e->repair)
		return;
	bury_spares(e);
	if (e->bad_slots)
		sweep_tombstones(e);
}
