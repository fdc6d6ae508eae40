/* SPDX-License-Identifier: MIT
 * object.c - from a name to a verified object, created if need be
 *
 * Opening an existing object takes no lock. A semaphore, a barrier and an event prove themselves: the set on the first key
 * of the name carries the identity of the name and was created by the owner, which cannot be forged (proof.c). Other
 * objects, and those on another key, are looked up in the registry, and by their keys if that does not list them.
 *
 * Creating takes the registry lock and looks at all keys first, so that a name never gets a second object. Then: record what
 * is about to be made (CREATING), make it exclusively, bring it into its first state, record it as LIVE. A process that
 * holds the lock and finds CREATING has found the work of a dead creator. What is provable of it is completed and used;
 * nothing is removed that a different program may have created.
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
#include "sem.h"

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

enum ipcu_result ipcu_denied(const struct ipc_perm *perm, const char *call, const char *doing)
{
	ipcu_fail_call(call, EACCES, "%s", doing);
	ipcu_hint("it belongs to user %lu and group %lu, mode %03o; you are user %lu",
		  (unsigned long)perm->uid, (unsigned long)perm->gid, (unsigned)perm->mode & 0777,
		  (unsigned long)geteuid());
	return IPCU_DENIED;
}

enum ipcu_result ipcu_object_denied(const struct ipcu_object *object, const char *call,
				    const char *doing)
{
	return ipcu_denied(&object->perm, call, doing);
}

/* ---- opening what exists ---------------------------------------------- */

static enum ipcu_result wrong_kind(const struct ipcu_kind_ops *ops, int kind)
{
	ipcu_fail(IPCU_CONFLICT, "it is %s, not %s", ipcu_kind_phrase((enum ipcu_kind)kind),
		  ipcu_kind_phrase(ops->kind));
	ipcu_hint("all kinds share one namespace: use another name");
	return IPCU_CONFLICT;
}

/* OBJECT is what RECORD leads to, of the kind that the caller wants. */
static enum ipcu_result use(struct ipcu_object *object, const struct ipcu_record *record,
			    const struct ipc_perm *perm)
{
	if (record->kind != (int32_t)object->ops->kind)
		return wrong_kind(object->ops, record->kind);
	object->id = record->id;
	object->key = record->key;
	object->perm = *perm;
	memcpy(object->definition, record->definition, sizeof(object->definition));
	return IPCU_OK;
}

/* Without the lock. A process that may create the object only looks at the records: it looks at all keys with the lock. */
static enum ipcu_result look_up(struct ipcu_object *object, struct ipcu_registry *registry,
				bool may_create, bool *recorded)
{
	struct ipcu_record record;
	struct ipc_perm perm;
	enum ipcu_result result =
		may_create ? ipcu_object_listed(registry, object->name, &record, &perm, recorded)
			   : ipcu_object_find(registry, object->name, &record, &perm, recorded);

	return result == IPCU_OK ? use(object, &record, &perm) : result;
}

/* ---- listing a name again ------------------------------------------------ */

/* Record in the set of an object that REGISTRY lists it. Other kinds are always looked up there. */
static void mark_listed(const struct ipcu_object *object, const struct ipcu_registry *registry)
{
	struct ipcu_identity identity;
	struct semid_ds state;

	if (object->ops->family == IPCU_FAMILY_SET && registry->segment &&
	    ipcu_identity_read(object->id, &identity, &state))
		ipcu_identity_set_registry(object->id, (unsigned)state.sem_nsems, identity.registry,
					   registry->id);
}

/* Caller holds the registry lock. */
static void list_locked(struct ipcu_registry *registry, const struct ipcu_object *object)
{
	struct ipcu_record record;
	struct ipc_perm perm;
	bool recorded;

	if (ipcu_object_find(registry, object->name, &record, &perm, &recorded) != IPCU_OK ||
	    record.id != object->id || record.kind != (int32_t)object->ops->kind)
		return;
	if (recorded || ipcu_registry_put(registry, object->name, &record) == IPCU_OK)
		mark_listed(object, registry);
}

/*
 * The registry does not list OBJECT: a cleanup removed it, or the creator of the object died. Add it for its owner, unless
 * another process has the lock: the object can be used without, and the next opener tries again.
 */
