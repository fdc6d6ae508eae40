/* SPDX-License-Identifier: MIT
 * ipc-sem.c - semaphores and locks: the verbs, their options, and run
 *
 *	sem-acquire.c	acquire, release and the keeper
 *	sem-value.c	create, wait, post, get, set, op
 *	sem-status.c	status
 *	sem-environment.c	the environment of the COMMAND of run
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-exec.h"
#include "cli-interrupt.h"
#include "cli-wait.h"
#include "error.h"
#include "name.h"
#include "parse.h"
#include "sem-verbs.h"
#include "sem.h"

/* ---- options ------------------------------------------------------------ */

/* N, or what the online CPUs make of +N, -N or N%: never less than one. */
static enum ipcu_result parse_count(const char *text, unsigned *count)
{
	bool relative = text[0] == '+' || text[0] == '-';
	size_t length = strlen(text);
	char digits[16];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t number;
	bool percent = length > 0 && text[length - 1] == '%';

	if (length >= sizeof(digits) || (relative && percent))
		return ipcu_fail(IPCU_USAGE, "'%s' is not a count like 3, +1, -1 or 50%%", text);
	snprintf(digits, sizeof(digits), "%.*s", (int)(length - relative - percent),
		 text + relative);
	if (ipcu_parse_number(digits, relative ? 0 : 1, IPCU_SEM_COUNT_MAX, &number) != IPCU_OK)
		return ipcu_fail(IPCU_USAGE,
				 "'%s' is not a count like 3, +1, -1 or 50%%, at most %u", text,
				 IPCU_SEM_COUNT_MAX);
	if (cpus < 1)
		cpus = 1;
	if (percent)
		number = number * cpus / 100;
	else if (relative)
		number = text[0] == '+' ? cpus + number : cpus - number;
	if (number < 1)
		number = 1;
	*count = number > (int64_t)IPCU_SEM_COUNT_MAX ? IPCU_SEM_COUNT_MAX : (unsigned)number;
	return IPCU_OK;
}

static error_t check_words(struct argp_state *state, const struct sem_options *options)
{
	int more = options->word_count - 1;

	if (options->common.finished)
		return 0;
	if (more < 0)
		argp_error(state, "which semaphore? give its NAME");
	else if (more < options->more_min)
		argp_error(state, "give %s behind the NAME", options->more);
	else if (more > options->more_max && !options->command)
		cli_usage(state, "unexpected argument '%s'%s",
			  options->words[options->more_max + 1],
			  options->needs_command ? ": put -- before COMMAND" : "");
	else if (more > options->more_max)
		cli_usage(state, "unexpected argument '%s'", options->words[options->more_max + 1]);
	else if (options->needs_command && (!options->command || !options->command[0]))
		argp_error(state, "which COMMAND? give it behind --");
	else if (options->units_given && options->mode != IPCU_HOLD_UNITS)
		argp_error(state, "only one of --units, --shared and --exclusive can be given");
	else
		return 0;
	return EINVAL;
}

static error_t parse_number(struct argp_state *state, const char *option, const char *arg,
			    int64_t min, int64_t max, int64_t *number)
{
	return ipcu_parse_number(arg, min, max, number) == IPCU_OK ? 0
								   : cli_bad_option(state, option);
}

static error_t set_mode(struct argp_state *state, struct sem_options *options,
			enum ipcu_hold_mode mode)
{
	if (options->mode != IPCU_HOLD_UNITS && options->mode != mode) {
		argp_error(state, "only one of --units, --shared and --exclusive can be given");
		return EINVAL;
	}
	options->mode = mode;
	return 0;
}

error_t sem_parse(int key, char *arg, struct argp_state *state)
{
	struct sem_options *options = state->input;
	int64_t number = 0;
	error_t error;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case 'c':
		return parse_count(arg, &options->count) == IPCU_OK
			       ? 0
			       : cli_bad_option(state, "--count");
	case 'u':
		error = parse_number(state, "--units", arg, 1, IPCU_SEM_COUNT_MAX, &number);
		options->units = (unsigned)number;
		options->units_given = true;
		return error;
	case 'i':
		error = parse_number(state, "--index", arg, 0, 65535, &number);
		options->index = (unsigned)number;
		return error;
	case 'P':
		error = parse_number(state, "--pid", arg, 1, INT32_MAX, &number);
		options->pid = (pid_t)number;
		return error;
	case 's':
		return set_mode(state, options, IPCU_HOLD_SHARED);
	case 'x':
		return set_mode(state, options, IPCU_HOLD_EXCLUSIVE);
	case CLI_RESIZE:
		options->resize = true;
		return 0;
	case CLI_TRANSIENT:
		options->transient = true;
		return 0;
	case CLI_VALUE:
		error = parse_number(state, "--value", arg, 0, IPCU_SEM_COUNT_MAX, &number);
		options->value = (unsigned)number;
		options->value_given = true;
		return error;
	case ARGP_KEY_ARGS:
		options->words = state->argv + state->next;
		options->word_count = state->argc - state->next;
		return 0;
	case ARGP_KEY_END:
		return check_words(state, options);
	}
	return ARGP_ERR_UNKNOWN;
}

