/* SPDX-License-Identifier: MIT
 * hostile.c - who may write our objects changes everything in them while we use them
 *
 * A peer writes random values into the sets of a semaphore, a barrier and an event, into the table of holders, and
 * into what is behind the data of a memory. Whatever it does, each call returns in time, with a result of the header,
 * and touches nothing outside. (tests/fuzz has the registry, which only its owner can write.)
 */
#include <config.h>

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holder-layout.h"
#include "holder.h"
#include "tap.h"

#define PARTIES 3

static int sets[3];
static unsigned short members[3];
static unsigned short sound[3][64];
static uint64_t sound_magic;
static struct holder_table *table;
static unsigned char *memory;
static size_t memory_size;

static unsigned random_value(unsigned *seed)
{
	static const unsigned interesting[] = { 0, 1, 2, 3, 4, 255, 32766, 32767 };

	return rand_r(seed) % 2 ? interesting[rand_r(seed) % 8] : (unsigned)rand_r(seed) % 32768;
}

static void write_set(unsigned *seed)
{
	int which = rand_r(seed) % 3;
	unsigned short values[64];

	/* Often as it was when new, so that calls come far. */
	if (rand_r(seed) % 2) {
		semctl(sets[which], 0, SETALL, sound[which]);
		return;
	}

	if (rand_r(seed) % 4) {
		semctl(sets[which], rand_r(seed) % members[which], SETVAL, (int)random_value(seed));
		return;
	}
	for (int i = 0; i < members[which]; i++)
		values[i] = (unsigned short)(rand_r(seed) % 3 ? (unsigned)rand_r(seed) % 3
							      : random_value(seed));
	semctl(sets[which], 0, SETALL, values);
}

/* A word of any width anywhere; now and then a living process's number, as the table has them. */
static void write_memory(unsigned char *at, size_t size, unsigned *seed)
{
	uint64_t word = (uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed) << 11 ^
			(unsigned)rand_r(seed);
	size_t width = (size_t)1 << rand_r(seed) % 4;
	size_t offset = (size_t)rand_r(seed) % (size / width) * width;

	if (rand_r(seed) % 8 == 0)
		word = rand_r(seed) % 2 ? (uint64_t)getpid() : UINT64_MAX;
	else if (rand_r(seed) % 4 == 0)
		word = 0;
	memcpy(at + offset, &word, width);
}

/* The entries that the semaphore has, the words that say whose blocks they are, or a place that is not in use. */
static void write_table(unsigned *seed)
{
	struct holder_entry *block = ipcu_holder_entry(table, sets[0], 1, true);
	size_t at = block ? (size_t)(block - table->blocks[0]) / HOLDER_BLOCK : 0;

	switch (rand_r(seed) % 8) {
	case 0:
		write_memory((unsigned char *)table, sizeof(*table), seed);
		break;
	case 1:
		write_memory((unsigned char *)&table->owners[at], sizeof(table->owners[at]), seed);
		break;
	case 2:
		write_memory((unsigned char *)table, 16, seed);
		break;
	case 3:
	case 4:
		write_memory((unsigned char *)table->blocks[at], sizeof(table->blocks[at]), seed);
		break;
	default:
		write_memory((unsigned char *)holder_first(table, sets[0]), sizeof(*block), seed);
	}
}

static void attack(unsigned seed)
{
	alarm(100);
	for (;;) {
		write_set(&seed);
		if (rand_r(&seed) % 2)
			write_table(&seed);
		/* The magic number, so that most calls get further. */
		memcpy(table, &sound_magic, sizeof(sound_magic));
		write_memory(memory, memory_size, &seed);
		nanosleep(&(struct timespec){ 0, rand_r(&seed) % 20000 }, NULL);
	}
}

/* ---- what is attacked ------------------------------------------------------- */

static long calls, wrong;
static struct timespec before;

/* A deadline was less than a millisecond. Who finds no slot in the table tries for a second. */
static void expect(enum ipcu_result result, const char *what)
{
	struct timespec now;
	double took;

	clock_gettime(CLOCK_MONOTONIC, &now);
	took = (double)(now.tv_sec - before.tv_sec) + (double)(now.tv_nsec - before.tv_nsec) / 1e9;
	before = now;
	calls++;
	if ((unsigned)result <= IPCU_SYSTEM && took < 4)
		return;
	wrong++;
	printf("# %s: %d, after %.1f seconds\n", what, (int)result, took);
}

