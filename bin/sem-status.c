/* SPDX-License-Identifier: MIT
 * sem-status.c - status of ipc-sem: value, count, waiters, holders
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli-output.h"
#include "error.h"
#include "parse.h"
#include "process.h"
#include "sem-verbs.h"

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "Which semaphore:", 1 },
	SEM_INDEX,
	{ 0 },
};
static const struct argp_child children[] = {
	{ &cli_json, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

static const struct argp argp = {
	.options = table,
	.parser = sem_parse,
	.args_doc = "NAME",
	.doc = "Show value, count and waiters of NAME, and every holder: pid, units, mode, slot, since "
	       "when, and its command." CLI_EXIT_STATUSES,
	.children = children,
};

struct report {
	struct cli_buffer out;
	bool json;
	size_t holders;
};

static void put_since(struct cli_buffer *out, time_t when)
{
	char text[40] = "?";
	struct tm tm;

	if (localtime_r(&when, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm);
	cli_put_text(out, text);
}

/* The name of MODE, or NULL if it is not known. */
static const char *mode_name(enum ipcu_hold_mode mode)
{
	return mode == IPCU_HOLD_SHARED	     ? "shared"
	       : mode == IPCU_HOLD_EXCLUSIVE ? "exclusive"
	       : mode == IPCU_HOLD_UNITS     ? "units"
					     : NULL;
}

static void put_member(struct cli_buffer *out, const char *name, int64_t value)
{
	cli_put_text(out, ",\"");
	cli_put_text(out, name);
	cli_put_text(out, "\":");
	cli_put_number(out, value);
}

static void put_command(struct cli_buffer *out, const char *command)
{
	size_t size = strlen(command);

	if (ipcu_utf8(command, size)) {
		cli_put_text(out, ",\"command\":");
		cli_put_json(out, command, size);
	} else {
		cli_put_text(out, ",\"command_base64\":\"");
		cli_put_base64(out, command, size);
		cli_put_text(out, "\"");
	}
}

static void put_mode(struct cli_buffer *out, enum ipcu_hold_mode mode)
{
	const char *name = mode_name(mode);

	cli_put_text(out, name ? ",\"mode\":\"" : ",\"mode\":null");
	if (name) {
		cli_put_text(out, name);
		cli_put_text(out, "\"");
	}
}

static void holder_json(struct report *report, const struct ipcu_holder *holder)
{
	struct cli_buffer *out = &report->out;

	cli_put_text(out, report->holders ? ",{\"pid\":" : "{\"pid\":");
	cli_put_number(out, holder->pid);
	if (holder->keeper)
		put_member(out, "keeper", holder->keeper);
	put_member(out, "units", holder->units);
	put_mode(out, holder->mode);
	if (holder->slot >= 0)
		put_member(out, "slot", holder->slot);
	else
		cli_put_text(out, ",\"slot\":null");
	cli_put_text(out, holder->since.tv_sec ? ",\"since\":\"" : ",\"since\":null");
	if (holder->since.tv_sec) {
		put_since(out, holder->since.tv_sec);
		cli_put_text(out, "\"");
	}
	put_command(out, holder->command);
	cli_put_text(out, "}");
}

static void holder_line(struct report *report, const struct ipcu_holder *holder)
{
	char text[80], slot[16] = "-";
	const char *mode = mode_name(holder->mode);

	if (holder->slot >= 0)
		snprintf(slot, sizeof(slot), "%d", holder->slot);
	if (!report->holders)
		cli_put_text(&report->out,
			     "    PID UNITS MODE       SLOT SINCE                    COMMAND\n");
	snprintf(text, sizeof(text), "%7d %5u %-9s %5s ", (int)holder->pid, holder->units,
		 mode ? mode : "-", slot);
	cli_put_text(&report->out, text);
	if (holder->since.tv_sec)
		put_since(&report->out, holder->since.tv_sec);
	else
		cli_put_text(&report->out, "-                       ");
	cli_put_text(&report->out, " ");
	cli_put_safe_text(&report->out, holder->command);
	cli_put_text(&report->out, "\n");
}

