/* SPDX-License-Identifier: MIT
 * object.h - from a name to a verified object, created if need be
 */
#ifndef OBJECT_H
#define OBJECT_H

#include "ipcutils.h"
#include "registry.h"
#include "sysv.h"

struct ipcu_object;

/* An object that its set, or the key of a queue, proves to be the one of a name. */
struct ipcu_found {
	int id; /* of the object; -1: memory or a pipe whose set exists without a segment */
	int set; /* the set with the identity, which may be the object itself; -1: a queue has none */
	key_t key;
	unsigned detail; /* IDENTITY_DETAIL */
	unsigned members;
	const unsigned short *values; /* all members of the set, read once */
};

/* What the naming layer must know of a kind. */
struct ipcu_kind_ops {
	enum ipcu_kind kind;
	enum ipcu_family family;
	const char *call; /* "msgget" */

	/* msgget and its like with IPC_CREAT; DEFINITION may be NULL for a raw key. */
	int (*create)(key_t key, int flags, const uint64_t definition[4]);

	/*
	 * Caller holds the registry lock; no object has KEY. Create on KEY what the object needs before it
	 * exists: for memory and a pipe the set with the identity (ipcu_identity_make_set). A set that already
	 * has this identity is used as it is, since a process may hold it. May complete DEFINITION.
	 * IPCU_CONFLICT: a different program uses the key. May be NULL.
	 */
	enum ipcu_result (*prepare)(const struct ipcu_object *object, key_t key, mode_t mode,
				    uint64_t definition[4]);

	/*
	 * Bring the new object ID of OBJECT's name into its first state. It becomes recognisable by its
	 * identity (identity.h) in the same step. May be NULL.
	 */
	enum ipcu_result (*init)(const struct ipcu_object *object, int id,
				 const uint64_t definition[4]);

	/*
	 * Return true if an object of the name's owner, found on the name's key but created by a different
	 * program, can be used. May complete DEFINITION. NULL: it cannot.
	 */
	bool (*adopt)(int id, uint64_t definition[4]);

	/*
	 * Derive DEFINITION, all zero, from what FOUND proves, without a registry. Return false if FOUND is not
	 * a whole object of the kind. The kind may set FOUND->id if the object is not on FOUND->key. NULL: the
	 * definition cannot be derived.
	 */
	bool (*redefine)(struct ipcu_found *found, uint64_t definition[4]);

	/* How many members the set of an object has; only for kinds that are sets. */
	unsigned (*members)(const uint64_t definition[4]);

	/*
	 * How many members the set that prepare() makes for RECORD has, and on which *KEY it makes it. NULL: the
	 * kind has no such set.
	 */
	unsigned (*companion)(const struct ipcu_record *record, key_t *key);

	/* Return true if a record, which its writer chose freely, can have DEFINITION. NULL: all zero. */
	bool (*plausible)(const uint64_t definition[4]);

	/*
	 * Refuse with a recorded IPCU_CONFLICT if the object is in use; otherwise make it impossible to
	 * start using it until it is removed or this process ends. May be NULL.
	 */
	enum ipcu_result (*seal)(int id, const struct ipcu_record *record);

	/*
	 * Explain why the object cannot be removed now, as a recorded IPCU_CONFLICT, beyond the processes that
	 * ipcu_users() reports. May be NULL.
	 */
	enum ipcu_result (*in_use)(int id, const struct ipcu_record *record);

	/*
	 * Caller holds the registry lock; the object itself is gone. Remove the companions of OWNER's NAME, each
	 * proven by its identity or identifier, never by its key alone. With IDLE_ONLY, keep what a process holds
	 * or waits for. May be NULL.
	 */
	void (*remove)(uid_t owner, const char *name, const struct ipcu_record *record,
		       bool idle_only);

	/* Remove object ID and what only it leads to; 0, or -1 with errno. NULL: ipcu_family_remove(). */
	int (*discard)(int id);

	/* Fill in what the kind's INFO has beyond the kernel's own state. May be NULL. */
	void (*describe)(struct ipcu_info *info);
};

/* The ops of KIND, or NULL. */
const struct ipcu_kind_ops *ipcu_kind_ops(enum ipcu_kind kind);

/* ipcu_kind_name with its article: "a queue", "an event", "memory". */
const char *ipcu_kind_phrase(enum ipcu_kind kind);

extern const struct ipcu_kind_ops ipcu_barrier_ops;
extern const struct ipcu_kind_ops ipcu_event_ops;
extern const struct ipcu_kind_ops ipcu_pipe_ops;
extern const struct ipcu_kind_ops ipcu_queue_ops;
extern const struct ipcu_kind_ops ipcu_sem_ops;
extern const struct ipcu_kind_ops ipcu_shm_ops;

