/* SPDX-License-Identifier: MIT
 * shm.c - shared memory: opening, attaching, and what is known of it
 *
 * A segment holds the data and nothing else, so what a foreign program attaches is a plain array from its
 * first byte on. Type and length are in the registry. They are not believed before the segment was found to
 * have room for them: no access here is outside a mapping. The size is that of the segment which is already attached, so
 * it cannot change afterwards.
 *
 * Data are replaced as a whole by a different segment under the same name (shm-load.c). A process that found the old one
 * in the instant of its removal finds it unattachable or marked as removed, and looks the name up again.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "futex.h"
#include "stage.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* A name that is replaced again and again, perhaps by a hostile owner, is looked up for so long in total. */
#define OPEN_NANOSECONDS INT64_C(2000000000)
#define COMMIT_NANOSECONDS INT64_C(20000000) /* a return that commits takes microseconds */
#define WORDS_MAX 65536			     /* more of them are not woken one by one */

/* ---- the kind ------------------------------------------------------------- */

static int create(key_t key, int flags, const uint64_t definition[4])
{
	uint64_t length = definition ? definition[IPCU_SHM_LENGTH] : 0;

	if (length > SIZE_MAX) {
		errno = EINVAL;
		return -1;
	}
	return shmget(key, ipcu_segment_size(length), flags);
}

static enum ipcu_result prepare(const struct ipcu_object *object, key_t key, mode_t mode,
				uint64_t definition[4])
{
	return ipcu_shm_set_make(object, key, mode, definition);
}

/* While memory is being loaded, its segment has a key of its own, and the set the home key. */
static unsigned companion(const struct ipcu_record *record, key_t *key)
{
	*key = ipcu_stage_key(record->key)
		       ? (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER])
		       : record->key;
	return SHM_MEMBERS;
}

/* A segment of a different program serves if it has room. One of mode 0 is the unfinished copy of a return. */
static bool adopt(int id, uint64_t definition[4])
{
	struct shmid_ds segment;

	return ipcu_stat_segment(id, &segment) == 0 && segment.shm_perm.mode & 0777 &&
	       segment.shm_segsz >= definition[IPCU_SHM_LENGTH];
}

/* The length of the data is the size of the segment on the key of the set. */
static bool redefine(struct ipcu_found *found, uint64_t definition[4])
{
	struct shmid_ds segment;
	unsigned type = found->detail & SHM_DETAIL_TYPE;

	if (found->members != SHM_MEMBERS || type > IPCU_F64 || found->id < 0 ||
	    ipcu_stat_segment(found->id, &segment) < 0 || !(segment.shm_perm.mode & 0777))
		return false;
	definition[IPCU_SHM_TYPE] = type;
	definition[IPCU_SHM_LENGTH] =
		found->detail & SHM_DETAIL_EMPTY
			? 0
			: segment.shm_segsz -
				  segment.shm_segsz % ipcu_type_size((enum ipcu_type)type);
	definition[IPCU_SHM_LOCK] = ipcu_pair((uint32_t)found->key, (uint32_t)found->set + 1);
	return true;
}

static bool plausible(const uint64_t definition[4])
{
	return definition[IPCU_SHM_TYPE] <= IPCU_F64 && definition[IPCU_SHM_LENGTH] <= SIZE_MAX &&
	       definition[IPCU_SHM_LENGTH] %
			       ipcu_type_size((enum ipcu_type)definition[IPCU_SHM_TYPE]) ==
		       0;
}

static uid_t owner_of(int id)
{
	struct shmid_ds segment;

	return ipcu_stat_segment(id, &segment) == 0 ? segment.shm_perm.cuid : geteuid();
}

static enum ipcu_result in_use(int id, const struct ipcu_record *record)
{
	unsigned waiting;
	pid_t holder =
		ipcu_shm_lock_holder(record->definition[IPCU_SHM_LOCK], owner_of(id), &waiting);

