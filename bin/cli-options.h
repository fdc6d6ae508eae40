/* SPDX-License-Identifier: MIT
 * cli-options.h - the options that mean the same in every command
 *
 * Each is an argp child whose input is a struct cli_options.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "cli-start.h"

extern const struct argp cli_waiting;  /* -t -n -E */
extern const struct argp cli_creating; /* -m --create --no-create */
extern const struct argp cli_json;     /* -J */
extern const struct argp cli_standard; /* --ipc-namespace -q -v -h -? --usage -V */

/* On ARGP_KEY_INIT: all children of this table share OPTIONS. */
void cli_share(struct argp_state *state, struct cli_options *options);

/* What every --help ends with. */
#define CLI_EXIT_STATUSES                                                                    \
	"\vExit status: 0 done; 1 not now (timed out, would block, empty, full); 2 usage "   \
	"error; 3 no such object, or removed while waiting; 4 permission denied; 5 a limit " \
	"was reached; 6 broken; 7 conflict; 8 other system error. ipcutils(7) tells what a " \
	"NAME can be."

/* Keys of options that have no letter: one number for each name, in all commands. */
enum cli_key {
	CLI_CREATE = 0x100,
	CLI_NO_CREATE,
	CLI_USAGE,
	CLI_COMPLETE,
	CLI_PROGRESS,
	CLI_LINES,
	CLI_MAX_TYPE,
	CLI_NOT_TYPE,
	CLI_KEEP_GOING,
	CLI_NOHEADINGS,
	CLI_USER,
	CLI_WATCH,
	CLI_DRY_RUN,
	CLI_STALE,
	CLI_OLDER_THAN,
	CLI_BREAK_ON_TIMEOUT,
	CLI_RESIZE,
	CLI_TRANSIENT,
	CLI_VALUE,
	CLI_IPC_NAMESPACE,
	CLI_REPAIR,
	CLI_INTERVAL,
	CLI_PEER,
	CLI_ROOT,
	CLI_COMMAND_KEYS /* a command's own begin here */
};

#endif
