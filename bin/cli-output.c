/* SPDX-License-Identifier: MIT
 * cli-output.c - a growing buffer, and what is written into it
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-interrupt.h"
#include "cli-output.h"
#include "parse.h"

bool cli_reserve(struct cli_buffer *buffer, size_t more)
{
	size_t capacity = buffer->capacity ? buffer->capacity : 4096;
	char *bytes;

	if (buffer->capacity - buffer->used >= more)
		return true;
	while (capacity - buffer->used < more)
		capacity *= 2;
	bytes = realloc(buffer->bytes, capacity);
	if (!bytes) {
		buffer->failed = true;
		return false;
	}
	buffer->bytes = bytes;
	buffer->capacity = capacity;
	return true;
}

void cli_put(struct cli_buffer *buffer, const void *bytes, size_t size)
{
	if (size == 0 || buffer->failed || !cli_reserve(buffer, size))
		return;
	memcpy(buffer->bytes + buffer->used, bytes, size);
	buffer->used += size;
}

void cli_put_text(struct cli_buffer *buffer, const char *text)
{
	cli_put(buffer, text, strlen(text));
}

void cli_put_number(struct cli_buffer *buffer, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	cli_put_text(buffer, text);
}

void cli_put_json(struct cli_buffer *buffer, const char *bytes, size_t size)
{
	const char *end = bytes + size;
	bool utf8 = ipcu_utf8(bytes, size); /* what is not, as a path may be, would be no JSON */

	cli_put(buffer, "\"", 1);
	while (bytes < end) {
		const char *plain = bytes;
		char escape[8];

		while (bytes < end && (unsigned char)*bytes >= 0x20 && *bytes != '"' &&
		       *bytes != '\\' && *bytes != 0x7f && (utf8 || (unsigned char)*bytes < 0x80))
			bytes++;
		cli_put(buffer, plain, (size_t)(bytes - plain));
		if (bytes == end)
			break;
		if (*bytes == '"' || *bytes == '\\')
			snprintf(escape, sizeof(escape), "\\%c", *bytes);
		else if (*bytes == '\n')
			strcpy(escape, "\\n");
		else if (*bytes == '\t')
			strcpy(escape, "\\t");
		else
			snprintf(escape, sizeof(escape), "\\u%04x",
				 (unsigned char)*bytes < 0x80 ? (unsigned char)*bytes : 0xfffd);
		cli_put_text(buffer, escape);
		bytes++;
	}
	cli_put(buffer, "\"", 1);
}

void cli_put_base64(struct cli_buffer *buffer, const void *bytes, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *at = bytes;

	for (; size > 0; at += 3, size -= size < 3 ? size : 3) {
		uint32_t group = (uint32_t)at[0] << 16 | (size > 1 ? (uint32_t)at[1] << 8 : 0) |
				 (size > 2 ? at[2] : 0);
		char text[4] = { digits[group >> 18], digits[group >> 12 & 63], '=', '=' };

		if (size > 1)
			text[2] = digits[group >> 6 & 63];
		if (size > 2)
			text[3] = digits[group & 63];
		cli_put(buffer, text, sizeof(text));
	}
}

void cli_would_block(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };

	if (errno != EAGAIN)
		return;
	poll(&ready, 1, -1);
	errno = EINTR;
}

size_t cli_write(const void *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t wrote = write(STDOUT_FILENO, (const char *)bytes + done, size - done);

		if (wrote >= 0) {
			done += (size_t)wrote;
			continue;
		}
		cli_would_block(STDOUT_FILENO, POLLOUT);
		if (errno != EINTR || cli_interrupted())
			break;
	}
	return done;
}
