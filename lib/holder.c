/* SPDX-License-Identifier: MIT
 * holder.c - the table beside a semaphore that says who holds units
 *
 * A segment with the same key as the set (keys of sets and of segments are
 * separate), and an entry for each holder. The truth about units is the kernel's
 * alone: it gives them back when their holder dies. The table only describes, and
 * gives every holder a slot number. So a kill at any point does no harm:
 *
 *  - A process takes its units first and then an entry. Killed in between it has
 *    neither.
 *  - It never needs to clean up: an entry counts only while the process that is written in it
 *    lives, by number and the time of the entry: who has the number and started later
 *    is another one.
 *  - At most COUNT processes have units at once, and each has at most one of the first
 *    COUNT entries for them. So who has just got units finds an entry that no
 *    living holder has; a process on its way out has run its last
 *    instruction, so that its entry is free as soon as its units can be.
 *  - Who goes to another IPC namespace gives its units back by that, and its entry is free.
 *  - Who has all units knows without looking that all older entries are nobody's.
 *
 * Containers may have this table in common, but process numbers of their own. Nobody can tell whether
 * a holder of another PID namespace still lives. So its entry is taken when all others
 * are surely somebody's, the oldest first: with one unit that is always right.
 *
 * An entry is taken by one compare-and-swap of one word. What it says besides is
 * valid once a second word has the same value.
 *
 * Everybody who may write the semaphore may write the table: nothing in it is
 * believed where it matters, and every index is bounded.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "holder.h"
#include "process.h"
#include "sysv.h"

#define MAGIC UINT64_C(0x73646c6f68637069) /* "ipcholds" */
#define NANO 1000000000
#define PID_BITS 22		     /* the kernel's own limit is 2^22 */
#define LEAST_NANOSECONDS 1000000000 /* until somebody has finished dying */
#define MOST_NANOSECONDS INT64_C(5000000000)

struct holder_entry {
	_Atomic uint64_t holder;    /* its number, and in the upper bits when; 0: free */
	_Atomic uint64_t described; /* the same, when what follows is about it */
	uint64_t owner;		    /* the process for which it holds, 0: itself */
	int64_t since;		    /* nanoseconds since 1970 */
	uint32_t units;
	uint32_t mode;
	_Atomic uint64_t numbers; /* the PID namespace that its numbers are of, 0: unknown */
	char reserved[16];
};
_Static_assert(sizeof(struct holder_entry) == 64, "the layout is shared between processes");

struct holder_table {
	_Atomic uint64_t magic; /* 0 until its maker has seen it */
	_Atomic uint32_t high;	/* entries from here on were never used; only a hint */
	char reserved[116];	/* makes the size one that nobody else is likely to use */
	struct holder_entry entries[IPCU_SEM_COUNT_MAX];
};
_Static_assert(sizeof(struct holder_table) == 128 + 64 * 32767,
	       "the layout is shared between processes");

static pid_t pid_of(uint64_t word)
{
	return (pid_t)(word & ((UINT64_C(1) << PID_BITS) - 1));
}

/* ---- the segment -------------------------------------------------------- */

static bool is_table(int id, const struct ipc_perm *set)
{
	struct shmid_ds state;

	return ipcu_stat_segment(id, &state) == 0 && state.shm_perm.cuid == set->cuid &&
	       state.shm_segsz == sizeof(struct holder_table);
}

/* The segment of the set with PERM, made if need be; -1 with errno. */
static int find_or_make(int set, const struct ipc_perm *perm)
{
	int id = shmget(PERM_KEY(*perm), 0, 0);
	struct ipc_perm again;

	if (id >= 0 || errno != ENOENT || geteuid() != perm->cuid)
		return id;
	id = shmget(PERM_KEY(*perm), sizeof(struct holder_table),
		    IPC_CREAT | SHM_NORESERVE | (int)(perm->mode & 0666));
	/* Was the set removed meanwhile? Then nobody else would remove this. */
	if (id >= 0 && ipcu_family_stat(IPCU_FAMILY_SET, set, &again) < 0) {
		shmctl(id, IPC_RMID, NULL);
		errno = EIDRM;
		return -1;
	}
	return id;
}

enum ipcu_result ipcu_holders_attach(int set, bool writable, struct holder_table **out)
{
	struct holder_table *table;
	struct ipc_perm perm;
	uint64_t magic = 0;
	int id;

	if (ipcu_family_stat(IPCU_FAMILY_SET, set, &perm) < 0)
		return ipcu_fail_call("semctl", EIDRM, "no table of holders");
	id = find_or_make(set, &perm);
	if (id < 0) {
		int errnum = errno;

		ipcu_fail_call("shmget", errnum, "no table of holders");
		if (errnum == ENOENT)
			ipcu_hint(
				"somebody removed it; it comes back when user %lu uses the semaphore",
				(unsigned long)perm.cuid);
		return ipcu_last_error()->result;
	}
	if (!is_table(id, &perm))
		return ipcu_fail(IPCU_CONFLICT,
				 "another program's segment %d has the key of its table of holders",
				 id);
	table = shmat(id, NULL, writable ? 0 : SHM_RDONLY);
	if (table == (void *)-1)
		return ipcu_fail_call("shmat", errno, "no table of holders");
	if (writable && atomic_compare_exchange_strong(&table->magic, &magic, MAGIC))
		magic = MAGIC;
	else if (!writable)
		magic = atomic_load(&table->magic);
	if (magic != MAGIC && magic != 0) {
		shmdt(table);
		return ipcu_fail(IPCU_SYSTEM, "its table of holders is damaged: bad magic");
	}
	*out = table;
	return IPCU_OK;
}