static void list_again(const struct ipcu_object *object)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_registry registry;

	if (object->owner == geteuid() &&
	    ipcu_registry_open_until(&registry, object->owner, true, &ipcu_registry_no_wait) ==
		    IPCU_OK) {
		list_locked(&registry, object);
		ipcu_registry_unlock_close(&registry);
	}
	ipcu_error_restore(&error);
}

/* ---- creating ----------------------------------------------------------- */

struct attempt {
	struct ipcu_registry *registry;
	struct ipcu_record record;
	struct ipcu_record dead; /* what a creator that died was about to make, or all zero */
	int flags;
	uid_t squatter; /* the creator of what has the first key, if it is not the owner */
};

/*
 * A creator that was killed between semget and its first semop left a set that is all zero and was never used, on the key
 * that it had recorded: the object itself, or the set beside a segment. Return its identifier, or -1 if RECORD, of the
 * CREATING state, leads to none.
 */
static int untouched_set(uid_t owner, const struct ipcu_record *record)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops((enum ipcu_kind)record->kind);
	key_t key = record->key;
	struct semid_ds state;
	unsigned members;
	int id;

	if (record->state != IPCU_RECORD_CREATING || !ops || (!ops->members && !ops->companion))
		return -1;
	members = ops->members ? ops->members(record->definition) : ops->companion(record, &key);
	id = ipcu_family_get(IPCU_FAMILY_SET, key);
	if (id < 0 || ipcu_stat_set(id, &state) < 0 || state.sem_perm.cuid != owner ||
	    state.sem_otime != 0 || state.sem_nsems != members)
		return -1;
	return id;
}

/* Remove what an untouched set is, after one step has made it ours: it fails if any program has used the set. */
static void discard_untouched(uid_t owner, const char *name, const struct ipcu_record *record)
{
	struct ipcu_object object = { .owner = owner, .id = untouched_set(owner, record) };
	enum ipcu_result result;
	key_t key;

	if (object.id < 0)
		return;
	object.ops = ipcu_kind_ops((enum ipcu_kind)record->kind);
	strcpy(object.name, name);
	if (object.ops->companion)
		result = ipcu_identity_claim(&object, object.id,
					     object.ops->companion(record, &key), 0);
	else
		result = object.ops->init(&object, object.id, record->definition);
	if (result == IPCU_OK)
		ipcu_family_remove(IPCU_FAMILY_SET, object.id);
}

/* Caller holds the registry lock; RECORD leads to no object. Remove what is proven to belong to it. */
static void clear_up(struct ipcu_registry *registry, const char *name,
		     const struct ipcu_record *record)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops((enum ipcu_kind)record->kind);

	discard_untouched(registry->owner, name, record);
	if (ops && ops->remove)
		ops->remove(registry->owner, name, record, true);
}

void ipcu_object_clear_up(struct ipcu_registry *registry, const char *name)
{
	struct ipcu_record record;

	if (ipcu_registry_find(registry, name, &record) != IPCU_OK)
		return;
	clear_up(registry, name, &record);
	ipcu_registry_drop(registry, name);
}

/* Remove what make_on() created: the object, unless ID is -1, and what was prepared for it. */
static void unmake(struct ipcu_object *object, const struct ipcu_record *record, int id)
{
	struct ipcu_error error = *ipcu_last_error();

	if (id >= 0 && object->created)
		ipcu_family_remove(object->ops->family, id);
	if (object->ops->remove)
		object->ops->remove(object->owner, object->name, record, true);
	object->created = false;
	ipcu_error_restore(&error);
}

/*
 * An object has the key of RECORD already. IPCU_OK: it serves, and *ID is its identifier; IPCU_CONFLICT: it is a different
 * program's, try the next key.
 */
static enum ipcu_result take_over(struct ipcu_object *object, struct attempt *attempt, int *id)
{
	const struct ipcu_kind_ops *ops = object->ops;
	struct ipcu_record *record = &attempt->record;

	*id = ipcu_family_get(ops->family, record->key);
	if (*id < 0 || ipcu_family_stat(ops->family, *id, &object->perm) < 0)
		return IPCU_CONFLICT;
	if (object->perm.cuid != object->owner) {
		if (attempt->squatter == object->owner)
			attempt->squatter = object->perm.cuid;
		return IPCU_CONFLICT;
	}
	if (attempt->dead.key == record->key &&
	    untouched_set(object->owner, &attempt->dead) == *id) {
		enum ipcu_result result = ops->init(object, *id, record->definition);

		object->created = result == IPCU_OK;
		return result;
	}
	if (!ops->adopt || !ops->adopt(*id, record->definition) ||
	    ipcu_registry_has_key(attempt->registry, record->key, object->name))
		return IPCU_CONFLICT;
	return IPCU_OK;
}

