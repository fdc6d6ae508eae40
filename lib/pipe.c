/* SPDX-License-Identifier: MIT
 * pipe.c - the two ends of a pipe: coming, knowing of the other, leaving
 *
 * A pipe is a segment, which holds the rings (pipe-ring.c), and a set of semaphores on the same key (keys of sets and of
 * segments are separate) that says who is there. For each end
 *
 *   PRESENT  1 while a process is at it, taken with undo: the kernel takes it back, whatever ends the process
 *   JOINED   1 from when that process is ready until the session is over
 *
 * so an end that is joined and not present has left, or died, and there is no third thing it could be. One session is one
 * process at each end, from the first that comes until the last that leaves:
 *
 *   come    {PRESENT 0 -> 1 undo} only while the end is not joined, nor the other one dead; make the own words in the head
 *           zero; {JOINED + 1}; wait until the other one is joined
 *   leave   {PRESENT - 1 undo}
 *   clear   {both PRESENT are zero, take back both JOINED}: by who comes next, after a session
 *
 * Each is one step. An end's words in the head are touched by the process that is present there and, once that is joined, read by
 * the other; so nobody needs to make the head zero for both.
 *
 * The last to leave removes it all, so that nothing is left behind: {the other one is not PRESENT, own PRESENT - 1, CLOSING + 1
 * undo} in one step, and then segment, set and name. Who comes meanwhile waits for CLOSING, finds the set gone, and opens the
 * name anew. Only its owner can remove a pipe: so if the other end is another user's, the owner waits for a moment until that has left.
 * A pipe whose ends were both killed stays, and the next session clears it.
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

enum {
	PRESENT = 0,
	JOINED = 2,
	CLOSING = 4,
	SEMAPHORES = 7
}; /* more than it needs, to be told from others */
#define PAGE 4096
#define CAPACITY_MAX (UINT64_C(1) << 30) /* pipe-ring.c: what half a word can count */
#define CAPACITY_DEFAULT (UINT64_C(1) << 20)
#define TRIES 1000		     /* how often a pipe may end while we come */
#define FAREWELL INT64_C(2000000000) /* the other end notices within a second */
#define ANY_END 2

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

static int create(key_t key, int flags, const uint64_t definition[4])
{
	return shmget(key, segment_size(definition), flags);
}

int ipcu_pipe_set(key_t key, uid_t owner)
{
	int id = ipcu_family_get(IPCU_FAMILY_SET, key);
	struct semid_ds set;

	if (id < 0 || ipcu_stat_set(id, &set) < 0)
		return -1;
	if (set.sem_nsems == SEMAPHORES && set.sem_perm.cuid == owner)
		return id;
	errno = EEXIST;
	return -1;
}

/* The set beside the segment; all zero is nobody there. */
static enum ipcu_result init(int id, const uint64_t definition[4])
{
	struct ipc_perm perm;

	(void)definition;
	if (ipcu_family_stat(IPCU_FAMILY_SEGMENT, id, &perm) < 0)
		return ipcu_fail_call("shmctl", errno, "cannot create it");
	if (semget(PERM_KEY(perm), SEMAPHORES, IPC_CREAT | IPC_EXCL | (int)(perm.mode & 0666)) >= 0)
		return IPCU_OK;
	return errno == EEXIST ? IPCU_CONFLICT
			       : ipcu_fail_call("semget", errno, "cannot create it");
}

static void remove_rest(uid_t owner, const struct ipcu_record *record)
{
	int set = ipcu_pipe_set(record->key, owner);

	if (set >= 0)
		ipcu_family_remove(IPCU_FAMILY_SET, set);
}

