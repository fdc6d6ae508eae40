/* SPDX-License-Identifier: MIT
 * registry.h - one user's names: name -> kind, key, identifier, definition
 */
#ifndef REGISTRY_H
#define REGISTRY_H

#include <stdbool.h>

#include "name.h"

/* What the registry knows of a name. Updated as a whole or not at all. */
struct ipcu_record {
	int32_t kind; /* enum ipcu_kind */
	int32_t key;
	int32_t id;
	uint32_t state;
	uint64_t definition[4]; /* the kind's own: count, parties, type, length... */
	int64_t created;	/* seconds since 1970 */
	int32_t creator;	/* process */
	uint32_t reserved;
};

/*
 * A creator first records what it is about to make. It holds the lock meanwhile,
 * so who finds CREATING while holding the lock has found a dead creator's work.
 */
enum { IPCU_RECORD_LIVE = 1, IPCU_RECORD_CREATING = 2 };

struct ipcu_registry {
	struct registry_segment *segment; /* NULL: closed, or there is none */
	uid_t owner;
	int id;
	int lock; /* semaphore held, or -1 */
	bool writable;
	bool keep; /* do not remove it on closing even if it is empty */
};

/* Attach the registry of OWNER to read. No registry is IPCU_OK with segment NULL. */
enum ipcu_result ipcu_registry_open(struct ipcu_registry *registry, uid_t owner);
void ipcu_registry_close(struct ipcu_registry *registry);

/*
 * Attach it to write and take its lock; with CREATE make it where there is none.
 * IPCU_NOT_FOUND: there is none; IPCU_DENIED: not ours to write.
 */
enum ipcu_result ipcu_registry_open_locked(struct ipcu_registry *registry, uid_t owner,
					   bool create);

/* The same, waiting for the lock until DEADLINE; but a moment always, and half a minute at most. */
enum ipcu_result ipcu_registry_open_until(struct ipcu_registry *registry, uid_t owner, bool make,
					  const struct timespec *deadline);

/* Attach one to write whose magic may be wrong, and take its lock: nothing in it is to be believed. */
enum ipcu_result ipcu_registry_open_damaged(struct ipcu_registry *registry, uid_t owner);

/* Take the lock whether or not there is a registry, and attach it if there is one: SEGMENT may be NULL. */
enum ipcu_result ipcu_registry_open_any(struct ipcu_registry *registry, uid_t owner);

/* As a deadline of ipcu_registry_open_until(): do not wait for the lock at all. */
extern const struct timespec ipcu_registry_no_wait;

/* Return true if OWNER's registry in force is the one that MARK, of a set's identity, stands for. */
bool ipcu_registry_is_marked(uid_t owner, unsigned mark);

/* Give the lock back, and remove a registry that holds no name any more. */
void ipcu_registry_unlock_close(struct ipcu_registry *registry);

/*
 * Return true if the registry of OWNER can have RECORD for NAME: kind and state exist, the key is one of the name's, the
 * identifier is one, and the kind can have the definition. Every record that is used has passed this check.
 */
bool ipcu_record_is_plausible(uid_t owner, const char *name, const struct ipcu_record *record);

/* The same without the name, which may itself be damaged. */
bool ipcu_record_is_sane(const struct ipcu_record *record);

/* Return true if NAME is "recovered-KEY", which damage.c calls an object whose name is lost. */
bool ipcu_name_is_recovered(const char *name, key_t key);

/* Needs no lock. IPCU_NOT_FOUND; IPCU_SYSTEM: the registry is damaged. */
enum ipcu_result ipcu_registry_find(struct ipcu_registry *registry, const char *name,
				    struct ipcu_record *record);

/* The next name with a plausible record at or after *CURSOR (start with 0), without the lock. False at the end. */
bool ipcu_registry_next(struct ipcu_registry *registry, uint32_t *cursor,
			char name[IPCU_NAME_MAX + 1], struct ipcu_record *record);

/* Whether a name other than EXCEPT has KEY. Looks at every name. */
bool ipcu_registry_has_key(struct ipcu_registry *registry, key_t key, const char *except);

/* With the lock: add NAME or replace its record. IPCU_LIMIT: the registry is full. */
enum ipcu_result ipcu_registry_put(struct ipcu_registry *registry, const char *name,
				   const struct ipcu_record *record);

/* With the lock: forget NAME; nothing happens if it is not there. */
void ipcu_registry_drop(struct ipcu_registry *registry, const char *name);

/* Whether the segment or semaphore ID is OWNER's registry or its lock. */
bool ipcu_registry_is_key(uid_t owner, key_t key, bool lock);

/* Remove what a killed process left of a registry: its lock, or an empty segment. */
enum ipcu_result ipcu_registry_remove_stale(uid_t owner, bool dry_run, bool *found);

/* ---- registry-lock.c: for the registry itself ------------------------------ */

/*
 * Take the lock of OWNER's registry until LAST. WORD is its identifier + 1, or 0: it is then found or created. *OUT is
 * its identifier.
 */
enum ipcu_result ipcu_registry_lock(uid_t owner, _Atomic uint32_t *word,
				    const struct timespec *last, int *out);
void ipcu_registry_give(int id);

/* The process that holds the lock of OWNER's registry; 0: none. Waits for nothing. */
pid_t ipcu_registry_lock_holder(uid_t owner);

/* Return true if there is a free lock without a registry; it is removed unless DRY_RUN. */
bool ipcu_registry_orphan_lock(uid_t owner, bool dry_run);

#endif
