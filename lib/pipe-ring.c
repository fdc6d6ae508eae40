/* SPDX-License-Identifier: MIT
 * pipe-ring.c - bytes through a ring in shared memory, and sleeping at either side of it
 *
 * One end writes and one end reads, so each position has one writer, and no lock is needed. An end that has nothing to do sets
 * its "asleep" word, looks once more, and sleeps on the position of its peer. An end that moves its own position then looks
 * whether the peer is asleep. Both are seq_cst: one of the two sees the other. The model is tests/model/pipe.pml; it found
 * that an end that wakes a sleeper must not also clear the sleeper's word.
 *
 * Memory order, also on weakly ordered processors:
 *
 *  - The writer stores bytes as plain memory and publishes them by the store to "written", which is a release. The reader loads
 *    "written", an acquire, before it reads them.
 *  - The reader publishes by the store to "taken", a release, that it has read bytes. The writer loads "taken", an acquire,
 *    before it overwrites them. So a writer that publishes twice, or a hundred times, while the reader still reads
 *    an earlier piece cannot touch that piece: its bytes are not in the room that the writer's last "taken" left.
 *  - That an end sets "asleep" and then reads a position, while its peer stores the position and then reads "asleep", needs
 *    more than release and acquire: each stores before it loads. seq_cst orders these four accesses.
 *
 * While its reader sleeps a position can advance by no more than the capacity, which is far less than the
 * half word that is slept on can count. So an advance is never mistaken for none.
 *
 * Whether the peer still lives is recorded by its semaphore, which the kernel takes back (pipe-ends.c). A sleeper looks
 * at it twice a second; a caller that sleeps elsewhere, for example in read(2), calls ipcu_pipe_check().
 *
 * An end believes nothing that the peer can write: it reads the peer's position once and checks that it lies within the
 * ring, and it keeps its own position where the peer cannot write.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "deadline.h"
#include "error.h"
#include "futex.h"
#include "pipe.h"
#include "queue.h"

#define LOOK_NANOSECONDS 500000000
#define ENDED UINT64_C(1)

static void *low_half(_Atomic uint64_t *word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return (uint32_t *)(void *)word + 1;
#else
	return word;
#endif
}

void ipcu_pipe_wake(_Atomic uint64_t *position, _Atomic uint32_t *asleep)
{
	if (atomic_load(asleep))
		ipcu_futex_wake(low_half(position));
}

static enum ipcu_result cut(bool writing)
{
	ipcu_fail(IPCU_BROKEN, writing ? "the other end is gone before it had everything"
				       : "the other end is gone before the end of the stream");
	ipcu_hint("it died, was killed or gave up; what came through is not the whole");
	return IPCU_BROKEN;
}

static enum ipcu_result damaged(void)
{
	ipcu_fail(IPCU_BROKEN, "the pipe is corrupted: its positions are impossible");
	ipcu_hint("a process that may write its memory has changed it; the data is incomplete");
	return IPCU_BROKEN;
}

/* Wait until POSITION is no longer SEEN. Only the sleeper clears ASLEEP: its peer might do so too late. */
static enum ipcu_result sleep_on(const ipcu_pipe *pipe, _Atomic uint64_t *position, uint64_t seen,
				 _Atomic uint32_t *asleep, bool writing,
				 const struct timespec *deadline)
{
	enum ipcu_result result = IPCU_OK;

	atomic_store(asleep, 1);
	while (result == IPCU_OK && atomic_load(position) == seen) {
		struct timespec look = ipcu_deadline_in(LOOK_NANOSECONDS);
		bool there;
		int errnum;

		if (deadline && ipcu_deadline_passed(deadline)) {
			result = ipcu_not_now(deadline == &ipcu_no_wait ? EAGAIN : ETIMEDOUT);
			break;
		}
		errnum = ipcu_futex_wait(low_half(position), (uint32_t)seen,
					 ipcu_deadline_earlier(deadline, &look));
		if (atomic_load(position) != seen)
			break;
		/* Also when interrupted: with a timer faster than our look, the caller would never see it. */
		result = ipcu_pipe_other(pipe, &there);
		/* The peer may have moved its position between our look and its leaving. */
		if (result == IPCU_OK && !there && atomic_load(position) == seen)
			result = cut(writing);
		else if (result == IPCU_OK && there && errnum == EINTR)
			result = ipcu_not_now(EINTR);
	}
	atomic_store(asleep, 0);
	return result;
}

/* Publish our POSITION and wake the peer. */
static void advance(_Atomic uint64_t *word, uint64_t position, bool end, _Atomic uint32_t *asleep)
{
	atomic_store(word, position * 2 + (end ? ENDED : 0));
	ipcu_pipe_wake(word, asleep);
}

/* The bytes that can be moved at POSITION without wrapping: never all, so that the peer can work meanwhile. */
static size_t piece(const ipcu_pipe *pipe, uint64_t position, uint64_t available)
{
	size_t offset = (size_t)(position % pipe->capacity), most = pipe->capacity / 4;

	if (most > pipe->capacity - offset)
		most = pipe->capacity - offset;
	return available < most ? (size_t)available : most;
}

/* ---- writing -------------------------------------------------------------- */

/* The bytes that the reader has not yet taken; IPCU_BROKEN if it claims to have taken more than were written. */
static enum ipcu_result in_ring(const ipcu_pipe *pipe, uint64_t taken, uint64_t *used)
{
	*used = pipe->written - taken / 2;
	return *used > pipe->capacity ? damaged() : IPCU_OK;
}

