/* SPDX-License-Identifier: MIT
 * send-input.c - standard input as messages
 *
 * Large reads into one buffer; messages are found with memchr and sent where they
 * are: the eight bytes in front of one, which the kernel wants for the type, belong to
 * what was sent before. A line is sent as soon as the read that completed it
 * returns, and what is left of an incomplete one moves to the front.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli-interrupt.h"
#include "cli-output.h"
#include "parse.h"
#include "queue.h"
#include "send-input.h"

#define HEAD sizeof(long)
#define FIRST_CAPACITY (256 * 1024)

struct stream {
	ipcu_queue *queue;
	const struct cli_options *options;
	const char *name;
	long type;
	char *buffer;	 /* HEAD bytes, then CAPACITY */
	size_t capacity; /* bytes that fit */
	size_t used;	 /* bytes in it */
	uint64_t messages, bytes;
	struct cli_progress progress;
	bool shows_progress; /* which shows a wait too */
	struct cli_wait wait;
};

/* ---- saying what was done ------------------------------------------------- */

void send_done(const struct cli_options *options, const char *name, uint64_t messages,
	       uint64_t bytes)
{
	if (options->verbose)
		cli_complain(options, name, NULL, "sent %llu message%s, %llu byte%s",
			     (unsigned long long)messages, messages == 1 ? "" : "s",
			     (unsigned long long)bytes, bytes == 1 ? "" : "s");
}

int send_failed(ipcu_queue *queue, const struct cli_options *options, const char *name,
		enum ipcu_result result, uint64_t sent)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_queue_info info;
	char hint[sizeof(error.hint)];

	snprintf(hint, sizeof(hint), "%s", error.hint);
	/* "Not now" of a send means that data was not sent, so it is said. */
	if (result == IPCU_NOT_NOW && error.errnum != EINTR) {
		snprintf(error.message, sizeof(error.message), "cannot send: the queue is full%s",
			 error.errnum == ETIMEDOUT ? ": timed out" : "");
		if (ipcu_queue_status(queue, &info) == IPCU_OK)
			snprintf(
				hint, sizeof(hint),
				"%llu message%s with %llu of %llu bytes wait%s to be received; the size of a new queue is kernel.msgmnb",
				(unsigned long long)info.messages, info.messages == 1 ? "" : "s",
				(unsigned long long)info.bytes, (unsigned long long)info.bytes_max,
				info.messages == 1 ? "s" : "");
	}
	cli_complain(options, name, hint, "%s (%llu sent before)", error.message,
		     (unsigned long long)sent);
	return result == IPCU_NOT_NOW ? cli_not_now(options) : (int)result;
}

bool send_describe_wait(void *queue, char *text, size_t capacity)
{
	struct ipcu_queue_info info;

	if (ipcu_queue_status(queue, &info) != IPCU_OK)
		return false;
	snprintf(text, capacity,
		 "for room in the queue: it holds %llu message%s with %llu of %llu bytes",
		 (unsigned long long)info.messages, info.messages == 1 ? "" : "s",
		 (unsigned long long)info.bytes, (unsigned long long)info.bytes_max);
	return true;
}

static void show_progress(struct stream *stream, bool last)
{
	cli_progress(&stream->progress, (int64_t)stream->messages, stream->bytes, last);
}

/* ---- sending --------------------------------------------------------------- */

static int send_one(struct stream *stream, char *body, size_t size)
{
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(stream->options, &storage);
	enum ipcu_result result;

	if (!stream->shows_progress)
		cli_wait_begin(&stream->wait, stream->options, stream->name, send_describe_wait,
			       stream->queue);
	do {
		result = ipcu_queue_send_at(stream->queue, stream->type, body, size, deadline);
		if (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR)
			show_progress(stream, false);
	} while (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR &&
		 !cli_interrupted());
	cli_wait_pause(&stream->wait);
	if (result != IPCU_OK) {
		show_progress(stream, true); /* what is said now begins a new line */
		return send_failed(stream->queue, stream->options, stream->name, result,
				   stream->messages);
	}
	stream->messages++;
	stream->bytes += size;
	return IPCU_OK;
}

