/* SPDX-License-Identifier: MIT
 * shm-stage.c - staged segments: new data of a name, until they are on the key of the name
 *
 * A staged segment is filled by one process, unseen. When it is published (shm-load.c) the record leads to it and it holds
 * the data, until a process has copied them to the home key (shm-home.c). Its last page says which of the two is the
 * case, and decides between that copy and processes that change the data:
 *
 *   OPEN     processes read and write here
 *   FROZEN   a returning process copies; it began when no other process was attached
 *   COMMIT   the same process looks a last time whether any other is attached
 *   MOVED    the copy holds the data, for good
 *
 * The rule: a process attaches the segment and then reads the state; a returning process changes the state and then reads
 * from the kernel how many processes are attached. Whatever the order, one of them sees the other. So a process that has
 * read OPEN may change the data as long as it is attached, and one that has read OPEN or FROZEN may read them: a commit
 * that comes later finds it attached and waits or gives up. A process that wants to change the data and reads FROZEN or
 * COMMIT sets the state to OPEN, which fails the commit. No process waits for a different one that is stopped or dead.
 *
 * The state is one word, changed by compare-and-swap only. Each return has a generation of its own, so a returning process
 * that was stopped and cancelled cannot take a later return for its own. All changes are sequentially consistent: the
 * store that sets MOVED releases the bytes of the copy, and a process that reads MOVED acquires them. Between a detach and
 * the read of the number of attached processes the lock of the kernel orders the bytes that were written before.
 * The model is tests/model/load.pml.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "futex.h"
#include "process.h"
#include "random.h"
#include "shm.h"
#include "stage.h"

#define CONTROL_MAGIC UINT64_C(0x3165676174737069) /* "ipstage1" */
#define KEY_TRIES 100 /* at most 1 of 128 keys is taken: kernel.shmmni is 4096 by default */

#define PHASE_MASK UINT64_C(3)
#define GENERATION_SHIFT 2
#define GENERATION_MASK UINT64_C(0x3fffffff)
#define PID_SHIFT 32

#define HOLD_NANOSECONDS 100000000 /* a writer waits so long for a return that makes progress */
#define IDLE_NANOSECONDS 10000000  /* and so long for progress */

/* ---- the control page --------------------------------------------------------- */

struct ipcu_stage_state ipcu_stage_load(struct ipcu_shm_control *control, uint64_t *word)
{
	*word = atomic_load(&control->state);
	return (struct ipcu_stage_state){
		.phase = (enum ipcu_phase)(*word & PHASE_MASK),
		.generation = (uint32_t)(*word >> GENERATION_SHIFT & GENERATION_MASK),
		.pid = (pid_t)(*word >> PID_SHIFT),
	};
}

bool ipcu_stage_change(struct ipcu_shm_control *control, uint64_t *word,
		       struct ipcu_stage_state state)
{
	uint64_t new = (uint64_t)state.phase |
		       (state.generation & GENERATION_MASK) << GENERATION_SHIFT |
		       (uint64_t)(uint32_t)state.pid << PID_SHIFT;

	if (!atomic_compare_exchange_strong(&control->state, word, new))
		return false;
	*word = new;
	return true;
}

struct ipcu_shm_control *ipcu_stage_control(void *data, size_t size, uint64_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct ipcu_shm_control *control;

	if (size % page || size < 2 * page || length > size - page)
		return NULL;
	control = (void *)((unsigned char *)data + size - page);
	return atomic_load(&control->magic) == CONTROL_MAGIC ? control : NULL;
}

void ipcu_stage_nap(int64_t *nap, int64_t limit)
{
	struct timespec pause = { 0, 0 };

	*nap = *nap ? *nap * 2 : 250000;
	if (*nap > limit)
		*nap = limit;
	pause.tv_nsec = (long)*nap;
	nanosleep(&pause, NULL);
}

int64_t ipcu_stage_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

enum ipcu_result ipcu_stage_hold(struct ipcu_shm_control *control)
{
	int64_t begun = ipcu_stage_clock(), moved = begun, now = begun, nap = 0;
	uint64_t progress = atomic_load(&control->progress), seen, word;

