/* SPDX-License-Identifier: MIT
 * record.c - fuzz: what a registry says of its objects, memory above all
 *
 * The input is a program: numbers written into the records of one object of each kind, and into the values of the
 * sets, between calls that use them. A record may name a wrong identifier, key, kind, type or length: a call may fail by it, but
 * neither reach outside of what is attached, nor remove what is none of the name's, nor hang.
 */
#include <config.h>

#include <unistd.h>

#include "fuzz.h"
#include "queue.h"
#include "registry.h"
#include "sysv.h"

#define STEPS_MAX 24
#define FOREIGN_KEY 0x77

enum { QUEUE, SEM, BARRIER, EVENT, ARRAY, BYTES, KINDS };
static const char *const names[KINDS] = { "q", "s", "b", "e", "m", "l" };
static const struct ipcu_open never = { .create = IPCU_CREATE_NEVER };
static int foreign; /* a segment that no record may lead to */

static void begin(void)
{
	const struct ipcu_shm_layout array = { .type = IPCU_I32, .count = 100 },
				     bytes = { .type = IPCU_BYTES, .count = 100 };
	ipcu_queue *queue;
	ipcu_sem *sem;
	ipcu_barrier *barrier;
	ipcu_event *event;
	ipcu_shm *shm;

	fuzz_remove_all();
	must(ipcu_queue_open(&queue, "q", NULL) == IPCU_OK);
	must(ipcu_sem_open(&sem, "s", 3, 3, NULL) == IPCU_OK);
	must(ipcu_barrier_open(&barrier, "b", 3, NULL) == IPCU_OK);
	must(ipcu_event_open(&event, "e", NULL) == IPCU_OK);
	must(ipcu_shm_open(&shm, "m", &array, NULL) == IPCU_OK);
	ipcu_shm_close(shm);
	must(ipcu_shm_open(&shm, "l", &bytes, NULL) == IPCU_OK);
	must(ipcu_shm_lock(shm, NULL) == IPCU_OK && ipcu_shm_unlock(shm) == IPCU_OK);
	ipcu_shm_close(shm);
	ipcu_event_close(event);
	ipcu_barrier_close(barrier);
	ipcu_sem_close(sem);
	ipcu_queue_close(queue);
	foreign = shmget(FOREIGN_KEY, 1000, IPC_CREAT | IPC_EXCL | 0600);
	must(foreign >= 0);
}

/* ---- damage -------------------------------------------------------------- */

static void damage_record(struct fuzz_input *input)
{
	const char *name = names[fuzz_take(input, 1) % KINDS];
	struct ipcu_registry registry;
	struct ipcu_record record;

	if (ipcu_registry_open_locked(&registry, geteuid(), false) != IPCU_OK)
		return;
	if (ipcu_registry_find(&registry, name, &record) == IPCU_OK) {
		fuzz_patch(input, &record, sizeof(record));
		/* The one segment it may remove by key, if its maker is right too, is its own other one. */
		if (record.kind == IPCU_KIND_MEMORY && (int32_t)record.definition[2] == FOREIGN_KEY)
			record.definition[2] = 0;
		if (record.key != FOREIGN_KEY && record.id != foreign)
			ipcu_registry_put(&registry, name, &record);
	}
	ipcu_registry_unlock_close(&registry);
}

static void damage_set(struct fuzz_input *input)
{
	const char *name = names[SEM + fuzz_take(input, 1) % 3];
	struct ipcu_registry registry;
	struct ipcu_record record;
	int value;

	if (ipcu_registry_open(&registry, geteuid()) != IPCU_OK)
		return;
	if (ipcu_registry_find(&registry, name, &record) == IPCU_OK) {
		value = (int)fuzz_take(input, 1);
		/* Large ones are where sums overflow. */
		semctl(record.id, (int)(fuzz_take(input, 1) % 32), SETVAL,
		       (union semun){ .val = value < 250 ? value : 32767 - (255 - value) });
	}
	ipcu_registry_close(&registry);
}

/* ---- calls --------------------------------------------------------------- */

static void use_queue(const char *name)
{
	struct ipcu_message message = { 0 };
	struct ipcu_queue_info info;
	ipcu_queue *queue;

	if (fuzz_result(ipcu_queue_open(&queue, name, &never)) != IPCU_OK)
		return;
	fuzz_result(ipcu_queue_send(queue, 1, "x", 1, &ipcu_no_wait));
	fuzz_result(ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait));
	fuzz_result(ipcu_queue_status(queue, &info));
	ipcu_message_clear(&message);
	ipcu_queue_close(queue);
}

static void use_sem(const char *name, unsigned units)
{
	struct ipcu_sem_info info;
	struct ipcu_hold hold;
	unsigned value;
	ipcu_sem *sem;

	if (fuzz_result(ipcu_sem_open(&sem, name, 0, 1, &never)) != IPCU_OK)
		return;
	fuzz_result(ipcu_sem_status(sem, &info));
	fuzz_result(ipcu_sem_get(sem, &value));
	fuzz_result(ipcu_sem_wait(sem, units, &ipcu_no_wait));
	fuzz_result(ipcu_sem_post(sem, units));
	fuzz_result(ipcu_sem_set(sem, units));
	if (fuzz_result(ipcu_lock_exclusive(sem, &ipcu_no_wait, &hold)) == IPCU_OK)
		fuzz_result(ipcu_sem_release(sem, &hold));
	fuzz_result(ipcu_sem_resize(sem, units, &ipcu_no_wait));
	fuzz_result(ipcu_sem_holders(sem, NULL, NULL, NULL));
	ipcu_sem_close(sem);
}

