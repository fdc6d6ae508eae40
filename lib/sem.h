/* SPDX-License-Identifier: MIT
 * sem.h - a named semaphore as the library sees it
 */
#ifndef SEM_H
#define SEM_H

#include "holder.h"
#include "identity.h"
#include "object.h"

/* The members of a named semaphore's set. */
enum {
	SEM_VALUE,     /* units that are free */
	SEM_GATE,      /* 1: free; 0: somebody is at the head of the line */
	SEM_TAKEN,     /* units taken for good, by ipcu_sem_wait */
	SEM_COUNT,     /* all units */
	SEM_EXCLUSIVE, /* 1: held exclusively */
	SEM_IDENTITY,  /* identity.h */
	SEM_MEMBERS = SEM_IDENTITY + IPCU_IDENTITY_MEMBERS
};

/* Bits of the identity's detail. */

struct ipcu_sem {
	struct ipcu_object object;
	unsigned short index; /* which of a raw set; 0 for a name */
	pid_t owner;	      /* units are taken on behalf of this process, 0: this one */
	_Atomic bool
		released; /* by this handle, so that its close may remove a transient semaphore */
	bool execs;	  /* a different program will take the place of this process */
	bool borrowed;	  /* the memory is the caller's */
	struct holder_table *_Atomic table; /* NULL until needed */
};

/*
 * semop until the deadline: 0 or an errno. ETIMEDOUT: the deadline has passed; EAGAIN: it
 * was &ipcu_no_wait, or an operation has IPC_NOWAIT of its own and cannot be done now.
 */
int ipcu_sem_until(int id, struct sembuf *ops, size_t count, const struct timespec *deadline);

/* Do the same as ipcu_sem_open_with() in STORAGE. The caller keeps it until after ipcu_sem_close(), which does not free it. */
enum ipcu_result ipcu_sem_open_at(ipcu_sem *storage, const char *name,
				  const struct ipcu_sem_options *options,
				  const struct ipcu_open *how);

/* What ERRNUM of a semop on SEM comes to. */
enum ipcu_result ipcu_sem_failed(const ipcu_sem *sem, int errnum, const char *doing);

/* IPCU_SYSTEM: the members cannot be what this library made of them. */
enum ipcu_result ipcu_sem_damaged(void);

/* All members at one instant. */
enum ipcu_result ipcu_sem_members(const ipcu_sem *sem, unsigned short members[SEM_MEMBERS]);

/*
 * Wait at the gate until this process is at the head of the line, and give the
 * place away again. The operation that ends the waiting may instead contain
 * { SEM_GATE, 1, SEM_UNDO }.
 */
enum ipcu_result ipcu_sem_enter(const ipcu_sem *sem, const struct timespec *deadline);
void ipcu_sem_leave(const ipcu_sem *sem);

/* Return the process at the head of the wait queue of set ID; 0: there is none, or it is of a different PID namespace. */
pid_t ipcu_sem_first_waiter(int id);

/* What is done to a semaphore that not every one is made for. */
enum ipcu_sem_use {
	SEM_USE_INDEX,
	SEM_USE_OP,
	SEM_USE_LOCK,
	SEM_USE_COUNT,
	SEM_USE_RESIZE,
	SEM_USE_KEEPER
};

/* Whether USE goes with a name, or with a raw set: IPCU_OK, or IPCU_USAGE and why not. */
enum ipcu_result ipcu_sem_may(bool named, enum ipcu_sem_use use);

/* The table of holders, attached for writing on first use. NULL: there is none, and no holder can be listed. */
struct holder_table *ipcu_sem_table(ipcu_sem *sem);

/* The operations "in_use" and "seal" of the kind (object.h). */
enum ipcu_result ipcu_sem_in_use(int id, const struct ipcu_record *record);
enum ipcu_result ipcu_sem_seal(int id, const struct ipcu_record *record);

/* Do the step of the seal once: 0, or an errno, EAGAIN: it is in use. */
int ipcu_sem_seal_once(int id);

/* The detail of the identity, and of definition[1]. */
#define SEM_DETAIL_TRANSIENT 1u
#define SEM_DETAIL_LOCK 2u /* created as a read-write lock */
#define SEM_DETAIL (SEM_DETAIL_TRANSIENT | SEM_DETAIL_LOCK)
#define SEM_DEFINITION_TAKEN 2 /* above it in definition[1]: the units that are consumed at first */

/* ---- sem-transient.c ---------------------------------------------------------- */

bool ipcu_sem_is_transient(const ipcu_sem *sem);

/* Remove the semaphore of SEM if it is transient and no process holds it or waits for it. */
void ipcu_sem_remove_idle(const ipcu_sem *sem);

/* Caller holds the registry lock. Do the same for NAME; return true if it was removed, or with DRY_RUN would be. */
bool ipcu_sem_stale(struct ipcu_registry *registry, const char *name,
		    const struct ipcu_record *record, bool dry_run);

/* Caller holds the registry lock. Do the same for all names; return true if any was removed. */
bool ipcu_sem_reclaim(struct ipcu_registry *registry);

/* How often a conditional step is tried where other processes change the set meanwhile. */
#define SEM_ATTEMPTS 1000

#endif
