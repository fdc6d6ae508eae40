/* SPDX-License-Identifier: MIT
 * pipe.c - a pipe whose ends are killed at random moments: the reader never takes a cut stream for a whole one
 *
 * Each round a writer and a reader pass a stream whose bytes are known, in writes and reads of random length, and either may
 * be killed at a random moment. A stream that the reader took for whole is all there; bytes that came are the right ones; a
 * writer that ended well had a reader that got all; a survivor ends in time. The next round uses the same name.
 */
#include <config.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "tap.h"

#define SIZE 8192
#define MOST 200000

struct shared {
	_Atomic uint64_t got;
	_Atomic bool whole;
	_Atomic bool met[2];
};
static struct shared *shared;

static unsigned char byte_at(uint64_t position)
{
	return (unsigned char)(position * 2654435761u >> 7);
}

static enum ipcu_result give(ipcu_pipe *pipe, uint64_t length, unsigned *seed)
{
	uint64_t written = 0;

	while (written < length) {
		size_t size, part = 1 + (size_t)rand_r(seed) % SIZE;
		unsigned char *at;
		void *room;
		enum ipcu_result result = ipcu_pipe_reserve(pipe, &room, &size, NULL);

		if (result != IPCU_OK)
			return result;
		if (part > size)
			part = size;
		if (part > length - written)
			part = (size_t)(length - written);
		at = room;
		for (size_t i = 0; i < part; i++)
			at[i] = byte_at(written + i);
		ipcu_pipe_commit(pipe, part);
		written += part;
	}
	return ipcu_pipe_finish(pipe, NULL);
}

static enum ipcu_result take(ipcu_pipe *pipe, unsigned *seed)
{
	for (;;) {
		uint64_t got = shared->got;
		const unsigned char *bytes;
		const void *at;
		size_t size, part = 1 + (size_t)rand_r(seed) % SIZE;
		enum ipcu_result result = ipcu_pipe_peek(pipe, &at, &size, NULL);

		if (result != IPCU_OK)
			return result;
		if (size == 0)
			break;
		bytes = at;
		if (part > size)
			part = size;
		for (size_t i = 0; i < part; i++)
			if (bytes[i] != byte_at(got + i))
				_exit(99);
		ipcu_pipe_consume(pipe, part);
		shared->got = got + part;
	}
	shared->whole = true;
	return ipcu_pipe_finish(pipe, NULL);
}

static pid_t start(enum ipcu_pipe_end end, uint64_t length, unsigned seed)
{
	ipcu_pipe *pipe;
	enum ipcu_result result;
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(20);
	result = ipcu_pipe_open(&pipe, "p", end, SIZE, NULL, NULL);
	if (result == IPCU_OK) {
		result = ipcu_pipe_meet(pipe, NULL);
		shared->met[end] = result == IPCU_OK;
		if (result == IPCU_OK)
			result = end == IPCU_PIPE_WRITER ? give(pipe, length, &seed)
							 : take(pipe, &seed);
		ipcu_pipe_close(pipe);
	}
	_exit(result);
}

struct counts {
	long wrong, whole, cut, writers_killed, readers_killed, late;
};

