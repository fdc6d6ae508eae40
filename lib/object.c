/* SPDX-License-Identifier: MIT
 * object.c - from a name to a verified object, created if need be
 *
 * Opening an existing object takes no lock: find the name, ask the kernel for
 * the state of the recorded identifier, compare key and creator. The creator of an
 * object cannot be changed or forged, which makes it the proof of whose
 * namespace it belongs to.
 *
 * Creating takes the registry's lock and goes: record what is about to be made
 * (CREATING), make it exclusively, bring it into its first state, record it as LIVE.
 * A name is visible only in the last step. Who finds CREATING under the lock
 * clears up after a dead creator.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "identity.h"
#include "object.h"

#define REPLACED_MAX 1000 /* how often a name may be given to another object while we look */

const struct ipcu_kind_ops *ipcu_kind_ops(enum ipcu_kind kind)
{
	static const struct ipcu_kind_ops *const all[] = {
		&ipcu_barrier_ops, &ipcu_event_ops, &ipcu_pipe_ops,
		&ipcu_queue_ops,   &ipcu_sem_ops,   &ipcu_shm_ops,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->kind == kind)
			return all[i];
	return NULL;
}

const char *ipcu_kind_name(enum ipcu_kind kind)
{
	static const char names[][10] = { "object", "queue",  "semaphore", "barrier",
					  "event",  "memory", "pipe" };

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : names[0];
}

const char *ipcu_kind_phrase(enum ipcu_kind kind)
{
	static const char phrases[][12] = { "an object", "a queue", "a semaphore", "a barrier",
					    "an event",	 "memory",  "a pipe" };

	return (unsigned)kind < sizeof(phrases) / sizeof(phrases[0]) ? phrases[kind] : phrases[0];
}

enum ipcu_result ipcu_object_denied(const struct ipcu_object *object, const char *call,
				    const char *doing)
{
	ipcu_fail_call(call, EACCES, "%s", doing);
	ipcu_hint("it belongs to user %lu and group %lu, mode %03o; you are user %lu",
		  (unsigned long)object->perm.uid, (unsigned long)object->perm.gid,
		  (unsigned)object->perm.mode & 0777, (unsigned long)geteuid());
	return IPCU_DENIED;
}

/* ---- verifying ---------------------------------------------------------- */

bool ipcu_object_verify(struct ipcu_registry *registry, const char *name,
			const struct ipcu_record *record, int *id, struct ipc_perm *perm)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops((enum ipcu_kind)record->kind);
	uint64_t definition[4];

	if (!ops || record->state != IPCU_RECORD_LIVE)
		return false;
	if (ipcu_family_stat(ops->family, record->id, perm) == 0 &&
	    PERM_KEY(*perm) == record->key && perm->cuid == registry->owner) {
		*id = record->id;
		return true;
	}
	/* Made anew on the same key by a program that was told the key? */
	memcpy(definition, record->definition, sizeof(definition));
	*id = ipcu_family_get(ops->family, record->key);
	return *id >= 0 && ipcu_family_stat(ops->family, *id, perm) == 0 &&
	       perm->cuid == registry->owner && ops->adopt && ops->adopt(*id, definition) &&
	       !ipcu_registry_has_key(registry, record->key, name);
}

static enum ipcu_result wrong_kind(const struct ipcu_kind_ops *ops, int kind)
{
	ipcu_fail(IPCU_CONFLICT, "it is %s, not %s", ipcu_kind_phrase((enum ipcu_kind)kind),
		  ipcu_kind_phrase(ops->kind));
	ipcu_hint("all kinds share one namespace: use another name, or remove that %s with ipc-rm",
		  ipcu_kind_name((enum ipcu_kind)kind));
	return IPCU_CONFLICT;
}

/*
 * Look NAME up in an attached registry. IPCU_NOT_FOUND also when the
 * object has vanished; then *VANISHED is set.
 */
static enum ipcu_result look_up(struct ipcu_object *object, struct ipcu_registry *registry,
				bool *vanished)
{
	struct ipcu_record record, again;
	enum ipcu_result result = ipcu_registry_find(registry, object->name, &record);
	bool there = false;

	*vanished = false;
	for (int attempt = 0; result == IPCU_OK && attempt < REPLACED_MAX; attempt++) {
		there = ipcu_object_verify(registry, object->name, &record, &object->id,
					   &object->perm);
		if (there && object->id == record.id)
			break;
		/* Vanished, or made anew on its key; or its name was just given to another one. */
		result = ipcu_registry_find(registry, object->name, &again);
		if (result == IPCU_OK && memcmp(&record, &again, sizeof(record)) == 0)
			break;
		record = again;
	}
	if (result != IPCU_OK)
		return result;
	if (!there) {
		*vanished = true;
		return ipcu_fail(IPCU_NOT_FOUND, "no such %s", ipcu_kind_name(object->ops->kind));
	}
	if (record.kind != (int32_t)object->ops->kind)
		return wrong_kind(object->ops, record.kind);
	object->key = record.key;
	memcpy(object->definition, record.definition, sizeof(object->definition));
	return IPCU_OK;
}

