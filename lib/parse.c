/* SPDX-License-Identifier: MIT
 * parse.c - strict readers of numbers, durations, sizes and UTF-8
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "parse.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One more digit onto VALUE; false if it does not fit. */
static bool push_digit(uint64_t *value, unsigned base, unsigned digit)
{
	return !__builtin_mul_overflow(*value, (uint64_t)base, value) &&
	       !__builtin_add_overflow(*value, (uint64_t)digit, value);
}

static int digit_of(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* Digits up to the end of TEXT; the sentence is the caller's. */
static bool digits(const char *text, unsigned base, uint64_t *value)
{
	*value = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		int digit = digit_of(*text);

		if (digit >= (int)base || !push_digit(value, base, (unsigned)digit))
			return false;
	}
	return true;
}

enum ipcu_result ipcu_parse_number(const char *text, int64_t min, int64_t max, int64_t *value)
{
	bool negative = min < 0 && text[0] == '-';
	uint64_t number;

	if (!digits(text + negative, 10, &number) || number > (uint64_t)INT64_MAX ||
	    (negative ? -(int64_t)number : (int64_t)number) < min ||
	    (negative ? -(int64_t)number : (int64_t)number) > max)
		return ipcu_fail(IPCU_USAGE, "'%s' is not a whole number from %lld to %lld", text,
				 (long long)min, (long long)max);
	*value = negative ? -(int64_t)number : (int64_t)number;
	return IPCU_OK;
}

enum ipcu_result ipcu_parse_any_base(const char *text, uint64_t max, uint64_t *value)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	bool octal = !hex && text[0] == '0' && text[1];
	uint64_t number;

	if (!digits(text + (hex ? 2 : 0), hex ? 16 : octal ? 8 : 10, &number) || number > max)
		return ipcu_fail(
			IPCU_USAGE,
			"'%s' is not a number (decimal, 0x hexadecimal or 0 octal) up to %llu",
			text, (unsigned long long)max);
	*value = number;
	return IPCU_OK;
}

enum ipcu_result ipcu_parse_mode(const char *text, mode_t *mode)
{
	uint64_t number;

	if (!digits(text, 8, &number) || number > 0777)
		return ipcu_fail(IPCU_USAGE, "'%s' is not an octal mode from 0 to 777", text);
	*mode = (mode_t)number;
	return IPCU_OK;
}

static const struct {
	char suffix[4];
	int64_t nanoseconds;
} units[] = {
	{ "ms", 1000000 },
	{ "us", 1000 },
	{ "ns", 1 },
	{ "s", 1000000000 },
	{ "m", 60 * INT64_C(1000000000) },
	{ "h", 3600 * INT64_C(1000000000) },
	{ "d", 86400 * INT64_C(1000000000) },
};

/* "12.5" at *TEXT: whole part and the fraction in billionths; moves *TEXT behind it. */
static bool decimal(const char **text, uint64_t *whole, uint64_t *billionths)
{
	const char *at = *text;
	uint64_t scale = 1000000000;

	*whole = *billionths = 0;
	if (!is_digit(*at))
		return false;
	for (; is_digit(*at); at++)
		if (!push_digit(whole, 10, (unsigned)(*at - '0')))
			*whole = UINT64_MAX; /* and so with every digit that follows */
	if (*at == '.') {
		if (!is_digit(*++at))
			return false;
		for (; is_digit(*at); at++) {
			scale /= 10;
			*billionths += scale * (uint64_t)(*at - '0');
		}
	}
	*text = at;
	return true;
}

static int64_t saturating_sum(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static int64_t in_nanoseconds(uint64_t whole, uint64_t billionths, int64_t unit)
{
	uint64_t product, fraction;

	if (__builtin_mul_overflow(whole, (uint64_t)unit, &product) || product > INT64_MAX)
		return INT64_MAX;
	/* No product below overflows 64 bits: a day is 8.64e13 nanoseconds. */
	fraction = unit >= 1000000 ? billionths * (uint64_t)(unit / 1000000) / 1000
				   : billionths * (uint64_t)unit / 1000000000;
	return saturating_sum((int64_t)product, (int64_t)fraction);
}

/* The unit at *TEXT in nanoseconds, 0 if there is none; moves *TEXT behind it. */
static int64_t unit_at(const char **text)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t length = strlen(units[i].suffix);

		if (strncmp(*text, units[i].suffix, length) == 0) {
			*text += length;
			return units[i].nanoseconds;
		}
	}
	return 0;
}

enum ipcu_result ipcu_parse_duration(const char *text, int64_t *nanoseconds)
{
	const char *at = text;
	int64_t total = 0;
	uint64_t whole, billionths;

	if (strcmp(text, "infinity") == 0) {
		*nanoseconds = IPCU_FOREVER;
		return IPCU_OK;
	}
	do {
		bool first = at == text;
		int64_t unit;

		if (!decimal(&at, &whole, &billionths))
			goto malformed;
		unit = unit_at(&at);
		if (!unit && first && !*at)
			unit = 1000000000; /* a bare number is seconds */
		if (!unit)
			goto malformed;
		total = saturating_sum(total, in_nanoseconds(whole, billionths, unit));
	} while (*at);
	*nanoseconds = total;
	return IPCU_OK;
malformed:
	return ipcu_fail(IPCU_USAGE,
			 "'%s' is not a duration like 250ms, 2s, 1.5, 5m, 1h30m, 2d or infinity",
			 text);
}

enum ipcu_result ipcu_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	const char *at = text, *suffix;
	uint64_t number = 0;

	while (is_digit(*at) && push_digit(&number, 10, (unsigned)(*at - '0')))
		at++;
	if (at == text || is_digit(*at))
		goto malformed;
	if (*at) {
		suffix = strchr(suffixes, *at);
		if (!suffix || at[1])
			goto malformed;
		if (__builtin_mul_overflow(number, UINT64_C(1024) << (10 * (suffix - suffixes)),
					   &number))
			goto malformed;
	}
	if (number > INT64_MAX)
		goto malformed;
	*bytes = number;
	return IPCU_OK;
malformed:
	return ipcu_fail(IPCU_USAGE, "'%s' is not a size like 4096, 64K, 10M or 1G", text);
}

bool ipcu_utf8(const char *text, size_t size)
{
	const unsigned char *at = (const unsigned char *)text, *end = at + size;

	while (at < end) {
		unsigned lead = *at++;
		unsigned low = 0x80, high = 0xbf; /* bounds of the second byte */
		int more;

		if (lead < 0x80)
			continue;
		if (lead < 0xc2 || lead > 0xf4)
			return false;
		more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
		if (lead == 0xe0)
			low = 0xa0;
		else if (lead == 0xed)
			high = 0x9f;
		else if (lead == 0xf0)
			low = 0x90;
		else if (lead == 0xf4)
			high = 0x8f;
		for (; more > 0; more--, low = 0x80, high = 0xbf)
			if (at == end || *at < low || *at++ > high)
				return false;
	}
	return true;
}
