/* SPDX-License-Identifier: MIT
 * lock.c - units that a process holds: first come, first served, and back when it dies
 *
 * The kernel wakes those who sleep for the same thing in the order they came,
 * but it lets one who wants less pass one who wants more. So there is a gate:
 *
 *	enter   {gate -1 undo}			sleepers here all want the same: a line
 *	take    {value -N undo, gate +1 undo}	one step: units taken, the next let in
 *
 * Only the head of the line sleeps for units, so nobody who came later can be
 * served before it, however little he wants: an exclusive lock, which is all
 * units at once, is not starved. Who finds the gate free and the units there takes
 * them in one step, {gate -1, gate +1, value -N undo}; while anybody waits the gate is never
 * free, for the kernel gives it to the next one as it comes up.
 *
 * What is guaranteed: of two that want units, who was asleep at the gate first
 * gets them first. A wait that a signal ended, a stop and continue too, has left the line.
 *
 * Both members are taken with SEM_UNDO, so whoever is killed at the head, or with
 * units, makes room at once. A timeout leaves the line in the same way.
 */
#include <config.h>

#include <errno.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "queue.h" /* ipcu_no_wait */
#include "sem.h"

/* ---- the line ----------------------------------------------------------- */

enum ipcu_result ipcu_sem_enter(const ipcu_sem *sem, const struct timespec *deadline)
{
	struct sembuf op = { SEM_GATE, -1, SEM_UNDO };
	int errnum = ipcu_sem_until(sem->object.id, &op, 1, deadline);

	return errnum ? ipcu_sem_failed(sem, errnum, "cannot wait") : IPCU_OK;
}

void ipcu_sem_leave(const ipcu_sem *sem)
{
	struct sembuf op = { SEM_GATE, 1, SEM_UNDO };

	ipcu_sem_until(sem->object.id, &op, 1, NULL);
}

/* What is wanted: held with undo, or taken for good. */
struct request {
	unsigned units;
	bool exclusive;
	bool for_good;
};

/* What moves the units, from OPS on; how many operations. */
static size_t moving(const struct request *request, struct sembuf *ops)
{
	short undo = request->for_good ? 0 : SEM_UNDO;
	size_t count = 0;

	ops[count++] = (struct sembuf){ SEM_VALUE, (short)-(int)request->units, undo };
	if (request->for_good)
		ops[count++] = (struct sembuf){ SEM_TAKEN, (short)request->units, 0 };
	if (request->exclusive)
		ops[count++] = (struct sembuf){ SEM_EXCLUSIVE, 1, undo };
	return count;
}

/* Without waiting, if nobody waits. An exclusive one must see the count it took for all. */
static int take_at_once(const ipcu_sem *sem, const struct request *request)
{
	struct sembuf ops[8] = { { SEM_GATE, -1, 0 }, { SEM_GATE, 1, 0 } };
	size_t count = 2;

	if (request->exclusive) {
		ops[count++] = (struct sembuf){ SEM_COUNT, (short)-(int)request->units, 0 };
		ops[count++] = (struct sembuf){ SEM_COUNT, 0, 0 };
		ops[count++] = (struct sembuf){ SEM_COUNT, (short)request->units, 0 };
	}
	count += moving(request, ops + count);
	return ipcu_sem_until(sem->object.id, ops, count, &ipcu_no_wait);
}

/* The units wanted, now that the count is COUNT. */
static enum ipcu_result check_units(struct request *request, unsigned count)
{
	if (count == 0)
		return ipcu_sem_damaged();
	if (request->exclusive)
		request->units = count;
	if (request->units <= count)
		return IPCU_OK;
	ipcu_fail(IPCU_LIMIT, "cannot take %u units: it has %u", request->units, count);
	ipcu_hint("ipc-sem create -c COUNT --resize adds units");
	return IPCU_LIMIT;
}

/*
 * A process that would wait for units which only it can release would wait for ever. Only a command knows that: in a
 * program, a different thread may release them. Reading the table of holders takes longer than most waits, so a process
 * looks there only if it, or a process on its behalf, may have been the last to change the units.
 */