	for (;;) {
		struct ipcu_stage_state state = ipcu_stage_load(control, &word);

		if (state.phase == IPCU_STAGE_OPEN)
			return IPCU_OK;
		if (state.phase == IPCU_STAGE_MOVED)
			return ipcu_fail_call("shmat", EIDRM, "cannot change it");
		seen = atomic_load(&control->progress);
		if (seen != progress)
			moved = now;
		progress = seen;
		if (now - begun < HOLD_NANOSECONDS && now - moved < IDLE_NANOSECONDS) {
			ipcu_stage_nap(&nap, 1000000);
			now = ipcu_stage_clock();
			continue;
		}
		state = (struct ipcu_stage_state){ IPCU_STAGE_OPEN, state.generation + 1, 0 };
		if (ipcu_stage_change(control, &word, state))
			atomic_store(&control->cancelled, (uint64_t)now);
	}
}

/* ---- staging ---------------------------------------------------------------------- */

/* The size of a staged segment for SIZE bytes: whole pages, and one more; 0: too large. */
static size_t staged_size(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), whole;

	if (__builtin_add_overflow(ipcu_segment_size(size), page - 1, &whole) ||
	    __builtin_add_overflow(whole / page * page, page, &whole))
		return 0;
	return whole;
}

static int make_staged(size_t size, key_t *key)
{
	uint32_t random;
	int id = -1;

	errno = EINVAL;
	for (int attempt = 0; size && attempt < KEY_TRIES; attempt++) {
		ipcu_random(&random, sizeof(random));
		*key = (key_t)(IPCU_STAGE_PREFIX | (random & ~IPCU_STAGE_MASK));
		id = shmget(*key, size, IPC_CREAT | IPC_EXCL | 0600);
		if (id >= 0 || errno != EEXIST)
			break;
	}
	return id;
}

enum ipcu_result ipcu_shm_stage_open(ipcu_shm_stage **out, size_t size)
{
	ipcu_shm_stage *stage = calloc(1, sizeof(*stage));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!stage)
		return ipcu_fail_call("malloc", ENOMEM, "cannot stage it");
	stage->size = size;
	stage->whole = staged_size(size);
	stage->id = make_staged(stage->whole, &stage->key);
	if (stage->id < 0) {
		ipcu_fail_call("shmget", errno, "cannot create a segment of %zu bytes", size);
		goto no_segment;
	}
	stage->data = shmat(stage->id, NULL, 0);
	if (stage->data == (void *)-1) {
		ipcu_fail_call("shmat", errno, "cannot attach a segment of %zu bytes", size);
		goto not_attached;
	}
	stage->control = (void *)((unsigned char *)stage->data + stage->whole - page);
	atomic_store(&stage->control->magic, CONTROL_MAGIC);
	*out = stage;
	return IPCU_OK;
not_attached:
	shmctl(stage->id, IPC_RMID, NULL);
no_segment:
	free(stage);
	return ipcu_last_error()->result;
}

void *ipcu_shm_stage_data(ipcu_shm_stage *stage)
{
	return stage->data;
}

void ipcu_shm_stage_close(ipcu_shm_stage *stage)
{
	if (!stage)
		return;
	if (!stage->published)
		shmctl(stage->id, IPC_RMID, NULL);
	shmdt(stage->data);
	free(stage);
}

bool ipcu_segment_set_perm(int id, const struct ipc_perm *like, unsigned mode)
{
	struct shmid_ds segment;

	if (ipcu_stat_segment(id, &segment) < 0)
		return false;
	segment.shm_perm.uid = like->uid;
	segment.shm_perm.gid = like->gid;
	segment.shm_perm.mode = (unsigned short)(mode & 0777);
	return shmctl(id, IPC_SET, &segment) == 0;
}

/* ---- what the dead leave ------------------------------------------------------------ */

/* Return true if a record of this user leads to segment ID, or may. */
static bool is_named(int id)
{
	struct ipcu_registry registry;
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_record record;
	uint32_t cursor = 0;
	bool found = false;

	if (ipcu_registry_open(&registry, geteuid()) != IPCU_OK)
		return true;
	while (!found && ipcu_registry_next(&registry, &cursor, name, &record))
		found = record.kind == IPCU_KIND_MEMORY && record.id == id;
	ipcu_registry_close(&registry);
	return found;
}

bool ipcu_stage_stale(const struct ipcu_info *info)
{
	/*
	 * The kernel reports process 0 for a creator of a PID namespace that we do not see: it may be alive. Only its
	 * creator publishes a segment, so after its death no record begins to lead to it.
	 */
	return info->kind == IPCU_KIND_MEMORY && ipcu_stage_key(info->key) && info->attached == 0 &&
	       info->creator == geteuid() && info->creator_pid > 0 &&
	       !ipcu_process_lived_at(info->creator_pid, info->changed) && !is_named(info->id);
}