enum ipcu_result ipcu_pipe_reserve(ipcu_pipe *pipe, void **at, size_t *size,
				   const struct timespec *deadline)
{
	enum ipcu_result result;
	uint64_t taken, used;

	if (!pipe->met || !pipe->out || pipe->ended)
		return ipcu_fail(IPCU_USAGE, "cannot write: %s",
				 !pipe->met  ? "the other end was not waited for"
				 : pipe->out ? "its end was said already"
					     : "this is the reading end");
	for (;;) {
		taken = atomic_load(&pipe->out->taken);
		result = in_ring(pipe, taken, &used);
		if (result != IPCU_OK)
			return result;
		if (used < pipe->capacity)
			break;
		result = sleep_on(pipe, &pipe->out->taken, taken, &pipe->out->writer_asleep, true,
				  deadline);
		if (result != IPCU_OK)
			return result;
	}
	*at = pipe->out_bytes + pipe->written % pipe->capacity;
	*size = piece(pipe, pipe->written, pipe->capacity - used);
	return IPCU_OK;
}

void ipcu_pipe_commit(ipcu_pipe *pipe, size_t size)
{
	pipe->written += size;
	advance(&pipe->out->written, pipe->written, false, &pipe->out->reader_asleep);
}

enum ipcu_result ipcu_pipe_write(ipcu_pipe *pipe, const void *bytes, size_t size, size_t *written,
				 const struct timespec *deadline)
{
	*written = 0;
	while (*written < size) {
		size_t room;
		void *at;
		enum ipcu_result result = ipcu_pipe_reserve(pipe, &at, &room, deadline);

		if (result != IPCU_OK)
			return result;
		if (room > size - *written)
			room = size - *written;
		memcpy(at, (const char *)bytes + *written, room);
		ipcu_pipe_commit(pipe, room);
		*written += room;
	}
	return IPCU_OK;
}

void ipcu_pipe_end(ipcu_pipe *pipe)
{
	if (!pipe->out || pipe->ended)
		return;
	pipe->ended = true;
	advance(&pipe->out->written, pipe->written, true, &pipe->out->reader_asleep);
}

/* ---- reading -------------------------------------------------------------- */

enum ipcu_result ipcu_pipe_peek(ipcu_pipe *pipe, const void **at, size_t *size,
				const struct timespec *deadline)
{
	enum ipcu_result result;
	uint64_t written, available;

	if (!pipe->met || !pipe->in)
		return ipcu_fail(IPCU_USAGE, "cannot read: %s",
				 pipe->met ? "this is the writing end"
					   : "the other end was not waited for");
	for (;;) {
		written = atomic_load(&pipe->in->written);
		available = written / 2 - pipe->taken;
		if (available > pipe->capacity || (pipe->at_end && available))
			return damaged();
		pipe->at_end = !available && (written & ENDED);
		if (available || pipe->at_end)
			break;
		result = sleep_on(pipe, &pipe->in->written, written, &pipe->in->reader_asleep,
				  false, deadline);
		if (result != IPCU_OK)
			return result;
	}
	*at = pipe->in_bytes + pipe->taken % pipe->capacity;
	*size = piece(pipe, pipe->taken, available);
	return IPCU_OK;
}

void ipcu_pipe_consume(ipcu_pipe *pipe, size_t size)
{
	pipe->taken += size;
	advance(&pipe->in->taken, pipe->taken, false, &pipe->in->writer_asleep);
}

enum ipcu_result ipcu_pipe_read(ipcu_pipe *pipe, void *buffer, size_t size, size_t *got,
				const struct timespec *deadline)
{
	const void *at;
	size_t available;
	enum ipcu_result result = ipcu_pipe_peek(pipe, &at, &available, deadline);

	if (result != IPCU_OK)
		return result;
	*got = available < size ? available : size;
	memcpy(buffer, at, *got);
	if (*got)
		ipcu_pipe_consume(pipe, *got);
	return IPCU_OK;
}

/* ---- the end ---------------------------------------------------------------- */

/* Return true if the reader has confirmed that it has everything. */
static bool acknowledged(const ipcu_pipe *pipe, uint64_t taken)
{
	return pipe->ended && taken == pipe->written * 2 + ENDED;
}

enum ipcu_result ipcu_pipe_check(ipcu_pipe *pipe)
{
	bool there;
	enum ipcu_result result = ipcu_pipe_other(pipe, &there);

	if (result != IPCU_OK || there)
		return result;
	if (pipe->out && !acknowledged(pipe, atomic_load(&pipe->out->taken)))
		return cut(true);
	if (pipe->in && !(atomic_load(&pipe->in->written) & ENDED))
		return cut(false);
	return IPCU_OK;
}

enum ipcu_result ipcu_pipe_finish(ipcu_pipe *pipe, const struct timespec *deadline)
{
	enum ipcu_result result = IPCU_OK;

	if (pipe->in && !pipe->at_end)
		return ipcu_fail(IPCU_USAGE, "it is not at its end: there may be more to read");
	ipcu_pipe_end(pipe);
	if (pipe->in)
		advance(&pipe->in->taken, pipe->taken, true, &pipe->in->writer_asleep);
	while (pipe->out && result == IPCU_OK) {
		uint64_t taken = atomic_load(&pipe->out->taken), used;

		if (acknowledged(pipe, taken))
			break;
		result = in_ring(pipe, taken, &used);
		if (result == IPCU_OK)
			result = sleep_on(pipe, &pipe->out->taken, taken, &pipe->out->writer_asleep,
					  true, deadline);
	}
	return result;
}