static enum ipcu_result check_self(const ipcu_sem *sem, const struct request *request,
				   unsigned count)
{
	pid_t self = sem->owner ? sem->owner : getpid();
	unsigned own = 0;

	if (sem->owner || (sem->execs && semctl(sem->object.id, SEM_VALUE, GETPID) == self))
		own = ipcu_holders_units_of(sem->object.id, self);
	if (!own || own > count || request->units <= count - own)
		return IPCU_OK;
	ipcu_fail(IPCU_CONFLICT, "process %d holds %u of its %u units and would wait for itself",
		  (int)self, own, count);
	ipcu_hint("release those units first, or do not wait");
	return IPCU_CONFLICT;
}

static enum ipcu_result take_in_line(const ipcu_sem *sem, struct request *request,
				     const struct timespec *deadline)
{
	unsigned short members[SEM_MEMBERS];
	struct sembuf ops[4];
	enum ipcu_result result = ipcu_sem_enter(sem, deadline);
	size_t count;
	int errnum;

	if (result != IPCU_OK)
		return result;
	/* Whoever changes the count must be here too, so it stays what it is. */
	result = ipcu_sem_members(sem, members);
	if (result == IPCU_OK)
		result = check_units(request, members[SEM_COUNT]);
	if (result == IPCU_OK) {
		count = moving(request, ops);
		ops[count++] = (struct sembuf){ SEM_GATE, 1, SEM_UNDO };
		errnum = ipcu_sem_until(sem->object.id, ops, count, deadline);
		if (errnum == 0)
			return IPCU_OK;
		result = ipcu_sem_failed(sem, errnum, "cannot take units");
	}
	ipcu_sem_leave(sem);
	return result;
}

static enum ipcu_result take(const ipcu_sem *sem, struct request *request,
			     const struct timespec *deadline)
{
	int count = 0, errnum = EAGAIN;
	enum ipcu_result result;

	/* Most often they are there, and then nobody need know of how many. */
	if (!request->exclusive)
		errnum = take_at_once(sem, request);
	if (errnum == EAGAIN)
		count = semctl(sem->object.id, SEM_COUNT, GETVAL);
	if (count < 0)
		return ipcu_sem_failed(sem, errno, "cannot take units");
	result = errnum == EAGAIN ? check_units(request, (unsigned)count) : IPCU_OK;
	if (result != IPCU_OK)
		return result;
	if (request->exclusive)
		errnum = take_at_once(sem, request);
	if (errnum == 0)
		return IPCU_OK;
	if (errnum != EAGAIN || deadline == &ipcu_no_wait)
		return ipcu_sem_failed(sem, errnum, "cannot take units");
	result = check_self(sem, request, (unsigned)count);
	return result == IPCU_OK ? take_in_line(sem, request, deadline) : result;
}

static enum ipcu_result take_raw(const ipcu_sem *sem, unsigned units, short flags,
				 const struct timespec *deadline)
{
	struct sembuf op = { sem->index, (short)-(int)units, flags };
	int errnum = ipcu_sem_until(sem->object.id, &op, 1, deadline);

	return errnum ? ipcu_sem_failed(sem, errnum, "cannot take units") : IPCU_OK;
}

/* ---- tokens ------------------------------------------------------------- */

enum ipcu_result ipcu_sem_wait(ipcu_sem *sem, unsigned units, const struct timespec *deadline)
{
	struct request request = { .units = units, .for_good = true };

	if (units == 0 || units > IPCU_SEM_COUNT_MAX)
		return ipcu_fail(IPCU_USAGE, "units are 1 to %u", IPCU_SEM_COUNT_MAX);
	if (!sem->object.named)
		return take_raw(sem, units, 0, deadline);
	return take(sem, &request, deadline);
}

/* ---- holding ------------------------------------------------------------ */

