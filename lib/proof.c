/* SPDX-License-Identifier: MIT
 * proof.c - what proves that an object is the one of a name
 *
 * A registry is a segment that any cleanup of unattached segments removes; the objects of its names live on. So what proves
 * an object is not its record but the object itself: a set that the owner created, on one of the keys of the name, with the
 * identity of the name (identity.h). Memory and pipes have such a set beside their segment, on the same key. A queue has no
 * room for an identity: it is the one of the name if the owner created it on a key of the name and no other name has it.
 *
 * A set with the wrong identity proves nothing, and neither does a key alone: such objects are not used and not removed.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "error.h"
#include "identity.h"
#include "object.h"

#define REPLACED_MAX \
	1000 /* how often a name may be given to a different object during one look-up */

/* The segment on KEY that OWNER created; -1: there is none. */
static int companion_segment(uid_t owner, key_t key)
{
	int id = ipcu_family_get(IPCU_FAMILY_SEGMENT, key);
	struct ipc_perm perm;

	if (id >= 0 && ipcu_family_stat(IPCU_FAMILY_SEGMENT, id, &perm) == 0 && perm.cuid == owner)
		return id;
	return -1;
}

/* Fill in RECORD, and PERM unless it is the set's, of what FOUND proves; false if it is not a whole object of OPS' kind. */
static bool define(const struct ipcu_kind_ops *ops, struct ipcu_found *found, uid_t owner,
		   int64_t created, struct ipcu_record *record, struct ipc_perm *perm)
{
	memset(record, 0, sizeof(*record));
	if (!ops->redefine || !ops->redefine(found, record->definition) || found->id < 0)
		return false;
	if (ops->family != IPCU_FAMILY_SET &&
	    (ipcu_family_stat(ops->family, found->id, perm) < 0 || perm->cuid != owner))
		return false;
	record->kind = (int32_t)ops->kind;
	record->state = IPCU_RECORD_LIVE;
	record->id = found->id;
	record->key = PERM_KEY(*perm);
	record->created = created;
	return true;
}

/* Look at set SET, which has KEY. HASH, if not NULL, is the one that its identity must have. */
static enum ipcu_proof prove(int set, key_t key, uid_t owner, const uint64_t *hash,
			     struct ipcu_record *record, struct ipc_perm *perm,
			     struct ipcu_proven *proven)
{
	struct ipcu_found found = { .id = -1, .set = set, .key = key };
	struct ipcu_identity identity;
	const struct ipcu_kind_ops *ops;
	struct ipcu_members members;
	enum ipcu_proof proof = IPCU_PROOF_NONE;

	if (!ipcu_identity_load(set, &identity, &members)) {
		if (errno == EACCES && members.state.sem_perm.cuid == owner) {
			*perm = members.state.sem_perm;
			proof = IPCU_PROOF_DENIED;
		}
		goto out;
	}
	ops = ipcu_kind_ops(identity.kind);
	if (!ops || (hash && identity.hash != *hash) || members.state.sem_perm.cuid != owner)
		goto out;
	found.id = ops->family == IPCU_FAMILY_SET ? set : companion_segment(owner, key);
	found.detail = identity.detail;
	found.members = members.count;
	found.values = members.values;
	*perm = members.state.sem_perm;
	proven->members = members.count;
	proven->registry = identity.registry;
	proven->hash = identity.hash;
	proof = define(ops, &found, owner, members.state.sem_ctime, record, perm)
			? IPCU_PROOF_OBJECT
			: IPCU_PROOF_SET;
	record->kind = (int32_t)ops->kind;
out:
	ipcu_members_free(&members);
	return proof;
}

enum ipcu_proof ipcu_prove_set(uid_t owner, const char *name, key_t key, struct ipcu_record *record,
			       struct ipc_perm *perm, struct ipcu_proven *proven)
{
	uint64_t hash;
	int set = ipcu_family_get(IPCU_FAMILY_SET, key);

	if (set < 0)
		return IPCU_PROOF_NONE;
	hash = ipcu_identity_of(IPCU_KIND_ANY, owner, name, 0).hash;
	return prove(set, key, owner, &hash, record, perm, proven);
}

enum ipcu_proof ipcu_prove_id(int set, struct ipcu_record *record, struct ipc_perm *perm,
			      struct ipcu_proven *proven)
{
	if (ipcu_family_stat(IPCU_FAMILY_SET, set, perm) < 0)
		return IPCU_PROOF_NONE;
	return prove(set, PERM_KEY(*perm), perm->cuid, NULL, record, perm, proven);
}

bool ipcu_find_hash(struct ipcu_registry *registry, uint64_t hash, char name[IPCU_NAME_MAX + 1],
		    struct ipcu_record *record)
{
	uint32_t cursor = 0;

	while (ipcu_registry_next(registry, &cursor, name, record))
		if (ipcu_identity_of(IPCU_KIND_ANY, registry->owner, name, 0).hash == hash)
			return true;
	return false;
}

