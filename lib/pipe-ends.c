/* SPDX-License-Identifier: MIT
 * pipe-ends.c - the two ends of a pipe: arriving, meeting, watching the peer, leaving
 *
 * A set of semaphores beside the segment records which ends are taken. For each end
 *
 *   PRESENT  1 while a process is at it, taken with undo: the kernel takes it back, whatever ends the process
 *   JOINED   1 from when that process is ready until the session is over
 *
 * so the process of an end that is joined and not present has left or died. One session is one
 * process at each end, from the first that arrives until the last that leaves:
 *
 *   come    {PRESENT 0 -> 1 undo} only while the end is not joined, and the peer not dead; make the own words in the head
 *           zero; {JOINED + 1}; wait until the peer has joined
 *   leave   {PRESENT - 1 undo}
 *   clear   {both PRESENT are zero, take back both JOINED}: by the process that arrives next, after a session
 *
 * Each is one step. Only the process that is present at an end writes the end's words in the head, and only once the end is
 * joined does the peer read them. So no process needs to make the head zero for both.
 *
 * Memory order: the words are stored before the semop that adds JOINED, and the peer reads them after its semop that found
 * JOINED. The kernel does both under the lock of the set, whose release and acquire order the words between them, also on
 * weakly ordered processors. A process that arrives twice, in two sessions, stores its words only after it cleared the first
 * session; clearing needs both PRESENT to be zero, so no peer of the first session still reads them.
 *
 * The last to leave closes the pipe, so that pipe.c can remove it: {the peer is not PRESENT, own PRESENT - 1, CLOSING + 1
 * undo} in one step. A process that arrives meanwhile waits for CLOSING, finds the set gone, and opens the name again. Only its
 * owner can remove a pipe: if the peer is another user, the owner waits for a moment until it has left.
 *
 * A peer that may write the set can change every value at any time. So each loop here has one limit for all of its attempts.
 *
 * The model is tests/model/pipe-ends.pml.
 */
#include <config.h>

#include <errno.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "identity.h"
#include "pipe.h"
#include "queue.h"
#include "steps.h"

enum {
	PRESENT = 0,
	JOINED = 2,
	CLOSING = 4,
	IDENTITY = 5,
	SEMAPHORES = IDENTITY + IPCU_IDENTITY_MEMBERS
};
#define ANY_END 2
#define PID_MOST 4194304u /* the kernel's own limit */

/* The last end waits so long for a peer of another user to leave. The peer notices within a second. */
#define FAREWELL_NANOSECONDS INT64_C(2000000000)

/* A remover holds CLOSING for microseconds; it waits for the registry lock for half a minute at most. */
#define CLOSING_NANOSECONDS INT64_C(40000000000)

/*
 * How often a step may find the set changed. Each attempt that does not wait takes a microsecond, and fails only if another
 * process made a step meanwhile. After the deadline a few are left, since the steps of honest processes interfere too.
 */
#define CHANGES_MAX 100000
#define CHANGES_LEAST 100

