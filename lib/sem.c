/* SPDX-License-Identifier: MIT
 * sem.c - counting semaphores: the set, its values, tokens, resizing
 *
 * A named semaphore is one System V set whose members (sem.h) change together,
 * in one semop, so that at every instant, whoever is killed when,
 *
 *	value + taken + what living processes hold with SEM_UNDO = count
 *
 * Nobody is in the middle of anything, for the kernel does whole operations only.
 * Units that processes hold (lock.c) are taken and given with SEM_UNDO; tokens that
 * stay taken (here) move between value and taken without it. One never turns into
 * the other, so a post can give back only what a wait has taken: otherwise units
 * would multiply when a holder dies. SETVAL and SETALL, which wipe the undo
 * records of holders, are used only before anybody can find the set.
 *
 * A value is set, and read and changed, by one semop that first subtracts what it expects
 * and waits, without waiting, for zero: a compare-and-swap.
 *
 * The count is a member too, not a fact of the registry: resizing is one step like all else.
 * Growing waits for an exclusive holder to go, who would not be alone otherwise.
 * Shrinking waits, at the head of the line, until that many units are free at once.
 *
 * A raw set (key:, id:) is other programs': here it is plain semop on one of its members.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "error.h"
#include "queue.h" /* ipcu_no_wait */
#include "sem.h"

/* ---- the kind ----------------------------------------------------------- */

/* The units that are consumed when the semaphore is created. */
static unsigned taken_first(const uint64_t definition[4])
{
	uint64_t taken = definition[1] >> SEM_DEFINITION_TAKEN;

	return taken < definition[0] ? (unsigned)taken : (unsigned)definition[0];
}

/* A raw set has one member, and its units are there from the start as far as others can see. */
static int create_raw(key_t key, int flags, const uint64_t definition[4])
{
	struct sembuf op = { 0, (short)(definition[0] - taken_first(definition)), 0 };
	int id = semget(key, 1, flags | IPC_EXCL);

	if (id < 0)
		return errno == EEXIST ? semget(key, 0, 0) : -1;
	/* Not SETVAL: only a semop sets the time that tells others it is ready. */
	return op.sem_op == 0 || semop(id, &op, 1) == 0 ? id : -1;
}

static int create(key_t key, int flags, const uint64_t definition[4])
{
	if (!(flags & IPC_EXCL)) /* only names are made exclusively */
		return create_raw(key, flags, definition);
	return semget(key, SEM_MEMBERS, flags);
}

static enum ipcu_result init(const struct ipcu_object *object, int id, const uint64_t definition[4])
{
	const struct ipcu_identity identity =
		ipcu_identity_of(IPCU_KIND_SEMAPHORE, object->owner, object->name,
				 (unsigned)definition[1] & SEM_DETAIL);
	struct ipcu_steps steps = { .count = 0 };
	enum ipcu_result result;

	ipcu_identity_step(&steps, SEM_MEMBERS, &identity);
	ipcu_step(&steps, SEM_VALUE, (int)(definition[0] - taken_first(definition)), 0);
	ipcu_step(&steps, SEM_TAKEN, (int)taken_first(definition), 0);
	ipcu_step(&steps, SEM_COUNT, (int)definition[0], 0);
	ipcu_step(&steps, SEM_GATE, 1, 0);
	result = ipcu_identity_init(id, &steps);
	if (result == IPCU_OK)
		ipcu_holders_prepare(id);
	return result;
}

static unsigned members(const uint64_t definition[4])
{
	(void)definition;
	return SEM_MEMBERS;
}

static bool plausible(const uint64_t definition[4])
{
	return definition[0] >= 1 && definition[0] <= IPCU_SEM_COUNT_MAX;
}

/* The count is a member; the count at creation is of no use any more. */
static bool redefine(struct ipcu_found *found, uint64_t definition[4])
{
	if (found->members != SEM_MEMBERS)
		return false;
	definition[0] = found->values[SEM_COUNT];
	definition[1] = found->detail & SEM_DETAIL;
	return plausible(definition);
}

static int waiters(int id, const unsigned short m[SEM_MEMBERS])
{
	int line = semctl(id, SEM_GATE, GETNCNT);

	/* Who has the gate waits too, even if it is just on its way to sleep. */
	return (line > 0 ? line : 0) + (m[SEM_GATE] == 0);
}

