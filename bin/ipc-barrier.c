/* SPDX-License-Identifier: MIT
 * ipc-barrier.c - wait until all have come
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-exec.h"
#include "cli-output.h"
#include "cli-verbs.h"
#include "cli-wait.h"
#include "error.h"
#include "parse.h"
#include "process.h"
#include "queue.h"

enum wants_parties { PARTIES_NEVER, PARTIES_MAY, PARTIES_MUST };

struct options {
	struct cli_options common;
	enum wants_parties wants;
	const char *name;
	unsigned parties; /* 0: not given */
	bool break_on_timeout;
	char **command; /* NULL: none */
	int command_status;
	struct cli_wait wait; /* that is reported */
};

static error_t parse_argument(struct argp_state *state, struct options *options, const char *arg)
{
	int64_t number;

	if (!options->name) {
		options->name = arg;
		return 0;
	}
	if (options->parties || options->wants == PARTIES_NEVER) {
		cli_usage(state, "unexpected argument '%s'", arg);
		return EINVAL;
	}
	if (ipcu_parse_number(arg, 1, IPCU_PARTIES_MAX, &number) != IPCU_OK)
		return cli_bad_option(state, "PARTIES");
	options->parties = (unsigned)number;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case CLI_BREAK_ON_TIMEOUT:
		options->break_on_timeout = true;
		return 0;
	case ARGP_KEY_ARG:
		return parse_argument(state, options, arg);
	case ARGP_KEY_END:
		if (options->common.finished)
			return 0;
		if (!options->name)
			argp_error(state, "which barrier? give its NAME");
		else if (!options->parties && options->wants == PARTIES_MUST)
			argp_error(state, "how many PARTIES?");
		else if (options->command && !options->command[0])
			argp_error(state, "no COMMAND behind --");
		else
			return 0;
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option wait_table[] = {
	{ "break-on-timeout", CLI_BREAK_ON_TIMEOUT, NULL, 0, "a timeout breaks the barrier for all",
	  2 },
	{ 0 },
};
static const struct argp_child creating[] = {
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child waiting[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child changing[] = { { &cli_standard, 0, NULL, 0 }, { 0 } };
static const struct argp_child looking[] = {
	{ &cli_json, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

/* ---- wait ------------------------------------------------------------------ */

/* Run COMMAND, for the party that arrives last. Its status becomes that of this command. */
static enum ipcu_result act(void *context)
{
	struct options *options = context;
	bool started;

	cli_wait_pause(&options->wait);
	options->command_status = cli_run_bound(options->command, &started);
	if (!started)
		cli_cannot_run(&options->common, options->command[0], options->command_status);
	return options->command_status ? IPCU_BROKEN : IPCU_OK;
}

/* The arrived processes that one line has room for. */
struct arrived {
	char *text;
	size_t capacity;
	unsigned count;
};

static void name_arrived(pid_t pid, unsigned index, void *context)
{
	struct arrived *arrived = context;
	char command[64];

	(void)index;
	if (arrived->count++ >= 3 || pid == getpid())
		return;
	ipcu_process_command(pid, command, sizeof(command));
	cli_wait_append(arrived->text, arrived->capacity, "; ");
	cli_wait_process(arrived->text, arrived->capacity, pid, command);
	cli_wait_append(arrived->text, arrived->capacity, " has arrived");
}

static bool describe_wait(void *handle, char *text, size_t capacity)
{
	struct arrived arrived = { text, capacity, 0 };
	struct ipcu_barrier_info info;

	if (ipcu_barrier_status(handle, &info) != IPCU_OK)
		return false;
	if (info.acting)
		snprintf(text, capacity, "until the COMMAND of the last party has ended");
	else
		snprintf(text, capacity, "for %u more of %u parties", info.parties - info.waiting,
			 info.parties);
	ipcu_barrier_waiters(handle, name_arrived, &arrived);
	return true;
}

static int do_wait(ipcu_barrier *barrier, struct options *options)
{
	const struct ipcu_barrier_how how = { .break_on_timeout = options->break_on_timeout,
					      .action = options->command ? act : NULL,
					      .context = options };
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	enum ipcu_result result;
	unsigned index;
	int status;

	cli_wait_begin(&options->wait, &options->common, options->name, describe_wait, barrier);
	/* A process that was stopped and continued arrives again. */
	do
		result = ipcu_barrier_wait(barrier, &how, deadline, &index);
	while (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR);
	cli_wait_end(&options->wait);
	if (result == IPCU_OK)
		printf("%u\n", index);
	status = cli_status(&options->common, options->name, result);
	return result != IPCU_OK && options->command_status ? options->command_status : status;
}

/* ---- the other verbs ---------------------------------------------------------- */

static int do_create(ipcu_barrier *barrier, struct options *options)
{
	(void)barrier;
	(void)options;
	return IPCU_OK;
}

static int do_abort(ipcu_barrier *barrier, struct options *options)
{
	return cli_status(&options->common, options->name, ipcu_barrier_abort(barrier));
}

static int do_reset(ipcu_barrier *barrier, struct options *options)
{
	return cli_status(&options->common, options->name, ipcu_barrier_reset(barrier));
}

struct waiters {
	struct cli_buffer text;
	bool json;
};

static void show_waiter(pid_t pid, unsigned index, void *context)
{
	struct waiters *waiters = context;
	char line[64];

	if (waiters->json)
		snprintf(line, sizeof(line), "%s{\"pid\":%d,\"index\":%u}",
			 waiters->text.used ? "," : "", (int)pid, index);
	else
		snprintf(line, sizeof(line), "waits: process %d, index %u\n", (int)pid, index);
	cli_put_text(&waiters->text, line);
}

static int do_status(ipcu_barrier *barrier, struct options *options)
{
	struct waiters waiters = { .json = options->common.json };
	struct cli_buffer name = { 0 };
	struct ipcu_barrier_info info;
	enum ipcu_result result = ipcu_barrier_status(barrier, &info);

	if (result == IPCU_OK)
		result = ipcu_barrier_waiters(barrier, show_waiter, &waiters);
	cli_put_json(&name, options->name, strlen(options->name));
	if (result == IPCU_OK && (name.failed || waiters.text.failed))
		result = ipcu_fail_call("malloc", ENOMEM, "cannot show it");
	if (result == IPCU_OK && options->common.json)
		printf("{\"barrier\":%.*s,\"parties\":%u,\"waiting\":%u,\"generation\":%llu,"
		       "\"broken\":%s,\"action\":%s,\"waiters\":[%.*s]}\n",
		       (int)name.used, name.bytes, info.parties, info.waiting,
		       (unsigned long long)info.generation, info.broken ? "true" : "false",
		       info.acting ? "true" : "false", (int)waiters.text.used,
		       waiters.text.bytes ? waiters.text.bytes : "");
	else if (result == IPCU_OK)
		printf("parties %u, waiting %u, generation %llu%s%s\n%.*s", info.parties,
		       info.waiting, (unsigned long long)info.generation,
		       info.acting ? ", action runs" : "", info.broken ? ", broken" : "",
		       (int)waiters.text.used, waiters.text.bytes ? waiters.text.bytes : "");
	free(name.bytes);
	free(waiters.text.bytes);
	return cli_status(&options->common, options->name, result);
}

/* What all verbs have in common: parse, open, do, close. */
static int run(int argc, char **argv, const struct argp *argp, struct options *options,
	       int (*verb)(ipcu_barrier *barrier, struct options *options))
{
	ipcu_barrier *barrier;
	enum ipcu_result result;
	char path[CLI_PATH_MAX];
	int status = cli_parse_verb(argp, "ipc-barrier", argc, argv, &options->common, options);

	if (status || options->common.finished)
		return status;
	if (options->command && (status = cli_find_command(options->command[0], path)))
		return cli_cannot_run(&options->common, options->command[0], status);
	result =
		ipcu_barrier_open(&barrier, options->name, options->parties, &options->common.open);
	if (result != IPCU_OK)
		return cli_status(&options->common, options->name, result);
	cli_opened(&options->common, options->name);
	status = verb(barrier, options);
	ipcu_barrier_close(barrier);
	return status;
}

static int barrier_create(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,	  parse, "NAME PARTIES", "Create a barrier for PARTIES." CLI_EXIT_STATUSES,
		creating, NULL,	 NULL,
	};
	struct options options = { .wants = PARTIES_MUST };

	return run(argc, argv, &argp, &options, do_create);
}

static int barrier_wait(int argc, char **argv)
{
	static const struct argp argp = {
		wait_table,
		parse,
		"NAME [PARTIES] [-- COMMAND [ARG...]]",
		"Wait until PARTIES (needed on first use) have come, and print this one's index, 0 for the first. "
		"The last to come runs its COMMAND before anyone is released; if it fails, the barrier is broken and "
		"the exit status is that of COMMAND." CLI_EXIT_STATUSES,
		waiting,
		NULL,
		NULL
	};
	struct options options = { .wants = PARTIES_MAY };
	int status;

	options.command = cli_split_command(&argc, argv);
	status = run(argc, argv, &argp, &options, do_wait);
	if (status == IPCU_USAGE && !options.command)
		cli_hint_separator(argc, argv, false, "ipc-barrier wait NAME PARTIES -- COMMAND");
	return status;
}

static int barrier_abort(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		parse,
		"NAME",
		"Break it: who waits and who comes exits 6, until a reset." CLI_EXIT_STATUSES,
		changing,
		NULL,
		NULL
	};
	struct options options = { .wants = PARTIES_NEVER };

	return run(argc, argv, &argp, &options, do_abort);
}

static int barrier_reset(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		parse,
		"NAME",
		"Make it whole and empty again; who still waits exits 6." CLI_EXIT_STATUSES,
		changing,
		NULL,
		NULL
	};
	struct options options = { .wants = PARTIES_NEVER };

	return run(argc, argv, &argp, &options, do_reset);
}

static int barrier_status(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		parse,
		"NAME",
		"Parties, who waits, the generation, and whether it is broken." CLI_EXIT_STATUSES,
		looking,
		NULL,
		NULL
	};
	struct options options = { .wants = PARTIES_NEVER };

	return run(argc, argv, &argp, &options, do_status);
}

static const struct cli_verb verbs[] = {
	{ "create", barrier_create, "create a barrier" },
	{ "wait", barrier_wait, "wait until all have come" },
	{ "abort", barrier_abort, "break it" },
	{ "reset", barrier_reset, "make it whole again" },
	{ "status", barrier_status, "who waits, and whether it is broken" },
	{ 0 },
};

int ipc_barrier(int argc, char **argv);

int ipc_barrier(int argc, char **argv)
{
	return cli_verbs("ipc-barrier", verbs, "Wait until all have come." CLI_EXIT_STATUSES, argc,
			 argv);
}
