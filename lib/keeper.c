/* SPDX-License-Identifier: MIT
 * keeper.c - which release ends which keeper
 *
 * A keeper holds units on behalf of a process (bin/sem-acquire.c). A release ends exactly one keeper, and each keeper is ended by at
 * most one release: a release first replaces the state READY of the keeper by its own number, in one
 * compare-and-swap. Of two releases at once the second one looks for a different keeper.
 *
 *	STARTING	the acquire has not been answered yet: no release may end it
 *	READY		the acquire was answered
 *	RELEASING	a release is about to end the keeper; if the release has died, the next one takes over
 *
 * The last acquire is the one with the latest time by a clock that cannot be set. A sequence number, which the table counts,
 * decides between equal times.
 */
#include <config.h>

#include <string.h>
#include <unistd.h>

#include "holder-layout.h"
#include "holder.h"
#include "process.h"

#define ATTEMPTS 1000 /* each fails only because a different release was faster */
#define STATE_MASK ((1u << KEEPER_STATE_BITS) - 1)

void ipcu_keeper_confirm(struct holder_table *table, int set, const struct ipcu_hold *hold)
{
	struct holder_entry *entry =
		hold->entry >= 0 ? ipcu_holder_entry(table, set, (unsigned)hold->entry, false)
				 : NULL;
	uint64_t keeper;

	if (!entry)
		return;
	keeper = atomic_load(&entry->keeper);
	if (atomic_load(&entry->word) == hold->word && (keeper & STATE_MASK) == KEEPER_STARTING)
		atomic_compare_exchange_strong(&entry->keeper, &keeper,
					       (keeper & ~(uint64_t)STATE_MASK) | KEEPER_READY);
}

/* The word of a release: its process and the time, as in struct holder_entry. */
static uint64_t releasing(pid_t pid)
{
	return (ipcu_process_clock() << HOLDER_PID_BITS | (uint64_t)pid) << KEEPER_STATE_BITS |
	       KEEPER_RELEASING;
}

static pid_t release_of(uint64_t keeper)
{
	return (pid_t)(keeper >> KEEPER_STATE_BITS & ((UINT64_C(1) << HOLDER_PID_BITS) - 1));
}

static bool release_has_died(uint64_t keeper)
{
	return ipcu_process_ended(release_of(keeper),
				  keeper >> KEEPER_STATE_BITS >> HOLDER_PID_BITS);
}

static bool may_end(uint64_t keeper)
{
	return (keeper & STATE_MASK) == KEEPER_READY ||
	       ((keeper & STATE_MASK) == KEEPER_RELEASING && release_has_died(keeper));
}

/* Find the last keeper of OWNER. */
static bool find(struct holder_table *table, int set, pid_t owner, struct keeper *last)
{
	struct holder_walk walk = { .table = table, .set = set };
	struct holder_entry *entry;
	int64_t latest = 0;
	int slot;

	memset(last, 0, sizeof(*last));
	ipcu_holder_known(table, set, &walk.limit);
	while ((entry = ipcu_holder_next(&walk, &slot))) {
		struct keeper one = { .entry = entry,
				      .set = set,
				      .word = atomic_load(&entry->word) };
		int64_t since = atomic_load(&entry->since);
		struct ipcu_holder holder;

		one.before = atomic_load(&entry->keeper);
		if (!ipcu_holder_read(entry, set, &holder) || !holder.keeper ||
		    holder.pid != owner || !may_end(one.before) ||
		    atomic_load(&entry->word) != one.word)
			continue;
		if (last->entry &&
		    (since < latest || (since == latest && one.before < last->before)))
			continue;
		one.pid = holder.keeper;
		latest = since;
		*last = one;
	}
	return last->entry != NULL;
}

bool ipcu_keeper_claim(struct holder_table *table, int set, pid_t owner, struct keeper *keeper)
{
	for (int attempt = 0; attempt < ATTEMPTS && find(table, set, owner, keeper); attempt++) {
		uint64_t before = keeper->before;

		keeper->claimed = releasing(getpid());
		if (atomic_compare_exchange_strong(&keeper->entry->keeper, &before,
						   keeper->claimed))
			return true;
	}
	return false;
}

pid_t ipcu_keeper_release(struct holder_table *table, int set, pid_t owner)
{
	struct holder_walk walk = { .table = table, .set = set };
	struct holder_entry *entry;
	int slot;

	ipcu_holder_known(table, set, &walk.limit);
	while ((entry = ipcu_holder_next(&walk, &slot))) {
		uint64_t keeper = atomic_load(&entry->keeper);
		struct ipcu_holder holder;

		if ((keeper & STATE_MASK) == KEEPER_RELEASING && !release_has_died(keeper) &&
		    release_of(keeper) != getpid() && ipcu_holder_read(entry, set, &holder) &&
		    holder.keeper && holder.pid == owner)
			return release_of(keeper);
	}
	return 0;
}

bool ipcu_keeper_holds(const struct keeper *keeper)
{
	struct ipcu_holder holder;

	return ipcu_holder_read(keeper->entry, keeper->set, &holder) &&
	       holder.keeper == keeper->pid && atomic_load(&keeper->entry->word) == keeper->word;
}

void ipcu_keeper_unclaim(const struct keeper *keeper)
{
	uint64_t claimed = keeper->claimed;

	atomic_compare_exchange_strong(&keeper->entry->keeper, &claimed, keeper->before);
}
