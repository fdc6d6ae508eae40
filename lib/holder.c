/* SPDX-License-Identifier: MIT
 * holder.c - the entries of a table of holders
 *
 * The truth about units is the kernel's alone: it returns them when their holder dies. The table only describes the
 * holders, and gives each a slot number. A kill at any point therefore does no harm:
 *
 *  - A process takes its units first and then an entry. A process that is killed in between has neither.
 *  - No clean-up is needed. An entry is valid only while its process is alive; a process with the same PID but a start
 *    time later than the entry is a different one. A process that goes to a different IPC namespace loses its units to
 *    the kernel, and its entry is free.
 *  - At most COUNT processes hold units at once, and each has at most one of the first COUNT entries. A process that has
 *    just taken units therefore finds an entry of no living holder. COUNT is read again in each attempt, because it can grow.
 *  - A process that holds all units knows that every older entry is free.
 *
 * Sets. An entry is of one set: its word has a few bits of the identifier, and the whole is in the entry. The kernel uses
 * an index again only after the set is gone. If the entry of this index is of a different set, and this set still exists
 * after the entry was read, the different set is gone and its entry is free. A process whose own set is gone never
 * replaces an entry, because it checks that its set exists after it read the entry.
 *
 * PID namespaces. Containers may share this table but not their process numbers. No process can tell whether a holder of
 * a different PID namespace is alive. Such an entry is taken, the oldest first, when all others are of living holders; with
 * one unit that is always right.
 *
 * Publishing. One compare-and-swap of the word takes an entry. The members that follow are written by its holder alone, as
 * with a sequence lock: VERSION becomes odd, then, after a release fence, come the members, then VERSION becomes even and
 * DESCRIBED equals the word, both with release. The fence also orders the compare-and-swap before the members: on ARM a
 * store that follows a compare-and-swap may otherwise become visible first. A reader reads VERSION with acquire, the members,
 * an acquire fence, and VERSION and the word again. A holder that enters the same entry twice within one tick has the same
 * word, but not the same VERSION.
 *
 * Each process with write permission for the semaphore may write the table: nothing in it decides about units, and every
 * index is bounded.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deadline.h"
#include "error.h"
#include "holder-layout.h"
#include "process.h"
#include "sem.h"
#include "sysv.h"

#define NANO 1000000000
#define LEAST_NANOSECONDS 1000000000 /* until a process has finished dying */
#define MOST_NANOSECONDS INT64_C(5000000000)
#define FRESH_NANOSECONDS 500000000 /* until a process that has taken units has entered itself */

static uint64_t tag_of(int set)
{
	return ((uint32_t)set * 2654435761u) >> (32 - HOLDER_TAG_BITS);
}

static pid_t pid_of(uint64_t word)
{
	return (pid_t)(word & ((UINT64_C(1) << HOLDER_PID_BITS) - 1));
}

static uint64_t time_of(uint64_t word)
{
	return word >> HOLDER_TIME_SHIFT;
}

/* Whether the entry, which had WORD, is of SET and not of a set that had the same place before. */
static bool is_of(struct holder_entry *entry, uint64_t word, int set)
{
	if ((word >> HOLDER_PID_BITS & ((1u << HOLDER_TAG_BITS) - 1)) != tag_of(set))
		return false;
	return atomic_load(&entry->described) != word || atomic_load(&entry->set) == set;
}

/* Whether the process number in WORD means nothing to a process of PID_NAMESPACE. */
static bool is_foreign(struct holder_entry *entry, uint64_t word, uint32_t pid_namespace)
{
	uint32_t theirs = atomic_load(&entry->pid_namespace);

	return word && atomic_load(&entry->described) == word && theirs && pid_namespace &&
	       theirs != pid_namespace;
}

/* ---- whether an entry is free -------------------------------------------------- */

/* Without a look into /proc. */
static bool surely_free(uint64_t word)
{
	return word == 0 || pid_of(word) <= 0 || (kill(pid_of(word), 0) < 0 && errno == ESRCH);
}

static bool is_free(uint64_t word)
{
	return surely_free(word) || ipcu_process_ended(pid_of(word), time_of(word)) ||
	       ipcu_process_left(pid_of(word));
}

/* ---- reading ------------------------------------------------------------------ */

static int64_t boot_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * NANO + now.tv_nsec;
}

