/* SPDX-License-Identifier: MIT
 * shm-literal.c - values as people write them
 */
#include <config.h>

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static const struct {
	const char *name;
	size_t size;
	const char *range;
} types[] = {
	{ "bytes", 1, "" },
	{ "i8", 1, "-128 to 127" },
	{ "u8", 1, "0 to 255" },
	{ "i16", 2, "-32768 to 32767" },
	{ "u16", 2, "0 to 65535" },
	{ "i32", 4, "-2147483648 to 2147483647" },
	{ "u32", 4, "0 to 4294967295" },
	{ "i64", 8, "-9223372036854775808 to 9223372036854775807" },
	{ "u64", 8, "0 to 18446744073709551615" },
	{ "f32", 4, "a number like 1.5 or -2e10 up to 3.4028235e+38, inf, -inf or nan" },
	{ "f64", 8, "a number like 1.5 or -2e10 up to 1.7976931348623157e+308, inf, -inf or nan" },
};
#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

const char *ipcu_type_name(enum ipcu_type type)
{
	return (unsigned)type < TYPE_COUNT ? types[type].name : "unknown";
}

size_t ipcu_type_size(enum ipcu_type type)
{
	return (unsigned)type < TYPE_COUNT ? types[type].size : 1;
}

enum ipcu_result ipcu_type_read(const char *name, enum ipcu_type *type)
{
	for (size_t i = 1; i < TYPE_COUNT; i++)
		if (strcmp(types[i].name, name) == 0) {
			*type = (enum ipcu_type)i;
			return IPCU_OK;
		}
	return ipcu_fail(IPCU_USAGE, "'%s' is not a type: i8 u8 i16 u16 i32 u32 i64 u64 f32 f64",
			 name);
}

/* ---- whole numbers -------------------------------------------------------- */

/* Decimal digits up to the end; false if there are none, others, or too many. */
static bool magnitude(const char *text, uint64_t *number)
{
	*number = 0;
	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' ||
		    __builtin_mul_overflow(*number, UINT64_C(10), number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
			return false;
	return true;
}

static bool read_signed(const char *text, unsigned bits, int64_t *value)
{
	uint64_t limit = UINT64_C(1) << (bits - 1), number;
	bool negative = *text == '-';

	if (!magnitude(text + negative, &number) || number > limit - !negative)
		return false;
	*value = negative ? (int64_t)(0 - number) : (int64_t)number;
	return true;
}

static bool read_unsigned(const char *text, unsigned bits, uint64_t *value)
{
	return magnitude(text, value) && (bits == 64 || *value >> bits == 0);
}

/* ---- floating point ------------------------------------------------------- */

static const char *skip_digits(const char *at)
{
	while (*at >= '0' && *at <= '9')
		at++;
	return at;
}

/* [-]DIGITS[.DIGITS][e[+-]DIGITS], or .DIGITS: what all languages agree on. */
static bool is_decimal(const char *text)
{
	const char *at = text + (*text == '-'), *whole = at, *fraction;

	fraction = at = skip_digits(at);
	if (*at == '.') {
		at = skip_digits(at + 1);
		if (at == fraction + 1)
			return false;
	}
	if (at == whole)
		return false;
	if (*at == 'e' || *at == 'E') {
		const char *exponent = at + 1 + (at[1] == '-' || at[1] == '+');

		at = skip_digits(exponent);
		if (at == exponent)
			return false;
	}
	return !*at;
}

/* strtod and printf follow the program's locale, a value never does. */
static double in_c_locale(const char *text, bool single)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	locale_t old = c ? uselocale(c) : (locale_t)0;
	double value = single ? (double)strtof(text, NULL) : strtod(text, NULL);

	if (c) {
		uselocale(old);
		freelocale(c);
	}
	return value;
}

static bool read_float(const char *text, bool single, double *value)
{
	if (strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0) {
		*value = *text == '-' ? -(double)INFINITY : (double)INFINITY;
		return true;
	}
	if (strcmp(text, "nan") == 0) {
		*value = (double)NAN;
		return true;
	}
	if (!is_decimal(text))
		return false;
	*value = in_c_locale(text, single);
	return isfinite(*value);
}

enum ipcu_result ipcu_value_read(enum ipcu_type type, const char *text, union ipcu_value *value)
{
	unsigned bits = (unsigned)ipcu_type_size(type) * 8;
	union ipcu_value result = { .u = 0 };
	bool good = false;

	switch (type) {
	case IPCU_I8:
	case IPCU_I16:
	case IPCU_I32:
	case IPCU_I64:
		good = read_signed(text, bits, &result.i);
		break;
	case IPCU_U8:
	case IPCU_U16:
	case IPCU_U32:
	case IPCU_U64:
		good = read_unsigned(text, bits, &result.u);
		break;
	case IPCU_F32:
	case IPCU_F64:
		good = read_float(text, type == IPCU_F32, &result.f);
		break;
	case IPCU_BYTES:
		break;
	}
	if (!good)
		return ipcu_fail(IPCU_USAGE, "'%.60s' is not of type %s: %s", text,
				 ipcu_type_name(type),
				 (unsigned)type < TYPE_COUNT ? types[type].range : "");
	*value = result;
	return IPCU_OK;
}

/* ---- writing -------------------------------------------------------------- */

/*
 * %g drops zeroes at the end, so what fewer digits would give exactly need not be tried, but for the
 * smallest numbers, which have fewer bits than that.
 */
static void write_float(double value, bool single, char text[IPCU_VALUE_TEXT])
{
	int precision = single ? FLT_DIG : DBL_DIG,
	    most = single ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;
	locale_t c, old;

	if (!isfinite(value)) {
		strcpy(text, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
		return;
	}
	if (fabs(value) < (single ? (double)FLT_MIN : DBL_MIN))
		precision = 1;
	c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	old = c ? uselocale(c) : (locale_t)0;
	for (;; precision++) {
		snprintf(text, IPCU_VALUE_TEXT, "%.*g", precision, value);
		if (precision >= most || (single ? (double)strtof(text, NULL)
						 : strtod(text, NULL)) == value) /* exactly */
			break;
	}
	if (c) {
		uselocale(old);
		freelocale(c);
	}
}

void ipcu_value_write(enum ipcu_type type, union ipcu_value value, char text[IPCU_VALUE_TEXT])
{
	switch (type) {
	case IPCU_I8:
	case IPCU_I16:
	case IPCU_I32:
	case IPCU_I64:
		snprintf(text, IPCU_VALUE_TEXT, "%lld", (long long)value.i);
		return;
	case IPCU_F32:
	case IPCU_F64:
		write_float(value.f, type == IPCU_F32, text);
		return;
	default:
		snprintf(text, IPCU_VALUE_TEXT, "%llu", (unsigned long long)value.u);
	}
}
