/* SPDX-License-Identifier: MIT
 * cli-start.c - how every command starts, fails and ends
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-namespace.h"
#include "cli-output.h"
#include "cli-start.h"
#include "error.h"
#include "parse.h"
#include "queue.h"

static void set_opening(struct cli_options *options)
{
	options->open.found_mode = &options->found_mode;
	options->open.deadline = cli_deadline(options, &options->opened_by);
}

void cli_parse_none(const char *command, struct cli_options *options)
{
	options->command = command;
	options->timeout = IPCU_FOREVER;
	set_opening(options);
}

int cli_parse_as(const struct argp *argp, const char *name, const char *command, int argc,
		 char **argv, struct cli_options *options, void *input)
{
	char *nothing[] = { (char *)name, NULL };
	error_t failed;

	options->command = name;
	options->timeout = IPCU_FOREVER;
	if (argc < 1 || !argv[0]) { /* execve(2) allows it */
		argc = 1;
		argv = nothing;
	}
	argv[0] = (char *)name; /* what argp calls us in its messages */
	failed = argp_parse(argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, input);
	argv[0] = (char *)command; /* NAME may be gone soon */
	options->command = command;
	if (failed == ENOMEM)
		return cli_status(options, NULL,
				  ipcu_fail_call("malloc", ENOMEM, "cannot read the command line"));
	if (failed) /* which was said */
		return IPCU_USAGE;
	set_opening(options);
	if (!options->namespace_of || options->finished)
		return IPCU_OK;
	return cli_status(options, NULL, cli_enter_namespace(options->namespace_of));
}

int cli_parse(const struct argp *argp, const char *command, int argc, char **argv,
	      struct cli_options *options, void *input)
{
	return cli_parse_as(argp, command, command, argc, argv, options, input);
}

int cli_bad_option(struct argp_state *state, const char *option)
{
	return cli_usage(state, "%s: %s", option, ipcu_last_error()->message);
}

int cli_usage(struct argp_state *state, const char *format, ...)
{
	char message[1024], *safe;
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	safe = cli_safe(message);
	argp_error(state, "%s", safe ? safe : "not enough memory");
	free(safe);
	return EINVAL;
}

static void say_to(FILE *out, const struct cli_options *options, const char *name,
		   const char *message, const char *hint)
{
	fprintf(out, "%s: ", options->command);
	if (name) {
		cli_print_safe(out, name);
		fputs(": ", out);
	}
	cli_print_safe(out, message);
	putc('\n', out);
	if (hint && *hint) {
		fputs("hint: ", out);
		cli_print_safe(out, hint);
		putc('\n', out);
	}
}

static void say(const struct cli_options *options, const char *name, const char *message,
		const char *hint)
{
	char *text = NULL;
	size_t size;
	bool whole = false;
	FILE *out;

	if (options->quiet)
		return;
	fflush(stdout);
	/* With one write, so that commands side by side do not mix theirs; if there is memory for that. */
	out = open_memstream(&text, &size);
	if (out) {
		say_to(out, options, name, message, hint);
		whole = fclose(out) == 0 && text;
		if (whole)
			fputs(text, stderr);
	}
	if (!whole)
		say_to(stderr, options, name, message, hint);
	free(text);
}

void cli_error(const struct cli_options *options, const char *name)
{
	const struct ipcu_error *error = ipcu_last_error();

	say(options, name, error->message, error->hint);
}

void cli_complain(const struct cli_options *options, const char *name, const char *hint,
		  const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	say(options, name, message, hint);
}

/* A warning and not an error: scripts give --mode with each command, and only the first one creates. */
void cli_opened(const struct cli_options *options, const char *name)
{
	if (options->open.mode && options->open.mode != options->found_mode)
		cli_complain(options, name,
			     "--mode applies only to an object that the command creates",
			     "it already exists with mode %03o, not %03o",
			     (unsigned)options->found_mode, (unsigned)options->open.mode);
}

int cli_not_now(const struct cli_options *options)
{
	return options->not_now_given ? options->not_now_status : IPCU_NOT_NOW;
}

int cli_status(const struct cli_options *options, const char *name, enum ipcu_result result)
{
	if (result == IPCU_OK)
		return 0;
	if (result != IPCU_NOT_NOW || options->verbose)
		cli_error(options, name);
	return result == IPCU_NOT_NOW ? cli_not_now(options) : (int)result;
}

const struct timespec *cli_deadline(const struct cli_options *options, struct timespec *storage)
{
	if (!options->waits || options->timeout == IPCU_FOREVER)
		return NULL;
	if (options->timeout == 0)
		return &ipcu_no_wait;
	*storage = ipcu_deadline_in(options->timeout);
	return storage;
}

int cli_finish(int status, const char *command)
{
	int failed = ferror(stdout);

	if (fflush(stdout) == 0 && !failed)
		return status;
	fprintf(stderr, "%s: write error: %s\n", command, strerror(errno));
	return status ? status : IPCU_SYSTEM;
}
