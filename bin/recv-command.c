/* SPDX-License-Identifier: MIT
 * recv-command.c - a command for each message
 *
 * That the command exists is checked before anything is taken; should it
 * fail to start all the same, the message goes back.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli-exec.h"
#include "cli-interrupt.h"
#include "recv.h"

/* False without memory. */
static bool set_environment(const char *queue, const struct ipcu_message *message)
{
	char type[24], size[24];

	snprintf(type, sizeof(type), "%ld", message->type);
	snprintf(size, sizeof(size), "%zu", message->size);
	return setenv("IPC_QUEUE", queue, 1) == 0 && setenv("IPC_TYPE", type, 1) == 0 &&
	       setenv("IPC_SIZE", size, 1) == 0;
}

/* Run the command for one message: its status; *STARTED tells whether it ran at all. */
static int run_for(const struct recv_queues *from, size_t which, const struct ipcu_message *message,
		   bool *started)
{
	const struct recv_options *options = from->options;
	int status = IPCU_LIMIT; /* no memory for the environment */

	*started = false;
	if (set_environment(options->names[which], message))
		status = cli_run(options->command, message->body, message->size, started);
	if (*started)
		return status;
	cli_cannot_run(&options->common, options->command[0], status);
	recv_put_back(from, which, message->type, message->body, message->size);
	return status;
}

/* The message is consumed, and more may wait: the user must learn why the run ended. */
static void stopped(const struct recv_options *options, uint64_t done, int status)
{
	cli_complain(
		&options->common, options->command[0], NULL,
		"exited with status %d for message %llu; stopping because --keep-going is not given",
		status, (unsigned long long)done);
}

int recv_commands(const struct recv_queues *from)
{
	const struct recv_options *options = from->options;
	struct ipcu_message message = { 0 };
	char path[CLI_PATH_MAX];
	int status = cli_find_command(options->command[0], path), first_failure = 0;
	uint64_t done = 0, limit;
	bool started = true;

	if (status)
		return cli_cannot_run(&options->common, options->command[0], status);
	status = recv_limit(from, &limit);
	if (status)
		return status;
	while (done < limit && started && !cli_interrupted()) {
		size_t which;
		enum ipcu_result result = recv_wait(from, &which, &message);

		if (result == IPCU_NOT_NOW && options->all && done)
			break;
		if (result != IPCU_OK && ipcu_last_error()->errnum != EINTR) {
			status = cli_status(&options->common, options->names[which], result);
			first_failure = first_failure ? first_failure : status;
			if (result != IPCU_BROKEN)
				break;
			/* One bad message must not end a stream of good ones. */
			done++;
			continue;
		}
		if (result != IPCU_OK)
			break;
		status = run_for(from, which, &message, &started);
		first_failure = first_failure ? first_failure : status;
		done++;
		if (status && !options->keep_going) {
			if (started)
				stopped(options, done, status);
			break;
		}
	}
	ipcu_message_clear(&message);
	return first_failure;
}
