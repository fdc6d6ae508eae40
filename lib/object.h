/* SPDX-License-Identifier: MIT
 * object.h - from a name to a verified object, created if need be
 */
#ifndef OBJECT_H
#define OBJECT_H

#include "ipcutils.h"
#include "registry.h"
#include "sysv.h"

struct ipcu_object;

/* What the naming rooms must know of a kind. */
struct ipcu_kind_ops {
	enum ipcu_kind kind;
	enum ipcu_family family;
	const char *call; /* "msgget" */

	/* msgget and its like with IPC_CREAT; DEFINITION may be NULL for a raw key. */
	int (*create)(key_t key, int flags, const uint64_t definition[4]);

	/*
	 * Bring the new object ID of OBJECT's name into its first state. It becomes recognisable by its
	 * identity (identity.h) in the same step. May be NULL.
	 */
	enum ipcu_result (*init)(const struct ipcu_object *object, int id,
				 const uint64_t definition[4]);

	/*
	 * Whether an object of the name's owner, found on the name's key but made
	 * by some other program, can serve; may complete DEFINITION. NULL: it cannot.
	 */
	bool (*adopt)(int id, uint64_t definition[4]);

	/*
	 * Refuse with a recorded IPCU_CONFLICT if the object is in use; otherwise make it impossible to
	 * start using it until it is removed or this process ends. May be NULL.
	 */
	enum ipcu_result (*seal)(int id, const struct ipcu_record *record);

	/*
	 * Why it must not be removed now, as a recorded IPCU_CONFLICT, beyond
	 * the processes ipcu_users() sees. May be NULL.
	 */
	enum ipcu_result (*in_use)(int id, const struct ipcu_record *record);

	/*
	 * With the lock, when the object itself is gone, by whose hand ever: remove what else
	 * belonged to OWNER's name, as far as RECORD leads to it. May be NULL.
	 */
	void (*remove)(uid_t owner, const struct ipcu_record *record);

	/* After it was removed, by whatever name: what it alone led to. May be NULL. */
	void (*removed)(int id);

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

/*
 * Whether RECORD still leads to an object of OWNER: by identifier, or by key if
 * it was made anew. Sets *ID and *PERM.
 */
bool ipcu_object_verify(struct ipcu_registry *registry, const char *name,
			const struct ipcu_record *record, int *id, struct ipc_perm *perm);

/*
 * With the lock: forget NAME, whose record leads nowhere, and remove what its creator
 * left when it died, if it is surely that.
 */
void ipcu_object_clear_up(struct ipcu_registry *registry, const char *name);

/* "DOING: permission denied" with a hint that says whose it is and its mode. */
enum ipcu_result ipcu_object_denied(const struct ipcu_object *object, const char *call,
				    const char *doing);

#endif
