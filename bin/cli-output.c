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
#include "text.h"

#define SAFE_MAX 32 /* a character has at most four bytes, and an escape four for each */

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

/* How many bytes at AT can be written as they are: up to one of SPECIAL, or a character that may not be shown. */
static size_t plain(const char *at, const char *end, const char *special)
{
	const char *start = at;
	bool shown;

	while (at < end) {
		size_t size = ipcu_text_next(at, end, &shown);

		if (!shown || strchr(special, *at))
			break;
		at += size;
	}
	return (size_t)(at - start);
}

/* Write the character at *AT to OUT, escaped if it must not be shown, and move *AT to the next one. Return its size in OUT. */
static size_t safe_character(const char **at, const char *end, char out[SAFE_MAX])
{
	const char *text = *at;
	bool shown;
	size_t size = ipcu_text_next(text, end, &shown), used = 0;

	*at += size;
	/* A backslash that could be taken for the beginning of an escape is escaped too. */
	if (shown && (*text != '\\' || text + 1 == end || text[1] != 'x')) {
		memcpy(out, text, size);
		return size;
	}
	for (size_t i = 0; i < size; i++, used += 4)
		snprintf(out + used, SAFE_MAX - used, "\\x%02x", (unsigned char)text[i]);
	return used;
}

void cli_put_safe(struct cli_buffer *buffer, const char *text, size_t size)
{
	const char *end = text + size;
	char safe[SAFE_MAX];

	while (text < end) {
		size_t run = plain(text, end, "\\");

		cli_put(buffer, text, run);
		text += run;
		if (text < end)
			cli_put(buffer, safe, safe_character(&text, end, safe));
	}
}

void cli_put_safe_text(struct cli_buffer *buffer, const char *text)
{
	cli_put_safe(buffer, text, strlen(text));
}

char *cli_safe(const char *text)
{
	struct cli_buffer buffer = { 0 };

	cli_put_safe(&buffer, text, strlen(text));
	cli_put(&buffer, "", 1);
	if (buffer.failed) {
		free(buffer.bytes);
		return NULL;
	}
	return buffer.bytes;
}

void cli_print_safe(FILE *out, const char *text)
{
	const char *end = text + strlen(text);
	char safe[SAFE_MAX] = "";

	while (text < end)
		fwrite(safe, 1, safe_character(&text, end, safe), out);
}

/* The character of SIZE bytes at AT in an escape of JSON; a byte that is not UTF-8 becomes U+FFFD. */
static void put_json_escape(struct cli_buffer *buffer, const char *at, size_t size)
{
	char escape[8];

	if (*at == '"' || *at == '\\')
		snprintf(escape, sizeof(escape), "\\%c", *at);
	else if (*at == '\n')
		strcpy(escape, "\\n");
	else if (*at == '\t')
		strcpy(escape, "\\t");
	else
		snprintf(escape, sizeof(escape), "\\u%04x", ipcu_text_point(at, size));
	cli_put_text(buffer, escape);
}

void cli_put_json(struct cli_buffer *buffer, const char *bytes, size_t size)
{
	const char *end = bytes + size;
	bool shown;

	cli_put(buffer, "\"", 1);
	while (bytes < end) {
		size_t run = plain(bytes, end, "\"\\");

		cli_put(buffer, bytes, run);
		bytes += run;
		if (bytes == end)
			break;
		run = ipcu_text_next(bytes, end, &shown);
		put_json_escape(buffer, bytes, run);
		bytes += run;
	}
	cli_put(buffer, "\"", 1);
}

void cli_put_json_document(struct cli_buffer *buffer, const char *document)
{
	const char *end = document + strlen(document);
	bool shown;

	while (document < end) {
		size_t size = ipcu_text_next(document, end, &shown);

		if (shown || (unsigned char)*document < 0x20)
			cli_put(buffer, document, size);
		else
			put_json_escape(buffer, document, size);
		document += size;
	}
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