/* Whether the command line is only NAME -- COMMAND, as most locks are taken, and valid: see check_words(). */
static bool is_plain(int argc, char **argv, const struct sem_options *options)
{
	return options->needs_command && !options->more_min && argc == 2 && argv[1][0] != '-' &&
	       options->command && options->command[0];
}

int sem_start(const struct argp *argp, int argc, char **argv, struct sem_options *options)
{
	options->units = 1;
	if (is_plain(argc, argv, options)) {
		options->words = argv + 1;
		options->word_count = 1;
		cli_parse_none("ipc-sem", &options->common);
		return 0;
	}
	return cli_parse_verb(argp, "ipc-sem", argc, argv, &options->common, options);
}

enum ipcu_result sem_check(const struct sem_options *options)
{
	struct ipcu_name name;
	enum ipcu_result result = ipcu_name_read(&name, options->words[0]);
	bool named = name.form == IPCU_NAME_PLAIN;

	if (result == IPCU_OK && options->needs_name)
		result = ipcu_sem_may(named, SEM_USE_KEEPER);
	if (result == IPCU_OK && options->needs_set)
		result = ipcu_sem_may(named, SEM_USE_OP);
	if (result == IPCU_OK && options->index)
		result = ipcu_sem_may(named, SEM_USE_INDEX);
	if (result == IPCU_OK && options->mode != IPCU_HOLD_UNITS)
		result = ipcu_sem_may(named, SEM_USE_LOCK);
	if (result == IPCU_OK && options->count && !options->resize &&
	    options->common.open.create != IPCU_CREATE_ALWAYS)
		result = ipcu_sem_may(named, SEM_USE_COUNT);
	if (result == IPCU_OK && options->resize)
		result = ipcu_sem_may(named, SEM_USE_RESIZE);
	return result;
}

static enum ipcu_result open_at(ipcu_sem *storage, ipcu_sem **sem,
				const struct sem_options *options, unsigned count)
{
	bool lock = options->mode != IPCU_HOLD_UNITS && !count;
	struct ipcu_sem_options with = {
		.count = options->resize ? 0 : options->count,
		.otherwise = count  ? count
			     : lock ? IPCU_SEM_COUNT_MAX
				    : 1,
		.lock = lock,
		.transient = options->transient,
	};
	unsigned units = with.count ? with.count : with.otherwise;

	if (options->value_given && options->value > units)
		return ipcu_fail(IPCU_USAGE, "--value is %u, more than its %u units",
				 options->value, units);
	with.consumed = options->value_given ? units - options->value : 0;
	if (!storage)
		return ipcu_sem_open_with(sem, options->words[0], &with, &options->common.open);
	*sem = storage;
	return ipcu_sem_open_at(storage, options->words[0], &with, &options->common.open);
}

enum ipcu_result sem_open_with(ipcu_sem **sem, const struct sem_options *options, unsigned count)
{
	return open_at(NULL, sem, options, count);
}

int sem_open(ipcu_sem **sem, const struct sem_options *options)
{
	enum ipcu_result result = sem_check(options);

	*sem = NULL;
	if (result == IPCU_OK)
		result = open_at(options->storage, sem, options, 0);
	if (result == IPCU_OK && options->index) {
		result = ipcu_sem_select(*sem, options->index);
		if (result != IPCU_OK)
			ipcu_sem_close(*sem);
	}
	if (result == IPCU_OK)
		cli_opened(&options->common, options->words[0]);
	return cli_status(&options->common, options->words[0], result);
}

bool sem_reopened(ipcu_sem **sem, const struct sem_options *options, enum ipcu_result result)
{
	struct ipcu_error error = *ipcu_last_error();
	pid_t owner = (*sem)->owner;
	bool execs = (*sem)->execs;
	ipcu_sem *new;

	if (result != IPCU_NOT_FOUND || !ipcu_sem_is_transient(*sem) ||
	    options->common.open.create == IPCU_CREATE_NEVER)
		return false;
	if (sem_open_with(&new, options, 0) != IPCU_OK) {
		ipcu_error_restore(&error);
		return false;
	}
	ipcu_sem_close(*sem);
	*sem = new;
	new->owner = owner;
	new->execs = execs;
	return true;
}

void sem_report_previous(const struct sem_options *options, const struct ipcu_hold *hold)
{
	if (options->common.verbose && hold->previous_died)
		cli_complain(&options->common, options->words[0], NULL,
			     "process %d ended without releasing it", (int)hold->previous);
}

bool sem_again(enum ipcu_result result)
{
	if (result != IPCU_NOT_NOW || ipcu_last_error()->errnum != EINTR)
		return false;
	cli_stops_obey();
	return true;
}

