/* SPDX-License-Identifier: MIT
 * holder.c - fuzz: tables of holders, which whoever may write a semaphore can write too
 *
 * The input is a program: numbers written into the table of a semaphore of some units, between calls that read and
 * change it. Entries of others may be lost by that, but no index leaves the table and no call hangs.
 */
#include <config.h>

#include <unistd.h>

#include "fuzz.h"
#include "holder.h"
#include "queue.h"
#include "sem.h"
#include "sysv.h"

#define STEPS_MAX 32
#define UNITS 15
#define HEADER 128
#define ENTRY 64

static void holder(const struct ipcu_holder *holder, void *context)
{
	must(holder->command && strlen(holder->command) < 4096);
	must(holder->slot >= 0 && holder->slot < (int)IPCU_SEM_COUNT_MAX);
	++*(unsigned *)context;
}

static void each(ipcu_sem *sem)
{
	unsigned count = 0;

	fuzz_result(ipcu_sem_holders(sem, holder, &count));
	must(count <= IPCU_SEM_COUNT_MAX);
}

static void hold(ipcu_sem *sem, unsigned units)
{
	struct ipcu_hold hold;

	if (fuzz_result(ipcu_sem_acquire(sem, units, &ipcu_no_wait, &hold)) != IPCU_OK)
		return;
	must(hold.slot >= 0 && hold.slot < (int)IPCU_SEM_COUNT_MAX);
	each(sem);
	must(ipcu_sem_release(sem, &hold) == IPCU_OK);
}

static enum ipcu_result listed(const struct ipcu_info *info, void *context)
{
	(void)context;
	ipcu_holders_internal(info);
	ipcu_holders_stale(info);
	return IPCU_OK;
}

/* The key of the set is the key of the table. */
static char *attach_table(ipcu_sem *sem, size_t *size)
{
	int id = shmget(sem->object.key, 0, 0);
	struct shmid_ds state;
	char *table;

	must(id >= 0 && ipcu_stat_segment(id, &state) == 0);
	*size = state.shm_segsz;
	table = shmat(id, NULL, 0);
	must(table != (void *)-1);
	return table;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };
	size_t table_size;
	char *table;
	ipcu_sem *sem;

	fuzz_remove_all();
	must(ipcu_sem_open(&sem, "s", UNITS, UNITS, NULL) == IPCU_OK);
	table = attach_table(sem, &table_size);
	for (int steps = 0; input.at < input.end && steps < STEPS_MAX; steps++) {
		/* One entry is left alone: where all were taken by the living, a claim waits for one to die. */
		size_t entry = (size_t)fuzz_take(&input, 1) % (UNITS - 1);

		switch (fuzz_take(&input, 1) % 7) {
		case 0:
			fuzz_patch(&input, table, HEADER);
			break;
		case 1:
		case 2:
			fuzz_patch(&input, table + HEADER + entry * ENTRY, ENTRY);
			break;
		case 3: /* a living process, for ever */
			memcpy(table + HEADER + entry * ENTRY, &(uint64_t){ UINT64_MAX << 22 | 1 },
			       8);
			memcpy(table + HEADER + entry * ENTRY + 8,
			       &(uint64_t){ UINT64_MAX << 22 | 1 }, 8);
			break;
		case 4:
			each(sem);
			break;
		case 5:
			hold(sem, (unsigned)fuzz_take(&input, 1) % UNITS + 1);
			break;
		default:
			fuzz_result(ipcu_list(geteuid(), IPCU_LIST_ALL, listed, NULL));
		}
	}
	hold(sem, 1);
	shmdt(table);
	ipcu_sem_close(sem);
	must(ipcu_remove("s", IPCU_KIND_SEMAPHORE, 0) == IPCU_OK);
	fuzz_remove_all();
	return 0;
}