enum ipcu_result ipcu_holders_look(int set, struct holder_table **table)
{
	struct ipc_perm perm;

	if (ipcu_family_stat(IPCU_FAMILY_SET, set, &perm) < 0 || shmget(PERM_KEY(perm), 0, 0) < 0)
		return ipcu_fail(IPCU_NOT_FOUND, "no table of holders");
	return ipcu_holders_attach(set, false, table);
}

void ipcu_holders_detach(struct holder_table *table)
{
	if (table)
		shmdt(table);
}

bool ipcu_holders_internal(const struct ipcu_info *info)
{
	struct holder_table *table;
	bool is;

	if (info->kind != IPCU_KIND_MEMORY || info->size != sizeof(struct holder_table))
		return false;
	table = shmat(info->id, NULL, SHM_RDONLY);
	if (table == (void *)-1) /* the size alone has to do */
		return true;
	is = atomic_load(&table->magic) == MAGIC || atomic_load(&table->magic) == 0;
	shmdt(table);
	return is;
}

bool ipcu_holders_stale(const struct ipcu_info *info)
{
	/* With a magic: one that is about to be used has none for an instant, and then its set. */
	return info->internal && info->attached == 0 && ipcu_holders_internal(info) &&
	       ipcu_family_get(IPCU_FAMILY_SET, info->key) < 0 && errno == ENOENT;
}

void ipcu_holders_remove(uid_t owner, const char *name, const struct ipcu_record *record,
			 bool idle_only)
{
	int set = ipcu_family_get(IPCU_FAMILY_SET, record->key);
	int id = shmget(record->key, 0, 0);
	struct shmid_ds state;

	(void)name;
	(void)idle_only; /* nothing of it is in use without its set */
	/* Another program may have been faster in using the key. */
	if (set < 0 && errno == ENOENT && id >= 0 && ipcu_stat_segment(id, &state) == 0 &&
	    state.shm_perm.cuid == owner && state.shm_segsz == sizeof(struct holder_table))
		shmctl(id, IPC_RMID, NULL);
}

/* ---- entries ------------------------------------------------------------ */

/* Who looks for an entry: the word to put there, and the PID namespace it is of. */
struct claimer {
	uint64_t self, numbers;
};

/* Whether the entry, which had WORD, is of a process whose number means nothing to us, who are of NUMBERS. */
static bool is_foreign(const struct holder_entry *entry, uint64_t word, uint64_t numbers)
{
	uint64_t theirs = atomic_load(&entry->numbers);

	return word && atomic_load(&entry->described) == word && theirs && numbers &&
	       theirs != numbers;
}

/* Whether nobody has the entry with WORD, which is not foreign; sure without looking into /proc. */
static bool surely_free(uint64_t word)
{
	return word == 0 || (kill(pid_of(word), 0) < 0 && errno == ESRCH);
}

static bool is_free(uint64_t word)
{
	return word == 0 || pid_of(word) <= 0 ||
	       ipcu_process_ended(pid_of(word), word >> PID_BITS) ||
	       ipcu_process_left(pid_of(word));
}

/* Take the first entry of COUNT that FREE says is; -1 if there is none. */
static int take_entry(struct holder_table *table, unsigned count, const struct claimer *claimer,
		      bool (*free)(uint64_t))
{
	for (unsigned i = 0; i < count; i++) {
		struct holder_entry *entry = &table->entries[i];
		uint64_t word = atomic_load(&entry->holder);

		if (!is_foreign(entry, word, claimer->numbers) && free(word) &&
		    atomic_compare_exchange_strong(&entry->holder, &word, claimer->self))
			return (int)i;
	}
	return -1;
}

/* Take the oldest foreign entry of COUNT, for one of those that are left must be free. */
static int take_foreign(struct holder_table *table, unsigned count, const struct claimer *claimer)
{
	uint64_t oldest = UINT64_MAX;
	int slot = -1;

	for (unsigned i = 0; i < count; i++) {
		uint64_t word = atomic_load(&table->entries[i].holder);

		if (word < oldest && is_foreign(&table->entries[i], word, claimer->numbers)) {
			oldest = word; /* its upper bits are the time */
			slot = (int)i;
		}
	}
	if (slot >= 0 &&
	    !atomic_compare_exchange_strong(&table->entries[slot].holder, &oldest, claimer->self))
		return -1;
	return slot;
}