	if (!holder)
		return IPCU_OK;
	if (holder == IPCU_PID_UNKNOWN)
		ipcu_fail(
			IPCU_CONFLICT,
			"it is in use: a process of another PID namespace holds its lock, %u wait for it",
			waiting);
	else
		ipcu_fail(IPCU_CONFLICT, "it is in use: process %d holds its lock, %u wait for it",
			  (int)holder, waiting);
	ipcu_hint(
		"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
	return IPCU_CONFLICT;
}

static enum ipcu_result seal(int id, const struct ipcu_record *record)
{
	uint64_t lock = record->definition[IPCU_SHM_LOCK];
	enum ipcu_result result = ipcu_shm_set_seal(lock, owner_of(id));
	struct shmid_ds segment;

	if (result != IPCU_OK || ipcu_stat_segment(id, &segment) < 0 || segment.shm_nattch == 0)
		return result;
	ipcu_shm_set_unseal(lock, owner_of(id));
	ipcu_fail(IPCU_CONFLICT, "it is in use: attached %lu times, last by process %d",
		  (unsigned long)segment.shm_nattch, (int)segment.shm_lpid);
	ipcu_hint(
		"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
	return IPCU_CONFLICT;
}

static void remove_rest(uid_t owner, const char *name, const struct ipcu_record *record,
			bool idle_only)
{
	struct ipc_perm perm;

	ipcu_shm_set_remove(owner, name, record->definition[IPCU_SHM_LOCK], idle_only);
	ipcu_shm_other_remove(record, owner);
	/* A staged segment whose publication was not finished: no process finds it any more. */
	if (record->state == IPCU_RECORD_CREATING && ipcu_stage_key(record->key) &&
	    ipcu_family_stat(IPCU_FAMILY_SEGMENT, record->id, &perm) == 0 && perm.cuid == owner &&
	    PERM_KEY(perm) == record->key)
		ipcu_family_remove(IPCU_FAMILY_SEGMENT, record->id);
}

/* While its data are in a staged segment, a name is still known by its size and its home key. */
static void describe(struct ipcu_info *info)
{
	if (!ipcu_stage_key(info->key))
		return;
	info->size = info->definition[IPCU_SHM_LENGTH];
	info->key = (key_t)ipcu_pair_low(info->definition[IPCU_SHM_OTHER]);
}

const struct ipcu_kind_ops ipcu_shm_ops = {
	.kind = IPCU_KIND_MEMORY,
	.family = IPCU_FAMILY_SEGMENT,
	.call = "shmget",
	.create = create,
	.prepare = prepare,
	.companion = companion,
	.adopt = adopt,
	.redefine = redefine,
	.plausible = plausible,
	.seal = seal,
	.in_use = in_use,
	.remove = remove_rest,
	.describe = describe,
};

/* ---- waking --------------------------------------------------------------- */

struct ipcu_shm_tail *ipcu_shm_tail(void *data, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), over = ipcu_segment_size(size) % page;

