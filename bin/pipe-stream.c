/* SPDX-License-Identifier: MIT
 * pipe-stream.c - standard input into a pipe, and out of it to standard output
 *
 * read(2) straight into the pipe's memory and write(2) straight out of it: two copies where a FIFO makes four. A thread that
 * sleeps in one of them would not notice that the other end died, so a timer takes each thread out of it a few times a
 * second to look. Both ways at once is two threads, one a direction.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli-interrupt.h"
#include "cli-output.h"
#include "error.h"
#include "pipe-stream.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct stream {
	ipcu_pipe *pipe;
	const struct cli_options *options;
	const char *name;
	_Atomic bool failed; /* one direction has, so the other one stops too */
	int status;	     /* why: of two directions that of the first to fail */
	_Atomic uint64_t bytes;
	struct cli_progress progress;
};

/* Take this thread out of whatever it sleeps in, again and again. False with errno. */
static bool tick_this_thread(void)
{
	struct itimerspec when = { .it_interval = { 0, CLI_PROGRESS_TICK * 1000000 },
				   .it_value = { 0, CLI_PROGRESS_TICK * 1000000 } };
	struct sigevent event;
	timer_t timer;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_THREAD_ID;
	event.sigev_signo = SIGALRM;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	return timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
	       timer_settime(timer, 0, &when, NULL) == 0;
}

/* ---- failing -------------------------------------------------------------- */

static bool stopped(struct stream *stream)
{
	return cli_interrupted() || atomic_load(&stream->failed);
}

/* Whether RESULT only means that a signal came, and not one that ends us. */
static bool was_tick(struct stream *stream, enum ipcu_result result)
{
	return result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR && !stopped(stream);
}

static void show_progress(struct stream *stream, bool last)
{
	cli_progress(&stream->progress, -1, atomic_load(&stream->bytes), last);
}

/* Of the two directions, only the first that fails has a reason of its own. */
static bool fail(struct stream *stream, enum ipcu_result result)
{
	if (!atomic_exchange(&stream->failed, true)) {
		show_progress(stream, true); /* what is said now begins a new line */
		stream->status = cli_interrupted()
					 ? IPCU_SYSTEM
					 : cli_status(stream->options, stream->name, result);
	}
	return false;
}

static bool fail_io(struct stream *stream, const char *what, int errnum)
{
	if (!atomic_exchange(&stream->failed, true)) {
		show_progress(stream, true);
		stream->status = IPCU_SYSTEM;
		if (!cli_interrupted())
			cli_complain(stream->options, stream->name, NULL,
				     "%s: %s: the stream is cut", what, strerror(errnum));
	}
	return false;
}

static void moved(struct stream *stream, size_t size)
{
	uint64_t bytes = atomic_fetch_add(&stream->bytes, size) + size;

	cli_progress(&stream->progress, -1, bytes, false);
}

/* After read(2) or write(2) was interrupted: IPCU_OK, go on. */
static enum ipcu_result look(struct stream *stream)
{
	show_progress(stream, false);
	return ipcu_pipe_check(stream->pipe);
}

/* ---- moving --------------------------------------------------------------- */

/* False if it failed. */
static bool from_stdin(struct stream *stream)
{
	while (!stopped(stream)) {
		enum ipcu_result result;
		size_t room;
		ssize_t got;
		void *at;

		result = ipcu_pipe_reserve(stream->pipe, &at, &room, NULL);
		if (was_tick(stream, result))
			continue;
		if (result != IPCU_OK)
			return fail(stream, result);
		got = read(STDIN_FILENO, at, room);
		if (got == 0) {
			ipcu_pipe_end(stream->pipe);
			return true;
		}
		if (got > 0) {
			ipcu_pipe_commit(stream->pipe, (size_t)got);
			moved(stream, (size_t)got);
			continue;
		}
		cli_would_block(STDIN_FILENO, POLLIN);
		if (errno != EINTR)
			return fail_io(stream, "cannot read standard input", errno);
		result = look(stream);
		if (result != IPCU_OK)
			return fail(stream, result);
	}
	return false;
}

static bool to_stdout(struct stream *stream)
{
	while (!stopped(stream)) {
		enum ipcu_result result;
		const void *at;
		size_t size;
		ssize_t put;

		result = ipcu_pipe_peek(stream->pipe, &at, &size, NULL);
		if (was_tick(stream, result))
			continue;
		if (result != IPCU_OK)
			return fail(stream, result);
		if (size == 0)
			return true;
		put = write(STDOUT_FILENO, at, size);
		if (put >= 0) {
			ipcu_pipe_consume(stream->pipe, (size_t)put);
			moved(stream, (size_t)put);
			continue;
		}
		cli_would_block(STDOUT_FILENO, POLLOUT);
		if (errno != EINTR)
			return fail_io(stream, "write error", errno);
		result = look(stream);
		if (result != IPCU_OK)
			return fail(stream, result);
	}
	return false;
}

static void *other_direction(void *stream)
{
	if (!tick_this_thread())
		fail_io(stream, "timer_create", errno);
	else
		from_stdin(stream);
	return NULL;
}

static bool both_ways(struct stream *stream)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, other_direction, stream);

	if (error)
		return fail(stream,
			    ipcu_fail_call("pthread_create", error, "cannot move both directions"));
	to_stdout(stream);
	pthread_join(thread, NULL);
	return !stopped(stream);
}

/* Everything is moved: end well. */
static bool finish(struct stream *stream)
{
	enum ipcu_result result;

	do
		result = ipcu_pipe_finish(stream->pipe, NULL);
	while (was_tick(stream, result));
	return result == IPCU_OK || fail(stream, result);
}

int pipe_stream(ipcu_pipe *pipe, const struct cli_options *options, const char *name,
		enum ipcu_pipe_end end, enum cli_progress_when progress)
{
	struct stream stream = {
		.pipe = pipe, .options = options, .name = name, .status = IPCU_SYSTEM
	};
	bool done;

	cli_progress_start(&stream.progress, progress);
	if (!tick_this_thread())
		done = fail_io(&stream, "timer_create", errno);
	else if (end == IPCU_PIPE_CONNECT)
		done = both_ways(&stream);
	else
		done = end == IPCU_PIPE_WRITER ? from_stdin(&stream) : to_stdout(&stream);
	done = done && finish(&stream);
	show_progress(&stream, true);
	if (!done)
		return stream.status;
	if (options->verbose)
		cli_complain(options, name, NULL, "%llu bytes",
			     (unsigned long long)atomic_load(&stream.bytes));
	return IPCU_OK;
}
