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
#include "cli-state.h"
#include "error.h"
#include "parse.h"

struct options {
	struct cli_options common;
	enum ipcu_kind kind;
	bool force, all, dry_run, stale;
	int64_t older_than; /* nanoseconds */
	char **names;
	size_t name_count;
	struct cli_users *users; /* what processes do now; NULL: not looked at yet */
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

/* ---- what is removed ------------------------------------------------------------- */

/* An object before it is removed. */
struct details {
	struct options *options;
	FILE *out;
	char *text; /* what it is, in words */
	size_t size;
	unsigned objects;  /* 1, or 2 and 3 for an identifier of several kinds */
	int id;		   /* of the last one */
	uint64_t messages; /* that are removed with it */
	bool unknown;	   /* it could not be listed */
	bool no_memory;	   /* ... or its processes */
};

static enum ipcu_result add_details(const struct ipcu_info *info, void *context)
{
	struct details *details = context;
	struct options *options = details->options;
	struct cli_uses uses = { 0 };

	if (options->kind != IPCU_KIND_ANY && info->kind != options->kind)
		return IPCU_OK;
	if (!options->users)
		options->users = cli_users_new();
	if (!options->users || !cli_users_of(options->users, info, &uses))
		details->no_memory = true;
	fputs(details->objects++ ? "; " : "", details->out);
	cli_print_details(details->out, info, &uses);
	details->id = info->id;
	if (info->kind == IPCU_KIND_QUEUE && !info->gone)
		details->messages += info->messages;
	free(uses.items);
	return IPCU_OK;
}

/* Describe the object NAME. The caller frees the text. */
static struct details describe(struct options *options, const char *name)
{
	struct details details = { .options = options, .unknown = true };
	struct ipcu_error error = *ipcu_last_error();
	enum ipcu_result result;

	details.out = open_memstream(&details.text, &details.size);
	details.no_memory = !details.out;
	if (!details.out)
		return details;
	result = ipcu_list_one(name, add_details, &details);
	details.unknown = result != IPCU_OK && result != IPCU_NOT_FOUND;
	details.no_memory |= fclose(details.out) != 0;
	details.no_memory |= result == IPCU_LIMIT;
	ipcu_error_restore(&error);
	return details;
}

/* Print "WHAT: DETAILS"; WHAT may hold text that another user chose. */
static void print_object(FILE *out, const char *what, const struct details *details)
{
	cli_print_safe(out, what);
	if (details && details->text && details->objects)
		fprintf(out, ": %s", details->text);
}

static void print_removed(const struct options *options, const char *what,
			  const struct details *details)
{
	fputs(options->dry_run ? "would remove " : "removed ", stdout);
	print_object(stdout, what, details);
	putchar('\n');
}

/* ---- the question ---------------------------------------------------------------- */

static bool asks(const struct options *options)
{
	return !options->force && !options->dry_run && isatty(STDIN_FILENO);
}

/* Where the user sees a question: standard error may be redirected. NULL: nowhere. */
static FILE *open_terminal(void)
{
	return isatty(STDERR_FILENO) ? fdopen(dup(STDERR_FILENO), "w") : fopen("/dev/tty", "w");
}

/* Print the end of a question, and close TERMINAL; true if the answer is yes. */
static bool answered_yes(FILE *terminal)
{
	int answer, first;

	fputs("? ", terminal);
	fclose(terminal);
	first = answer = getchar();
	while (answer != '\n' && answer != EOF)
		answer = getchar();
	return first == 'y' || first == 'Y';
}

/* Ask whether to remove NAME. */
static bool agrees(const char *name, const struct details *details)
{
	FILE *terminal = open_terminal();

	if (!terminal)
		return false;
	fputs("ipc-rm: remove ", terminal);
	print_object(terminal, name, details);
	return answered_yes(terminal);
}

/* Return true if NOW is what the user has AGREED to lose, or less, or if nothing can be lost. */
static bool may_be_removed(const struct details *now, const struct details *agreed)
{
	if (now->unknown)
		return agreed->unknown;
	return !now->messages || (now->objects == agreed->objects && now->id == agreed->id &&
				  now->messages <= agreed->messages);
}

/* ---- one object ------------------------------------------------------------------ */

static int remove_described(struct options *options, const char *name,
			    const struct details *details)
{
	enum ipcu_result result = ipcu_remove(name, options->kind, flags_of(options));

	if (result == IPCU_NOT_FOUND && options->force)
		return 0;
	if (result == IPCU_OK && (options->dry_run || options->common.verbose))
		print_removed(options, name, details);
	return cli_status(&options->common, name, result);
}

/* Remove NAME. Ask for messages that the user has not AGREED to lose, unless the removal is refused anyway. */
static int ask_and_remove(struct options *options, const char *name, struct details agreed)
{
	for (;;) {
		struct details now = describe(options, name);
		int status;

		if (may_be_removed(&now, &agreed))
			status = remove_described(options, name, &now);
		else
			status = cli_status(&options->common, name,
					    ipcu_remove(name, options->kind, IPCU_REMOVE_DRY_RUN));
		if (!status && !may_be_removed(&now, &agreed)) {
			bool yes = agrees(name, &now);

			agreed = now;
			free(now.text);
			if (yes)
				continue; /* what it holds may have changed meanwhile */
			return cli_not_now(&options->common);
		}
		free(now.text);
		return status;
	}
}

static int remove_one(struct options *options, const char *name, struct details agreed)
{
	struct details details = { .text = NULL };
	int status;

	if (asks(options))
		return ask_and_remove(options, name, agreed);
	if (options->dry_run || options->common.verbose)
		details = describe(options, name);
	if (details.no_memory)
		status = cli_status(&options->common, name,
				    ipcu_fail_call("malloc", ENOMEM, "cannot describe it"));
	else
		status = remove_described(options, name, &details);
	free(details.text);
	return status;
}

/* ---- --all --------------------------------------------------------------------- */

#define OBJECTS_SHOWN 20

struct names {
	struct named {
		char *name;
		struct details agreed; /* what the user saw of it */
	} * items;
	size_t count;
	enum ipcu_kind kind;
};

static enum ipcu_result collect(const struct ipcu_info *info, void *context)
{
	struct names *names = context;
	struct named *items;