static bool find_queue(struct ipcu_registry *registry, const char *name, key_t key,
		       struct ipcu_record *record, struct ipc_perm *perm)
{
	int id = ipcu_family_get(IPCU_FAMILY_QUEUE, key);
	struct msqid_ds state;

	if (id < 0 || ipcu_stat_queue(id, &state) < 0 || state.msg_perm.cuid != registry->owner ||
	    ipcu_registry_has_key(registry, key, name))
		return false;
	*perm = state.msg_perm;
	*record = (struct ipcu_record){
		.kind = IPCU_KIND_QUEUE,
		.state = IPCU_RECORD_LIVE,
		.id = id,
		.key = key,
		.created = state.msg_ctime,
	};
	return true;
}

enum ipcu_result ipcu_object_recover(struct ipcu_registry *registry, const char *name,
				     struct ipcu_record *record, struct ipc_perm *perm)
{
	key_t keys[IPCU_CANDIDATES];
	struct ipcu_proven proven;
	bool denied = false;

	for (unsigned i = 0; i < IPCU_CANDIDATES; i++) {
		enum ipcu_proof proof;

		keys[i] = ipcu_name_derive(registry->owner, name, i);
		proof = ipcu_prove_set(registry->owner, name, keys[i], record, perm, &proven);
		if (proof == IPCU_PROOF_OBJECT)
			return IPCU_OK;
		denied = denied || proof == IPCU_PROOF_DENIED;
	}
	for (unsigned i = 0; i < IPCU_CANDIDATES; i++)
		if (find_queue(registry, name, keys[i], record, perm))
			return IPCU_OK;
	/* Without a registry, a set that cannot be read may be the object. */
	if (denied && !registry->segment)
		return ipcu_denied(perm, "semctl", "cannot read it");
	return ipcu_fail(IPCU_NOT_FOUND, "no such object");
}

/* ---- records ------------------------------------------------------------- */

bool ipcu_object_verify(struct ipcu_registry *registry, const char *name,
			const struct ipcu_record *record, int *id, struct ipc_perm *perm)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops((enum ipcu_kind)record->kind);
	uint64_t definition[4];

	if (!ops || record->state != IPCU_RECORD_LIVE)
		return false;
	/*
	 * Only the owner writes the record, and identifier, key and creator together mean one object. The identity of a set
	 * is not asked here: users who may alter the set could destroy it.
	 */
	if (ipcu_family_stat(ops->family, record->id, perm) == 0 &&
	    PERM_KEY(*perm) == record->key && perm->cuid == registry->owner) {
		*id = record->id;
		return true;
	}
	if (!ops->adopt)
		return false;
	/* A program that was told the key may have created the object again. */
	memcpy(definition, record->definition, sizeof(definition));
	*id = ipcu_family_get(ops->family, record->key);
	return *id >= 0 && ipcu_family_stat(ops->family, *id, perm) == 0 &&
	       perm->cuid == registry->owner && ops->adopt(*id, definition) &&
	       !ipcu_registry_has_key(registry, record->key, name);
}

enum ipcu_result ipcu_object_listed(struct ipcu_registry *registry, const char *name,
				    struct ipcu_record *record, struct ipc_perm *perm,
				    bool *recorded)
{
	enum ipcu_result result = ipcu_registry_find(registry, name, record);
	struct ipcu_record again;
	int id;

	*recorded = false;
	/* A name that is given to a different object during the look-up is looked up again. */
	for (int attempt = 0; result == IPCU_OK && attempt < REPLACED_MAX; attempt++) {
		bool exists = ipcu_object_verify(registry, name, record, &id, perm);

		*recorded = exists && id == record->id;
		if (*recorded)
			return IPCU_OK;
		result = ipcu_registry_find(registry, name, &again);
		if (result == IPCU_OK && memcmp(record, &again, sizeof(again)) == 0) {
			record->id = exists ? id : record->id;
			return exists ? IPCU_OK : ipcu_fail(IPCU_NOT_FOUND, "no such object");
		}
		*record = again;
	}
	return result == IPCU_OK ? ipcu_fail(IPCU_NOT_FOUND, "no such object") : result;
}

enum ipcu_result ipcu_object_find(struct ipcu_registry *registry, const char *name,
				  struct ipcu_record *record, struct ipc_perm *perm, bool *recorded)
{
	enum ipcu_result result = ipcu_object_listed(registry, name, record, perm, recorded);
	struct ipcu_error error;

	if (result == IPCU_OK)
		return result;
	error = *ipcu_last_error();
	if (result != IPCU_SYSTEM)
		return ipcu_object_recover(registry, name, record, perm);
	/* The record is corrupted, but the object may prove itself. */
	if (ipcu_object_recover(registry, name, record, perm) == IPCU_OK)
		return IPCU_OK;
	ipcu_error_restore(&error);
	return result;
}