/* What is in the rings, as far as it can be. */
static uint64_t bytes_in(const struct ipcu_info *info)
{
	const struct ipcu_pipe_head *head = shmat(info->id, NULL, SHM_RDONLY);
	uint64_t bytes = 0;

	if (head == (void *)-1)
		return 0;
	for (unsigned i = 0; i < 2 && info->size >= IPCU_PIPE_HEAD; i++) {
		uint64_t taken = atomic_load(&head->rings[i].taken) / 2;
		uint64_t used = atomic_load(&head->rings[i].written) / 2 - taken;

		bytes += used <= info->bytes_max ? used : 0;
	}
	shmdt(head);
	return bytes;
}

static void describe(struct ipcu_info *info)
{
	int set = ipcu_pipe_set(info->key, info->creator);
	unsigned short values[SEMAPHORES];

	info->bytes_max = info->definition[IPCU_PIPE_CAPACITY];
	if (set < 0 || semctl(set, 0, GETALL, (union semun){ .array = values }) < 0)
		return;
	for (unsigned end = 0; end < 2; end++)
		info->ends |= values[PRESENT + end] ? 1u << end : 0;
	info->bytes = info->ends ? bytes_in(info) : 0;
}

const struct ipcu_kind_ops ipcu_pipe_ops = {
	.kind = IPCU_KIND_PIPE,
	.family = IPCU_FAMILY_SEGMENT,
	.call = "shmget",
	.create = create,
	.init = init,
	.remove = remove_rest,
	.describe = describe,
};

/* ---- who is there --------------------------------------------------------- */

static enum ipcu_result failed(const ipcu_pipe *pipe, int errnum, const char *doing,
			       const struct timespec *deadline)
{
	if (errnum == EINVAL)
		errnum = EIDRM;
	return ipcu_steps_failed(&pipe->object, errnum, doing, deadline);
}

enum ipcu_result ipcu_pipe_other(const ipcu_pipe *pipe, bool *there)
{
	int value = semctl(pipe->set, (int)(PRESENT + !pipe->end), GETVAL);

	if (value < 0)
		return failed(pipe, errno, "cannot go on", NULL);
	*there = value > 0;
	return IPCU_OK;
}

/* Add: SEMAPHORE is VALUE now, or it all fails with EAGAIN. */
static void expect(struct ipcu_steps *steps, unsigned semaphore, unsigned value)
{
	if (value)
		ipcu_step(steps, semaphore, -1, IPC_NOWAIT);
	ipcu_step(steps, semaphore, 0, IPC_NOWAIT);
	if (value)
		ipcu_step(steps, semaphore, 1, 0);
}

/* ---- coming --------------------------------------------------------------- */

static bool is_over(const unsigned short values[SEMAPHORES])
{
	return (values[JOINED] && !values[PRESENT]) || (values[JOINED + 1] && !values[PRESENT + 1]);
}

/*
 * Wait until those of the last session have left, and forget them. 0 or an errno; EAGAIN also if somebody was faster. Only
 * who was there is waited for: somebody at an end that was empty is of the next session already.
 */
static int clear(const ipcu_pipe *pipe, const unsigned short values[SEMAPHORES],
		 const struct timespec *deadline)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, CLOSING, 0, 0);
	for (unsigned end = 0; end < 2; end++)
		ipcu_step(&steps, PRESENT + end, 0, values[PRESENT + end] ? 0 : IPC_NOWAIT);
	for (unsigned end = 0; end < 2; end++)
		if (values[JOINED + end])
			ipcu_step(&steps, JOINED + end, -1, IPC_NOWAIT);
	return ipcu_steps_do(pipe->set, &steps, deadline);
}

/* Be present at the end, if it is as in VALUES. */
static int enter(const ipcu_pipe *pipe, const unsigned short values[SEMAPHORES])
{
	struct ipcu_steps steps = { .count = 0 };
	unsigned other = !pipe->end;

	ipcu_step(&steps, CLOSING, 0, 0);
	expect(&steps, JOINED + pipe->end, 0);
	expect(&steps, PRESENT + pipe->end, 0);
	expect(&steps, JOINED + other, values[JOINED + other]);
	if (values[JOINED + other])
		expect(&steps, PRESENT + other, 1);
	ipcu_step(&steps, PRESENT + pipe->end, 1, SEM_UNDO);
	return ipcu_steps_do(pipe->set, &steps, NULL);
}

