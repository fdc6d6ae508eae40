/* SPDX-License-Identifier: MIT
 * random.h - random bits that do not depend on one system call
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>

/*
 * Fill SIZE bytes with random bits. If neither getrandom(2) nor /dev/urandom gives any, the bits come from a hash of
 * what the kernel gave the program at its start, the time, the thread and the process. This call cannot fail, and two
 * calls give different bits.
 */
void ipcu_random(void *bytes, size_t size);

#endif