static void see_holder(const struct ipcu_holder *holder, void *context)
{
	*(size_t *)context += strlen(holder->command);
}

static void see_waiter(pid_t pid, unsigned index, void *context)
{
	*(size_t *)context += (size_t)pid + index;
}

static enum ipcu_result see_object(const struct ipcu_info *info, void *context)
{
	*(size_t *)context += info->name ? strlen(info->name) : 1;
	return IPCU_OK;
}

static void use_sem(unsigned *seed)
{
	struct timespec deadline = ipcu_deadline_in(rand_r(seed) % 300000);
	struct ipcu_sem_info info;
	struct ipcu_hold hold;
	ipcu_sem *sem;
	unsigned value;
	size_t seen = 0;
	enum ipcu_result result = ipcu_sem_open(&sem, "hostile-sem", 0, 4, NULL);
	int kind = rand_r(seed) % 3;

	expect(result, "open a semaphore");
	if (result != IPCU_OK)
		return;
	result = kind == 0 ? ipcu_sem_acquire(sem, (unsigned)rand_r(seed) % 4 + 1, &deadline, &hold)
		 : kind == 1 ? ipcu_lock_shared(sem, &deadline, &hold)
			     : ipcu_lock_exclusive(sem, &deadline, &hold);
	expect(result, "acquire");
	if (result == IPCU_OK)
		expect(ipcu_sem_release(sem, &hold), "release");
	deadline = ipcu_deadline_in(100000);
	expect(ipcu_sem_wait(sem, 1, &deadline), "wait");
	expect(ipcu_sem_post(sem, 1), "post");
	expect(ipcu_sem_set(sem, (unsigned)rand_r(seed) % 5), "set");
	expect(ipcu_sem_get(sem, &value), "get");
	expect(ipcu_sem_resize(sem, 4, &deadline), "resize");
	expect(ipcu_sem_status(sem, &info), "status");
	expect(ipcu_sem_holders(sem, see_holder, &seen, NULL), "holders");
	ipcu_sem_close(sem);
}

static enum ipcu_result act(void *context)
{
	++*(size_t *)context;
	return IPCU_OK;
}

static void use_barrier(unsigned *seed)
{
	struct timespec deadline = ipcu_deadline_in(rand_r(seed) % 300000);
	size_t seen = 0;
	struct ipcu_barrier_how how = { .break_on_timeout = rand_r(seed) % 2,
					.action = rand_r(seed) % 2 ? act : NULL,
					.context = &seen };
	struct ipcu_barrier_info info;
	ipcu_barrier *barrier;
	enum ipcu_result result = ipcu_barrier_open(&barrier, "hostile-barrier", PARTIES, NULL);

	expect(result, "open a barrier");
	if (result != IPCU_OK)
		return;
	expect(ipcu_barrier_wait(barrier, &how, &deadline, NULL), "wait at a barrier");
	expect(ipcu_barrier_waiters(barrier, see_waiter, &seen), "waiters");
	expect(ipcu_barrier_status(barrier, &info), "status");
	if (rand_r(seed) % 2)
		expect(ipcu_barrier_abort(barrier), "abort");
	ipcu_barrier_close(barrier);
}

static void use_event(unsigned *seed)
{
	struct timespec deadline = ipcu_deadline_in(rand_r(seed) % 300000);
	struct ipcu_event_info info;
	ipcu_event *event;
	enum ipcu_result result = ipcu_event_open(&event, "hostile-event", NULL);

	expect(result, "open an event");
	if (result != IPCU_OK)
		return;
	expect(ipcu_event_wait(event, NULL, &deadline), "wait for an event");
	expect(ipcu_event_set(event), "set");
	expect(ipcu_event_clear(event), "clear");
	expect(ipcu_event_pulse(event), "pulse");
	expect(ipcu_event_status(event, &info), "status");
	ipcu_event_close(event);
}

