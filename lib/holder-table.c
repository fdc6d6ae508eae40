/* SPDX-License-Identifier: MIT
 * holder-table.c - the segment with the holders of all semaphores that have the same creator, owner, group and mode
 *
 * One segment serves any number of semaphores, so that a lock costs no segment. A process that may write a table can
 * change every entry in it. A table therefore has exactly the rights of its semaphores: its key follows from them, only
 * the creator of the semaphores creates it, and it is used only while its rights equal those of the set. If the mode of a set
 * changes, the set has a different table from then on. The group is of no interest where it has the rights of all others.
 *
 * The table describes; units are the kernel's alone. A semaphore works without its table, which happens if a clean-up of
 * segments has removed it, or if the limit of segments is reached: then the holder is not listed (sem-holders.c).
 *
 * The segment is sparse and all zeroes at first, which is a valid empty table.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "holder-layout.h"
#include "holder.h"
#include "name.h"
#include "sem.h"
#include "sysv.h"

#define MODE_MASK 0666

/* Whether members of the group have other rights than all other users have. */
static bool group_matters(const struct ipc_perm *perm)
{
	return (perm->mode >> 3 & 6) != (perm->mode & 6);
}

static char *put_number(char *at, unsigned long number)
{
	char digits[24], *from = digits + sizeof(digits);

	do
		*--from = (char)('0' + number % 10);
	while (number /= 10);
	*at++ = ':';
	memcpy(at, from, (size_t)(digits + sizeof(digits) - from));
	return at + (digits + sizeof(digits) - from);
}

/* The key of the table for a set with PERM. Not snprintf: each command that takes a lock would pay for it. */
static key_t table_key(const struct ipc_perm *perm, unsigned candidate)
{
	char name[160] = ":holders", *at = name + strlen(name);

	at = put_number(at, (unsigned long)perm->mode & MODE_MASK);
	at = put_number(at, (unsigned long)perm->uid);
	if (group_matters(perm)) {
		at = put_number(at, (unsigned long)perm->gid);
		at = put_number(at, (unsigned long)perm->cgid);
	}
	*at = '\0';
	return ipcu_name_derive(perm->cuid, name, candidate);
}

static bool is_table(const struct shmid_ds *state)
{
	return state->shm_segsz == sizeof(struct holder_table);
}

/* Whether the segment grants what a set with PERM grants. */
static bool same_rights(const struct ipc_perm *table, const struct ipc_perm *perm)
{
	return table->cuid == perm->cuid && table->uid == perm->uid &&
	       (table->mode & 0777) == (perm->mode & MODE_MASK) &&
	       (!group_matters(perm) || (table->gid == perm->gid && table->cgid == perm->cgid));
}

/* ---- creating -------------------------------------------------------------- */

/* Give segment ID, which this process has created, the owner and the group of the set. */
static int give_rights(int id, const struct ipc_perm *perm)
{
	struct shmid_ds state;

	if (ipcu_stat_segment(id, &state) < 0)
		return -1;
	if (same_rights(&state.shm_perm, perm))
		return id;
	state.shm_perm.uid = perm->uid;
	state.shm_perm.gid = perm->gid;
	state.shm_perm.mode = perm->mode & MODE_MASK;
	return shmctl(id, IPC_SET, &state) == 0 ? id : -1;
}

static bool may_create(const struct ipc_perm *perm)
{
	return geteuid() == perm->cuid && (!group_matters(perm) || getegid() == perm->cgid);
}

/*
 * Create the table of SET. A set that was removed meanwhile may have been the last one of its user. Opening and closing
 * the registry then removes the table, because that is what happens whenever a registry becomes empty.
 */
static int create(int set, const struct ipc_perm *perm, key_t key)
{
	int id = shmget(key, sizeof(struct holder_table),
			IPC_CREAT | IPC_EXCL | SHM_NORESERVE | (int)(perm->mode & MODE_MASK));
	struct ipcu_registry registry;
	struct ipc_perm again;

	if (id < 0)
		return errno == EEXIST ? shmget(key, 0, 0) : -1;
	if (ipcu_family_stat(IPCU_FAMILY_SET, set, &again) < 0) {
		if (ipcu_registry_open_locked(&registry, perm->cuid, true) == IPCU_OK)
			ipcu_registry_unlock_close(&registry);
		errno = EIDRM;
		return -1;
	}
	return give_rights(id, perm);
}

/* ---- finding --------------------------------------------------------------- */