static void describe(struct ipcu_info *info)
{
	unsigned short m[SEM_MEMBERS] = { 0 };

	info->value = info->count = info->waiters = -1;
	if (ipcu_set_read(info->id, m, SEM_MEMBERS, NULL) < 0)
		return;
	info->value = m[SEM_VALUE];
	info->count = m[SEM_COUNT];
	info->waiters = waiters(info->id, m);
	info->transient = m[SEM_IDENTITY + IDENTITY_DETAIL] & SEM_DETAIL_TRANSIENT;
}

const struct ipcu_kind_ops ipcu_sem_ops = {
	.kind = IPCU_KIND_SEMAPHORE,
	.family = IPCU_FAMILY_SET,
	.call = "semget",
	.create = create,
	.init = init,
	.redefine = redefine,
	.members = members,
	.plausible = plausible,
	.seal = ipcu_sem_seal,
	.in_use = ipcu_sem_in_use,
	.describe = describe,
};

/* ---- semop -------------------------------------------------------------- */

int ipcu_sem_until(int id, struct sembuf *ops, size_t count, const struct timespec *deadline)
{
	struct timespec left;

	if (!deadline)
		return semop(id, ops, count) == 0 ? 0 : errno;
	if (deadline == &ipcu_no_wait) {
		for (size_t i = 0; i < count; i++)
			ops[i].sem_flg |= IPC_NOWAIT;
		return semop(id, ops, count) == 0 ? 0 : errno;
	}
	left = ipcu_deadline_left(deadline);
	if (semtimedop(id, ops, count, &left) == 0)
		return 0;
	return errno == EAGAIN && ipcu_deadline_passed(deadline) ? ETIMEDOUT : errno;
}

enum ipcu_result ipcu_sem_failed(const ipcu_sem *sem, int errnum, const char *doing)
{
	struct semid_ds state;

	if (errnum == EAGAIN || errnum == EINTR || errnum == ETIMEDOUT)
		return ipcu_not_now(errnum);
	if (errnum == EACCES)
		return ipcu_object_denied(&sem->object, "semop", doing);
	if (errnum == EINVAL && ipcu_stat_set(sem->object.id, &state) < 0)
		errnum = EIDRM;
	return ipcu_fail_call("semop", errnum, "%s", doing);
}

enum ipcu_result ipcu_sem_damaged(void)
{
	ipcu_fail(IPCU_SYSTEM, "the semaphore is damaged: another program changed its set");
	ipcu_hint("stop the programs that use it before it is replaced; ipc-ls -o +USE shows them");
	return IPCU_SYSTEM;
}

enum ipcu_result ipcu_sem_members(const ipcu_sem *sem, unsigned short members[SEM_MEMBERS])
{
	struct semid_ds state;

	if (ipcu_set_read(sem->object.id, members, SEM_MEMBERS, &state) == 0)
		return IPCU_OK;
	if (errno == EINVAL)
		return ipcu_fail(IPCU_CONFLICT, "it is not a semaphore of ours: it has %lu members",
				 (unsigned long)state.sem_nsems);
	return ipcu_sem_failed(sem, errno, "cannot read its values");
}

/* ---- opening ------------------------------------------------------------ */

enum ipcu_result ipcu_sem_may(bool named, enum ipcu_sem_use use)
{
	static const struct {
		bool named;
		const char *why, *hint;
	} uses[] = {
		[SEM_USE_INDEX] = { false,
				    "a named semaphore is one semaphore: it has index 0 only", "" },
		[SEM_USE_OP] = { false, "its members belong together: no operation on a single one",
				 "use wait, post, run or acquire; op is for the sets of other programs (key:, id:, ftok:)" },
		[SEM_USE_LOCK] = { true,
				   "only a named semaphore is a read-write lock: a raw set has no count",
				   "say how many units to hold with -u" },
		[SEM_USE_COUNT] = { true, "a set of another program has no count",
				    "COUNT is for a set that is made here, with --create" },
		[SEM_USE_RESIZE] = { true, "only a named semaphore has a count", "" },
		[SEM_USE_KEEPER] = { true,
				     "acquire needs a name: a raw set has no table of holders to release from",
				     "" },
	};

	if (named == uses[use].named)
		return IPCU_OK;
	ipcu_fail(IPCU_USAGE, "%s", uses[use].why);
	ipcu_hint("%s", uses[use].hint);
	return IPCU_USAGE;
}

static enum ipcu_result check_count(const ipcu_sem *sem, unsigned count)
{
	unsigned short members[SEM_MEMBERS] = { 0 };
	enum ipcu_result result = ipcu_sem_members(sem, members);

