/* SPDX-License-Identifier: MIT
 * cli-wait.h - reporting what a command is waiting for
 */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include <pthread.h>

#include "cli-start.h"

/*
 * Write to TEXT what HANDLE's wait needs and which processes are in the way: "for 1 unit: process 7 ...". A second
 * thread calls it while the first one waits. Return false if there is nothing to report.
 */
typedef bool cli_wait_fn(void *handle, char *text, size_t capacity);

struct cli_wait {
	const struct cli_options *options;
	const char *name;
	cli_wait_fn *describe;
	void *handle;
	_Atomic int64_t since; /* CLOCK_MONOTONIC in nanoseconds, 0: no wait is under way */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool prepared, started, over;
};

/*
 * A wait of this process begins. If it lasts longer than a second, one line on standard error reports what DESCRIBE says
 * of it: on a terminal, and always with -v. The wait itself is not interrupted, so that the process keeps its place in
 * the wait queue. WAIT is all zero before the first wait; a command that waits again and again reports once.
 */
void cli_wait_begin(struct cli_wait *wait, const struct cli_options *options, const char *name,
		    cli_wait_fn *describe, void *handle);

/* The wait is over, and a different one may begin. Nothing of this one is reported after the call. */
void cli_wait_pause(struct cli_wait *wait);

/* No further wait begins. */
void cli_wait_end(struct cli_wait *wait);

/* Append "process PID (COMMAND)", and whether it is stopped or an ancestor of this process, to TEXT. */
void cli_wait_process(char *text, size_t capacity, pid_t pid, const char *command);

/* Append to TEXT, which stays terminated, what of the formatted text fits. */
void cli_wait_append(char *text, size_t capacity, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
