/* SPDX-License-Identifier: MIT
 * sem.c - the semaphore and lock calls of the library
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>

#include "holder-layout.h"
#include "sem.h"
#include "tap.h"

static struct timespec past; /* all zero: does not wait */

static void values(ipcu_sem *sem, unsigned value, unsigned taken, unsigned held, const char *what)
{
	struct ipcu_sem_info info = { 0 };

	ipcu_sem_status(sem, &info);
	if (!ok(info.value == value && info.taken == taken && info.held == held &&
			value + taken + held == info.count,
		"%s", what))
		printf("# value %u taken %u held %u count %u\n", info.value, info.taken, info.held,
		       info.count);
}

static void note(const struct ipcu_holder *holder, void *context)
{
	struct ipcu_holder *last = context;

	*last = *holder;
	last->command = strstr(holder->command, "sem") ? "sem" : holder->command;
}

static void holding(ipcu_sem *sem)
{
	struct ipcu_hold one, two, other;
	struct ipcu_holder holder = { 0 };
	struct timespec deadline = ipcu_deadline_in(20000000);
	int status;
	pid_t child;

	is_result(ipcu_sem_acquire(sem, 2, NULL, &one), IPCU_OK, "acquires 2 of 3");
	is_number(one.slot, 0, "slot 0");
	is_result(ipcu_sem_acquire(sem, 1, NULL, &two), IPCU_OK, "and 1");
	is_number(two.slot, 1, "slot 1");
	values(sem, 0, 0, 3, "all are held");
	is_result(ipcu_sem_acquire(sem, 1, &past, &other), IPCU_NOT_NOW, "no more");
	is_result(ipcu_sem_acquire(sem, 1, &deadline, &other), IPCU_NOT_NOW, "nor later");
	is_number(ipcu_last_error()->errnum, ETIMEDOUT, "timed out");
	is_result(ipcu_sem_acquire(sem, 4, NULL, &other), IPCU_LIMIT, "more than there are");
	is_result(ipcu_sem_acquire(sem, 0, NULL, &other), IPCU_USAGE, "none");
	is_result(ipcu_lock_shared(sem, &past, &other), IPCU_NOT_NOW, "nor shared");
	is_result(ipcu_sem_holders(sem, note, &holder, NULL), IPCU_OK, "holders");
	is_number(holder.pid, getpid(), "the last is this process");
	is_number(holder.units, 1, "with 1 unit");
	is_number(holder.keeper, 0, "itself");
	ok(holder.since.tv_sec <= time(NULL) && holder.since.tv_sec > time(NULL) - 60,
	   "since just now");
	is_number(strcmp(holder.command, "sem"), 0, "its command line");
	child = fork();
	if (child == 0)
		_exit(ipcu_sem_release(sem, &one));
	waitpid(child, &status, 0);
	is_number(WEXITSTATUS(status), IPCU_USAGE, "a child cannot give what its parent holds");
	values(sem, 0, 0, 3, "and has not");
	is_result(ipcu_sem_release(sem, &one), IPCU_OK, "released");
	is_result(ipcu_sem_release(sem, &one), IPCU_USAGE, "not twice");
	is_result(ipcu_sem_acquire(sem, 1, NULL, &one), IPCU_OK, "again");
	is_number(one.slot, 0, "in the free slot");
	ipcu_sem_release(sem, &one);
	ipcu_sem_release(sem, &two);
	child = fork();
	if (child == 0) {
		ipcu_sem_acquire(sem, 3, NULL, &one);
		_exit(0);
	}
	waitpid(child, &status, 0);
	values(sem, 3, 0, 0, "a child's units come back with its end");
}