	if (over == 0 || page - over < sizeof(struct ipcu_shm_tail) + 8)
		return NULL;
	return (void *)((unsigned char *)data + ipcu_segment_size(size) - over + page -
			sizeof(struct ipcu_shm_tail));
}

/*
 * A sleeper notes the sequence, sets "asleep", reads the value and sleeps unless the sequence has changed. If a writer
 * finds "asleep" clear after its change, every sleeper that reads later sees the change, and the call is saved. The writer
 * clears "asleep" before it counts, so that a sleeper whose mark it cleared sees a sequence that differs from the one it
 * noted. (A writer killed between the two delays a sleeper until its look once a second.)
 *
 * This needs one order of all four accesses, a store followed by a load on either side: all are sequentially consistent,
 * and after a plain store of the caller ipcu_shm_changed() has a fence. A writer that publishes twice does the whole
 * sequence twice; a sleeper that missed the first wake-up noted either the old sequence, which the second changes too, or
 * the new one, and then reads at least the first change. The model is tests/model/wait.pml.
 */
static void wake_tail(ipcu_shm *shm)
{
	if (!shm->wakes_always && !atomic_load(&shm->tail->asleep))
		return;
	atomic_store(&shm->tail->asleep, 0);
	atomic_fetch_add(&shm->tail->sequence, 1);
	ipcu_futex_wake(&shm->tail->sequence);
}

void ipcu_shm_changed(ipcu_shm *shm, size_t offset, size_t length)
{
	size_t first = offset & ~(size_t)3, words;

	if (!shm->writable || length == 0 || offset >= shm->size)
		return;
	if (shm->tail) {
		atomic_thread_fence(memory_order_seq_cst);
		wake_tail(shm);
		return;
	}
	if (length > shm->size - offset)
		length = shm->size - offset;
	words = (offset - first + length + 3) / 4;
	for (size_t i = 0; i < words && words <= WORDS_MAX; i++)
		ipcu_futex_wake(shm->data + first + i * 4);
}

void ipcu_shm_wake_all(ipcu_shm *shm)
{
	shm->wakes_always = true;
	ipcu_shm_changed(shm, 0, shm->size);
}

/* ---- opening -------------------------------------------------------------- */

static enum ipcu_result not_as_wanted(const ipcu_shm *shm, const struct ipcu_shm_layout *layout)
{
	ipcu_fail(IPCU_CONFLICT, "it holds %llu %s%s, not %llu %s%s",
		  (unsigned long long)shm->count, ipcu_type_name(shm->type),
		  shm->type ? " values" : "", (unsigned long long)layout->count,
		  ipcu_type_name(layout->type), layout->type ? " values" : "");
	ipcu_hint("use another name; ipc-ls shows the object of this one");
	return IPCU_CONFLICT;
}

/* Type, length and count, from what is recorded, what there is, and what was asked for. */
static enum ipcu_result understand(ipcu_shm *shm, const struct ipcu_shm_layout *layout,
				   uint64_t there)
{
	uint64_t length = shm->object.named ? shm->object.definition[IPCU_SHM_LENGTH] : there;
	uint64_t type = shm->object.named ? shm->object.definition[IPCU_SHM_TYPE] : 0;

	if (type > IPCU_F64 || length > there || length % ipcu_type_size((enum ipcu_type)type)) {
		ipcu_fail(IPCU_SYSTEM,
			  "the memory is corrupted: its name says %llu bytes, there are %llu",
			  (unsigned long long)length, (unsigned long long)there);
		ipcu_hint(
			"stop the programs that use it before it is replaced; ipc-ls -o +USE shows them");
		return IPCU_SYSTEM;
	}
	shm->type = (enum ipcu_type)type;
	shm->size = (size_t)length;
	shm->count = length / ipcu_type_size(shm->type);
	if (!layout)
		return IPCU_OK;
	if (shm->object.named && layout->exact &&
	    (layout->type != shm->type || layout->count != shm->count))
		return not_as_wanted(shm, layout);
	if (!shm->object.named && layout->exact && layout->type == IPCU_BYTES &&
	    shm->count != layout->count)
		return not_as_wanted(shm, layout);
	if (layout->type == IPCU_BYTES || layout->type == shm->type)
		return IPCU_OK;
	if (shm->type != IPCU_BYTES) {
		ipcu_fail(IPCU_CONFLICT, "it holds values of type %s, not %s",
			  ipcu_type_name(shm->type), ipcu_type_name(layout->type));
		return IPCU_CONFLICT;
	}
	shm->type = layout->type;
	shm->count = length / ipcu_type_size(shm->type);
	if (!shm->object.named && layout->exact && shm->count != layout->count && layout->count)
		return not_as_wanted(shm, layout);
	return IPCU_OK;
}

/* IPCU_NOT_FOUND: the segment has just been removed. */
static enum ipcu_result attach(ipcu_shm *shm)
{
	void *data = shmat(shm->object.id, NULL, 0);

	shm->writable = data != (void *)-1;
	if (!shm->writable && errno == EACCES)
		data = shmat(shm->object.id, NULL, SHM_RDONLY);
	if (data == (void *)-1 && errno == EACCES)
		return ipcu_object_denied(&shm->object, "shmat", "cannot attach it");
	if (data == (void *)-1)
		return ipcu_fail_call("shmat", errno == EINVAL ? EIDRM : errno, "cannot attach it");
	shm->data = data;
	return IPCU_OK;
}

static void detach(ipcu_shm *shm)
{
	if (shm->data)
		shmdt(shm->data);
	shm->data = NULL;
	shm->tail = NULL;
	shm->control = NULL;
}

void ipcu_shm_populate(void *data, size_t size, bool writing)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (uintptr_t)data % page;
	int errnum = errno;

