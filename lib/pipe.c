/* SPDX-License-Identifier: MIT
 * pipe.c - pipes: making, opening, removing
 *
 * A pipe is a segment, which holds the rings (pipe-ring.c), and a set of semaphores on the same key (keys of sets and of
 * segments are separate) that says who is there (pipe-ends.c). It lasts as long as a session: the last to leave removes it,
 * so that nothing is left behind. A pipe whose ends were both killed stays, and the next session clears it.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "pipe.h"
#include "queue.h"
#include "steps.h"

#define PAGE 4096
#define CAPACITY_MAX (UINT64_C(1) << 30) /* pipe-ring.c: what half a word can count */
#define CAPACITY_DEFAULT (UINT64_C(1) << 20)
#define TRIES 1000 /* how often a pipe may end while we come */

/* ---- the kind ------------------------------------------------------------- */

static size_t segment_size(const uint64_t definition[4])
{
	return IPCU_PIPE_HEAD +
	       (size_t)(definition[IPCU_PIPE_CAPACITY] * definition[IPCU_PIPE_RINGS]);
}

/* Whatever a registry says: there is such a pipe. */
static bool plausible(const uint64_t definition[4])
{
	uint64_t capacity = definition[IPCU_PIPE_CAPACITY], rings = definition[IPCU_PIPE_RINGS];

	return capacity && capacity <= CAPACITY_MAX && capacity % PAGE == 0 &&
	       (rings == 1 || rings == 2);
}

/* The set says how many rings there are, the segment how large they are. */
static bool redefine(struct ipcu_found *found, uint64_t definition[4])
{
	struct shmid_ds segment;

	if (found->id < 0 || ipcu_stat_segment(found->id, &segment) < 0 ||
	    segment.shm_segsz < IPCU_PIPE_HEAD || found->detail < 1)
		return false;
	definition[IPCU_PIPE_RINGS] = found->detail;
	definition[IPCU_PIPE_CAPACITY] = (segment.shm_segsz - IPCU_PIPE_HEAD) / found->detail;
	return plausible(definition) && segment_size(definition) == segment.shm_segsz;
}

static int create(key_t key, int flags, const uint64_t definition[4])
{
	return shmget(key, segment_size(definition), flags);
}

/* The set beside the segment; apart from its identity, all zero is no process at either end. */
static enum ipcu_result prepare(const struct ipcu_object *object, key_t key, mode_t mode,
				uint64_t definition[4])
{
	return ipcu_pipe_set_make(object, key, mode, definition);
}

static unsigned companion(const struct ipcu_record *record, key_t *key)
{
	*key = record->key;
	return ipcu_pipe_set_members();
}

/*
 * The ends of a set without a segment, if any, can never be met by a process that opens the name. So the set goes whether they
 * are idle or not, and they learn that the pipe was removed.
 */
static void remove_rest(uid_t owner, const char *name, const struct ipcu_record *record,
			bool idle_only)
{
	int set = ipcu_pipe_set_of(record->key, owner, name);

	(void)idle_only;
	if (set >= 0)
		ipcu_family_remove(IPCU_FAMILY_SET, set);
}

/* The set of the pipe whose segment ID is, as far as its key and its creator prove it; -1: none. */
static int set_of_segment(int id, const struct ipcu_record *record)
{
	struct ipc_perm perm;

	if (ipcu_family_stat(IPCU_FAMILY_SEGMENT, id, &perm) < 0 || PERM_KEY(perm) != record->key)
		return -1;
	return ipcu_pipe_set(record->key, perm.cuid);
}

static enum ipcu_result used(unsigned ends)
{
	static const char *const what[] = { "other processes keep changing it",
					    "a process is at its first end",
					    "a process is at its second end",
					    "processes are at both ends" };

	ipcu_fail(IPCU_CONFLICT, "it is in use: %s", what[ends & 3]);
	ipcu_hint(
		"wait until it is no longer in use; ipc-ls -o +USE shows the processes that use it");
	return IPCU_CONFLICT;
}

static enum ipcu_result in_use(int id, const struct ipcu_record *record)
{
	int set = set_of_segment(id, record);
	bool over;
	unsigned ends = set < 0 ? 0 : ipcu_pipe_ends(set, &over);

