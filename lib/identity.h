/* SPDX-License-Identifier: MIT
 * identity.h - the members of a set that say what it is and whose name it has
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "steps.h"

/*
 * The last members of every set that belongs to a name: of a semaphore, a barrier and an event the object itself, of
 * memory and a pipe the set beside the segment. They are written once, by the step that initialises the set.
 */
enum {
	IDENTITY_MARK,	     /* the constant mark, the version, the kind */
	IDENTITY_HASH,	     /* 60 bits of the owner and the name, 15 a member */
	IDENTITY_DETAIL = 5, /* what the kind needs to know of its definition */
	IDENTITY_RESERVED,
	IPCU_IDENTITY_MEMBERS
};
#define IPCU_IDENTITY_DETAIL_MAX 32767u

struct ipcu_identity {
	enum ipcu_kind kind;
	uint64_t hash;
	unsigned detail;
};

/* The identity of the object of KIND that OWNER's NAME leads to. */
struct ipcu_identity ipcu_identity_of(enum ipcu_kind kind, uid_t owner, const char *name,
				      unsigned detail);

/* Add to STEPS: write IDENTITY into a set of MEMBERS, or fail with EAGAIN if one is already written. */
void ipcu_identity_step(struct ipcu_steps *steps, unsigned members,
			const struct ipcu_identity *identity);

/*
 * Read the identity of set ID, of any number of members. False if it carries none, or is gone. *STATE, if not NULL, is
 * the state of the set. Anyone who may alter the set may have changed it: a caller that relies on it compares owner and
 * key too.
 */
bool ipcu_identity_read(int id, struct ipcu_identity *identity, struct semid_ds *state);

/* Return true if set ID was created by OWNER and carries the identity of OWNER's NAME as an object of KIND. */
bool ipcu_identity_is(int id, enum ipcu_kind kind, uid_t owner, const char *name);

/* The set with the identity of OWNER's NAME as an object of KIND, on one of the keys of the name; -1: none. */
int ipcu_identity_find(enum ipcu_kind kind, uid_t owner, const char *name, key_t *key);

/*
 * Caller holds the registry lock. Create a set of MEMBERS on KEY that carries the identity of OBJECT's name and is zero
 * otherwise, or find that it already exists. IPCU_CONFLICT: a different program uses the key.
 */
enum ipcu_result ipcu_identity_make_set(const struct ipcu_object *object, key_t key, mode_t mode,
					unsigned members, unsigned detail, int *id);

/* Do STEPS, which initialise set ID. Return IPCU_CONFLICT if the set is already in use by a different program. */
enum ipcu_result ipcu_identity_init(int id, struct ipcu_steps *steps);

#endif
