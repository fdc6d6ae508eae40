/* SPDX-License-Identifier: MIT
 * cli-progress.c - how far it is, on stderr, while data goes through
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli-progress.h"
#include "cli-start.h"

#define MIB 1048576.0

error_t cli_parse_progress(struct argp_state *state, const char *text, enum cli_progress_when *when)
{
	static const char *const words[] = { "never", "auto", "always" };

	for (int i = 0; i < 3; i++)
		if (strcmp(text ? text : "auto", words[i]) == 0) {
			*when = (enum cli_progress_when)i;
			return 0;
		}
	cli_usage(state, "--progress: '%s' is not auto, always or never", text);
	return EINVAL;
}

bool cli_progress_start(struct cli_progress *progress, enum cli_progress_when when)
{
	clock_gettime(CLOCK_MONOTONIC, &progress->started);
	progress->shown = progress->started;
	progress->on =
		when == CLI_PROGRESS_ALWAYS || (when == CLI_PROGRESS_AUTO && isatty(STDERR_FILENO));
	return progress->on;
}

static double seconds_since(const struct timespec *then, const struct timespec *now)
{
	return (double)(now->tv_sec - then->tv_sec) + (double)(now->tv_nsec - then->tv_nsec) / 1e9;
}

/* One line that is written over itself on a terminal, and a line each elsewhere. */
void cli_progress(struct cli_progress *progress, int64_t messages, uint64_t bytes, bool last)
{
	int errnum = errno; /* of what was interrupted to come here */
	struct timespec now;
	double seconds;
	bool terminal;

	if (!progress->on)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!last && seconds_since(&progress->shown, &now) < CLI_PROGRESS_TICK / 2000.0)
		return;
	progress->shown = now;
	seconds = seconds_since(&progress->started, &now);
	if (seconds <= 0)
		seconds = 1e-9;
	terminal = isatty(STDERR_FILENO);
	if (terminal)
		fputc('\r', stderr);
	if (messages >= 0)
		fprintf(stderr, "%lld message%s, %.1f MiB, %.0f messages/s, %.1f MiB/s",
			(long long)messages, messages == 1 ? "" : "s", (double)bytes / MIB,
			(double)messages / seconds, (double)bytes / MIB / seconds);
	else
		fprintf(stderr, "%.1f MiB, %.1f MiB/s", (double)bytes / MIB,
			(double)bytes / MIB / seconds);
	fprintf(stderr, "%s%s", terminal ? "\033[K" : "", terminal && !last ? "" : "\n");
	progress->on = !last;
	errno = errnum;
}
