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

#include "deadline.h"
#include "futex.h"

#define SLICE_NANOSECONDS 50000000

/* Sleep for a moment, at the longest until UNTIL: for a kernel without the call, or a sandbox that refuses it. */
static int sleep_a_slice(const struct timespec *until)
{
	struct timespec left = ipcu_deadline_left(until);

	if (left.tv_sec > 0 || left.tv_nsec > SLICE_NANOSECONDS)
		left = (struct timespec){ 0, SLICE_NANOSECONDS };
	return nanosleep(&left, NULL) < 0 ? errno : 0;
}

#ifdef SYS_futex
/* The time_t of the libc decides which call takes its timespec. */
static int wait_on(void *word, uint32_t seen, const struct timespec *until)
{
	long number = SYS_futex;

#if defined(SYS_futex_time64)
	if (sizeof(until->tv_sec) > sizeof(long))
		number = SYS_futex_time64;
#endif
	if (syscall(number, word, FUTEX_WAIT_BITSET, seen, until, NULL, FUTEX_BITSET_MATCH_ANY) ==
	    0)
		return 0;
	return errno;
}
#endif

int ipcu_futex_wait(void *word, uint32_t seen, const struct timespec *until)
{
#ifdef SYS_futex
	int errnum = wait_on(word, seen, until);

	if (errnum == 0 || errnum == EAGAIN || errnum == ETIMEDOUT || errnum == EINTR)
		return errnum;
#else
	(void)word, (void)seen;
#endif
	return sleep_a_slice(until);
}

void ipcu_futex_wake(void *word)
{
#ifdef SYS_futex
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
#else
	(void)word;
#endif
}