static int give(const ipcu_sem *sem, const struct ipcu_hold *hold)
{
	struct sembuf ops[2] = { { sem->index, (short)hold->units, SEM_UNDO },
				 { SEM_EXCLUSIVE, -1, SEM_UNDO | IPC_NOWAIT } };

	return ipcu_sem_until(sem->object.id, ops, hold->mode == IPCU_HOLD_EXCLUSIVE ? 2 : 1, NULL);
}

static enum ipcu_result acquire(ipcu_sem *sem, struct ipcu_hold *hold,
				const struct timespec *deadline)
{
	struct request request = { .units = hold->units,
				   .exclusive = hold->mode == IPCU_HOLD_EXCLUSIVE };
	const struct holder_claim claim = { .set = sem->object.id,
					    .owner = sem->owner,
					    .execs = sem->execs };
	struct holder_table *table = ipcu_sem_table(sem);
	enum ipcu_result result = take(sem, &request, deadline);

	if (result != IPCU_OK)
		return result;
	hold->units = request.units;
	if (table)
		result = ipcu_holders_claim(table, &claim, hold, deadline);
	else
		ipcu_holders_no_entry(sem->object.id, hold);
	if (result != IPCU_OK)
		give(sem, hold);
	return result;
}

static struct ipcu_hold new_hold(enum ipcu_hold_mode mode, unsigned units)
{
	return (struct ipcu_hold){
		.mode = mode, .units = units, .slot = -1, .pid = getpid(), .entry = -1
	};
}

enum ipcu_result ipcu_sem_acquire(ipcu_sem *sem, unsigned units, const struct timespec *deadline,
				  struct ipcu_hold *hold)
{
	struct ipcu_hold new = new_hold(IPCU_HOLD_UNITS, units);
	enum ipcu_result result;

	if (units == 0 || units > IPCU_SEM_COUNT_MAX)
		return ipcu_fail(IPCU_USAGE, "units are 1 to %u", IPCU_SEM_COUNT_MAX);
	result = sem->object.named ? acquire(sem, &new, deadline)
				   : take_raw(sem, units, SEM_UNDO, deadline);
	if (result == IPCU_OK)
		*hold = new;
	return result;
}

static enum ipcu_result lock(ipcu_sem *sem, enum ipcu_hold_mode mode,
			     const struct timespec *deadline, struct ipcu_hold *hold)
{
	struct ipcu_hold new = new_hold(mode, 1);
	enum ipcu_result result;

	if (ipcu_sem_may(sem->object.named, SEM_USE_LOCK) != IPCU_OK)
		return IPCU_USAGE;
	result = acquire(sem, &new, deadline);
	if (result == IPCU_OK)
		*hold = new;
	return result;
}

enum ipcu_result ipcu_lock_shared(ipcu_sem *sem, const struct timespec *deadline,
				  struct ipcu_hold *hold)
{
	return lock(sem, IPCU_HOLD_SHARED, deadline, hold);
}

enum ipcu_result ipcu_lock_exclusive(ipcu_sem *sem, const struct timespec *deadline,
				     struct ipcu_hold *hold)
{
	return lock(sem, IPCU_HOLD_EXCLUSIVE, deadline, hold);
}

enum ipcu_result ipcu_sem_release(ipcu_sem *sem, struct ipcu_hold *hold)
{
	struct holder_table *table;
	int errnum;

	if (hold->units == 0 || hold->units > IPCU_SEM_COUNT_MAX)
		return ipcu_fail(IPCU_USAGE, "nothing is held");
	/* A child has no undo record of what its parent holds: what it gave would be there twice. */
	if (hold->pid != getpid())
		return ipcu_fail(IPCU_USAGE, "process %d holds it, not this one", (int)hold->pid);
	/* The entry first: the next holder of the units must find it free. */
	table = atomic_load(&sem->table);
	if (sem->object.named && table)
		ipcu_holders_drop(table, sem->object.id, hold);
	errnum = give(sem, hold);
	hold->units = 0;
	atomic_store_explicit(&sem->released, true, memory_order_relaxed);
	return errnum ? ipcu_sem_failed(sem, errnum, "cannot give units back") : IPCU_OK;
}