/* The segment of SET with PERM, created if need be and CREATING; -1 with errno, EEXIST: foreign segments have all its keys. */
static int find(int set, const struct ipc_perm *perm, bool creating)
{
	struct shmid_ds state;

	for (unsigned i = 0; i < IPCU_CANDIDATES; i++) {
		key_t key = table_key(perm, i);
		int id = shmget(key, 0, 0);

		if (id < 0 && errno == ENOENT && creating && may_create(perm))
			id = create(set, perm, key);
		if (id < 0)
			return -1;
		if (ipcu_stat_segment(id, &state) < 0 || state.shm_perm.cuid != perm->cuid ||
		    !is_table(&state))
			continue;
		if (same_rights(&state.shm_perm, perm))
			return id;
		if (may_create(perm))
			return give_rights(id, perm);
		errno = EACCES;
		return -1;
	}
	errno = EEXIST;
	return -1;
}

/*
 * Whether the attached segment has our layout. A table that knows SET has: an entry was made in it after this was checked. Then
 * the page of the magic number, which a command would read for nothing else, is not touched.
 */
static bool has_layout(struct holder_table *table, int set, bool writable)
{
	uint64_t magic = 0;

	if (ipcu_holder_known(table, set, NULL) != HOLDER_UNKNOWN)
		return true;
	if (!writable)
		magic = atomic_load(&table->magic);
	else
		atomic_compare_exchange_strong(&table->magic, &magic, HOLDER_MAGIC);
	return magic == 0 || magic == HOLDER_MAGIC;
}

enum ipcu_result ipcu_holders_attach(int set, const struct ipc_perm *perm, bool writable,
				     struct holder_table **out)
{
	struct holder_table *table;
	struct ipc_perm own;
	int id;

	if (!perm && ipcu_family_stat(IPCU_FAMILY_SET, set, &own) < 0)
		return ipcu_fail_call("semctl", EIDRM, "cannot find its holders");
	id = find(set, perm ? perm : &own, writable);
	if (id < 0)
		return ipcu_fail_call("shmget", errno, "cannot find its holders");
	table = shmat(id, NULL, writable ? 0 : SHM_RDONLY);
	if (table == (void *)-1)
		return ipcu_fail_call("shmat", errno == EINVAL ? EIDRM : errno,
				      "cannot attach the table of its holders");
	if (!has_layout(table, set, writable)) {
		shmdt(table);
		return ipcu_fail(IPCU_SYSTEM, "the table of its holders is corrupted: bad magic");
	}
	*out = table;
	return IPCU_OK;
}

void ipcu_holders_prepare(int set)
{
	struct ipc_perm perm;

	if (ipcu_family_stat(IPCU_FAMILY_SET, set, &perm) == 0 && perm.mode & 066)
		find(set, &perm, true);
}

void ipcu_holders_detach(struct holder_table *table)
{
	if (table)
		shmdt(table);
}

/* ---- tables without a semaphore --------------------------------------------- */

bool ipcu_holders_internal(int id)
{
	struct shmid_ds state;
	bool is = false;

	if (ipcu_stat_segment(id, &state) < 0 || !is_table(&state))
		return false;
	for (unsigned i = 0; i < IPCU_CANDIDATES && !is; i++)
		is = PERM_KEY(state.shm_perm) == table_key(&state.shm_perm, i);
	return is;
}

/* Whether set ID is a semaphore of ours with the rights of PERM. */
static bool is_semaphore(int id, const struct semid_ds *state, const struct ipc_perm *perm)
{
	struct ipcu_identity identity;

	return state->sem_nsems == SEM_MEMBERS && same_rights(perm, &state->sem_perm) &&
	       (!ipcu_identity_read(id, &identity, NULL) || identity.kind == IPCU_KIND_SEMAPHORE);
}

/* Whether a semaphore exists that uses a table with PERM. */
static bool is_used(const struct ipc_perm *perm)
{
	struct seminfo info;
	struct semid_ds state = { .sem_nsems = 0 }; /* analyzers do not see the kernel fill it */
	int last = semctl(0, 0, SEM_INFO, (union semun){ .__buf = &info });

	for (int slot = 0; slot <= last; slot++) {
		int id = semctl(slot, 0, SEM_STAT_ANY, (union semun){ .buf = &state });

		if (id >= 0 && is_semaphore(id, &state, perm))
			return true;
	}
	return false;
}

void ipcu_holders_remove_unused(uid_t owner, bool dry_run, void (*fn)(int id, void *context),
				void *context)
{
	struct shm_info info;
	struct shmid_ds state;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

	for (int slot = 0; slot <= last; slot++) {
		int id = shmctl(slot, SHM_STAT_ANY, &state);

		if (id < 0 || !is_table(&state) || state.shm_perm.cuid != owner ||
		    !ipcu_holders_internal(id) || is_used(&state.shm_perm))
			continue;
		if ((dry_run || shmctl(id, IPC_RMID, NULL) == 0) && fn)
			fn(id, context);
	}
}
