/* SPDX-License-Identifier: MIT
 * recv-stream.c - messages to stdout, in batches
 *
 * While the queue has more, messages are received one behind the other into one buffer, each
 * where its bytes will be written from. When the queue is empty, or the buffer
 * full, they go out with one write. What could not be written, because the disk is full or
 * the reader went away, was not delivered: it goes back to its queue.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-interrupt.h"
#include "queue.h"
#include "recv.h"
#include "returned.h"
#include "spill.h"

#define BATCH_BYTES (64 * 1024)
#define EMPTY_BYTES \
	sizeof(struct ipcu_spill_empty) /* that a message has at least when it returns */
#define ONE_BYTES (12 * 1024)		/* over the default of kernel.msgmax */
#define HEAD sizeof(long)		/* in front of the first body, for receive_at */

struct taken {
	long type;
	size_t which;
	size_t start, size; /* the body */
};

struct batch {
	const struct recv_queues *from;
	const struct recv_options *options;
	struct cli_buffer bodies; /* HEAD bytes, then each body and, for RECV_PLAIN, its end */
	struct cli_buffer out;	  /* what other styles make of them */
	struct taken *taken;
	size_t count, capacity;
	size_t weight,
		heaviest; /* the bytes that might have to return to the queues, and how many may be taken */
	uint64_t done;	    /* messages delivered or in the batch */
	int status;	    /* to exit with */
	bool over;	    /* nothing more is to be taken */
	uint64_t waited_at; /* what DONE was when the deadline was set */
	const struct timespec *deadline;
	struct timespec storage;
};

static bool plain(const struct batch *batch)
{
	return batch->options->format.style == RECV_PLAIN;
}

static void end(struct batch *batch, int status)
{
	batch->over = true;
	if (status)
		batch->status = status;
}

static void end_without_memory(struct batch *batch, size_t which)
{
	cli_complain(&batch->options->common, batch->options->names[which], NULL,
		     "not enough memory");
	end(batch, IPCU_LIMIT);
}

/* ---- writing --------------------------------------------------------------- */

/* Stdout took no more, errno says why. That is the normal end of a --follow. */
static void write_failed(struct batch *batch)
{
	int errnum = errno;

	if (errnum == EINTR || (errnum == EPIPE && batch->options->follow)) {
		end(batch, IPCU_OK); /* a signal will end us; or the reader has what it wanted */
		return;
	}
	cli_complain(&batch->options->common, NULL, NULL, "write error: %s", strerror(errnum));
	end(batch, IPCU_SYSTEM);
}

static void put_back(struct batch *batch, size_t which, long type, const void *body, size_t size)
{
	if (recv_put_back(batch->from, which, type, body, size) != IPCU_OK)
		end(batch, IPCU_SYSTEM);
}

/* The first message of the batch that is not wholly within the WRITTEN bytes. */
static size_t first_unwritten(struct batch *batch, size_t written)
{
	const struct recv_format *format = &batch->options->format;
	size_t finish = 0, i;

	for (i = 0; i < batch->count; i++) {
		const struct taken *one = &batch->taken[i];

		if (plain(batch)) {
			finish = one->start + one->size + format->end_size - HEAD;
		} else {
			batch->out.used = 0;
			recv_render(format, &batch->out, batch->options->names[one->which],
				    one->type, batch->bodies.bytes + one->start, one->size);
			finish += batch->out.used;
		}
		if (finish > written)
			break;
	}
	return i;
}

/* Write the batch; what cannot be written is put back and ends the stream. */
static void flush(struct batch *batch)
{
	struct cli_buffer *out = plain(batch) ? &batch->bodies : &batch->out;
	size_t skip = plain(batch) ? HEAD : 0;
	size_t written;

	if (batch->count == 0)
		return;
	written = cli_write(out->bytes + skip, out->used - skip);
	if (written < out->used - skip) {
		write_failed(batch);
		for (size_t i = first_unwritten(batch, written); i < batch->count; i++) {
			const struct taken *one = &batch->taken[i];

			put_back(batch, one->which, one->type, batch->bodies.bytes + one->start,
				 one->size);
		}
	}
	batch->count = 0;
	batch->weight = 0;
	batch->bodies.used = HEAD;
	batch->out.used = 0;
}