static enum ipcu_result occupied(const ipcu_pipe *pipe, unsigned wanted)
{
	static const char *const what[] = { "it has a writer already", "it has a reader already",
					    "both its ends are taken already" };
	unsigned first = atomic_load(&pipe->head->pid[wanted == 1]);

	ipcu_fail(IPCU_CONFLICT, "%s: process %u", what[wanted], first);
	if (wanted == ANY_END)
		ipcu_fail(IPCU_CONFLICT, "%s: processes %u and %u", what[wanted], first,
			  atomic_load(&pipe->head->pid[1]));
	ipcu_hint(
		"a pipe is for two processes: take another NAME, or a queue, which is for any number");
	return IPCU_CONFLICT;
}

/* The first of the ends that are wanted and free; ANY_END if there is none. */
static unsigned choose(unsigned wanted, const unsigned short values[SEMAPHORES])
{
	for (unsigned end = 0; end < 2; end++)
		if ((wanted == end || wanted == ANY_END) && !values[PRESENT + end] &&
		    !values[JOINED + end])
			return end;
	return ANY_END;
}

/* Our words in the head, which nobody else looks at until we are joined. */
static void prepare(ipcu_pipe *pipe)
{
	struct ipcu_pipe_head *head = pipe->head;

	atomic_store(&head->pid[pipe->end], (uint32_t)getpid());
	atomic_store(&head->uid[pipe->end], (uint32_t)geteuid());
	if (pipe->out) {
		atomic_store(&pipe->out->written, 0);
		atomic_store(&pipe->out->writer_asleep, 0);
	}
	if (pipe->in) {
		atomic_store(&pipe->in->taken, 0);
		atomic_store(&pipe->in->reader_asleep, 0);
	}
}

/* With the end known: which ring is for what. */
static void aim(ipcu_pipe *pipe)
{
	struct ipcu_pipe_head *head = pipe->head;
	unsigned char *bytes = (unsigned char *)head + IPCU_PIPE_HEAD;
	bool both = pipe->object.definition[IPCU_PIPE_RINGS] == 2;
	unsigned in = pipe->end == 1 ? 0 : 1, out = !in;

	pipe->out = pipe->end == 0 || both ? &head->rings[out] : NULL;
	pipe->in = pipe->end == 1 || both ? &head->rings[in] : NULL;
	pipe->out_bytes = bytes + out * pipe->capacity;
	pipe->in_bytes = bytes + in * pipe->capacity;
}

/* Become present. IPCU_NOT_FOUND: the pipe ended just now, and is to be opened again. */
static enum ipcu_result come(ipcu_pipe *pipe, unsigned wanted, const struct timespec *deadline)
{
	unsigned short values[SEMAPHORES];
	int errnum = EAGAIN;

	while (errnum == EAGAIN) {
		if (semctl(pipe->set, 0, GETALL, (union semun){ .array = values }) < 0)
			return failed(pipe, errno, "cannot open it", NULL);
		if (is_over(values)) {
			errnum = clear(pipe, values, deadline);
			if (errnum == EAGAIN && deadline && ipcu_deadline_passed(deadline))
				break;
			if (!errnum)
				errnum = EAGAIN;
			continue;
		}
		pipe->end = choose(wanted, values);
		if (pipe->end == ANY_END)
			return occupied(pipe, wanted);
		errnum = enter(pipe, values);
	}
	if (errnum)
		return failed(pipe, errnum, "cannot open it", deadline);
	pipe->present = true;
	return IPCU_OK;
}

/* Say that we are ready. */
static enum ipcu_result join(ipcu_pipe *pipe)
{
	struct ipcu_steps steps = { .count = 0 };
	int errnum;

	aim(pipe);
	prepare(pipe);
	ipcu_step(&steps, JOINED + pipe->end, 1, 0);
	errnum = ipcu_steps_do(pipe->set, &steps, NULL);
	return errnum ? failed(pipe, errnum, "cannot open it", NULL) : IPCU_OK;
}

