/* SPDX-License-Identifier: MIT
 * cli-progress.h - how far it is, on stderr, while data goes through
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum cli_progress_when { CLI_PROGRESS_NEVER, CLI_PROGRESS_AUTO, CLI_PROGRESS_ALWAYS };

#define CLI_PROGRESS_TICK 200 /* milliseconds; call cli_progress() about that often */

struct cli_progress {
	bool on;
	struct timespec started, shown;
};

/* The argument of --progress, which may be NULL, into *WHEN; EINVAL after saying why not. */
error_t cli_parse_progress(struct argp_state *state, const char *text,
			   enum cli_progress_when *when);

/* From now on, if WHEN says so: auto is if stderr is a terminal. Whether it does. */
bool cli_progress_start(struct cli_progress *progress, enum cli_progress_when when);

/* Show it, unless it was just now; always if this is the LAST. MESSAGES -1: there are none to be counted. */
void cli_progress(struct cli_progress *progress, int64_t messages, uint64_t bytes, bool last);

#endif
