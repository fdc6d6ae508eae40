/* SPDX-License-Identifier: MIT
 * sem-wait.c - reporting what ipc-sem is waiting for
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli-wait.h"
#include "process.h"
#include "queue.h"
#include "sem-verbs.h"

#define NAMED_MAX 3 /* holders that one line has room for */

struct line {
	char *text;
	size_t capacity;
	unsigned count;
};

static void add_holder(const struct ipcu_holder *holder, void *context)
{
	struct line *line = context;
	char since[32] = "";
	struct tm tm;

	if (line->count++ >= NAMED_MAX)
		return;
	cli_wait_append(line->text, line->capacity, "; ");
	cli_wait_process(line->text, line->capacity, holder->pid, holder->command);
	cli_wait_append(line->text, line->capacity, " holds %u", holder->units);
	if (holder->since.tv_sec && localtime_r(&holder->since.tv_sec, &tm) &&
	    strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%S", &tm))
		cli_wait_append(line->text, line->capacity, " since %s", since);
}

/* The process at the head of the wait queue, if it is stopped: then no process after it gets units. */
static void add_first_waiter(const struct ipcu_sem_info *info, const struct line *line)
{
	char state = '\0';

	if (info->first_waiter)
		state = ipcu_process_state(info->first_waiter);
	if (state == 'T' || state == 't')
		cli_wait_append(line->text, line->capacity,
				"; process %d, first in the wait queue, is stopped",
				(int)info->first_waiter);
}

static void describe(ipcu_sem *sem, const struct sem_options *options, const struct line *line)
{
	struct ipcu_sem_info info;
	unsigned unlisted = 0;

	if (ipcu_sem_status(sem, &info) != IPCU_OK)
		return;
	if (options->mode != IPCU_HOLD_UNITS)
		cli_wait_append(line->text, line->capacity, "for %s lock",
				options->mode == IPCU_HOLD_SHARED ? "a shared" : "an exclusive");
	else
		cli_wait_append(line->text, line->capacity, "for %u unit%s", options->units,
				options->units == 1 ? "" : "s");
	if (info.named)
		cli_wait_append(line->text, line->capacity, "; %u of %u are free", info.value,
				info.count);
	ipcu_sem_holders(sem, add_holder, (void *)line, &unlisted);
	if (line->count > NAMED_MAX)
		cli_wait_append(line->text, line->capacity, "; and %u more",
				line->count - NAMED_MAX);
	if (unlisted)
		cli_wait_append(line->text, line->capacity,
				"; processes that are not listed hold %u", unlisted);
	add_first_waiter(&info, line);
}

bool sem_describe_wait(void *handle, char *text, size_t capacity)
{
	const struct sem_options *options = handle;
	const struct ipcu_open how = { .create = IPCU_CREATE_NEVER, .deadline = &ipcu_no_wait };
	struct line line = { text, capacity, 0 };
	ipcu_sem *sem;

	if (ipcu_sem_open(&sem, options->words[0], 0, 1, &how) != IPCU_OK)
		return false;
	if (!options->index || ipcu_sem_select(sem, options->index) == IPCU_OK)
		describe(sem, options, &line);
	ipcu_sem_close(sem);
	return *text != '\0';
}