static void locks(ipcu_sem *sem)
{
	struct ipcu_hold one, two, other;

	is_result(ipcu_lock_shared(sem, NULL, &one), IPCU_OK, "shared");
	is_result(ipcu_lock_shared(sem, NULL, &two), IPCU_OK, "and shared");
	is_result(ipcu_lock_exclusive(sem, &past, &other), IPCU_NOT_NOW, "not exclusive");
	ipcu_sem_release(sem, &one);
	ipcu_sem_release(sem, &two);
	is_result(ipcu_lock_exclusive(sem, NULL, &one), IPCU_OK, "exclusive");
	is_number(one.units, 3, "is all units");
	is_result(ipcu_sem_resize(sem, 5, &past), IPCU_NOT_NOW, "alone: no units come in");
	is_result(ipcu_sem_release(sem, &one), IPCU_OK, "released");
	is_result(ipcu_sem_resize(sem, 5, &past), IPCU_OK, "then they do");
	values(sem, 5, 0, 0, "five");
	is_result(ipcu_sem_acquire(sem, 3, NULL, &one), IPCU_OK, "three held");
	is_result(ipcu_sem_resize(sem, 2, &past), IPCU_NOT_NOW, "are not taken away");
	is_result(ipcu_sem_resize(sem, 3, &past), IPCU_OK, "the others are");
	ipcu_sem_release(sem, &one);
	is_result(ipcu_sem_resize(sem, 0, NULL), IPCU_USAGE, "not none");
	is_result(ipcu_sem_resize(sem, IPCU_SEM_COUNT_MAX + 1, NULL), IPCU_USAGE, "not too many");
	is_result(ipcu_sem_resize(sem, 3, NULL), IPCU_OK, "no change is none");
}

static void tokens(ipcu_sem *sem)
{
	struct ipcu_hold hold;
	unsigned value = 77;

	is_result(ipcu_sem_wait(sem, 2, NULL), IPCU_OK, "takes 2 for good");
	values(sem, 1, 2, 0, "taken");
	is_result(ipcu_sem_wait(sem, 2, &past), IPCU_NOT_NOW, "not 2 more");
	is_result(ipcu_sem_post(sem, 3), IPCU_LIMIT, "cannot give 3");
	is_result(ipcu_sem_post(sem, 0), IPCU_USAGE, "nor none");
	is_result(ipcu_sem_post(sem, 2), IPCU_OK, "gives 2");
	is_result(ipcu_sem_set(sem, 0), IPCU_OK, "set to 0");
	values(sem, 0, 3, 0, "all taken");
	is_result(ipcu_sem_post(sem, 1), IPCU_OK, "one back");
	is_result(ipcu_sem_acquire(sem, 1, NULL, &hold), IPCU_OK, "and held");
	is_result(ipcu_sem_set(sem, 3), IPCU_LIMIT, "not more than is not held");
	is_result(ipcu_sem_set(sem, 2), IPCU_OK, "two");
	is_result(ipcu_sem_get(sem, &value), IPCU_OK, "get");
	is_number(value, 2, "is 2");
	is_result(ipcu_sem_set(sem, 40000), IPCU_LIMIT, "no semaphore goes so far");
	ipcu_sem_release(sem, &hold);
	values(sem, 3, 0, 0, "all free");
}

