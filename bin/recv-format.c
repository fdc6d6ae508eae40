/* SPDX-License-Identifier: MIT
 * recv-format.c - how a received message looks on stdout
 */
#include <config.h>

#include <string.h>

#include "error.h"
#include "parse.h"
#include "recv-format.h"

enum ipcu_result recv_format_check(const char *format)
{
	for (const char *at = format; *at; at++) {
		bool percent = *at == '%';
		const char *known = percent ? "btsq%" : "nt0\\";

		if (!percent && *at != '\\')
			continue;
		at++;
		if (!*at || !strchr(known, *at))
			return ipcu_fail(
				IPCU_USAGE,
				"'%s' has an unknown %c%c: there are %%b %%t %%s %%q %%%% \\n \\t \\0 \\\\",
				format, percent ? '%' : '\\', *at ? *at : ' ');
	}
	return IPCU_OK;
}

static void render_format(const char *format, struct cli_buffer *out, const char *queue, long type,
			  const void *body, size_t size)
{
	for (const char *at = format; *at; at++) {
		const char *plain = at;

		while (*at && *at != '%' && *at != '\\')
			at++;
		cli_put(out, plain, (size_t)(at - plain));
		if (!*at)
			return;
		if (*at++ == '\\') {
			cli_put(out,
				*at == 'n'   ? "\n"
				: *at == 't' ? "\t"
				: *at == '0' ? "\0"
					     : "\\",
				1);
			continue;
		}
		switch (*at) {
		case 'b':
			cli_put(out, body, size);
			break;
		case 't':
			cli_put_number(out, type);
			break;
		case 's':
			cli_put_number(out, (int64_t)size);
			break;
		case 'q':
			cli_put_text(out, queue);
			break;
		default:
			cli_put(out, "%", 1);
		}
	}
}

/* The member KEY, or KEY_base64 if what it says is not UTF-8: a body, or the path of ftok:PATH. */
static void put_text(struct cli_buffer *out, const char *key, const char *text, size_t size)
{
	cli_put_text(out, key);
	if (ipcu_utf8(text, size)) {
		cli_put_text(out, "\":");
		cli_put_json(out, text, size);
	} else {
		cli_put_text(out, "_base64\":\"");
		cli_put_base64(out, text, size);
		cli_put_text(out, "\"");
	}
}

static void render_json(struct cli_buffer *out, const char *queue, long type, const void *body,
			size_t size)
{
	put_text(out, "{\"queue", queue, strlen(queue));
	cli_put_text(out, ",\"type\":");
	cli_put_number(out, type);
	cli_put_text(out, ",\"size\":");
	cli_put_number(out, (int64_t)size);
	put_text(out, ",\"body", body, size);
	cli_put_text(out, "}");
}

void recv_render(const struct recv_format *format, struct cli_buffer *out, const char *queue,
		 long type, const void *body, size_t size)
{
	switch (format->style) {
	case RECV_PLAIN:
		cli_put(out, body, size);
		break;
	case RECV_FORMAT:
		render_format(format->format, out, queue, type, body, size);
		break;
	case RECV_JSON:
		render_json(out, queue, type, body, size);
		break;
	}
	cli_put(out, format->end, format->end_size);
}
