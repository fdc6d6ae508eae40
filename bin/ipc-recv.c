/* SPDX-License-Identifier: MIT
 * ipc-recv.c - receive messages from queues
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-exec.h"
#include "cli-interrupt.h"
#include "cli-options.h"
#include "error.h"
#include "parse.h"
#include "queue.h"
#include "recv.h"

#define AFTER_SIGNAL INT64_C(5000000000) /* nanoseconds for a message that is to be put back */

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "How many, and which:", 1 },
	{ "count", 'c', "N", 0, "N messages instead of one", 1 },
	{ "follow", 'f', NULL, 0, "until a signal comes or stdout's reader is gone", 1 },
	{ "all", 'a', NULL, 0, "all that is there now, without waiting", 1 },
	{ "peek", 'p', NULL, 0, "show without taking or creating; wait only with --timeout", 1 },
	{ "type", 'T', "N", 0, "only messages of type N", 1 },
	{ "max-type", CLI_MAX_TYPE, "N", 0, "the lowest type first, none above N", 1 },
	{ "not-type", CLI_NOT_TYPE, "N", 0, "any type but N", 1 },
	{ NULL, 0, NULL, 0, "Output:", 4 },
	{ "null", '0', NULL, 0, "end each message with NUL instead of a newline", 4 },
	{ "raw", 'r', NULL, 0, "end messages with nothing", 4 },
	{ "format", 'F', "FMT", 0, "%b body %t type %s size %q queue %% \\n \\t \\0 \\\\", 4 },
	{ "keep-going", CLI_KEEP_GOING, NULL, 0, "go on after a COMMAND that failed", 4 },
	{ 0 },
};

static int set_type(struct argp_state *state, struct recv_options *options, enum ipcu_pick pick,
		    const char *option, const char *arg)
{
	int64_t number;

	if (ipcu_parse_number(arg, 1, LONG_MAX, &number) != IPCU_OK)
		return cli_bad_option(state, option);
	if (options->select.pick != IPCU_PICK_FIRST && options->select.pick != pick) {
		argp_error(state, "%s: only one of --type, --max-type and --not-type can be given",
			   option);
		return EINVAL;
	}
	options->select.pick = pick;
	options->select.type = (long)number;
	return 0;
}

/* What cannot go together, and what follows from what was given. */
static error_t complete(struct argp_state *state, struct recv_options *options)
{
	const char *wrong = NULL;

	if (options->common.finished)
		return 0;
	if (options->name_count == 0)
		wrong = "which queue? give its NAME";
	else if (options->command && !options->command[0])
		wrong = "which COMMAND? give it behind --";
	else if (options->follow + options->all + (options->count > 0) > 1)
		wrong = "only one of --count, --follow and --all can be given";
	else if (options->peek && (options->follow || options->count > 0 || options->command))
		wrong = "--peek goes with --all, not with --count, --follow or a COMMAND";
	else if (options->peek && options->common.open.create == IPCU_CREATE_ALWAYS)
		wrong = "--peek creates no queue: --create does not go with it";
	else if (options->common.json && options->format.style == RECV_FORMAT)
		wrong = "only one of --json and --format can be given";
	else if (options->raw && options->format.end)
		wrong = "only one of --null and --raw can be given";
	else if (options->command && (options->common.json || options->format.end ||
				      options->format.style == RECV_FORMAT))
		wrong = "--json, --format and --null are for stdout, not for a COMMAND";
	else if (options->keep_going && !options->command)
		wrong = "--keep-going needs a COMMAND after --";
	if (wrong) {
		argp_error(state, "%s", wrong);
		return EINVAL;
	}
	if (options->count == 0)
		options->count = options->follow || options->all ? UINT64_MAX : 1;
	if (options->peek) {
		/* Looking changes nothing, and returns what is known now unless a timeout is given. */
		options->common.open.create = IPCU_CREATE_NEVER;
		if (!options->common.waits)
			options->common.timeout = 0;
		options->common.waits = true;
	}
	if (options->common.json)
		options->format.style = RECV_JSON;
	/* A format ends with what it says, unless -0 says more. */
	if (!options->format.end)
		options->format.end = options->format.style == RECV_FORMAT ? NULL : "\n";
	options->format.end_size = options->raw || !options->format.end ? 0 : 1;
	return 0;
}