	return ends ? used(ends) : IPCU_OK;
}

static enum ipcu_result seal(int id, const struct ipcu_record *record)
{
	int set = set_of_segment(id, record);
	bool over;

	/* Any other errno: it is gone, or this process may not change it, and then it is as far as one can look. */
	if (set >= 0 && ipcu_pipe_close_empty(set, &ipcu_no_wait) == EAGAIN)
		return used(ipcu_pipe_ends(set, &over));
	return in_use(id, record);
}

/*
 * The number of bytes in the rings. Each word is read once, and a number that cannot be counts as none. JOINED has a bit for
 * each end that has begun the present session: the words of the other end are still those of the session before.
 */
static uint64_t bytes_in(const struct ipcu_info *info, unsigned joined)
{
	const struct ipcu_pipe_head *head;
	struct shmid_ds segment;
	uint64_t bytes = 0;

	if (!plausible(info->definition) || ipcu_stat_segment(info->id, &segment) < 0 ||
	    segment.shm_segsz < IPCU_PIPE_HEAD)
		return 0;
	head = shmat(info->id, NULL, SHM_RDONLY);
	if (head == (void *)-1)
		return 0;
	for (unsigned i = 0; i < info->definition[IPCU_PIPE_RINGS]; i++) {
		bool writer = joined >> i & 1, reader = joined >> !i & 1;
		uint64_t taken = reader ? atomic_load(&head->rings[i].taken) / 2 : 0;
		uint64_t used = atomic_load(&head->rings[i].written) / 2 - taken;

		bytes += writer && used <= info->bytes_max ? used : 0;
	}
	shmdt(head);
	return bytes;
}

static void describe(struct ipcu_info *info)
{
	int set = ipcu_pipe_set(info->key, info->creator);
	bool over;

	info->bytes_max = info->definition[IPCU_PIPE_CAPACITY];
	info->ends = set < 0 ? 0 : ipcu_pipe_ends(set, &over);
	info->bytes = info->ends ? bytes_in(info, ipcu_pipe_joined(set)) : 0;
}

const struct ipcu_kind_ops ipcu_pipe_ops = {
	.kind = IPCU_KIND_PIPE,
	.family = IPCU_FAMILY_SEGMENT,
	.call = "shmget",
	.create = create,
	.prepare = prepare,
	.companion = companion,
	.redefine = redefine,
	.plausible = plausible,
	.seal = seal,
	.in_use = in_use,
	.remove = remove_rest,
	.describe = describe,
};

/* ---- removing ----------------------------------------------------------- */

static bool may_remove(uid_t user, const ipcu_pipe *pipe)
{
	return user == 0 || user == pipe->object.owner;
}

/*
 * Remove the segment and the set of OWNER's pipe, by their identifiers. Caller has closed the set, so it exists, and no
 * process is at an end.
 */
static void remove_parts(uid_t owner, key_t key, int segment, int set)
{
	struct ipc_perm perm;

	if (ipcu_family_stat(IPCU_FAMILY_SEGMENT, segment, &perm) == 0 && perm.cuid == owner &&
	    PERM_KEY(perm) == key)
		ipcu_family_remove(IPCU_FAMILY_SEGMENT, segment);
	ipcu_family_remove(IPCU_FAMILY_SET, set);
}

/* Remove a pipe that this process has closed, also if the registry was removed. */
static void remove_all(const ipcu_pipe *pipe)
{
	const struct ipcu_object *object = &pipe->object;
	struct ipcu_registry registry;
	struct ipcu_record record;
	enum ipcu_result result = ipcu_registry_open_any(&registry, object->owner);

	if (result == IPCU_OK) {
		remove_parts(object->owner, object->key, object->id, pipe->set);
		if (ipcu_registry_find(&registry, object->name, &record) == IPCU_OK &&
		    record.kind == IPCU_KIND_PIPE && record.id == object->id)
			ipcu_registry_drop(&registry, object->name);
		ipcu_registry_unlock_close(&registry);
	}
	ipcu_pipe_reopen(pipe->set);
}