/* Take an entry of COUNT from before ALONE: then somebody was seen to hold all, so it is nobody's whatever it says. */
static int take_old(struct holder_table *table, unsigned count, const struct claimer *claimer,
		    uint64_t alone)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t word = atomic_load(&table->entries[i].holder);

		if (word >> PID_BITS < alone &&
		    atomic_compare_exchange_strong(&table->entries[i].holder, &word, claimer->self))
			return (int)i;
	}
	return -1;
}

static void describe(struct holder_table *table, int slot, const struct claimer *claimer,
		     pid_t owner, const struct ipcu_hold *hold)
{
	struct holder_entry *entry = &table->entries[slot];
	uint32_t high = atomic_load(&table->high);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	entry->owner = (uint64_t)owner;
	entry->since = (int64_t)now.tv_sec * NANO + now.tv_nsec;
	entry->units = hold->units;
	entry->mode = (uint32_t)hold->mode;
	atomic_store(&entry->numbers, claimer->numbers);
	atomic_store(&entry->described, claimer->self);
	while (high <= (uint32_t)slot &&
	       !atomic_compare_exchange_weak(&table->high, &high, (uint32_t)slot + 1))
		;
}

enum ipcu_result ipcu_holders_claim(struct holder_table *table, unsigned count, uint64_t alone,
				    pid_t owner, const struct ipcu_hold *hold,
				    const struct timespec *deadline, int *slot)
{
	pid_t self = getpid();
	const struct claimer claimer = { ipcu_process_clock() << PID_BITS | (uint64_t)self,
					 ipcu_process_numbers(self) };
	struct timespec pause = { 0, 1000000 }, last = { 0, 0 };

	if (count > IPCU_SEM_COUNT_MAX)
		count = IPCU_SEM_COUNT_MAX;
	do {
		*slot = take_entry(table, count, &claimer, surely_free);
		if (*slot < 0)
			*slot = take_entry(table, count, &claimer, is_free);
		if (*slot < 0)
			*slot = take_old(table, count, &claimer, alone);
		if (*slot < 0)
			*slot = take_foreign(table, count, &claimer);
		if (*slot >= 0) {
			describe(table, *slot, &claimer, owner, hold);
			return IPCU_OK;
		}
		if (!last.tv_sec) /* mostly there is one at once, and nobody asks for the time */
			last = ipcu_deadline_between(deadline, LEAST_NANOSECONDS, MOST_NANOSECONDS);
		nanosleep(&pause, NULL);
	} while (!ipcu_deadline_passed(&last));
	ipcu_fail(IPCU_SYSTEM, "its table of holders is damaged: there are units, but no slot");
	ipcu_hint(
		"somebody who may write the semaphore has filled it, or /proc hides who has ended or left (hidepid); "
		"remove and create it again");
	return IPCU_SYSTEM;
}

void ipcu_holders_drop(struct holder_table *table, int slot)
{
	struct holder_entry *entry;
	pid_t self = getpid();
	uint64_t word;

	if (slot < 0 || slot >= (int)IPCU_SEM_COUNT_MAX)
		return;
	entry = &table->entries[slot];
	word = atomic_load(&entry->holder);
	if (pid_of(word) == self && !is_foreign(entry, word, ipcu_process_numbers(self)))
		atomic_compare_exchange_strong(&entry->holder, &word, 0);
}

/* A consistent copy of an entry; false if nobody living that we can name has it, or not yet quite. */
static bool read_entry(struct holder_table *table, unsigned slot, uint64_t numbers,
		       struct ipcu_holder *holder)
{
	struct holder_entry *entry = &table->entries[slot];
	uint64_t word = atomic_load(&entry->holder), owner;

	if (is_foreign(entry, word, numbers) || surely_free(word) || is_free(word) ||
	    atomic_load(&entry->described) != word)
		return false;
	owner = entry->owner;
	memset(holder, 0, sizeof(*holder));
	holder->pid = owner ? (pid_t)owner : pid_of(word);
	holder->keeper = owner ? pid_of(word) : 0;
	holder->units = entry->units;
	holder->mode = (enum ipcu_hold_mode)entry->mode;
	holder->since.tv_sec = (time_t)(entry->since / NANO);
	holder->since.tv_nsec = (long)(entry->since % NANO);
	holder->slot = (int)slot;
	atomic_thread_fence(memory_order_acquire);
	return atomic_load(&entry->holder) == word;
}

size_t ipcu_holders_each(struct holder_table *table, ipcu_holder_fn fn, void *context)
{
	uint32_t high = atomic_load(&table->high);
	uint64_t numbers = ipcu_process_numbers(getpid());
	char command[4096];
	size_t count = 0;

	if (high > IPCU_SEM_COUNT_MAX)
		high = IPCU_SEM_COUNT_MAX;
	for (unsigned i = 0; i < high; i++) {
		struct ipcu_holder holder;

		if (!read_entry(table, i, numbers, &holder))
			continue;
		count++;
		if (!fn)
			continue;
		ipcu_process_command(holder.pid, command, sizeof(command));
		holder.command = command;
		fn(&holder, context);
	}
	return count;
}
