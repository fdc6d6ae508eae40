/* SPDX-License-Identifier: MIT
 * holder.h - the table beside a semaphore that says who holds units
 */
#ifndef HOLDER_H
#define HOLDER_H

#include "ipcutils.h"
#include "registry.h"

struct holder_table;

/*
 * Attach the table of the set ID, a new one if there is none and it is ours to make.
 * IPCU_CONFLICT: somebody else's segment has its key.
 */
enum ipcu_result ipcu_holders_attach(int id, bool writable, struct holder_table **table);
/* The same for who only looks: without a table IPCU_NOT_FOUND, and none is made. */
enum ipcu_result ipcu_holders_look(int id, struct holder_table **table);
void ipcu_holders_detach(struct holder_table *table);

/*
 * An entry among the first COUNT for this process, which must already have its
 * units: then there is one that nobody living has. OWNER (0: itself) is whom it holds for. ALONE, if not 0, is a time
 * by ipcu_process_clock() after which HOLD was seen to be all units: what is older is nobody's. Where
 * somebody has damaged the table there is none: then it gives up at DEADLINE, but tries for a second.
 */
enum ipcu_result ipcu_holders_claim(struct holder_table *table, unsigned count, uint64_t alone,
				    pid_t owner, const struct ipcu_hold *hold,
				    const struct timespec *deadline, int *slot);

/* Give the entry back, if this process has it; before its units. */
void ipcu_holders_drop(struct holder_table *table, int slot);

/* Call FN for each living holder; returns how many. FN may be NULL. */
size_t ipcu_holders_each(struct holder_table *table, ipcu_holder_fn fn, void *context);

/* Whether the segment that INFO describes is a table; and whether the set it was for is gone. */
bool ipcu_holders_internal(const struct ipcu_info *info);
bool ipcu_holders_stale(const struct ipcu_info *info);

/* Remove the table that belonged to the set of OWNER's RECORD, which must be gone. */
void ipcu_holders_remove(uid_t owner, const char *name, const struct ipcu_record *record,
			 bool idle_only);

#endif