static error_t set_format(struct argp_state *state, struct recv_options *options,
			  const char *format)
{
	if (recv_format_check(format) != IPCU_OK)
		return cli_bad_option(state, "--format");
	options->format.style = RECV_FORMAT;
	options->format.format = format;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct recv_options *options = state->input;
	int64_t number;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case 'c':
		if (ipcu_parse_number(arg, 1, INT64_MAX, &number) != IPCU_OK)
			return cli_bad_option(state, "--count");
		options->count = (uint64_t)number;
		return 0;
	case 'f':
		options->follow = true;
		return 0;
	case 'a':
		options->all = true;
		return 0;
	case 'p':
		options->peek = true;
		return 0;
	case 'T':
		return set_type(state, options, IPCU_PICK_TYPE, "--type", arg);
	case CLI_MAX_TYPE:
		return set_type(state, options, IPCU_PICK_MAX_TYPE, "--max-type", arg);
	case CLI_NOT_TYPE:
		return set_type(state, options, IPCU_PICK_NOT_TYPE, "--not-type", arg);
	case '0':
		options->format.end = ""; /* its NUL */
		return 0;
	case 'r':
		options->raw = true;
		return 0;
	case 'F':
		return set_format(state, options, arg);
	case CLI_KEEP_GOING:
		options->keep_going = true;
		return 0;
	case ARGP_KEY_ARG:
		options->names[options->name_count++] = arg;
		return 0;
	case ARGP_KEY_END:
		return complete(state, options);
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_json, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.args_doc = "NAME... [-- COMMAND [ARG...]]",
	.doc = "Take one message from the queue NAME, or from whichever of several has one first, and "
	       "write it to stdout, or run COMMAND with it on its stdin." CLI_EXIT_STATUSES,
	.children = children,
};

/* ---- what the ways to receive share ------------------------------------------ */

bool recv_again(enum ipcu_result result)
{
	return result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR && !cli_interrupted() &&
	       !cli_stdout_hung_up();
}

int recv_limit(const struct recv_queues *from, uint64_t *limit)
{
	const struct recv_options *options = from->options;
	struct ipcu_queue_info info;

	*limit = options->all ? 0 : options->count;
	for (size_t i = 0; i < options->name_count && options->all; i++) {
		enum ipcu_result result = ipcu_queue_status(from->queues[i], &info);

		if (result != IPCU_OK)
			return cli_status(&options->common, options->names[i], result);
		*limit += info.messages;
	}
	if (*limit == 0)
		*limit = 1; /* so that the one try says why there is none */
	return IPCU_OK;
}

/* What the queues hold and no message of it was selected. */
static bool describe_wait(void *handle, char *text, size_t capacity)
{
	const struct recv_queues *from = handle;
	const struct recv_options *options = from->options;
	uint64_t others = 0;

	for (size_t i = 0; i < options->name_count; i++) {
		struct ipcu_queue_info info;

		if (ipcu_queue_status(from->queues[i], &info) == IPCU_OK)
			others += info.messages;
	}
	snprintf(text, capacity, "for a message");
	if (options->name_count > 1)
		cli_wait_append(text, capacity, " in any of %zu queues", options->name_count);
	if (options->select.pick != IPCU_PICK_FIRST && others)
		cli_wait_append(text, capacity,
				" of the selected type; there %s %llu of other types",
				others == 1 ? "is" : "are", (unsigned long long)others);
	return true;
}

void recv_wait_begin(const struct recv_queues *from)
{
	cli_wait_begin(from->wait, &from->options->common, from->options->names[0], describe_wait,
		       (void *)from);
}

enum ipcu_result recv_wait(const struct recv_queues *from, size_t *which,
			   struct ipcu_message *message)
{
	const struct recv_options *options = from->options;
	struct timespec storage;

	const struct timespec *deadline =
		options->all ? &ipcu_no_wait : cli_deadline(&options->common, &storage);
	enum ipcu_result result;

	if (deadline != &ipcu_no_wait)
		recv_wait_begin(from);
	do
		result = ipcu_queue_receive_any(from->queues, options->name_count, which, message,
						&options->select, deadline);
	while (recv_again(result));
	cli_wait_pause(from->wait);
	return result;
}

/* COUNT messages are lost, for putting them back ended with RESULT. */
static void count_lost(struct recv_lost *lost, size_t count, enum ipcu_result result)
{
	lost->count += count;
	lost->why = *ipcu_last_error();
	if (result == IPCU_NOT_NOW)
		snprintf(lost->why.message, sizeof(lost->why.message), "the queue is full");
}

enum ipcu_result recv_put_back(const struct recv_queues *from, size_t which, long type,
			       const void *body, size_t size)
{
	enum ipcu_result result = ipcu_queue_return_message(from->queues[which], type, body, size);

	if (result != IPCU_OK)
		count_lost(from->lost, 1, result);
	return result;
}

/*
 * Write what a handle keeps back to its queue. Wait for room until the timeout; a signal leaves some seconds, so that it loses
 * nothing that a receiver makes room for, and a second one ends the wait.
 */
static enum ipcu_result wait_for_room(ipcu_queue *queue, const struct cli_options *options)
{
	int signals = cli_interrupt_count();
	struct timespec storage = ipcu_deadline_in(AFTER_SIGNAL);
	const struct timespec *deadline = signals ? &storage : cli_deadline(options, &storage);

	for (;;) {
		enum ipcu_result result = ipcu_queue_put_back(queue, deadline);
		int now = cli_interrupt_count();

		if (result != IPCU_NOT_NOW || ipcu_last_error()->errnum != EINTR ||
		    (signals && now != signals))
			return result;
		if (now != signals) {
			storage = ipcu_deadline_in(AFTER_SIGNAL);
			deadline = &storage;
		}
		signals = now;
	}
}

