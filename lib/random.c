/* SPDX-License-Identifier: MIT
 * random.c - random bits that do not depend on one system call
 *
 * getrandom(2) fails with ENOSYS on kernels before 3.17 and with EPERM under some seccomp filters, and it would wait
 * early at boot. The keys and nonces that are made from these bits must be available there too.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "name.h"
#include "random.h"

#ifndef GRND_NONBLOCK
#define GRND_NONBLOCK 1
#endif
#define KERNEL_BYTES 16 /* at AT_RANDOM */

static size_t from_kernel(char *bytes, size_t size)
{
	ssize_t got = getrandom(bytes, size, GRND_NONBLOCK);

	return got > 0 ? (size_t)got : 0;
}

static size_t from_device(char *bytes, size_t size)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t got = 0;

	if (fd < 0)
		return 0;
	do
		got = read(fd, bytes, size);
	while (got < 0 && errno == EINTR);
	close(fd);
	return got > 0 ? (size_t)got : 0;
}

/* The clock has advanced at each call, so no two words are the same. */
static uint64_t hashed(const void *place, size_t left)
{
	struct {
		struct timespec time;
		uintptr_t place;
		size_t left;
		long process, thread;
	} seed;
	const void *start = (const void *)(uintptr_t)getauxval(AT_RANDOM);
	uint64_t hash = IPCU_HASH_START;

	memset(&seed, 0, sizeof(seed));
	clock_gettime(CLOCK_MONOTONIC, &seed.time);
	seed.place = (uintptr_t)place;
	seed.left = left;
	seed.process = (long)getpid();
	seed.thread = syscall(SYS_gettid);
	if (start)
		hash = ipcu_hash(start, KERNEL_BYTES, hash);
	hash = ipcu_hash(&seed, sizeof(seed), hash);
	/* The last bytes of the input have changed only the lower bits so far. */
	return ipcu_hash(&hash, sizeof(hash), hash);
}

void ipcu_random(void *bytes, size_t size)
{
	char *at = bytes;
	size_t done = from_kernel(at, size);

	if (done < size)
		done += from_device(at + done, size - done);
	while (done < size) {
		uint64_t word = hashed(at + done, size - done);
		size_t part = size - done < sizeof(word) ? size - done : sizeof(word);

		memcpy(at + done, &word, part);
		done += part;
	}
}
