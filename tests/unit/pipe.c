/* SPDX-License-Identifier: MIT
 * pipe.c - the pipe calls of the library, and an other end that cheats
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "identity.h"
#include "pipe.h"
#include "queue.h"
#include "tap.h"

#define SIZE 4096

static ipcu_pipe *must_open(enum ipcu_pipe_end end, uint64_t size)
{
	ipcu_pipe *pipe = NULL;

	if (ipcu_pipe_open(&pipe, "p", end, size, NULL, NULL) != IPCU_OK) {
		printf("Bail out! %s\n", ipcu_last_error()->message);
		exit(1);
	}
	return pipe;
}

/* Both ends in this process; the kernel does not mind. */
static void open_both(ipcu_pipe **writer, ipcu_pipe **reader, uint64_t size)
{
	*writer = must_open(IPCU_PIPE_WRITER, size);
	*reader = must_open(IPCU_PIPE_READER, size);
	ipcu_pipe_meet(*writer, &ipcu_no_wait);
	ipcu_pipe_meet(*reader, &ipcu_no_wait);
}

static bool exists(void)
{
	ipcu_pipe *pipe;
	const struct ipcu_open how = { .create = IPCU_CREATE_NEVER };
	enum ipcu_result result =
		ipcu_pipe_open(&pipe, "p", IPCU_PIPE_WRITER, 0, &how, &ipcu_no_wait);

	if (result == IPCU_OK)
		ipcu_pipe_close(pipe);
	return result != IPCU_NOT_FOUND;
}

static void basics(void)
{
	ipcu_pipe *writer, *reader, *other;
	char text[SIZE];
	const void *at;
	void *room;
	size_t size;

	writer = must_open(IPCU_PIPE_WRITER, SIZE);
	is_result(ipcu_pipe_reserve(writer, &room, &size, NULL), IPCU_USAGE,
		  "not before they have met");
	is_result(ipcu_pipe_meet(writer, &ipcu_no_wait), IPCU_NOT_NOW,
		  "the other one is not there");
	is_result(ipcu_pipe_open(&other, "p", IPCU_PIPE_WRITER, 0, NULL, NULL), IPCU_CONFLICT,
		  "a second writer");
	is_result(ipcu_pipe_open(&other, "p", IPCU_PIPE_READER, 2 * SIZE, NULL, NULL),
		  IPCU_CONFLICT, "another size");
	is_result(ipcu_pipe_open(&other, "q", IPCU_PIPE_READER, UINT64_C(1) << 31, NULL, NULL),
		  IPCU_USAGE, "too large");
	reader = must_open(IPCU_PIPE_READER, 1);
	is_result(ipcu_pipe_meet(writer, &ipcu_no_wait), IPCU_OK, "now it is");
	is_result(ipcu_pipe_meet(reader, &ipcu_no_wait), IPCU_OK, "and so is the first");

	is_result(ipcu_pipe_peek(reader, &at, &size, &ipcu_no_wait), IPCU_NOT_NOW, "empty");
	is_result(ipcu_pipe_reserve(reader, &room, &size, NULL), IPCU_USAGE,
		  "the reader cannot write");
	is_result(ipcu_pipe_peek(writer, &at, &size, NULL), IPCU_USAGE, "nor the writer read");
	is_result(ipcu_pipe_write(writer, "abc", 3, &size, NULL), IPCU_OK, "write");
	is_result(ipcu_pipe_peek(reader, &at, &size, NULL), IPCU_OK, "look");
	ok(size == 3 && memcmp(at, "abc", 3) == 0, "it is there");
	ipcu_pipe_consume(reader, 1);
	is_result(ipcu_pipe_read(reader, text, SIZE, &size, NULL), IPCU_OK, "read");
	ok(size == 2 && memcmp(text, "bc", 2) == 0, "the rest");

	memset(text, 'x', sizeof(text));
	is_result(ipcu_pipe_write(writer, text, SIZE, &size, &ipcu_no_wait), IPCU_OK, "fill it");
	is_result(ipcu_pipe_write(writer, text, 1, &size, &ipcu_no_wait), IPCU_NOT_NOW, "full");
	is_number(size, 0, "and it says how much went in");
	is_result(ipcu_pipe_finish(reader, NULL), IPCU_USAGE,
		  "a reader is not done before it is at the end");
	ipcu_pipe_end(writer);
	is_result(ipcu_pipe_write(writer, text, 1, &size, NULL), IPCU_USAGE,
		  "no writing after the end");
	is_result(ipcu_pipe_finish(writer, &ipcu_no_wait), IPCU_NOT_NOW,
		  "the reader has not got it all");
	for (size_t all = 0; ipcu_pipe_read(reader, text, 100, &size, NULL) == IPCU_OK && size;
	     all += size)
		if (all > SIZE)
			ok(false, "more than there was");
	is_number(size, 0, "the end");
	is_result(ipcu_pipe_finish(writer, &ipcu_no_wait), IPCU_NOT_NOW,
		  "read is not yet in safety");
	is_result(ipcu_pipe_finish(reader, NULL), IPCU_OK, "the reader is done");
	is_result(ipcu_pipe_finish(writer, NULL), IPCU_OK, "so is the writer");
	ipcu_pipe_close(reader);
	is_result(ipcu_pipe_check(writer), IPCU_OK, "gone, but it ended well");
	ipcu_pipe_close(writer);
	ok(!exists(), "and nothing is left");
	ipcu_pipe_close(NULL);
}