/*
 * Caller holds the registry lock, and the pipe of RECORD has no set. Remove its segment if no process has it attached: no
 * process can use a pipe without its set, which is created first.
 */
static bool settle_segment(struct ipcu_registry *registry, const char *name,
			   const struct ipcu_record *record, bool dry_run)
{
	struct shmid_ds segment;

	if (ipcu_stat_segment(record->id, &segment) < 0 || segment.shm_nattch ||
	    segment.shm_perm.cuid != registry->owner || PERM_KEY(segment.shm_perm) != record->key)
		return false;
	if (dry_run)
		return true;
	if (ipcu_family_remove(IPCU_FAMILY_SEGMENT, record->id) < 0)
		return false;
	ipcu_registry_drop(registry, name);
	return true;
}

bool ipcu_pipe_settle(struct ipcu_registry *registry, const char *name,
		      const struct ipcu_record *record, bool dry_run)
{
	int set = ipcu_pipe_set_of(record->key, registry->owner, name);

	if (set < 0 && errno == ENOENT)
		return settle_segment(registry, name, record, dry_run);
	if (set < 0 || !ipcu_pipe_is_left(set))
		return false;
	if (dry_run)
		return true;
	if (ipcu_pipe_close_empty(set, &ipcu_no_wait))
		return false;
	remove_parts(registry->owner, record->key, record->id, set);
	ipcu_registry_drop(registry, name);
	ipcu_pipe_reopen(set);
	return true;
}

void ipcu_pipe_close(ipcu_pipe *pipe)
{
	struct ipcu_error error = *ipcu_last_error();

	if (!pipe)
		return;
	if (pipe->present &&
	    ipcu_pipe_leave(pipe, may_remove(geteuid(), pipe),
			    !may_remove(atomic_load(&pipe->head->uid[!pipe->end]), pipe)))
		remove_all(pipe);
	if (pipe->head)
		shmdt(pipe->head);
	free(pipe);
	ipcu_error_restore(&error);
}

/* ---- opening -------------------------------------------------------------- */

static enum ipcu_result check_definition(const ipcu_pipe *pipe, const uint64_t wanted[4],
					 bool any_size)
{
	const uint64_t *there = pipe->object.definition;

	if (!plausible(there))
		return ipcu_fail(IPCU_SYSTEM,
				 "the registry is corrupted: no pipe can have this definition");
	if (there[IPCU_PIPE_RINGS] != wanted[IPCU_PIPE_RINGS]) {
		ipcu_fail(IPCU_CONFLICT, there[IPCU_PIPE_RINGS] == 2 ? "it goes both ways"
								     : "it goes one way only");
		ipcu_hint("ipc-pipe %s", there[IPCU_PIPE_RINGS] == 2 ? "connect is for it"
								     : "read and write are for it");
		return IPCU_CONFLICT;
	}
	if (any_size || there[IPCU_PIPE_CAPACITY] == wanted[IPCU_PIPE_CAPACITY])
		return IPCU_OK;
	ipcu_fail(IPCU_CONFLICT, "it was made with --size=%llu",
		  (unsigned long long)there[IPCU_PIPE_CAPACITY]);
	ipcu_hint("the first process to open a pipe sets its size");
	return IPCU_CONFLICT;
}

/*
 * A pipe that killed processes left is no reason for a conflict: remove it, or wait until another process that opens the name
 * has removed it. False if a process is at an end.
 */
static bool discard(ipcu_pipe *pipe, const struct timespec *deadline)
{
	int errnum;

	pipe->set = ipcu_pipe_set_of(pipe->object.key, pipe->object.owner, pipe->object.name);
	if (pipe->set < 0)
		return errno == ENOENT;
	if (!may_remove(geteuid(), pipe))
		return false;
	errnum = ipcu_pipe_close_empty(pipe->set, deadline);
	if (errnum == 0)
		remove_all(pipe);
	return errnum == 0 || errnum == EIDRM;
}

/* Attach the segment, if it is as large as the definition says. IPCU_NOT_FOUND: the pipe ended just now. */
static enum ipcu_result attach_segment(ipcu_pipe *pipe, struct ipc_perm *perm)
{
	struct shmid_ds segment;
	void *head = shmat(pipe->object.id, NULL, 0);