enum ipcu_result sem_hold(ipcu_sem *sem, const struct sem_options *options,
			  const struct timespec *deadline, struct ipcu_hold *hold)
{
	enum ipcu_hold_mode mode = options->mode;
	enum ipcu_result result;

	/* As with flock(1): without -s and -u the holder is alone, whichever process created the lock. */
	if (mode == IPCU_HOLD_UNITS && !options->units_given && ipcu_sem_is_lock(sem))
		mode = IPCU_HOLD_EXCLUSIVE;
	do
		result = mode == IPCU_HOLD_SHARED ? ipcu_lock_shared(sem, deadline, hold)
			 : mode == IPCU_HOLD_EXCLUSIVE
				 ? ipcu_lock_exclusive(sem, deadline, hold)
				 : ipcu_sem_acquire(sem, options->units, deadline, hold);
	while (sem_again(result));
	return result;
}

/* ---- run ---------------------------------------------------------------- */

int sem_become(const struct sem_options *options, const char *path)
{
	int status = cli_become(options->command, path);

	return cli_cannot_run(&options->common, options->command[0], status);
}

static const struct argp_option run_table[] = {
	{ NULL, 0, NULL, 0, "What is held:", 1 },
	SEM_COUNT_OPTION,
	SEM_UNITS,
	SEM_SHARED,
	SEM_EXCLUSIVE_OPTION,
	SEM_INDEX,
	SEM_TRANSIENT,
	{ 0 },
};

static const struct argp_child run_children[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

static const struct argp run_argp = {
	.options = run_table,
	.parser = sem_parse,
	.args_doc = "NAME -- COMMAND [ARG...]",
	.doc = "Hold units of NAME while COMMAND runs. COMMAND takes the place of this process: "
	       "its exit status, signals and terminal are its own, and the units come back however it ends. It "
	       "finds IPC_SEM and IPC_SLOT in its environment."
	       "\vExit status: that of COMMAND, 126 if it cannot be run, 127 if it is not found; "
	       "before it is run, the ones of ipc-sem, among them 1 not now, and 7 its count is another.",
	.children = run_children,
};

/* What flock(1) reads, and this command does not: a COMMAND without --, -c with a shell command, and -w. */
static void hint_for_flock(int argc, char **argv, char **command)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "-w", 2) == 0)
			fputs("hint: the time limit is -t DURATION, as in -t 5s\n", stderr);
	if (!command)
		cli_hint_separator(argc, argv, true, "ipc-sem run NAME -- sh -c 'first && second'");
}

int sem_run(int argc, char **argv)
{
	struct sem_options options = { .needs_command = true };
	struct timespec storage;
	const struct timespec *deadline;
	struct ipcu_hold hold;
	char path[CLI_PATH_MAX];
	ipcu_sem opened;
	struct cli_wait wait = { .prepared = false };
	ipcu_sem *sem;
	enum ipcu_result result;
	int status;

	options.storage = &opened;
	options.command = cli_split_command(&argc, argv);
	status = sem_start(&run_argp, argc, argv, &options);
	if (status == IPCU_USAGE)
		hint_for_flock(argc, argv, options.command);
	if (status || options.common.finished)
		return status;
	/* A command that is not there need not wait for its turn to say so. */
	status = cli_find_command(options.command[0], path);
	if (status)
		return cli_cannot_run(&options.common, options.command[0], status);
	deadline = cli_deadline(&options.common, &storage);
	status = sem_open(&sem, &options);
	if (status || !sem)
		return status;
	sem->execs = true;
	cli_stops_start();
	cli_wait_begin(&wait, &options.common, options.words[0], sem_describe_wait, &options);
	do
		result = sem_hold(sem, &options, deadline, &hold);
	while (sem_reopened(&sem, &options, result));
	cli_wait_end(&wait);
	cli_stops_finish();
	status = cli_status(&options.common, options.words[0], result);
	if (result == IPCU_OK) { /* -E may make the status of "not now" 0 too */
		sem_report_previous(&options, &hold);
		status = sem_become_holder(&options, &hold, path);
		ipcu_sem_release(sem, &hold);
	}
	ipcu_sem_close(sem);
	return status;
}

/* ---- the verbs ---------------------------------------------------------- */

static const struct cli_verb verbs[] = {
	{ "acquire", sem_acquire, "hold units on behalf of the calling shell" },
	{ "create", sem_create, "create a semaphore, or change its count" },
	{ "get", sem_get, "print how many units are free" },
	{ "op", sem_op, "one atomic semop on a set of another program" },
	{ "post", sem_post, "give units that were taken for good" },
	{ "release", sem_release, "give back what acquire holds" },
	{ "run", sem_run, "hold units while a command runs" },
	{ "set", sem_set, "set how many units are free" },
	{ "status", sem_status, "show value, count, waiters and holders" },
	{ "wait", sem_wait_for, "take units for good" },
	{ 0 },
};

int ipc_sem(int argc, char **argv);

int ipc_sem(int argc, char **argv)
{
	return cli_verbs(
		"ipc-sem", verbs,
		"Semaphores and locks whose units come back when their holder ends, however it ends." CLI_EXIT_STATUSES,
		argc, argv);
}
