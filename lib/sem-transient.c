/* SPDX-License-Identifier: MIT
 * sem-transient.c - semaphores that are removed when no process holds them or waits for them
 *
 * The set itself says that a semaphore is transient, in the detail of its identity. A removal proves that the set is the
 * one that was seen, by its identifier, and seals it first: all units are free, no process waits at the gate, and none can take a
 * unit until the set is gone (sem-holders.c). A process that opened the semaphore before finds that it was removed, and
 * opens it again.
 *
 * Consumed units are a value that a process has stored: as long as there are any, the semaphore stays.
 */
#include <config.h>

#include <string.h>
#include <unistd.h>

#include "error.h"
#include "sem.h"
#include "sysv.h"

/* Caller holds the registry lock. Remove set ID of NAME if it is transient and idle. With DRY_RUN only look. */
static bool remove_idle(struct ipcu_registry *registry, const char *name, int id, bool dry_run)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	struct ipcu_record record;

	if (!ipcu_identity_is(id, IPCU_KIND_SEMAPHORE, registry->owner, name) ||
	    ipcu_set_read(id, m, SEM_MEMBERS, NULL) < 0 ||
	    !(m[SEM_IDENTITY + IDENTITY_DETAIL] & SEM_DETAIL_TRANSIENT) || m[SEM_TAKEN] ||
	    m[SEM_VALUE] != m[SEM_COUNT] || m[SEM_GATE] != 1)
		return false;
	if (dry_run)
		return true;
	if (ipcu_sem_seal_once(id) != 0 || ipcu_family_remove(IPCU_FAMILY_SET, id) < 0)
		return false;
	if (ipcu_registry_find(registry, name, &record) == IPCU_OK &&
	    record.kind == IPCU_KIND_SEMAPHORE && record.id == id)
		ipcu_registry_drop(registry, name);
	return true;
}

bool ipcu_sem_is_transient(const ipcu_sem *sem)
{
	return sem->object.named && sem->object.definition[1] & SEM_DETAIL_TRANSIENT;
}

void ipcu_sem_remove_idle(const ipcu_sem *sem)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_registry registry;

	if (!ipcu_sem_is_transient(sem))
		return;
	/* Another user cannot remove the name; it goes when its owner needs room, or with --stale. */
	if (ipcu_registry_open_locked(&registry, sem->object.owner, false) == IPCU_OK) {
		remove_idle(&registry, sem->object.name, sem->object.id, false);
		ipcu_registry_unlock_close(&registry);
	}
	ipcu_error_restore(&error);
}

bool ipcu_sem_stale(struct ipcu_registry *registry, const char *name,
		    const struct ipcu_record *record, bool dry_run)
{
	return record->kind == IPCU_KIND_SEMAPHORE && record->state == IPCU_RECORD_LIVE &&
	       remove_idle(registry, name, record->id, dry_run);
}

bool ipcu_sem_reclaim(struct ipcu_registry *registry)
{
	struct ipcu_error error = *ipcu_last_error();
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t cursor = 0;
	bool removed = false;

	while (ipcu_registry_next(registry, &cursor, name, &record))
		removed |= ipcu_sem_stale(registry, name, &record, false);
	ipcu_error_restore(&error);
	return removed;
}
