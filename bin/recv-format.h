/* SPDX-License-Identifier: MIT
 * recv-format.h - how a received message looks on stdout
 */
#ifndef RECV_FORMAT_H
#define RECV_FORMAT_H

#include "cli-output.h"
#include "ipcutils.h"

struct recv_format {
	enum { RECV_PLAIN, RECV_FORMAT, RECV_JSON } style;
	const char *format; /* RECV_FORMAT */
	const char *end;    /* after each message */
	size_t end_size;
};

/* Check a --format string. IPCU_USAGE with a sentence. */
enum ipcu_result recv_format_check(const char *format);

/* Append one message of the queue the user calls QUEUE. */
void recv_render(const struct recv_format *format, struct cli_buffer *out, const char *queue,
		 long type, const void *body, size_t size);

#endif
