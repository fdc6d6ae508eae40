/* SPDX-License-Identifier: MIT
 * registry-layout.h - the bytes of a registry, for registry.c, registry-table.c and damage.c
 *
 * registry.c explains what they mean, registry-table.c in which order they are written.
 */
#ifndef REGISTRY_LAYOUT_H
#define REGISTRY_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>

#include "registry.h"

#define REGISTRY_MAGIC UINT64_C(0x7367657275637069) /* "ipcuregs" */
#define REGISTRY_VERSION 2			    /* 1: sets had no identity */
#define REGISTRY_SLOTS 65536u
#define REGISTRY_ENTRIES 32768u
#define REGISTRY_NAMES_MAX 32000u
#define REGISTRY_TOMBSTONE UINT32_MAX

struct registry_entry {
	_Atomic uint64_t word; /* counts changes by 4; bit 1 in use, bit 0 which record */
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record records[2];
	uint32_t next_free; /* entry + 1, 0 the end; only a hint */
	char reserved[256 - 8 - 64 - 2 * sizeof(struct ipcu_record) - 4];
};
_Static_assert(sizeof(struct registry_entry) == 256, "the layout is shared between processes");
_Static_assert(sizeof(struct ipcu_record) == 64, "the layout is shared between processes");

struct registry_segment {
	_Atomic uint64_t magic; /* 0 until the first name */
	_Atomic uint32_t version;
	_Atomic uint32_t lock;	/* semaphore identifier + 1 */
	_Atomic uint32_t names; /* how many; only a hint for readers */
	_Atomic uint32_t high;	/* entries from here on were never used */
	uint32_t free_head;	/* entry + 1, 0 none; only a hint */
	char reserved[4096 - 28];
	_Atomic uint32_t index[REGISTRY_SLOTS];
	struct registry_entry entries[REGISTRY_ENTRIES];
};
_Static_assert(offsetof(struct registry_segment, index) == 4096, "the layout is shared");

#define REGISTRY_IN_USE UINT64_C(2)

/*
 * Copy SIZE bytes, a multiple of a word's size, into or out of memory that other processes read or write meanwhile. Each word
 * is copied as a whole, in no certain order.
 */
void ipcu_registry_store(void *shared, const void *from, size_t size);
void ipcu_registry_load(void *to, const void *shared, size_t size);

/* A consistent copy of entry NUMBER; false if it is not in use. */
bool ipcu_registry_read_entry(struct registry_segment *segment, uint32_t number,
			      char name[IPCU_NAME_MAX + 1], struct ipcu_record *record);

/*
 * The next entry in use that its name leads to, at or after *CURSOR. False at the end, or without a segment. Its record can
 * be any.
 */
bool ipcu_registry_next_entry(struct registry_segment *segment, uint32_t *cursor,
			      char name[IPCU_NAME_MAX + 1], struct ipcu_record *record);

/* Where the chain of NAME begins. */
uint32_t ipcu_registry_home_slot(const char *name);

/* The index slot of NAME and a copy of its record; REGISTRY_SLOTS if it is not there. */
uint32_t ipcu_registry_slot(struct registry_segment *segment, const char *name,
			    struct ipcu_record *record);

/*
 * The slot that leads to entry NUMBER in the chain of NAME, or REGISTRY_SLOTS. Only numbers are compared, so that a
 * listing of a registry whose owner has filled the index with chains that never end still ends in a second or two.
 */
uint32_t ipcu_registry_slot_of_entry(struct registry_segment *segment, const char *name,
				     uint32_t number);

/* Where a new NAME goes: the first tombstone or empty slot of its chain; REGISTRY_SLOTS: nowhere. */
uint32_t ipcu_registry_vacant_slot(struct registry_segment *segment, const char *name);

/* Caller holds the lock: ENTRY, which is not in use or is published again afterwards, has NAME. */
void ipcu_registry_set_name(struct registry_entry *entry, const char *name);

/* With the lock: fill the record not in force, then bring it into force with one store. */
void ipcu_registry_publish(struct registry_entry *entry, const struct ipcu_record *record);

/* With the lock: the entry is free again. */
void ipcu_registry_release_entry(struct registry_segment *segment, uint32_t number);

#endif
