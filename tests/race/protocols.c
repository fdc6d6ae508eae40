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

#include "pipe.h"
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

int main(void)
{
	deadline_for_all(120);
	stream = rounds("ROUNDS", stream);
	pipe_ring();
	return done();
}
