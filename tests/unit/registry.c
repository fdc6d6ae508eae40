/* SPDX-License-Identifier: MIT
 * registry.c - as many names as a user can have
 */
#include <config.h>

#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "registry.h"
#include "tap.h"

#define MANY 32000

static void name_of(char *name, size_t capacity, int number)
{
	snprintf(name, capacity, "name-%d", number);
}

/* A record of the name with NUMBER that a reader accepts. */
static struct ipcu_record record_of(int number)
{
	struct ipcu_record record = { .kind = IPCU_KIND_QUEUE, .state = IPCU_RECORD_LIVE };
	char name[IPCU_NAME_MAX + 1];

	name_of(name, sizeof(name), number);
	record.key = ipcu_name_derive(geteuid(), name, 0);
	record.definition[3] = (uint64_t)number * 3;
	return record;
}

static void fill(struct ipcu_registry *registry)
{
	struct ipcu_record record = record_of(0);
	char name[IPCU_NAME_MAX + 1];
	bool good = true;

	for (int i = 0; i < MANY; i++) {
		name_of(name, sizeof(name), i);
		record = record_of(i);
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
	struct ipcu_record record, expected = record_of(number);
	char name[IPCU_NAME_MAX + 1];

	name_of(name, sizeof(name), number);
	return ipcu_registry_find(registry, name, &record) == IPCU_OK &&
	       memcmp(&record, &expected, sizeof(record)) == 0;
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
	struct ipcu_record record;
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
		record = record_of(i);
		good &= ipcu_registry_put(registry, name, &record) == IPCU_OK;
	}
	for (int i = 0; i < MANY; i++)
		good &= found(registry, i);
	ok(good, "put back: all are there");
	is_number(count(registry), MANY, "and listed");
}

#define HEADER 4096
#define SLOTS 65536

static double seconds(clock_t since)
{
	return (double)(clock() - since) / CLOCKS_PER_SEC;
}

/* The index is full: every chain goes through all of it, and past half of the names. */
static void trap(void)
{
	struct ipcu_record record;
	struct ipcu_registry registry;
	volatile uint32_t *index;
	char name[IPCU_NAME_MAX + 1];
	double alone;
	clock_t begun;
	long sum = 0;

	if (!is_result(ipcu_registry_open_locked(&registry, geteuid(), true), IPCU_OK,
		       "makes another one"))
		return;
	for (int i = 0; i < 1000; i++) {
		name_of(name, sizeof(name), i);
		record = record_of(i);
		ipcu_registry_put(&registry, name, &record);
	}
	index = (volatile uint32_t *)(void *)((char *)registry.segment + HEADER);
	begun = clock();
	for (int i = 0; i < 1000; i++)
		for (int slot = 0; slot < SLOTS; slot++)
			sum += index[slot] != 0;
	alone = seconds(begun);
	is_number(sum, 1000 * 1000, "the index lies where it is looked for");
	for (int slot = 0; slot < SLOTS; slot++)
		index[slot] = 1 + (uint32_t)slot % 500;
	begun = clock();
	is_number(count(&registry), 500, "a trap of endless chains is listed as far as it leads");
	ok(seconds(begun) < 6 * alone + 0.1,
	   "and costs hardly more than looking at them (%.2f, %.2f s)", seconds(begun), alone);
	memset((void *)registry.segment, 0, HEADER + 4 * SLOTS);
	shmctl(registry.id, IPC_RMID, NULL);
	semctl(registry.lock, 0, IPC_RMID);
	ipcu_registry_close(&registry);
}

/* While a different process has the lock of a registry that does not exist, no registry is created. */
static void locked_out(void)
{
	struct ipcu_registry registry, other;
	struct shm_info info;
	int status;
	pid_t child;

	is_result(ipcu_registry_open_any(&registry, geteuid()), IPCU_OK, "the lock alone");
	child = fork();
	if (child == 0)
		_exit(ipcu_registry_open_until(&other, geteuid(), true, &ipcu_registry_no_wait));
	waitpid(child, &status, 0);
	is_number(WEXITSTATUS(status), IPCU_SYSTEM, "a process that does not wait has no registry");
	ok(shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info) >= 0 && info.used_ids == 0,
	   "and leaves none");
	ipcu_registry_unlock_close(&registry);
	is_result(ipcu_registry_open_locked(&registry, geteuid(), true), IPCU_OK,
		  "then it is created");
	ipcu_registry_unlock_close(&registry);
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
	ok(ipcu_registry_has_key(&registry, record_of(76).key, "none") &&
		   !ipcu_registry_has_key(&registry, record_of(76).key, "name-76"),
	   "keys are found too");
	churn(&registry);
	for (int i = 0; i < MANY; i++) {
		name_of(name, sizeof(name), i);
		ipcu_registry_drop(&registry, name);
	}
	is_number(count(&registry), 0, "all dropped: none is left");
	ipcu_registry_unlock_close(&registry);
	trap();
	locked_out();
	return done();
}