	if (result != IPCU_OK || members[SEM_COUNT] == count)
		return result;
	ipcu_fail(IPCU_CONFLICT, "its count is %u, not %u", members[SEM_COUNT], count);
	ipcu_hint(
		"leave the count away to use it as it is, or change it with ipc-sem create --resize");
	return IPCU_CONFLICT;
}

static enum ipcu_result check_options(const struct ipcu_sem_options *options, unsigned count)
{
	if (count == 0 || count > IPCU_SEM_COUNT_MAX)
		return ipcu_fail(IPCU_USAGE, "a semaphore has 1 to %u units", IPCU_SEM_COUNT_MAX);
	if (options->consumed > count)
		return ipcu_fail(IPCU_USAGE, "only %u units can be consumed, not %u", count,
				 options->consumed);
	return IPCU_OK;
}

/* SEM is all zero. */
static enum ipcu_result open_in(ipcu_sem *sem, const char *name,
				const struct ipcu_sem_options *options, const struct ipcu_open *how)
{
	unsigned otherwise = options->lock ? IPCU_SEM_COUNT_MAX : options->otherwise;
	unsigned count = options->count ? options->count : otherwise;
	uint64_t definition[4] = { count,
				   (options->transient ? SEM_DETAIL_TRANSIENT : 0) |
					   (options->lock ? SEM_DETAIL_LOCK : 0) |
					   (uint64_t)options->consumed << SEM_DEFINITION_TAKEN };
	enum ipcu_result result = check_options(options, count);

	if (result == IPCU_OK)
		result = ipcu_object_open(&sem->object, &ipcu_sem_ops, name, how, definition);
	if (result == IPCU_OK && sem->object.named && options->count)
		result = check_count(sem, options->count);
	return result;
}

enum ipcu_result ipcu_sem_open_at(ipcu_sem *storage, const char *name,
				  const struct ipcu_sem_options *options,
				  const struct ipcu_open *how)
{
	memset(storage, 0, sizeof(*storage));
	storage->borrowed = true;
	return open_in(storage, name, options, how);
}

enum ipcu_result ipcu_sem_open_with(ipcu_sem **out, const char *name,
				    const struct ipcu_sem_options *options,
				    const struct ipcu_open *how)
{
	ipcu_sem *sem = calloc(1, sizeof(*sem));
	enum ipcu_result result;

	if (!sem)
		return ipcu_fail_call("malloc", ENOMEM, "cannot open it");
	result = open_in(sem, name, options, how);
	if (result == IPCU_OK)
		*out = sem;
	else
		free(sem);
	return result;
}

enum ipcu_result ipcu_sem_open(ipcu_sem **out, const char *name, unsigned count, unsigned otherwise,
			       const struct ipcu_open *how)
{
	const struct ipcu_sem_options options = { .count = count, .otherwise = otherwise };

	return ipcu_sem_open_with(out, name, &options, how);
}

bool ipcu_sem_is_lock(ipcu_sem *sem)
{
	int detail = sem->object.named
			     ? semctl(sem->object.id, SEM_IDENTITY + IDENTITY_DETAIL, GETVAL)
			     : 0;

	return detail > 0 && detail & SEM_DETAIL_LOCK;
}

void ipcu_sem_close(ipcu_sem *sem)
{
	if (!sem)
		return;
	if (sem->released)
		ipcu_sem_remove_idle(sem);
	ipcu_holders_detach(sem->table);
	if (!sem->borrowed)
		free(sem);
}

enum ipcu_result ipcu_sem_select(ipcu_sem *sem, unsigned index)
{
	struct semid_ds state;

	if (ipcu_stat_set(sem->object.id, &state) < 0)
		return ipcu_sem_failed(sem, EIDRM, "cannot use it");
	if (index > 0 && ipcu_sem_may(sem->object.named, SEM_USE_INDEX) != IPCU_OK)
		return IPCU_USAGE;
	if (index >= state.sem_nsems)
		return ipcu_fail(IPCU_USAGE, "the set has semaphores 0 to %lu, no %u",
				 (unsigned long)state.sem_nsems - 1, index);
	sem->index = (unsigned short)index;
	return IPCU_OK;
}

struct holder_table *ipcu_sem_table(ipcu_sem *sem)
{
	struct holder_table *table = atomic_load(&sem->table), *other = NULL;

	if (table ||
	    ipcu_holders_attach(sem->object.id, &sem->object.perm, true, &table) != IPCU_OK)
		return table;
	/* A different thread may have been faster. */
	if (!atomic_compare_exchange_strong(&sem->table, &other, table)) {
		ipcu_holders_detach(table);
		table = other;
	}
	return table;
}