enum ipcu_result ipcu_pipe_meet(ipcu_pipe *pipe, const struct timespec *deadline)
{
	struct ipcu_steps steps = { .count = 0 };
	unsigned other = JOINED + !pipe->end;
	int errnum;

	ipcu_step(&steps, other, -1, 0);
	ipcu_step(&steps, other, 1, 0);
	errnum = ipcu_steps_do(pipe->set, &steps, deadline);
	if (errnum)
		return failed(pipe, errnum, "cannot wait for the other end", deadline);
	pipe->met = true;
	return IPCU_OK;
}

/* ---- leaving -------------------------------------------------------------- */

static bool may_remove(uid_t user, const ipcu_pipe *pipe)
{
	return user == 0 || user == pipe->object.owner;
}

/* Leave, if the other one has. WAIT until then for a moment. */
static int leave_last(const ipcu_pipe *pipe, bool wait)
{
	struct ipcu_steps steps = { .count = 0 };
	struct timespec farewell = ipcu_deadline_in(FAREWELL);

	ipcu_step(&steps, PRESENT + !pipe->end, 0, wait ? 0 : IPC_NOWAIT);
	ipcu_step(&steps, PRESENT + pipe->end, -1, SEM_UNDO | IPC_NOWAIT);
	ipcu_step(&steps, CLOSING, 1, SEM_UNDO);
	return ipcu_steps_do(pipe->set, &steps, wait ? &farewell : NULL);
}

/* Leave, if the other one has not, and so will be the last. */
static int leave_first(const ipcu_pipe *pipe, bool surely)
{
	struct ipcu_steps steps = { .count = 0 };

	if (!surely)
		expect(&steps, PRESENT + !pipe->end, 1);
	ipcu_step(&steps, PRESENT + pipe->end, -1, SEM_UNDO | IPC_NOWAIT);
	return ipcu_steps_do(pipe->set, &steps, NULL);
}

/* With the lock, and nobody at its ends nor about to be. */
static void remove_parts(struct ipcu_registry *registry, const char *name,
			 const struct ipcu_record *record)
{
	ipcu_family_remove(IPCU_FAMILY_SEGMENT, record->id);
	remove_rest(registry->owner, record);
	ipcu_registry_drop(registry, name);
}

static void remove_all(const ipcu_pipe *pipe)
{
	struct ipcu_registry registry;
	struct ipcu_record record;

	if (ipcu_registry_open_locked(&registry, pipe->object.owner, false) != IPCU_OK)
		return; /* what is left is as if we had been killed here */
	if (ipcu_registry_find(&registry, pipe->object.name, &record) == IPCU_OK &&
	    record.kind == IPCU_KIND_PIPE && record.id == pipe->object.id)
		remove_parts(&registry, pipe->object.name, &record);
	ipcu_registry_unlock_close(&registry);
}

/* If nobody is at either end, nobody will be: they wait for CLOSING. False if somebody is. */
static bool close_empty(int set)
{
	struct ipcu_steps steps = { .count = 0 };

	for (unsigned end = 0; end < 2; end++)
		expect(&steps, PRESENT + end, 0);
	expect(&steps, CLOSING, 0);
	ipcu_step(&steps, CLOSING, 1, SEM_UNDO);
	return ipcu_steps_do(set, &steps, NULL) == 0;
}

bool ipcu_pipe_settle(struct ipcu_registry *registry, const char *name,
		      const struct ipcu_record *record, bool dry_run)
{
	int set = ipcu_pipe_set(record->key, registry->owner);
	unsigned short values[SEMAPHORES];

	if (set < 0 || semctl(set, 0, GETALL, (union semun){ .array = values }) < 0 ||
	    !is_over(values) || values[PRESENT] || values[PRESENT + 1])
		return false;
	if (dry_run)
		return true;
	if (!close_empty(set))
		return false;
	remove_parts(registry, name, record);
	return true;
}

