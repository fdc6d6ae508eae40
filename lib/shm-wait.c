/* SPDX-License-Identifier: MIT
 * shm-wait.c - sleeping until a value is as wanted
 *
 * Processes that write by these calls wake the sleepers. Foreign programs do not, so every sleeper reads the value once a
 * second, and then also checks that the segment still exists. A named segment has a word of its own to sleep on (its
 * tail). In a foreign one it is the aligned word that holds the value, or its low half; a change of the high half alone
 * in the instant of falling asleep is seen a second later.
 *
 * A sleeper keeps no staged segment from its return home (shm-home.c), which begins by waking it: while a return goes on,
 * the sleeper is attached for single looks only.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "futex.h"
#include "queue.h"
#include "stage.h"

#define LOOK_NANOSECONDS 1000000000
#define RETURN_NAP_NANOSECONDS 100000000 /* the longest between two looks while a return goes on */

static bool compares(double difference_sign, bool unordered, enum ipcu_comparison comparison)
{
	switch (comparison) {
	case IPCU_EQUAL:
		return !unordered && difference_sign == 0;
	case IPCU_NOT_EQUAL:
		return unordered || difference_sign != 0;
	case IPCU_LESS:
		return !unordered && difference_sign < 0;
	case IPCU_LESS_EQUAL:
		return !unordered && difference_sign <= 0;
	case IPCU_GREATER:
		return !unordered && difference_sign > 0;
	case IPCU_GREATER_EQUAL:
		return !unordered && difference_sign >= 0;
	}
	return false;
}

static bool satisfied(enum ipcu_type type, union ipcu_value there, enum ipcu_comparison comparison,
		      union ipcu_value wanted)
{
	switch (type) {
	case IPCU_I8:
	case IPCU_I16:
	case IPCU_I32:
	case IPCU_I64:
		return compares((there.i > wanted.i) - (there.i < wanted.i), false, comparison);
	case IPCU_F32:
	case IPCU_F64:
		return compares((there.f > wanted.f) - (there.f < wanted.f),
				there.f != there.f || wanted.f != wanted.f, comparison);
	default:
		return compares((there.u > wanted.u) - (there.u < wanted.u), false, comparison);
	}
}

/* The word to sleep on for the value at INDEX. */
static uint32_t *word_of(ipcu_shm *shm, uint64_t index)
{
	size_t size = ipcu_type_size(shm->type), offset = (size_t)index * size;

	if (shm->tail)
		return (void *)&shm->tail->sequence;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	if (size == 8)
		offset += 4;
#endif
	return (void *)(shm->data + (offset & ~(size_t)3));
}

/* Look once. IPCU_OK: the value is as wanted. Otherwise *SEEN is what the word was before the look. */
static enum ipcu_result look(ipcu_shm *shm, uint64_t index, enum ipcu_comparison comparison,
			     union ipcu_value wanted, uint32_t *seen, union ipcu_value *there)
{
	enum ipcu_result result;

	/* The order matters: tests/model/wait.pml. */
	*seen = __atomic_load_n(word_of(shm, index), __ATOMIC_SEQ_CST);
	if (shm->tail && shm->writable)
		atomic_store(&shm->tail->asleep, 1);
	result = ipcu_shm_get(shm, index, there);
	if (result != IPCU_OK)
		return result;
	return satisfied(shm->type, *there, comparison, wanted) ? IPCU_OK : IPCU_NOT_NOW;
}

/* A wait that goes on with the segment that a name leads to by now. */
struct wait {
	ipcu_shm *first; /* the caller's handle */
	ipcu_shm *fresh; /* or NULL */
	ipcu_shm *now;	 /* one of them; NULL: none is attached */
	uint64_t index;
	enum ipcu_comparison comparison;
	union ipcu_value value, found;
	const struct timespec *deadline;
	int64_t nap;
};

/* Detach what may be detached. */
static void let_go(struct wait *wait)
{
	ipcu_shm *first = wait->first;

	ipcu_shm_close(wait->fresh);
	wait->fresh = NULL;
	wait->now = NULL;
	if (!first->yields || !first->data)
		return;
	shmdt(first->data);
	first->data = NULL;
	first->tail = NULL;
	first->control = NULL;
}

