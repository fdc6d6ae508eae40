/* SPDX-License-Identifier: MIT
 * object.c - what dead creators leave, what is in use, and what keeps an object from being removed
 *
 * The kill sweeps of tests/fault come by most of this too, with commands.
 */
#include <config.h>

#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "damage.h"
#include "identity.h"
#include "pipe.h"
#include "queue.h"
#include "registry.h"
#include "shm.h"
#include "stage.h"
#include "sysv.h"
#include "tap.h"

/* NAME is recorded as about to be made on its first key, by this process. */
static key_t announce(const char *name, enum ipcu_kind kind)
{
	struct ipcu_record record = { .kind = (int32_t)kind,
				      .state = IPCU_RECORD_CREATING,
				      .creator = getpid() };
	struct ipcu_registry registry;

	record.key = ipcu_name_derive(geteuid(), name, 0);
	if (kind == IPCU_KIND_PIPE) {
		record.definition[IPCU_PIPE_CAPACITY] = 4096;
		record.definition[IPCU_PIPE_RINGS] = 1;
	}
	if (ipcu_registry_open_locked(&registry, geteuid(), true) != IPCU_OK)
		return 0;
	ipcu_registry_put(&registry, name, &record);
	ipcu_registry_unlock_close(&registry);
	return record.key;
}

static bool exists(enum ipcu_family family, int id)
{
	struct ipc_perm perm;

	return ipcu_family_stat(family, id, &perm) == 0;
}

/* How many members the set of a name of KIND has. */
static int members_of(enum ipcu_kind kind)
{
	const uint64_t definition[4] = { 3 };

	return (int)ipcu_kind_ops(kind)->members(definition);
}

