/* SPDX-License-Identifier: MIT
 * holder-slots.c - where the slots of each set are in a table of holders
 *
 * Slot 0 of a set is the entry whose number is the index of the set in the kernel's table of sets, which is the
 * identifier modulo 32768. Exactly one existing set has an index, so most locks need nothing else. With the kernel
 * parameter ipcmni_extend two sets can share an entry: then one of them has no entry (holder.c).
 *
 * The other slots are in blocks of 16. Block N of a set is at one of 64 positions, which a hash of both gives. A block is
 * claimed in two steps, so that a set never has two blocks with the same number, whichever process is killed or stopped:
 *
 *	1. replace the word of a free position, or of a set that is gone, by TENTATIVE
 *	2. look at all other positions: if none has the block, replace TENTATIVE by CONFIRMED, otherwise by 0
 *
 * Of two positions that are tentative at once, at least one process sees the other, because all accesses are sequentially
 * consistent. Only a confirmed block is used, and any process can do the second step for a process that was killed. A
 * word has random bits, so that a delayed process never confirms a later claim.
 *
 * A confirmed block stays with its set as long as the set exists.
 */
#include <config.h>

#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "holder-layout.h"
#include "ipcutils.h"
#include "sysv.h"

enum { TENTATIVE = 1, CONFIRMED = 2, STATE_MASK = 3 };

#define NONCE_BITS 19
#define BLOCK_SHIFT (2 + NONCE_BITS)
#define SET_SHIFT (BLOCK_SHIFT + 12)
#define ATTEMPTS 16 /* to claim a block; each fails only if a different process does the same */

static bool is_block(uint64_t word, int set, unsigned block)
{
	return (word & STATE_MASK) != 0 && word >> BLOCK_SHIFT == ((uint64_t)set << 12 | block);
}

static unsigned position_of(int set, unsigned block, unsigned probe)
{
	uint64_t hash = ((uint64_t)set << 12 | block) * UINT64_C(0x9e3779b97f4a7c15);

	return ((unsigned)(hash >> 48) + probe) % HOLDER_BLOCKS;
}

static int find_block(struct holder_table *table, int set, unsigned block)
{
	for (unsigned probe = 0; probe < HOLDER_PROBES; probe++) {
		unsigned at = position_of(set, block, probe);
		uint64_t word = atomic_load(&table->owners[at]);

		if (is_block(word, set, block) && (word & STATE_MASK) == CONFIRMED)
			return (int)at;
	}
	return -1;
}

/* The second step, for the claim WORD at position AT. */
static void settle(struct holder_table *table, int set, unsigned block, unsigned at, uint64_t word)
{
	uint64_t settled = (word & ~(uint64_t)STATE_MASK) | CONFIRMED;

	for (unsigned probe = 0; probe < HOLDER_PROBES; probe++) {
		unsigned other = position_of(set, block, probe);

		if (other != at && is_block(atomic_load(&table->owners[other]), set, block))
			settled = 0;
	}
	atomic_compare_exchange_strong(&table->owners[at], &word, settled);
}

static void settle_all(struct holder_table *table, int set, unsigned block)
{
	for (unsigned probe = 0; probe < HOLDER_PROBES; probe++) {
		unsigned at = position_of(set, block, probe);
		uint64_t word = atomic_load(&table->owners[at]);

		if (is_block(word, set, block) && (word & STATE_MASK) == TENTATIVE)
			settle(table, set, block, at, word);
	}
}

static bool is_unused(uint64_t word, int set)
{
	struct semid_ds state;
	int owner = (int)(word >> SET_SHIFT);

	return word == 0 || (owner != set && ipcu_stat_set(owner, &state) < 0);
}