static void leaving(void)
{
	ipcu_pipe *writer, *reader;
	char text[8];
	size_t size;

	open_both(&writer, &reader, 0);
	ipcu_pipe_write(writer, "abc", 3, &size, NULL);
	ipcu_pipe_close(writer);
	is_result(ipcu_pipe_check(reader), IPCU_BROKEN,
		  "a writer that just leaves cuts the stream");
	is_result(ipcu_pipe_read(reader, text, sizeof(text), &size, NULL), IPCU_OK,
		  "what it wrote is there");
	is_result(ipcu_pipe_read(reader, text, sizeof(text), &size, NULL), IPCU_BROKEN,
		  "but no end");
	is_result(ipcu_pipe_finish(reader, NULL), IPCU_USAGE, "so the reader cannot finish");
	ipcu_pipe_close(reader);

	open_both(&writer, &reader, 0);
	ipcu_pipe_close(reader);
	is_result(ipcu_pipe_finish(writer, NULL), IPCU_BROKEN,
		  "a reader that just leaves does too");
	ipcu_pipe_close(writer);

	open_both(&writer, &reader, 0);
	is_result(ipcu_remove("p", IPCU_KIND_PIPE, IPCU_REMOVE_FORCE), IPCU_OK,
		  "removed under them");
	is_result(ipcu_pipe_read(reader, text, sizeof(text), &size, NULL), IPCU_NOT_FOUND,
		  "the reader is told");
	is_result(ipcu_pipe_check(writer), IPCU_NOT_FOUND, "and the writer");
	ipcu_pipe_close(writer);
	ipcu_pipe_close(reader);
	ok(!exists(), "and nothing is left");
}

/* A child that dies at the other end while this one sleeps; how long until it is noticed. */
static void death(enum ipcu_pipe_end end, const char *what)
{
	ipcu_pipe *pipe;
	struct timespec start, now;
	pid_t child;
	size_t size;
	enum ipcu_result result = IPCU_OK;
	char text[SIZE] = "";
	long milliseconds;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		pipe = must_open((enum ipcu_pipe_end)(1 - (int)end), SIZE);
		pause();
		_exit(0);
	}
	pipe = must_open(end, SIZE);
	ipcu_pipe_meet(pipe, NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);
	kill(child, SIGKILL);
	while (result == IPCU_OK)
		result = end == IPCU_PIPE_WRITER
				 ? ipcu_pipe_write(pipe, text, sizeof(text), &size, NULL)
				 : ipcu_pipe_read(pipe, text, sizeof(text), &size, NULL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	milliseconds = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
	is_result(result, IPCU_BROKEN, what);
	ok(milliseconds < 1000, "within a second (%ld ms)", milliseconds);
	waitpid(child, NULL, 0);
	ipcu_pipe_close(pipe);
	ok(!exists(), "and nothing is left");
}

