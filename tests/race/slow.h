/* SPDX-License-Identifier: MIT
 * slow.h - pauses before and behind semaphore calls, so that whatever can come between two of them does
 *
 * A test that includes this has semop() and semtimedop() of its own, which the library that is linked into it
 * calls too. Without them what is between two steps takes a microsecond, and a protocol that is
 * wrong there would look right for hours.
 */
#ifndef SLOW_H
#define SLOW_H

#ifdef __LP64__ /* elsewhere the calls have other names where time has 64 bits */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

/* Now and then up to 60 microseconds, seldom a millisecond or two. */
static void slow_pause(void)
{
	static _Thread_local uint64_t state;
	struct timespec pause = { 0, 0 };
	int errnum = errno;

	if (!state) {
		/* Otherwise the kernel adds 50 microseconds to each. */
		prctl(PR_SET_TIMERSLACK, 1);
		clock_gettime(CLOCK_MONOTONIC, &pause);
		state = (uint64_t)pause.tv_nsec << 20 ^ (uint64_t)getpid() ^ (uintptr_t)&state;
		pause = (struct timespec){ 0, 0 };
	}
	state ^= state << 13, state ^= state >> 7, state ^= state << 17;
	if (state % 16 == 0)
		pause.tv_nsec = (long)(state >> 32) % 60000;
	else if (state % 509 == 0)
		pause.tv_nsec = (long)(state >> 32) % 2000000;
	if (pause.tv_nsec)
		nanosleep(&pause, NULL);
	errno = errnum;
}

int semtimedop(int id, struct sembuf *ops, size_t count, const struct timespec *timeout)
{
	static int (*_Atomic real)(int, struct sembuf *, size_t, const struct timespec *);
	int result;

	if (!real)
		real = (int (*)(int, struct sembuf *, size_t,
				const struct timespec *))dlsym(RTLD_NEXT, "semtimedop");
	slow_pause();
	result = real(id, ops, count, timeout);
	slow_pause();
	return result;
}

int semop(int id, struct sembuf *ops, size_t count)
{
	return semtimedop(id, ops, count, NULL);
}

#ifdef SLOW_SEGMENTS
/* The same for what a load and its return do with segments. */
void *shmat(int id, const void *address, int flags)
{
	static void *(*_Atomic real)(int, const void *, int);
	void *result;

	if (!real)
		real = (void *(*)(int, const void *, int))dlsym(RTLD_NEXT, "shmat");
	slow_pause();
	result = real(id, address, flags);
	slow_pause();
	return result;
}

int shmctl(int id, int command, struct shmid_ds *state)
{
	static int (*_Atomic real)(int, int, struct shmid_ds *);
	int result;

	if (!real)
		real = (int (*)(int, int, struct shmid_ds *))dlsym(RTLD_NEXT, "shmctl");
	slow_pause();
	result = real(id, command, state);
	slow_pause();
	return result;
}
#endif
#endif

#endif