/* The first step. False if no position is free. */
static bool claim_block(struct holder_table *table, int set, unsigned block)
{
	struct timespec now;
	uint64_t nonce, word;

	clock_gettime(CLOCK_MONOTONIC, &now);
	nonce = ((uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 5) & ((1u << NONCE_BITS) - 1);
	word = (uint64_t)set << SET_SHIFT | (uint64_t)block << BLOCK_SHIFT | nonce << 2 | TENTATIVE;
	for (unsigned probe = 0; probe < HOLDER_PROBES; probe++) {
		unsigned at = position_of(set, block, probe);
		uint64_t before = atomic_load(&table->owners[at]);

		if (is_unused(before, set) &&
		    atomic_compare_exchange_strong(&table->owners[at], &before, word))
			return true;
	}
	return false;
}

static int make_block(struct holder_table *table, int set, unsigned block)
{
	int at = find_block(table, set, block);

	for (int attempt = 0; at < 0 && attempt < ATTEMPTS; attempt++) {
		settle_all(table, set, block);
		at = find_block(table, set, block);
		if (at < 0 && !claim_block(table, set, block))
			return -1;
	}
	return at;
}

static struct holder_entry *block_of(struct holder_table *table, int set, unsigned slot, bool make)
{
	unsigned block = (slot - 1) / HOLDER_BLOCK;
	int at = make ? make_block(table, set, block) : find_block(table, set, block);

	return at < 0 ? NULL : table->blocks[at];
}

struct holder_entry *ipcu_holder_entry(struct holder_table *table, int set, unsigned slot,
				       bool make)
{
	struct holder_entry *block;

	if (slot == 0)
		return holder_first(table, set);
	block = block_of(table, set, slot, make);
	return block ? &block[(slot - 1) % HOLDER_BLOCK] : NULL;
}

struct holder_entry *ipcu_holder_next(struct holder_walk *walk, int *slot)
{
	while (walk->next < walk->limit) {
		unsigned next = walk->next;

		*slot = (int)next;
		if (next == 0) {
			walk->next++;
			return holder_first(walk->table, walk->set);
		}
		if ((next - 1) % HOLDER_BLOCK == 0)
			walk->block = block_of(walk->table, walk->set, next, walk->make);
		if (walk->block) {
			walk->next++;
			return &walk->block[(next - 1) % HOLDER_BLOCK];
		}
		if (walk->make)
			return NULL;
		walk->next += HOLDER_BLOCK;
	}
	return NULL;
}

/* ---- what a table knows of a set -------------------------------------------- */

/* The word "blocks" of a set: its identifier, KNOWN, the state, and how many blocks have been used. */
#define KNOWN 0x8000u
#define STATE_SHIFT 13
#define COUNT_MASK 0x0fffu

static bool is_about(uint64_t word, int set)
{
	return word >> 16 == (uint64_t)set && (word & KNOWN);
}

static enum holder_known state_of(uint64_t word, int set)
{
	return is_about(word, set) ? (enum holder_known)(word >> STATE_SHIFT & 3) : HOLDER_UNKNOWN;
}

enum holder_known ipcu_holder_known(struct holder_table *table, int set, unsigned *slots)
{
	uint64_t word = atomic_load(&holder_first(table, set)->blocks);
	unsigned blocks = is_about(word, set) ? (unsigned)(word & COUNT_MASK) : 0;

	if (blocks > HOLDER_BLOCKS_MAX)
		blocks = HOLDER_BLOCKS_MAX;
	if (slots)
		*slots = 1 + blocks * HOLDER_BLOCK;
	return state_of(word, set);
}

void ipcu_holder_know(struct holder_table *table, int set, enum holder_known before,
		      enum holder_known state)
{
	_Atomic uint64_t *known = &holder_first(table, set)->blocks;
	uint64_t word = atomic_load(known), blocks = is_about(word, set) ? word & COUNT_MASK : 0;
	struct semid_ds exists;

	/* The word of a different set can be replaced only by that set's successor: see holder.c. */
	if (!is_about(word, set) && ipcu_stat_set(set, &exists) < 0)
		return;
	if (state_of(word, set) == before)
		atomic_compare_exchange_strong(known, &word,
					       (uint64_t)set << 16 | KNOWN |
						       (uint64_t)state << STATE_SHIFT | blocks);
}

void ipcu_holder_use(struct holder_table *table, int set, unsigned slot)
{
	_Atomic uint64_t *known = &holder_first(table, set)->blocks;
	uint64_t word = atomic_load(known), blocks = slot ? (slot - 1) / HOLDER_BLOCK + 1 : 0;

	while (is_about(word, set) && (word & COUNT_MASK) < blocks)
		if (atomic_compare_exchange_weak(known, &word,
						 (word & ~(uint64_t)COUNT_MASK) | blocks))
			break;
}