/* The wall-clock time that corresponds to SINCE: the clock may have been set meanwhile. */
static struct timespec wall_clock(int64_t since)
{
	struct timespec now;
	int64_t then;

	clock_gettime(CLOCK_REALTIME, &now);
	if (since <= 0)
		return (struct timespec){ 0, 0 };
	then = (int64_t)now.tv_sec * NANO + now.tv_nsec - (boot_nanoseconds() - since);
	return (struct timespec){ (time_t)(then / NANO), (long)(then % NANO) };
}

/* Copy the members; false if they changed meanwhile. */
static bool copy(struct holder_entry *entry, uint64_t word, struct ipcu_holder *holder, bool *ours,
		 int set)
{
	uint32_t version = atomic_load(&entry->version);
	uint32_t owner = atomic_load(&entry->owner), mode = atomic_load(&entry->mode);

	*ours = atomic_load(&entry->described) == word && atomic_load(&entry->set) == set;
	memset(holder, 0, sizeof(*holder));
	holder->pid = owner ? (pid_t)owner : pid_of(word);
	holder->keeper = owner ? pid_of(word) : 0;
	holder->units = atomic_load(&entry->units);
	holder->mode = (enum ipcu_hold_mode)(mode & HOLDER_MODE_MASK);
	holder->slot = mode & HOLDER_SLOT_UNSURE ? -1 : 0;
	holder->since = wall_clock(atomic_load(&entry->since));
	atomic_thread_fence(memory_order_acquire);
	return !(version & 1) && atomic_load(&entry->version) == version &&
	       atomic_load(&entry->word) == word;
}

bool ipcu_holder_read(struct holder_entry *entry, int set, struct ipcu_holder *holder)
{
	uint64_t word = atomic_load(&entry->word);
	bool ours = false;

	if (!is_of(entry, word, set) ||
	    is_foreign(entry, word, (uint32_t)ipcu_process_numbers(getpid())) || is_free(word))
		return false;
	return copy(entry, word, holder, &ours, set) && ours && holder->pid > 0;
}

void ipcu_holders_each(struct holder_table *table, int set, ipcu_holder_fn fn, void *context)
{
	struct holder_walk walk = { .table = table, .set = set };
	struct holder_entry *entry;
	int slot;

	ipcu_holder_known(table, set, &walk.limit);
	while ((entry = ipcu_holder_next(&walk, &slot))) {
		struct ipcu_holder holder;

		if (!ipcu_holder_read(entry, set, &holder))
			continue;
		if (holder.slot == 0)
			holder.slot = slot;
		fn(&holder, context);
	}
}

/* ---- taking an entry ------------------------------------------------------------ */

struct claimer {
	struct holder_table *table;
	const struct holder_claim *claim;
	struct ipcu_hold *hold;
	int64_t now;
	uint64_t word;	/* to be put into an entry */
	uint64_t alone; /* all units were held by this process then, 0: they were not */
	uint32_t pid_namespace;
	unsigned count;
	struct holder_entry *entry; /* that was taken */
	uint64_t before;	    /* its word before that */
};

static struct claimer start(struct holder_table *table, const struct holder_claim *claim,
			    struct ipcu_hold *hold)
{
	struct claimer claimer = { .table = table, .claim = claim, .hold = hold };

	claimer.pid_namespace = (uint32_t)ipcu_process_numbers(hold->pid);
	claimer.now = boot_nanoseconds();
	claimer.word = ipcu_process_clock_at(claimer.now) << HOLDER_TIME_SHIFT |
		       tag_of(claim->set) << HOLDER_PID_BITS | (uint64_t)hold->pid;
	return claimer;
}

static bool exchange(struct claimer *claimer, struct holder_entry *entry, int slot, uint64_t word)
{
	if (!atomic_compare_exchange_strong(&entry->word, &word, claimer->word))
		return false;
	claimer->hold->entry = slot;
	claimer->hold->word = claimer->word;
	claimer->entry = entry;
	claimer->before = word;
	return true;
}

static struct holder_walk walk_slots(const struct claimer *claimer, bool make)
{
	return (struct holder_walk){ .table = claimer->table,
				     .set = claimer->claim->set,
				     .limit = claimer->count,
				     .make = make };
}

