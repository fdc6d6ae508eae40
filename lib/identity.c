/* SPDX-License-Identifier: MIT
 * identity.c - the members of a set that say what it is and whose name it has
 *
 * A key alone identifies nothing: a different program can use any key, and a registry that maps names to keys can be
 * removed. The set of an object therefore carries its kind and a hash of its owner and name. One semop, which succeeds
 * only on a set that is all zero, writes the identity together with the first values. A set that carries the identity is
 * therefore initialised, and a kill leaves either a set without identity or a complete object.
 *
 * The creator of a set cannot be forged. So a set with this identity, created by the owner, on a key of the name, is the
 * object of the name: no registry is needed to prove it.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "identity.h"
#include "name.h"

#define MARK 0x5a00u
#define MARK_MASK 0x7f00u
#define VERSION_SHIFT 4
#define KIND_MASK 0xfu
#define IDENTITY_VERSION 1u
#define HASH_MEMBERS 4u
#define MEMBER_BITS 15u
#define MEMBER_MASK 0x7fffu

struct ipcu_identity ipcu_identity_of(enum ipcu_kind kind, uid_t owner, const char *name,
				      unsigned detail)
{
	uint32_t uid = (uint32_t)owner;
	uint64_t hash = ipcu_hash(&uid, sizeof(uid), IPCU_HASH_START);

	hash = ipcu_hash(name, strlen(name), hash);
	hash ^= hash >> (HASH_MEMBERS * MEMBER_BITS);
	return (struct ipcu_identity){
		.kind = kind,
		.hash = hash & ((UINT64_C(1) << HASH_MEMBERS * MEMBER_BITS) - 1),
		.detail = detail,
	};
}

void ipcu_identity_step(struct ipcu_steps *steps, unsigned members,
			const struct ipcu_identity *identity)
{
	unsigned first = members - IPCU_IDENTITY_MEMBERS;

	ipcu_step(steps, first + IDENTITY_MARK, 0, IPC_NOWAIT);
	ipcu_step(steps, first + IDENTITY_MARK,
		  (int)(MARK | IDENTITY_VERSION << VERSION_SHIFT | (unsigned)identity->kind), 0);
	for (unsigned i = 0; i < HASH_MEMBERS; i++)
		ipcu_step(steps, first + IDENTITY_HASH + i,
			  (int)(identity->hash >> i * MEMBER_BITS & MEMBER_MASK), IPC_NOWAIT);
	ipcu_step(steps, first + IDENTITY_DETAIL, (int)(identity->detail & MEMBER_MASK),
		  IPC_NOWAIT);
}

/* Take the identity out of the last members. False: there is none, or one of a later version. */
static bool decode(const unsigned short *last, struct ipcu_identity *identity)
{
	unsigned mark = last[IDENTITY_MARK];

	identity->kind = (enum ipcu_kind)(mark & KIND_MASK);
	identity->hash = 0;
	for (unsigned i = 0; i < HASH_MEMBERS; i++)
		identity->hash |= (uint64_t)(last[IDENTITY_HASH + i] & MEMBER_MASK)
				  << i * MEMBER_BITS;
	identity->detail = last[IDENTITY_DETAIL];
	identity->registry = last[IDENTITY_REGISTRY];
	return (mark & MARK_MASK) == MARK &&
	       (mark & ~MARK_MASK) >> VERSION_SHIFT == IDENTITY_VERSION;
}

bool ipcu_identity_load(int id, struct ipcu_identity *identity, struct ipcu_members *members)
{
	members->values = members->fixed;
	members->count = 0;
	if (ipcu_stat_set(id, &members->state) < 0) {
		errno = errno == EINVAL ? EIDRM : errno;
		return false;
	}
	if (members->state.sem_nsems < IPCU_IDENTITY_MEMBERS) {
		errno = ENOMSG;
		return false;
	}
	members->count = (unsigned)members->state.sem_nsems;
	if (members->count > sizeof(members->fixed) / sizeof(members->fixed[0]))
		members->values = calloc(members->count, sizeof(*members->values));
	if (!members->values)
		return false;
	if (ipcu_set_values(id, &members->state, members->values, members->count) < 0)
		return false;
	errno = ENOMSG;
	return decode(members->values + members->count - IPCU_IDENTITY_MEMBERS, identity);
}

void ipcu_members_free(struct ipcu_members *members)
{
	if (members->values != members->fixed)
		free(members->values);
}

