/* SPDX-License-Identifier: MIT
 * bench.h - the parts of make bench
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MESSAGES 1000000
#define ROUNDS_MAX 64

/* One side of a comparison: seconds (or rates) of all rounds. */
struct samples {
	double values[ROUNDS_MAX];
	size_t count;
};

double now(void); /* seconds, CLOCK_MONOTONIC */
double median(struct samples *samples);
void add(struct samples *samples, double value);
void die(const char *what) __attribute__((noreturn));

/* Start FILE with ARGV on processor CPU (-1: any), stdin from INPUT (NULL: /dev/null), stdout to /dev/null. */
pid_t start(const char *file, const char *const argv[], int cpu, const char *input);
/* Start FUNCTION(ARGUMENT) in a child in the same way. */
pid_t start_function(void (*function)(void *), void *argument, int cpu, const char *input);
void finish(pid_t pid, bool may_be_killed);

/* Seconds from the start to the exit of ARGV[0]. */
double once(const char *const argv[]);

/* A row of the table: RATIO with its target, at most (at_most) or at least; target 0: none. */
void row(const char *work, const char *against, double ratio, bool at_most, double target);

/* stream.c: messages a second of a million numbered lines. */
double stream_commands(const char *send, const char *receive, const char *input);
double stream_bare(const char *input);
double stream_redis(const char *input, const char *socket_path);
double stream_python(const char *input, long messages);

/* barrier.c: the row for so many parties (at most 256). */
void barrier_row(unsigned parties, size_t rounds, double target);

/* shm.c: additions, waking up, bytes in and out. */
void shm_rows(const char *bindir, size_t rounds);

/* pipe.c: a stream, and eight bytes there and back. */
void pipe_rows(const char *bindir, size_t rounds);

/* sem.c: a command under a lock, taking and giving, handing over. */
void sem_rows(const char *bindir, const char *staticdir, const char *directory, size_t rounds);

/* event.c: the row for so many waiters (at most 1000). */
void event_row(int waiters, size_t rounds);

#endif