/* ---- taking ---------------------------------------------------------------- */

static bool make_room(struct batch *batch)
{
	size_t capacity = batch->capacity ? batch->capacity * 2 : 64;
	struct taken *taken;

	if (batch->count < batch->capacity)
		return true;
	taken = realloc(batch->taken, capacity * sizeof(*taken));
	if (!taken)
		return false;
	batch->taken = taken;
	batch->capacity = capacity;
	return true;
}

/* The SIZE bytes at the end of the buffer become part of the batch. make_room() was called. */
static void add(struct batch *batch, size_t which, long type, size_t size)
{
	const struct recv_format *format = &batch->options->format;
	struct taken *one = &batch->taken[batch->count++];

	*one = (struct taken){ type, which, batch->bodies.used, size };
	batch->bodies.used += size;
	batch->weight += size > EMPTY_BYTES ? size : EMPTY_BYTES;
	if (plain(batch))
		cli_put(&batch->bodies, format->end, format->end_size);
	else
		recv_render(format, &batch->out, batch->options->names[which], type,
			    batch->bodies.bytes + one->start, size);
	batch->done++;
	if (batch->bodies.failed || batch->out.failed) {
		put_back(batch, which, type, batch->bodies.bytes + one->start, size);
		batch->count--;
		end_without_memory(batch, which);
	}
}

/* Write a big body from where it is. */
static void deliver_big(struct batch *batch, size_t which, const struct ipcu_message *message)
{
	const struct recv_format *format = &batch->options->format;
	bool written = false;

	flush(batch);
	if (!batch->over && plain(batch)) {
		written = cli_write(message->body, message->size) == message->size &&
			  cli_write(format->end, format->end_size) == format->end_size;
	} else if (!batch->over) {
		recv_render(format, &batch->out, batch->options->names[which], message->type,
			    message->body, message->size);
		written = cli_write(batch->out.bytes, batch->out.used) == batch->out.used;
		if (batch->out.failed) {
			written = false;
			errno = ENOMEM;
		}
		batch->out.used = 0;
	}
	if (written) {
		batch->done++;
		return;
	}
	if (!batch->over)
		write_failed(batch);
	put_back(batch, which, message->type, message->body, message->size);
}

/* A message that came in the library's own memory. */
static void deliver(struct batch *batch, size_t which, const struct ipcu_message *message)
{
	if (message->size > BATCH_BYTES) {
		deliver_big(batch, which, message);
	} else if (make_room(batch) && cli_reserve(&batch->bodies, message->size)) {
		memcpy(batch->bodies.bytes + batch->bodies.used, message->body, message->size);
		add(batch, which, message->type, message->size);
	} else {
		put_back(batch, which, message->type, message->body, message->size);
		end_without_memory(batch, which);
	}
}

/* One receive of one queue, straight into the buffer. */
static enum ipcu_result take_in_place(struct batch *batch, const struct timespec *deadline)
{
	ipcu_queue *queue = batch->from->queues[0];
	char *at = batch->bodies.bytes + batch->bodies.used;
	size_t room = batch->bodies.capacity - batch->bodies.used - batch->options->format.end_size;
	struct ipcu_message big = { 0 };
	enum ipcu_result result;
	size_t size;

	result = ipcu_queue_receive_at(queue, at, room, &big.type, &size, &batch->options->select,
				       deadline);
	if (result == IPCU_LIMIT && ipcu_last_error()->errnum == E2BIG) {
		if (cli_reserve(&batch->bodies, batch->bodies.capacity))
			return IPCU_OK; /* and again, with more room */
		end_without_memory(batch, 0);
		return IPCU_OK;
	}
	if (result != IPCU_OK)
		return result;
	if (!queue->object.named || !ipcu_spill_looks_like(at, size)) {
		add(batch, 0, big.type, size);
		return IPCU_OK;
	}
	result = ipcu_queue_locate(queue, &big, at, size, true);
	if (result == IPCU_OK && big.size > 0)
		deliver(batch, 0, &big);
	else if (result == IPCU_OK)
		add(batch, 0, big.type, 0);
	ipcu_message_clear(&big);
	return result;
}

