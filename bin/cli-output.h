/* SPDX-License-Identifier: MIT
 * cli-output.h - a growing buffer, and what is written into it
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

/*
 * Add text that another user may have chosen. Each byte of a character that a terminal could obey, and each byte that is
 * not UTF-8, becomes \xNN; so does a backslash before an x.
 */
void cli_put_safe(struct cli_buffer *buffer, const char *text, size_t size);
void cli_put_safe_text(struct cli_buffer *buffer, const char *text);

/* The same as a string that the caller frees; NULL without memory. */
char *cli_safe(const char *text);

/* The same to OUT. */
void cli_print_safe(FILE *out, const char *text);

/* Add a JSON string with its quotes. What cli_put_safe() escapes becomes \uNNNN; bytes that are not UTF-8 are replaced. */
void cli_put_json(struct cli_buffer *buffer, const char *bytes, size_t size);

/* Add a JSON document of another library, whose strings may hold characters that a terminal could obey. */
void cli_put_json_document(struct cli_buffer *buffer, const char *document);
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
