/* SPDX-License-Identifier: MIT
 * hostile-witness.c - what the commands must not change
 *
 * Objects of root and of another user, named and on keys, among them those that the forged records name. The hostile user
 * cannot reach them, so whatever happens to them was done by a command that believed the hostile user.
 */
#include <config.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "hostile.h"
#include "name.h"
#include "sysv.h"

#define WITNESS_KEY 0x1234567
#define SLOTS 64
#define SIZE 4096

/* The state of all objects whose creator is not the hostile user, as one hash and the numbers of each family. */
struct summary {
	size_t count[3];
	uint64_t hash[3];
};

static struct summary before;

static void make_named(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_BYTES, .count = SIZE };
	ipcu_queue *queue;
	ipcu_sem *sem;
	ipcu_shm *shm;

	must(ipcu_queue_open(&queue, "q", NULL) == IPCU_OK);
	must(ipcu_queue_send(queue, 1, "witness", 7, NULL) == IPCU_OK);
	must(ipcu_sem_open(&sem, "s", 2, 2, NULL) == IPCU_OK);
	must(ipcu_shm_open(&shm, "m", &layout, NULL) == IPCU_OK);
	ipcu_shm_close(shm);
	ipcu_sem_close(sem);
	ipcu_queue_close(queue);
}

static void make_on_keys(struct hostile_case *one)
{
	const struct {
		long type;
		char body[8];
	} message = { 1, "witness" };

	one->key = WITNESS_KEY;
	one->queue = msgget(WITNESS_KEY, IPC_CREAT | IPC_EXCL | 0600);
	one->set = semget(WITNESS_KEY, 4, IPC_CREAT | IPC_EXCL | 0600);
	one->segment = shmget(WITNESS_KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
	must(one->queue >= 0 && one->set >= 0 && one->segment >= 0);
	must(msgsnd(one->queue, &message, sizeof(message.body), 0) == 0);
	must(semctl(one->set, 1, SETVAL, (union semun){ .val = 7 }) == 0);
}

static uint64_t add(uint64_t hash, const void *bytes, size_t size)
{
	return ipcu_hash(bytes, size, hash);
}

static uint64_t add_perm(uint64_t hash, int id, const struct ipc_perm *perm)
{
	hash = add(hash, &id, sizeof(id));
	hash = add(hash, &perm->uid, sizeof(perm->uid));
	hash = add(hash, &perm->cuid, sizeof(perm->cuid));
	return add(hash, &perm->mode, sizeof(perm->mode));
}

static bool add_queue(int slot, uint64_t *hash)
{
	struct msqid_ds state;
	int id = msgctl(slot, MSG_STAT_ANY, &state);

	if (id < 0 || state.msg_perm.cuid == HOSTILE_UID)
		return false;
	*hash = add_perm(*hash, id, &state.msg_perm);
	*hash = add(*hash, &state.msg_qnum, sizeof(state.msg_qnum));
	return true;
}

static bool add_set(int slot, uint64_t *hash)
{
	static unsigned short values[32000];
	struct semid_ds state;
	int id = semctl(slot, 0, SEM_STAT_ANY, (union semun){ .buf = &state });

	if (id < 0 || state.sem_perm.cuid == HOSTILE_UID)
		return false;
	*hash = add_perm(*hash, id, &state.sem_perm);
	must(semctl(id, 0, GETALL, (union semun){ .array = values }) == 0);
	*hash = add(*hash, values, sizeof(values[0]) * (size_t)state.sem_nsems);
	return true;
}

/* The contents of a page: a registry's head and index change when root looks after its own names. */
static bool add_segment(int slot, uint64_t *hash)
{
	struct shmid_ds state;
	int id = shmctl(slot, SHM_STAT_ANY, &state);
	void *at;

	if (id < 0 || state.shm_perm.cuid == HOSTILE_UID)
		return false;
	*hash = add_perm(*hash, id, &state.shm_perm);
	if (state.shm_segsz != SIZE)
		return true;
	at = shmat(id, NULL, SHM_RDONLY);
	must(at != (void *)-1);
	*hash = add(*hash, at, SIZE);
	shmdt(at);
	return true;
}

static struct summary summarize(void)
{
	bool (*const families[3])(int, uint64_t *) = { add_queue, add_set, add_segment };
	struct summary summary = { .hash = { 1, 1, 1 } };

	for (int family = 0; family < 3; family++)
		for (int slot = 0; slot < SLOTS; slot++)
			summary.count[family] += families[family](slot, &summary.hash[family]);
	return summary;
}

void hostile_make_witnesses(struct hostile_case *one)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		must(setgid(OTHER_UID) == 0 && setuid(OTHER_UID) == 0);
		make_named();
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && status == 0);
	make_named();
	make_on_keys(one);
	before = summarize();
}

bool hostile_check_witnesses(void)
{
	static const char *const families[] = { "queues", "sets", "segments" };
	struct summary now = summarize();
	bool good = true;

	for (int family = 0; family < 3; family++) {
		if (now.count[family] == before.count[family] &&
		    now.hash[family] == before.hash[family])
			continue;
		printf("# the %s of others were %zu and are %zu, or were changed\n",
		       families[family], before.count[family], now.count[family]);
		good = false;
	}
	return good;
}
