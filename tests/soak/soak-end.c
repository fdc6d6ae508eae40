/* SPDX-License-Identifier: MIT
 * soak-end.c - what must be so when all is over
 */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "ipcutils.h"
#include "soak.h"
#include "sysv.h"

static const struct ipcu_open never = { .create = IPCU_CREATE_NEVER };

static bool same_number(long long got, long long wanted, const char *what)
{
	return soak_ok(got == wanted, "%s (%lld)", what, got);
}

static bool worked(enum ipcu_result result, const char *what)
{
	return soak_ok(result == IPCU_OK, "%s%s%s", what, result ? ": " : "",
		       result ? ipcu_last_error()->message : "");
}

static void kill_one(const struct ipcu_holder *holder, void *context)
{
	if (holder->keeper > 0 && soak_random(3) == 0 && *(int *)context > 0) {
		soak_keepers += kill(holder->keeper, SIGKILL) == 0;
		--*(int *)context;
	}
}

void soak_kill_keeper(void)
{
	ipcu_sem *sem;
	int count = 1;

	if (ipcu_sem_open(&sem, "k", 0, 1, &never) != IPCU_OK)
		return;
	ipcu_sem_holders(sem, kill_one, &count, NULL);
	ipcu_sem_close(sem);
}

/* q0, q1, ... and g, whose receivers are never killed. */
static void queue_name(unsigned i, char name[3])
{
	if (i < QUEUES)
		snprintf(name, 3, "q%u", i % 10);
	else
		strcpy(name, "g");
}

void soak_prepare(void)
{
	static const struct {
		const char *name;
		unsigned count;
	} sems[] = { { "m", 1 }, { "w", 4 }, { "k", COUNT_LEAST }, { "t", TOKENS } };
	const struct ipcu_shm_layout counter = { .type = IPCU_I64, .count = 1 },
				     letters = { .type = IPCU_BYTES, .count = 1000 };
	ipcu_barrier *barrier;
	ipcu_queue *queue;
	ipcu_event *event;
	ipcu_sem *sem;
	ipcu_shm *shm;
	char name[3];
	size_t size;
	bool good = true;

	for (unsigned i = 0; i <= QUEUES; i++) {
		queue_name(i, name);
		good &= ipcu_queue_open(&queue, name, NULL) == IPCU_OK;
	}
	for (size_t i = 0; i < sizeof(sems) / sizeof(sems[0]); i++) {
		good &= ipcu_sem_open(&sem, sems[i].name, sems[i].count, sems[i].count, NULL) ==
			IPCU_OK;
		ipcu_sem_close(sem);
	}
	good &= ipcu_barrier_open(&barrier, "b", PARTIES, NULL) == IPCU_OK;
	good &= ipcu_barrier_open(&barrier, "f", PARTIES, NULL) == IPCU_OK;
	good &= ipcu_event_open(&event, "e", NULL) == IPCU_OK;
	good &= ipcu_shm_open(&shm, "c", &counter, NULL) == IPCU_OK;
	ipcu_shm_close(shm);
	good &= ipcu_shm_open(&shm, "l", &letters, NULL) == IPCU_OK;
	memset(ipcu_shm_data(shm, &size), 'a', 1000);
	ipcu_shm_close(shm);
	soak_ok(good, "begins with objects of every kind");
}

static void check_sem(const char *name, unsigned count, long taken_least, long taken_most)
{
	struct ipcu_sem_info info = { 0 };
	ipcu_sem *sem;

	if (!worked(ipcu_sem_open(&sem, name, 0, 1, &never), "the semaphore is there"))
		return;
	ipcu_sem_status(sem, &info);
	soak_ok(info.value + info.taken == info.count && info.held == 0 && info.waiters == 0,
		"%s: %u free and %u taken are all of %u, none held, nobody waits", name, info.value,
		info.taken, info.count);
	soak_ok(!count || info.count == count, "%s: its count is what it was made with", name);
	soak_ok(info.taken >= (taken_least > 0 ? (unsigned)taken_least : 0) &&
			(long)info.taken <= taken_most,
		"%s: %u taken for good are between %ld and %ld", name, info.taken, taken_least,
		taken_most);
	worked(ipcu_sem_holders(sem, NULL, NULL, NULL), "its table can be read");
	ipcu_sem_close(sem);
}

