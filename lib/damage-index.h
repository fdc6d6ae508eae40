/* SPDX-License-Identifier: MIT
 * damage-index.h - the part of damage.c that is about the index
 */
#ifndef DAMAGE_INDEX_H
#define DAMAGE_INDEX_H

#include "damage.h"
#include "registry-layout.h"

struct examination {
	struct ipcu_registry registry;
	struct registry_segment *segment;
	bool repair;
	uint32_t *slots;    /* for each entry: a slot that leads to it + 1, or 0 */
	uint32_t limit;	    /* entries from here on are not looked at */
	uint32_t bad_slots; /* that lead nowhere */
	uint32_t names;	    /* that are found by their name */
	uint32_t high;	    /* what the header should say */
	ipcu_damage_fn fn;
	void *context;
};

/*
 * Slots that lead to no entry in use are counted, and buried; E->SLOTS says which slots lead to the others. REVIVE is asked about
 * an entry that is said not to be in use.
 */
void ipcu_damage_index(struct examination *e,
		       bool (*revive)(struct examination *e, uint32_t number));

/* Let NAME be found: the first free slot of its chain leads to entry NUMBER, and no other one. */
void ipcu_damage_lead_to(struct examination *e, const char *name, uint32_t number);

/* Whoever led to entry NUMBER, but for slot GOOD, does so no more. */
void ipcu_damage_bury_others(struct examination *e, uint32_t number, uint32_t good);

/* When all names are found: what is left to be tidied up in the index. E->SLOTS is of no use afterwards. */
void ipcu_damage_tidy(struct examination *e);

/* IPCU_SYSTEM: another user has made the chains so long that to follow them all would take too long. */
enum ipcu_result ipcu_damage_chains(const struct examination *e);

#endif
