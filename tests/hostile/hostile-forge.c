/* SPDX-License-Identifier: MIT
 * hostile-forge.c - what the hostile user does to its objects
 *
 * All cases are walked through in one order; the wanted one is done. Records are changed field by field. Objects are taken as
 * the kernel lists them, so that each set, segment and queue that belongs to a name is forged, whatever it is for: filled, and
 * replaced by one of another size on the same key. A case of random changes has its number as the seed.
 */
#include <config.h>

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"
#include "hostile.h"
#include "identity.h"
#include "registry-layout.h"
#include "spill.h"
#include "sysv.h"

#define SLOTS 64
#define BIG_SET 4000
#define RANDOM_CASES 64

const char *const hostile_names[HOSTILE_NAMES] = { "q", "s", "b", "e", "m", "l", "p" };

/* Whether the next case is the wanted one; NAME may be NULL. */
__attribute__((format(printf, 3, 4))) static bool turn(struct hostile_case *one, const char *name,
						       const char *format, ...)
{
	va_list args;

	if (one->done || one->count++ != one->wanted)
		return false;
	va_start(args, format);
	vsnprintf(one->what, sizeof(one->what), format, args);
	va_end(args);
	one->aims = name != NULL;
	snprintf(one->name, sizeof(one->name), "%s", name ? name : "");
	one->done = true;
	return true;
}

/* ---- the objects ------------------------------------------------------------------ */

static void make_objects(void)
{
	const struct ipcu_shm_layout array = { .type = IPCU_I32, .count = 100 },
				     bytes = { .type = IPCU_BYTES, .count = 100 };
	const struct ipcu_open open = { .mode = 0666 };
	static char big[20000];
	ipcu_queue *queue;
	ipcu_sem *sem;
	ipcu_barrier *barrier;
	ipcu_event *event;
	ipcu_shm *shm;
	ipcu_pipe *pipe;
	struct ipcu_hold hold;

	must(ipcu_queue_open(&queue, "q", &open) == IPCU_OK);
	must(ipcu_queue_send(queue, 1, "small", 5, NULL) == IPCU_OK);
	must(ipcu_queue_send(queue, 2, big, sizeof(big), NULL) == IPCU_OK);
	must(ipcu_sem_open(&sem, "s", 3, 3, &open) == IPCU_OK);
	must(ipcu_sem_acquire(sem, 1, NULL, &hold) == IPCU_OK);
	must(ipcu_sem_release(sem, &hold) == IPCU_OK);
	must(ipcu_barrier_open(&barrier, "b", 3, &open) == IPCU_OK);
	must(ipcu_event_open(&event, "e", &open) == IPCU_OK);
	must(ipcu_shm_open(&shm, "m", &array, &open) == IPCU_OK);
	ipcu_shm_close(shm);
	must(ipcu_shm_open(&shm, "l", &bytes, &open) == IPCU_OK);
	ipcu_shm_close(shm);
	/* It stays open, and so there, until this process is killed. */
	must(ipcu_pipe_open(&pipe, "p", IPCU_PIPE_WRITER, 4096, &open, NULL) == IPCU_OK);
	ipcu_event_close(event);
	ipcu_barrier_close(barrier);
	ipcu_sem_close(sem);
	ipcu_queue_close(queue);
}

/* The name that KEY is of, or NULL. */
static const char *name_of(key_t key)
{
	for (int i = 0; i < HOSTILE_NAMES; i++)
		if (ipcu_name_derive(HOSTILE_UID, hostile_names[i], 0) == key)
			return hostile_names[i];
	return NULL;
}

/* ---- records ---------------------------------------------------------------------- */

/* Put RECORD in the place of the one of NAME, whatever it says. */
static void put_record(const char *name, const struct ipcu_record *record)
{
	struct ipcu_registry registry;

	must(ipcu_registry_open_locked(&registry, HOSTILE_UID, false) == IPCU_OK);
	must(ipcu_registry_put(&registry, name, record) == IPCU_OK);
	registry.keep = true;
	ipcu_registry_unlock_close(&registry);
}

static bool get_record(const char *name, struct ipcu_record *record)
{
	struct ipcu_registry registry;
	bool found;

	must(ipcu_registry_open(&registry, HOSTILE_UID) == IPCU_OK && registry.segment);
	found = ipcu_registry_slot(registry.segment, name, record) < REGISTRY_SLOTS;
	ipcu_registry_close(&registry);
	return found;
}

