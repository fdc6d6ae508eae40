/* SPDX-License-Identifier: MIT
 * damage.c - a registry that is damaged and mended again and again, while many read and write it
 *
 * What a damage does not touch must be found, by every reader at every time: mending goes on in place, and reading
 * asks for no lock. What it does touch must be there again once it is mended, and names that others make and
 * remove meanwhile are theirs. Each damage is such that a reader or writer who meets it does not go wrong by
 * that alone; what else there can be is for unit/damage.
 */
#include <config.h>

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "damage.h"
#include "object.h"
#include "registry-layout.h"
#include "tap.h"

#define KEPT 150   /* names that are never touched */
#define VICTIMS 20 /* names that are damaged */
#define READERS 4
#define WRITERS 2
#define OWN 30	 /* names that each writer makes and removes */
#define NEAR 280 /* all names begin in so many slots of the index: their chains meet */

/* The first KEPT, the VICTIMS, and those of each writer. */
#define NAMES (KEPT + VICTIMS + WRITERS * OWN)
static char names[NAMES][IPCU_NAME_MAX + 1];

static struct {
	_Atomic bool over;
	_Atomic long lookups;
} * shared;

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % below;
}

static void choose_names(void)
{
	int chosen = 0;

	for (int i = 0; chosen < NAMES; i++) {
		snprintf(names[chosen], sizeof(names[chosen]), "%s-%d",
			 chosen < KEPT ? "kept" : "name", i);
		chosen += ipcu_registry_home_slot(names[chosen]) < NEAR;
	}
}

static bool is_found(int number, enum ipcu_create create)
{
	struct ipcu_open how = { .create = create };
	ipcu_queue *queue;

	if (ipcu_queue_open(&queue, names[number], &how) != IPCU_OK) {
		printf("# %s: %s\n", names[number], ipcu_last_error()->message);
		return false;
	}
	ipcu_queue_close(queue);
	return true;
}

/* ---- those who read and write meanwhile --------------------------------------- */

static enum ipcu_result count_kept(const struct ipcu_info *info, void *context)
{
	*(int *)context += info->name && strncmp(info->name, "kept-", 5) == 0 && !info->gone;
	return IPCU_OK;
}

static int keep_reading(void)
{
	while (!atomic_load(&shared->over)) {
		int listed = 0;

		for (int i = 0; i < KEPT; i++)
			if (!is_found(i, IPCU_CREATE_NEVER))
				return 1;
		atomic_fetch_add(&shared->lookups, KEPT);
		if (ipcu_list(geteuid(), 0, count_kept, &listed) != IPCU_OK || listed != KEPT) {
			printf("# listed: %d of %d\n", listed, KEPT);
			return 1;
		}
	}
	return 0;
}

static int keep_writing(int first)
{
	for (int i = 0; !atomic_load(&shared->over); i = (i + 1) % OWN) {
		if (!is_found(first + i, IPCU_CREATE_NAMES) ||
		    !is_found(first + i, IPCU_CREATE_NEVER))
			return 1;
		if (ipcu_remove(names[first + i], IPCU_KIND_QUEUE, 0) != IPCU_OK) {
			printf("# remove %s: %s\n", names[first + i], ipcu_last_error()->message);
			return 1;
		}
	}
	return 0;
}

/* ---- damage ------------------------------------------------------------------- */

static uint32_t empty_slot(struct registry_segment *segment)
{
	uint32_t slot;

	do
		slot = draw(2) ? draw(REGISTRY_SLOTS) : draw(2 * NEAR);
	while (atomic_load(&segment->index[slot]));
	return slot;
}

/* A second entry of a name, which its slot does not lead to. */
static void double_entry(struct ipcu_registry *registry, const char *name)
{
	struct registry_segment *segment = registry->segment;
	struct ipcu_record record;
	uint32_t slot;

	ipcu_registry_find(registry, name, &record);
	ipcu_registry_put(registry, "double", &record);
	slot = ipcu_registry_slot(segment, "double", &record);
	memcpy(segment->entries[atomic_load(&segment->index[slot]) - 1].name, name,
	       strlen(name) + 1);
	atomic_fetch_sub(&segment->names, 1);
}

#define DAMAGES 7

