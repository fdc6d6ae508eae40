/* SPDX-License-Identifier: MIT
 * ipc-doctor.c - what is or will be wrong, and the command that mends it
 */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "error.h"
#include "parse.h"
#include "process.h"

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0, "What is done:", 1 },
	{ "repair", CLI_REPAIR, NULL, 0, "mend a damaged registry of names; no object is removed",
	  1 },
	{ NULL, 0, NULL, 0, "How it is looked at:", 2 },
	{ "interval", CLI_INTERVAL, "DURATION", 0,
	  "how long queues are watched whether they only grow (default 1s; 0: not)", 2 },
	{ "older-than", CLI_OLDER_THAN, "DURATION", 0,
	  "what nobody can reach counts when untouched for that long (default 1m)", 2 },
	{ "peer", CLI_PEER, "PID", 0,
	  "a process that should see the same objects (default: the parent, and process 1)", 2 },
	{ "root", CLI_ROOT, "DIR", 0, "where the machine's /etc, /run, /usr and /var are", 2 },
	{ 0 }
};

static error_t parse_number(int key, char *arg, struct argp_state *state, struct doctor *doctor)
{
	int64_t number;

	switch (key) {
	case CLI_INTERVAL:
		if (ipcu_parse_duration(arg, &doctor->interval) != IPCU_OK)
			return cli_bad_option(state, "--interval");
		if (doctor->interval <= (int64_t)86400 * 1000000000)
			return 0;
		argp_error(state, "--interval: more than a day");
		return EINVAL;
	case CLI_OLDER_THAN:
		return ipcu_parse_duration(arg, &doctor->older_than) == IPCU_OK
			       ? 0
			       : cli_bad_option(state, "--older-than");
	default:
		if (ipcu_parse_number(arg, 1, INT_MAX, &number) != IPCU_OK)
			return cli_bad_option(state, "--peer");
		doctor->peer = (pid_t)number;
		return 0;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct doctor *doctor = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &doctor->common);
		return 0;
	case CLI_REPAIR:
		doctor->repair = true;
		return 0;
	case CLI_ROOT:
		doctor->root = arg;
		return 0;
	case CLI_INTERVAL:
	case CLI_OLDER_THAN:
	case CLI_PEER:
		return parse_number(key, arg, state, doctor);
	case ARGP_KEY_ARG:
		cli_usage(state, "unexpected argument '%s'", arg);
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = { { &cli_json, 0, NULL, 0 },
					      { &cli_standard, 0, NULL, 0 },
					      { 0 } };

static const struct argp argp = {
	.options = table,
	.parser = parse,
	.doc = "Examine this machine, this user and the existing objects, and report each problem in one line, with "
	       "a command that fixes it or, if that needs judgement, with advice."
	       "\vExit status: 0 nothing found; 1 something was found; 2 usage error; 4 permission denied; "
	       "5 a limit was reached; 8 other system error.",
	.children = children,
};

/* ---- findings --------------------------------------------------------------- */

static void put_member(struct cli_buffer *out, const char *name, const char *text)
{
	cli_put_text(out, name);
	cli_put_json(out, text, strlen(text));
}

/* What is to be done: a command, text, or neither if it is already repaired. */
struct remedy {
	const char *fix, *advice;
};

/* Print a line of text. Names and command lines in it may be those of other users. */
static void print_text(const char *subject, const char *message, const struct remedy *remedy)
{
	cli_print_safe(stdout, subject);
	fputs(": ", stdout);
	cli_print_safe(stdout, message);
	fputs(*remedy->fix ? "; fix: " : *remedy->advice ? "; advice: " : "; repaired", stdout);
	cli_print_safe(stdout, *remedy->fix ? remedy->fix : remedy->advice);
	putchar('\n');
}

static void print(struct doctor *doctor, const char *subject, const char *message,
		  const struct remedy *remedy)
{
	struct cli_buffer *out = &doctor->json;
	bool repaired = !*remedy->fix && !*remedy->advice;

	if (!doctor->common.json) {
		print_text(subject, message, remedy);
		return;
	}
	cli_put_text(out, doctor->printed++ ? "," : "");
	put_member(out, "\n  {\"check\":", doctor->check);
	put_member(out, ",\"subject\":", subject);
	put_member(out, ",\"message\":", message);
	put_member(out, ",\"fix\":", remedy->fix);
	if (*remedy->advice)
		put_member(out, ",\"advice\":", remedy->advice);
	cli_put_text(out, repaired ? ",\"repaired\":true}" : ",\"repaired\":false}");
}

/* COMMAND as it acts in the IPC namespace that is looked at. */
static void put_command(struct cli_buffer *out, const struct doctor *doctor, const char *command,
			size_t length)
{
	bool ours = strncmp(command, "ipc-", 4) == 0;
	size_t word = ours ? strcspn(command, " ") : 0;
	char enter[64];

	snprintf(enter, sizeof(enter), ours ? " --ipc-namespace=%d" : "nsenter --target %d --ipc ",
		 (int)doctor->common.namespace_of);
	cli_put(out, command, word);
	if (doctor->common.namespace_of &&
	    (ours || strncmp(command, "sysctl ", 7) == 0 || strncmp(command, "setpriv ", 8) == 0))
		cli_put_text(out, enter);
	cli_put(out, command + word, length - word);
}

/* One command, or several with "; " between them, which is in no word of theirs. */
static void put_fix(struct cli_buffer *out, const struct doctor *doctor, const char *fix)
{
	for (const char *next; (next = strstr(fix, "; ")); fix = next + 2)
		put_command(out, doctor, fix, (size_t)(next + 2 - fix));
	put_command(out, doctor, fix, strlen(fix) + 1);
}

void doctor_find(struct doctor *doctor, const char *subject, const char *fix, const char *format,
		 ...)
{
	struct cli_buffer whole = { 0 };
	struct remedy remedy = { .advice = "" };
	char message[DOCTOR_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	/* Only --repair itself leaves nothing to be done. */
	doctor->findings += *fix != '\0';
	put_fix(&whole, doctor, fix);
	remedy.fix = whole.failed ? fix : whole.bytes;
	print(doctor, subject, message, &remedy);
	free(whole.bytes);
}

void doctor_advise(struct doctor *doctor, const char *subject, const char *advice,
		   const char *format, ...)
{
	const struct remedy remedy = { .fix = "", .advice = advice };
	char message[DOCTOR_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	doctor->findings++;
	print(doctor, subject, message, &remedy);
}

const char *doctor_name(const struct ipcu_info *info, char name[DOCTOR_NAME])
{
	const struct passwd *owner;

	if (info->name && info->creator == geteuid())
		snprintf(name, DOCTOR_NAME, "%s", info->name);
	else if (info->name && (owner = getpwuid(info->creator)) && strlen(owner->pw_name) < 60)
		snprintf(name, DOCTOR_NAME, "%s/%s", owner->pw_name, info->name);
	else if (info->name)
		snprintf(name, DOCTOR_NAME, "%lu/%s", (unsigned long)info->creator, info->name);
	else if (info->key)
		snprintf(name, DOCTOR_NAME, "key:0x%08x", (unsigned)info->key);
	else
		snprintf(name, DOCTOR_NAME, "id:%d", info->id);
	return name;
}

const char *doctor_quote(const char *name, char word[DOCTOR_WORD])
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-+.,:/@%";
	size_t used = 0;

	if (!name[strspn(name, plain)])
		return strcpy(word, name);
	word[used++] = '\'';
	for (; *name && used < DOCTOR_WORD - 6; name++) {
		if (*name == '\'')
			used += (size_t)sprintf(word + used, "'\\''");
		else
			word[used++] = *name;
	}
	word[used++] = '\'';
	word[used] = '\0';
	return word;
}

const char *doctor_process(pid_t pid, char text[DOCTOR_PROCESS])
{
	char command[100];

	ipcu_process_command(pid, command, sizeof(command));
	snprintf(text, DOCTOR_PROCESS, "%d (%s)", (int)pid, command);
	return text;
}

bool doctor_stopped(pid_t pid)
{
	char state = ipcu_process_state(pid);

	return state == 'T' || state == 't';
}

/* ---- objects ---------------------------------------------------------------- */

static enum ipcu_result collect(const struct ipcu_info *info, void *context)
{
	struct doctor *doctor = context;
	struct ipcu_info *object;

	if (geteuid() != 0 && info->owner != geteuid() && info->creator != geteuid())
		return IPCU_OK;
	if (doctor->object_count == doctor->object_capacity) {
		size_t capacity = doctor->object_capacity ? doctor->object_capacity * 2 : 64;
		void *objects = realloc(doctor->objects, capacity * sizeof(*doctor->objects));

		if (!objects)
			return ipcu_fail_call("malloc", ENOMEM, "cannot list");
		doctor->objects = objects;
		doctor->object_capacity = capacity;
	}
	object = &doctor->objects[doctor->object_count];
	*object = *info;
	object->name = info->name ? strdup(info->name) : NULL;
	if (info->name && !object->name)
		return ipcu_fail_call("malloc", ENOMEM, "cannot list");
	doctor->object_count++;
	return IPCU_OK;
}

static enum ipcu_result doctor_list(struct doctor *doctor)
{
	return doctor->damaged ? IPCU_OK : ipcu_list(geteuid(), IPCU_LIST_ALL, collect, doctor);
}

static void free_objects(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->object_count; i++)
		free((char *)doctor->objects[i].name);
	free(doctor->objects);
}

/* ---- the examination ---------------------------------------------------------- */

static const struct {
	const char *name;
	enum ipcu_result (*run)(struct doctor *doctor);
} checks[] = {
	{ "namespace", doctor_namespace },
	{ "kernel", doctor_kernel },
	{ "registry", doctor_registry },
	{ "list", doctor_list }, /* what the others look at; finds nothing by itself */
	{ "systemd", doctor_systemd },
	{ "limits", doctor_limits },
	{ "unreachable", doctor_unreachable },
	{ "keys", doctor_keys },
	{ "holders", doctor_holders },
	{ "deadlock", doctor_deadlock },
	{ "queues", doctor_queues },
};

/* An error of one check does not keep the others from being done. */
static int examine(struct doctor *doctor)
{
	int status = 0;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		size_t before = doctor->findings;
		int one;

		doctor->check = checks[i].name;
		one = cli_status(&doctor->common, checks[i].name, checks[i].run(doctor));
		status = one ? one : status;
		/* Without System V IPC every check would say the same. */
		if (one && ipcu_last_error()->errnum == ENOSYS)
			break;
		if (doctor->common.verbose && !one && checks[i].run != doctor_list)
			cli_complain(&doctor->common, checks[i].name, NULL, "%zu found",
				     doctor->findings - before);
	}
	return status;
}

int ipc_doctor(int argc, char **argv);

int ipc_doctor(int argc, char **argv)
{
	struct doctor doctor = { .root = "",
				 .interval = 1000000000,
				 .older_than = (int64_t)60 * 1000000000 };
	int status = cli_parse(&argp, "ipc-doctor", argc, argv, &doctor.common, &doctor);

	if (status || doctor.common.finished)
		return status;
	status = examine(&doctor);
	free_objects(&doctor);
	if (doctor.common.json && !doctor.json.failed)
		printf("{\"findings\":[%.*s%s]}\n", (int)doctor.json.used,
		       doctor.json.bytes ? doctor.json.bytes : "", doctor.printed ? "\n" : "");
	if (doctor.json.failed)
		status = cli_status(&doctor.common, NULL,
				    ipcu_fail_call("malloc", ENOMEM, "no report"));
	free(doctor.json.bytes);
	return status ? status : doctor.findings ? IPCU_NOT_NOW : IPCU_OK;
}