static void waiter(pid_t pid, unsigned place, void *context)
{
	(void)place, (void)context;
	must(pid > 0);
}

static void use_barrier(const char *name)
{
	struct timespec soon = ipcu_deadline_in(1000000);
	struct ipcu_barrier_info info;
	ipcu_barrier *barrier;
	unsigned index = 0;

	if (fuzz_result(ipcu_barrier_open(&barrier, name, 0, &never)) != IPCU_OK)
		return;
	if (fuzz_result(ipcu_barrier_wait(barrier, NULL, &soon, &index)) == IPCU_OK)
		must(index < IPCU_PARTIES_MAX);
	if (fuzz_result(ipcu_barrier_status(barrier, &info)) == IPCU_OK)
		must(info.waiting < info.parties);
	fuzz_result(ipcu_barrier_waiters(barrier, waiter, NULL));
	fuzz_result(ipcu_barrier_abort(barrier));
	ipcu_barrier_close(barrier);
}

static void use_event(const char *name)
{
	struct ipcu_event_info info;
	ipcu_event *event;

	if (fuzz_result(ipcu_event_open(&event, name, &never)) != IPCU_OK)
		return;
	fuzz_result(ipcu_event_wait(event, NULL, &ipcu_no_wait));
	fuzz_result(ipcu_event_set(event));
	fuzz_result(ipcu_event_clear(event));
	fuzz_result(ipcu_event_pulse(event));
	fuzz_result(ipcu_event_status(event, &info));
	ipcu_event_close(event);
}

static void use_shm(const char *name, uint64_t index)
{
	struct ipcu_shm_info info;
	union ipcu_value value = { .u = 1 };
	ipcu_shm *shm;
	size_t size;
	volatile unsigned char *data;

	if (fuzz_result(ipcu_shm_open(&shm, name, NULL, &never)) != IPCU_OK)
		return;
	data = ipcu_shm_data(shm, &size);
	for (size_t i = 0; i < size; i += 64)
		(void)data[i];
	if (size)
		(void)data[size - 1];
	if (fuzz_result(ipcu_shm_status(shm, &info)) == IPCU_OK)
		must(info.size == size);
	if (fuzz_result(ipcu_shm_get(shm, index, &value)) == IPCU_OK)
		must(index < size);
	fuzz_result(ipcu_shm_add(shm, index, value, NULL));
	fuzz_result(ipcu_shm_wait(shm, index, IPCU_EQUAL, value, &ipcu_no_wait, NULL));
	if (fuzz_result(ipcu_shm_lock(shm, &ipcu_no_wait)) == IPCU_OK)
		fuzz_result(ipcu_shm_unlock(shm));
	ipcu_shm_close(shm);
}

static void load(const char *name)
{
	ipcu_shm_stage *stage;

	must(ipcu_shm_stage_open(&stage, 64) == IPCU_OK);
	fuzz_result(ipcu_shm_publish(stage, name, &never));
	ipcu_shm_stage_close(stage);
}

static enum ipcu_result listed(const struct ipcu_info *info, void *context)
{
	(void)context;
	must(ipcu_kind_name(info->kind) && ipcu_type_name((enum ipcu_type)info->definition[0]));
	return IPCU_OK;
}

static void call(struct fuzz_input *input, unsigned what)
{
	const char *name = names[fuzz_take(input, 1) % KINDS];

	switch (what) {
	case 0:
		use_queue(name);
		return;
	case 1:
		use_sem(name, (unsigned)fuzz_take(input, 2));
		return;
	case 2:
		use_barrier(name);
		return;
	case 3:
		use_event(name);
		return;
	case 4:
		use_shm(name, fuzz_take(input, 8));
		return;
	case 5:
		load(name);
		return;
	case 6:
		fuzz_result(ipcu_list(geteuid(), IPCU_LIST_ALL, listed, NULL));
		return;
	case 7:
		fuzz_result(ipcu_remove(
			name, IPCU_KIND_ANY,
			IPCU_REMOVE_FORCE | (fuzz_take(input, 1) % 2 ? IPCU_REMOVE_DRY_RUN : 0)));
		return;
	default:
		fuzz_result(ipcu_remove_stale(0, fuzz_take(input, 1) % 2 ? IPCU_REMOVE_DRY_RUN : 0,
					      NULL, NULL));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };
	struct shmid_ds state;

	begin();
	for (int steps = 0; input.at < input.end && steps < STEPS_MAX; steps++) {
		unsigned what = (unsigned)fuzz_take(&input, 1) % 14;

		if (what < 3)
			damage_record(&input);
		else if (what < 5)
			damage_set(&input);
		else
			call(&input, what - 5);
	}
	must(ipcu_stat_segment(foreign, &state) == 0 && !(state.shm_perm.mode & SHM_DEST));
	fuzz_remove_all();
	return 0;
}