static enum ipcu_result open_again(struct wait *wait)
{
	struct ipcu_shm_layout layout = { .type = wait->first->type };
	const struct ipcu_open how = { .create = IPCU_CREATE_NEVER };
	enum ipcu_result result;

	if (!wait->first->object.named)
		return ipcu_fail_call("shmat", EIDRM, "cannot wait");
	let_go(wait);
	result = ipcu_shm_open(&wait->fresh, wait->first->typed, &layout, &how);
	wait->now = wait->fresh;
	return result;
}

/* IPCU_NOT_NOW if the deadline has passed. */
static enum ipcu_result check_time(const struct wait *wait)
{
	if (wait->deadline == &ipcu_no_wait)
		return ipcu_not_now(EAGAIN);
	return ipcu_deadline_passed(wait->deadline) ? ipcu_not_now(ETIMEDOUT) : IPCU_OK;
}

static bool is_returning(const ipcu_shm *shm)
{
	uint64_t word;

	return shm->control && ipcu_stage_load(shm->control, &word).phase != IPCU_STAGE_OPEN;
}

/* Sleep until a change, or until it is time to look; IPCU_NOT_NOW: a signal handler ran. */
static enum ipcu_result sleep_on(struct wait *wait, uint32_t seen)
{
	struct timespec until = ipcu_deadline_in(LOOK_NANOSECONDS);
	int errnum;

	if (is_returning(wait->now)) {
		let_go(wait);
		ipcu_stage_nap(&wait->nap, RETURN_NAP_NANOSECONDS);
		return open_again(wait);
	}
	wait->nap = 0;
	errnum = ipcu_futex_wait(word_of(wait->now, wait->index), seen,
				 ipcu_deadline_earlier(wait->deadline, &until));
	if (errnum == EINTR)
		return ipcu_not_now(EINTR);
	/* The look of the owner once a second also tries to bring staged data home. */
	if (errnum == ETIMEDOUT && wait->now->control && wait->now->object.owner == geteuid())
		return open_again(wait);
	return IPCU_OK;
}

/* The segment is gone: look at its successor before the deadline is, so that a late value is not missed. */
static enum ipcu_result open_gone(struct wait *wait, bool *done)
{
	enum ipcu_result result = open_again(wait);
	uint32_t seen;

	if (result != IPCU_OK)
		return result;
	result = look(wait->now, wait->index, wait->comparison, wait->value, &seen, &wait->found);
	*done = result == IPCU_OK;
	return result == IPCU_NOT_NOW ? check_time(wait) : result;
}

static enum ipcu_result step(struct wait *wait, bool *done)
{
	enum ipcu_result result;
	uint32_t seen;

	if (!wait->now) {
		result = open_again(wait);
		if (result != IPCU_OK)
			return result;
	}
	result = look(wait->now, wait->index, wait->comparison, wait->value, &seen, &wait->found);
	*done = result == IPCU_OK;
	if (result == IPCU_NOT_FOUND && wait->now->moves) /* the data have moved */
		return open_again(wait);
	if (result != IPCU_NOT_NOW)
		return result;
	if (ipcu_shm_gone(wait->now))
		return open_gone(wait, done);
	result = check_time(wait);
	return result == IPCU_OK ? sleep_on(wait, seen) : result;
}

enum ipcu_result ipcu_shm_wait(ipcu_shm *shm, uint64_t index, enum ipcu_comparison comparison,
			       union ipcu_value value, const struct timespec *deadline,
			       union ipcu_value *found)
{
	struct wait wait = {
		.first = shm,
		.now = shm->data ? shm : NULL,
		.index = index,
		.comparison = comparison,
		.value = value,
		.deadline = deadline,
	};
	enum ipcu_result result;
	bool done = false;

	do
		result = step(&wait, &done);
	while (result == IPCU_OK && !done);
	ipcu_shm_close(wait.fresh);
	if (result == IPCU_OK && found)
		*found = wait.found;
	return result;
}