static bool is_old(const struct claimer *claimer, uint64_t word)
{
	return time_of(word) < claimer->alone;
}

/* Why an entry may be taken. */
enum reason { SURELY_FREE, FREE, OLD };

static bool may_take(const struct claimer *claimer, struct holder_entry *entry, uint64_t word,
		     enum reason reason)
{
	if (!is_of(entry, word, claimer->claim->set))
		return entry != holder_first(claimer->table, claimer->claim->set) || word == 0;
	if (reason == OLD)
		return is_old(claimer, word);
	if (is_foreign(entry, word, claimer->pid_namespace))
		return false;
	return reason == FREE ? is_free(word) : surely_free(word);
}

/* Take the first entry for which REASON holds. *FULL: there was no place for more entries. */
static bool take(struct claimer *claimer, enum reason reason, bool *full)
{
	struct holder_walk walk = walk_slots(claimer, true);
	struct holder_entry *entry;
	int slot;

	while ((entry = ipcu_holder_next(&walk, &slot))) {
		uint64_t word = atomic_load(&entry->word);

		if (may_take(claimer, entry, word, reason) && exchange(claimer, entry, slot, word))
			return true;
	}
	*full = walk.next < walk.limit;
	return false;
}

/* Take the oldest entry of a different PID namespace: all others are of living holders, so one of those must be free. */
static bool take_foreign(struct claimer *claimer)
{
	struct holder_walk walk = walk_slots(claimer, false);
	struct holder_entry *entry, *found = NULL;
	uint64_t oldest = UINT64_MAX;
	int slot, found_slot = 0;

	while ((entry = ipcu_holder_next(&walk, &slot))) {
		uint64_t word = atomic_load(&entry->word);

		if (word < oldest && is_of(entry, word, claimer->claim->set) &&
		    is_foreign(entry, word, claimer->pid_namespace)) {
			oldest = word; /* its upper bits are the time */
			found = entry;
			found_slot = slot;
		}
	}
	return found && exchange(claimer, found, found_slot, oldest);
}

/*
 * Take the first entry, which a different set has. Return IPCU_NOT_NOW if that set exists, which ipcmni_extend makes
 * possible; IPCU_NOT_FOUND if the own set is gone.
 */
static enum ipcu_result take_from_set(struct claimer *claimer, struct holder_entry *entry,
				      uint64_t word)
{
	struct semid_ds state;
	int other = atomic_load(&entry->set);
	bool described = atomic_load(&entry->described) == word;

	if (ipcu_stat_set(claimer->claim->set, &state) < 0)
		return ipcu_fail_call("semctl", EIDRM, "cannot take units");
	if (described && ipcu_stat_set(other, &state) == 0)
		return IPCU_NOT_NOW;
	exchange(claimer, entry, 0, word);
	return IPCU_OK;
}

/* Read the count, and note whether this process holds all units: before the count, which may grow, the time is read. */
static enum ipcu_result look_at_count(struct claimer *claimer)
{
	uint64_t now = ipcu_process_clock();
	int count = semctl(claimer->claim->set, SEM_COUNT, GETVAL);

	if (count < 0)
		return ipcu_fail_call("semctl", errno == EINVAL ? EIDRM : errno,
				      "cannot take units");
	claimer->count =
		(unsigned)count < IPCU_SEM_COUNT_MAX ? (unsigned)count : IPCU_SEM_COUNT_MAX;
	claimer->alone = claimer->hold->units == (unsigned)count ? now : 0;
	return IPCU_OK;
}

static enum ipcu_result no_entry_free(void)
{
	ipcu_fail(IPCU_SYSTEM,
		  "the table of its holders is corrupted: units were free, but no slot is");
	ipcu_hint(
		"a process with write permission for the semaphore has filled the table, or /proc "
		"is mounted with hidepid; remove the semaphore and create it again");
	return IPCU_SYSTEM;
}

static enum ipcu_result table_full(void)
{
	ipcu_fail(IPCU_LIMIT, "the table of holders of user %lu is full", (unsigned long)geteuid());
	ipcu_hint("remove semaphores with ipc-rm, or use fewer that have more than one unit");
	return IPCU_LIMIT;
}

