/* SPDX-License-Identifier: MIT
 * cli-wait.c - reporting what a command is waiting for
 *
 * A signal would end the wait, and with it the place in the wait queue. So a thread reports: it sleeps, inspects the
 * object when a wait has lasted for a second, and writes one line. It takes no signal.
 */
#include <config.h>

#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli-wait.h"
#include "process.h"

#define SECOND INT64_C(1000000000)
#define STACK_BYTES 131072
#define ANCESTORS_MAX 64 /* a chain of parents that is longer is cut */

static bool is_ancestor(pid_t pid)
{
	pid_t at = getppid();

	for (int i = 0; i < ANCESTORS_MAX && at > 1; i++) {
		if (at == pid)
			return true;
		at = ipcu_process_parent(at);
	}
	return false;
}

void cli_wait_append(char *text, size_t capacity, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, capacity - used, format, args);
	va_end(args);
}

void cli_wait_process(char *text, size_t capacity, pid_t pid, const char *command)
{
	char state = ipcu_process_state(pid);
	bool stopped = state == 'T' || state == 't', ancestor = is_ancestor(pid);

	cli_wait_append(text, capacity, "process %d (%.60s)", (int)pid, command);
	if (stopped || ancestor)
		cli_wait_append(text, capacity, ", which is %s%s%s,", stopped ? "stopped" : "",
				stopped && ancestor ? " and " : "",
				ancestor ? "an ancestor of this process" : "");
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

/* Report the wait that began at SINCE, unless it ends before it has been described. */
static void report(struct cli_wait *wait, int64_t since)
{
	char text[512] = "";

	if (wait->describe(wait->handle, text, sizeof(text)) && atomic_load(&wait->since) == since)
		cli_complain(wait->options, wait->name, NULL, "waiting %s", text);
}

/* Look once a second whether a wait has lasted for a second, and report the first one that has. */
static void *watch(void *context)
{
	struct cli_wait *wait = context;
	bool reported = false;

	pthread_mutex_lock(&wait->mutex);
	while (!wait->over && !reported) {
		int64_t since = atomic_load(&wait->since), at = (since ? since : now()) + SECOND;
		struct timespec when = { (time_t)(at / SECOND), (long)(at % SECOND) };

		pthread_cond_timedwait(&wait->changed, &wait->mutex, &when);
		since = atomic_load(&wait->since);
		reported = !wait->over && since && now() - since >= SECOND;
		if (reported)
			report(wait, since);
	}
	pthread_mutex_unlock(&wait->mutex);
	return NULL;
}

static void start(struct cli_wait *wait)
{
	pthread_condattr_t monotonic;
	pthread_attr_t attributes;
	sigset_t all, old;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&wait->mutex, NULL);
	pthread_cond_init(&wait->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	/* Without the thread nothing is reported; the wait goes on. */
	wait->started = pthread_create(&wait->thread, &attributes, watch, wait) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attributes);
}

void cli_wait_begin(struct cli_wait *wait, const struct cli_options *options, const char *name,
		    cli_wait_fn *describe, void *handle)
{
	if (!wait->prepared) {
		wait->prepared = true;
		wait->options = options;
		wait->name = name;
		wait->describe = describe;
		wait->handle = handle;
		if (options->quiet || !(options->verbose || isatty(STDERR_FILENO)))
			return;
		atomic_store(&wait->since, now());
		start(wait);
	} else if (wait->started) {
		atomic_store(&wait->since, now());
	}
}

/* The thread holds the mutex while it reports. So it prints nothing, and holds no lock that a fork copies, after this. */
void cli_wait_pause(struct cli_wait *wait)
{
	atomic_store(&wait->since, 0);
	if (!wait->started)
		return;
	pthread_mutex_lock(&wait->mutex);
	pthread_mutex_unlock(&wait->mutex);
}

void cli_wait_end(struct cli_wait *wait)
{
	atomic_store(&wait->since, 0);
	if (!wait->started)
		return;
	pthread_mutex_lock(&wait->mutex);
	wait->over = true;
	pthread_cond_signal(&wait->changed);
	pthread_mutex_unlock(&wait->mutex);
	pthread_join(wait->thread, NULL);
	pthread_cond_destroy(&wait->changed);
	pthread_mutex_destroy(&wait->mutex);
	wait->started = false;
}