/* Whoever may write the set can make it say anything. */
static void damaged(void)
{
	struct ipcu_sem_info info;
	struct ipcu_hold hold;
	ipcu_sem *sem;
	key_t key;
	int id;

	is_result(ipcu_sem_open(&sem, "damaged", 3, 0, NULL), IPCU_OK, "opens");
	ipcu_name_key("damaged", &key);
	id = semget(key, 0, 0);
	semctl(id, 0, SETVAL, 0);
	semctl(id, 3, SETVAL, 0);
	is_result(ipcu_lock_exclusive(sem, &past, &hold), IPCU_SYSTEM, "a count of none is damage");
	ok(strstr(ipcu_last_error()->hint, "stop the programs"),
	   "with a hint that removes nothing");
	semctl(id, 3, SETVAL, 3);
	is_result(ipcu_sem_status(sem, &info), IPCU_OK, "as it was");
	semctl(id, 0, SETVAL, 4);
	is_result(ipcu_sem_status(sem, &info), IPCU_SYSTEM, "more free units than there are, too");
	ipcu_sem_close(sem);
	is_result(ipcu_remove("damaged", IPCU_KIND_ANY, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}

/* ---- the table of holders ----------------------------------------------------- */

static void *grow(void *argument)
{
	struct timespec deadline = ipcu_deadline_in(20000000000);

	return ipcu_sem_resize(argument, 5, &deadline) == IPCU_OK ? argument : NULL;
}

/* The count grows while a process that has units looks for an entry. */
static void count_grows(void)
{
	struct ipcu_hold holds[3];
	struct holder_entry *entry;
	struct holder_table *table;
	pthread_t thread;
	void *grown;
	ipcu_sem *sem;

	is_result(ipcu_sem_open(&sem, "grows", 3, 0, NULL), IPCU_OK, "opens");
	ipcu_sem_acquire(sem, 1, NULL, &holds[0]);
	ipcu_sem_acquire(sem, 1, NULL, &holds[1]);
	table = ipcu_sem_table(sem);
	entry = ipcu_holder_entry(table, sem->object.id, 2, true);
	/* The third slot is taken by what looks like a living process. */
	atomic_store(&entry->word, atomic_load(&holder_first(table, sem->object.id)->word));
	pthread_create(&thread, NULL, grow, sem);
	is_result(ipcu_sem_acquire(sem, 1, NULL, &holds[2]), IPCU_OK,
		  "the count is read again while no slot is free");
	is_number(holds[2].slot, 3, "the slot is a new one");
	pthread_join(thread, &grown);
	ok(grown != NULL, "the count has grown");
	for (int i = 0; i < 3; i++)
		ipcu_sem_release(sem, &holds[i]);
	ipcu_sem_close(sem);
	ipcu_remove("grows", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
}

/* Two claims of one block at the same time: a process that was killed has left its own tentative. */
static void blocks_settle(void)
{
	struct holder_entry *entry;
	struct holder_table *table;
	uint64_t word;
	ipcu_sem *sem;
	size_t at;

	is_result(ipcu_sem_open(&sem, "blocks", 100, 0, NULL), IPCU_OK, "opens");
	table = ipcu_sem_table(sem);
	entry = ipcu_holder_entry(table, sem->object.id, 20, true);
	at = (size_t)(entry - table->blocks[0]) / HOLDER_BLOCK;
	word = atomic_load(&table->owners[at]);
	ok(ipcu_holder_entry(table, sem->object.id, 20, true) == entry, "a slot has one entry");
	ok(ipcu_holder_entry(table, sem->object.id, 21, true) == entry + 1,
	   "its block has the next");
	atomic_store(&table->owners[at], (word & ~(uint64_t)3) | 1);
	ok(!ipcu_holder_entry(table, sem->object.id, 20, false), "a tentative block is not used");
	ok(ipcu_holder_entry(table, sem->object.id, 20, true) == entry,
	   "but confirmed by the next");
	atomic_store(&table->owners[at], (word & ~(uint64_t)3) | 1);
	atomic_store(&table->owners[(at + 1) % HOLDER_BLOCKS], word);
	entry = ipcu_holder_entry(table, sem->object.id, 20, true);
	ok(entry && (size_t)(entry - table->blocks[0]) / HOLDER_BLOCK == (at + 1) % HOLDER_BLOCKS,
	   "not if a different one is confirmed");
	/* Of two tentative ones, one is confirmed, and the other is free again. */
	atomic_store(&table->owners[at], (word & ~(uint64_t)3) | 1);
	atomic_store(&table->owners[(at + 1) % HOLDER_BLOCKS], (word & ~(uint64_t)3) | 1);
	ok(ipcu_holder_entry(table, sem->object.id, 20, true), "two tentative claims are settled");
	ok(!atomic_load(&table->owners[at]) !=
		   !atomic_load(&table->owners[(at + 1) % HOLDER_BLOCKS]),
	   "exactly one of them stays");
	/* A block of a set that is gone is free; where all are taken the table is full. */
	for (unsigned i = 0; i < HOLDER_BLOCKS; i++)
		atomic_store(&table->owners[i], UINT64_C(0x3fffffff) << 33 | 2);
	ok(ipcu_holder_entry(table, sem->object.id, 60, true),
	   "a block of a set that is gone is free");
	for (unsigned i = 0; i < HOLDER_BLOCKS; i++)
		atomic_store(&table->owners[i],
			     (uint64_t)sem->object.id << 33 | UINT64_C(4000) << 21 | 2);
	ok(!ipcu_holder_entry(table, sem->object.id, 60, true), "no block is free in a full table");
	ipcu_sem_close(sem);
	ipcu_remove("blocks", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
}

/* A full table: a clear error, and the units are free again. */
static void table_full(void)
{
	struct ipcu_hold one, two;
	struct holder_table *table;
	ipcu_sem *sem;

	is_result(ipcu_sem_open(&sem, "full", 3, 0, NULL), IPCU_OK, "opens");
	table = ipcu_sem_table(sem);
	for (unsigned i = 0; i < HOLDER_BLOCKS; i++)
		atomic_store(&table->owners[i],
			     (uint64_t)sem->object.id << 33 | UINT64_C(4000) << 21 | 2);
	is_result(ipcu_sem_acquire(sem, 1, NULL, &one), IPCU_OK, "the first needs no block");
	is_result(ipcu_sem_acquire(sem, 1, NULL, &two), IPCU_LIMIT, "the second finds none free");
	ok(strstr(ipcu_last_error()->message, "is full"), "and reports it");
	values(sem, 2, 0, 1, "its units are free again");
	ipcu_sem_release(sem, &one);
	ipcu_sem_close(sem);
	ipcu_remove("full", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
}

/* A holder that dies is reported to the next one, whoever did not release; a holder that released is not. */
static void previous_holder(void)
{
	struct ipcu_hold hold;
	ipcu_sem *sem;
	pid_t child;

	is_result(ipcu_sem_open(&sem, "previous", 1, 0, NULL), IPCU_OK, "opens");
	ipcu_sem_acquire(sem, 1, NULL, &hold);
	ok(!hold.previous_died, "the first has no predecessor");
	ipcu_sem_release(sem, &hold);
	ipcu_sem_acquire(sem, 1, NULL, &hold);
	ok(!hold.previous_died, "a holder that released is not reported");
	ipcu_sem_release(sem, &hold);
	child = fork();
	if (child == 0) {
		ipcu_sem_acquire(sem, 1, NULL, &hold);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	is_result(ipcu_sem_acquire(sem, 1, NULL, &hold), IPCU_OK, "acquired after a death");
	ok(hold.previous_died, "the death is reported");
	is_number(hold.previous, child, "with its process");
	ipcu_sem_release(sem, &hold);
	ipcu_sem_acquire(sem, 1, NULL, &hold);
	ok(!hold.previous_died, "once");
	ipcu_sem_release(sem, &hold);
	ipcu_sem_close(sem);
	ipcu_remove("previous", IPCU_KIND_ANY, 0);
}

/* ---- options --------------------------------------------------------------------- */

/* A set that changes nothing does not take the place of the holder, whom the kernel remembers. */
static void set_keeps_holder(void)
{
	struct ipcu_holder holder = { 0 };
	struct ipcu_hold hold;
	unsigned unlisted = 9;
	ipcu_sem *sem;
	pid_t child;

	is_result(ipcu_sem_open(&sem, "keeps", 1, 0, NULL), IPCU_OK, "opens");
	ipcu_sem_acquire(sem, 1, NULL, &hold);
	ipcu_holders_drop(ipcu_sem_table(sem), sem->object.id, &hold);
	child = fork();
	if (child == 0)
		_exit(ipcu_sem_set(sem, 0));
	waitpid(child, NULL, 0);
	is_result(ipcu_sem_holders(sem, note, &holder, &unlisted), IPCU_OK, "the table lacks it");
	is_number(holder.pid, getpid(), "the kernel knows the holder");
	is_number(unlisted, 0, "no unit is left over");
	ipcu_sem_release(sem, &hold);
	ipcu_sem_close(sem);
	ipcu_remove("keeps", IPCU_KIND_ANY, 0);
}

static void consumed(void)
{
	struct ipcu_sem_options options = { .count = 5, .consumed = 5, .transient = true };
	struct ipcu_sem_info info;
	struct ipcu_hold hold;
	ipcu_sem *sem;

	is_result(ipcu_sem_open_with(&sem, "consumed", &options, NULL), IPCU_OK,
		  "with no free unit");
	values(sem, 0, 5, 0, "all are consumed");
	ipcu_sem_status(sem, &info);
	ok(info.transient, "it is transient");
	is_result(ipcu_sem_post(sem, 5), IPCU_OK, "posted");
	is_result(ipcu_sem_acquire(sem, 1, NULL, &hold), IPCU_OK, "held");
	ipcu_sem_release(sem, &hold);
	ipcu_sem_close(sem);
	options.consumed = 6;
	is_result(ipcu_sem_open_with(&sem, "consumed", &options, NULL), IPCU_USAGE, "too many");
	is_result(ipcu_remove("consumed", IPCU_KIND_ANY, 0), IPCU_NOT_FOUND,
		  "the close after the last release removed it");
}

/* A removal that found the semaphore idle, and a process that wants it meanwhile. */
static void sealed(void)
{
	struct ipcu_hold hold;
	ipcu_sem *sem;
	int status;
	pid_t child;

	is_result(ipcu_sem_open(&sem, "sealed", 3, 0, NULL), IPCU_OK, "opens");
	ipcu_sem_wait(sem, 1, NULL);
	ipcu_sem_acquire(sem, 1, NULL, &hold);
	is_result(ipcu_sem_seal(sem->object.id, NULL), IPCU_CONFLICT, "a held one is not sealed");
	ipcu_sem_release(sem, &hold);
	child = fork();
	if (child == 0) {
		struct timespec deadline = ipcu_deadline_in(10000000);

		if (ipcu_sem_seal(sem->object.id, NULL) != IPCU_OK)
			_exit(1);
		child = fork();
		if (child == 0)
			_exit(ipcu_sem_acquire(sem, 1, &deadline, &hold));
		waitpid(child, &status, 0);
		_exit(WEXITSTATUS(status) == IPCU_NOT_NOW ? 0 : 2);
	}
	waitpid(child, &status, 0);
	is_number(WEXITSTATUS(status), 0, "nothing is taken from a sealed one");
	values(sem, 2, 1, 0, "a remover that dies has changed nothing");
	ipcu_sem_close(sem);
	is_result(ipcu_remove("sealed", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

static void count_holder(const struct ipcu_holder *holder, void *context)
{
	(void)holder;
	++*(int *)context;
}

/* For an instant a removal has all units, and the kernel knows its process as the last one that took them. */
static void remover_is_no_holder(void)
{
	unsigned unlisted = 0;
	int status, holders = 0;
	ipcu_sem *sem;
	pid_t child;

	is_result(ipcu_sem_open(&sem, "removal", 1, 0, NULL), IPCU_OK, "opens");
	child = fork();
	if (child == 0) {
		pid_t remover = getpid();

		if (ipcu_sem_seal(sem->object.id, NULL) != IPCU_OK)
			_exit(1);
		child = fork();
		if (child == 0)
			_exit(ipcu_sem_holders(sem, count_holder, &holders, &unlisted) != IPCU_OK ||
			      holders || unlisted != 1 ||
			      ipcu_holders_units_of(sem->object.id, remover));
		waitpid(child, &status, 0);
		_exit(status ? 2 : 0);
	}
	waitpid(child, &status, 0);
	is_number(WEXITSTATUS(status), 0, "a removal is not listed as a holder");
	ipcu_sem_close(sem);
	is_result(ipcu_remove("removal", IPCU_KIND_ANY, 0), IPCU_OK, "removed");
}

static _Atomic int inside, most, failures;

static void *contend(void *argument)
{
	for (int i = 0; i < 500; i++) {
		struct ipcu_hold hold;
		int now;

		if (ipcu_sem_acquire(argument, 1, NULL, &hold) != IPCU_OK) {
			failures++;
			return NULL;
		}
		now = ++inside;
		if (now > 3)
			failures++;
		if (now > most)
			most = now;
		inside--;
		if (hold.slot < 0 || hold.slot > 2 || ipcu_sem_release(argument, &hold) != IPCU_OK)
			failures++;
	}
	return NULL;
}

/* All threads of a process share one undo record, and one handle. */
static void threads(ipcu_sem *sem)
{
	pthread_t all[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&all[i], NULL, contend, sem);
	for (int i = 0; i < 8; i++)
		pthread_join(all[i], NULL);
	is_number(failures, 0, "eight threads share three units by one handle");
	values(sem, 3, 0, 0, "and give all back");
}

static void raw(void)
{
	struct sembuf both[2] = { { 0, -1, 0 }, { 1, 2, 0 } }, wrong = { 7, 1, 0 },
		      too_far = { 0, 32767, 0 };
	struct ipcu_open how = { .create = IPCU_CREATE_NEVER };
	struct ipcu_sem_info info;
	struct ipcu_hold hold;
	unsigned value;
	ipcu_sem *sem;
	int id = semget(0x5e5, 2, IPC_CREAT | 0600);

	is_result(ipcu_sem_open(&sem, "key:0x5e5", 0, 1, &how), IPCU_OK, "opens a raw set");
	is_result(ipcu_sem_set(sem, 3), IPCU_OK, "set");
	is_result(ipcu_sem_op(sem, both, 2, NULL), IPCU_OK, "one step on two");
	is_result(ipcu_sem_select(sem, 1), IPCU_OK, "the other member");
	ipcu_sem_get(sem, &value);
	is_number(value, 2, "was raised");
	is_result(ipcu_sem_select(sem, 2), IPCU_USAGE, "there is no third");
	is_result(ipcu_sem_acquire(sem, 2, NULL, &hold), IPCU_OK, "holds units of it");
	is_number(hold.slot, -1, "without a slot");
	is_result(ipcu_sem_release(sem, &hold), IPCU_OK, "released");
	is_result(ipcu_sem_op(sem, &wrong, 1, NULL), IPCU_USAGE, "no such member");
	is_result(ipcu_sem_op(sem, &wrong, 0, NULL), IPCU_USAGE, "no operation");
	is_result(ipcu_sem_op(sem, &too_far, 1, NULL), IPCU_LIMIT, "too far up");
	both[0].sem_op = -9;
	is_result(ipcu_sem_op(sem, both, 2, &past), IPCU_NOT_NOW, "would wait");
	is_result(ipcu_lock_shared(sem, NULL, &hold), IPCU_USAGE, "no lock");
	is_result(ipcu_sem_resize(sem, 3, NULL), IPCU_USAGE, "no count");
	is_result(ipcu_sem_status(sem, &info), IPCU_OK, "status");
	is_number(info.semaphores, 2, "two members");
	semctl(id, 0, IPC_RMID);
	is_result(ipcu_sem_get(sem, &value), IPCU_NOT_FOUND, "gone");
	is_result(ipcu_sem_op(sem, both, 1, NULL), IPCU_NOT_FOUND, "gone for op");
	ipcu_sem_close(sem);
}

int main(void)
{
	struct sembuf op = { 0, -1, 0 };
	ipcu_sem *sem, *other;

	deadline_for_all(30);
	is_result(ipcu_sem_open(&sem, "s", 0, 0, NULL), IPCU_USAGE, "no count at all");
	is_result(ipcu_sem_open(&sem, "s", IPCU_SEM_COUNT_MAX + 1, 0, NULL), IPCU_USAGE,
		  "too many units");
	is_result(ipcu_sem_open(&sem, "s", 3, 1, NULL), IPCU_OK, "created");
	is_result(ipcu_sem_open(&other, "s", 2, 1, NULL), IPCU_CONFLICT, "another count conflicts");
	is_result(ipcu_sem_open(&other, "s", 0, 1, NULL), IPCU_OK, "none: what it has");
	ipcu_sem_close(other);
	holding(sem);
	locks(sem);
	tokens(sem);
	threads(sem);
	damaged();
	count_grows();
	blocks_settle();
	table_full();
	previous_holder();
	set_keeps_holder();
	consumed();
	sealed();
	remover_is_no_holder();
	is_result(ipcu_sem_op(sem, &op, 1, NULL), IPCU_USAGE, "no operation on a member of a name");
	is_result(ipcu_sem_select(sem, 1), IPCU_USAGE, "nor an index");
	raw();
	is_result(ipcu_remove("s", IPCU_KIND_SEMAPHORE, 0), IPCU_OK, "removed");
	is_result(ipcu_sem_wait(sem, 1, NULL), IPCU_NOT_FOUND, "gone");
	ipcu_sem_close(sem);
	ipcu_sem_close(NULL);
	return done();
}
