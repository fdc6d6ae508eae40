/* SPDX-License-Identifier: MIT
 * limits.c - the kernel's limits, and how much of each is used
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "error.h"
#include "sysv.h"

enum ipcu_result ipcu_limits(struct ipcu_limit *limits, size_t capacity, size_t *count)
{
	struct msginfo msg, msg_used;
	struct seminfo sem, sem_used;
	struct shminfo shm;
	struct shm_info shm_used;

	if (msgctl(0, IPC_INFO, (struct msqid_ds *)(void *)&msg) < 0 ||
	    msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&msg_used) < 0)
		return ipcu_fail_call("msgctl", errno, "cannot read the limits of queues");
	if (semctl(0, 0, IPC_INFO, (union semun){ .__buf = &sem }) < 0 ||
	    semctl(0, 0, SEM_INFO, (union semun){ .__buf = &sem_used }) < 0)
		return ipcu_fail_call("semctl", errno, "cannot read the limits of semaphores");
	if (shmctl(0, IPC_INFO, (struct shmid_ds *)(void *)&shm) < 0 ||
	    shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&shm_used) < 0)
		return ipcu_fail_call("shmctl", errno, "cannot read the limits of memory");

	const struct ipcu_limit all[] = {
		{ "MSGMNI", "queues", "kernel.msgmni", "objects", (uint64_t)msg.msgmni, true,
		  (uint64_t)msg_used.msgpool },
		{ "MSGMAX", "size of a message", "kernel.msgmax", "bytes", (uint64_t)msg.msgmax,
		  false, 0 },
		{ "MSGMNB", "size of a new queue", "kernel.msgmnb", "bytes", (uint64_t)msg.msgmnb,
		  false, 0 },
		{ "SEMMNI", "semaphore sets", "kernel.sem (4th)", "objects", (uint64_t)sem.semmni,
		  true, (uint64_t)sem_used.semusz },
		{ "SEMMNS", "semaphores in all sets", "kernel.sem (2nd)", "semaphores",
		  (uint64_t)sem.semmns, true, (uint64_t)sem_used.semaem },
		{ "SEMMSL", "semaphores in a set", "kernel.sem (1st)", "semaphores",
		  (uint64_t)sem.semmsl, false, 0 },
		{ "SEMOPM", "operations in one semop", "kernel.sem (3rd)", "operations",
		  (uint64_t)sem.semopm, false, 0 },
		{ "SEMVMX", "value of a semaphore", "", "units", (uint64_t)sem.semvmx, false, 0 },
		{ "SHMMNI", "memory segments", "kernel.shmmni", "objects", (uint64_t)shm.shmmni,
		  true, (uint64_t)shm_used.used_ids },
		{ "SHMMAX", "size of a segment", "kernel.shmmax", "bytes", (uint64_t)shm.shmmax,
		  false, 0 },
		{ "SHMALL", "memory in all segments", "kernel.shmall", "pages",
		  (uint64_t)shm.shmall, true, (uint64_t)shm_used.shm_tot },
	};
	*count = sizeof(all) / sizeof(all[0]);
	memcpy(limits, all, (capacity < *count ? capacity : *count) * sizeof(all[0]));
	return IPCU_OK;
}
