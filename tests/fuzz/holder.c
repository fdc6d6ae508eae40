/* SPDX-License-Identifier: MIT
 * holder.c - fuzz: tables of holders, which whoever may write a semaphore can write too
 *
 * The input is a program: numbers written into the table of a semaphore of some units, between calls that read and
 * change it. Entries of others may be lost by that, but no index leaves the table and no call hangs.
 */
#include <config.h>

#include <unistd.h>

#include "fuzz.h"
#include "holder-layout.h"
#include "holder.h"
#include "queue.h"
#include "sem.h"
#include "sysv.h"

#define STEPS_MAX 32
#define UNITS 15
#define SEQUENCE 16 /* the magic number and the sequence */

static void holder(const struct ipcu_holder *holder, void *context)
{
	must(holder->command && strlen(holder->command) < 4096);
	must(holder->slot >= 0 && holder->slot < (int)IPCU_SEM_COUNT_MAX);
	++*(unsigned *)context;
}

static void each(ipcu_sem *sem)
{
	unsigned count = 0;

	fuzz_result(ipcu_sem_holders(sem, holder, &count, NULL));
	must(count <= IPCU_SEM_COUNT_MAX);
}

static void hold(ipcu_sem *sem, unsigned units)
{
	struct ipcu_hold hold;

	if (fuzz_result(ipcu_sem_acquire(sem, units, &ipcu_no_wait, &hold)) != IPCU_OK)
		return;
	must(hold.slot >= -1 && hold.slot < (int)IPCU_SEM_COUNT_MAX);
	must(hold.entry >= -1 && hold.entry < (int)IPCU_SEM_COUNT_MAX);
	each(sem);
	must(ipcu_sem_release(sem, &hold) == IPCU_OK);
}

static enum ipcu_result listed(const struct ipcu_info *info, void *context)
{
	(void)context;
	ipcu_holders_internal(info->id);
	return IPCU_OK;
}

static void release(ipcu_sem *sem, struct holder_table *table, pid_t owner)
{
	struct keeper keeper;

	if (!ipcu_keeper_claim(table, sem->object.id, owner, &keeper))
		return;
	must(keeper.pid > 0);
	ipcu_keeper_holds(&keeper);
	ipcu_keeper_unclaim(&keeper);
}

/* The entry of one of the slots; block 0 is made by the first process that needs it. */
static struct holder_entry *entry_of(ipcu_sem *sem, struct holder_table *table, unsigned slot)
{
	struct holder_entry *entry = ipcu_holder_entry(table, sem->object.id, slot, true);

	return entry ? entry : holder_first(table, sem->object.id);
}

/* A word that says which set has a block, at one of the positions of block 0. */
static void patch_owner(struct fuzz_input *input, ipcu_sem *sem, struct holder_table *table)
{
	struct holder_entry *entry = entry_of(sem, table, 1);
	size_t at = (size_t)(entry - table->blocks[0]) / HOLDER_BLOCK;

	at = (at + fuzz_take(input, 1) % 8) % HOLDER_BLOCKS;
	fuzz_patch(input, (char *)&table->owners[at], sizeof(table->owners[at]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };
	struct holder_table *table;
	ipcu_sem *sem;

	fuzz_remove_all();
	must(ipcu_sem_open(&sem, "s", UNITS, UNITS, NULL) == IPCU_OK);
	must(ipcu_holders_attach(sem->object.id, NULL, true, &table) == IPCU_OK);
	for (int steps = 0; input.at < input.end && steps < STEPS_MAX; steps++) {
		/* One entry is left alone: where all were taken by the living, a claim waits for one to die. */
		unsigned slot = (unsigned)fuzz_take(&input, 1) % (UNITS - 1);
		struct holder_entry *entry = entry_of(sem, table, slot);

		switch (fuzz_take(&input, 1) % 9) {
		case 0:
			fuzz_patch(&input, (char *)table, SEQUENCE);
			break;
		case 1:
		case 2:
			fuzz_patch(&input, (char *)entry, sizeof(*entry));
			break;
		case 3: /* a living process, for ever */
			atomic_store(&entry->word, UINT64_MAX << HOLDER_TIME_SHIFT | 1);
			atomic_store(&entry->described, UINT64_MAX << HOLDER_TIME_SHIFT | 1);
			break;
		case 4:
			each(sem);
			break;
		case 5:
			hold(sem, (unsigned)fuzz_take(&input, 1) % UNITS + 1);
			break;
		case 6:
			patch_owner(&input, sem, table);
			break;
		case 7:
			release(sem, table, (pid_t)fuzz_take(&input, 2));
			break;
		default:
			fuzz_result(ipcu_list(geteuid(), IPCU_LIST_ALL, listed, NULL));
		}
	}
	hold(sem, 1);
	ipcu_holders_detach(table);
	ipcu_sem_close(sem);
	must(ipcu_remove("s", IPCU_KIND_SEMAPHORE, 0) == IPCU_OK);
	fuzz_remove_all();
	return 0;
}
