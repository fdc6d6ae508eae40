/* SPDX-License-Identifier: MIT
 * format.c - fuzz: ipc-recv --format and --json
 *
 * The input is FORMAT NUL QUEUE NUL BODY. What was rendered is read back: JSON as JSON.
 */
#include <config.h>

#include "fuzz.h"
#include "parse.h"
#include "recv-format.h"

/* ---- --format --------------------------------------------------------------- */

/* How many bytes FORMAT comes to. */
static size_t expected(const char *format, size_t queue, size_t body)
{
	size_t sum = 0;

	for (; *format; format++) {
		if (*format != '%') {
			format += *format == '\\';
			sum++;
			continue;
		}
		format++;
		sum += *format == 'b'	? body
		       : *format == 'q' ? queue
		       : *format == 's' ? (size_t)snprintf(NULL, 0, "%zu", body)
					: 1;
	}
	return sum;
}

static void check_format(const char *format, const char *queue, const char *body, size_t size)
{
	struct recv_format how = { RECV_FORMAT, format, "", 0 };
	struct cli_buffer out = { 0 };

	if (fuzz_result(recv_format_check(format)) != IPCU_OK)
		return;
	recv_render(&how, &out, queue, 7, body, size);
	must(!out.failed && out.used == expected(format, strlen(queue), size));
	free(out.bytes);
}

/* ---- --json ------------------------------------------------------------------ */

static bool skip(const char **at, const char *text)
{
	size_t length = strlen(text);

	if (strncmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* The escape behind a backslash at *AT as UTF-8 in BYTES; returns its size. */
static size_t unescape(const char **at, char bytes[4])
{
	char letter = *(*at)++;
	unsigned number;

	bytes[0] = letter == 'n' ? '\n' : letter == 't' ? '\t' : letter;
	if (letter != 'u') {
		must(strchr("nt\"\\", letter));
		return 1;
	}
	must(sscanf(*at, "%4x", &number) == 1);
	*at += 4;
	if (number < 0x80) {
		bytes[0] = (char)number;
		return 1;
	}
	if (number < 0x800) {
		bytes[0] = (char)(0xc0 | number >> 6);
		bytes[1] = (char)(0x80 | (number & 0x3f));
		return 2;
	}
	bytes[0] = (char)(0xe0 | number >> 12);
	bytes[1] = (char)(0x80 | (number >> 6 & 0x3f));
	bytes[2] = (char)(0x80 | (number & 0x3f));
	return 3;
}

/* Whether a terminal could obey what begins at AT: C0, DEL, C1, or a bidirectional override or isolate. */
static bool orders(const char *at)
{
	const unsigned char *byte = (const unsigned char *)at;

	return byte[0] < 0x20 || byte[0] == 0x7f || (byte[0] == 0xc2 && byte[1] < 0xa0) ||
	       (byte[0] == 0xe2 && byte[1] == 0x80 && byte[2] >= 0xa8 && byte[2] <= 0xae) ||
	       (byte[0] == 0xe2 && byte[1] == 0x81 && byte[2] >= 0xa6 && byte[2] <= 0xa9);
}

/* The string at *AT, after its opening quote, must be WANTED. */
static void check_string(const char **at, const char *wanted, size_t size)
{
	for (size_t i = 0; i < size;) {
		char got[4];
		size_t length = 1;

		must(!orders(*at) && **at != '"');
		got[0] = *(*at)++;
		if (got[0] == '\\')
			length = unescape(at, got);
		must(length <= size - i && memcmp(got, wanted + i, length) == 0);
		i += length;
	}
	must(*(*at)++ == '"');
}

static void check_base64(const char **at, const char *wanted, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, held = 0;
	size_t got = 0, length = strspn(*at, digits);

	must(strspn(*at + length, "=") == (3 - size % 3) % 3);
	for (size_t i = 0; i < length; i++) {
		bits = bits << 6 | (unsigned)(strchr(digits, (*at)[i]) - digits);
		held += 6;
		if (held >= 8) {
			held -= 8;
			must(got < size && (char)(bits >> held) == wanted[got]);
			got++;
		}
	}
	must(got == size);
	*at += length + strspn(*at + length, "=");
	must(*(*at)++ == '"');
}

static void check_member(const char **at, const char *key, const char *value, size_t size)
{
	must(skip(at, "\"") && skip(at, key));
	if (skip(at, "_base64\":\"")) {
		must(!ipcu_utf8(value, size));
		check_base64(at, value, size);
	} else {
		must(skip(at, "\":\""));
		check_string(at, value, size);
	}
}

static void check_json(const char *queue, const char *body, size_t size)
{
	struct recv_format how = { RECV_JSON, NULL, "\n",
				   2 }; /* the NUL too, to end the text here */
	struct cli_buffer out = { 0 };
	char numbers[64];
	const char *at;

	recv_render(&how, &out, queue, -5, body, size);
	must(!out.failed && ipcu_utf8(out.bytes, out.used) && strlen(out.bytes) + 1 == out.used);
	at = out.bytes;
	must(skip(&at, "{"));
	check_member(&at, "queue", queue, strlen(queue));
	snprintf(numbers, sizeof(numbers), ",\"type\":-5,\"size\":%zu,", size);
	must(skip(&at, numbers));
	check_member(&at, "body", body, size);
	must(strcmp(at, "}\n") == 0);
	free(out.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *format = fuzz_text(data, size);
	size_t used = strlen(format) < size ? strlen(format) + 1 : size;
	char *queue = fuzz_text(data + used, size - used);

	used += strlen(queue) < size - used ? strlen(queue) + 1 : size - used;
	check_format(format, queue, (const char *)data + used, size - used);
	check_json(queue, (const char *)data + used, size - used);
	free(queue);
	free(format);
	return 0;
}
