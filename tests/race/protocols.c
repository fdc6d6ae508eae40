/* SPDX-License-Identifier: MIT
 * protocols.c - the protocols of shared memory, with the processes as threads of one process
 *
 * ThreadSanitizer (make check-tsan) finds accesses that no release and acquire order, but it compares addresses: two processes,
 * or two attachments in one process, are different memory to it. Here all parties use one attachment. So each access to
 * bytes that another party can write must be atomic, or ordered by accesses that are. The values are checked everywhere.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "holder.h"
#include "pipe.h"
#include "registry-layout.h"
#include "tap.h"

static _Atomic long failures;

static void expect(bool good, const char *what)
{
	if (good)
		return;
	failures++;
	printf("# %s: %s\n", what, ipcu_last_error()->message);
}

/* ---- the ring of a pipe ------------------------------------------------------- */

#define RING 4096

static long stream = 400000;

static unsigned char byte_at(size_t position)
{
	return (unsigned char)(position * 2654435761u >> 7);
}

/* Make END use the attachment of FIRST, as if both were one process's view of the segment. */
static void share_attachment(ipcu_pipe *end, const ipcu_pipe *first)
{
	const char *own = (const char *)end->head;
	char *shared = (char *)first->head;

	if (end->out)
		end->out = (struct ipcu_pipe_ring *)(void *)(shared + ((char *)end->out - own));
	if (end->in)
		end->in = (struct ipcu_pipe_ring *)(void *)(shared + ((char *)end->in - own));
	end->out_bytes = (unsigned char *)shared + ((char *)end->out_bytes - own);
	end->in_bytes = (unsigned char *)shared + ((char *)end->in_bytes - own);
}

/* Several pieces are published, of many sizes, before the reader has taken the first. */
static void *write_ring(void *end)
{
	ipcu_pipe *pipe = end;
	size_t written = 0;

	for (size_t turn = 1; written < (size_t)stream; turn = turn % 1009 + 1) {
		size_t size, part;
		void *room;

		if (ipcu_pipe_reserve(pipe, &room, &size, NULL) != IPCU_OK)
			break;
		part = turn < size ? turn : size;
		if (part > (size_t)stream - written)
			part = (size_t)stream - written;
		for (size_t i = 0; i < part; i++)
			((unsigned char *)room)[i] = byte_at(written + i);
		ipcu_pipe_commit(pipe, part);
		written += part;
	}
	ipcu_pipe_end(pipe);
	expect(written == (size_t)stream, "write");
	return NULL;
}

static void *read_ring(void *end)
{
	ipcu_pipe *pipe = end;
	size_t taken = 0, size = 1;
	const void *at;

	for (size_t turn = 1; size; turn = turn % 757 + 1) {
		size_t part;

		if (ipcu_pipe_peek(pipe, &at, &size, NULL) != IPCU_OK)
			break;
		part = turn < size ? turn : size;
		for (size_t i = 0; i < part; i++)
			if (((const unsigned char *)at)[i] != byte_at(taken + i))
				failures++;
		if (part)
			ipcu_pipe_consume(pipe, part);
		taken += part;
	}
	expect(taken == (size_t)stream, "read");
	return NULL;
}

/* Each end confirms to the other one that it has everything. */
static void *finish(void *end)
{
	expect(ipcu_pipe_finish(end, NULL) == IPCU_OK, "finish");
	return NULL;
}

static void both_at_once(ipcu_pipe *ends[2], void *(*first)(void *), void *(*second)(void *),
			 bool crosswise)
{
	pthread_t threads[4];
	int count = crosswise ? 4 : 2;

	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, i < 2 ? first : second, ends[i % 2]);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void pipe_ring(void)
{
	ipcu_pipe *ends[2];

	for (int i = 0; i < 2; i++)
		is_result(ipcu_pipe_open(&ends[i], "ring", IPCU_PIPE_CONNECT, RING, NULL, NULL),
			  IPCU_OK, "an end");
	for (int i = 0; i < 2; i++)
		is_result(ipcu_pipe_meet(ends[i], NULL), IPCU_OK, "its peer");
	share_attachment(ends[1], ends[0]);
	both_at_once(ends, write_ring, read_ring, true);
	both_at_once(ends, finish, NULL, false);
	is_number(failures, 0, "streams both ways are whole, in order");
	ipcu_pipe_close(ends[1]); /* first, for its peer has the attachment that both use */
	ipcu_pipe_close(ends[0]);
}

/* ---- the registry -------------------------------------------------------------- */

#define NAMES 8
#define READERS 3

static struct ipcu_registry names;
static _Atomic bool publishing;
static _Atomic long finds;

/* Every member of a record follows from NUMBER and the TURN, so a torn record is recognised. */
static struct ipcu_record record_of(const char *name, uint64_t turn)
{
	struct ipcu_record record = {
		.kind = IPCU_KIND_SEMAPHORE,
		.key = ipcu_name_derive(geteuid(), name, 0),
		.id = (int32_t)(turn % 1000),
		.state = IPCU_RECORD_LIVE,
		.created = (int64_t)turn,
		.creator = (int32_t)(turn % 30000) + 1,
	};

