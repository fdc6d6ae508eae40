/* SPDX-License-Identifier: MIT
 * ipc-pipe.c - a stream of bytes between two processes, through shared memory
 */
#include <config.h>

#include <errno.h>

#include "cli-interrupt.h"
#include "cli-verbs.h"
#include "cli-wait.h"
#include "parse.h"
#include "pipe-stream.h"

enum { KEY_SIZE = CLI_COMMAND_KEYS };

struct options {
	struct cli_options common;
	const char *name;
	uint64_t size; /* 0: not given */
	enum cli_progress_when progress;
};

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "The pipe:", 1 },
	{ "size", KEY_SIZE, "SIZE", 0,
	  "room for that many bytes, if it is created here (default 1M)", 1 },
	{ "progress", CLI_PROGRESS, "WHEN", OPTION_ARG_OPTIONAL,
	  "bytes and rate on stderr, if stderr is a terminal (auto), always or never", 4 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case KEY_SIZE:
		if (ipcu_parse_size(arg, &options->size) != IPCU_OK)
			return cli_bad_option(state, "--size");
		if (options->size == 0) {
			argp_error(state, "--size: a pipe has room for one byte at least");
			return EINVAL;
		}
		return 0;
	case CLI_PROGRESS:
		return cli_parse_progress(state, arg, &options->progress);
	case ARGP_KEY_ARG:
		if (options->name) {
			cli_usage(state, "unexpected argument '%s'", arg);
			return EINVAL;
		}
		options->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (options->name || options->common.finished)
			return 0;
		argp_error(state, "which pipe? give its NAME");
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Stopped and continued is not given up: as if nothing had been. */
static bool again(enum ipcu_result result)
{
	return result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR && !cli_interrupted();
}

static bool describe_wait(void *handle, char *text, size_t capacity)
{
	static const char *const peers[] = { "for a reader (ipc-pipe read)",
					     "for a writer (ipc-pipe write)",
					     "for the other end (ipc-pipe connect)" };
	const enum ipcu_pipe_end *end = handle;

	snprintf(text, capacity, "%s", peers[*end]);
	return true;
}

static int stream(const struct options *options, enum ipcu_pipe_end end)
{
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	enum ipcu_result result;
	ipcu_pipe *pipe = NULL;
	struct cli_wait wait = { .prepared = false };
	int status;

	cli_wait_begin(&wait, &options->common, options->name, describe_wait, &end);
	do
		result = ipcu_pipe_open(&pipe, options->name, end, options->size,
					&options->common.open, deadline);
	while (again(result));
	if (result == IPCU_OK) {
		cli_opened(&options->common, options->name);
		do
			result = ipcu_pipe_meet(pipe, deadline);
		while (again(result));
	}
	cli_wait_end(&wait);
	if (result == IPCU_OK)
		status = pipe_stream(pipe, &options->common, options->name, end, options->progress);
	else
		status = cli_status(&options->common, options->name, result);
	ipcu_pipe_close(pipe);
	return status;
}

static int run(int argc, char **argv, enum ipcu_pipe_end end, const char *doc)
{
	static const struct argp_child children[] = { { &cli_waiting, 0, NULL, 0 },
						      { &cli_creating, 0, NULL, 0 },
						      { &cli_standard, 0, NULL, 0 },
						      { 0 } };
	const struct argp argp = { table, parse, "NAME", doc, children, NULL, NULL };
	struct options options = { .name = NULL };
	int status = cli_parse_verb(&argp, "ipc-pipe", argc, argv, &options.common, &options);

	if (status || options.common.finished)
		return status;
	cli_interrupts_start();
	status = stream(&options, end);
	cli_interrupts_finish();
	return status;
}

static int pipe_write(int argc, char **argv)
{
	return run(
		argc, argv, IPCU_PIPE_WRITER,
		"Write stdin into a pipe. Done is done: the reader has it all." CLI_EXIT_STATUSES);
}

static int pipe_read(int argc, char **argv)
{
	return run(
		argc, argv, IPCU_PIPE_READER,
		"Write to stdout what comes through a pipe. Done is done: it was all." CLI_EXIT_STATUSES);
}

static int pipe_connect(int argc, char **argv)
{
	return run(argc, argv, IPCU_PIPE_CONNECT,
		   "Be one of the two ends of a pipe that goes both ways." CLI_EXIT_STATUSES);
}

static const struct cli_verb verbs[] = { { "write", pipe_write, "from stdin into a pipe" },
					 { "read", pipe_read, "from a pipe to stdout" },
					 { "connect", pipe_connect, "both ways at once" },
					 { 0 } };

int ipc_pipe(int argc, char **argv);

int ipc_pipe(int argc, char **argv)
{
	return cli_verbs("ipc-pipe", verbs,
			 "A stream of bytes between two processes." CLI_EXIT_STATUSES, argc, argv);
}
