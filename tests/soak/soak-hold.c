/* SPDX-License-Identifier: MIT
 * soak-hold.c - what runs under a lock, and looks whether it is alone
 *
 * A file has a place for each process inside. Who was killed has left its number there, and does not count
 * any more once the kernel has begun to end it, which is before it gives units back.
 */
#include <config.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "process.h"
#include "soak.h"

#define PLACES 64
#define EXCLUSIVE UINT64_C(1) << 63

struct places {
	_Atomic uint64_t inside[PLACES]; /* process, when it came, how */
};

static bool is_gone(uint64_t word)
{
	return word == 0 ||
	       ipcu_process_ended((pid_t)(word & 0x3fffff), (word & ~(EXCLUSIVE)) >> 22);
}

int soak_hold(const char *file, bool exclusive, long milliseconds)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), mine = -1, status = 0;
	uint64_t self =
		(ipcu_process_clock() << 22 | (uint64_t)getpid()) | (exclusive ? EXCLUSIVE : 0);
	struct timespec pause = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	struct places *places;

	if (fd < 0)
		return 8;
	if (ftruncate(fd, sizeof(*places)) < 0) {
		close(fd);
		return 8;
	}
	places = mmap(NULL, sizeof(*places), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (places == MAP_FAILED)
		return 8;
	for (int i = 0; i < PLACES && mine < 0; i++) {
		uint64_t word = atomic_load(&places->inside[i]);

		if (is_gone(word) &&
		    atomic_compare_exchange_strong(&places->inside[i], &word, self))
			mine = i;
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < PLACES; i++) {
			uint64_t word = atomic_load(&places->inside[i]);

			if (i != mine && (exclusive || word & (EXCLUSIVE)) && !is_gone(word))
				status = 9;
		}
		if (round == 0)
			nanosleep(&pause, NULL);
	}
	if (mine >= 0)
		atomic_store(&places->inside[mine], 0);
	return mine < 0 ? 8 : status;
}
