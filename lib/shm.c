/* SPDX-License-Identifier: MIT
 * shm.c - shared memory: opening, attaching, and what is known of it
 *
 * A segment holds the data and nothing else, so what a foreign program attaches is a plain array from its
 * first byte on. Type and length are in the registry. They are not believed before the segment was seen to
 * have room for them: nothing here can reach behind a mapping.
 *
 * Data is replaced as a whole by another segment under the same name (shm-load.c). Who found the old one in the instant
 * it went finds it unattachable or marked as removed, and looks the name up again.
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
#include "shm.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define TRIES 1000	/* how often a name may be replaced while we open it */
#define WORDS_MAX 65536 /* more of them are not woken one by one */

/* ---- the kind ------------------------------------------------------------- */

/* Segments of no bytes do not exist. */
static size_t segment_size(uint64_t length)
{
	return length ? (size_t)length : 1;
}

static int create(key_t key, int flags, const uint64_t definition[4])
{
	uint64_t length = definition ? definition[IPCU_SHM_LENGTH] : 0;

	if (length > SIZE_MAX) {
		errno = EINVAL;
		return -1;
	}
	return shmget(key, segment_size(length), flags);
}

/* Whatever made it: there is room for what the name says. */
static bool adopt(int id, uint64_t definition[4])
{
	struct shmid_ds segment;

	return ipcu_stat_segment(id, &segment) == 0 &&
	       segment.shm_segsz >= definition[IPCU_SHM_LENGTH];
}

static enum ipcu_result in_use(int id, const struct ipcu_record *record)
{
	struct shmid_ds segment;
	unsigned waiting;
	pid_t holder;

	if (ipcu_stat_segment(id, &segment) < 0)
		return IPCU_OK;
	holder = ipcu_shm_lock_holder(record->definition[IPCU_SHM_LOCK], segment.shm_perm.cuid,
				      &waiting);
	if (!holder)
		return IPCU_OK;
	ipcu_fail(IPCU_CONFLICT, "it is in use: process %d holds its lock, %u wait for it",
		  (int)holder, waiting);
	ipcu_hint("end what uses it, or remove it all the same with -f");
	return IPCU_CONFLICT;
}

static void remove_rest(uid_t owner, const char *name, const struct ipcu_record *record,
			bool idle_only)
{
	(void)name;
	(void)idle_only;
	ipcu_shm_lock_remove(record->definition[IPCU_SHM_LOCK], owner);
	ipcu_shm_other_remove(record, owner);
}

const struct ipcu_kind_ops ipcu_shm_ops = {
	.kind = IPCU_KIND_MEMORY,
	.family = IPCU_FAMILY_SEGMENT,
	.call = "shmget",
	.create = create,
	.adopt = adopt,
	.in_use = in_use,
	.remove = remove_rest,
};

/* ---- waking --------------------------------------------------------------- */

struct ipcu_shm_tail *ipcu_shm_tail(void *data, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), over = segment_size(size) % page;

	if (over == 0 || page - over < sizeof(struct ipcu_shm_tail) + 8)
		return NULL;
	return (void *)((unsigned char *)data + segment_size(size) - over + page -
			sizeof(struct ipcu_shm_tail));
}

/*
 * A sleeper notes the sequence, says that it sleeps, looks at the value and sleeps unless the sequence
 * has changed. So a writer that finds nobody asleep after its change was seen by all who look later, and saves the
 * call. It forgets the sleepers before it counts, so that whoever it forgot sees another number than it noted.
 * (A writer killed between the two delays a sleeper until it looks by itself.) The model is tests/model/wait.pml.
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
	ipcu_hint("use another name, or remove it with ipc-rm to create it anew");
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
			  "the memory is damaged: its name says %llu bytes, there are %llu",
			  (unsigned long long)length, (unsigned long long)there);
		ipcu_hint("remove it with ipc-rm -f and create it again");
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

/* IPCU_NOT_FOUND: it went just now. */
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