bool ipcu_identity_read(int id, struct ipcu_identity *identity, struct semid_ds *state)
{
	struct ipcu_members members;
	bool found = ipcu_identity_load(id, identity, &members);
	int errnum = errno;

	if (state)
		*state = members.state;
	ipcu_members_free(&members);
	errno = errnum;
	return found;
}

unsigned ipcu_identity_registry(int id)
{
	unsigned folded = ((unsigned)id ^ (unsigned)id >> MEMBER_BITS) & MEMBER_MASK;

	return id < 0 ? 0 : folded ? folded : 1;
}

void ipcu_identity_set_registry(int id, unsigned members, unsigned old, int registry)
{
	unsigned member = members - IPCU_IDENTITY_MEMBERS + IDENTITY_REGISTRY;
	unsigned now = ipcu_identity_registry(registry);
	struct ipcu_steps steps = { .count = 0 };

	if (now == old)
		return;
	if (old)
		ipcu_step(&steps, member, -(int)old, IPC_NOWAIT);
	ipcu_step(&steps, member, 0, IPC_NOWAIT);
	if (now)
		ipcu_step(&steps, member, (int)now, IPC_NOWAIT);
	ipcu_steps_do(id, &steps, NULL);
}

bool ipcu_identity_is(int id, enum ipcu_kind kind, uid_t owner, const char *name)
{
	struct ipcu_identity wanted = ipcu_identity_of(kind, owner, name, 0), found;
	struct semid_ds state;

	return ipcu_identity_read(id, &found, &state) && state.sem_perm.cuid == owner &&
	       found.kind == kind && found.hash == wanted.hash;
}

enum ipcu_result ipcu_identity_init(int id, struct ipcu_steps *steps)
{
	int errnum = ipcu_steps_do(id, steps, NULL);

	if (errnum == EAGAIN)
		return ipcu_fail(IPCU_CONFLICT, "a different program uses its set of semaphores");
	return errnum ? ipcu_fail_call("semop", errnum, "cannot create it") : IPCU_OK;
}

int ipcu_identity_find(enum ipcu_kind kind, uid_t owner, const char *name, key_t *key)
{
	for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++) {
		int id;

		*key = ipcu_name_derive(owner, name, candidate);
		id = ipcu_family_get(IPCU_FAMILY_SET, *key);
		if (id >= 0 && ipcu_identity_is(id, kind, owner, name))
			return id;
	}
	return -1;
}

/*
 * A creator that was killed between semget and its first semop left a set that is all zero and was never operated on.
 * The conditional semop of the initialisation decides whether it still is.
 */
static bool is_untouched(int id, uid_t owner, unsigned members)
{
	struct semid_ds state;

	return ipcu_stat_set(id, &state) == 0 && state.sem_perm.cuid == owner &&
	       state.sem_nsems == members && state.sem_otime == 0;
}

enum ipcu_result ipcu_identity_claim(const struct ipcu_object *object, int id, unsigned members,
				     unsigned detail)
{
	const struct ipcu_identity identity =
		ipcu_identity_of(object->ops->kind, object->owner, object->name, detail);
	struct ipcu_steps steps = { .count = 0 };

	for (unsigned i = 0; i < members - IPCU_IDENTITY_MEMBERS; i++)
		ipcu_step(&steps, i, 0, IPC_NOWAIT);
	ipcu_identity_step(&steps, members, &identity);
	return ipcu_identity_init(id, &steps);
}

enum ipcu_result ipcu_identity_make_set(const struct ipcu_object *object, key_t key, mode_t mode,
					unsigned members, unsigned detail, int *id)
{
	enum ipcu_result result;
	bool created;

	*id = semget(key, (int)members, IPC_CREAT | IPC_EXCL | (int)(mode & 0666));
	created = *id >= 0;
	if (*id < 0 && errno != EEXIST)
		return ipcu_fail_call("semget", errno, "cannot create it");
	if (*id < 0) {
		*id = ipcu_family_get(IPCU_FAMILY_SET, key);
		if (*id >= 0 &&
		    ipcu_identity_is(*id, object->ops->kind, object->owner, object->name))
			return IPCU_OK;
		if (*id < 0 || !is_untouched(*id, object->owner, members))
			return IPCU_CONFLICT;
	}
	result = ipcu_identity_claim(object, *id, members, detail);
	if (result != IPCU_OK && created)
		ipcu_family_remove(IPCU_FAMILY_SET, *id);
	return result;
}
