/* SPDX-License-Identifier: MIT
 * soak-cleanup.c - a cleanup job: it removes the segments that no process has attached
 *
 * The registry, the tables of holders, the segments of pipes and of memory whose name comes and goes. Objects must be found
 * again and locks must stay held without them. The bodies of big messages and the memory whose contents are in the books
 * stay: they have no other copy. While memory is loaded only the registry knows where its contents are, so that it stays too
 * until they are back on their key.
 */
#include <config.h>

#include <unistd.h>

#include "registry.h"
#include "shm.h"
#include "soak.h"
#include "sysv.h"

/* Whether KEY is of a name whose contents are in the books. */
static bool is_in_books(key_t key)
{
	static const char *const names[] = { "c", "l" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (unsigned candidate = 0; candidate < IPCU_CANDIDATES; candidate++)
			if (ipcu_name_derive(geteuid(), names[i], candidate) == key)
				return true;
	return ((uint32_t)key & IPCU_SPILL_MASK) == IPCU_SPILL_PREFIX;
}

static bool is_spared(const struct ipc_perm *perm)
{
	return is_in_books(PERM_KEY(*perm)) || ipcu_stage_key(PERM_KEY(*perm)) ||
	       ipcu_registry_is_key(perm->cuid, PERM_KEY(*perm), false);
}

/* Remove what no process has attached; whether memory is being loaded. */
static bool remove_unattached(void)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
	bool loading = false;

	for (int slot = 0; slot <= last; slot++) {
		struct shmid_ds state;
		int id = shmctl(slot, SHM_STAT_ANY, &state);

		if (id < 0)
			continue;
		loading |= ipcu_stage_key(PERM_KEY(state.shm_perm));
		if (state.shm_nattch == 0 && !is_spared(&state.shm_perm))
			shmctl(id, IPC_RMID, NULL);
	}
	return loading;
}

/* A load takes the lock to bring its memory into force: with the lock it cannot begin between the look and the removal. */
int soak_cleanup(void)
{
	struct ipcu_registry registry;
	struct shmid_ds state;

	if (ipcu_registry_open_locked(&registry, geteuid(), false) != IPCU_OK)
		return 0;
	if (!remove_unattached() && ipcu_stat_segment(registry.id, &state) == 0 &&
	    state.shm_nattch == 1)
		shmctl(registry.id, IPC_RMID, NULL);
	registry.keep = true;
	ipcu_registry_unlock_close(&registry);
	return 0;
}