/* Send every complete message in the buffer and keep the rest. */
static int send_complete(struct stream *stream, size_t fresh, char separator)
{
	char *at = stream->buffer + HEAD, *end = at + stream->used;
	char *look = end - fresh; /* what was there before holds no separator */
	char *found;

	while ((found = memchr(look, separator, (size_t)(end - look)))) {
		int status = send_one(stream, at, (size_t)(found - at));

		if (status)
			return status;
		at = look = found + 1;
	}
	stream->used = (size_t)(end - at);
	memmove(stream->buffer + HEAD, at, stream->used);
	return IPCU_OK;
}

static int make_room(struct stream *stream)
{
	size_t capacity = stream->capacity ? stream->capacity * 2 : FIRST_CAPACITY;
	char *buffer;

	if (stream->used > IPCU_MESSAGE_MAX) {
		show_progress(stream, true);
		cli_complain(stream->options, stream->name,
			     "split it, or send where it can be read instead",
			     "a message on stdin is over %zu bytes (%llu sent before)",
			     IPCU_MESSAGE_MAX, (unsigned long long)stream->messages);
		return IPCU_LIMIT;
	}
	if (stream->used < stream->capacity)
		return IPCU_OK;
	buffer = realloc(stream->buffer, HEAD + capacity);
	if (!buffer) {
		show_progress(stream, true);
		cli_complain(stream->options, stream->name, NULL,
			     "not enough memory for a message of over %zu bytes (%llu sent before)",
			     stream->used, (unsigned long long)stream->messages);
		return IPCU_LIMIT;
	}
	stream->buffer = buffer;
	stream->capacity = capacity;
	return IPCU_OK;
}

/* Read what is there: >0 bytes, 0 at the end, -1 after saying why not. */
static ssize_t read_some(struct stream *stream)
{
	for (;;) {
		ssize_t got = read(STDIN_FILENO, stream->buffer + HEAD + stream->used,
				   stream->capacity - stream->used);

		if (got >= 0)
			return got;
		cli_would_block(STDIN_FILENO, POLLIN);
		show_progress(stream, errno != EINTR || cli_interrupted());
		if (errno == EINTR && !cli_interrupted())
			continue;
		if (errno == EINTR)
			cli_complain(stream->options, stream->name, NULL,
				     "interrupted (%llu sent before)",
				     (unsigned long long)stream->messages);
		else
			cli_complain(stream->options, stream->name, NULL,
				     "cannot read stdin: %s (%llu sent before)", strerror(errno),
				     (unsigned long long)stream->messages);
		return -1;
	}
}

/* A message a line, or a NUL; the last need not be ended. */
static int send_pieces(struct stream *stream, char separator)
{
	int status = make_room(stream);

	while (!status) {
		ssize_t got = read_some(stream);

		if (got < 0)
			return IPCU_SYSTEM;
		if (got == 0)
			return stream->used ? send_one(stream, stream->buffer + HEAD, stream->used)
					    : 0;
		stream->used += (size_t)got;
		status = send_complete(stream, (size_t)got, separator);
		if (!status)
			status = make_room(stream);
		show_progress(stream, false);
	}
	return status;
}

static int send_whole(struct stream *stream)
{
	int status = make_room(stream);

	while (!status) {
		ssize_t got = read_some(stream);

		if (got < 0)
			return IPCU_SYSTEM;
		if (got == 0)
			return send_one(stream, stream->buffer + HEAD, stream->used);
		stream->used += (size_t)got;
		status = make_room(stream);
		show_progress(stream, false);
	}
	return status;
}

int send_stdin(ipcu_queue *queue, const struct cli_options *options, const char *name, long type,
	       const struct send_input *input)
{
	struct stream stream = { .queue = queue, .options = options, .name = name, .type = type };
	int status;

	stream.shows_progress = cli_progress_start(&stream.progress, input->progress);
	if (stream.shows_progress)
		cli_tick_start(CLI_PROGRESS_TICK);
	status = input->split == SEND_WHOLE
			 ? send_whole(&stream)
			 : send_pieces(&stream, input->split == SEND_NULL ? '\0' : '\n');
	cli_wait_end(&stream.wait);
	if (status == IPCU_OK) {
		show_progress(&stream, true);
		send_done(options, name, stream.messages, stream.bytes);
	}
	free(stream.buffer);
	return status;
}