/* Try all entries once. IPCU_OK: claimer->entry was taken, or is NULL if the caller may try again. */
static enum ipcu_result try_all(struct claimer *claimer)
{
	struct holder_entry *first = holder_first(claimer->table, claimer->claim->set);
	uint64_t word = atomic_load(&first->word);
	enum ipcu_result result = look_at_count(claimer);
	bool full = false;

	if (result == IPCU_OK && word && !is_of(first, word, claimer->claim->set))
		result = take_from_set(claimer, first, word);
	if (result != IPCU_OK || claimer->entry)
		return result;
	if (!take(claimer, SURELY_FREE, &full) && !take(claimer, FREE, &full) &&
	    !(claimer->alone && take(claimer, OLD, &full)) && !take_foreign(claimer) && full)
		return table_full();
	return IPCU_OK;
}

static enum ipcu_result try_long(struct claimer *claimer, const struct timespec *deadline)
{
	struct timespec pause = { 0, 1000000 }, last = { 0, 0 };
	enum ipcu_result result;

	do {
		result = try_all(claimer);
		if (result != IPCU_OK || claimer->entry)
			return result;
		if (!last.tv_sec) /* an entry is free at once in most cases: then no time is read */
			last = ipcu_deadline_between(deadline, LEAST_NANOSECONDS, MOST_NANOSECONDS);
		nanosleep(&pause, NULL);
	} while (!ipcu_deadline_passed(&last));
	return no_entry_free();
}

/* ---- describing it ---------------------------------------------------------------- */

/* Note the holder that died with this entry. A process that execs, and a keeper that is released, end normally. */
static void note_previous(struct claimer *claimer)
{
	struct holder_entry *entry = claimer->entry;
	uint64_t word = claimer->before;
	uint32_t owner = atomic_load(&entry->owner);

	if (!word || atomic_load(&entry->described) != word ||
	    !is_of(entry, word, claimer->claim->set) ||
	    is_foreign(entry, word, claimer->pid_namespace) ||
	    atomic_load(&entry->mode) & HOLDER_EXECS ||
	    (atomic_load(&entry->keeper) & ((1u << KEEPER_STATE_BITS) - 1)) == KEEPER_RELEASING ||
	    !is_free(word))
		return;
	claimer->hold->previous_died = true;
	claimer->hold->previous = owner ? (pid_t)owner : pid_of(word);
}

static uint64_t keeper_word(struct holder_table *table, pid_t owner)
{
	return owner ? (atomic_fetch_add(&table->sequence, 1) + 1) << KEEPER_STATE_BITS |
			       KEEPER_STARTING
		     : KEEPER_NONE;
}

static void describe(const struct claimer *claimer)
{
	const struct holder_claim *claim = claimer->claim;
	struct holder_entry *entry = claimer->entry;
	uint32_t version = atomic_load_explicit(&entry->version, memory_order_relaxed) | 1;

#define STORE(member, value) atomic_store_explicit(&entry->member, value, memory_order_relaxed)
	STORE(version, version);
	atomic_thread_fence(memory_order_release);
	STORE(keeper, keeper_word(claimer->table, claim->owner));
	STORE(since, claimer->now);
	STORE(set, claim->set);
	STORE(units, claimer->hold->units);
	STORE(owner, (uint32_t)claim->owner);
	STORE(mode, (uint32_t)claimer->hold->mode | (claim->execs ? HOLDER_EXECS : 0));
	STORE(pid_namespace, claimer->pid_namespace);
#undef STORE
	atomic_store_explicit(&entry->version, version + 1, memory_order_release);
	atomic_store_explicit(&entry->described, claimer->word, memory_order_release);
}

/* ---- whether the slot is the only one of its number ---------------------------------- */

/* How many units of the set the table accounts for, those of other PID namespaces included. */
static unsigned listed_units(struct holder_table *table, int set)
{
	struct holder_walk walk = { .table = table, .set = set };
	uint32_t pid_namespace = (uint32_t)ipcu_process_numbers(getpid());
	struct holder_entry *entry;
	unsigned units = 0;
	int slot;

	ipcu_holder_known(table, set, &walk.limit);
	while ((entry = ipcu_holder_next(&walk, &slot))) {
		uint64_t word = atomic_load(&entry->word);

		if (is_of(entry, word, set) && atomic_load(&entry->described) == word &&
		    (is_foreign(entry, word, pid_namespace) || !is_free(word)))
			units += atomic_load(&entry->units);
	}
	return units;
}