/* ---- tokens and values -------------------------------------------------- */

enum ipcu_result ipcu_sem_post(ipcu_sem *sem, unsigned units)
{
	struct sembuf ops[2] = { { sem->index, (short)units, 0 },
				 { SEM_TAKEN, (short)-(int)units, IPC_NOWAIT } };
	unsigned short members[SEM_MEMBERS] = { 0 };
	int errnum;

	if (units == 0 || units > IPCU_SEM_COUNT_MAX)
		return ipcu_fail(IPCU_USAGE, "units are 1 to %u", IPCU_SEM_COUNT_MAX);
	errnum = ipcu_sem_until(sem->object.id, ops, sem->object.named ? 2 : 1, NULL);
	if (errnum == 0)
		return IPCU_OK;
	if (errnum != EAGAIN || !sem->object.named)
		return ipcu_sem_failed(sem, errnum, "cannot post");
	if (ipcu_sem_members(sem, members) != IPCU_OK)
		memset(members, 0, sizeof(members));
	ipcu_fail(IPCU_LIMIT, "cannot post %u: only %u of its %u units are taken for good", units,
		  members[SEM_TAKEN], members[SEM_COUNT]);
	ipcu_hint(
		"what run and acquire hold comes back by itself; to begin with fewer units than the count use ipc-sem set");
	return IPCU_LIMIT;
}

enum ipcu_result ipcu_sem_get(ipcu_sem *sem, unsigned *value)
{
	int now = semctl(sem->object.id, sem->index, GETVAL);

	if (now < 0)
		return ipcu_sem_failed(sem, errno, "cannot read its value");
	*value = (unsigned)now;
	return IPCU_OK;
}

/* From OLD to NEW in one step if it still has OLD; 0, EAGAIN or another errno. */
static int swap(const ipcu_sem *sem, unsigned old, unsigned new)
{
	struct sembuf ops[4];
	size_t count = 0;

	/* No operation: the kernel keeps the last process that changed the value, which may hold the only unit. */
	if (sem->object.named && new == old)
		return 0;
	if (old)
		ops[count++] = (struct sembuf){ sem->index, (short)-(int)old, IPC_NOWAIT };
	ops[count++] = (struct sembuf){ sem->index, 0, IPC_NOWAIT };
	if (new)
		ops[count++] = (struct sembuf){ sem->index, (short)new, IPC_NOWAIT };
	if (sem->object.named)
		ops[count++] =
			(struct sembuf){ SEM_TAKEN, (short)((int)old - (int)new), IPC_NOWAIT };
	return ipcu_sem_until(sem->object.id, ops, count, NULL);
}

/* Read the value, and check that VALUE can be reached without the units that are held. */
static enum ipcu_result read_value(ipcu_sem *sem, unsigned value, unsigned *old)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	enum ipcu_result result;

	if (!sem->object.named)
		return ipcu_sem_get(sem, old);
	result = ipcu_sem_members(sem, m);
	if (result != IPCU_OK)
		return result;
	*old = m[SEM_VALUE];
	if (value <= *old || value - *old <= m[SEM_TAKEN])
		return IPCU_OK;
	ipcu_fail(IPCU_LIMIT, "cannot set it to %u: of its %u units %d are held", value,
		  m[SEM_COUNT], m[SEM_COUNT] - m[SEM_VALUE] - m[SEM_TAKEN]);
	ipcu_hint("ipc-sem status shows the holders; ipc-sem create -c COUNT --resize adds units");
	return IPCU_LIMIT;
}

enum ipcu_result ipcu_sem_set(ipcu_sem *sem, unsigned value)
{
	enum ipcu_result result;
	unsigned old = 0;
	int errnum = EAGAIN;

	if (value > IPCU_SEM_COUNT_MAX)
		return ipcu_fail(IPCU_LIMIT, "a value is at most %u", IPCU_SEM_COUNT_MAX);
	for (int attempt = 0; errnum == EAGAIN && attempt < SEM_ATTEMPTS; attempt++) {
		result = read_value(sem, value, &old);
		if (result != IPCU_OK)
			return result;
		errnum = swap(sem, old, value);
	}
	if (errnum == EAGAIN)
		return ipcu_fail(IPCU_SYSTEM,
				 "cannot set it: other processes change it without a pause");
	return errnum ? ipcu_sem_failed(sem, errnum, "cannot set it") : IPCU_OK;
}