static void use_memory(unsigned *seed)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I32, .count = 5 };
	struct timespec deadline = ipcu_deadline_in(rand_r(seed) % 300000);
	union ipcu_value one = { .i = 1 }, value;
	struct ipcu_shm_info info;
	ipcu_shm *shm;
	enum ipcu_result result = ipcu_shm_open(&shm, "hostile-memory", &layout, NULL);

	expect(result, "open a memory");
	if (result != IPCU_OK)
		return;
	expect(ipcu_shm_wait(shm, 4, IPCU_EQUAL, one, &deadline, &value), "wait for a value");
	expect(ipcu_shm_add(shm, 4, one, &value), "add");
	expect(ipcu_shm_set(shm, 0, one), "set");
	expect(ipcu_shm_compare_set(shm, 1, one, one, &value), "compare and set");
	expect(ipcu_shm_lock(shm, &deadline), "lock");
	expect(ipcu_shm_unlock(shm), "unlock");
	expect(ipcu_shm_status(shm, &info), "status");
	ipcu_shm_close(shm);
}

/* Returns how many calls went wrong. */
static long use(unsigned seed, long count)
{
	size_t seen = 0;

	alarm(60);
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (long i = 0; i < count; i++) {
		use_sem(&seed);
		use_barrier(&seed);
		use_event(&seed);
		use_memory(&seed);
		if (i % 10 == 0)
			expect(ipcu_list(geteuid(), IPCU_LIST_ALL, see_object, &seen), "list");
	}
	return wrong;
}

static int set_of(const char *name, unsigned short *count, unsigned short *values)
{
	struct semid_ds state;
	union {
		int val;
		struct semid_ds *buf;
	} argument = { .buf = &state };
	key_t key;
	int id;

	ipcu_name_key(name, &key);
	id = semget(key, 0, 0);
	semctl(id, 0, IPC_STAT, argument);
	*count = (unsigned short)state.sem_nsems;
	semctl(id, 0, GETALL, values);
	return id;
}

static unsigned char *attach(const char *name, size_t *size)
{
	struct shmid_ds state;
	key_t key;
	int id;

	ipcu_name_key(name, &key);
	id = shmget(key, 0, 0);
	shmctl(id, IPC_STAT, &state);
	*size = state.shm_segsz;
	return shmat(id, NULL, 0);
}

static void make(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I32, .count = 5 };
	ipcu_barrier *barrier;
	ipcu_event *event;
	ipcu_sem *sem;
	ipcu_shm *shm;

	is_result(ipcu_sem_open(&sem, "hostile-sem", 4, 0, NULL), IPCU_OK, "a semaphore");
	is_result(ipcu_barrier_open(&barrier, "hostile-barrier", PARTIES, NULL), IPCU_OK,
		  "a barrier");
	is_result(ipcu_event_open(&event, "hostile-event", NULL), IPCU_OK, "an event");
	is_result(ipcu_shm_open(&shm, "hostile-memory", &layout, NULL), IPCU_OK, "a memory");
	is_result(ipcu_shm_lock(shm, NULL), IPCU_OK, "and its lock");
	ipcu_shm_unlock(shm);
	ipcu_sem_close(sem);
	ipcu_barrier_close(barrier);
	ipcu_event_close(event);
	ipcu_shm_close(shm);
}

int main(void)
{
	static const char *const names[] = { "hostile-sem", "hostile-barrier", "hostile-event",
					     "hostile-memory" };
	long count = rounds("ROUNDS", 300);
	pid_t attacker, users[2];
	int status;

	deadline_for_all(100);
	make();
	for (int i = 0; i < 3; i++)
		sets[i] = set_of(names[i], &members[i], sound[i]);
	is_result(ipcu_holders_attach(sets[0], NULL, true, &table), IPCU_OK, "its table");
	memcpy(&sound_magic, table, sizeof(sound_magic));
	memory = attach("hostile-memory", &memory_size);
	/* All of its page: what is behind the data too. */
	memory_size = (size_t)sysconf(_SC_PAGESIZE);
	fflush(stdout);
	attacker = fork();
	if (attacker == 0)
		attack(1);
	for (unsigned i = 0; i < 2; i++) {
		users[i] = fork();
		if (users[i] == 0) {
			long bad = use(i + 7, count);

			printf("# %ld calls, %ld wrong\n", calls, bad);
			fflush(stdout);
			_exit(bad > 0 ? 1 : 0);
		}
	}
	for (int i = 0; i < 2; i++) {
		waitpid(users[i], &status, 0);
		is_number(status, 0, "every call returned, with a result that there is");
	}
	kill(attacker, SIGKILL);
	waitpid(attacker, NULL, 0);
	for (int i = 0; i < 4; i++)
		is_result(ipcu_remove(names[i], IPCU_KIND_ANY, IPCU_REMOVE_FORCE), IPCU_OK,
			  "removed");
	return done();
}