unsigned ipcu_pipe_set_members(void)
{
	return SEMAPHORES;
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

int ipcu_pipe_set_of(key_t key, uid_t owner, const char *name)
{
	int id = ipcu_pipe_set(key, owner);

	errno = id < 0 ? errno : 0;
	if (id < 0 || ipcu_identity_is(id, IPCU_KIND_PIPE, owner, name))
		return id;
	if (errno != EACCES && errno != EIDRM)
		errno = EEXIST;
	return -1;
}

enum ipcu_result ipcu_pipe_set_make(const struct ipcu_object *object, key_t key, mode_t mode,
				    const uint64_t definition[4])
{
	int id = ipcu_pipe_set_of(key, object->owner, object->name);

	/* No segment has the key, so the ends of this set, if any, can never be met. They learn that the pipe is gone. */
	if (id >= 0)
		ipcu_family_remove(IPCU_FAMILY_SET, id);
	return ipcu_identity_make_set(object, key, mode, SEMAPHORES,
				      (unsigned)definition[IPCU_PIPE_RINGS], &id);
}

void ipcu_pipe_set_follow(int set, const struct ipc_perm *segment)
{
	struct semid_ds state;

	if (ipcu_stat_set(set, &state) < 0 ||
	    (state.sem_perm.uid == segment->uid && state.sem_perm.gid == segment->gid &&
	     (state.sem_perm.mode & 0666) == (segment->mode & 0666)))
		return;
	state.sem_perm.uid = segment->uid;
	state.sem_perm.gid = segment->gid;
	state.sem_perm.mode = segment->mode & 0666;
	semctl(set, 0, IPC_SET, (union semun){ .buf = &state });
}

static bool is_over(const unsigned short values[SEMAPHORES])
{
	return (values[JOINED] && !values[PRESENT]) || (values[JOINED + 1] && !values[PRESENT + 1]);
}

bool ipcu_pipe_is_left(int set)
{
	unsigned short values[SEMAPHORES] = { 0 };

	return ipcu_set_read(set, values, SEMAPHORES, NULL) == 0 && is_over(values) &&
	       !values[PRESENT] && !values[PRESENT + 1] && !values[CLOSING];
}

unsigned ipcu_pipe_ends(int set, bool *over)
{
	unsigned short values[SEMAPHORES] = { 0 };

	*over = false;
	if (ipcu_set_read(set, values, SEMAPHORES, NULL) < 0)
		return 0;
	*over = is_over(values);
	return (values[PRESENT] ? 1u : 0) | (values[PRESENT + 1] ? 2u : 0);
}

unsigned ipcu_pipe_joined(int set)
{
	unsigned short values[SEMAPHORES] = { 0 };

	if (ipcu_set_read(set, values, SEMAPHORES, NULL) < 0)
		return 0;
	return (values[JOINED] ? 1u : 0) | (values[JOINED + 1] ? 2u : 0);
}

/* ---- who is there --------------------------------------------------------- */

enum ipcu_result ipcu_pipe_failed(const ipcu_pipe *pipe, int errnum, const char *doing,
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
		return ipcu_pipe_failed(pipe, errno, "cannot go on", NULL);
	*there = value > 0;
	return IPCU_OK;
}

/* Add to STEPS: fail with EAGAIN unless SEMAPHORE has VALUE. */
static void expect(struct ipcu_steps *steps, unsigned semaphore, unsigned value)
{
	if (value)
		ipcu_step(steps, semaphore, -1, IPC_NOWAIT);
	ipcu_step(steps, semaphore, 0, IPC_NOWAIT);
	if (value)
		ipcu_step(steps, semaphore, 1, 0);
}

/* ---- arriving ------------------------------------------------------------- */

static bool plausible(const unsigned short values[SEMAPHORES])
{
	return values[PRESENT] <= 1 && values[PRESENT + 1] <= 1 && values[JOINED] <= 1 &&
	       values[JOINED + 1] <= 1 && values[CLOSING] <= 1;
}

static enum ipcu_result corrupted(void)
{
	ipcu_fail(IPCU_SYSTEM, "the pipe is corrupted: another program changes its semaphores");
	ipcu_hint("stop the programs that use it before it is replaced; ipc-ls -o +USE shows them");
	return IPCU_SYSTEM;
}

/*
 * Wait until the processes of the last session have left, and forget them. 0 or an errno; EAGAIN also if another process
 * did it first. Only processes that were seen are waited for: a process at an end that was empty belongs to the next session.
 */
static int clear(const ipcu_pipe *pipe, const unsigned short values[SEMAPHORES],
		 const struct timespec *deadline)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, CLOSING, 0, IPC_NOWAIT);
	for (unsigned end = 0; end < 2; end++)
		ipcu_step(&steps, PRESENT + end, 0, values[PRESENT + end] ? 0 : IPC_NOWAIT);
	for (unsigned end = 0; end < 2; end++)
		if (values[JOINED + end])
			ipcu_step(&steps, JOINED + end, -1, IPC_NOWAIT);
	return ipcu_steps_do(pipe->set, &steps, deadline);
}

