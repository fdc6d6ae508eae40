/* SPDX-License-Identifier: MIT
 * pipe-ends.c - the two ends of a pipe: coming, meeting, knowing of the other, leaving
 *
 * A set of semaphores beside the segment says who is there. For each end
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
 * The last to leave closes the pipe, so that pipe.c can remove it: {the other one is not PRESENT, own PRESENT - 1, CLOSING + 1
 * undo} in one step. Who comes meanwhile waits for CLOSING, finds the set gone, and opens the name anew. Only its owner can
 * remove a pipe: so if the other end is another user's, the owner waits for a moment until that has left.
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
#define FAREWELL INT64_C(2000000000) /* the other end notices within a second */
#define ANY_END 2
#define TRIES 1000

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

enum ipcu_result ipcu_pipe_set_make(const struct ipcu_object *object, key_t key, mode_t mode,
				    const uint64_t definition[4])
{
	int id;

	return ipcu_identity_make_set(object, key, mode, SEMAPHORES,
				      (unsigned)definition[IPCU_PIPE_RINGS], &id);
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

static bool plausible(const unsigned short values[SEMAPHORES])
{
	return values[PRESENT] <= 1 && values[PRESENT + 1] <= 1 && values[JOINED] <= 1 &&
	       values[JOINED + 1] <= 1 && values[CLOSING] <= 1;
}

static enum ipcu_result damaged(void)
{
	ipcu_fail(IPCU_SYSTEM, "the pipe is damaged: another program changed its semaphores");
	ipcu_hint("remove it with ipc-rm -f; the next to come makes it anew");
	return IPCU_SYSTEM;
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
static int enter(const ipcu_pipe *pipe, const unsigned short values[SEMAPHORES],
		 const struct timespec *deadline)
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
	return ipcu_steps_do(pipe->set, &steps, deadline);
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

enum ipcu_result ipcu_pipe_come(ipcu_pipe *pipe, unsigned wanted, const struct timespec *deadline)
{
	unsigned short values[SEMAPHORES] = { 0 };
	int errnum = EAGAIN;

	while (errnum == EAGAIN) {
		if (ipcu_set_read(pipe->set, values, SEMAPHORES, NULL) < 0)
			return ipcu_pipe_failed(pipe, errno, "cannot open it", NULL);
		if (!plausible(values))
			return damaged();
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
		errnum = enter(pipe, values, deadline);
		if (errnum == EAGAIN && deadline && ipcu_deadline_passed(deadline) &&
		    semctl(pipe->set, CLOSING, GETVAL) > 0)
			break;
	}
	if (errnum)
		return ipcu_pipe_failed(pipe, errnum, "cannot open it", deadline);
	pipe->present = true;
	return IPCU_OK;
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

int ipcu_pipe_close_empty(int set, const struct timespec *deadline)
{
	struct ipcu_steps steps = { .count = 0 };

	for (unsigned end = 0; end < 2; end++)
		expect(&steps, PRESENT + end, 0);
	ipcu_step(&steps, CLOSING, 0, 0);
	ipcu_step(&steps, CLOSING, 1, SEM_UNDO);
	return ipcu_steps_do(set, &steps, deadline);
}

void ipcu_pipe_reopen(int set)
{
	struct ipcu_steps steps = { .count = 0 };

	ipcu_step(&steps, CLOSING, -1, SEM_UNDO | IPC_NOWAIT);
	ipcu_steps_do(set, &steps, NULL);
}

bool ipcu_pipe_leave(ipcu_pipe *pipe, bool removes, bool wait)
{
	int errnum = EAGAIN;
	bool last = false;

	/*
	 * Nobody is the last if each believes that of the other: so both steps look. Who may write the
	 * set can make neither of them possible; then there is nothing of ours to take back.
	 */
	for (int try = 0; removes && try < TRIES && (errnum == EAGAIN || errnum == EINTR); try++) {
		errnum = leave_last(pipe, wait);
		last = !errnum;
		if (errnum == EAGAIN)
			errnum = leave_first(pipe, false);
	}
	if (!removes)
		leave_first(pipe, true);
	pipe->present = false;
	/* Who sleeps on our words need not wait for its next look. */
	if (pipe->out)
		ipcu_pipe_wake(&pipe->out->written, &pipe->out->reader_asleep);
	if (pipe->in)
		ipcu_pipe_wake(&pipe->in->taken, &pipe->in->writer_asleep);
	return last;
}
