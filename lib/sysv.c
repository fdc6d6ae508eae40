/* SPDX-License-Identifier: MIT
 * sysv.c - the state of System V objects, and what the three families share
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "ipcutils.h"
#include "sysv.h"

/* What the kernel fills is zeroed first: valgrind does not know *_STAT_ANY. */

/* FOUND is what a *_STAT_ANY of ID returned: the identifier that lives in its slot. */
static int same(int found, int id)
{
	if (found == id)
		return 0;
	if (found >= 0)
		errno = EINVAL; /* another object in the same slot */
	return -1;
}

int ipcu_stat_queue(int id, struct msqid_ds *state)
{
	memset(state, 0, sizeof(*state));
	if (same(msgctl(id, MSG_STAT_ANY, state), id) == 0)
		return 0;
	return errno == EINVAL ? msgctl(id, IPC_STAT, state) : -1; /* before Linux 4.17 */
}

int ipcu_stat_set(int id, struct semid_ds *state)
{
	union semun arg = { .buf = state };

	memset(state, 0, sizeof(*state));
	if (same(semctl(id, 0, SEM_STAT_ANY, arg), id) == 0)
		return 0;
	return errno == EINVAL ? semctl(id, 0, IPC_STAT, arg) : -1;
}

long ipcu_set_members(int id)
{
	struct semid_ds state;

	if (ipcu_stat_set(id, &state) == 0)
		return (long)state.sem_nsems;
	if (errno == EINVAL)
		errno = EIDRM;
	return -1;
}

int ipcu_set_values(int id, const struct semid_ds *state, unsigned short *values, unsigned capacity)
{
	if (state->sem_nsems > capacity) {
		errno = EINVAL;
		return -1;
	}
	/* The number of members of an identifier never changes, and a removed identifier fails. */
	if (semctl(id, 0, GETALL, (union semun){ .array = values }) == 0)
		return 0;
	if (errno == EINVAL)
		errno = EIDRM;
	return -1;
}

int ipcu_set_read(int id, unsigned short *values, unsigned members, struct semid_ds *state)
{
	struct semid_ds own;

	if (!state)
		state = &own;
	if (ipcu_stat_set(id, state) < 0) {
		if (errno == EINVAL)
			errno = EIDRM;
		return -1;
	}
	if (state->sem_nsems != members) {
		errno = EINVAL;
		return -1;
	}
	return ipcu_set_values(id, state, values, members);
}

int ipcu_stat_segment(int id, struct shmid_ds *state)
{
	memset(state, 0, sizeof(*state));
	if (same(shmctl(id, SHM_STAT_ANY, state), id) == 0)
		return 0;
	return errno == EINVAL ? shmctl(id, IPC_STAT, state) : -1;
}

int ipcu_family_get(enum ipcu_family family, key_t key)
{
	/* With IPC_PRIVATE the kernel creates a new object, whatever the flags are. */
	if (key == IPC_PRIVATE) {
		errno = ENOENT;
		return -1;
	}
	switch (family) {
	case IPCU_FAMILY_QUEUE:
		return msgget(key, 0);
	case IPCU_FAMILY_SET:
		return semget(key, 0, 0);
	case IPCU_FAMILY_SEGMENT:
		return shmget(key, 0, 0);
	}
	return -1;
}

int ipcu_family_stat(enum ipcu_family family, int id, struct ipc_perm *perm)
{
	struct msqid_ds queue;
	struct semid_ds set;
	struct shmid_ds segment;

	switch (family) {
	case IPCU_FAMILY_QUEUE:
		if (ipcu_stat_queue(id, &queue) < 0)
			return -1;
		*perm = queue.msg_perm;
		return 0;
	case IPCU_FAMILY_SET:
		if (ipcu_stat_set(id, &set) < 0)
			return -1;
		*perm = set.sem_perm;
		return 0;
	case IPCU_FAMILY_SEGMENT:
		if (ipcu_stat_segment(id, &segment) < 0)
			return -1;
		*perm = segment.shm_perm;
		return 0;
	}
	return -1;
}

int ipcu_family_remove(enum ipcu_family family, int id)
{
	switch (family) {
	case IPCU_FAMILY_QUEUE:
		return msgctl(id, IPC_RMID, NULL);
	case IPCU_FAMILY_SET:
		return semctl(id, 0, IPC_RMID);
	case IPCU_FAMILY_SEGMENT:
		return shmctl(id, IPC_RMID, NULL);
	}
	return -1;
}

unsigned ipcu_companion_mode(const struct ipc_perm *perm, gid_t creator)
{
	unsigned group = perm->mode & 0060, others = perm->mode & 0006, mode = perm->mode & 0666;

	if (creator != perm->gid && creator != perm->cgid)
		mode &= ~(0060U & ~(others << 3));
	/* The group of the object's creator is its group too, but any other one to the companion. */
	if (perm->cgid != perm->gid && perm->cgid != creator)
		mode &= ~(0006U & ~(group >> 3));
	return mode;
}
