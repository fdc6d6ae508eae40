/* SPDX-License-Identifier: MIT
 * steps.c - several changes of a semaphore set as one atomic step
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "deadline.h"
#include "error.h"
#include "queue.h"
#include "steps.h"

void ipcu_step(struct ipcu_steps *steps, unsigned semaphore, int change, int flags)
{
	struct sembuf *op = &steps->ops[steps->count++];

	op->sem_num = (unsigned short)semaphore;
	op->sem_op = (short)change;
	op->sem_flg = (short)flags;
}

void ipcu_step_count(struct ipcu_steps *steps, unsigned low, unsigned low_value,
		     unsigned high_value)
{
	if (low_value < IPCU_DIGIT - 1) {
		ipcu_step(steps, low, 1, 0);
		return;
	}
	ipcu_step(steps, low, -(int)low_value, IPC_NOWAIT);
	if (high_value < IPCU_DIGIT - 1)
		ipcu_step(steps, low + 1, 1, 0);
	else
		ipcu_step(steps, low + 1, -(int)high_value, IPC_NOWAIT);
}

int ipcu_steps_do(int id, struct ipcu_steps *steps, const struct timespec *deadline)
{
	struct timespec left;

	if (deadline)
		left = ipcu_deadline_left(deadline);
	if (semtimedop(id, steps->ops, steps->count, deadline ? &left : NULL) == 0)
		return 0;
	return errno == EINVAL ? EIDRM : errno;
}

enum ipcu_result ipcu_steps_failed(const struct ipcu_object *object, int errnum, const char *doing,
				   const struct timespec *deadline)
{
	if (errnum == EAGAIN)
		return ipcu_not_now(deadline == &ipcu_no_wait ? EAGAIN : ETIMEDOUT);
	if (errnum == EINTR)
		return ipcu_not_now(EINTR);
	if (errnum == EACCES)
		return ipcu_object_denied(object, "semop", doing);
	return ipcu_fail_call("semop", errnum, "%s", doing);
}

enum ipcu_result ipcu_steps_open(struct ipcu_object *object, const struct ipcu_kind_ops *ops,
				 const char *typed, const struct ipcu_open *how,
				 const uint64_t definition[4])
{
	struct ipcu_open only = how ? *how : (struct ipcu_open){ 0 };
	struct ipcu_name name;
	enum ipcu_result result = ipcu_name_read(&name, typed);

	if (result != IPCU_OK)
		return result;
	if (name.form != IPCU_NAME_PLAIN) {
		ipcu_fail(IPCU_USAGE, "%s has a NAME, not a key", ipcu_kind_phrase(ops->kind));
		ipcu_hint(
			"key:, id: and ftok: reach objects of other programs, and those have none");
		return IPCU_USAGE;
	}
	if (!definition)
		only.create = IPCU_CREATE_NEVER;
	return ipcu_object_open(object, ops, typed, &only, definition);
}