static void leave(ipcu_pipe *pipe)
{
	uid_t other = atomic_load(&pipe->head->uid[!pipe->end]);
	int errnum = EAGAIN;

	if (may_remove(geteuid(), pipe)) {
		bool wait = !may_remove(other, pipe);

		/*
		 * Nobody is the last if each believes that of the other: so both steps look. Who may write the
		 * set can make neither of them possible; then there is nothing of ours to take back.
		 */
		for (int try = 0; try < TRIES && (errnum == EAGAIN || errnum == EINTR); try++) {
			errnum = leave_last(pipe, wait);
			if (!errnum)
				remove_all(pipe);
			else if (errnum == EAGAIN)
				errnum = leave_first(pipe, false);
		}
	} else {
		leave_first(pipe, true);
	}
	pipe->present = false;
	/* Who sleeps on our words need not wait for its next look. */
	if (pipe->out)
		ipcu_pipe_wake(&pipe->out->written, &pipe->out->reader_asleep);
	if (pipe->in)
		ipcu_pipe_wake(&pipe->in->taken, &pipe->in->writer_asleep);
}

void ipcu_pipe_close(ipcu_pipe *pipe)
{
	struct ipcu_error error = *ipcu_last_error();

	if (!pipe)
		return;
	if (pipe->present)
		leave(pipe);
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
		return ipcu_fail(IPCU_SYSTEM, "the registry is damaged: it has no such pipe");
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
	ipcu_hint("who comes first says how large it is");
	return IPCU_CONFLICT;
}

/* What was left by the killed is no reason for a conflict: remove it. False if somebody is there. */
static bool discard(ipcu_pipe *pipe)
{
	pipe->set = ipcu_pipe_set(pipe->object.key, pipe->object.owner);
	if (pipe->set < 0 || !may_remove(geteuid(), pipe) || !close_empty(pipe->set))
		return false;
	remove_all(pipe);
	return true;
}

/* Attach both parts. IPCU_NOT_FOUND: it ended just now. */
static enum ipcu_result attach(ipcu_pipe *pipe)
{
	struct shmid_ds segment;
	void *head;

	pipe->set = ipcu_pipe_set(pipe->object.key, pipe->object.owner);
	if (pipe->set < 0 && errno == EEXIST)
		return ipcu_fail(IPCU_CONFLICT, "another program's semaphores have its key");
	if (pipe->set < 0)
		return failed(pipe, errno == ENOENT ? EIDRM : errno, "cannot open it", NULL);
	head = shmat(pipe->object.id, NULL, 0);
	if (head == (void *)-1 && errno == EACCES)
		return ipcu_object_denied(&pipe->object, "shmat", "cannot use it");
	if (head == (void *)-1)
		return ipcu_fail_call("shmat", errno == EINVAL ? EIDRM : errno, "cannot use it");
	pipe->head = head;
	if (ipcu_stat_segment(pipe->object.id, &segment) < 0)
		return ipcu_fail_call("shmctl", EIDRM, "cannot use it");
	if (segment.shm_segsz < segment_size(pipe->object.definition))
		return ipcu_fail(IPCU_SYSTEM, "the pipe is damaged: its segment is too small");
	pipe->capacity = (size_t)pipe->object.definition[IPCU_PIPE_CAPACITY];
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
		*again = result == IPCU_CONFLICT && discard(pipe);
		return result;
	}
	result = attach(pipe);
	if (result == IPCU_OK)
		result = come(pipe, wanted, deadline);
	if (result == IPCU_OK)
		result = join(pipe);
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
		result = ipcu_fail(IPCU_SYSTEM, "the pipe is damaged: a part of it is gone");
		ipcu_hint("another program removed it; remove the rest with ipc-rm -f");
	}
	if (result == IPCU_OK)
		*out = pipe;
	else
		ipcu_pipe_close(pipe);
	return result;
}