/* Become present at the end, if the set is as in VALUES. */
static int enter(ipcu_pipe *pipe, const unsigned short values[SEMAPHORES])
{
	struct ipcu_steps steps = { .count = 0 };
	unsigned other = !pipe->end;
	int errnum;

	ipcu_step(&steps, CLOSING, 0, IPC_NOWAIT);
	expect(&steps, JOINED + pipe->end, 0);
	expect(&steps, PRESENT + pipe->end, 0);
	expect(&steps, JOINED + other, values[JOINED + other]);
	if (values[JOINED + other])
		expect(&steps, PRESENT + other, 1);
	ipcu_step(&steps, PRESENT + pipe->end, 1, SEM_UNDO);
	errnum = ipcu_steps_do(pipe->set, &steps, NULL);
	pipe->present = !errnum;
	return errnum;
}

/* The process number that an end claims in the shared head, or 0 if no process can have it. */
static unsigned claimed(const ipcu_pipe *pipe, unsigned end)
{
	uint32_t pid = atomic_load(&pipe->head->pid[end]);

	return pid <= PID_MOST ? pid : 0;
}

static enum ipcu_result occupied(const ipcu_pipe *pipe, unsigned wanted)
{
	static const char *const what[] = { "it already has a writer", "it already has a reader",
					    "both its ends are taken" };
	bool any = wanted == ANY_END;
	unsigned first = claimed(pipe, wanted == 1), second = any ? claimed(pipe, 1) : first;

	if (!first || !second)
		ipcu_fail(IPCU_CONFLICT, "%s", what[wanted]);
	else if (any)
		ipcu_fail(IPCU_CONFLICT, "%s: processes %u and %u", what[wanted], first, second);
	else
		ipcu_fail(IPCU_CONFLICT, "%s: process %u", what[wanted], first);
	ipcu_hint(
		"a pipe is for two processes: use another NAME, or a queue, which is for any number");
	return IPCU_CONFLICT;
}

/* The first free one of the wanted ends; ANY_END if there is none. */
static unsigned choose(unsigned wanted, const unsigned short values[SEMAPHORES])
{
	for (unsigned end = 0; end < 2; end++)
		if ((wanted == end || wanted == ANY_END) && !values[PRESENT + end] &&
		    !values[JOINED + end])
			return end;
	return ANY_END;
}

/* Initialise our words in the head, which the peer does not read until we are joined. */
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

/* Point out and in to the rings of our end. */
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

/* Wait until the pipe is removed, or its remover has ended. LAST limits all waits of one arrival. */
static int wait_for_remover(const ipcu_pipe *pipe, const struct timespec *deadline,
			    struct timespec *last)
{
	struct ipcu_steps steps = { .count = 0 };

	if (!last->tv_sec)
		*last = ipcu_deadline_in(CLOSING_NANOSECONDS);
	ipcu_step(&steps, CLOSING, 0, 0);
	return ipcu_steps_do(pipe->set, &steps, ipcu_deadline_earlier(deadline, last));
}

/* Read the set and make the step that it calls for. IPCU_OK: *ERRNUM says what became of it. */
static enum ipcu_result attempt(ipcu_pipe *pipe, unsigned wanted, const struct timespec *deadline,
				struct timespec *last, int *errnum)
{
	unsigned short values[SEMAPHORES] = { 0 };

	if (ipcu_set_read(pipe->set, values, SEMAPHORES, NULL) < 0)
		return ipcu_pipe_failed(pipe, errno, "cannot open it", NULL);
	if (!plausible(values))
		return corrupted();
	if (values[CLOSING]) {
		*errnum = wait_for_remover(pipe, deadline, last);
		return IPCU_OK;
	}
	if (is_over(values)) {
		*errnum = clear(pipe, values, deadline);
		return IPCU_OK;
	}
	pipe->end = choose(wanted, values);
	if (pipe->end == ANY_END)
		return occupied(pipe, wanted);
	*errnum = enter(pipe, values);
	return IPCU_OK;
}

enum ipcu_result ipcu_pipe_come(ipcu_pipe *pipe, unsigned wanted, const struct timespec *deadline)
{
	struct timespec last = { 0, 0 };
	int errnum = 0;

