/* SPDX-License-Identifier: MIT
 * registry.c - a registry that comes with the first name and goes with the last, again and again, for many at once
 *
 * Each name is created and removed by one process, so each of these calls must be done. That neither a registry nor a lock is left,
 * on whatever key, ns-run looks after.
 */
#include <config.h>

#include <stdio.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slow.h"
#include "sysv.h"
#include "tap.h"

#define PROCESSES 6

#ifdef __LP64__
/* Also between two looks for the lock, which may go meanwhile. */
int semget(key_t key, int count, int flags)
{
	int id;

	slow_pause();
	id = (int)syscall(SYS_semget, key, count, flags);
	slow_pause();
	return id;
}
#endif

static int come_and_go(int process, long count)
{
	char name[16];

	snprintf(name, sizeof(name), "q%d", process);
	for (long i = 0; i < count; i++) {
		ipcu_queue *queue;

		if (ipcu_queue_open(&queue, name, NULL) != IPCU_OK) {
			printf("# open: %s\n", ipcu_last_error()->message);
			return 1;
		}
		ipcu_queue_close(queue);
		if (ipcu_remove(name, IPCU_KIND_QUEUE, 0) != IPCU_OK) {
			printf("# remove: %s\n", ipcu_last_error()->message);
			return 1;
		}
	}
	return 0;
}

int main(void)
{
	struct seminfo used;
	int good = 0, status;

	deadline_for_all(60);
	fflush(stdout);
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0)
			_exit(come_and_go(i, rounds("ROUNDS", 800)));
	for (int i = 0; i < PROCESSES; i++)
		good += wait(&status) > 0 && status == 0;
	is_number(good, PROCESSES, "each could create and remove its name, every time");
	if (semctl(0, 0, SEM_INFO, (union semun){ .__buf = &used }) >= 0)
		is_number(used.semusz, 0, "and no lock is left");
	return done();
}
