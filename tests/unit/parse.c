/* SPDX-License-Identifier: MIT
 * parse.c - numbers, durations, sizes and UTF-8 are read strictly
 */
#include <config.h>

#include <string.h>

#include "parse.h"
#include "tap.h"

#define SECOND INT64_C(1000000000)

static void durations(void)
{
	static const struct {
		const char *text;
		int64_t nanoseconds; /* -1: malformed */
	} cases[] = {
		{ "0", 0 },
		{ "2", 2 * SECOND },
		{ "1.5", 3 * SECOND / 2 },
		{ "250ms", SECOND / 4 },
		{ "2s", 2 * SECOND },
		{ "5m", 300 * SECOND },
		{ "1h30m", 5400 * SECOND },
		{ "2d", 172800 * SECOND },
		{ "0.000000001", 1 },
		{ "1.5h", 5400 * SECOND },
		{ "7us", 7000 },
		{ "3ns", 3 },
		{ "infinity", IPCU_FOREVER },
		{ "99999999999999999999d", IPCU_FOREVER },
		{ "99999999999999999999ns", IPCU_FOREVER },
		{ "999999999999999999999999us", IPCU_FOREVER },
		{ "106752d", IPCU_FOREVER },
		{ "", -1 },
		{ "s", -1 },
		{ "-1", -1 },
		{ "+1", -1 },
		{ "1x", -1 },
		{ " 1", -1 },
		{ "1 ", -1 },
		{ "1.", -1 },
		{ ".5", -1 },
		{ "1h30", -1 },
		{ "1.2.3", -1 },
		{ "infinit", -1 },
		{ "1e3", -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t value = -1;
		enum ipcu_result result = ipcu_parse_duration(cases[i].text, &value);

		ok(result == (cases[i].nanoseconds < 0 ? IPCU_USAGE : IPCU_OK) &&
			   value == cases[i].nanoseconds,
		   "duration '%s'", cases[i].text);
	}
}

static void numbers(void)
{
	static const char *const bad[] = { "",	   "-",	  "+1",
					   " 1",   "1 ",  "8abc",
					   "0x10", "1.0", "99999999999999999999",
					   "101",  "-11" };
	int64_t value = 77;

	ok(ipcu_parse_number("-10", -10, 100, &value) == IPCU_OK && value == -10, "the least");
	ok(ipcu_parse_number("100", -10, 100, &value) == IPCU_OK && value == 100, "the most");
	ok(ipcu_parse_number("9223372036854775807", 0, INT64_MAX, &value) == IPCU_OK &&
		   value == INT64_MAX,
	   "the largest of all");
	value = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(ipcu_parse_number(bad[i], -10, 100, &value) == IPCU_USAGE && value == 77,
		   "not a number: '%s'", bad[i]);
	ok(ipcu_parse_number("-1", 0, 100, &value) == IPCU_USAGE,
	   "no sign where it makes no sense");
}

static void keys_and_modes(void)
{
	uint64_t value = 0;
	mode_t mode = 0;

	ok(ipcu_parse_any_base("1234", 9999, &value) == IPCU_OK && value == 1234, "decimal");
	ok(ipcu_parse_any_base("0x4D2", 9999, &value) == IPCU_OK && value == 1234, "hexadecimal");
	ok(ipcu_parse_any_base("02322", 9999, &value) == IPCU_OK && value == 1234, "octal");
	ok(ipcu_parse_any_base("0", 9999, &value) == IPCU_OK && value == 0, "zero");
	ok(ipcu_parse_any_base("10000", 9999, &value) == IPCU_USAGE &&
		   ipcu_parse_any_base("0x", 9, &value) == IPCU_USAGE &&
		   ipcu_parse_any_base("08", 9, &value) == IPCU_USAGE,
	   "and nothing else");
	ok(ipcu_parse_mode("640", &mode) == IPCU_OK && mode == 0640, "a mode");
	ok(ipcu_parse_mode("1777", &mode) == IPCU_USAGE &&
		   ipcu_parse_mode("888", &mode) == IPCU_USAGE &&
		   ipcu_parse_mode("", &mode) == IPCU_USAGE,
	   "not a mode");
}

static void sizes(void)
{
	uint64_t bytes = 0;

	ok(ipcu_parse_size("64K", &bytes) == IPCU_OK && bytes == 65536, "64K");
	ok(ipcu_parse_size("1G", &bytes) == IPCU_OK && bytes == 1 << 30, "1G");
	ok(ipcu_parse_size("K", &bytes) == IPCU_USAGE &&
		   ipcu_parse_size("1KB", &bytes) == IPCU_USAGE &&
		   ipcu_parse_size("99999999999T", &bytes) == IPCU_USAGE &&
		   ipcu_parse_size("-1", &bytes) == IPCU_USAGE,
	   "and nothing else");
}

static void utf8(void)
{
	static const char *const bad[] = { "\x80",
					   "\xc0\x80",
					   "\xc1\xbf",
					   "\xc3",
					   "\xe0\x80\x80",
					   "\xed\xa0\x80",
					   "\xf0\x80\x80\x80",
					   "\xf4\x90\x80\x80",
					   "\xf5\x80\x80\x80",
					   "a\xff" };

	ok(ipcu_utf8("plain \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80",
		     strlen("plain \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80")),
	   "UTF-8");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!ipcu_utf8(bad[i], strlen(bad[i])), "malformed UTF-8, number %zu", i);
}

int main(void)
{
	durations();
	numbers();
	keys_and_modes();
	sizes();
	utf8();
	return done();
}