	for (long changes = 0; changes < CHANGES_MAX && !pipe->present; changes++) {
		enum ipcu_result result = attempt(pipe, wanted, deadline, &last, &errnum);

		if (result != IPCU_OK)
			return result;
		if (errnum && errnum != EAGAIN)
			return ipcu_pipe_failed(pipe, errnum, "cannot open it", deadline);
		if (changes >= CHANGES_LEAST && deadline && ipcu_deadline_passed(deadline))
			return ipcu_pipe_failed(pipe, EAGAIN, "cannot open it", deadline);
		if (last.tv_sec && ipcu_deadline_passed(&last))
			break;
	}
	return pipe->present ? IPCU_OK : corrupted();
}

enum ipcu_result ipcu_pipe_join(ipcu_pipe *pipe)
{
	struct ipcu_steps steps = { .count = 0 };
	int errnum;

	aim(pipe);
	prepare(pipe);
	ipcu_step(&steps, JOINED + pipe->end, 1, 0);
	errnum = ipcu_steps_do(pipe->set, &steps, NULL);
	return errnum ? ipcu_pipe_failed(pipe, errnum, "cannot open it", NULL) : IPCU_OK;
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
		return ipcu_pipe_failed(pipe, errnum, "cannot wait for the other end", deadline);
	pipe->met = true;
	return IPCU_OK;
}

/* ---- leaving -------------------------------------------------------------- */

/* Leave, if the peer has left or leaves until FAREWELL. */
static int leave_last(const ipcu_pipe *pipe, const struct timespec *farewell)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, PRESENT + !pipe->end, 0, 0);
	ipcu_step(&steps, PRESENT + pipe->end, -1, SEM_UNDO | IPC_NOWAIT);
	ipcu_step(&steps, CLOSING, 1, SEM_UNDO);
	return ipcu_steps_do(pipe->set, &steps, farewell);
}

/* Leave. Unless SURELY, only if the peer is present, and so will be the last. */
static int leave_first(const ipcu_pipe *pipe, bool surely)
{
	struct ipcu_steps steps = { .count = 0 };

	if (!surely)
		expect(&steps, PRESENT + !pipe->end, 1);
	ipcu_step(&steps, PRESENT + pipe->end, -1, SEM_UNDO | IPC_NOWAIT);
	return ipcu_steps_do(pipe->set, &steps, NULL);
}

int ipcu_pipe_close_empty(int set, const struct timespec *deadline)
{
	struct timespec last = ipcu_deadline_in(CLOSING_NANOSECONDS);
	struct ipcu_steps steps = { .count = 0 };

	for (unsigned end = 0; end < 2; end++)
		expect(&steps, PRESENT + end, 0);
	ipcu_step(&steps, CLOSING, 0, 0);
	ipcu_step(&steps, CLOSING, 1, SEM_UNDO);
	return ipcu_steps_do(set, &steps, ipcu_deadline_earlier(deadline, &last));
}

void ipcu_pipe_reopen(int set)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, CLOSING, -1, SEM_UNDO | IPC_NOWAIT);
	ipcu_steps_do(set, &steps, NULL);
}

bool ipcu_pipe_leave(ipcu_pipe *pipe, bool removes, bool wait)
{
	struct timespec farewell = ipcu_deadline_in(wait ? FAREWELL_NANOSECONDS : 0);
	int errnum = removes ? EAGAIN : EACCES;
	bool last = false;

	/*
	 * If each end believed that the other one will be the last, neither would: so both steps compare. A peer that may write
	 * the set can make both fail, but FAREWELL limits all attempts together.
	 */
	for (int try = 0; try < CHANGES_LEAST && (errnum == EAGAIN || errnum == EINTR); try++) {
		errnum = leave_last(pipe, &farewell);
		last = !errnum;
		if (errnum == EAGAIN)
			errnum = leave_first(pipe, false);
	}
	if (errnum)
		leave_first(pipe, true);
	pipe->present = false;
	/* A peer that sleeps on our words need not wait for its next look. */
	if (pipe->out)
		ipcu_pipe_wake(&pipe->out->written, &pipe->out->reader_asleep);
	if (pipe->in)
		ipcu_pipe_wake(&pipe->in->taken, &pipe->in->writer_asleep);
	return last;
}
