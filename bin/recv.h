/* SPDX-License-Identifier: MIT
 * recv.h - the parts of ipc-recv
 */
#ifndef RECV_H
#define RECV_H

#include "cli-start.h"
#include "cli-wait.h"
#include "recv-format.h"

/* What ipc-recv was asked to do. */
struct recv_options {
	struct cli_options common;
	char **names;
	size_t name_count;
	char **command; /* NULL: none */
	struct recv_format format;
	struct ipcu_select select;
	uint64_t count; /* messages wanted; UINT64_MAX with --follow and --all */
	bool follow, all, peek, keep_going, raw;
};

/* Messages that were taken and could neither be delivered nor put back. */
struct recv_lost {
	uint64_t count;
	struct ipcu_error why; /* of the last one */
};

/* The open queues, and what was taken from them and not delivered. */
struct recv_queues {
	ipcu_queue **queues;
	const struct recv_options *options;
	struct recv_lost *lost;
	struct cli_wait *wait;
};

/* Each is one way to receive; all return the exit status with everything said. */
int recv_stream(const struct recv_queues *from);   /* recv-stream.c: to stdout */
int recv_peek(const struct recv_queues *from);	   /* recv-peek.c: to stdout, without taking */
int recv_commands(const struct recv_queues *from); /* recv-command.c: to a command each */

/*
 * How many messages to take at most; the status. With --all that is how many there are now: it takes no more,
 * however fast others send.
 */
int recv_limit(const struct recv_queues *from, uint64_t *limit);

/*
 * One message from any of the queues, waiting as the options say: signals that mean
 * nothing to us do not prolong it. A result that is not IPCU_OK was not yet said.
 */
enum ipcu_result recv_wait(const struct recv_queues *from, size_t *which,
			   struct ipcu_message *message);

/* The wait for the first message begins: report it if it lasts. */
void recv_wait_begin(const struct recv_queues *from);

/* Whether a wait that ended with RESULT is to be continued: a signal that means nothing to us. */
bool recv_again(enum ipcu_result result);

/*
 * Return a message that was taken and cannot be delivered to its queue. Never waits: what no queue takes the handle keeps
 * until the end. Otherwise the result is not IPCU_OK and the message counts as lost.
 */
enum ipcu_result recv_put_back(const struct recv_queues *from, size_t which, long type,
			       const void *body, size_t size);

#endif
