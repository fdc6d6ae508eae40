/* SPDX-License-Identifier: MIT
 * text.c - which characters may be shown
 *
 * Command lines, names in the registry of another user and bodies of messages are text that another user chose. A
 * terminal obeys control characters in it, and shows a line with bidirectional controls in another order than it has.
 * All output of the commands is checked here.
 */
#include <config.h>

#include <stdint.h>
#include <string.h>

#include "parse.h"
#include "text.h"

static const struct {
	uint32_t first, last;
} hidden[] = {
	{ 0x00, 0x1f },	    /* C0 */
	{ 0x7f, 0x9f },	    /* DEL and C1 */
	{ 0x61c, 0x61c },   /* Arabic letter mark */
	{ 0x200e, 0x200f }, /* left-to-right and right-to-left mark */
	{ 0x2028, 0x202e }, /* line and paragraph separator, bidirectional embedding and override */
	{ 0x2066, 0x2069 }, /* bidirectional isolates */
	{ 0xfff9, 0xfffb }, /* interlinear annotation */
};

uint32_t ipcu_text_point(const char *at, size_t size)
{
	uint32_t point = (unsigned char)at[0];

	if (!ipcu_utf8(at, size))
		return 0xfffd;
	if (size > 1)
		point &= 0xffu >> (size + 1);
	for (size_t i = 1; i < size; i++)
		point = point << 6 | ((unsigned char)at[i] & 0x3fu);
	return point;
}

size_t ipcu_text_next(const char *at, const char *end, bool *shown)
{
	unsigned char lead = (unsigned char)*at;
	size_t size = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	uint32_t point;

	*shown = lead >= 0x20 && lead < 0x7f;
	if (*shown || size > (size_t)(end - at) || !ipcu_utf8(at, size))
		return 1;
	point = ipcu_text_point(at, size);
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (point >= hidden[i].first && point <= hidden[i].last)
			return size;
	*shown = true;
	return size;
}

void ipcu_text_blank(char *text, size_t size, char by)
{
	char *end = text + size;
	bool shown;

	while (text < end) {
		size_t one = ipcu_text_next(text, end, &shown);

		if (!shown && ipcu_utf8(text, one))
			memset(text, by, one);
		text += one;
	}
}
