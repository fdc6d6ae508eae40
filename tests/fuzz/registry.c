/* SPDX-License-Identifier: MIT
 * registry.c - fuzz: a registry of names that is damaged, or its owner's trap
 *
 * The input is a program: numbers written anywhere into a registry of eight names, between calls that read and change
 * it. Whatever is in it, a call returns, in time and with a result of the header, and touches nothing outside.
 */
#include <config.h>

#include <unistd.h>

#include "fuzz.h"
#include "registry.h"
#include "sysv.h"

/* The layout, as registry.c publishes it to all processes. */
#define HEADER 4096
#define SLOTS 65536u
#define ENTRY 256
#define NAMES 8
#define STEPS_MAX 64

static char *segment;

static const char *name_of(struct fuzz_input *input)
{
	static const char *const names[NAMES + 2] = { "a", "b", "c", "d",   "e",
						      "f", "g", "h", "new", "newer" };

	return names[fuzz_take(input, 1) % (NAMES + 2)];
}

static uint32_t slot_of(const char *name)
{
	uint64_t hash = ipcu_hash(name, strlen(name), IPCU_HASH_START);

	return (uint32_t)(hash ^ hash >> 32) % SLOTS;
}

static uint32_t *index_slot(uint32_t slot)
{
	return (uint32_t *)(void *)(segment + HEADER) + slot % SLOTS;
}

static void detach(void)
{
	if (segment)
		shmdt(segment);
	segment = NULL;
}

/* A registry with names of all kinds, one of which leads to a queue. */
static void begin(void)
{
	struct ipcu_registry registry;
	ipcu_queue *queue;

	detach();
	fuzz_remove_all();
	must(ipcu_queue_open(&queue, "a", NULL) == IPCU_OK);
	ipcu_queue_close(queue);
	must(ipcu_registry_open_locked(&registry, geteuid(), true) == IPCU_OK);
	for (int i = 1; i < NAMES; i++) {
		struct ipcu_record record = {
			.kind = i % 6 + 1, .state = IPCU_RECORD_LIVE, .key = i, .id = i
		};
		char name[2] = { (char)('a' + i), '\0' };

		must(ipcu_registry_put(&registry, name, &record) == IPCU_OK);
	}
	segment = shmat(registry.id, NULL, 0);
	must(segment != (void *)-1);
	ipcu_registry_unlock_close(&registry);
}

/* ---- damage -------------------------------------------------------------- */

static void damage(struct fuzz_input *input, unsigned what)
{
	uint32_t slot, count;

	switch (what) {
	case 0:
		fuzz_patch(input, segment, 64);
		return;
	case 1:
		*index_slot(slot_of(name_of(input)) + (uint32_t)fuzz_take(input, 1) % 4) =
			(uint32_t)fuzz_take(input, 4);
		return;
	case 2:
		slot = (uint32_t)fuzz_take(input, 2);
		count = (uint32_t)fuzz_take(input, 2);
		for (uint32_t value = (uint32_t)fuzz_take(input, 4),
			      step = (uint32_t)fuzz_take(input, 1);
		     count > 0; count--) {
			*index_slot(slot++) = value;
			value += step;
		}
		return;
	default:
		slot = (uint32_t)fuzz_take(input, 1) % (NAMES + 4);
		fuzz_patch(input, segment + HEADER + 4 * SLOTS + (size_t)slot * ENTRY, ENTRY);
	}
}

/* ---- calls --------------------------------------------------------------- */

static void look(struct fuzz_input *input)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	char name[IPCU_NAME_MAX + 1];
	uint32_t cursor = 0, count = 0;

	if (fuzz_result(ipcu_registry_open(&registry, geteuid())) != IPCU_OK)
		return;
	if (fuzz_result(ipcu_registry_find(&registry, name_of(input), &record)) == IPCU_OK)
		must(record.kind >= IPCU_KIND_QUEUE && record.kind <= IPCU_KIND_PIPE);
	while (ipcu_registry_next(&registry, &cursor, name, &record)) {
		must(strnlen(name, sizeof(name)) < sizeof(name));
		must(++count <= 32768);
	}
	ipcu_registry_close(&registry);
}

static void change(struct fuzz_input *input, bool put)
{
	struct ipcu_record record = { .kind = IPCU_KIND_QUEUE, .state = IPCU_RECORD_LIVE }, found;
	struct ipcu_registry registry;
	const char *name = name_of(input);

	if (fuzz_result(ipcu_registry_open_locked(&registry, geteuid(), true)) != IPCU_OK)
		return;
	record.key =
		ipcu_name_derive(geteuid(), name, 0); /* a record with another key is refused */
	record.created = (int64_t)fuzz_take(input, 1);
	if (!put) {
		ipcu_registry_drop(&registry, name);
	} else if (fuzz_result(ipcu_registry_put(&registry, name, &record)) == IPCU_OK) {
		must(ipcu_registry_find(&registry, name, &found) == IPCU_OK);
		must(memcmp(&record, &found, sizeof(record)) == 0);
	}
	ipcu_registry_unlock_close(&registry);
}

static enum ipcu_result listed(const struct ipcu_info *info, void *context)
{
	must(!info->name || strnlen(info->name, IPCU_NAME_MAX + 1) <= IPCU_NAME_MAX);
	must(ipcu_kind_name(info->kind));
	++*(unsigned *)context;
	return IPCU_OK;
}

static void list(struct fuzz_input *input)
{
	unsigned count = 0, flags = fuzz_take(input, 1) % 2 ? IPCU_LIST_ALL : 0;

	fuzz_result(ipcu_list(geteuid(), flags, listed, &count));
	must(count <= 32768 + 64);
	fuzz_result(ipcu_list_one(name_of(input), listed, &count));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };

	begin();
	for (int steps = 0; input.at < input.end && steps < STEPS_MAX; steps++) {
		unsigned what = (unsigned)fuzz_take(&input, 1) % 10;

		if (what < 4)
			damage(&input, what);
		else if (what < 6)
			look(&input);
		else if (what < 8)
			change(&input, what == 6);
		else if (what == 8)
			list(&input);
		else
			fuzz_result(ipcu_remove_stale(
				0, fuzz_take(&input, 1) % 2 ? IPCU_REMOVE_DRY_RUN : 0, NULL, NULL));
	}
	detach();
	fuzz_remove_all();
	return 0;
}
