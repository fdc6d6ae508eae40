/* SPDX-License-Identifier: MIT
 * text.h - which characters may be shown
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Return the size in bytes of the character at AT, which lies before END. *SHOWN is false for a control character
 * (C0, DEL, C1), a character that reorders or separates lines, and a byte that is not UTF-8, whose size is 1.
 */
size_t ipcu_text_next(const char *at, const char *end, bool *shown);

/* Return the code point of the SIZE bytes at AT, U+FFFD if they are not one character in UTF-8. */
uint32_t ipcu_text_point(const char *at, size_t size);

/* Replace each byte of a character that may not be shown by BY; bytes that are not UTF-8 stay. */
void ipcu_text_blank(char *text, size_t size, char by);

/*
 * Copy FROM to AT, where there is room for it, and return the end. Not strcpy(3), whose checked variant is in a part of libc
 * that a command which takes a lock would touch for nothing else.
 */
static inline char *ipcu_text_put(char *at, const char *from)
{
	while (*from)
		*at++ = *from++;
	*at = '\0';
	return at;
}

#endif
