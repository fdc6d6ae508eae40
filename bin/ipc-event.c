/* SPDX-License-Identifier: MIT
 * ipc-event.c - something that has happened, or not yet
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli-output.h"
#include "cli-verbs.h"
#include "cli-wait.h"
#include "error.h"
#include "queue.h"

struct options {
	struct cli_options common;
	const char *name;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case ARGP_KEY_ARG:
		if (options->name) {
			cli_usage(state, "unexpected argument '%s'", arg);
			return EINVAL;
		}
		options->name = arg;
		return 0;
	case ARGP_KEY_END:
		if (options->name || options->common.finished)
			return 0;
		argp_error(state, "which event? give its NAME");
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child changing[] = {
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child waiting[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child looking[] = {
	{ &cli_json, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

/* What all verbs have in common: parse, open, do, close. */
static int run(int argc, char **argv, const struct argp_child *children, const char *doc,
	       enum ipcu_result (*verb)(ipcu_event *event, const struct options *options),
	       bool create)
{
	const struct argp argp = { NULL, parse, "NAME", doc, children, NULL, NULL };
	struct options options = { .name = NULL };
	ipcu_event *event;
	enum ipcu_result result;
	int status = cli_parse_verb(&argp, "ipc-event", argc, argv, &options.common, &options);

	if (status || options.common.finished)
		return status;
	if (!create)
		options.common.open.create = IPCU_CREATE_NEVER;
	result = ipcu_event_open(&event, options.name, &options.common.open);
	if (result != IPCU_OK)
		return cli_status(&options.common, options.name, result);
	cli_opened(&options.common, options.name);
	status = cli_status(&options.common, options.name, verb(event, &options));
	ipcu_event_close(event);
	return status;
}

static enum ipcu_result do_set(ipcu_event *event, const struct options *options)
{
	(void)options;
	return ipcu_event_set(event);
}

static enum ipcu_result do_clear(ipcu_event *event, const struct options *options)
{
	(void)options;
	return ipcu_event_clear(event);
}

static enum ipcu_result do_pulse(ipcu_event *event, const struct options *options)
{
	(void)options;
	return ipcu_event_pulse(event);
}

static bool describe_wait(void *handle, char *text, size_t capacity)
{
	struct ipcu_event_info info;

	if (ipcu_event_status(handle, &info) != IPCU_OK || info.set)
		return false;
	snprintf(text, capacity, "until the event is set; %u process%s for it", info.waiting,
		 info.waiting == 1 ? " waits" : "es wait");
	return true;
}

static enum ipcu_result do_wait(ipcu_event *event, const struct options *options)
{
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	uint64_t ticket = 0;
	enum ipcu_result result;
	struct cli_wait wait = { .prepared = false };

	cli_wait_begin(&wait, &options->common, options->name, describe_wait, event);
	/* A process that was stopped and continued misses no pulse in between. */
	do
		result = ipcu_event_wait(event, &ticket, deadline);
	while (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR);
	cli_wait_end(&wait);
	return result;
}

static enum ipcu_result do_status(ipcu_event *event, const struct options *options)
{
	struct cli_buffer text = { 0 };
	struct ipcu_event_info info;
	enum ipcu_result result = ipcu_event_status(event, &info);

	if (result != IPCU_OK)
		return result;
	if (!options->common.json) {
		printf("%s, %u waiting\n", info.set ? "set" : "not set", info.waiting);
		return IPCU_OK;
	}
	cli_put_text(&text, "{\"event\":");
	cli_put_json(&text, options->name, strlen(options->name));
	cli_put_text(&text,
		     info.set ? ",\"set\":true,\"waiting\":" : ",\"set\":false,\"waiting\":");
	cli_put_number(&text, info.waiting);
	cli_put_text(&text, "}\n");
	if (!text.failed)
		fwrite(text.bytes, 1, text.used, stdout);
	free(text.bytes);
	return text.failed ? ipcu_fail_call("malloc", ENOMEM, "cannot show it") : IPCU_OK;
}

static int event_set(int argc, char **argv)
{
	return run(argc, argv, changing, "Let all through, from now on." CLI_EXIT_STATUSES, do_set,
		   true);
}

static int event_clear(int argc, char **argv)
{
	return run(argc, argv, changing, "Let those wait who come from now on." CLI_EXIT_STATUSES,
		   do_clear, true);
}

static int event_wait(int argc, char **argv)
{
	return run(argc, argv, waiting, "Wait until the event is set or pulsed." CLI_EXIT_STATUSES,
		   do_wait, true);
}

static int event_pulse(int argc, char **argv)
{
	return run(
		argc, argv, changing,
		"Let through those who wait now, and nobody else. Nothing happens if the event is set." CLI_EXIT_STATUSES,
		do_pulse, true);
}

static int event_status(int argc, char **argv)
{
	return run(argc, argv, looking, "Whether it is set, and how many wait." CLI_EXIT_STATUSES,
		   do_status, false);
}

static const struct cli_verb verbs[] = {
	{ "set", event_set, "let all through" },
	{ "clear", event_clear, "let them wait again" },
	{ "wait", event_wait, "wait until it is set or pulsed" },
	{ "pulse", event_pulse, "let those through who wait now" },
	{ "status", event_status, "whether it is set" },
	{ 0 },
};

int ipc_event(int argc, char **argv);

int ipc_event(int argc, char **argv)
{
	return cli_verbs("ipc-event", verbs,
			 "Wait for what has happened, or not yet." CLI_EXIT_STATUSES, argc, argv);
}
