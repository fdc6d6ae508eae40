/* SPDX-License-Identifier: MIT
 * no-undo.c - a library for LD_PRELOAD that plays a kernel which accepts SEM_UNDO and ignores it
 *
 * With NO_UNDO=refuse such a kernel refuses it instead.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <time.h>

#define OPS_MAX 500

/* COPY gets OPS without SEM_UNDO; false if they are refused. */
static bool strip(const struct sembuf *ops, size_t count, struct sembuf *copy)
{
	const char *how = getenv("NO_UNDO");
	bool refuse = how && strcmp(how, "refuse") == 0;

	for (size_t i = 0; i < count && i < OPS_MAX; i++) {
		copy[i] = ops[i];
		if (refuse && ops[i].sem_flg & SEM_UNDO) {
			errno = EOPNOTSUPP;
			return false;
		}
		copy[i].sem_flg &= (short)~SEM_UNDO;
	}
	return true;
}

int semop(int id, struct sembuf *ops, size_t count)
{
	int (*real)(int, struct sembuf *, size_t) =
		(int (*)(int, struct sembuf *, size_t))dlsym(RTLD_NEXT, "semop");
	struct sembuf copy[OPS_MAX];

	return strip(ops, count, copy) ? real(id, copy, count) : -1;
}

int semtimedop(int id, struct sembuf *ops, size_t count, const struct timespec *limit)
{
	int (*real)(int, struct sembuf *, size_t, const struct timespec *) =
		(int (*)(int, struct sembuf *, size_t, const struct timespec *))dlsym(RTLD_NEXT,
										      "semtimedop");
	struct sembuf copy[OPS_MAX];

	return strip(ops, count, copy) ? real(id, copy, count, limit) : -1;
}