	madvise((char *)data - before, before + size,
		writing ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	errno = errnum;
}

bool ipcu_shm_gone(const ipcu_shm *shm)
{
	struct shmid_ds segment;

	return ipcu_stat_segment(shm->object.id, &segment) < 0 ||
	       segment.shm_perm.mode & SHM_DEST || PERM_KEY(segment.shm_perm) != shm->object.key;
}

/* The state of the attached segment, which must still be the one that the name leads to. */
static enum ipcu_result look_at(ipcu_shm *shm, struct shmid_ds *segment)
{
	if (ipcu_stat_segment(shm->object.id, segment) < 0 || segment->shm_perm.mode & SHM_DEST ||
	    (shm->object.named && segment->shm_perm.cuid != shm->object.owner))
		return ipcu_fail_call("shmat", EIDRM, "cannot attach it");
	return IPCU_OK;
}

/* The data of the attached staged segment have moved: go on to the copy. */
static enum ipcu_result follow(ipcu_shm *shm, struct shmid_ds *segment)
{
	int copy = ipcu_shm_moved_to(&shm->object, shm->control);
	enum ipcu_result result;

	if (copy < 0)
		return ipcu_fail_call("shmat", EIDRM, "cannot attach it");
	detach(shm);
	shm->object.id = copy;
	shm->object.key = (key_t)ipcu_pair_low(shm->object.definition[IPCU_SHM_OTHER]);
	result = attach(shm);
	return result == IPCU_OK ? look_at(shm, segment) : result;
}

/* The attached segment is a staged one: see what its control page says. */
static enum ipcu_result enter_stage(ipcu_shm *shm, struct shmid_ds *segment)
{
	int64_t until = ipcu_stage_clock() + COMMIT_NANOSECONDS, nap = 0;
	struct ipcu_stage_state state;
	uint64_t word;

	shm->control = ipcu_stage_control(shm->data, segment->shm_segsz,
					  shm->object.definition[IPCU_SHM_LENGTH]);
	if (!shm->control) {
		ipcu_fail(IPCU_SYSTEM, "the staged segment is corrupted");
		ipcu_hint(
			"stop the programs that use it before it is replaced; ipc-ls -o +USE shows them");
		return IPCU_SYSTEM;
	}
	for (;;) {
		state = ipcu_stage_load(shm->control, &word);
		if (state.phase == IPCU_STAGE_MOVED)
			return follow(shm, segment);
		if (state.phase != IPCU_STAGE_COMMIT)
			return IPCU_OK;
		/* The commit may not see that this process is attached. */
		if (shm->writable)
			return ipcu_stage_hold(shm->control);
		if (ipcu_stage_clock() >= until)
			break;
		ipcu_stage_nap(&nap, COMMIT_NANOSECONDS / 20);
	}
	shm->moves = true; /* the bytes are right now, and may be old later */
	return IPCU_OK;
}

static enum ipcu_result enter(ipcu_shm *shm, const struct ipcu_shm_layout *layout)
{
	struct shmid_ds segment;
	enum ipcu_result result = look_at(shm, &segment);
	size_t room;
	unsigned mode;