/* With the lock. */
static void damage(struct ipcu_registry *registry, uint32_t what)
{
	struct registry_segment *segment = registry->segment;
	const char *name = names[KEPT + draw(VICTIMS)];
	struct registry_entry *entry;
	struct ipcu_record record;
	uint32_t slot, number;

	slot = ipcu_registry_slot(segment, name, &record);
	if (slot == REGISTRY_SLOTS)
		return; /* it was damaged just now */
	number = atomic_load(&segment->index[slot]) - 1;
	entry = &segment->entries[number];
	switch (what) {
	case 0: /* noise, and ways to nowhere */
		for (int i = 0; i < 300; i++)
			atomic_store(&segment->index[empty_slot(segment)],
				     draw(2) ? REGISTRY_ENTRIES + 1 + draw(UINT32_MAX / 2)
					     : REGISTRY_ENTRIES - draw(1000));
		break;
	case 1: /* a second way to a name */
		atomic_store(&segment->index[empty_slot(segment)],
			     1 + draw(atomic_load(&segment->high)));
		break;
	case 2: /* no way at all */
		atomic_store(&segment->index[slot], REGISTRY_TOMBSTONE);
		break;
	case 3: /* a wrong way, and no right one */
		atomic_store(&segment->index[empty_slot(segment)], number + 1);
		atomic_store(&segment->index[slot], REGISTRY_TOMBSTONE);
		break;
	case 4:
		atomic_store(&entry->word, atomic_load(&entry->word) & ~REGISTRY_IN_USE);
		break;
	case 5:
		memset(&entry->records[atomic_load(&entry->word) & 1], 0x55, sizeof(record));
		break;
	default:
		double_entry(registry, name);
	}
}

static void count_damage(const char *what, bool repaired, void *context)
{
	(void)what;
	*(long *)context += repaired;
}

/* How many rounds all was well. */
static long damage_and_mend(long wanted, long *mended)
{
	for (long round = 0; round < wanted; round++) {
		struct ipcu_registry registry;
		enum ipcu_result result = ipcu_registry_open_damaged(&registry, geteuid());

		if (result != IPCU_OK)
			return round;
		registry.keep = true;
		for (uint32_t i = 0; i <= draw(3); i++)
			damage(&registry, draw(DAMAGES));
		ipcu_registry_unlock_close(&registry);
		if (ipcu_registry_examine(geteuid(), true, count_damage, mended) != IPCU_OK) {
			printf("# %s\n", ipcu_last_error()->message);
			return round;
		}
		for (int i = 0; i < VICTIMS; i++)
			if (!is_found(KEPT + i, IPCU_CREATE_NEVER))
				return round;
	}
	return wanted;
}

/* ---- all of it ---------------------------------------------------------------- */

static void start(int process)
{
	if (fork() == 0)
		_exit(process < READERS ? keep_reading()
					: keep_writing(KEPT + VICTIMS + (process - READERS) * OWN));
}

int main(void)
{
	long wanted = rounds("ROUNDS", 40), mended = 0;
	int good = 0, status;

	deadline_for_all(60);
	random_state = (unsigned long)rounds("SEED", 1);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	choose_names();
	/* Those that come and go are first, so that the chains of the others lead over where they were. */
	for (int i = NAMES - 1; i >= 0; i--)
		good += is_found(i, IPCU_CREATE_NAMES);
	is_number(good, NAMES, "there are names");
	for (int i = 0; i < READERS + WRITERS; i++)
		start(i);
	is_number(damage_and_mend(wanted, &mended), wanted, "what was damaged is mended");
	atomic_store(&shared->over, true);
	good = 0;
	while (wait(&status) > 0)
		good += status == 0;
	is_number(good, READERS + WRITERS, "and meanwhile everybody found every name");
	ok(mended >= wanted / 2 && atomic_load(&shared->lookups) > 0,
	   "%ld damages were mended, under %ld lookups", mended, atomic_load(&shared->lookups));
	for (int i = 0; i < NAMES; i++)
		if (i < KEPT + VICTIMS || is_found(i, IPCU_CREATE_NAMES))
			good += ipcu_remove(names[i], IPCU_KIND_QUEUE, 0) == IPCU_OK;
	is_number(good, READERS + WRITERS + NAMES, "each object can be removed by its name");
	return done();
}