/* What became of a round; WRITER and READER are wait statuses, 0 LENGTH bytes were sent. */
static void judge(struct counts *counts, int writer, int reader, uint64_t length)
{
	bool writer_killed = WIFSIGNALED(writer) && WTERMSIG(writer) == SIGKILL;
	bool reader_killed = WIFSIGNALED(reader) && WTERMSIG(reader) == SIGKILL;
	bool whole = shared->whole;

	counts->writers_killed += writer_killed;
	counts->readers_killed += reader_killed;
	counts->late += WIFSIGNALED(writer) && !writer_killed;
	counts->late += WIFSIGNALED(reader) && !reader_killed;
	/* Whole is whole. */
	counts->wrong += whole && shared->got != length;
	counts->wrong += shared->got > length;
	counts->wrong += WIFEXITED(reader) && WEXITSTATUS(reader) == 99;
	/* The writer's word is good: the reader had it all. */
	counts->wrong += writer == 0 && !whole;
	/* Without kills all ends well. */
	counts->wrong += !writer_killed && !reader_killed && (writer != 0 || reader != 0);
	/* A survivor of a cut stream knows. */
	counts->wrong += WIFEXITED(reader) && !whole && WEXITSTATUS(reader) != IPCU_BROKEN;
	counts->wrong += WIFEXITED(writer) && !whole && WEXITSTATUS(writer) != IPCU_BROKEN;
	counts->whole += whole;
	counts->cut += !whole;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

/* The other end was killed. If it had not come before, nobody will, and the survivor is killed too. */
static int survivor(pid_t pid, enum ipcu_pipe_end end)
{
	struct timespec pause = { 0, 1000000 };
	int status;

	for (int look = 0; waitpid(pid, &status, WNOHANG) == 0; look++) {
		nanosleep(&pause, NULL);
		if (look >= 50 && !shared->met[end])
			kill(pid, SIGKILL);
	}
	return status;
}

static void storm(long count)
{
	struct counts counts = { 0 };
	unsigned seed = 7;
	long typical = 1000000; /* nanoseconds that a round without kills takes here */
	struct ipcu_open never = { .create = IPCU_CREATE_NEVER };
	ipcu_pipe *pipe;

	for (long i = 0; i < count; i++) {
		uint64_t length = (uint64_t)rand_r(&seed) % MOST;
		struct timespec moment = { 0, rand_r(&seed) % (2 * typical) };
		struct timespec begun, ended;
		pid_t writer, reader;
		int writer_status, reader_status, victim = rand_r(&seed) % 4;

		shared->got = 0;
		shared->whole = shared->met[0] = shared->met[1] = false;
		clock_gettime(CLOCK_MONOTONIC, &begun);
		writer = start(IPCU_PIPE_WRITER, length, (unsigned)rand_r(&seed));
		reader = start(IPCU_PIPE_READER, 0, (unsigned)rand_r(&seed));
		if (victim)
			nanosleep(&moment, NULL);
		/* Who is killed before the other one came leaves that one waiting, so then both are. */
		if (victim & 1)
			kill(writer, SIGKILL);
		if (victim & 2)
			kill(reader, SIGKILL);
		if (victim == 1) {
			writer_status = wait_for(writer);
			reader_status = survivor(reader, IPCU_PIPE_READER);
		} else {
			writer_status =
				victim == 2 ? survivor(writer, IPCU_PIPE_WRITER) : wait_for(writer);
			reader_status = wait_for(reader);
		}
		clock_gettime(CLOCK_MONOTONIC, &ended);
		if (victim == 0)
			typical = (3 * typical + (ended.tv_sec - begun.tv_sec) * 1000000000L +
				   ended.tv_nsec - begun.tv_nsec) /
				  4;
		if (typical > 400000000)
			typical = 400000000;
		judge(&counts, writer_status, reader_status, length);
	}
	printf("# %ld rounds: %ld whole, %ld cut; %ld writers and %ld readers killed\n", count,
	       counts.whole, counts.cut, counts.writers_killed, counts.readers_killed);
	is_number(counts.wrong, 0, "whole is whole, cut is known, bytes are right");
	is_number(counts.late, 0, "nobody waits for who is gone");
	ok(counts.whole > count / 10 && counts.cut > count / 10, "streams of both kinds were seen");
	ipcu_remove("p", IPCU_KIND_PIPE, IPCU_REMOVE_FORCE);
	is_result(ipcu_pipe_open(&pipe, "p", IPCU_PIPE_READER, 0, &never, NULL), IPCU_NOT_FOUND,
		  "nothing is left");
}

/* After a session whose ends were both killed, two come at once: one clears, and both find each other. */
static void come_at_once(long count)
{
	long met = 0;

	for (long i = 0; i < count; i++) {
		enum ipcu_pipe_end end;
		pid_t child = fork();
		int status[2];

		if (child == 0) {
			ipcu_pipe *pipe;

			for (end = IPCU_PIPE_WRITER; end <= IPCU_PIPE_READER; end++)
				if (ipcu_pipe_open(&pipe, "p", end, SIZE, NULL, NULL) != IPCU_OK)
					_exit(1);
			_exit(0);
		}
		wait_for(child);
		for (end = IPCU_PIPE_WRITER; end <= IPCU_PIPE_READER; end++) {
			struct timespec deadline = ipcu_deadline_in(3000000000);
			ipcu_pipe *pipe;

			if (fork())
				continue;
			if (ipcu_pipe_open(&pipe, "p", end, SIZE, NULL, &deadline) != IPCU_OK ||
			    ipcu_pipe_meet(pipe, &deadline) != IPCU_OK)
				_exit(1);
			ipcu_pipe_close(pipe);
			_exit(0);
		}
		met += wait(&status[0]) > 0 && wait(&status[1]) > 0 && status[0] == 0 &&
		       status[1] == 0;
	}
	is_number(met, count, "who come at once after a session find each other");
}

int main(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 1;
	come_at_once(rounds("ROUNDS", 1000));
	storm(rounds("ROUNDS", 200));
	return done();
}
