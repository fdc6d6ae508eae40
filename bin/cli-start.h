/* SPDX-License-Identifier: MIT
 * cli-start.h - how every command starts, fails and ends
 */
#ifndef CLI_START_H
#define CLI_START_H

#include <argp.h>
#include <stdbool.h>

#include "ipcutils.h"

/* What the shared options say. Start with all zero. */
struct cli_options {
	const char *command;	   /* "ipc-send" */
	struct ipcu_open open;	   /* -m, --create, --no-create */
	mode_t found_mode;	   /* what open.found_mode points to */
	bool waits;		   /* a timeout was given */
	int64_t timeout;	   /* nanoseconds, or IPCU_FOREVER */
	struct timespec opened_by; /* what open.deadline points to */
	bool not_now_given;
	int not_now_status; /* -E */
	pid_t namespace_of; /* --ipc-namespace, 0: ours */
	bool json, quiet, verbose;
	bool finished; /* --help and its like did all there was to do */
};

/*
 * Parse ARGV by ARGP. A table that takes shared options names them as children
 * (cli-options.h) and its parser calls cli_share() on ARGP_KEY_INIT; it does nothing
 * on ARGP_KEY_END once options->finished is set. Returns IPCU_OK, or the status (mostly
 * IPCU_USAGE) after saying why. INPUT is what the parser gets as state->input. From then on
 * we are in the IPC namespace that was asked for.
 */
int cli_parse(const struct argp *argp, const char *command, int argc, char **argv,
	      struct cli_options *options, void *input);

/* Do what cli_parse() does for a command line without any option. argp would take longer than most commands do. */
void cli_parse_none(const char *command, struct cli_options *options);

/* The same where usage errors and --help speak of NAME, "ipc-sem run", instead of COMMAND. */
int cli_parse_as(const struct argp *argp, const char *name, const char *command, int argc,
		 char **argv, struct cli_options *options, void *input);

/* "--OPTION: what ipcu_last_error says"; returns EINVAL for the parser to return. */
int cli_bad_option(struct argp_state *state, const char *option);

/* Report a usage error that may quote what was typed; returns EINVAL for the parser to return. */
int cli_usage(struct argp_state *state, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Say the last error of the library: "ipc-send: NAME: WHAT: WHY" and its hint, unless quiet. NAME may be NULL. */
void cli_error(const struct cli_options *options, const char *name);

/* Say an error of the command's own in the same way; HINT may be NULL. */
void cli_complain(const struct cli_options *options, const char *name, const char *hint,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * The exit status for RESULT of the library's last call, after saying why it is not
 * IPCU_OK. "Not now" is an answer, not an error: it is said only with -v.
 */
int cli_status(const struct cli_options *options, const char *name, enum ipcu_result result);

/* After an open by options->open: warn if NAME already existed with a mode that differs from --mode. */
void cli_opened(const struct cli_options *options, const char *name);

/* The status for "not now": 1, or what -E says. */
int cli_not_now(const struct cli_options *options);

/* The deadline of a wait that begins now: NULL, or STORAGE. */
const struct timespec *cli_deadline(const struct cli_options *options, struct timespec *storage);

/* The one place that leaves: flush and check stdout; a failed write turns success into 8. */
int cli_finish(int status, const char *command);

#endif
