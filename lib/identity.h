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
	IDENTITY_REGISTRY,   /* which registry lists the name; see ipcu_identity_set_registry() */
	IPCU_IDENTITY_MEMBERS
};
#define IPCU_IDENTITY_DETAIL_MAX 32767u

struct ipcu_identity {
	enum ipcu_kind kind;
	uint64_t hash;
	unsigned detail;
	unsigned registry; /* 0: none has listed it */
};

/* All members of a set at one instant. */
struct ipcu_members {
	struct semid_ds state;
	unsigned count;
	unsigned short *values; /* of a small set, fixed */
	unsigned short fixed[64];
};

/* The identity of the object of KIND that OWNER's NAME leads to. */
struct ipcu_identity ipcu_identity_of(enum ipcu_kind kind, uid_t owner, const char *name,
				      unsigned detail);

/* Add to STEPS: write IDENTITY into a set of MEMBERS, or fail with EAGAIN if one is already written. */
void ipcu_identity_step(struct ipcu_steps *steps, unsigned members,
			const struct ipcu_identity *identity);

/*
 * Read set ID, of any number of members, and its identity. False with errno: EACCES if it cannot be read, EIDRM if it is
 * gone, ENOMSG if it carries no identity; MEMBERS->state is then known unless it is gone. Anyone who may alter the set may
 * have changed it: a caller that relies on it compares creator and key too. Call ipcu_members_free() in every case.
 */
bool ipcu_identity_load(int id, struct ipcu_identity *identity, struct ipcu_members *members);
void ipcu_members_free(struct ipcu_members *members);

/* The same without the members. *STATE, if not NULL, is the state of the set. */
bool ipcu_identity_read(int id, struct ipcu_identity *identity, struct semid_ds *state);

/*
 * Record in set ID of MEMBERS members that the registry with segment REGISTRY lists its name; OLD is what IDENTITY_REGISTRY
 * was. An opener that finds a different registry in force knows so without attaching it. Failure does no harm.
 */
void ipcu_identity_set_registry(int id, unsigned members, unsigned old, int registry);

/* What IDENTITY_REGISTRY is for the registry with segment ID, which may be -1. */
unsigned ipcu_identity_registry(int id);

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

/*
 * Write the identity of OBJECT's name into set ID of MEMBERS members, which must be all zero: IPCU_CONFLICT if it is not.
 */
enum ipcu_result ipcu_identity_claim(const struct ipcu_object *object, int id, unsigned members,
				     unsigned detail);

/* Do STEPS, which initialise set ID. Return IPCU_CONFLICT if the set is already in use by a different program. */
enum ipcu_result ipcu_identity_init(int id, struct ipcu_steps *steps);

#endif
