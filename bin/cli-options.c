/* SPDX-License-Identifier: MIT
 * cli-options.c - the options that mean the same in every command
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "cli-options.h"
#include "parse.h"

void cli_share(struct argp_state *state, struct cli_options *options)
{
	const struct argp_child *children = state->root_argp->children;

	for (size_t i = 0; children && children[i].argp; i++)
		state->child_inputs[i] = options;
}

/* ---- -t -n -E ----------------------------------------------------------- */

static error_t parse_waiting(int key, char *arg, struct argp_state *state)
{
	struct cli_options *options = state->input;
	int64_t number;

	switch (key) {
	case 't':
		if (ipcu_parse_duration(arg, &options->timeout) != IPCU_OK)
			return cli_bad_option(state, "--timeout");
		options->waits = true;
		return 0;
	case 'n':
		options->timeout = 0;
		options->waits = true;
		return 0;
	case 'E':
		if (ipcu_parse_number(arg, 0, 255, &number) != IPCU_OK)
			return cli_bad_option(state, "--not-now-status");
		options->not_now_status = (int)number;
		options->not_now_given = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option waiting_options[] = {
	{ NULL, 0, NULL, 0, "Waiting:", 2 },
	{ "timeout", 't', "DURATION", 0,
	  "give up after that long: 250ms, 2s, 1.5, 5m, 1h30m, infinity", 2 },
	{ "nonblock", 'n', NULL, 0, "do not wait: --timeout=0", 2 },
	{ "not-now-status", 'E', "N", 0, "exit N instead of 1 for \"not now\"", 2 },
	{ 0 },
};
const struct argp cli_waiting = { .options = waiting_options, .parser = parse_waiting };

/* ---- -m --create --no-create --------------------------------------------- */

static error_t parse_creating(int key, char *arg, struct argp_state *state)
{
	struct cli_options *options = state->input;

	switch (key) {
	case 'm':
		if (ipcu_parse_mode(arg, &options->open.mode) != IPCU_OK)
			return cli_bad_option(state, "--mode");
		if (options->open.mode == 0) {
			argp_error(state, "--mode: mode 0 would let nobody in");
			return EINVAL;
		}
		return 0;
	case CLI_CREATE:
		options->open.create = IPCU_CREATE_ALWAYS;
		return 0;
	case CLI_NO_CREATE:
		options->open.create = IPCU_CREATE_NEVER;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option creating_options[] = {
	{ NULL, 0, NULL, 0, "Creating:", 3 },
	{ "mode", 'm', "MODE", 0, "octal permission bits if this call creates it (default 600)",
	  3 },
	{ "create", CLI_CREATE, NULL, 0, "create a key: or ftok: object too", 3 },
	{ "no-create", CLI_NO_CREATE, NULL, 0, "do not create a NAME", 3 },
	{ 0 },
};
const struct argp cli_creating = { .options = creating_options, .parser = parse_creating };

/* ---- -J ------------------------------------------------------------------ */

static error_t parse_json(int key, char *arg, struct argp_state *state)
{
	struct cli_options *options = state->input;

	(void)arg;
	if (key != 'J')
		return ARGP_ERR_UNKNOWN;
	options->json = true;
	return 0;
}

static const struct argp_option json_options[] = {
	{ "json", 'J', NULL, 0, "machine-readable output", 4 },
	{ 0 },
};
const struct argp cli_json = { .options = json_options, .parser = parse_json };

/* ---- --ipc-namespace -q -v -h --usage -V, and what completion asks ------------------------- */

/*
 * "-t<TAB>--timeout=DURATION<TAB>what it does", a line for each option of the whole tree;
 * a verb has neither letter nor dashes: "<TAB>run<TAB>what it does".
 */
static void print_options(const struct argp *argp)
{
	for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++) {
		if (!o->name || o->flags & OPTION_HIDDEN)
			continue;
		if (o->key > 0x20 && o->key < 0x7f)
			printf("-%c", o->key);
		printf("\t%s%s", o->flags & OPTION_DOC ? "" : "--", o->name);
		if (o->arg)
			printf(o->flags & OPTION_ARG_OPTIONAL ? "[=%s]" : "=%s", o->arg);
		printf("\t%s\n", o->doc ? o->doc : "");
	}
	for (const struct argp_child *child = argp->children; child && child->argp; child++)
		print_options(child->argp);
}

static error_t parse_standard(int key, char *arg, struct argp_state *state)
{
	struct cli_options *options = state->input;
	int64_t number;

	switch (key) {
	case CLI_IPC_NAMESPACE:
		if (ipcu_parse_number(arg, 1, INT_MAX, &number) != IPCU_OK)
			return cli_bad_option(state, "--ipc-namespace");
		options->namespace_of = (pid_t)number;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case 'h':
	case '?':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK);
		break;
	case CLI_USAGE:
		argp_state_help(state, stdout, ARGP_HELP_USAGE);
		break;
	case 'V':
		printf("%s (ipcutils) %s\n", options->command, ipcu_version());
		break;
	case CLI_COMPLETE:
		print_options(state->root_argp);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	options->finished = true;
	state->next = state->argc;
	return 0;
}

static const struct argp_option standard_options[] = {
	{ "ipc-namespace", CLI_IPC_NAMESPACE, "PID", 0,
	  "act in the IPC namespace of process PID (a container's)", 5 },
	{ "quiet", 'q', NULL, 0, "no messages on stderr", 5 },
	{ "verbose", 'v', NULL, 0, "say more on stderr", 5 },
	{ "help", 'h', NULL, 0, "show this help", -1 },
	{ NULL, '?', NULL, OPTION_ALIAS, NULL, -1 },
	{ "usage", CLI_USAGE, NULL, 0, "show a short usage message", -1 },
	{ "version", 'V', NULL, 0, "show the version", -1 },
	{ "complete-options", CLI_COMPLETE, NULL, OPTION_HIDDEN, "list all options, for completion",
	  -1 },
	{ 0 },
};
const struct argp cli_standard = { .options = standard_options, .parser = parse_standard };