/* Whether AT and SIZE are within the ring; every byte of it is touched. */
static bool inside(const ipcu_pipe *pipe, const void *at, size_t size, bool write)
{
	const unsigned char *first = at, *ring = (const unsigned char *)pipe->head + IPCU_PIPE_HEAD;
	static volatile unsigned char seen; /* so that the compiler reads them all */

	if (first < ring || size == 0 || size > SIZE || (size_t)(first - ring) > SIZE - size)
		return false;
	if (write)
		memset((void *)first, 0x5a, size);
	for (size_t i = 0; i < size; i++)
		seen = first[i];
	(void)seen;
	return true;
}

/* Nonsense of all kinds into all the words, with each way of using them in between. */
static void hostile(long count)
{
	long outside = 0, wrong = 0, wrote[9] = { 0 }, read[9] = { 0 };
	ipcu_pipe *writer, *reader;
	unsigned seed = 1;

	open_both(&writer, &reader, SIZE);
	for (long i = 0; i < count; i++) {
		unsigned char *head = (unsigned char *)writer->head;
		enum ipcu_result result;
		const void *at;
		void *room;
		size_t size;

		switch (rand_r(&seed) % 4) {
		case 0:
			head[(size_t)rand_r(&seed) % sizeof(struct ipcu_pipe_head)] ^=
				(unsigned char)(1 << rand_r(&seed) % 8);
			break;
		case 1:
			atomic_store(&writer->head->rings[0].taken,
				     (uint64_t)rand_r(&seed) << (rand_r(&seed) % 34));
			break;
		case 2:
			atomic_store(&writer->head->rings[0].written,
				     2 * writer->written + (uint64_t)rand_r(&seed) % (4 * SIZE) -
					     SIZE);
			break;
		default:
			/* Agreed again, or there would be nothing but nonsense from now on. */
			reader->taken = writer->written;
			atomic_store(&writer->head->rings[0].taken, 2 * reader->taken);
			atomic_store(&writer->head->rings[0].written, 2 * writer->written);
		}
		result = ipcu_pipe_reserve(writer, &room, &size, &ipcu_no_wait);
		wrote[result]++;
		if (result == IPCU_OK) {
			outside += !inside(writer, room, size, true);
			ipcu_pipe_commit(writer, 1 + (size_t)rand_r(&seed) % size);
		}
		result = ipcu_pipe_peek(reader, &at, &size, &ipcu_no_wait);
		read[result]++;
		if (result == IPCU_OK && size) {
			outside += !inside(reader, at, size, false);
			ipcu_pipe_consume(reader, 1 + (size_t)rand_r(&seed) % size);
		}
		reader->at_end = false; /* otherwise it stays there */
	}
	for (int i = 0; i < 9; i++)
		if (i != IPCU_OK && i != IPCU_NOT_NOW && i != IPCU_BROKEN)
			wrong += wrote[i] + read[i];
	is_number(outside, 0, "a head of nonsense leads nowhere outside the ring");
	is_number(wrong, 0, "and to no other results than done, not now and broken");
	/* Nonsense is about every second time more than there can be. */
	ok(wrote[IPCU_OK] > count / 100 && wrote[IPCU_BROKEN] > count / 100,
	   "the writer sees through it (%ld of %ld)", wrote[IPCU_BROKEN], count);
	ok(read[IPCU_OK] > count / 100 && read[IPCU_BROKEN] > count / 100, "and the reader (%ld)",
	   read[IPCU_BROKEN]);
	ipcu_pipe_close(writer);
	ipcu_pipe_close(reader);
}