static void check_barrier(void)
{
	struct ipcu_barrier_info info = { 0 };
	ipcu_barrier *barrier;

	if (!worked(ipcu_barrier_open(&barrier, "b", 0, &never), "the barrier is there"))
		return;
	ipcu_barrier_status(barrier, &info);
	soak_ok(!info.broken && info.waiting == 0,
		"nobody is left at the barrier, and it is whole");
	soak_ok((long)info.generation * PARTIES >= book.arrived &&
			(long)info.generation * PARTIES <= book.arrived_most,
		"%llu generations of %d let %ld through, and perhaps %ld that were killed",
		(unsigned long long)info.generation, PARTIES, book.arrived,
		book.arrived_most - book.arrived);
	ipcu_barrier_close(barrier);
}

static void check_counter(void)
{
	union ipcu_value value = { .i = -1 };
	ipcu_shm *shm;

	if (!worked(ipcu_shm_open(&shm, "c", NULL, &never), "the counter is there"))
		return;
	ipcu_shm_get(shm, 0, &value);
	soak_ok(value.i >= book.added && value.i <= book.added_most,
		"%ld additions, perhaps %ld more by the killed: it is %lld", book.added,
		book.added_most - book.added, (long long)value.i);
	ipcu_shm_close(shm);
}

/* What is still queued is received here. */
static void drain(void)
{
	static const struct child none = { .killed = false };
	static const struct ending nothing = { .err = "" };
	struct ipcu_message message = { 0 };
	ipcu_queue *queue;
	char name[3];
	bool good = true;

	for (unsigned i = 0; i <= QUEUES; i++) {
		struct timespec now = ipcu_deadline_in(0);

		queue_name(i, name);
		if (ipcu_queue_open(&queue, name, &never) != IPCU_OK) {
			good = false;
			continue;
		}
		while (ipcu_queue_receive(queue, &message, NULL, &now) == IPCU_OK) {
			char *line = malloc(message.size + 1);

			memcpy(line, message.body, message.size);
			line[message.size] = '\n';
			book_received(&none, &nothing, line, message.size + 1);
			free(line);
		}
		good &= ipcu_last_error()->result == IPCU_NOT_NOW;
		ipcu_queue_close(queue);
	}
	ipcu_message_clear(&message);
	soak_ok(good, "what is left in the queues can be received");
}

static unsigned count_objects(void)
{
	struct msginfo queues;
	struct seminfo sets;
	struct shm_info segments;

	msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&queues);
	semctl(0, 0, SEM_INFO, (union semun){ .__buf = &sets });
	shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&segments);
	return (unsigned)(queues.msgpool + sets.semusz + segments.used_ids);
}

static void show(const char *what, void *context)
{
	(void)context;
	printf("# stale: %s\n", what);
}

void soak_check(void)
{
	drain();
	book_close();
	same_number(book.doubled, 0, "no message came twice");
	same_number(book.unknown, 0, "and none that nobody sent");
	soak_ok(book.lost <= book.lost_allowed,
		"of %u messages sent for sure %u were received; %u are lost, with killed receivers that may have held %u",
		book.sent, book.received, book.lost, book.lost_allowed);
	soak_ok(book.safe_lost == 0,
		"of %u sent to a queue whose receivers were only asked to end %u are lost",
		book.safe, book.safe_lost);
	check_sem("m", 1, 0, 0);
	check_sem("w", 4, 0, 0);
	check_sem("k", 0, 0, 0);
	check_sem("t", TOKENS, book.tokens_least, book.tokens_most);
	check_barrier();
	check_counter();
	same_number(system("ipc-ls -a >/dev/null"), 0, "all can be listed");
	same_number(system("ipc-rm -q -f -a"), 0, "all that is listed can be removed");
	/* A cleanup may have removed the list. */
	same_number(system("ipc-rm -q -f q0 q1 q2 g m w k t b f e c l p0 p1 x0 x1 x2 x3"), 0,
		    "and what has lost its name, by its name");
	worked(ipcu_remove_stale(0, 0, show, NULL), "what the killed left is found");
	same_number(count_objects(), 0, "and then nothing is left");
}
