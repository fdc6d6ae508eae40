/* SPDX-License-Identifier: MIT
 * ipc-ls.c - list objects and limits
 */
#include <config.h>

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli-interrupt.h"
#include "cli-kind.h"
#include "cli-options.h"
#include "error.h"
#include "ls-table.h"
#include "name.h"
#include "parse.h"

struct options {
	struct cli_options common;
	struct ls_view view;
	const char *columns;
	const char *user_text;
	uid_t user;
	enum ipcu_kind kind;
	bool all, limits;
	int64_t watch; /* nanoseconds; 0: once */
	char **names;
	size_t name_count;
};

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "What is listed:", 1 },
	{ "all", 'a', NULL, 0, "also objects without a name, and those of all users", 1 },
	{ "kind", 'k', "KIND", 0, "only queue, semaphore, barrier, event, memory or pipe", 1 },
	{ "user", CLI_USER, "USER", 0, "the names of USER (with -a: only what belongs to USER)",
	  1 },
	{ "limits", 'l', NULL, 0, "the kernel's limits, their use, and the sysctl that sets them",
	  1 },
	{ NULL, 0, NULL, 0, "Output:", 4 },
	{ "output", 'o', "COLS", 0, "columns, separated by commas; +COLS adds to the default ones",
	  4 },
	{ "noheadings", CLI_NOHEADINGS, NULL, 0, "no first line", 4 },
	{ "watch", CLI_WATCH, "SECS", OPTION_ARG_OPTIONAL,
	  "show it again every 2 or SECS seconds, until a signal", 4 },
	{ 0 },
};

static error_t parse_user(struct argp_state *state, struct options *options, const char *arg)
{
	if (ipcu_name_user(arg, &options->user) != IPCU_OK)
		return cli_bad_option(state, "--user");
	options->user_text = arg;
	return 0;
}

static error_t complete(struct argp_state *state, struct options *options)
{
	const char *wrong = NULL;

	if (options->common.finished)
		return 0;
	if (options->limits && (options->name_count || options->all || options->columns ||
				options->kind != IPCU_KIND_ANY || options->user_text))
		wrong = "--limits goes with --json, --noheadings and --watch only";
	else if (options->name_count && (options->all || options->user_text))
		wrong = "give either NAMEs, or --all or --user";
	if (wrong) {
		argp_error(state, "%s", wrong);
		return EINVAL;
	}
	if (ls_columns(&options->view, options->columns) != IPCU_OK)
		return cli_bad_option(state, "--output");
	options->view.json = options->common.json;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case 'a':
		options->all = true;
		return 0;
	case 'k':
		return cli_parse_kind(arg, &options->kind) == IPCU_OK
			       ? 0
			       : cli_bad_option(state, "--kind");
	case CLI_USER:
		return parse_user(state, options, arg);
	case 'l':
		options->limits = true;
		return 0;
	case 'o':
		options->columns = arg;
		return 0;
	case CLI_NOHEADINGS:
		options->view.noheadings = true;
		return 0;
	case CLI_WATCH:
		if (ipcu_parse_duration(arg ? arg : "2", &options->watch) != IPCU_OK)
			return cli_bad_option(state, "--watch");
		if (options->watch < 10000000) {
			argp_error(state, "--watch: less than 10ms");
			return EINVAL;
		}
		return 0;
	case ARGP_KEY_ARGS:
		options->names = state->argv + state->next;
		options->name_count = (size_t)(state->argc - state->next);
		return 0;
	case ARGP_KEY_END:
		return complete(state, options);
	}
	return ARGP_ERR_UNKNOWN;
}

/* The columns are listed once, in ls-columns.c: --help shows them from there. */
static char *filter_help(int key, const char *text, void *input)
{
	char *whole = NULL;
	size_t size;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_EXTRA)
		return (char *)text;
	out = open_memstream(&whole, &size);
	if (!out)
		return NULL;
	fputs("Columns:\n", out);
	ls_print_columns(out);
	fclose(out);
	return whole;
}

static const struct argp_child children[] = {
	{ &cli_json, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.args_doc = "[NAME...]",
	.doc = "List System V objects: by default the names of the calling user." CLI_EXIT_STATUSES,
	.children = children,
	.help_filter = filter_help,
};

struct listing {
	const struct options *options;
	struct ls_table *table;
};

static enum ipcu_result add(const struct ipcu_info *info, void *context)
{
	struct listing *listing = context;
	const struct options *options = listing->options;

	if (options->kind != IPCU_KIND_ANY && info->kind != options->kind)
		return IPCU_OK;
	if (options->all && options->user_text && info->owner != options->user)
		return IPCU_OK;
	return ls_table_add(listing->table, info);
}

/* One listing; the status. */
static int list(const struct options *options)
{
	struct listing listing = { options, NULL };
	enum ipcu_result result = IPCU_OK;
	int status = 0;

	if (options->limits)
		return cli_status(&options->common, NULL, ls_limits(&options->view));
	listing.table = ls_table_new(&options->view);
	if (!listing.table)
		return cli_status(&options->common, NULL,
				  ipcu_fail_call("malloc", ENOMEM, "cannot list"));
	for (size_t i = 0; i < options->name_count; i++) {
		int one = cli_status(&options->common, options->names[i],
				     ipcu_list_one(options->names[i], add, &listing));

		status = one ? one : status;
	}
	if (options->name_count == 0)
		result = ipcu_list(options->user, options->all ? IPCU_LIST_ALL : 0, add, &listing);
	if (result != IPCU_OK)
		status = cli_status(&options->common, NULL, result);
	/* An empty list would be a lie: nothing could be looked at. */
	if (status && ipcu_last_error()->errnum == ENOSYS) {
		ls_table_discard(listing.table);
		return status;
	}
	result = ls_table_finish(listing.table);
	return result == IPCU_OK ? status : cli_status(&options->common, NULL, result);
}

/* The lines of the terminal, but one for the cursor and one for each NAME that may be complained of. */
static size_t screen_lines(const struct options *options)
{
	size_t taken = 1 + options->name_count;
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 2)
		return 0;
	return size.ws_row > taken + 2 ? size.ws_row - taken : 2;
}

/* Again and again: on a terminal in place, elsewhere one below the other. */
static int watch(struct options *options)
{
	struct timespec pause = { (time_t)(options->watch / 1000000000),
				  (long)(options->watch % 1000000000) };
	bool terminal = isatty(STDOUT_FILENO);
	int status;

	cli_interrupts_start();
	cli_watch_stdout();
	for (;;) {
		if (terminal) {
			fputs("\033[H\033[2J", stdout);
			options->view.lines = screen_lines(options);
		}
		status = list(options);
		if (fflush(stdout) != 0 || (status && !options->name_count))
			return status;
		if (!cli_interrupted() && !cli_stdout_hung_up())
			clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		if (cli_interrupted() || cli_stdout_hung_up())
			return IPCU_OK;
	}
}

int ipc_ls(int argc, char **argv);

int ipc_ls(int argc, char **argv)
{
	struct options options = { .user = geteuid(), .view = { .self = geteuid() } };
	int status = cli_parse(&argp, "ipc-ls", argc, argv, &options.common, &options);

	if (status || options.common.finished)
		return status;
	setlocale(LC_CTYPE, ""); /* libsmartcols measures names in the user's character set */
	status = options.watch ? watch(&options) : list(&options);
	cli_interrupts_finish();
	return status;
}