/* ---- creating ----------------------------------------------------------- */

struct attempt {
	struct ipcu_registry *registry;
	struct ipcu_record record;
	int flags;
	uid_t squatter; /* who holds the first key, if it is not the owner */
};

void ipcu_object_clear_up(struct ipcu_registry *registry, const char *name)
{
	struct ipcu_record record;
	const struct ipcu_kind_ops *ops;
	struct ipc_perm perm;
	int id;

	if (ipcu_registry_find(registry, name, &record) != IPCU_OK)
		return;
	ops = ipcu_kind_ops((enum ipcu_kind)record.kind);
	if (record.state == IPCU_RECORD_CREATING && ops) {
		id = ipcu_family_get(ops->family, record.key);
		if (id >= 0 && ipcu_family_stat(ops->family, id, &perm) == 0 &&
		    perm.cuid == registry->owner &&
		    (ipcu_family_fresh(ops->family, id, record.creator) ||
		     (ops->family == IPCU_FAMILY_SET &&
		      ipcu_identity_is(id, ops->kind, registry->owner, name))))
			ipcu_family_remove(ops->family, id);
	}
	if (ops && ops->remove)
		ops->remove(registry->owner, name, &record, true);
	ipcu_registry_drop(registry, name);
}

/* Remove what make_on() created: the object, unless ID is -1, and what was prepared for it. */
static void unmake(struct ipcu_object *object, const struct ipcu_record *record, int id)
{
	if (id >= 0 && object->created)
		ipcu_family_remove(object->ops->family, id);
	if (object->ops->remove)
		object->ops->remove(object->owner, object->name, record, true);
	object->created = false;
}

/*
 * Make the object on one key. IPCU_CONFLICT: the key is taken, try the next.
 */
static enum ipcu_result make_on(struct ipcu_object *object, struct attempt *attempt, key_t key)
{
	const struct ipcu_kind_ops *ops = object->ops;
	struct ipcu_record *record = &attempt->record;
	enum ipcu_result result;
	int id;

	record->key = key;
	record->state = IPCU_RECORD_CREATING;
	result = ipcu_registry_put(attempt->registry, object->name, record);
	if (result != IPCU_OK)
		return result;

	if (ops->prepare) {
		result = ops->prepare(object, key, (mode_t)(attempt->flags & 0777),
				      record->definition);
		if (result != IPCU_OK)
			return result;
	}
	object->created = true;
	id = ops->create(key, attempt->flags, record->definition);
	if (id < 0 && errno == EEXIST) {
		unmake(object, record, -1);
		id = ipcu_family_get(ops->family, key);
		if (id < 0 || ipcu_family_stat(ops->family, id, &object->perm) < 0)
			return IPCU_CONFLICT;
		if (object->perm.cuid != object->owner) {
			if (attempt->squatter == object->owner)
				attempt->squatter = object->perm.cuid;
			return IPCU_CONFLICT;
		}
		if (ops->family == IPCU_FAMILY_SET &&
		    ipcu_identity_is(id, ops->kind, object->owner, object->name))
			goto made; /* by a creator that was killed before it could record it */
		if (!ops->adopt || !ops->adopt(id, record->definition) ||
		    ipcu_registry_has_key(attempt->registry, key, object->name))
			return IPCU_CONFLICT;
	} else if (id < 0) {
		result = ipcu_fail_call(ops->call, errno, "cannot create it");
		unmake(object, record, -1);
		return result;
	} else if (ops->init) {
		result = ops->init(object, id, record->definition);
		if (result != IPCU_OK) {
			unmake(object, record, id);
			return result;
		}
	}
made:
	if (ipcu_family_stat(ops->family, id, &object->perm) < 0) {
		result = ipcu_fail_call(ops->call, errno, "cannot create it");
		unmake(object, record, id);
		return result;
	}
	object->id = record->id = id;
	object->key = key;
	memcpy(object->definition, record->definition, sizeof(object->definition));
	record->state = IPCU_RECORD_LIVE;
	return ipcu_registry_put(attempt->registry, object->name, record);
}

static enum ipcu_result make(struct ipcu_object *object, struct ipcu_registry *registry,
			     mode_t mode, const uint64_t definition[4])
{
	struct attempt attempt = { .registry = registry, .squatter = object->owner };
	enum ipcu_result result = IPCU_CONFLICT;

	attempt.flags = IPC_CREAT | IPC_EXCL | (int)(mode ? mode : 0600);
	attempt.record.kind = (int32_t)object->ops->kind;
	attempt.record.created = (int64_t)time(NULL);
	attempt.record.creator = getpid();
	if (definition)
		memcpy(attempt.record.definition, definition, sizeof(attempt.record.definition));

	for (unsigned i = 0; i < IPCU_CANDIDATES && result == IPCU_CONFLICT; i++)
		result =
			make_on(object, &attempt, ipcu_name_derive(object->owner, object->name, i));
	if (result == IPCU_OK)
		return IPCU_OK;
	ipcu_registry_drop(registry, object->name);
	if (result == IPCU_CONFLICT) {
		ipcu_fail(IPCU_CONFLICT, "cannot create it: other objects hold all its keys");
		ipcu_hint("user %lu owns the one on its first key; ipc-ls -a shows them",
			  (unsigned long)attempt.squatter);
	}
	return result;
}

