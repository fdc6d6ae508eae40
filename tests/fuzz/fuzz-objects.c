/* SPDX-License-Identifier: MIT
 * fuzz-objects.c - a namespace without objects, for every input anew
 */
#include <config.h>

#include "fuzz.h"
#include "sysv.h"

/* The identifier in SLOT, or -1. */
static int in_slot(enum ipcu_family family, int slot)
{
	struct msqid_ds queue;
	struct semid_ds set;
	struct shmid_ds segment;

	switch (family) {
	case IPCU_FAMILY_QUEUE:
		return msgctl(slot, MSG_STAT_ANY, &queue);
	case IPCU_FAMILY_SET:
		return semctl(slot, 0, SEM_STAT_ANY, (union semun){ .buf = &set });
	case IPCU_FAMILY_SEGMENT:
		return shmctl(slot, SHM_STAT_ANY, &segment);
	}
	return -1;
}

static int highest(enum ipcu_family family)
{
	struct msginfo queues;
	struct seminfo sets;
	struct shm_info segments;

	switch (family) {
	case IPCU_FAMILY_QUEUE:
		return msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&queues);
	case IPCU_FAMILY_SET:
		return semctl(0, 0, SEM_INFO, (union semun){ .__buf = &sets });
	case IPCU_FAMILY_SEGMENT:
		return shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&segments);
	}
	return -1;
}

void fuzz_remove_all(void)
{
	static const char *const own[] = { "root", "user" };
	const char *namespace = getenv("IPC_TEST_NAMESPACE");

	if (!namespace || (strcmp(namespace, own[0]) != 0 && strcmp(namespace, own[1]) != 0)) {
		fprintf(stderr, "this removes every object around it: run it by tests/ns-run\n");
		_Exit(77);
	}
	for (int family = IPCU_FAMILY_QUEUE; family <= IPCU_FAMILY_SEGMENT; family++) {
		int last = highest((enum ipcu_family)family);

		for (int slot = 0; slot <= last; slot++) {
			int id = in_slot((enum ipcu_family)family, slot);

			if (id >= 0)
				ipcu_family_remove((enum ipcu_family)family, id);
		}
	}
}