	record.definition[0] = turn % 30000 + 1;
	return record;
}

static bool is_whole(const char *name, const struct ipcu_record *record)
{
	struct ipcu_record wanted = record_of(name, (uint64_t)record->created);

	return memcmp(&wanted, record, sizeof(wanted)) == 0;
}

static void name_of(unsigned number, char name[16])
{
	snprintf(name, 16, "n%u", number % NAMES);
}

/* Publish each record twice in a row, and now and then drop a name and its entry, until the readers found enough. */
static void *publish(void *unused)
{
	char name[16];

	for (uint64_t turn = 1; turn <= (uint64_t)stream / 20 || finds < 1000; turn++) {
		struct ipcu_record record;

		name_of((unsigned)(turn / 2), name);
		record = record_of(name, turn);
		expect(ipcu_registry_put(&names, name, &record) == IPCU_OK, "publish");
		if (turn % 16 == 15)
			ipcu_registry_drop(&names, name);
	}
	publishing = false;
	return unused;
}

static void *find_names(void *unused)
{
	for (unsigned turn = 0; publishing; turn++) {
		char name[16], listed[IPCU_NAME_MAX + 1];
		struct ipcu_record record;
		uint32_t cursor = 0;

		name_of(turn, name);
		if (ipcu_registry_find(&names, name, &record) == IPCU_OK) {
			finds++;
			failures += !is_whole(name, &record);
		}
		while (ipcu_registry_next(&names, &cursor, listed, &record))
			failures += !is_whole(listed, &record);
	}
	return unused;
}

static void registry_records(void)
{
	pthread_t writer, readers[READERS];
	char name[16];

	is_result(ipcu_registry_open_locked(&names, geteuid(), true), IPCU_OK, "a registry");
	publishing = true;
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, find_names, NULL);
	pthread_create(&writer, NULL, publish, NULL);
	pthread_join(writer, NULL);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	is_number(failures, 0, "every record that a reader got was whole");
	for (unsigned i = 0; i < NAMES; i++) {
		name_of(i, name);
		ipcu_registry_drop(&names, name);
	}
	ipcu_registry_unlock_close(&names);
}

/* ---- the table of holders --------------------------------------------------------- */

#define HOLDERS 4
#define UNITS 3 /* of each holder, so that a torn entry is recognised */

static struct holder_table *table;
static int set;
static _Atomic int claiming;
static _Atomic long listed;

/* Each thread enters itself as a holder and leaves again, also twice in a row on one entry, until the readers saw enough. */
static void *claim(void *unused)
{
	const struct holder_claim holder = { .set = set };

	for (long turn = 0; turn < stream / 100 || listed < 300; turn++) {
		struct ipcu_hold hold = { .units = UNITS,
					  .mode = IPCU_HOLD_UNITS,
					  .pid = getpid() };

		if (ipcu_holders_claim(table, &holder, &hold, NULL) != IPCU_OK) {
			expect(false, "claim");
			break;
		}
		failures += hold.slot < 0 || hold.slot >= HOLDERS;
		ipcu_holders_drop(table, set, &hold);
	}
	claiming--;
	return unused;
}

static void see_holder(const struct ipcu_holder *holder, void *context)
{
	(void)context;
	listed++;
	failures += holder->pid != getpid() || holder->units != UNITS ||
		    holder->mode != IPCU_HOLD_UNITS || holder->keeper != 0;
}

static void *list_holders(void *unused)
{
	while (claiming)
		ipcu_holders_each(table, set, see_holder, NULL);
	return unused;
}

static void holder_entries(void)
{
	pthread_t holders[HOLDERS], readers[READERS];
	ipcu_sem *sem;
	key_t key;

	is_result(ipcu_sem_open(&sem, "held", HOLDERS, 0, NULL), IPCU_OK, "a semaphore");
	ipcu_name_key("held", &key);
	set = semget(key, 0, 0);
	is_result(ipcu_holders_attach(set, NULL, true, &table), IPCU_OK, "its table of holders");
	claiming = HOLDERS;
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, list_holders, NULL);
	for (int i = 0; i < HOLDERS; i++)
		pthread_create(&holders[i], NULL, claim, NULL);
	for (int i = 0; i < HOLDERS; i++)
		pthread_join(holders[i], NULL);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	is_number(failures, 0, "every holder that was listed was whole");
	ipcu_holders_detach(table);
	ipcu_sem_close(sem);
	is_result(ipcu_remove("held", IPCU_KIND_SEMAPHORE, 0), IPCU_OK, "removed");
}

int main(void)
{
	deadline_for_all(120);
	stream = rounds("ROUNDS", stream);
	pipe_ring();
	registry_records();
	holder_entries();
	ipcu_remove_stale(0, 0, NULL, NULL);
	return done();
}