static void both_ways(void)
{
	ipcu_pipe *a = must_open(IPCU_PIPE_CONNECT, 0), *b, *third;
	char text[8];
	size_t size;

	b = must_open(IPCU_PIPE_CONNECT, 0);
	is_result(ipcu_pipe_open(&third, "p", IPCU_PIPE_CONNECT, 0, NULL, NULL), IPCU_CONFLICT,
		  "there are two ends");
	is_result(ipcu_pipe_open(&third, "p", IPCU_PIPE_READER, 0, NULL, NULL), IPCU_CONFLICT,
		  "and no reading one");
	ipcu_pipe_meet(a, NULL);
	ipcu_pipe_meet(b, NULL);
	ipcu_pipe_write(a, "from a", 6, &size, NULL);
	ipcu_pipe_write(b, "from b", 6, &size, NULL);
	ipcu_pipe_end(a);
	ipcu_pipe_read(a, text, sizeof(text), &size, NULL);
	ok(size == 6 && memcmp(text, "from b", 6) == 0, "one direction");
	ipcu_pipe_read(b, text, sizeof(text), &size, NULL);
	ok(size == 6 && memcmp(text, "from a", 6) == 0, "the other one");
	is_result(ipcu_pipe_finish(a, &ipcu_no_wait), IPCU_USAGE,
		  "finished is who has read to the end");
	is_result(ipcu_pipe_read(b, text, sizeof(text), &size, NULL), IPCU_OK, "an end");
	is_number(size, 0, "of this direction");
	is_result(ipcu_pipe_finish(b, &ipcu_no_wait), IPCU_NOT_NOW, "ends the other, too");
	is_result(ipcu_pipe_read(a, text, sizeof(text), &size, NULL), IPCU_OK, "which is read");
	is_result(ipcu_pipe_finish(a, &ipcu_no_wait), IPCU_OK, "both know: one");
	is_result(ipcu_pipe_finish(b, &ipcu_no_wait), IPCU_OK, "and the other");
	ipcu_pipe_close(a);
	ipcu_pipe_close(b);
	ok(!exists(), "and nothing is left");
}

/* The semaphores of pipe-ends.c: 0 and 1 say who is present, 2 and 3 who has joined, 4 who closes. */
static void left_behind(void)
{
	const struct ipcu_object object = { .ops = &ipcu_pipe_ops,
					    .owner = geteuid(),
					    .name = "left" };
	const struct ipcu_object other = { .ops = &ipcu_pipe_ops,
					   .owner = geteuid(),
					   .name = "right" };
	const uint64_t definition[4] = { 4096, 1 };
	union semun one = { .val = 1 }, zero = { .val = 0 };
	int set;

	is_result(ipcu_pipe_set_make(&object, 0x4c454654, 0600, definition), IPCU_OK,
		  "the set of a pipe is created");
	set = semget(0x4c454654, 0, 0);
	ok(ipcu_identity_is(set, IPCU_KIND_PIPE, geteuid(), "left"), "and carries its identity");
	ok(!ipcu_identity_is(set, IPCU_KIND_PIPE, geteuid(), "right"), "of no other name");
	is_result(ipcu_pipe_set_make(&object, 0x4c454654, 0600, definition), IPCU_OK,
		  "a set of the same name that is left takes its place");
	set = semget(0x4c454654, 0, 0);
	is_result(ipcu_pipe_set_make(&other, 0x4c454654, 0600, definition), IPCU_CONFLICT,
		  "the set of a different name on the key is refused");
	ok(!ipcu_pipe_is_left(set), "a new pipe is not left");
	semctl(set, 2, SETVAL, one);
	semctl(set, 3, SETVAL, one);
	ok(ipcu_pipe_is_left(set), "one whose ends have left without removing it is");
	semctl(set, 1, SETVAL, one);
	ok(!ipcu_pipe_is_left(set), "one that still has an end is not");
	semctl(set, 1, SETVAL, zero);
	semctl(set, 4, SETVAL, one);
	ok(!ipcu_pipe_is_left(set), "nor one that the last of them is just removing");
	semctl(set, 0, IPC_RMID);
}

int main(void)
{
	deadline_for_all(60);
	basics();
	left_behind();
	leaving();
	both_ways();
	death(IPCU_PIPE_READER, "a sleeping reader notices that the writer was killed");
	death(IPCU_PIPE_WRITER, "a sleeping writer notices that the reader was killed");
	hostile(rounds("ROUNDS", 300000));
	return done();
}