/* Create the object on the key of the record. IPCU_CONFLICT: the key is taken, try the next. */
static enum ipcu_result create_on(struct ipcu_object *object, struct attempt *attempt, int *id)
{
	const struct ipcu_kind_ops *ops = object->ops;
	struct ipcu_record *record = &attempt->record;
	enum ipcu_result result = IPCU_OK;

	if (ops->prepare)
		result = ops->prepare(object, record->key, (mode_t)(attempt->flags & 0777),
				      record->definition);
	if (result != IPCU_OK)
		return result;
	*id = ops->create(record->key, attempt->flags, record->definition);
	object->created = *id >= 0;
	if (*id >= 0)
		result = ops->init ? ops->init(object, *id, record->definition) : IPCU_OK;
	else if (errno == EEXIST)
		result = take_over(object, attempt, id);
	else
		result = ipcu_fail_call(ops->call, errno, "cannot create it");
	if (result != IPCU_OK)
		unmake(object, record, *id);
	return result;
}

/* Record what is about to be made, make it, record that it exists. */
static enum ipcu_result make_on(struct ipcu_object *object, struct attempt *attempt, key_t key)
{
	struct ipcu_record *record = &attempt->record;
	enum ipcu_result result;
	int id = -1;

	record->key = key;
	record->state = IPCU_RECORD_CREATING;
	result = ipcu_registry_put(attempt->registry, object->name, record);
	if (result == IPCU_OK)
		result = create_on(object, attempt, &id);
	if (result != IPCU_OK)
		return result;
	if (ipcu_family_stat(object->ops->family, id, &object->perm) < 0) {
		result = ipcu_fail_call(object->ops->call, errno, "cannot create it");
		unmake(object, record, id);
		return result;
	}
	object->id = record->id = id;
	object->key = key;
	memcpy(object->definition, record->definition, sizeof(object->definition));
	record->state = IPCU_RECORD_LIVE;
	result = ipcu_registry_put(attempt->registry, object->name, record);
	if (result == IPCU_OK)
		mark_listed(object, attempt->registry);
	return result;
}

/* What is recorded of the name leads to no object: remove what belonged to it, but for a set that can be completed. */
static void bury_old(struct attempt *attempt, const struct ipcu_object *object)
{
	const struct ipcu_kind_ops *ops = object->ops;
	struct ipcu_record old;

	if (ipcu_registry_find(attempt->registry, object->name, &old) != IPCU_OK)
		return;
	if (old.kind == (int32_t)ops->kind && ops->members &&
	    untouched_set(object->owner, &old) >= 0 &&
	    ops->members(old.definition) == ops->members(attempt->record.definition))
		attempt->dead = old;
	else
		clear_up(attempt->registry, object->name, &old);
}

static enum ipcu_result make_on_any(struct ipcu_object *object, struct attempt *attempt)
{
	enum ipcu_result result = IPCU_CONFLICT;

	for (unsigned i = 0; i < IPCU_CANDIDATES && result == IPCU_CONFLICT; i++)
		result = make_on(object, attempt, ipcu_name_derive(object->owner, object->name, i));
	return result;
}

static enum ipcu_result make(struct ipcu_object *object, struct ipcu_registry *registry,
			     mode_t mode, const uint64_t definition[4])
{
	struct attempt attempt = { .registry = registry, .squatter = object->owner };
	enum ipcu_result result;

	attempt.flags = IPC_CREAT | IPC_EXCL | (int)(mode ? mode : 0600);
	attempt.record.kind = (int32_t)object->ops->kind;
	attempt.record.created = (int64_t)time(NULL);
	attempt.record.creator = getpid();
	if (definition)
		memcpy(attempt.record.definition, definition, sizeof(attempt.record.definition));
	bury_old(&attempt, object);

	result = make_on_any(object, &attempt);
	if (result == IPCU_LIMIT && ipcu_sem_reclaim(registry)) /* transient semaphores make room */
		result = make_on_any(object, &attempt);
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
	struct ipc_perm perm;
	bool recorded;

	if (object->created && object->named &&
	    ipcu_registry_open_any(&registry, object->owner) == IPCU_OK) {
		if (ipcu_object_find(&registry, object->name, &record, &perm, &recorded) ==
			    IPCU_OK &&
		    record.kind == (int32_t)object->ops->kind && record.id == object->id) {
			unmake(object, &record, object->id);
			ipcu_registry_drop(&registry, object->name);
		}
		ipcu_registry_unlock_close(&registry);
	}
	object->created = false;
	ipcu_error_restore(&error);
}

