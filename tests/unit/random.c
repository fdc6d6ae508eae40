/* SPDX-License-Identifier: MIT
 * random.c - random bits where getrandom(2) or /dev/urandom fails
 *
 * The library that is linked into this program calls the getrandom() and open() below.
 */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "random.h"
#include "tap.h"

#define DRAWS 200

static int refused_errno; /* 0: getrandom() works */
static size_t short_by;
static bool device_refused;

ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
	ssize_t (*real)(void *, size_t, unsigned) =
		(ssize_t(*)(void *, size_t, unsigned))dlsym(RTLD_NEXT, "getrandom");

	if (refused_errno) {
		errno = refused_errno;
		return -1;
	}
	return real(bytes, size > short_by ? size - short_by : 1, flags);
}

int open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...) =
		(int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	va_list args;
	int mode;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	if (device_refused && strcmp(path, "/dev/urandom") == 0) {
		errno = ENOENT;
		return -1;
	}
	return real(path, flags, mode);
}

/* Each byte of 20 takes many values, and no two draws are the same. */
static bool is_random(void)
{
	unsigned char draws[DRAWS][20], seen[256];

	for (int i = 0; i < DRAWS; i++)
		ipcu_random(draws[i], sizeof(draws[i]));
	for (int i = 0; i < DRAWS; i++)
		for (int j = 0; j < i; j++)
			if (memcmp(draws[i], draws[j], sizeof(draws[i])) == 0)
				return false;
	for (size_t byte = 0; byte < sizeof(draws[0]); byte++) {
		int values = 0;

		memset(seen, 0, sizeof(seen));
		for (int i = 0; i < DRAWS; i++)
			values += !seen[draws[i][byte]]++;
		if (values < DRAWS / 4)
			return false;
	}
	return true;
}

static void sends_big(const char *what)
{
	static const char body[100000];
	struct ipcu_message message = { 0 };
	ipcu_queue *queue;

	if (!is_result(ipcu_queue_open(&queue, "unit-random", NULL), IPCU_OK, "opens a queue"))
		return;
	is_result(ipcu_queue_send(queue, 1, body, sizeof(body), NULL), IPCU_OK, what);
	if (ipcu_queue_receive(queue, &message, NULL, &(struct timespec){ 0, 0 }) == IPCU_OK)
		is_number((long long)message.size, sizeof(body), "... which arrives");
	ipcu_message_clear(&message);
	ipcu_queue_close(queue);
	ipcu_remove("unit-random", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
}

int main(void)
{
	static const int errors[] = { ENOSYS, EPERM, EAGAIN, EINTR };

	deadline_for_all(60);
	ok(is_random(), "the kernel's bits are random");
	short_by = 7;
	ok(is_random(), "a short answer of getrandom() is completed");
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		refused_errno = errors[i];
		device_refused = false;
		ok(is_random(), "random where getrandom() fails: %s", strerror(errors[i]));
		device_refused = true;
		ok(is_random(), "... and where /dev/urandom does not exist either");
		sends_big("sends a big message there");
	}
	return done();
}
