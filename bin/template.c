/* SPDX-License-Identifier: MIT
 * template.c - a command to begin with: copy it to ipc-NAME.c, and see "Add a command" in README.md
 *
 * It is complete: it parses, calls the library, prints and says what went wrong. make check builds and runs it.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>

#include "cli-options.h"

/* Options of its own that have no letter begin where the shared ones end. */
enum { KEY_BYTES = CLI_COMMAND_KEYS };

/* All state of a run is here: the function can be called again, by a shell that has it built in for one. */
struct options {
	struct cli_options common;
	const char *name;
	bool bytes;
};

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "What is shown:", 1 },
	{ "bytes", KEY_BYTES, NULL, 0, "the bytes in the queue, not the messages", 1 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case KEY_BYTES:
		options->bytes = true;
		return 0;
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
		argp_error(state, "which queue? give its NAME");
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Those of the shared options that have a meaning here: also cli_waiting, cli_creating, cli_json. */
static const struct argp_child children[] = { { &cli_standard, 0, NULL, 0 }, { 0 } };
static const struct argp argp = { table,    parse,
				  "NAME",   "Print how much waits in a queue." CLI_EXIT_STATUSES,
				  children, NULL,
				  NULL };

int ipc_template(int argc, char **argv);

int ipc_template(int argc, char **argv)
{
	struct options options = { .name = NULL };
	struct ipcu_queue_info info;
	ipcu_queue *queue;
	enum ipcu_result result;
	int status = cli_parse(&argp, "ipc-template", argc, argv, &options.common, &options);

	if (status || options.common.finished)
		return status;
	options.common.open.create = IPCU_CREATE_NEVER; /* looking makes nothing */
	result = ipcu_queue_open(&queue, options.name, &options.common.open);
	if (result != IPCU_OK)
		return cli_status(&options.common, options.name, result);
	result = ipcu_queue_status(queue, &info);
	if (result == IPCU_OK)
		printf("%llu\n", (unsigned long long)(options.bytes ? info.bytes : info.messages));
	status = cli_status(&options.common, options.name, result);
	ipcu_queue_close(queue);
	return status;
}