static enum ipcu_result create(struct ipcu_object *object, const struct ipcu_open *how,
			       const uint64_t definition[4])
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	struct ipc_perm perm;
	bool recorded;
	enum ipcu_result result =
		ipcu_registry_open_until(&registry, object->owner, true, how->deadline);

	if (result != IPCU_OK)
		return result;
	/* Another process may have been faster, or the registry may have lost an object that exists. */
	result = ipcu_object_find(&registry, object->name, &record, &perm, &recorded);
	if (result == IPCU_OK) {
		result = use(object, &record, &perm);
		if (!recorded && ipcu_registry_put(&registry, object->name, &record) == IPCU_OK &&
		    result == IPCU_OK)
			mark_listed(object, &registry);
	} else if (result == IPCU_NOT_FOUND) {
		result = make(object, &registry, how->mode, definition);
	}
	ipcu_registry_unlock_close(&registry);
	return result;
}

/* ---- opening ------------------------------------------------------------ */

/*
 * The fast path: a set on the first key that proves to be the object needs no registry. *PROVEN: it is so. The registry
 * is only asked for its identifier, to learn whether it lists the name.
 */
static enum ipcu_result open_set(struct ipcu_object *object, bool *proven)
{
	struct ipcu_proven what;
	struct ipcu_record record;
	struct ipc_perm perm;
	key_t key = ipcu_name_derive(object->owner, object->name, 0);
	enum ipcu_result result;

	*proven = false;
	if (object->ops->family != IPCU_FAMILY_SET ||
	    ipcu_prove_set(object->owner, object->name, key, &record, &perm, &what) !=
		    IPCU_PROOF_OBJECT)
		return IPCU_NOT_FOUND;
	*proven = true;
	result = use(object, &record, &perm);
	if (result == IPCU_OK && object->owner == geteuid() &&
	    !ipcu_registry_is_marked(object->owner, what.registry))
		list_again(object);
	return result;
}

static enum ipcu_result open_named(struct ipcu_object *object, const struct ipcu_open *how,
				   const uint64_t definition[4])
{
	struct ipcu_registry registry;
	bool proven, recorded, may_create;
	enum ipcu_result result = open_set(object, &proven);

	if (proven)
		return result;
	may_create = how->create != IPCU_CREATE_NEVER && object->owner == geteuid() &&
		     !ipcu_name_is_numeric(object->name);
	result = ipcu_registry_open(&registry, object->owner);
	if (result != IPCU_OK)
		return result;
	result = look_up(object, &registry, may_create, &recorded);
	ipcu_registry_close(&registry);
	if (result == IPCU_OK && !recorded)
		list_again(object);
	if (may_create && (result == IPCU_NOT_FOUND || result == IPCU_SYSTEM))
		return create(object, how, definition);
	if (result != IPCU_NOT_FOUND)
		return result;
	if (object->owner != geteuid()) {
		ipcu_fail(IPCU_NOT_FOUND, "no such %s", ipcu_kind_name(object->ops->kind));
		ipcu_hint("only user %lu can create a name there", (unsigned long)object->owner);
		return ipcu_name_not_found(object->name);
	}
	if (how->create != IPCU_CREATE_NEVER && ipcu_name_check_new(object->name) != IPCU_OK)
		return IPCU_USAGE;
	ipcu_fail(IPCU_NOT_FOUND, "no such %s", ipcu_kind_name(object->ops->kind));
	return ipcu_name_not_found(object->name);
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
	if (name.form == IPCU_NAME_PLAIN) {
		object->named = true;
		object->owner = name.owner;
		memcpy(object->name, name.name, sizeof(object->name));
		result = open_named(object, how, definition);
	} else {
		result = open_raw(object, &name, how, definition);
	}
	if (result == IPCU_OK && how->found_mode)
		*how->found_mode = (mode_t)object->perm.mode & 0777;
	return result;
}