static void forge_number(struct hostile_case *one, const char *name, const char *field,
			 struct ipcu_record *record, int32_t *number)
{
	const int32_t good = *number;
	const int32_t values[] = { 0,	     -1,	 1,	   2,		5,
				   7,	     INT_MAX,	 INT_MIN,  good + 1,	good - 1,
				   one->key, one->queue, one->set, one->segment };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (!turn(one, name, "record of %s: %s %d in place of %d", name, field, values[i],
			  good))
			continue;
		*number = values[i];
		put_record(name, record);
	}
	*number = good;
}

static void forge_long(struct hostile_case *one, const char *name, const char *field,
		       struct ipcu_record *record, uint64_t *number)
{
	const uint64_t good = *number;
	const uint64_t values[] = { 0,
				    1,
				    UINT64_MAX,
				    (uint64_t)INT_MAX,
				    UINT64_C(1) << 31,
				    UINT64_C(1) << 32,
				    good + 1,
				    good - 1,
				    INT64_MAX,
				    (uint32_t)one->key,
				    (uint64_t)(uint32_t)(one->set + 1) << 32 | (uint32_t)one->key,
				    (uint64_t)(uint32_t)(one->segment + 1) << 32 | (uint32_t)good };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (!turn(one, name, "record of %s: %s 0x%llx in place of 0x%llx", name, field,
			  (unsigned long long)values[i], (unsigned long long)good))
			continue;
		*number = values[i];
		put_record(name, record);
	}
	*number = good;
}

static void forge_records(struct hostile_case *one)
{
	static const char *const fields[] = { "definition 0", "definition 1", "definition 2",
					      "definition 3" };

	for (int i = 0; i < HOSTILE_NAMES && !one->done; i++) {
		const char *name = hostile_names[i];
		struct ipcu_record record;

		must(get_record(name, &record));
		forge_number(one, name, "kind", &record, &record.kind);
		forge_number(one, name, "key", &record, &record.key);
		forge_number(one, name, "identifier", &record, &record.id);
		forge_number(one, name, "state", &record, (int32_t *)&record.state);
		forge_number(one, name, "creator", &record, &record.creator);
		for (size_t j = 0; j < 4; j++)
			forge_long(one, name, fields[j], &record, &record.definition[j]);
		forge_long(one, name, "time", &record, (uint64_t *)&record.created);
	}
}

/* ---- sets --------------------------------------------------------------------------- */

struct set {
	int id;
	size_t members;
	struct semid_ds state;
	unsigned short values[SHRT_MAX];
};

/*
 * A set of the hostile user. The lock of the registry is left as it is: a user may hold it, and then each command that needs it
 * waits half a minute and says who holds it, which cmd/names.bats tests.
 */
static bool read_set(int slot, struct set *set)
{
	set->id = semctl(slot, 0, SEM_STAT_ANY, (union semun){ .buf = &set->state });
	if (set->id < 0 || set->state.sem_perm.cuid != HOSTILE_UID ||
	    ipcu_registry_is_key(HOSTILE_UID, PERM_KEY(set->state.sem_perm), true))
		return false;
	set->members = (size_t)set->state.sem_nsems;
	return set->members < SHRT_MAX &&
	       semctl(set->id, 0, GETALL, (union semun){ .array = set->values }) == 0;
}

/* The record of NAME, if that had set OLD, leads to ID. */
static void redirect(const char *name, int old, int id)
{
	struct ipcu_record record;

	if (!name || !get_record(name, &record) || record.id != old)
		return;
	record.id = id;
	put_record(name, &record);
}

/* A set of MEMBERS on the same key, with the same values from its first on, or those of the identity at its end. */
static void replace_set(struct set *set, size_t members, bool identity_last)
{
	static unsigned short values[SHRT_MAX];
	key_t key = PERM_KEY(set->state.sem_perm);
	size_t common = members < set->members ? members : set->members;
	int id;

	memset(values, 0, sizeof(values));
	memcpy(values, set->values, common * sizeof(values[0]));
	if (identity_last && members >= IPCU_IDENTITY_MEMBERS &&
	    set->members >= IPCU_IDENTITY_MEMBERS)
		memcpy(values + members - IPCU_IDENTITY_MEMBERS,
		       set->values + set->members - IPCU_IDENTITY_MEMBERS,
		       IPCU_IDENTITY_MEMBERS * sizeof(values[0]));
	must(semctl(set->id, 0, IPC_RMID) == 0);
	id = semget(key, (int)members, IPC_CREAT | IPC_EXCL | (set->state.sem_perm.mode & 0777));
	must(id >= 0);
	must(semop(id, &(struct sembuf){ 0, 1, 0 }, 1) == 0);
	must(semctl(id, 0, SETALL, (union semun){ .array = values }) == 0);
	redirect(name_of(key), set->id, id);
}

