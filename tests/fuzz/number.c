/* SPDX-License-Identifier: MIT
 * number.c - fuzz: durations, sizes, whole numbers, keys and modes, against a second reading of the grammar
 */
#include <config.h>

#include "fuzz.h"
#include "parse.h"

/* ---- a second reading, slow and simple ------------------------------------- */

static size_t span_digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* Whether the decimal digits at TEXT, LENGTH of them, are at most LIMIT. */
static bool at_most(const char *text, size_t length, uint64_t limit)
{
	char most[24];

	snprintf(most, sizeof(most), "%llu", (unsigned long long)limit);
	while (length > 1 && *text == '0') {
		text++;
		length--;
	}
	return length < strlen(most) ||
	       (length == strlen(most) && strncmp(text, most, length) <= 0);
}

/* In nanoseconds, or -1: malformed. *SLACK is what truncation may take away. */
static long double duration(const char *text, long double *slack)
{
	static const struct {
		const char *name;
		long double nanoseconds;
	} units[] = { { "ns", 1 },    { "us", 1e3L },  { "ms", 1e6L },	{ "s", 1e9L },
		      { "m", 6e10L }, { "h", 36e11L }, { "d", 864e11L } };
	long double sum = 0;
	const char *at = text;

	*slack = 0;
	do {
		size_t whole = span_digits(at), fraction = 0, letters, unit = 7;
		long double value;

		if (at[whole] == '.') {
			fraction = span_digits(at + whole + 1) + 1;
			if (fraction == 1)
				return -1;
		}
		if (!whole)
			return -1;
		value = strtold(at, NULL);
		at += whole + fraction;
		letters = strspn(at, "abcdefghijklmnopqrstuvwxyz");
		for (size_t i = 0; i < 7; i++)
			if (strlen(units[i].name) == letters &&
			    strncmp(units[i].name, at, letters) == 0)
				unit = i;
		if (unit == 7 && letters == 0 && !*at && at == text + whole + fraction)
			unit = 3;
		else if (unit == 7)
			return -1;
		at += letters;
		sum += value * units[unit].nanoseconds;
		*slack += units[unit].nanoseconds * 1e-9L + 1;
	} while (*at);
	return sum;
}

/* ---- comparing ------------------------------------------------------------- */

static void check_duration(const char *text)
{
	int64_t got = -1;
	enum ipcu_result result = fuzz_result(ipcu_parse_duration(text, &got));
	long double slack, wanted = strcmp(text, "infinity") == 0 ? 1e30L : duration(text, &slack);

	/* strtold() knows exponents, which the grammar has not. */
	must((result == IPCU_OK) == (wanted >= 0));
	if (result != IPCU_OK)
		return;
	if (wanted >= 9223372036854775807.0L)
		must(got == IPCU_FOREVER);
	else
		must((long double)got <= wanted + 1 + wanted * 1e-15L &&
		     (long double)got >= wanted - slack - wanted * 1e-15L);
}

static void check_size(const char *text)
{
	static const char suffixes[] = "KMGT";
	size_t length = span_digits(text);
	const char *suffix = text[length] ? strchr(suffixes, text[length]) : NULL;
	unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
	bool good = length && (!text[length] || (suffix && !text[length + 1])) &&
		    at_most(text, length, (uint64_t)INT64_MAX >> shift);
	uint64_t got = 77;

	must((fuzz_result(ipcu_parse_size(text, &got)) == IPCU_OK) == good);
	must(!good || got == strtoull(text, NULL, 10) << shift);
	must(good || got == 77);
}

static void check_number(const char *text)
{
	bool negative = text[0] == '-';
	size_t length = span_digits(text + negative);
	bool good = length && !text[negative + length] &&
		    at_most(text + negative, length, negative ? 1000 : 70000);
	int64_t got = 77;

	must((fuzz_result(ipcu_parse_number(text, -1000, 70000, &got)) == IPCU_OK) == good);
	must(got == (good ? strtoll(text, NULL, 10) : 77));
	good = !negative && length && !text[length] && at_most(text, length, INT64_MAX);
	must((ipcu_parse_number(text, 0, INT64_MAX, &got) == IPCU_OK) == good);
	must(!good || got == strtoll(text, NULL, 10));
}

static void check_key_and_mode(const char *text)
{
	uint64_t got = 77;
	mode_t mode = 01000;
	char *end;

	if (fuzz_result(ipcu_parse_any_base(text, UINT32_MAX, &got)) == IPCU_OK)
		must(got <= UINT32_MAX && got == strtoull(text, &end, 0) && !*end);
	else
		must(got == 77);
	if (fuzz_result(ipcu_parse_mode(text, &mode)) == IPCU_OK)
		must(mode <= 0777 && mode == strtoul(text, &end, 8) && !*end);
	else
		must(mode == 01000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	check_duration(text);
	check_size(text);
	check_number(text);
	check_key_and_mode(text);
	free(text);
	return 0;
}