void ipcu_object_unmake(struct ipcu_object *object)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_registry registry;
	struct ipcu_record record;

	if (!object->created || !object->named)
		return;
	if (ipcu_registry_open_locked(&registry, object->owner, false) != IPCU_OK) {
		ipcu_error_restore(&error);
		return;
	}
	if (ipcu_family_remove(object->ops->family, object->id) == 0 &&
	    ipcu_registry_find(&registry, object->name, &record) == IPCU_OK &&
	    record.kind == (int32_t)object->ops->kind && record.id == object->id) {
		if (object->ops->remove)
			object->ops->remove(object->owner, object->name, &record, true);
		ipcu_registry_drop(&registry, object->name);
	}
	ipcu_registry_unlock_close(&registry);
	object->created = false;
	ipcu_error_restore(&error);
}

static enum ipcu_result create(struct ipcu_object *object, const struct ipcu_open *how,
			       const uint64_t definition[4])
{
	struct ipcu_registry registry;
	bool vanished;
	enum ipcu_result result =
		ipcu_registry_open_until(&registry, object->owner, true, how->deadline);

	if (result != IPCU_OK)
		return result;
	result = look_up(object, &registry, &vanished); /* somebody may have been faster */
	if (result == IPCU_NOT_FOUND) {
		if (vanished)
			ipcu_object_clear_up(&registry, object->name);
		result = make(object, &registry, how->mode, definition);
	}
	ipcu_registry_unlock_close(&registry);
	return result;
}

/* ---- opening ------------------------------------------------------------ */

static enum ipcu_result open_named(struct ipcu_object *object, const struct ipcu_open *how,
				   const uint64_t definition[4])
{
	struct ipcu_registry registry;
	bool vanished;
	enum ipcu_result result = ipcu_registry_open(&registry, object->owner);

	if (result != IPCU_OK)
		return result;
	result = look_up(object, &registry, &vanished);
	ipcu_registry_close(&registry);
	if (result != IPCU_NOT_FOUND)
		return result;
	if (object->owner != geteuid()) {
		ipcu_fail(IPCU_NOT_FOUND, "no such %s", ipcu_kind_name(object->ops->kind));
		ipcu_hint("only user %lu can create a name there", (unsigned long)object->owner);
		return IPCU_NOT_FOUND;
	}
	if (how->create == IPCU_CREATE_NEVER)
		return ipcu_fail(IPCU_NOT_FOUND, "no such %s", ipcu_kind_name(object->ops->kind));
	return create(object, how, definition);
}

static enum ipcu_result open_raw(struct ipcu_object *object, const struct ipcu_name *name,
				 const struct ipcu_open *how, const uint64_t definition[4])
{
	const struct ipcu_kind_ops *ops = object->ops;

	object->id = name->id;
	if (name->form == IPCU_NAME_KEY) {
		object->id = ipcu_family_get(ops->family, name->key);
		if (object->id < 0 && errno == ENOENT && how->create == IPCU_CREATE_ALWAYS) {
			object->created = true;
			object->id = ops->create(name->key,
						 IPC_CREAT | (int)(how->mode ? how->mode : 0600),
						 definition);
			if (object->id < 0)
				return ipcu_fail_call(ops->call, errno, "cannot create it");
		}
		if (object->id < 0 && errno == ENOENT) {
			ipcu_fail(IPCU_NOT_FOUND, "no %s has this key", ipcu_kind_name(ops->kind));
			if (how->create == IPCU_CREATE_NAMES)
				ipcu_hint("a key of another program is only created with --create");
			return IPCU_NOT_FOUND;
		}
		if (object->id < 0)
			return ipcu_fail_call(ops->call, errno, "cannot open it");
	}
	if (ipcu_family_stat(ops->family, object->id, &object->perm) == 0) {
		object->key = PERM_KEY(object->perm);
		return IPCU_OK;
	}
	if (errno == EINVAL || errno == EIDRM)
		return ipcu_fail(IPCU_NOT_FOUND, "no %s has this identifier",
				 ipcu_kind_name(ops->kind));
	return ipcu_fail_call(ops->call, errno, "cannot open it");
}

enum ipcu_result ipcu_object_open(struct ipcu_object *object, const struct ipcu_kind_ops *ops,
				  const char *typed, const struct ipcu_open *how,
				  const uint64_t definition[4])
{
	static const struct ipcu_open defaults;
	struct ipcu_name name;
	enum ipcu_result result = ipcu_name_read(&name, typed);

	if (result != IPCU_OK)
		return result;
	if (!how)
		how = &defaults;
	memset(object, 0, sizeof(*object));
	object->ops = ops;
	if (name.form != IPCU_NAME_PLAIN)
		return open_raw(object, &name, how, definition);
	object->named = true;
	object->owner = name.owner;
	strcpy(object->name, name.name);
	return open_named(object, how, definition);
}
