/* SPDX-License-Identifier: MIT
 * registry.c - as many names as a user can have
 */
#include <config.h>

#include <string.h>

#include "registry.h"
#include "tap.h"

#define MANY 32000

static void name_of(char *name, size_t capacity, int number)
{
	snprintf(name, capacity, "name-%d", number);
}

static void fill(struct ipcu_registry *registry)
{
	struct ipcu_record record = { .kind = IPCU_KIND_QUEUE, .state = IPCU_RECORD_LIVE };
	char name[IPCU_NAME_MAX + 1];
	bool good = true;

	for (int i = 0; i < MANY; i++) {
		name_of(name, sizeof(name), i);
		record.key = i + 1;
		record.definition[3] = (uint64_t)i * 3;
		good &= ipcu_registry_put(registry, name, &record) == IPCU_OK;
	}
	ok(good, "%d names fit", MANY);
	is_result(ipcu_registry_put(registry, "one-more", &record), IPCU_LIMIT, "and no more");
	ok(strstr(ipcu_last_error()->message, "too many names") &&
		   strstr(ipcu_last_error()->hint, "--stale"),
	   "which is said, with what helps");
}

static bool found(struct ipcu_registry *registry, int number)
{
	struct ipcu_record record;
	char name[IPCU_NAME_MAX + 1];

	name_of(name, sizeof(name), number);
	return ipcu_registry_find(registry, name, &record) == IPCU_OK && record.key == number + 1 &&
	       record.definition[3] == (uint64_t)number * 3;
}

static int count(struct ipcu_registry *registry)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t cursor = 0;
	int names = 0;

	while (ipcu_registry_next(registry, &cursor, name, &record))
		names++;
	return names;
}

/* Every other name goes, comes back, and everything is found in between. */
static void churn(struct ipcu_registry *registry)
{
	struct ipcu_record record = { .kind = IPCU_KIND_QUEUE, .state = IPCU_RECORD_LIVE };
	char name[IPCU_NAME_MAX + 1];
	bool good = true;

	for (int i = 0; i < MANY; i += 2) {
		name_of(name, sizeof(name), i);
		ipcu_registry_drop(registry, name);
	}
	for (int i = 0; i < MANY; i++)
		good &= found(registry, i) == (i % 2 == 1);
	ok(good, "half of them dropped: the others are there");
	is_number(count(registry), MANY / 2, "and listed");
	for (int i = 0; i < MANY; i += 2) {
		name_of(name, sizeof(name), i);
		record.key = i + 1;
		record.definition[3] = (uint64_t)i * 3;
		good &= ipcu_registry_put(registry, name, &record) == IPCU_OK;
	}
	for (int i = 0; i < MANY; i++)
		good &= found(registry, i);
	ok(good, "put back: all are there");
	is_number(count(registry), MANY, "and listed");
}

int main(void)
{
	struct ipcu_registry registry;
	char name[IPCU_NAME_MAX + 1];
	bool good = true;

	deadline_for_all(60);
	if (!is_result(ipcu_registry_open_locked(&registry, geteuid(), true), IPCU_OK,
		       "makes a registry"))
		return done();
	fill(&registry);
	for (int i = 0; i < MANY; i++)
		good &= found(&registry, i);
	ok(good, "each is found with its record");
	ok(ipcu_registry_has_key(&registry, 77, "none") &&
		   !ipcu_registry_has_key(&registry, 77, "name-76"),
	   "keys are found too");
	churn(&registry);
	for (int i = 0; i < MANY; i++) {
		name_of(name, sizeof(name), i);
		ipcu_registry_drop(&registry, name);
	}
	is_number(count(&registry), 0, "all dropped: none is left");
	ipcu_registry_unlock_close(&registry);
	return done();
}
