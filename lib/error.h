/* SPDX-License-Identifier: MIT
 * error.h - how the library fails: one call that records and returns
 */
#ifndef ERROR_H
#define ERROR_H

#include "ipcutils.h"

#define IPCU_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Record "message" and return RESULT; no system call is to blame. */
enum ipcu_result ipcu_fail(enum ipcu_result result, const char *format, ...) IPCU_PRINTF(2, 3);

/* Record "message: strerror", with the result and the hint that CALL's ERRNUM deserves (hints.c). */
enum ipcu_result ipcu_fail_call(const char *call, int errnum, const char *format, ...)
	IPCU_PRINTF(3, 4);

/*
 * What failed is never IPCU_OK. Compilers and analyzers cannot see that from outside, and would look at
 * what follows a failure as if there had been none.
 */
static inline enum ipcu_result ipcu_failed(enum ipcu_result result)
{
	return result == IPCU_OK ? IPCU_SYSTEM : result;
}
#define ipcu_fail(...) ipcu_failed(ipcu_fail(__VA_ARGS__))
#define ipcu_fail_call(...) ipcu_failed(ipcu_fail_call(__VA_ARGS__))

/* Replace the hint of the error just recorded. */
void ipcu_hint(const char *format, ...) IPCU_PRINTF(1, 2);

/* IPCU_NOT_NOW without formatting anything: the cheap answer of polling calls. */
enum ipcu_result ipcu_not_now(int errnum);

/* Make ERROR the last one again, after calls that may have failed for themselves. */
void ipcu_error_restore(const struct ipcu_error *error);

/* hints.c: what ERRNUM of CALL means. Fills result, may fill why and hint. If why ends with a blank, the call follows. */
void ipcu_explain(struct ipcu_error *error, const char **why);

#endif