/* A creator died between recording a queue and creating it; the queue on the key may be a different program's. */
static void dead_queue(void)
{
	int queue = msgget(announce("dead-q", IPCU_KIND_QUEUE), IPC_CREAT | 0600);
	ipcu_queue *q;

	is_result(ipcu_queue_open(&q, "dead-q", NULL), IPCU_OK,
		  "a queue whose creator died is opened");
	ok(exists(IPCU_FAMILY_QUEUE, queue) && q->object.id == queue,
	   "it is the one on its key, which nothing has removed");
	ipcu_queue_close(q);
	is_result(ipcu_remove("dead-q", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

/* The set of a creator that died before its first semop is completed if it is surely that. */
static void dead_sets(void)
{
	key_t key = announce("dead-e", IPCU_KIND_EVENT);
	int set = semget(key, members_of(IPCU_KIND_EVENT), IPC_CREAT | 0600);
	ipcu_event *e;

	is_result(ipcu_list_one("dead-e", NULL, NULL), IPCU_NOT_FOUND,
		  "an event that is being created is not listed");
	is_result(ipcu_event_open(&e, "dead-e", NULL), IPCU_OK,
		  "an event whose creator died is opened");
	ok(ipcu_identity_is(set, IPCU_KIND_EVENT, geteuid(), "dead-e"),
	   "its untouched set was completed");
	ipcu_event_close(e);
	is_result(ipcu_remove("dead-e", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
	ok(!exists(IPCU_FAMILY_SET, set), "with its set");
}

/* KEY is recorded for an event by a dead creator. A set there that a different program uses, or can use, stays. */
static void foreign_set(const char *what, int members, bool use)
{
	int set = semget(announce("dead-f", IPCU_KIND_EVENT), members, IPC_CREAT | 0600);
	struct sembuf op = { 0, 1, 0 };
	unsigned short values[64] = { 0 };
	ipcu_event *e;

	if (use && semop(set, &op, 1) < 0)
		return;
	if (!ok(ipcu_event_open(&e, "dead-f", NULL) == IPCU_OK, "an event is created beside %s",
		what))
		return;
	ok(exists(IPCU_FAMILY_SET, set) &&
		   !ipcu_identity_is(set, IPCU_KIND_EVENT, geteuid(), "dead-f"),
	   "on a different key");
	ok(semctl(set, 0, GETALL, (union semun){ .array = values }) == 0 && values[0] == use &&
		   (members == 1 || values[members - 1] == 0),
	   "%s is as it was", what);
	ipcu_event_close(e);
	is_result(ipcu_remove("dead-f", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
	semctl(set, 0, IPC_RMID);
}

static void dead_memory(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I32, .count = 10 };
	int segment = shmget(announce("dead-m", IPCU_KIND_MEMORY), 1, IPC_CREAT | 0600);
	ipcu_shm *m;

	is_result(ipcu_shm_open(&m, "dead-m", &layout, NULL), IPCU_OK,
		  "memory is created beside a segment that is too small");
	ok(exists(IPCU_FAMILY_SEGMENT, segment), "which stays");
	ipcu_shm_close(m);
	is_result(ipcu_remove("dead-m", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
	ok(exists(IPCU_FAMILY_SEGMENT, segment), "and still stays");
	shmctl(segment, IPC_RMID, NULL);
}

/* A creator died between semget and the first semop of the set beside its segment. */
static void dead_companion(const char *name, enum ipcu_kind kind, bool use)
{
	struct ipcu_record record = { .kind = (int32_t)kind, .key = announce(name, kind) };
	struct sembuf op = { 0, 1, 0 };
	key_t key;
	unsigned members = ipcu_kind_ops(kind)->companion(&record, &key);
	int set = semget(key, (int)members, IPC_CREAT | IPC_EXCL | 0600);

	ok(set >= 0 && (!use || semop(set, &op, 1) == 0), "the set beside %s exists", name);
	is_result(ipcu_remove(name, IPCU_KIND_ANY, IPCU_REMOVE_FORCE), IPCU_NOT_FOUND,
		  "a name whose creator died is removed");
	ok(exists(IPCU_FAMILY_SET, set) == use, "its set %s",
	   use ? "stays if it was used" : "is removed if it is untouched");
	semctl(set, 0, IPC_RMID);
}

/* A load died before its staged segment was published; no other process may find the segment by its record later. */
static void dead_load(void)
{
	struct ipcu_record record = { .kind = IPCU_KIND_MEMORY, .state = IPCU_RECORD_CREATING };
	struct ipcu_registry registry;
	ipcu_shm_stage *stage;
	pid_t child;
	int pipe_ends[2];

	if (pipe(pipe_ends) < 0)
		return;
	child = fork();
	if (child == 0) {
		struct shmid_ds state;

		if (ipcu_shm_stage_open(&stage, 100) != IPCU_OK)
			_exit(1);
		record.id = stage->id;
		ipcu_stat_segment(record.id, &state);
		record.key = PERM_KEY(state.shm_perm);
		_exit(write(pipe_ends[1], &record, sizeof(record)) != sizeof(record));
	}
	ok(read(pipe_ends[0], &record, sizeof(record)) == sizeof(record), "a staged segment");
	waitpid(child, NULL, 0);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	ipcu_registry_open_locked(&registry, geteuid(), true);
	ipcu_registry_put(&registry, "dead-l", &record);
	ipcu_registry_unlock_close(&registry);
	is_result(ipcu_remove("dead-l", IPCU_KIND_ANY, IPCU_REMOVE_FORCE), IPCU_NOT_FOUND,
		  "a name whose load died is removed");
	ok(!exists(IPCU_FAMILY_SEGMENT, record.id), "with its staged segment");
}

static void dead_creators(void)
{
	int members = members_of(IPCU_KIND_EVENT);

	dead_queue();
	dead_sets();
	foreign_set("a set of a different size", 1, false);
	foreign_set("a set that is in use", members, true);
	dead_memory();
	dead_companion("dead-c", IPCU_KIND_MEMORY, false);
	dead_companion("dead-c", IPCU_KIND_PIPE, false);
	dead_companion("dead-c", IPCU_KIND_MEMORY, true);
	dead_companion("dead-c", IPCU_KIND_PIPE, true);
	dead_load();
	announce("dead-n", IPCU_KIND_EVENT);
	semget(ipcu_name_derive(geteuid(), "dead-n", 0), members, IPC_CREAT | 0600);
	is_result(ipcu_remove_stale(0, 0, NULL, NULL), IPCU_OK,
		  "--stale removes what a dead creator left");
	ok(semget(ipcu_name_derive(geteuid(), "dead-n", 0), 0, 0) < 0, "its untouched set");
}

/* Messages that were sent before the name was used are not lost. */
static void used_meanwhile(void)
{
	struct {
		long type;
		char body[1];
	} message = { 1, { 'x' } };
	int queue = msgget(announce("used", IPCU_KIND_QUEUE), IPC_CREAT | 0600);
	struct ipcu_queue_info info = { 0 };
	ipcu_queue *q;

	msgsnd(queue, &message, 1, 0);
	is_result(ipcu_queue_open(&q, "used", NULL), IPCU_OK,
		  "a queue that was used meanwhile is adopted");
	ok(ipcu_queue_status(q, &info) == IPCU_OK && info.messages == 1 &&
		   exists(IPCU_FAMILY_QUEUE, queue),
	   "with what is in it");
	ipcu_queue_close(q);
	is_result(ipcu_remove("used", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

static void in_use(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I32, .count = 10 };
	struct ipcu_hold hold;
	ipcu_sem *sem;
	ipcu_shm *shm;

	is_result(ipcu_shm_open(&shm, "mine", &layout, NULL), IPCU_OK, "memory that is attached");
	is_result(ipcu_remove("mine", IPCU_KIND_ANY, 0), IPCU_CONFLICT, "is not removed");
	ok(strstr(ipcu_last_error()->message, "attached 1 times"), "for it is in use");
	is_result(ipcu_shm_lock(shm, NULL), IPCU_OK, "nor while");
	is_result(ipcu_remove("mine", IPCU_KIND_ANY, 0), IPCU_CONFLICT, "it is locked");
	is_result(ipcu_shm_unlock(shm), IPCU_OK, "given back");
	is_result(ipcu_shm_unlock(shm), IPCU_OK, "twice is no harm");
	ipcu_shm_close(shm);
	is_result(ipcu_remove("mine", IPCU_KIND_ANY, IPCU_REMOVE_DRY_RUN), IPCU_OK,
		  "then it could be");
	is_result(ipcu_remove("mine", IPCU_KIND_QUEUE, 0), IPCU_CONFLICT,
		  "if it were what was said");
	is_result(ipcu_remove("mine", IPCU_KIND_MEMORY, 0), IPCU_OK, "and is");
	is_result(ipcu_sem_open(&sem, "held", 2, 2, NULL), IPCU_OK, "a semaphore");
	is_result(ipcu_sem_acquire(sem, 1, NULL, &hold), IPCU_OK, "that is held");
	is_result(ipcu_remove("held", IPCU_KIND_ANY, 0), IPCU_CONFLICT, "is not removed");
	ok(strstr(ipcu_last_error()->message, "holds 1"), "and it says by whom: %s",
	   ipcu_last_error()->message);
	is_result(ipcu_sem_release(sem, &hold), IPCU_OK, "given back");
	ipcu_sem_close(sem);
	is_result(ipcu_remove("held", IPCU_KIND_ANY, 0), IPCU_OK, "it is");
}

static void by_key(void)
{
	int queue = msgget(0x77, IPC_CREAT | 0600), set = semget(0x77, 1, IPC_CREAT | 0600);

	ok(queue >= 0 && set >= 0, "a queue and a set on one key");
	is_result(ipcu_remove("key:0x77", IPCU_KIND_ANY, 0), IPCU_CONFLICT, "are two objects");
	ok(strstr(ipcu_last_error()->hint, "-k queue"), "and it says how to choose");
	is_result(ipcu_remove("key:0x77", IPCU_KIND_SEMAPHORE, 0), IPCU_OK, "one");
	is_result(ipcu_remove("key:0x77", IPCU_KIND_ANY, IPCU_REMOVE_DRY_RUN), IPCU_OK,
		  "and the other one");
	is_result(ipcu_remove("key:0x77", IPCU_KIND_ANY, 0), IPCU_OK, "can be removed");
	is_result(ipcu_remove("key:0x77", IPCU_KIND_ANY, 0), IPCU_NOT_FOUND, "once");
}

/* A record that names a set on some key, without an identity, does not make it part of the memory. */
static void stray_lock(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I32, .count = 10 };
	struct ipcu_registry registry;
	struct ipcu_record record;
	ipcu_shm *shm;
	key_t key;
	int set, own;

	is_result(ipcu_shm_open(&shm, "locked", &layout, NULL), IPCU_OK, "memory");
	ipcu_registry_open_locked(&registry, geteuid(), false);
	ipcu_registry_find(&registry, "locked", &record);
	own = (int)ipcu_pair_high(record.definition[IPCU_SHM_LOCK]) - 1;
	key = record.key + 1;
	set = semget(key, 1, IPC_CREAT | 0600);
	record.definition[IPCU_SHM_LOCK] = ipcu_pair((uint32_t)key, (uint32_t)set + 1);
	ipcu_registry_put(&registry, "locked", &record);
	ipcu_registry_unlock_close(&registry);
	ok(set >= 0 && own >= 0 && set != own, "whose record names a foreign set");
	ipcu_shm_close(shm);
	is_result(ipcu_remove("locked", IPCU_KIND_ANY, 0), IPCU_OK, "is removed");
	ok(!exists(IPCU_FAMILY_SET, own), "with its own set, found by its identity");
	ok(exists(IPCU_FAMILY_SET, set), "and not with the foreign one");
	semctl(set, 0, IPC_RMID);
}

static void ignore_damage(const char *what, bool repaired, void *context)
{
	(void)what;
	(void)repaired;
	(void)context;
}

static unsigned long queues(void)
{
	struct msginfo used;

	return msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&used) < 0
		       ? 0
		       : (unsigned long)used.msgpool;
}

/* A record that no library wrote is not used, whatever of it is wrong, and creates nothing. */
static void wrong_records(void)
{
	const key_t key = ipcu_name_derive(geteuid(), "wrong", 0);
	const struct ipcu_record good = {
		.kind = IPCU_KIND_QUEUE, .state = IPCU_RECORD_LIVE, .key = key, .id = 1
	};
	struct ipcu_record all[] = { good, good, good, good, good, good, good };
	const struct ipcu_open never = { .create = IPCU_CREATE_NEVER };
	unsigned long before;
	ipcu_queue *q;

	all[0].key = IPC_PRIVATE;
	all[1].key = -1;
	all[2].key = key + 1;
	all[3].id = -1;
	all[4].kind = 7;
	all[5].kind = IPCU_KIND_ANY;
	all[6].state = 3;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct ipcu_registry registry;

		ipcu_registry_open_locked(&registry, geteuid(), true);
		ipcu_registry_put(&registry, "wrong", &all[i]);
		ipcu_registry_unlock_close(&registry);
		before = queues();
		ok(ipcu_queue_open(&q, "wrong", &never) == IPCU_SYSTEM, "record %zu is refused", i);
		ok(ipcu_list_one("wrong", NULL, NULL) == IPCU_SYSTEM, "by a listing");
		ok(ipcu_remove("wrong", IPCU_KIND_ANY, 0) == IPCU_SYSTEM, "by a removal");
		ok(ipcu_list(geteuid(), 0, NULL, NULL) == IPCU_OK, "a list of all omits it");
		ok(queues() == before, "and no queue is created");
	}
	ipcu_registry_examine(geteuid(), true, ignore_damage, NULL);
	is_result(ipcu_list_one("wrong", NULL, NULL), IPCU_NOT_FOUND, "a repair forgets it");
	ok(ipcu_family_get(IPCU_FAMILY_QUEUE, IPC_PRIVATE) < 0 && queues() == before,
	   "key 0 leads to no object");
	is_result(ipcu_remove_stale(0, 0, NULL, NULL), IPCU_OK, "the empty registry is removed");
}

static void limits(void)
{
	struct ipcu_limit some[2], all[32];
	size_t count = 0;

	ok(ipcu_limits(some, 2, &count) == IPCU_OK && count > 2,
	   "there are more limits than there is room for");
	ok(ipcu_limits(all, 32, &count) == IPCU_OK && count <= 32 &&
		   strcmp(all[0].name, some[0].name) == 0,
	   "the first ones are written");
}

int main(void)
{
	deadline_for_all(60);
	dead_creators();
	used_meanwhile();
	in_use();
	by_key();
	stray_lock();
	wrong_records();
	limits();
	return done();
}