struct ipcu_object {
	const struct ipcu_kind_ops *ops;
	int id;
	key_t key;
	bool named;   /* by a NAME, in a registry; otherwise a foreign program's */
	bool created; /* by this call */
	uid_t owner;  /* of the namespace */
	char name[IPCU_NAME_MAX + 1];
	struct ipc_perm perm;
	uint64_t definition[4];
};

/*
 * Open NAME, which is to be of the kind of OPS. DEFINITION is recorded if it is
 * created here (NULL: all zero); comparing it with what was there is the caller's.
 */
enum ipcu_result ipcu_object_open(struct ipcu_object *object, const struct ipcu_kind_ops *ops,
				  const char *name, const struct ipcu_open *how,
				  const uint64_t definition[4]);

/* ---- proof.c ------------------------------------------------------------ */

enum ipcu_proof {
	IPCU_PROOF_NONE,
	IPCU_PROOF_DENIED, /* a set of the owner's that this process must not read */
	IPCU_PROOF_SET, /* the set of memory or a pipe without its segment; only RECORD's kind is known */
	IPCU_PROOF_OBJECT
};

/* What else is known of a set that proves an object. */
struct ipcu_proven {
	unsigned members, registry; /* identity.h */
	uint64_t hash;
};

/*
 * Return IPCU_PROOF_OBJECT if the set on KEY, one of the keys of OWNER's NAME, proves that there is an object of the name,
 * of any kind: fill in RECORD, PERM and PROVEN.
 */
enum ipcu_proof ipcu_prove_set(uid_t owner, const char *name, key_t key, struct ipcu_record *record,
			       struct ipc_perm *perm, struct ipcu_proven *proven);

/* The same for set SET and its creator, whatever the name is. */
enum ipcu_proof ipcu_prove_id(int set, struct ipcu_record *record, struct ipc_perm *perm,
			      struct ipcu_proven *proven);

/* Find the listed NAME whose identity has HASH, and its record. Looks at every name. */
bool ipcu_find_hash(struct ipcu_registry *registry, uint64_t hash, char name[IPCU_NAME_MAX + 1],
		    struct ipcu_record *record);

/*
 * Find the object of NAME by its keys alone; REGISTRY may have no segment. IPCU_NOT_FOUND; IPCU_DENIED: a set that may be
 * the object must not be read.
 */
enum ipcu_result ipcu_object_recover(struct ipcu_registry *registry, const char *name,
				     struct ipcu_record *record, struct ipc_perm *perm);

/*
 * Return true if RECORD leads to an object of NAME, by identifier, or by key if a different program created it again. Sets
 * *ID and *PERM.
 */
bool ipcu_object_verify(struct ipcu_registry *registry, const char *name,
			const struct ipcu_record *record, int *id, struct ipc_perm *perm);

/*
 * Find the object of NAME by its record alone. *RECORDED: the record is true; otherwise a different program created the
 * object again, and RECORD is what the record should be.
 */
enum ipcu_result ipcu_object_listed(struct ipcu_registry *registry, const char *name,
				    struct ipcu_record *record, struct ipc_perm *perm,
				    bool *recorded);

/*
 * Find the object of NAME, of any kind: by its record if that is true, else by its keys. *RECORD becomes what the record should
 * be; *RECORDED: it is so in the registry. Results as for ipcu_object_recover(); IPCU_SYSTEM: the registry is corrupted.
 */
enum ipcu_result ipcu_object_find(struct ipcu_registry *registry, const char *name,
				  struct ipcu_record *record, struct ipc_perm *perm,
				  bool *recorded);

/* ---- object.c ----------------------------------------------------------- */

/*
 * Caller holds the registry lock. Forget NAME, whose record leads to no object, and remove its idle companions and what its
 * creator left when it died, as far as that is proven.
 */
void ipcu_object_clear_up(struct ipcu_registry *registry, const char *name);

/*
 * Remove OBJECT, which this process opened and created, by its identifier, with its companions and its name. An object
 * that has the same name by now is not touched.
 */
void ipcu_object_unmake(struct ipcu_object *object);

/* "DOING: permission denied" with a hint that states the owner and the mode. */
enum ipcu_result ipcu_denied(const struct ipc_perm *perm, const char *call, const char *doing);
enum ipcu_result ipcu_object_denied(const struct ipcu_object *object, const char *call,
				    const char *doing);

#endif