static enum ipcu_result take_any(struct batch *batch, size_t *which,
				 const struct timespec *deadline)
{
	struct ipcu_message message = { 0 };
	enum ipcu_result result;

	result = ipcu_queue_receive_any(batch->from->queues, batch->options->name_count, which,
					&message, &batch->options->select, deadline);
	if (result == IPCU_OK)
		deliver(batch, *which, &message);
	ipcu_message_clear(&message);
	return result;
}

/* Take one message, or end if that is what its failure means. False: the queues are empty. */
static bool take(struct batch *batch, const struct timespec *deadline)
{
	const struct recv_options *options = batch->options;
	enum ipcu_result result = IPCU_OK;
	size_t which = 0;

	if (!make_room(batch))
		end_without_memory(batch, 0);
	else if (options->name_count == 1)
		result = take_in_place(batch, deadline);
	else
		result = take_any(batch, &which, deadline);

	if (result == IPCU_OK || recv_again(result))
		return true;
	if (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EAGAIN)
		return false;
	if (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR) {
		end(batch, IPCU_OK); /* by the signal, or because stdout hung up */
		return true;
	}
	/* One bad message must not end a stream of good ones. */
	if (result == IPCU_BROKEN) {
		batch->status = cli_status(&options->common, options->names[which], result);
		batch->done++;
		return true;
	}
	flush(batch);
	end(batch, cli_status(&options->common, options->names[which], result));
	return true;
}

/* How many bytes may be taken before they are written: the least that can return to any of the queues. */
static size_t heaviest(const struct recv_queues *from)
{
	size_t least = BATCH_BYTES;

	for (size_t i = 0; i < from->options->name_count; i++) {
		size_t room = ipcu_returned_room(&from->queues[i]->object.perm);

		least = room < least ? room : least;
	}
	return least;
}

/* Return true if the batch is to be written before more is taken. */
static bool full(const struct batch *batch)
{
	return batch->weight >= batch->heaviest || batch->bodies.used >= BATCH_BYTES ||
	       batch->out.used >= BATCH_BYTES;
}

/* ---- the loop --------------------------------------------------------------- */

/* The queues are empty and all is written: wait for more, or end. */
static void wait_for_more(struct batch *batch)
{
	const struct recv_options *options = batch->options;

	if (options->all || (options->common.waits && options->common.timeout == 0)) {
		end(batch, options->all && batch->done
				   ? IPCU_OK
				   : cli_status(&options->common, options->names[0], IPCU_NOT_NOW));
		return;
	}
	/* A wait that a signal broke goes on to the same deadline; a message starts a new one. */
	if (batch->waited_at != batch->done)
		batch->deadline = cli_deadline(&options->common, &batch->storage);
	batch->waited_at = batch->done;
	recv_wait_begin(batch->from);
	take(batch, batch->deadline);
	cli_wait_pause(batch->from->wait);
}

int recv_stream(const struct recv_queues *from)
{
	const struct recv_options *options = from->options;
	struct batch batch = { .from = from, .options = options, .waited_at = UINT64_MAX };
	uint64_t limit;
	int status = recv_limit(from, &limit);

	if (status)
		return status;
	/* One message seldom needs much, and asking the kernel for memory would cost more than taking it. */
	if (!cli_reserve(&batch.bodies, HEAD + (limit == 1 ? ONE_BYTES : 2 * BATCH_BYTES))) {
		end_without_memory(&batch, 0);
		return batch.status;
	}
	batch.bodies.used = HEAD;
	batch.heaviest = heaviest(from);
	while (!batch.over && batch.done < limit) {
		bool empty = !take(&batch, &ipcu_no_wait);

		if (empty || full(&batch))
			flush(&batch);
		if (cli_interrupted() || cli_stdout_hung_up())
			end(&batch, IPCU_OK);
		if (empty && !batch.over)
			wait_for_more(&batch);
	}
	flush(&batch);
	free(batch.taken);
	free(batch.bodies.bytes);
	free(batch.out.bytes);
	return batch.status;
}