	if (names->kind != IPCU_KIND_ANY && info->kind != names->kind)
		return IPCU_OK;
	items = realloc(names->items, (names->count + 1) * sizeof(*items));
	if (items)
		names->items = items;
	if (!items || !(items[names->count].name = strdup(info->name)))
		return ipcu_fail_call("malloc", ENOMEM, "cannot list");
	items[names->count++].agreed = (struct details){ .objects = 1 };
	return IPCU_OK;
}

static bool confirmed(struct options *options, struct names *names)
{
	FILE *terminal;

	if (names->count == 0 || !asks(options))
		return true;
	terminal = open_terminal();
	if (!terminal)
		return false;
	for (size_t i = 0; i < names->count; i++) {
		struct details details = describe(options, names->items[i].name);

		if (i < OBJECTS_SHOWN) {
			print_object(terminal, names->items[i].name, &details);
			putc('\n', terminal);
		}
		free(details.text);
		names->items[i].agreed = details;
	}
	if (names->count > OBJECTS_SHOWN)
		fprintf(terminal, "and %zu more\n", names->count - OBJECTS_SHOWN);
	fprintf(terminal, "ipc-rm: remove %zu object%s", names->count,
		names->count == 1 ? "" : "s");
	return answered_yes(terminal);
}

static int remove_all(struct options *options)
{
	struct names names = { .kind = options->kind };
	int status = cli_status(&options->common, NULL, ipcu_list(geteuid(), 0, collect, &names));

	if (!status && !confirmed(options, &names))
		status = cli_not_now(&options->common);
	else if (!status)
		for (size_t i = 0; i < names.count; i++) {
			int one = remove_one(options, names.items[i].name, names.items[i].agreed);

			status = one ? one : status;
		}
	while (names.count > 0)
		free(names.items[--names.count].name);
	free(names.items);
	return status;
}

/* ---- --stale ------------------------------------------------------------------- */

static void say_stale(const char *what, void *context)
{
	const struct options *options = context;

	if (options->dry_run || options->common.verbose)
		print_removed(options, what, NULL);
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
		int one = remove_one(&options, options.names[i], (struct details){ .objects = 0 });

		status = one ? one : status;
	}
	if (options.all)
		status = remove_all(&options);
	if (options.stale) {
		int one = remove_stale(&options);

		status = one ? one : status;
	}
	cli_users_free(options.users);
	return status;
}
