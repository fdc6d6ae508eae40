/* SPDX-License-Identifier: MIT
 * shm-wait.c - sleeping until a value is as wanted
 *
 * Who writes by these calls wakes the sleepers; others do not know of them, so everybody looks by himself once a
 * second, and then also whether the segment is still there. A named segment has a word of its own to sleep on (its
 * tail); in others it is the aligned word that holds the value, or its low half, and a change of the high half alone in
 * the very instant of falling asleep is then seen a second later.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "deadline.h"
#include "error.h"
#include "futex.h"
#include "queue.h"
#include "shm.h"

#define LOOK_NANOSECONDS 1000000000

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

/* Look once; IPCU_OK: as wanted. Otherwise *SEEN is what the word was before. */
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

/* The segment that the name leads to now, in place of *FRESH, which began as NULL. */
static enum ipcu_result open_again(const ipcu_shm *first, ipcu_shm **fresh)
{
	struct ipcu_shm_layout layout = { .type = first->type };
	const struct ipcu_open how = { .create = IPCU_CREATE_NEVER };

	if (!first->object.named)
		return ipcu_fail_call("shmat", EIDRM, "cannot wait");
	ipcu_shm_close(*fresh);
	*fresh = NULL;
	return ipcu_shm_open(fresh, first->typed, &layout, &how);
}

enum ipcu_result ipcu_shm_wait(ipcu_shm *shm, uint64_t index, enum ipcu_comparison comparison,
			       union ipcu_value value, const struct timespec *deadline,
			       union ipcu_value *found)
{
	ipcu_shm *fresh = NULL, *now = shm;
	union ipcu_value there;
	enum ipcu_result result;
	uint32_t seen;
	int errnum = 0;

	for (;;) {
		struct timespec until = ipcu_deadline_in(LOOK_NANOSECONDS);

		result = look(now, index, comparison, value, &seen, &there);
		if (result != IPCU_NOT_NOW)
			break;
		if (ipcu_shm_gone(now)) {
			result = open_again(shm, &fresh);
			now = fresh;
			if (result != IPCU_OK)
				break;
			continue;
		}
		result = IPCU_NOT_NOW;
		if (deadline == &ipcu_no_wait || ipcu_deadline_passed(deadline)) {
			ipcu_not_now(deadline == &ipcu_no_wait ? EAGAIN : ETIMEDOUT);
			break;
		}
		errnum = ipcu_futex_wait(word_of(now, index), seen,
					 ipcu_deadline_earlier(deadline, &until));
		if (errnum == EINTR) {
			ipcu_not_now(EINTR);
			break;
		}
	}
	ipcu_shm_close(fresh);
	if (result == IPCU_OK && found)
		*found = there;
	return result;
}
