/* SPDX-License-Identifier: MIT
 * damage.c - a damaged registry is mended, and no living object loses its name
 *
 * Real queues under real names; then something of the registry is overwritten, at random but
 * repeatably: SEED=N begins elsewhere, ROUNDS=N does more.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "damage.h"
#include "object.h"
#include "registry-layout.h"
#include "tap.h"

#define NAMES 40

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % below;
}

struct told {
	char text[4096];
	int count, repaired;
};

static void tell(const char *what, bool repaired, void *context)
{
	struct told *told = context;
	size_t used = strlen(told->text);

	told->count++;
	told->repaired += repaired;
	snprintf(told->text + used, sizeof(told->text) - used, "%s\n", what);
}

static struct told examine(bool repair)
{
	struct told told = { .text = "" };

	if (ipcu_registry_examine(geteuid(), repair, tell, &told) != IPCU_OK)
		snprintf(told.text, sizeof(told.text), "%s\n", ipcu_last_error()->message);
	return told;
}

static void name_of(char name[IPCU_NAME_MAX + 1], int number)
{
	snprintf(name, IPCU_NAME_MAX + 1, "name-%d", number);
}

static void make_names(void)
{
	char name[IPCU_NAME_MAX + 1];
	ipcu_queue *queue;

	for (int i = 0; i < NAMES; i++) {
		name_of(name, i);
		if (ipcu_queue_open(&queue, name, NULL) != IPCU_OK)
			exit(printf("Bail out! %s\n", ipcu_last_error()->message) > 0);
		ipcu_queue_close(queue);
	}
}

/* How many of the queues have a name by which they are found, and are listed. */
struct reach {
	int named, listed;
	bool remove;
};

static enum ipcu_result look(const struct ipcu_info *info, void *context)
{
	struct reach *reach = context;

	reach->listed += info->kind == IPCU_KIND_QUEUE && !info->gone;
	return IPCU_OK;
}

static int count_reachable(void)
{
	struct reach reach = { 0 };
	char name[IPCU_NAME_MAX + 1], recovered[IPCU_NAME_MAX + 1];
	struct ipcu_open how = { .create = IPCU_CREATE_NEVER };
	ipcu_queue *queue;

	ipcu_list(geteuid(), 0, look, &reach);
	for (int i = 0; i < NAMES; i++) {
		name_of(name, i);
		snprintf(recovered, sizeof(recovered), "recovered-0x%08x",
			 (unsigned)ipcu_name_derive(geteuid(), name, 0));
		if (ipcu_queue_open(&queue, name, &how) != IPCU_OK &&
		    ipcu_queue_open(&queue, recovered, &how) != IPCU_OK)
			continue;
		reach.named++;
		ipcu_queue_close(queue);
	}
	return reach.named < reach.listed ? reach.named : reach.listed;
}

/* One thing of the registry becomes noise; but never both records, or a name and its record. */
static void damage_something(struct registry_segment *segment, unsigned what)
{
	struct registry_entry *entry = &segment->entries[draw(NAMES)];

	switch (what) {
	case 0:
		atomic_store(&segment->magic, draw(UINT32_MAX) + 1);
		break;
	case 1:
		atomic_store(&segment->names, draw(NAMES));
		break;
	case 2:
		atomic_store(&segment->high, draw(NAMES));
		break;
	case 3:
		segment->free_head = NAMES + 1 + draw(1000000);
		break;
	case 4:
		for (int i = 0; i < 3000; i++)
			atomic_store(&segment->index[draw(REGISTRY_SLOTS)],
				     draw(2) ? draw(UINT32_MAX) : draw(NAMES + 2));
		break;
	case 5:
		memset(segment->index, 0, sizeof(segment->index));
		break;
	case 6:
		for (size_t i = 0; i < sizeof(entry->name); i++)
			entry->name[i] = (char)draw(256);
		break;
	case 7: /* still a name, but not this one's */
		memcpy(entry->name, "another", 8);
		break;
	case 8:
		for (size_t i = 0; i < sizeof(entry->records[0]); i++)
			((char *)&entry->records[atomic_load(&entry->word) & 1])[i] =
				(char)draw(256);
		break;
	default:
		atomic_store(&entry->word, atomic_load(&entry->word) & ~REGISTRY_IN_USE);
		break;
	}
}

#define DAMAGES 10

static void damage_registry(unsigned what)
{
	struct ipcu_registry registry;

	if (ipcu_registry_open_damaged(&registry, geteuid()) != IPCU_OK)
		exit(printf("Bail out! %s\n", ipcu_last_error()->message) > 0);
	registry.keep = true;
	damage_something(registry.segment, what);
	ipcu_registry_unlock_close(&registry);
}