	if (result == IPCU_OK && shm->object.named && ipcu_stage_key(shm->object.key))
		result = enter_stage(shm, &segment);
	if (result != IPCU_OK)
		return result;
	room = shm->control ? (size_t)((unsigned char *)shm->control - shm->data)
			    : segment.shm_segsz;
	result = understand(shm, layout, room);
	if (result != IPCU_OK)
		return result;
	if (shm->control)
		shm->tail = &shm->control->tail;
	else if (shm->object.named)
		shm->tail = ipcu_shm_tail(shm->data, segment.shm_segsz);
	mode = segment.shm_perm.mode & 0777;
	shm->wakes_always = ((mode & 0444) >> 1 & ~mode) != 0;
	if (shm->object.named && (shm->object.owner == geteuid() || geteuid() == 0))
		ipcu_shm_lock_check(shm, &segment.shm_perm);
	return IPCU_OK;
}

static enum ipcu_result open_object(ipcu_shm *shm, const struct ipcu_shm_layout *layout,
				    const struct ipcu_open *how)
{
	uint64_t definition[4] = { 0 };
	struct ipcu_open only = how ? *how : (struct ipcu_open){ 0 };
	enum ipcu_result result;

	if (!layout || !layout->count)
		only.create = IPCU_CREATE_NEVER;
	else if (__builtin_mul_overflow(layout->count, (uint64_t)ipcu_type_size(layout->type),
					&definition[IPCU_SHM_LENGTH]))
		return ipcu_fail_call("shmget", EINVAL, "cannot create it");
	definition[IPCU_SHM_TYPE] = layout ? layout->type : IPCU_BYTES;
	result = ipcu_object_open(&shm->object, &ipcu_shm_ops, shm->typed, &only, definition);
	if (result == IPCU_OK)
		atomic_store(&shm->lock, shm->object.definition[IPCU_SHM_LOCK]);
	return result;
}

static enum ipcu_result open_shm(ipcu_shm *shm, const struct ipcu_shm_layout *layout,
				 const struct ipcu_open *how)
{
	int64_t until = ipcu_stage_clock() + OPEN_NANOSECONDS, nap = 0;
	bool returned = false;
	enum ipcu_result result;

	for (;;) {
		result = open_object(shm, layout, how);
		if (result != IPCU_OK)
			break;
		if (!returned && shm->object.named && ipcu_stage_key(shm->object.key) &&
		    shm->object.owner == geteuid()) {
			returned = true;
			if (ipcu_shm_return(&shm->object))
				continue;
		}
		result = attach(shm);
		if (result == IPCU_OK)
			result = enter(shm, layout);
		if (result != IPCU_NOT_FOUND || strcmp(ipcu_last_error()->call, "shmat") != 0 ||
		    ipcu_stage_clock() >= until)
			break;
		detach(shm);
		ipcu_stage_nap(&nap, 1000000);
	}
	if (result == IPCU_OK)
		return result;
	detach(shm);
	/* What this call created and cannot use is undone, by its identifier. */
	ipcu_object_unmake(&shm->object);
	return result;
}

enum ipcu_result ipcu_shm_open(ipcu_shm **out, const char *name,
			       const struct ipcu_shm_layout *layout, const struct ipcu_open *how)
{
	ipcu_shm *shm = calloc(1, sizeof(*shm) + strlen(name) + 1);
	enum ipcu_result result;

	if (!shm)
		return ipcu_fail_call("malloc", ENOMEM, "cannot open it");
	strcpy(shm->typed, name);
	result = open_shm(shm, layout, how);
	if (result != IPCU_OK) {
		free(shm);
		return result;
	}
	*out = shm;
	return IPCU_OK;
}

void ipcu_shm_close(ipcu_shm *shm)
{
	if (shm)
		detach(shm);
	free(shm);
}

void ipcu_shm_let_go(ipcu_shm *shm)
{
	shm->yields = true;
}

/* ---- using ------------------------------------------------------------------- */

const void *ipcu_shm_peek(const ipcu_shm *shm, size_t *size)
{
	*size = shm->size;
	return shm->data;
}

static enum ipcu_result hold(ipcu_shm *shm)
{
	enum ipcu_result result;

	if (!shm->control || atomic_load(&shm->open_for_change))
		return IPCU_OK;
	result = ipcu_stage_hold(shm->control);
	if (result == IPCU_OK)
		atomic_store(&shm->open_for_change, true);
	return result;
}

void *ipcu_shm_data(ipcu_shm *shm, size_t *size)
{
	if (shm->writable)
		hold(shm);
	*size = shm->size;
	return shm->data;
}

enum ipcu_result ipcu_shm_writable(ipcu_shm *shm)
{
	return shm->writable ? hold(shm)
			     : ipcu_object_denied(&shm->object, "shmat", "cannot change it");
}

enum ipcu_result ipcu_shm_status(ipcu_shm *shm, struct ipcu_shm_info *info)
{
	struct shmid_ds segment;

	if (ipcu_stat_segment(shm->object.id, &segment) < 0)
		return ipcu_fail_call("shmctl", errno == EINVAL ? EIDRM : errno,
				      "cannot read its state");
	memset(info, 0, sizeof(*info));
	info->size = shm->size;
	info->type = shm->type;
	info->count = shm->count;
	info->attached = segment.shm_nattch > 0 ? segment.shm_nattch - 1 : 0;
	if (shm->object.named)
		info->locked_by = ipcu_shm_lock_holder(atomic_load(&shm->lock), shm->object.owner,
						       &info->lock_waiting);
	return IPCU_OK;
}