static void add_holder(const struct ipcu_holder *holder, void *context)
{
	struct report *report = context;

	if (report->json)
		holder_json(report, holder);
	else
		holder_line(report, holder);
	report->holders++;
}

static void put_values(struct report *report, const char *name, const struct ipcu_sem_info *info)
{
	const struct {
		const char *name, *member; /* in text, in JSON */
		int64_t value;
		bool named, raw;
	} rows[] = {
		{ "value", "value", info->value, true, true },
		{ "count", "count", info->count, true, false },
		{ "taken", "taken", info->taken, true, false },
		{ "held", "held", info->held, true, false },
		{ "waiters", "waiters", info->waiters, true, true },
		{ "semaphores", "semaphores", info->semaphores, false, true },
		{ "last-pid", "last_pid", info->last_pid, false, true },
	};
	struct cli_buffer *out = &report->out;

	if (report->json) {
		cli_put_text(out, "{\"semaphore\":");
		cli_put_json(out, name, strlen(name));
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!(info->named ? rows[i].named : rows[i].raw))
			continue;
		if (report->json) {
			put_member(out, rows[i].member, rows[i].value);
			continue;
		}
		cli_put_text(out, rows[i].name);
		cli_put_text(out, ": ");
		cli_put_number(out, rows[i].value);
		cli_put_text(out, "\n");
	}
}

/* A stopped process at the head of the wait queue keeps all others waiting. */
static void put_first_waiter(struct report *report, const struct ipcu_sem_info *info)
{
	char text[96], state = '\0';
	bool stopped;

	if (info->first_waiter)
		state = ipcu_process_state(info->first_waiter);
	stopped = state == 'T' || state == 't';

	if (report->json) {
		put_member(&report->out, "first_waiter", info->first_waiter);
		cli_put_text(&report->out, stopped ? ",\"first_waiter_stopped\":true"
						   : ",\"first_waiter_stopped\":false");
	} else if (stopped) {
		snprintf(
			text, sizeof(text),
			"process %d, first in the wait queue, is stopped: it keeps the others waiting\n",
			(int)info->first_waiter);
		cli_put_text(&report->out, text);
	}
}

/* Units whose holders cannot be named. */
static void put_unlisted(struct report *report, unsigned units)
{
	struct cli_buffer *out = &report->out;

	if (report->json) {
		put_member(out, "unlisted", units);
	} else if (units) {
		cli_put_number(out, units);
		cli_put_text(out, units == 1 ? " unit is" : " units are");
		cli_put_text(out, " held by processes that are not listed\n");
	}
}

static enum ipcu_result fill(struct report *report, ipcu_sem *sem, const char *name)
{
	struct ipcu_sem_info info;
	unsigned unlisted = 0;
	enum ipcu_result result = ipcu_sem_status(sem, &info);

	if (result != IPCU_OK)
		return result;
	put_values(report, name, &info);
	if (info.named) {
		if (report->json)
			cli_put_text(&report->out, info.transient ? ",\"transient\":true"
								  : ",\"transient\":false");
		else if (info.transient)
			cli_put_text(&report->out, "transient: yes\n");
		if (report->json)
			cli_put_text(&report->out, ",\"holders\":[");
		result = ipcu_sem_holders(sem, add_holder, report, &unlisted);
		if (report->json)
			cli_put_text(&report->out, "]");
		put_unlisted(report, unlisted);
		put_first_waiter(report, &info);
	}
	if (report->json)
		cli_put_text(&report->out, "}\n");
	if (report->out.failed)
		return ipcu_fail_call("malloc", ENOMEM, "no status");
	return result;
}

int sem_status(int argc, char **argv)
{
	struct sem_options options = { 0 };
	struct report report = { 0 };
	ipcu_sem *sem;
	int status = sem_start(&argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	options.common.open.create = IPCU_CREATE_NEVER;
	status = sem_open(&sem, &options);
	if (status)
		return status;
	report.json = options.common.json;
	status =
		cli_status(&options.common, options.words[0], fill(&report, sem, options.words[0]));
	if (!status)
		fwrite(report.out.bytes, 1, report.out.used, stdout);
	free(report.out.bytes);
	ipcu_sem_close(sem);
	return status;
}