static void forge_size_of_set(struct hostile_case *one, const char *name, struct set *set)
{
	const size_t sizes[] = { 1, set->members - 1, set->members + 1, BIG_SET };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int last = 0; last < 2; last++)
			if (sizes[i] > 0 &&
			    turn(one, name, "set on key 0x%x of %s: %zu members, not %zu%s",
				 (unsigned)PERM_KEY(set->state.sem_perm), name ? name : "all",
				 sizes[i], set->members, last ? ", identity last" : ""))
				replace_set(set, sizes[i], last != 0);
}

static void forge_members(struct hostile_case *one, const char *name, const struct set *set)
{
	static const unsigned short values[] = { 0, 1, 32766, 32767 };

	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
		for (size_t i = 0; i <= set->members; i++) {
			bool all = i == set->members;

			if (!turn(one, name, "set on key 0x%x of %s: member %d is %u",
				  (unsigned)PERM_KEY(set->state.sem_perm), name ? name : "all",
				  all ? -1 : (int)i, values[v]))
				continue;
			for (size_t j = all ? 0 : i; j < (all ? set->members : i + 1); j++)
				semctl(set->id, (int)j, SETVAL, (union semun){ .val = values[v] });
		}
}

static void forge_sets(struct hostile_case *one)
{
	static struct set set;

	for (int slot = 0; slot < SLOTS && !one->done; slot++) {
		const char *name;

		if (!read_set(slot, &set))
			continue;
		name = name_of(PERM_KEY(set.state.sem_perm));
		forge_size_of_set(one, name, &set);
		forge_members(one, name, &set);
	}
}

/* ---- segments ------------------------------------------------------------------------ */

/* A segment may be closed to its own owner, who can open it. */
static void *attach_own(int id)
{
	struct shmid_ds state, open;
	void *at;

	must(ipcu_stat_segment(id, &state) == 0);
	open = state;
	open.shm_perm.mode |= 0600;
	must(shmctl(id, IPC_SET, &open) == 0);
	at = shmat(id, NULL, 0);
	must(at != (void *)-1 && shmctl(id, IPC_SET, &state) == 0);
	return at;
}

static void replace_segment(int id, const struct shmid_ds *state, size_t size)
{
	key_t key = PERM_KEY(state->shm_perm);
	size_t common = size < state->shm_segsz ? size : state->shm_segsz;
	char *old = attach_own(id), *new;
	struct shmid_ds same = *state;
	int fresh;

	must(shmctl(id, IPC_RMID, NULL) == 0);
	fresh = shmget(key, size, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0600);
	must(fresh >= 0);
	new = shmat(fresh, NULL, 0);
	must(new != (void *)-1);
	memcpy(new, old, common < 1 << 20 ? common : 1 << 20);
	shmdt(new);
	shmdt(old);
	must(shmctl(fresh, IPC_SET, &same) == 0);
	redirect(name_of(key), id, fresh);
}

/* Every 8th byte, or all, of the first pages and of the end. */
static void fill_segment(int id, size_t size, int byte, size_t step)
{
	unsigned char *at = attach_own(id);

	for (size_t i = 0; i < size && i < 16384; i += step)
		at[i] = (unsigned char)byte;
	for (size_t i = size > 4096 ? size - 4096 : 0; i < size; i += step)
		at[i] = (unsigned char)byte;
	shmdt(at);
}

/* Each word of the head alone. */
static void forge_words(struct hostile_case *one, const char *name, int id, size_t size)
{
	static const uint32_t values[] = { 0, 1, UINT32_MAX, INT_MAX };

	for (size_t at = 0; at + 4 <= size && at < 96; at += 4)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			uint32_t *words;

			if (!turn(one, name, "segment %d of %s, %zu bytes: word at %zu is %u", id,
				  name ? name : "all", size, at, values[v]))
				continue;
			words = attach_own(id);
			words[at / 4] = values[v];
			shmdt(words);
		}
}