/* Put back what the handles keep, which no receive will deliver any more. */
static void put_back_kept(const struct recv_queues *from, size_t opened)
{
	const struct cli_options *options = &from->options->common;

	for (size_t i = 0; i < opened; i++) {
		enum ipcu_result result;

		if (!ipcu_queue_kept(from->queues[i]))
			continue;
		result = ipcu_queue_put_back(from->queues[i], &ipcu_no_wait);
		if (result == IPCU_NOT_NOW && from->lost->count == 0) {
			cli_complain(options, from->options->names[i],
				     "it waits until there is room; a receiver makes some",
				     "the queue has filled up while a message is to be put back");
			result = wait_for_room(from->queues[i], options);
		}
		if (result != IPCU_OK)
			count_lost(from->lost, ipcu_queue_kept(from->queues[i]), result);
	}
}

/* Report how many messages are lost, and why; the status. */
static int report_lost(const struct recv_queues *from, int status)
{
	const struct recv_lost *lost = from->lost;

	if (lost->count == 0)
		return status;
	cli_complain(&from->options->common, NULL, lost->why.hint,
		     "%llu message%s lost: %s could neither be written nor put back: %s",
		     (unsigned long long)lost->count, lost->count == 1 ? " is" : "s are",
		     lost->count == 1 ? "it" : "they", lost->why.message);
	return status ? status : IPCU_SYSTEM;
}

/* A stdout that cannot be written is no reason to take a message. */
static bool stdout_open(const struct cli_options *options)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY)
		return true;
	cli_complain(options, NULL, NULL, "write error: stdout is %s",
		     flags < 0 ? "closed" : "not open for writing");
	return false;
}

static int receive(const struct recv_queues *from)
{
	const struct recv_options *options = from->options;

	cli_interrupts_start();
	if (options->command)
		return recv_commands(from);
	if (!stdout_open(&options->common))
		return IPCU_SYSTEM;
	if (options->peek)
		return recv_peek(from);
	if (options->follow)
		cli_watch_stdout();
	return recv_stream(from);
}

/*
 * Several NAMEs are legal, so a forgotten -- would create a queue named as the command. A NAME after the first is
 * refused if it may be a command and no queue has it.
 */
static int check_names(const struct recv_options *options)
{
	struct ipcu_open how = { .create = IPCU_CREATE_NEVER };
	enum ipcu_result result;
	ipcu_queue *queue;

	if (options->command || options->common.open.create == IPCU_CREATE_ALWAYS)
		return IPCU_OK;
	for (size_t i = 1; i < options->name_count; i++) {
		if (!cli_is_command(options->names[i]))
			continue;
		result = ipcu_queue_open(&queue, options->names[i], &how);
		if (result == IPCU_OK)
			ipcu_queue_close(queue);
		if (result != IPCU_NOT_FOUND && result != IPCU_USAGE)
			continue;
		cli_complain(
			&options->common, options->names[i],
			"put -- before COMMAND, as in: ipc-recv NAME -- COMMAND; --create creates such a queue",
			"no queue has this name, but a command has");
		return IPCU_USAGE;
	}
	return IPCU_OK;
}

int ipc_recv(int argc, char **argv);

int ipc_recv(int argc, char **argv)
{
	struct recv_options options = { .common.command = "ipc-recv",
					.format = { RECV_PLAIN, NULL, NULL, 0 } };
	struct recv_lost lost = { 0 };
	struct cli_wait wait = { .prepared = false };
	struct recv_queues from = { .wait = &wait, .options = &options, .lost = &lost };
	size_t opened = 0;
	int status;

	options.command = cli_split_command(&argc, argv);
	options.names = calloc((size_t)argc + 1, sizeof(*options.names));
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers */
	from.queues = calloc((size_t)argc + 1, sizeof(*from.queues));
	if (options.names && from.queues)
		status = cli_parse(&argp, "ipc-recv", argc, argv, &options.common, &options);
	else
		status = cli_status(&options.common, NULL,
				    ipcu_fail_call("malloc", ENOMEM, "cannot start"));
	if (status == IPCU_USAGE && !options.command)
		cli_hint_separator(argc, argv, false, "ipc-recv NAME -- COMMAND");
	if (!status && !options.common.finished)
		status = check_names(&options);
	while (!status && !options.common.finished && opened < options.name_count) {
		status = cli_status(&options.common, options.names[opened],
				    ipcu_queue_open(&from.queues[opened], options.names[opened],
						    &options.common.open));
		if (!status)
			cli_opened(&options.common, options.names[opened]);
		opened += !status;
	}
	if (!status && !options.common.finished)
		status = receive(&from);
	cli_wait_end(&wait);
	put_back_kept(&from, opened);
	status = report_lost(&from, status);
	while (opened > 0)
		ipcu_queue_close(from.queues[--opened]);
	free(from.queues);
	free(options.names);
	cli_interrupts_finish();
	return status;
}
