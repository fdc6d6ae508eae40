/* SPDX-License-Identifier: MIT
 * ipc-rm.c - remove objects
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-kind.h"
#include "cli-options.h"
#include "cli-output.h"
#include "error.h"
#include "parse.h"

struct options {
	struct cli_options common;
	enum ipcu_kind kind;
	bool force, all, dry_run, stale;
	int64_t older_than; /* nanoseconds */
	char **names;
	size_t name_count;
};

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "What is removed:", 1 },
	{ "all", 'a', NULL, 0, "all your names (asks on a terminal unless -f)", 1 },
	{ "kind", 'k', "KIND", 0, "only queue, semaphore, barrier, event, memory or pipe", 1 },
	{ "stale", CLI_STALE, NULL, 0,
	  "what nobody can reach any more: bodies of big messages, tables of holders, names without an object",
	  1 },
	{ "older-than", CLI_OLDER_THAN, "DURATION", 0,
	  "with --stale: untouched for that long (default 1m)", 1 },
	{ NULL, 0, NULL, 0, "How:", 2 },
	{ "force", 'f', NULL, 0, "also what is in use; no error if it is absent; do not ask", 2 },
	{ "dry-run", CLI_DRY_RUN, NULL, 0, "only say what would be removed", 2 },
	{ 0 },
};

static error_t complete(struct argp_state *state, const struct options *options)
{
	const char *wrong = NULL;

	if (options->common.finished)
		return 0;
	if (!options->name_count && !options->all && !options->stale)
		wrong = "what? give NAMEs, --all or --stale";
	else if (options->name_count && (options->all || options->stale))
		wrong = "give either NAMEs, or --all or --stale";
	else if (options->stale && options->kind != IPCU_KIND_ANY)
		wrong = "--kind goes with NAMEs or --all: what is --stale is of no kind";
	else if (options->older_than >= 0 && !options->stale)
		wrong = "--older-than goes with --stale";
	if (!wrong)
		return 0;
	argp_error(state, "%s", wrong);
	return EINVAL;
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
	case 'f':
		options->force = true;
		return 0;
	case CLI_STALE:
		options->stale = true;
		return 0;
	case CLI_OLDER_THAN:
		return ipcu_parse_duration(arg, &options->older_than) == IPCU_OK
			       ? 0
			       : cli_bad_option(state, "--older-than");
	case CLI_DRY_RUN:
		options->dry_run = true;
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

static const struct argp_child children[] = { { &cli_standard, 0, NULL, 0 }, { 0 } };

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.args_doc = "[NAME...]",
	.doc = "Remove objects. What is in use is refused, with who uses it." CLI_EXIT_STATUSES,
	.children = children,
};

static unsigned flags_of(const struct options *options)
{
	return (options->force ? IPCU_REMOVE_FORCE : 0) |
	       (options->dry_run ? IPCU_REMOVE_DRY_RUN : 0);
}

/* Print "removed WHAT"; WHAT may hold a name that another user chose. */
static void print_removed(const struct options *options, const char *what)
{
	fputs(options->dry_run ? "would remove " : "removed ", stdout);
	cli_print_safe(stdout, what);
	putchar('\n');
}

static int remove_one(const struct options *options, const char *name)
{
	enum ipcu_result result = ipcu_remove(name, options->kind, flags_of(options));

	if (result == IPCU_NOT_FOUND && options->force)
		return 0;
	if (result == IPCU_OK && (options->dry_run || options->common.verbose))
		print_removed(options, name);
	return cli_status(&options->common, name, result);
}

/* ---- --all --------------------------------------------------------------------- */

struct names {
	char **items;
	size_t count;
	enum ipcu_kind kind;
};

static enum ipcu_result collect(const struct ipcu_info *info, void *context)
{
	struct names *names = context;
	char **items;

	if (names->kind != IPCU_KIND_ANY && info->kind != names->kind)
		return IPCU_OK;
	items = realloc(names->items, (names->count + 1) * sizeof(*items));
	if (items)
		names->items = items;
	if (!items || !(items[names->count] = strdup(info->name)))
		return ipcu_fail_call("malloc", ENOMEM, "cannot list");
	names->count++;
	return IPCU_OK;
}

static bool confirmed(const struct options *options, const struct names *names)
{
	int answer, first;

	if (options->force || options->dry_run || names->count == 0 || !isatty(STDIN_FILENO))
		return true;
	fprintf(stderr, "ipc-rm: remove %zu object%s (", names->count,
		names->count == 1 ? "" : "s");
	cli_print_safe(stderr, names->items[0]);
	if (names->count > 1)
		fputs(", ", stderr);
	if (names->count == 2)
		cli_print_safe(stderr, names->items[1]);
	fputs(names->count > 2 ? "...)? " : ")? ", stderr);
	first = answer = getchar();
	while (answer != '\n' && answer != EOF)
		answer = getchar();
	return first == 'y' || first == 'Y';
}

static int remove_all(const struct options *options)
{
	struct names names = { .kind = options->kind };
	int status = cli_status(&options->common, NULL, ipcu_list(geteuid(), 0, collect, &names));

	if (!status && !confirmed(options, &names))
		status = cli_not_now(&options->common);
	else if (!status)
		for (size_t i = 0; i < names.count; i++) {
			int one = remove_one(options, names.items[i]);

			status = one ? one : status;
		}
	while (names.count > 0)
		free(names.items[--names.count]);
	free(names.items);
	return status;
}

/* ---- --stale ------------------------------------------------------------------- */

static void say_stale(const char *what, void *context)
{
	const struct options *options = context;

	if (options->dry_run || options->common.verbose)
		print_removed(options, what);
}

static int remove_stale(struct options *options)
{
	int64_t seconds = options->older_than < 0 ? 60
						  : options->older_than / 1000000000 +
							    (options->older_than % 1000000000 > 0);

	return cli_status(&options->common, NULL,
			  ipcu_remove_stale(seconds, flags_of(options), say_stale, options));
}

int ipc_rm(int argc, char **argv);

int ipc_rm(int argc, char **argv)
{
	struct options options = { .older_than = -1 };
	int status = cli_parse(&argp, "ipc-rm", argc, argv, &options.common, &options);

	if (status || options.common.finished)
		return status;
	for (size_t i = 0; i < options.name_count; i++) {
		int one = remove_one(&options, options.names[i]);

		status = one ? one : status;
	}
	if (options.all)
		status = remove_all(&options);
	if (options.stale) {
		int one = remove_stale(&options);

		status = one ? one : status;
	}
	return status;
}
