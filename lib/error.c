/* SPDX-License-Identifier: MIT
 * error.c - the last error of this thread
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

static _Thread_local struct ipcu_error last;

const struct ipcu_error *ipcu_last_error(void)
{
	return &last;
}

const char *ipcu_version(void)
{
	return IPCU_VERSION;
}

static void start(enum ipcu_result result, int errnum, const char *call)
{
	last.result = result;
	last.errnum = errnum;
	snprintf(last.call, sizeof(last.call), "%s", call);
	last.message[0] = '\0';
	last.hint[0] = '\0';
}

enum ipcu_result(ipcu_fail)(enum ipcu_result result, const char *format, ...)
{
	va_list args;

	start(result, 0, "");
	va_start(args, format);
	vsnprintf(last.message, sizeof(last.message), format, args);
	va_end(args);
	return result;
}

enum ipcu_result(ipcu_fail_call)(const char *call, int errnum, const char *format, ...)
{
	const char *why = NULL;
	va_list args;
	size_t used;

	start(IPCU_SYSTEM, errnum, call);
	ipcu_explain(&last, &why);
	va_start(args, format);
	vsnprintf(last.message, sizeof(last.message), format, args);
	va_end(args);
	used = strlen(last.message);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): it knows every number that comes here */
	why = why ? why : strerror(errnum);
	snprintf(last.message + used, sizeof(last.message) - used, ": %s%s", why,
		 *why && why[strlen(why) - 1] == ' ' ? call : "");
	return last.result;
}

void ipcu_hint(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(last.hint, sizeof(last.hint), format, args);
	va_end(args);
}

void ipcu_error_restore(const struct ipcu_error *error)
{
	last = *error;
}

enum ipcu_result ipcu_not_now(int errnum)
{
	last.result = IPCU_NOT_NOW;
	last.errnum = errnum;
	last.call[0] = '\0';
	last.hint[0] = '\0';
	strcpy(last.message, errnum == ETIMEDOUT ? "timed out"
			     : errnum == EINTR	 ? "interrupted by a signal"
						 : "not now");
	return IPCU_NOT_NOW;
}
