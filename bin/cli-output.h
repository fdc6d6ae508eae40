/* SPDX-License-Identifier: MIT
 * cli-output.h - a growing buffer, and what is written into it
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cli_buffer {
	char *bytes;
	size_t used, capacity;
	bool failed; /* there was no memory: what follows was dropped */
};

/* Room for MORE bytes at bytes + used; false, and failed, without memory. */
bool cli_reserve(struct cli_buffer *buffer, size_t more);

void cli_put(struct cli_buffer *buffer, const void *bytes, size_t size);
void cli_put_text(struct cli_buffer *buffer, const char *text);
void cli_put_number(struct cli_buffer *buffer, int64_t number);

/* As a JSON string, quotes and all; the bytes must be UTF-8. */
void cli_put_json(struct cli_buffer *buffer, const char *bytes, size_t size);
void cli_put_base64(struct cli_buffer *buffer, const void *bytes, size_t size);

/*
 * After a read or write failed: if it was because somebody made FD non-blocking, as happens to terminals and
 * pipes that several share, sleep until it is ready for EVENTS (poll(2)). errno is EINTR then: to be tried again.
 */
void cli_would_block(int fd, short events);

/*
 * Write SIZE bytes to stdout. Returns how many went out; fewer mean errno says
 * why, EINTR that a signal asked us to end.
 */
size_t cli_write(const void *bytes, size_t size);

#endif
