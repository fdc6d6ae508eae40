/* SPDX-License-Identifier: MIT
 * recv-peek.c - messages to stdout without taking them
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli-interrupt.h"
#include "error.h"
#include "queue.h"
#include "recv.h"

/* Write MESSAGE; the status. */
static int show(const struct recv_queues *from, size_t which, const struct ipcu_message *message)
{
	const struct recv_options *options = from->options;
	struct cli_buffer out = { 0 };
	int status = IPCU_OK;

	recv_render(&options->format, &out, options->names[which], message->type, message->body,
		    message->size);
	if (out.failed || cli_write(out.bytes, out.used) < out.used) {
		cli_complain(&options->common, NULL, NULL, "write error: %s",
			     out.failed ? "not enough memory" : strerror(errno));
		status = IPCU_SYSTEM;
	}
	free(out.bytes);
	return status;
}

/* Show MESSAGE, or say why it is refused if RESULT is IPCU_BROKEN; the status. */
static int show_or_refuse(const struct recv_queues *from, size_t which, enum ipcu_result result,
			  const struct ipcu_message *message)
{
	if (result == IPCU_OK)
		return show(from, which, message);
	return cli_status(&from->options->common, from->options->names[which], result);
}

/* As show_queue(), for a receive that takes the lowest type first. */
static enum ipcu_result show_lowest(const struct recv_queues *from, size_t which, uint64_t *shown,
				    int *status)
{
	struct ipcu_message message = { 0 }, best = { 0 };
	enum ipcu_result result, best_result = IPCU_NOT_NOW;
	struct ipcu_error best_error;

	for (size_t index = 0;; index++) {
		struct ipcu_message swap = best;

		result = ipcu_queue_peek(from->queues[which], index, &message);
		if (result != IPCU_OK && result != IPCU_BROKEN)
			break;
		if (!ipcu_select_wants(&from->options->select, message.type) ||
		    (best_result != IPCU_NOT_NOW && message.type >= best.type))
			continue;
		best = message;
		best_result = result;
		best_error = *ipcu_last_error();
		message = swap;
	}
	if (result == IPCU_NOT_NOW && best_result != IPCU_NOT_NOW) {
		ipcu_error_restore(&best_error);
		*status = show_or_refuse(from, which, best_result, &best);
		++*shown;
		result = IPCU_OK;
	}
	ipcu_message_clear(&message);
	ipcu_message_clear(&best);
	return result;
}

/*
 * Show what a receive would take from one queue first, or with --all each that it
 * could take. IPCU_NOT_NOW: there is none. *SHOWN counts them.
 */
static enum ipcu_result show_queue(const struct recv_queues *from, size_t which, uint64_t *shown,
				   int *status)
{
	const struct recv_options *options = from->options;
	struct ipcu_message message = { 0 };
	enum ipcu_result result;
	bool found = false;

	for (size_t index = 0; !found || (options->all && *status != IPCU_SYSTEM); index++) {
		int one;

		result = ipcu_queue_peek(from->queues[which], index, &message);
		if (result != IPCU_OK && result != IPCU_BROKEN)
			break;
		if (!ipcu_select_wants(&options->select, message.type))
			continue;
		one = show_or_refuse(from, which, result, &message);
		*status = one ? one : *status;
		found = true;
		++*shown;
	}
	ipcu_message_clear(&message);
	/* The end of the queue; or what there was to say was said. */
	return found && (result == IPCU_NOT_NOW || result == IPCU_BROKEN) ? IPCU_OK : result;
}

int recv_peek(const struct recv_queues *from)
{
	const struct recv_options *options = from->options;
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	enum ipcu_result result = IPCU_NOT_NOW;
	int status = IPCU_OK;
	uint64_t shown = 0;
	size_t which;

	for (;;) {
		for (which = 0; which < options->name_count && status != IPCU_SYSTEM; which++) {
			result = options->select.pick == IPCU_PICK_MAX_TYPE && !options->all
					 ? show_lowest(from, which, &shown, &status)
					 : show_queue(from, which, &shown, &status);
			if (result != IPCU_OK && result != IPCU_NOT_NOW)
				return cli_status(&options->common, options->names[which], result);
			if (shown && !options->all)
				return status;
		}
		if (status || shown)
			return status;
		if (options->all || deadline == &ipcu_no_wait)
			return cli_status(&options->common, options->names[0], IPCU_NOT_NOW);
		recv_wait_begin(from);
		do
			result = ipcu_queue_wait_any(from->queues, options->name_count, &which,
						     &options->select, deadline);
		while (recv_again(result));
		cli_wait_pause(from->wait);
		if (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR)
			return IPCU_SYSTEM; /* the signal ends us */
		if (result != IPCU_OK)
			return cli_status(&options->common, options->names[which], result);
	}
}
