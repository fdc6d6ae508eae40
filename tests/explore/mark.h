/* SPDX-License-Identifier: MIT
 * mark.h - stops before each atomic access to shared memory
 *
 * The explorer's second build of the commands includes this file before all others (-include), so that each atomic
 * access is preceded by a harmless call that the explorer can recognise. The sources do not change, and the normal
 * build does not include it.
 */
#ifndef MARK_H
#define MARK_H

#define EXPLORE_MARK 0x1bc0

#ifdef EXPLORE_MARKED
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((unused)) static inline void explore_mark(int line)
{
	int errnum = errno;

	syscall(SYS_getpriority, EXPLORE_MARK, line);
	errno = errnum;
}

/* A macro does not expand within itself: the inner name is the compiler's own. <stdatomic.h> is made of these. */
#define __atomic_store(...) (explore_mark(__LINE__), __atomic_store(__VA_ARGS__))
#define __atomic_store_n(...) (explore_mark(__LINE__), __atomic_store_n(__VA_ARGS__))
#define __atomic_exchange(...) (explore_mark(__LINE__), __atomic_exchange(__VA_ARGS__))
#define __atomic_exchange_n(...) (explore_mark(__LINE__), __atomic_exchange_n(__VA_ARGS__))
#define __atomic_compare_exchange(...) \
	(explore_mark(__LINE__), __atomic_compare_exchange(__VA_ARGS__))
#define __atomic_compare_exchange_n(...) \
	(explore_mark(__LINE__), __atomic_compare_exchange_n(__VA_ARGS__))
#define __atomic_fetch_add(...) (explore_mark(__LINE__), __atomic_fetch_add(__VA_ARGS__))
#define __atomic_fetch_sub(...) (explore_mark(__LINE__), __atomic_fetch_sub(__VA_ARGS__))
#define __atomic_fetch_or(...) (explore_mark(__LINE__), __atomic_fetch_or(__VA_ARGS__))
#define __atomic_fetch_and(...) (explore_mark(__LINE__), __atomic_fetch_and(__VA_ARGS__))
#define __atomic_add_fetch(...) (explore_mark(__LINE__), __atomic_add_fetch(__VA_ARGS__))
#define __atomic_sub_fetch(...) (explore_mark(__LINE__), __atomic_sub_fetch(__VA_ARGS__))
#endif

#endif