static void forge_segment(struct hostile_case *one, int id, const struct shmid_ds *state)
{
	const size_t size = state->shm_segsz;
	const size_t sizes[] = { 1, size - 1, size + 1, size / 2, size * 2 };
	const char *name = name_of(PERM_KEY(state->shm_perm));

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (sizes[i] > 0 && turn(one, name, "segment %d of %s: %zu bytes, not %zu", id,
					 name ? name : "all", sizes[i], size))
			replace_segment(id, state, sizes[i]);
	for (int byte = 0; byte < 512; byte += 255)
		for (size_t step = 1; step < 9; step += 7)
			if (turn(one, name, "segment %d of %s, %zu bytes: filled with %d by %zu",
				 id, name ? name : "all", size, byte & 255, step))
				fill_segment(id, size, byte, step);
	if (turn(one, name, "segment %d of %s: open to all", id, name ? name : "all")) {
		struct shmid_ds open = *state;

		open.shm_perm.mode = 0666;
		shmctl(id, IPC_SET, &open);
	}
	forge_words(one, name, id, size);
}

static void forge_segments(struct hostile_case *one)
{
	for (int slot = 0; slot < SLOTS && !one->done; slot++) {
		struct shmid_ds state;
		int id = shmctl(slot, SHM_STAT_ANY, &state);

		if (id >= 0 && state.shm_perm.cuid == HOSTILE_UID)
			forge_segment(one, id, &state);
	}
}

/* ---- queues --------------------------------------------------------------------------- */

/* Take the descriptor that is in the queue, change it, and send it again. */
static void forge_descriptor(struct hostile_case *one)
{
	struct {
		long type;
		struct ipcu_spill_descriptor descriptor;
		char more[64];
	} message;
	int id = msgget(ipcu_name_derive(HOSTILE_UID, "q", 0), 0);
	const size_t size = sizeof(message.descriptor);
	const uint32_t values[] = {
		0, 1, UINT32_MAX, INT_MAX, (uint32_t)one->segment, (uint32_t)one->key
	};

	for (size_t at = 8; at < size; at += 4)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			if (!turn(one, "q", "descriptor: word at %zu is %u", at, values[v]))
				continue;
			must(msgrcv(id, &message, sizeof(message) - sizeof(long), 2, 0) ==
			     (ssize_t)size);
			memcpy((char *)&message.descriptor + at, &values[v], 4);
			must(msgsnd(id, &message, size, 0) == 0);
		}
	for (size_t length = 0; length < size + 64; length += 8)
		if (turn(one, "q", "descriptor of %zu bytes", length)) {
			memset(&message, 0, sizeof(message));
			must(msgrcv(id, &message, sizeof(message) - sizeof(long), 2, 0) >= 0);
			must(msgsnd(id, &message, length, 0) == 0);
		}
}

/* ---- at random -------------------------------------------------------------------------- */

static void change_at_random(unsigned *seed)
{
	int slot = rand_r(seed) % SLOTS;
	static struct set set;
	struct shmid_ds state;
	int id = shmctl(slot, SHM_STAT_ANY, &state);
	unsigned char *at;

	if (id >= 0 && state.shm_perm.cuid == HOSTILE_UID) {
		size_t within =
			state.shm_segsz < 8192 || rand_r(seed) % 4 == 0 ? state.shm_segsz : 8192;

		at = attach_own(id);
		for (int i = rand_r(seed) % 32; i >= 0; i--)
			at[(size_t)rand_r(seed) % within] =
				(unsigned char)(rand_r(seed) % 3 ? rand_r(seed) : 255);
		shmdt(at);
	}
	if (read_set(slot, &set) && set.members > 0)
		semctl(set.id, (int)((size_t)rand_r(seed) % set.members), SETVAL,
		       (union semun){ .val = rand_r(seed) % 32768 });
}

static void forge_at_random(struct hostile_case *one)
{
	for (int i = 0; i < RANDOM_CASES; i++)
		if (turn(one, NULL, "random changes number %d", i)) {
			unsigned seed = (unsigned)i + 1;

			for (int changes = 0; changes < 200; changes++)
				change_at_random(&seed);
		}
}

void hostile_forge(struct hostile_case *one)
{
	make_objects();
	forge_records(one);
	forge_sets(one);
	forge_segments(one);
	forge_descriptor(one);
	forge_at_random(one);
}