static void remove_everything(void)
{
	struct ipcu_registry registry;
	struct msginfo info;
	int last = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&info);

	for (int slot = 0; slot <= last; slot++) {
		struct msqid_ds state;
		int id = msgctl(slot, MSG_STAT_ANY, &state);

		if (id >= 0)
			msgctl(id, IPC_RMID, NULL);
	}
	if (ipcu_registry_open_damaged(&registry, geteuid()) != IPCU_OK)
		return;
	atomic_store(&registry.segment->names, 0);
	ipcu_registry_unlock_close(&registry);
}

static void try_damage(unsigned what, unsigned times)
{
	struct told before, after, again;

	make_names();
	for (unsigned i = 0; i < times; i++)
		damage_registry(i ? draw(DAMAGES) : what);
	before = examine(false);
	after = examine(true);
	again = examine(false);
	if (!ok(before.count > 0 && before.repaired == 0 && after.count > 0 &&
			after.repaired == after.count,
		"damage %u, %u times, is seen and mended", what, times))
		printf("# seen: %s# mended: %s", before.text, after.text);
	if (!ok(again.count == 0, "and then there is none"))
		printf("# %s", again.text);
	if (times == 1)
		is_number(count_reachable(), NAMES, "and every object has a name");
	remove_everything();
}

/* What a kill leaves is not damage. */
static void try_leftovers(void)
{
	struct ipcu_record record = { .kind = IPCU_KIND_QUEUE, .state = IPCU_RECORD_CREATING };
	struct ipcu_registry registry;
	struct told told;
	uint32_t slot;

	make_names();
	ipcu_registry_open_locked(&registry, geteuid(), false);
	record.key = ipcu_name_derive(geteuid(), "half-made", 0);
	ipcu_registry_put(&registry, "half-made", &record);
	record.key = ipcu_name_derive(geteuid(), "half-gone", 0);
	ipcu_registry_put(&registry, "half-gone", &record);
	slot = ipcu_registry_slot(registry.segment, "half-gone", &record);
	atomic_store(&registry.segment->index[slot], REGISTRY_TOMBSTONE);
	ipcu_registry_unlock_close(&registry);
	told = examine(false);
	if (!ok(told.count == 0, "what killed writers leave is no damage"))
		printf("# %s", told.text);
	told = examine(true);
	is_number(told.count, 0, "nor is there anything to mend");
	is_number(count_reachable(), NAMES, "and every object keeps its name");
	remove_everything();
}

/* What has no key that speaks for itself is found by the record before. */
static void try_record_before(void)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	struct registry_entry *entry;
	ipcu_barrier *barrier;
	struct told told;

	if (ipcu_barrier_open(&barrier, "meet", 3, NULL) != IPCU_OK)
		exit(printf("Bail out! %s\n", ipcu_last_error()->message) > 0);
	ipcu_barrier_close(barrier);
	ipcu_registry_open_locked(&registry, geteuid(), false);
	ipcu_registry_find(&registry, "meet", &record);
	ipcu_registry_put(&registry, "meet", &record);
	entry = &registry.segment->entries[0];
	memset(&entry->records[atomic_load(&entry->word) & 1], 0x55, sizeof(record));
	ipcu_registry_unlock_close(&registry);
	told = examine(true);
	if (!ok(strcmp(told.text,
		       "the record of meet is damaged: the one before it still holds\n") == 0,
		"the record before takes its place"))
		printf("# %s", told.text);
	is_result(ipcu_barrier_open(&barrier, "meet", 3, NULL), IPCU_OK,
		  "and it is the same barrier");
	ipcu_barrier_close(barrier);
	ipcu_remove("meet", IPCU_KIND_BARRIER, 0);
}

/* Beside the slot of its name another one leads to an entry. */
static void try_spare_slot(void)
{
	struct ipcu_registry registry;
	struct told told;

	make_names();
	ipcu_registry_open_locked(&registry, geteuid(), false);
	for (uint32_t slot = 0, spare = 0; spare < 5; slot++)
		if (!atomic_load(&registry.segment->index[slot]))
			atomic_store(&registry.segment->index[slot], ++spare);
	ipcu_registry_unlock_close(&registry);
	told = examine(true);
	if (!ok(strcmp(told.text, "5 slots of its index lead nowhere\n") == 0,
		"spare slots are mended"))
		printf("# %s", told.text);
	is_number(count_reachable(), NAMES, "and every object keeps its name");
	remove_everything();
}

int main(void)
{
	struct told told;

	deadline_for_all(60);
	random_state = (unsigned long)rounds("SEED", 1);
	told = examine(true);
	is_number(told.count, 0, "no registry has no damage");
	try_leftovers();
	try_record_before();
	try_spare_slot();
	for (unsigned what = 0; what < DAMAGES; what++)
		try_damage(what, 1);
	for (long i = 0; i < rounds("ROUNDS", 30); i++)
		try_damage(draw(DAMAGES), 1 + draw(4));
	return done();
}