	if (head == (void *)-1 && errno == EACCES)
		return ipcu_object_denied(&pipe->object, "shmat", "cannot use it");
	if (head == (void *)-1)
		return ipcu_fail_call("shmat", errno == EINVAL ? EIDRM : errno, "cannot use it");
	pipe->head = head;
	if (ipcu_stat_segment(pipe->object.id, &segment) < 0)
		return ipcu_fail_call("shmctl", EIDRM, "cannot use it");
	if (segment.shm_segsz < segment_size(pipe->object.definition))
		return ipcu_fail(IPCU_SYSTEM, "the pipe is corrupted: its segment is too small");
	pipe->capacity = (size_t)pipe->object.definition[IPCU_PIPE_CAPACITY];
	*perm = segment.shm_perm;
	return IPCU_OK;
}

/* Attach both parts. IPCU_NOT_FOUND: the pipe ended just now. */
static enum ipcu_result attach(ipcu_pipe *pipe)
{
	struct ipc_perm perm;
	enum ipcu_result result = attach_segment(pipe, &perm);

	if (result != IPCU_OK)
		return result;
	pipe->set = ipcu_pipe_set_of(pipe->object.key, pipe->object.owner, pipe->object.name);
	if (pipe->set < 0 && errno == EEXIST)
		return ipcu_fail(IPCU_CONFLICT, "a different program's semaphores have its key");
	if (pipe->set < 0)
		return ipcu_pipe_failed(pipe, errno == ENOENT ? EIDRM : errno, "cannot open it",
					NULL);
	ipcu_pipe_set_follow(pipe->set, &perm);
	return IPCU_OK;
}

/* *AGAIN: it was found, and gone before we were in it. A session has just ended, and with it the pipe. */
static enum ipcu_result open_once(ipcu_pipe *pipe, const char *name, unsigned wanted, bool any_size,
				  const uint64_t definition[4], const struct ipcu_open *how,
				  const struct timespec *deadline, bool *again)
{
	enum ipcu_result result =
		ipcu_steps_open(&pipe->object, &ipcu_pipe_ops, name, how, definition);

	*again = false;
	if (result != IPCU_OK)
		return result;
	result = check_definition(pipe, definition, any_size);
	if (result != IPCU_OK) {
		*again = result == IPCU_CONFLICT && discard(pipe, deadline);
		return result;
	}
	result = attach(pipe);
	if (result == IPCU_OK)
		result = ipcu_pipe_come(pipe, wanted, deadline);
	if (result == IPCU_OK)
		result = ipcu_pipe_join(pipe);
	*again = result == IPCU_NOT_FOUND;
	return result;
}

enum ipcu_result ipcu_pipe_open(ipcu_pipe **out, const char *name, enum ipcu_pipe_end end,
				uint64_t size, const struct ipcu_open *how,
				const struct timespec *deadline)
{
	uint64_t definition[4] = { size ? size : CAPACITY_DEFAULT,
				   end == IPCU_PIPE_CONNECT ? 2 : 1 };
	enum ipcu_result result = IPCU_OK;
	ipcu_pipe *pipe = NULL;
	bool again = true;

	if (size > CAPACITY_MAX)
		return ipcu_fail(IPCU_USAGE, "a pipe has room for %llu bytes at most",
				 (unsigned long long)CAPACITY_MAX);
	definition[IPCU_PIPE_CAPACITY] = (definition[IPCU_PIPE_CAPACITY] + PAGE - 1) / PAGE * PAGE;
	for (int try = 0; again && try < TRIES; try++) {
		ipcu_pipe_close(pipe);
		pipe = calloc(1, sizeof(*pipe));
		if (!pipe)
			return ipcu_fail_call("malloc", ENOMEM, "cannot open it");
		result = open_once(pipe, name, (unsigned)end, size == 0, definition, how, deadline,
				   &again);
	}
	if (again) {
		result = ipcu_fail(IPCU_SYSTEM, "the pipe is corrupted: a part of it was removed");
		ipcu_hint("ipc-rm --stale removes what is left of it");
	}
	if (result == IPCU_OK)
		*out = pipe;
	else
		ipcu_pipe_close(pipe);
	return result;
}
