/* SPDX-License-Identifier: MIT
 * futex.h - sleeping on a word of shared memory
 */
#ifndef FUTEX_H
#define FUTEX_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/*
 * Sleep while the word at WORD is SEEN, at the longest until the CLOCK_MONOTONIC time UNTIL. Return 0 or an errno: EAGAIN (the
 * word was different), ETIMEDOUT or EINTR. Return does not mean that the word has changed. Without the system call, sleep
 * 50 ms at a time.
 */
int ipcu_futex_wait(void *word, uint32_t seen, const struct timespec *until);

/* Wake all who sleep on it, in whatever process. */
void ipcu_futex_wake(void *word);

#endif
