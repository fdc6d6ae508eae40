/* SPDX-License-Identifier: MIT
 * send-input.h - standard input as messages
 */
#ifndef SEND_INPUT_H
#define SEND_INPUT_H

#include "cli-progress.h"
#include "cli-start.h"
#include "cli-wait.h"

enum send_split { SEND_LINES, SEND_NULL, SEND_WHOLE };

struct send_input {
	enum send_split split;
	enum cli_progress_when progress;
};

/* Send all that stdin holds; the exit status, with everything said. */
int send_stdin(ipcu_queue *queue, const struct cli_options *options, const char *name, long type,
	       const struct send_input *input);

/* The exit status of a send that failed after SENT messages, with everything said. */
int send_failed(ipcu_queue *queue, const struct cli_options *options, const char *name,
		enum ipcu_result result, uint64_t sent);

/* The wait for room in a queue, for cli_wait_begin(). */
bool send_describe_wait(void *queue, char *text, size_t capacity);

/* With -v: how much was sent. */
void send_done(const struct cli_options *options, const char *name, uint64_t messages,
	       uint64_t bytes);

#endif
