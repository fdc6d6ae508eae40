/* SPDX-License-Identifier: MIT
 * ipc-send.c - send messages to a queue
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli-interrupt.h"
#include "cli-options.h"
#include "error.h"
#include "ipcutils.h"
#include "parse.h"
#include "queue.h"
#include "send-input.h"

struct options {
	struct cli_options common;
	struct send_input input;
	bool split; /* --lines, --null or --whole was given */
	long type;
	const char *name;
	char **messages;
	int message_count;
};

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "What is sent:", 1 },
	{ "type", 'T', "N", 0, "message type, 1 or more (default 1)", 1 },
	{ "lines", CLI_LINES, NULL, 0, "stdin has a message a line (default)", 1 },
	{ "null", '0', NULL, 0, "stdin has messages that end with NUL", 1 },
	{ "whole", 'w', NULL, 0, "all of stdin is one message", 1 },
	{ NULL, 0, NULL, 0, "Progress:", 4 },
	{ "progress", CLI_PROGRESS, "WHEN", OPTION_ARG_OPTIONAL,
	  "messages, bytes and rate on stderr while reading stdin, if stderr is a terminal (auto), always or never",
	  4 },
	{ 0 },
};

static error_t complete(struct argp_state *state, const struct options *options)
{
	const char *wrong = NULL;

	if (options->common.finished)
		return 0;
	if (!options->name)
		wrong = "which queue? give its NAME";
	else if (options->split && options->message_count > 0)
		wrong = "--lines, --null and --whole are for stdin: each MESSAGE is one message as it is";
	if (!wrong)
		return 0;
	argp_error(state, "%s", wrong);
	return EINVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	int64_t number;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case 'T':
		if (ipcu_parse_number(arg, 1, LONG_MAX, &number) != IPCU_OK)
			return cli_bad_option(state, "--type");
		options->type = (long)number;
		return 0;
	case CLI_LINES:
	case '0':
	case 'w':
		options->input.split = key == '0'   ? SEND_NULL
				       : key == 'w' ? SEND_WHOLE
						    : SEND_LINES;
		options->split = true;
		return 0;
	case CLI_PROGRESS:
		return cli_parse_progress(state, arg, &options->input.progress);
	case ARGP_KEY_ARGS:
		options->name = state->argv[state->next];
		options->messages = state->argv + state->next + 1;
		options->message_count = state->argc - state->next - 1;
		return 0;
	case ARGP_KEY_END:
		return complete(state, options);
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.args_doc = "NAME [MESSAGE...]",
	.doc = "Send each MESSAGE, or what stdin holds, to the queue NAME." CLI_EXIT_STATUSES,
	.children = children,
};

/* From this size on a message may need a segment, which a signal must not leave behind. */
#define PERHAPS_BIG 1024

/* A lone small message that finds room is sent without a look at signals, which would cost more than the sending. */
static enum ipcu_result send_quickly(ipcu_queue *queue, const struct options *options)
{
	size_t size = strlen(options->messages[0]);

	if (options->message_count > 1 || size >= PERHAPS_BIG)
		return ipcu_not_now(EAGAIN);
	return ipcu_queue_send(queue, options->type, options->messages[0], size, &ipcu_no_wait);
}

static enum ipcu_result send_one(ipcu_queue *queue, const struct options *options,
				 const char *message)
{
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	enum ipcu_result result;

	do
		result = ipcu_queue_send(queue, options->type, message, strlen(message), deadline);
	while (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR && !cli_interrupted());
	return result;
}

static int send_arguments(ipcu_queue *queue, const struct options *options)
{
	enum ipcu_result result = send_quickly(queue, options);
	size_t bytes = 0;
	struct cli_wait wait = { .prepared = false };
	int sent = 0;

	if (result == IPCU_NOT_NOW) {
		cli_interrupts_start();
		cli_wait_begin(&wait, &options->common, options->name, send_describe_wait, queue);
		do
			result = send_one(queue, options, options->messages[sent]);
		while (result == IPCU_OK && ++sent < options->message_count);
		cli_wait_end(&wait);
	}
	if (result != IPCU_OK)
		return send_failed(queue, &options->common, options->name, result, (uint64_t)sent);
	for (int i = 0; i < options->message_count; i++)
		bytes += strlen(options->messages[i]);
	send_done(&options->common, options->name, (uint64_t)options->message_count, bytes);
	return IPCU_OK;
}

/* After a usage error: a MESSAGE such as -5 was read as an option. */
static void hint_at_dashes(int argc, char **argv)
{
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (argv[i][0] == '-' && argv[i][1] && !strchr("T0wtnEmqvh?V-", argv[i][1])) {
			fputs("hint: put -- before a MESSAGE that begins with -, as in: ipc-send NAME -- -5\n",
			      stderr);
			return;
		}
}

int ipc_send(int argc, char **argv);

int ipc_send(int argc, char **argv)
{
	struct options options = { .type = 1 };
	ipcu_queue *queue;
	enum ipcu_result result;
	int status = cli_parse(&argp, "ipc-send", argc, argv, &options.common, &options);

	if (status == IPCU_USAGE)
		hint_at_dashes(argc, argv);
	if (status || options.common.finished)
		return status;
	result = ipcu_queue_open(&queue, options.name, &options.common.open);
	if (result != IPCU_OK)
		return cli_status(&options.common, options.name, result);
	cli_opened(&options.common, options.name);
	if (options.message_count > 0) {
		status = send_arguments(queue, &options);
	} else {
		cli_interrupts_start();
		status = send_stdin(queue, &options.common, options.name, options.type,
				    &options.input);
	}
	ipcu_queue_close(queue);
	cli_interrupts_finish();
	return status;
}
