/* SPDX-License-Identifier: MIT
 * futex.c - sleeping on a word of shared memory
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_futex
#include <linux/futex.h>
#endif

#include "futex.h"

/* TIME_T of the libc decides which call takes its timespec. */
int ipcu_futex_wait(void *word, uint32_t seen, const struct timespec *until)
{
#if defined(SYS_futex)
	long number = SYS_futex;
#if defined(SYS_futex_time64)
	if (sizeof(until->tv_sec) > sizeof(long))
		number = SYS_futex_time64;
#endif
	return syscall(number, word, FUTEX_WAIT_BITSET, seen, until, NULL, FUTEX_BITSET_MATCH_ANY) <
			       0
		       ? errno
		       : 0;
#else
	struct timespec slice = { 0, 50000000 };

	(void)word, (void)seen, (void)until;
	return nanosleep(&slice, NULL) < 0 ? errno : 0;
#endif
}

void ipcu_futex_wake(void *word)
{
#ifdef SYS_futex
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
#else
	(void)word;
#endif
}
