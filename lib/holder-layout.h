/* SPDX-License-Identifier: MIT
 * holder-layout.h - the layout of a table of holders, which processes share
 */
#ifndef HOLDER_LAYOUT_H
#define HOLDER_LAYOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipcutils.h"

#define HOLDER_MAGIC UINT64_C(0x32646c6f68637069) /* "ipchold2" */

#define HOLDER_SETS \
	32768u		 /* the kernel's table of sets has as many places, without ipcmni_extend */
#define HOLDER_BLOCK 16u /* entries of a block */
#define HOLDER_BLOCKS 65536u /* a power of two */
#define HOLDER_BLOCKS_MAX \
	2048u		  /* of one set: with the first entry that makes IPCU_SEM_COUNT_MAX slots */
#define HOLDER_PROBES 64u /* positions at which a block of a set can be */

/*
 * A holder in one word: its process, a few bits of the identifier of its set, and the time of the claim in clock ticks
 * since boot, which lasts for 21 years of uptime.
 */
#define HOLDER_PID_BITS 22 /* the kernel's own limit is 2^22 */
#define HOLDER_TAG_BITS 6
#define HOLDER_TIME_SHIFT (HOLDER_PID_BITS + HOLDER_TAG_BITS)

/* The states of a keeper, in the lowest bits of its word; the other bits differ in each claim. */
enum { KEEPER_NONE, KEEPER_STARTING, KEEPER_READY, KEEPER_RELEASING };
#define KEEPER_STATE_BITS 2

/* Flags beside enum ipcu_hold_mode. */
#define HOLDER_MODE_MASK 0xffu
#define HOLDER_EXECS \
	0x100u /* a different program takes the place of the process: its end is no death */
#define HOLDER_SLOT_UNSURE 0x200u /* an unlisted holder may have the same slot */

struct holder_entry {
	_Atomic uint64_t word;	    /* the holder; 0: free */
	_Atomic uint64_t described; /* WORD, once all that follows is about it */
	_Atomic uint64_t keeper;    /* 0: the process holds for itself */
	_Atomic int64_t since;	    /* nanoseconds by CLOCK_BOOTTIME */
	_Atomic int32_t set;	    /* the identifier of the semaphore */
	_Atomic uint32_t units;
	_Atomic uint32_t owner;		/* the process for which a keeper holds */
	_Atomic uint32_t mode;		/* enum ipcu_hold_mode and the flags above */
	_Atomic uint32_t pid_namespace; /* of all process numbers here, 0: unknown */
	_Atomic uint32_t version;	/* odd while the members above change */
	_Atomic uint64_t blocks;	/* only in the first entry of a set: see holder-slots.c */
};
_Static_assert(sizeof(struct holder_entry) == 64, "the layout is shared between processes");

struct holder_table {
	_Atomic uint64_t magic;	   /* 0 until a process has attached it to write */
	_Atomic uint64_t sequence; /* counts the claims of keepers */
	char reserved[4096 - 16];
	struct holder_entry first[HOLDER_SETS]; /* slot 0 of the set with this index */
	_Atomic uint64_t owners[HOLDER_BLOCKS]; /* the set and the number of each block; 0: free */
	struct holder_entry blocks[HOLDER_BLOCKS][HOLDER_BLOCK]; /* slots from 1 on */
};
_Static_assert(sizeof(struct holder_table) ==
		       4096 + 64 * HOLDER_SETS + 8 * HOLDER_BLOCKS + 1024 * HOLDER_BLOCKS,
	       "the layout is shared between processes");

/* ---- holder-slots.c -------------------------------------------------------- */

static inline struct holder_entry *holder_first(struct holder_table *table, int set)
{
	return &table->first[(unsigned)set % HOLDER_SETS];
}

/*
 * Return the entry of SLOT of SET, or NULL. With MAKE, claim a block for it where there is none yet; NULL then means that the
 * table is full.
 */
struct holder_entry *ipcu_holder_entry(struct holder_table *table, int set, unsigned slot,
				       bool make);

/* Entries of a set, in the order of their slots. */
struct holder_walk {
	struct holder_table *table;
	int set;
	unsigned limit; /* slots from 0 to LIMIT - 1 */
	bool make;	/* claim blocks that are missing; otherwise their slots are skipped */
	unsigned next;
	struct holder_entry *block;
};

/* Return the next entry and its slot, or NULL at the end, with MAKE also if the table is full (then next < limit). */
struct holder_entry *ipcu_holder_next(struct holder_walk *walk, int *slot);

/*
 * Whether a table has all holders of a set. A table that replaces one that was removed does not. FRESH: no process has
 * checked yet; DOUBTFUL: there were holders that are not listed.
 */
enum holder_known { HOLDER_UNKNOWN, HOLDER_FRESH, HOLDER_DOUBTFUL, HOLDER_COMPLETE };

/* Return what TABLE knows of SET. *SLOTS, if not NULL, is how many slots have been in use. */
enum holder_known ipcu_holder_known(struct holder_table *table, int set, unsigned *slots);

/* Replace BEFORE by STATE, unless SET is gone or a different process was faster. */
void ipcu_holder_know(struct holder_table *table, int set, enum holder_known before,
		      enum holder_known state);

/* Make ipcu_holder_known() report SLOT as in use. */
void ipcu_holder_use(struct holder_table *table, int set, unsigned slot);

/* ---- holder.c -------------------------------------------------------------- */

/* Copy what ENTRY says of a living holder of SET. False if it is free, of a dead process or of a different PID namespace. */
bool ipcu_holder_read(struct holder_entry *entry, int set, struct ipcu_holder *holder);

#endif
