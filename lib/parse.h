/* SPDX-License-Identifier: MIT
 * parse.h - strict readers of what people type
 *
 * Each returns IPCU_OK or IPCU_USAGE with a sentence that quotes the text. The
 * caller names the option.
 */
#ifndef PARSE_H
#define PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipcutils.h"

#define IPCU_FOREVER INT64_MAX

/* A whole number from MIN to MAX, decimal. */
enum ipcu_result ipcu_parse_number(const char *text, int64_t min, int64_t max, int64_t *value);

/* The same in decimal, 0x hexadecimal or 0 octal, no sign. */
enum ipcu_result ipcu_parse_any_base(const char *text, uint64_t max, uint64_t *value);

/* Permission bits in octal, at most 0777. */
enum ipcu_result ipcu_parse_mode(const char *text, mode_t *mode);

/* 250ms 2s 1.5 5m 1h30m 2d infinity, in nanoseconds; IPCU_FOREVER for infinity and beyond. */
enum ipcu_result ipcu_parse_duration(const char *text, int64_t *nanoseconds);

/* Bytes, with K M G T (powers of 1024). */
enum ipcu_result ipcu_parse_size(const char *text, uint64_t *bytes);

/* Whether the SIZE bytes at TEXT are UTF-8: no overlong forms, no surrogates. */
bool ipcu_utf8(const char *text, size_t size);

#endif