/* ---- resizing ----------------------------------------------------------- */

enum ipcu_result ipcu_sem_resize(ipcu_sem *sem, unsigned count, const struct timespec *deadline)
{
	struct sembuf ops[4];
	unsigned short m[SEM_MEMBERS] = { 0 };
	enum ipcu_result result;
	int change, errnum = 0;

	if (ipcu_sem_may(sem->object.named, SEM_USE_RESIZE) != IPCU_OK)
		return IPCU_USAGE;
	if (count == 0 || count > IPCU_SEM_COUNT_MAX)
		return ipcu_fail(IPCU_USAGE, "a semaphore has 1 to %u units", IPCU_SEM_COUNT_MAX);
	/* At the head of the line the count cannot change under us. */
	result = ipcu_sem_enter(sem, deadline);
	if (result != IPCU_OK)
		return result;
	result = ipcu_sem_members(sem, m);
	change = (int)count - m[SEM_COUNT];
	if (result == IPCU_OK && change) {
		ops[0] = (struct sembuf){ SEM_EXCLUSIVE, 0, 0 };
		ops[1] = (struct sembuf){ SEM_VALUE, (short)change, 0 };
		ops[2] = (struct sembuf){ SEM_COUNT, (short)change, 0 };
		ops[3] = (struct sembuf){ SEM_GATE, 1, SEM_UNDO };
		errnum = ipcu_sem_until(sem->object.id, ops, 4, deadline);
		if (errnum == 0)
			return IPCU_OK;
	}
	ipcu_sem_leave(sem);
	return errnum ? ipcu_sem_failed(sem, errnum, "cannot resize it") : result;
}

/* ---- looking and raw operations ------------------------------------------ */

/* Return the process that closed the gate. It may have opened it again meanwhile. */
pid_t ipcu_sem_first_waiter(int id)
{
	int pid = semctl(id, SEM_GATE, GETPID);

	return pid > 0 && semctl(id, SEM_GATE, GETVAL) == 0 ? (pid_t)pid : 0;
}

enum ipcu_result ipcu_sem_status(ipcu_sem *sem, struct ipcu_sem_info *info)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	struct semid_ds state;
	enum ipcu_result result;
	int ncnt, zcnt;

	memset(info, 0, sizeof(*info));
	info->named = sem->object.named;
	if (ipcu_stat_set(sem->object.id, &state) < 0)
		return ipcu_sem_failed(sem, EIDRM, "no status");
	info->semaphores = (unsigned)state.sem_nsems;
	info->last_pid = semctl(sem->object.id, sem->index, GETPID);
	if (!info->named) {
		result = ipcu_sem_get(sem, &info->value);
		ncnt = semctl(sem->object.id, sem->index, GETNCNT);
		zcnt = semctl(sem->object.id, sem->index, GETZCNT);
		info->waiters = (unsigned)((ncnt > 0 ? ncnt : 0) + (zcnt > 0 ? zcnt : 0));
		return result;
	}
	result = ipcu_sem_members(sem, m);
	if (result != IPCU_OK)
		return result;
	if (m[SEM_VALUE] + m[SEM_TAKEN] > m[SEM_COUNT])
		return ipcu_sem_damaged();
	info->value = m[SEM_VALUE];
	info->count = m[SEM_COUNT];
	info->taken = m[SEM_TAKEN];
	info->held = (unsigned)(m[SEM_COUNT] - m[SEM_VALUE] - m[SEM_TAKEN]);
	info->waiters = (unsigned)waiters(sem->object.id, m);
	info->first_waiter = ipcu_sem_first_waiter(sem->object.id);
	info->transient = m[SEM_IDENTITY + IDENTITY_DETAIL] & SEM_DETAIL_TRANSIENT;
	return IPCU_OK;
}

enum ipcu_result ipcu_sem_op(ipcu_sem *sem, struct sembuf *ops, size_t count,
			     const struct timespec *deadline)
{
	int errnum;

	if (ipcu_sem_may(sem->object.named, SEM_USE_OP) != IPCU_OK)
		return IPCU_USAGE;
	if (count == 0)
		return ipcu_fail(IPCU_USAGE, "there is no operation to do");
	errnum = ipcu_sem_until(sem->object.id, ops, count, deadline);
	if (errnum == EFBIG)
		return ipcu_fail(IPCU_USAGE, "the set has not that many semaphores");
	return errnum ? ipcu_sem_failed(sem, errnum, "cannot do the operation") : IPCU_OK;
}
