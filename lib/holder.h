/* SPDX-License-Identifier: MIT
 * holder.h - the table of the processes that hold units of semaphores
 */
#ifndef HOLDER_H
#define HOLDER_H

#include "ipcutils.h"
#include "registry.h"

struct holder_table;
struct holder_entry;
struct ipc_perm;

/* ---- holder-table.c: the segment -------------------------------------------- */

/*
 * Attach the table of set SET, which has PERM (NULL: ask the kernel). WRITABLE: create it if it is missing and this
 * process is of the creator of the set. A failure means that no holder can be listed, not that the semaphore is unusable.
 */
enum ipcu_result ipcu_holders_attach(int set, const struct ipc_perm *perm, bool writable,
				     struct holder_table **table);
/* Create the table of the new set SET if other users may take units of it, since only its creator can. */
void ipcu_holders_prepare(int set);

void ipcu_holders_detach(struct holder_table *table);

/* Whether segment ID is a table. */
bool ipcu_holders_internal(int id);

/*
 * Caller holds the registry lock of OWNER, so that no semaphore is created meanwhile. Remove the tables of OWNER that no
 * semaphore uses, and call FN, if not NULL, for each. With DRY_RUN only call FN.
 */
void ipcu_holders_remove_unused(uid_t owner, bool dry_run, void (*fn)(int id, void *context),
				void *context);

/* ---- holder.c: its entries --------------------------------------------------- */

/* What is entered beside what HOLD says. */
struct holder_claim {
	int set;
	pid_t owner; /* the process for which this one holds, 0: itself */
	bool execs;  /* a different program will take the place of this process */
};

/*
 * Enter this process, which already holds the units of HOLD: then one of the first COUNT entries belongs to no living
 * holder. Set the slot, the previous holder and the private members of HOLD.
 *
 * IPCU_OK; IPCU_NOT_FOUND: the set was removed; IPCU_LIMIT: the table is full; IPCU_SYSTEM: it is corrupted, so that no entry is
 * free by DEADLINE, or within a second if that is later.
 */
enum ipcu_result ipcu_holders_claim(struct holder_table *table, const struct holder_claim *claim,
				    struct ipcu_hold *hold, const struct timespec *deadline);

/* Set the slot of HOLD, for which there is no table: only a process that holds all units knows its slot. */
void ipcu_holders_no_entry(int set, struct ipcu_hold *hold);

/* Free the entry of HOLD. Caller still holds the units. */
void ipcu_holders_drop(struct holder_table *table, int set, const struct ipcu_hold *hold);

/* Call FN for each listed holder of SET. */
void ipcu_holders_each(struct holder_table *table, int set, ipcu_holder_fn fn, void *context);

/* ---- sem-holders.c ------------------------------------------------------------ */

/*
 * Call FN for each holder of the semaphore with SET: those of the table, and one that only the kernel knows, if that is
 * certain. *UNLISTED, if not NULL, is how many units are held by other processes.
 */
enum ipcu_result ipcu_holders_list(int set, ipcu_holder_fn fn, void *context, unsigned *unlisted);

/* How many units of the semaphore with SET are held by, or on behalf of, process PID. */
unsigned ipcu_holders_units_of(int set, pid_t pid);

/* ---- keeper.c: releasing what a keeper holds ----------------------------------- */

/* A keeper that this process, and no other, may end. */
struct keeper {
	struct holder_entry *entry;
	int set;
	uint64_t word, before, claimed;
	pid_t pid;
};

/* Confirm that the acquire of HOLD, which a keeper has, was answered: from now on it can be released. */
void ipcu_keeper_confirm(struct holder_table *table, int set, const struct ipcu_hold *hold);

/* Claim the keeper that was the last to acquire units of SET for OWNER. False if there is none. */
bool ipcu_keeper_claim(struct holder_table *table, int set, pid_t owner, struct keeper *keeper);

/* A living process that has claimed a keeper for OWNER, and has not ended it yet; 0: there is none. */
pid_t ipcu_keeper_release(struct holder_table *table, int set, pid_t owner);

/* Whether the keeper still holds what it held when it was claimed. */
bool ipcu_keeper_holds(const struct keeper *keeper);

/* Give the claim up: the keeper was not ended. */
void ipcu_keeper_unclaim(const struct keeper *keeper);

#endif
