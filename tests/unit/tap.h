/* SPDX-License-Identifier: MIT
 * tap.h - tests in C that speak TAP
 *
 *	int main(void)
 *	{
 *		ok(1 + 1 == 2, "adding");
 *		is_result(ipcu_queue_open(&queue, "q1", NULL), IPCU_OK, "opens");
 *		return done();
 *	}
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ipcutils.h"

static int tap_count, tap_failures;

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool good, const char *format, ...)
{
	va_list args;

	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	tap_failures += !good;
	return good;
}

__attribute__((unused)) static bool is_result(enum ipcu_result got, enum ipcu_result wanted,
					      const char *what)
{
	if (got != wanted)
		printf("# got %d (%s), wanted %d\n", got, got ? ipcu_last_error()->message : "ok",
		       wanted);
	return ok(got == wanted, "%s", what);
}

__attribute__((unused)) static bool is_number(long long got, long long wanted, const char *what)
{
	if (got != wanted)
		printf("# got %lld, wanted %lld\n", got, wanted);
	return ok(got == wanted, "%s", what);
}

/* A number from the environment, for how often to repeat. */
__attribute__((unused)) static long rounds(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text && atol(text) > 0 ? atol(text) : otherwise;
}

/* Every test ends within SECONDS, or dies of SIGALRM and so fails. */
__attribute__((unused)) static void deadline_for_all(unsigned seconds)
{
	alarm(seconds);
}

__attribute__((unused)) static int done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