/* Whether each unit that is held is accounted for. */
static bool is_complete(const struct claimer *claimer)
{
	unsigned short m[SEM_MEMBERS] = { 0 };
	unsigned held;

	if (ipcu_set_read(claimer->claim->set, m, SEM_MEMBERS, NULL) < 0)
		return false;
	held = (unsigned)(m[SEM_COUNT] - m[SEM_VALUE] - m[SEM_TAKEN]);
	return claimer->hold->units >= held ||
	       listed_units(claimer->table, claimer->claim->set) >= held;
}

/*
 * A table that was removed and created again lacks the holders of that time. Until all units are accounted for, a slot is
 * not promised to be unique, and the hold has none.
 */
static void judge_slot(const struct claimer *claimer, enum holder_known known)
{
	struct holder_table *table = claimer->table;
	struct timespec pause = { 0, 1000000 }, last = ipcu_deadline_in(FRESH_NANOSECONDS);
	int set = claimer->claim->set;
	bool complete = is_complete(claimer);

	/* Another process may have taken units and be about to enter itself. */
	while (!complete && known == HOLDER_FRESH && !ipcu_deadline_passed(&last)) {
		nanosleep(&pause, NULL);
		known = ipcu_holder_known(table, set, NULL);
		complete = known == HOLDER_COMPLETE || is_complete(claimer);
	}
	ipcu_holder_know(table, set, known, complete ? HOLDER_COMPLETE : HOLDER_DOUBTFUL);
	if (complete)
		return;
	claimer->hold->slot = -1;
	atomic_fetch_or(&claimer->entry->mode, HOLDER_SLOT_UNSURE);
}

static void enter(struct claimer *claimer)
{
	int set = claimer->claim->set;
	enum holder_known known = ipcu_holder_known(claimer->table, set, NULL);

	if (claimer->before)
		note_previous(claimer);
	if (known == HOLDER_UNKNOWN) {
		ipcu_holder_know(claimer->table, set, HOLDER_UNKNOWN, HOLDER_FRESH);
		known = HOLDER_FRESH;
	}
	if (claimer->hold->entry > 0)
		ipcu_holder_use(claimer->table, set, (unsigned)claimer->hold->entry);
	describe(claimer);
	claimer->hold->slot = claimer->hold->entry;
	if (known != HOLDER_COMPLETE)
		judge_slot(claimer, known);
}

/* The usual case, without a look at the count: slot 0 is free, or its holder has ended. */
static bool take_first(struct claimer *claimer)
{
	struct holder_entry *first = holder_first(claimer->table, claimer->claim->set);
	uint64_t word;

	if (exchange(claimer, first, 0, 0))
		return true;
	word = atomic_load(&first->word);
	return is_of(first, word, claimer->claim->set) &&
	       !is_foreign(first, word, claimer->pid_namespace) && surely_free(word) &&
	       exchange(claimer, first, 0, word);
}

enum ipcu_result ipcu_holders_claim(struct holder_table *table, const struct holder_claim *claim,
				    struct ipcu_hold *hold, const struct timespec *deadline)
{
	struct claimer claimer = start(table, claim, hold);
	enum ipcu_result result = IPCU_OK;

	if (!take_first(&claimer))
		result = try_long(&claimer, deadline);
	if (result == IPCU_NOT_NOW) {
		ipcu_holders_no_entry(claim->set, hold);
		return IPCU_OK;
	}
	if (result == IPCU_OK)
		enter(&claimer);
	return result;
}

void ipcu_holders_no_entry(int set, struct ipcu_hold *hold)
{
	int count = semctl(set, SEM_COUNT, GETVAL);

	hold->entry = -1;
	hold->slot = count > 0 && hold->units == (unsigned)count ? 0 : -1;
}

void ipcu_holders_drop(struct holder_table *table, int set, const struct ipcu_hold *hold)
{
	struct holder_entry *entry;
	uint64_t word = hold->word;

	if (hold->entry < 0 || hold->entry >= (int)IPCU_SEM_COUNT_MAX || !word)
		return;
	entry = ipcu_holder_entry(table, set, (unsigned)hold->entry, false);
	if (entry)
		atomic_compare_exchange_strong(&entry->word, &word, 0);
}
