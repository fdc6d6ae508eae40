/* SPDX-License-Identifier: MIT
 * pipe-stream.h - standard input into a pipe, and out of it to standard output
 */
#ifndef PIPE_STREAM_H
#define PIPE_STREAM_H

#include "cli-progress.h"
#include "cli-start.h"

/*
 * After the other end was met: move everything, and end well. The exit status, with everything said. BOTH ways, or one of
 * them: WRITING from stdin, else to stdout.
 */
int pipe_stream(ipcu_pipe *pipe, const struct cli_options *options, const char *name,
		enum ipcu_pipe_end end, enum cli_progress_when progress);

#endif