static enum ipcu_result open_once(ipcu_shm *shm, const struct ipcu_shm_layout *layout,
				  const struct ipcu_open *how)
{
	uint64_t definition[4] = { 0 };
	struct ipcu_open only = how ? *how : (struct ipcu_open){ 0 };
	struct shmid_ds segment;
	enum ipcu_result result;
	unsigned mode;

	if (!layout || !layout->count)
		only.create = IPCU_CREATE_NEVER;
	else if (__builtin_mul_overflow(layout->count, (uint64_t)ipcu_type_size(layout->type),
					&definition[IPCU_SHM_LENGTH]))
		return ipcu_fail_call("shmget", EINVAL, "cannot create it");
	definition[IPCU_SHM_TYPE] = layout ? layout->type : IPCU_BYTES;
	result = ipcu_object_open(&shm->object, &ipcu_shm_ops, shm->typed, &only, definition);
	if (result == IPCU_OK)
		result = attach(shm);
	if (result != IPCU_OK)
		return result;
	/* What is attached stays; whether it is still what the name leads to is asked now. */
	if (ipcu_stat_segment(shm->object.id, &segment) < 0 || segment.shm_perm.mode & SHM_DEST)
		return ipcu_fail_call("shmat", EIDRM, "cannot attach it");
	if (shm->object.named && segment.shm_perm.cuid != shm->object.owner)
		return ipcu_fail_call("shmat", EIDRM, "cannot attach it");
	atomic_store(&shm->lock, shm->object.definition[IPCU_SHM_LOCK]);
	result = understand(shm, layout, segment.shm_segsz);
	if (result != IPCU_OK)
		return result;
	if (shm->object.named)
		shm->tail = ipcu_shm_tail(shm->data, segment.shm_segsz);
	mode = segment.shm_perm.mode & 0777;
	shm->wakes_always = ((mode & 0444) >> 1 & ~mode) != 0;
	return IPCU_OK;
}

/* A publisher that was killed left the name on a key that is not its own: end its work. */
static void settle(ipcu_shm *shm)
{
	struct ipcu_registry registry;
	struct ipcu_record record;

	if (ipcu_registry_open_locked(&registry, shm->object.owner, false) != IPCU_OK)
		return;
	if (ipcu_registry_find(&registry, shm->object.name, &record) == IPCU_OK &&
	    record.kind == IPCU_KIND_MEMORY)
		ipcu_shm_settle(&registry, shm->object.name, &record, false);
	ipcu_registry_unlock_close(&registry);
}

/* Others cannot make its lock, so it has one from the beginning, or is not made at all. */
static enum ipcu_result make_with_lock(ipcu_shm *shm)
{
	enum ipcu_result result = ipcu_shm_lock_make(shm);
	struct ipcu_error error = *ipcu_last_error();

	if (result == IPCU_OK || result == IPCU_NOT_FOUND)
		return result;
	ipcu_remove(shm->object.name, IPCU_KIND_MEMORY, IPCU_REMOVE_FORCE);
	ipcu_error_restore(&error);
	return result;
}

static enum ipcu_result open_shm(ipcu_shm *shm, const struct ipcu_shm_layout *layout,
				 const struct ipcu_open *how)
{
	enum ipcu_result result = IPCU_OK;

	for (int attempt = 0; attempt < TRIES; attempt++) {
		result = open_once(shm, layout, how);
		if (result == IPCU_OK && shm->object.named && ipcu_stage_key(shm->object.key) &&
		    shm->object.owner == geteuid() && attempt < 2) {
			detach(shm);
			settle(shm);
			continue;
		}
		if (result != IPCU_NOT_FOUND || strcmp(ipcu_last_error()->call, "shmat") != 0)
			break;
		detach(shm);
	}
	if (result == IPCU_OK && shm->object.created && shm->object.named &&
	    shm->object.perm.mode & 066)
		result = make_with_lock(shm);
	if (result != IPCU_OK)
		detach(shm);
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

void *ipcu_shm_data(ipcu_shm *shm, size_t *size)
{
	*size = shm->size;
	return shm->data;
}

enum ipcu_result ipcu_shm_writable(ipcu_shm *shm)
{
	return shm->writable ? IPCU_OK
			     : ipcu_object_denied(&shm->object, "shmat", "cannot change it");
}

enum ipcu_result ipcu_shm_status(ipcu_shm *shm, struct ipcu_shm_info *info)
{
	struct shmid_ds segment;

	if (ipcu_stat_segment(shm->object.id, &segment) < 0)
		return ipcu_fail_call("shmctl", errno == EINVAL ? EIDRM : errno,
				      "cannot look at it");
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
