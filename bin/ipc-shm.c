/* SPDX-License-Identifier: MIT
 * ipc-shm.c - shared memory: bytes, typed values, and a lock
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli-exec.h"
#include "cli-output.h"
#include "cli-wait.h"
#include "error.h"
#include "parse.h"
#include "process.h"
#include "queue.h"
#include "shm-verbs.h"

/* ---- words that begin with a dash ------------------------------------------- */

/* Stands for the dash while getopt looks: nothing that is typed begins with it. */
#define HIDDEN_DASH '\001'

static bool is_negative(const char *word)
{
	if (word[0] != '-')
		return false;
	return (word[1] >= '0' && word[1] <= '9') ||
	       (word[1] == '.' && word[2] >= '0' && word[2] <= '9') || strcmp(word, "-inf") == 0;
}

/* Whether what follows WORD is its argument. */
static bool takes_argument(const char *word)
{
	static const char *const names[] = { "count",	       "index",	 "length",  "mode",
					     "not-now-status", "offset", "timeout", "type" };
	size_t length = strlen(word);

	if (word[0] != '-' || length < 2)
		return false;
	if (word[1] != '-')
		return strcspn(word, "EcimtT") == length - 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && length > 2; i++)
		if (strncmp(names[i], word + 2, length - 2) == 0)
			return true;
	return false;
}

/* VALUEs may be negative, options begin with a dash too, and getopt moves words around. */
static void hide_dashes(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (is_negative(argv[i]) && !takes_argument(argv[i - 1]))
			argv[i][0] = HIDDEN_DASH;
}

/* ---- options ---------------------------------------------------------------- */

enum { KEY_OFFSET = CLI_COMMAND_KEYS, KEY_LENGTH };

static error_t parse_index(struct argp_state *state, struct shm_options *options, char *arg)
{
	char *colon = strchr(arg, ':');
	int64_t number;

	if (colon)
		*colon = '\0';
	options->has_index = true;
	if (!(colon && !*arg) && ipcu_parse_number(arg, 0, INT64_MAX, &number) != IPCU_OK)
		return cli_bad_option(state, "--index");
	options->index = colon && !*arg ? 0 : (uint64_t)number;
	if (!colon)
		return 0;
	*colon = ':';
	if (!options->slices) {
		cli_usage(state, "--index: '%s' is a slice, which only get takes", arg);
		return EINVAL;
	}
	options->has_index = false;
	if (!colon[1])
		return 0; /* to the last one */
	if (ipcu_parse_number(colon + 1, 0, INT64_MAX, &number) != IPCU_OK)
		return cli_bad_option(state, "--index");
	options->end = (uint64_t)number;
	options->has_end = true;
	return 0;
}

static error_t parse_word(struct argp_state *state, struct shm_options *options, char *arg)
{
	if (*arg == HIDDEN_DASH)
		*arg = '-';
	if (!options->name) {
		options->name = arg;
		return 0;
	}
	if (options->most >= 0 && options->count == options->most) {
		cli_usage(state, "unexpected argument '%s'", arg);
		return EINVAL;
	}
	options->words[options->count++] = arg;
	return 0;
}

static error_t parse_end(struct argp_state *state, const struct shm_options *options)
{
	if (options->common.finished)
		return 0;
	if (!options->name)
		argp_error(state, "which memory? give its NAME");
	else if (options->count < options->least)
		argp_error(state, "%s?", options->what);
	else if (options->command && !options->command[0])
		argp_error(state, "no COMMAND behind --");
	else
		return 0;
	return EINVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct shm_options *options = state->input;
	int64_t number;

	switch (key) {
	case ARGP_KEY_INIT:
		cli_share(state, &options->common);
		return 0;
	case 'T':
		return ipcu_type_read(arg, &options->type) == IPCU_OK
			       ? 0
			       : cli_bad_option(state, "--type");
	case 'c':
		if (ipcu_parse_number(arg, 1, INT64_MAX, &number) != IPCU_OK)
			return cli_bad_option(state, "--count");
		options->values = (uint64_t)number;
		return 0;
	case 'i':
		return parse_index(state, options, arg);
	case KEY_OFFSET:
		return ipcu_parse_size(arg, &options->offset) == IPCU_OK
			       ? 0
			       : cli_bad_option(state, "--offset");
	case KEY_LENGTH:
		options->has_length = true;
		return ipcu_parse_size(arg, &options->length) == IPCU_OK
			       ? 0
			       : cli_bad_option(state, "--length");
	case ARGP_KEY_ARG:
		return parse_word(state, options, arg);
	case ARGP_KEY_END:
		return parse_end(state, options);
	}
	return ARGP_ERR_UNKNOWN;
}

#define TYPE_ROWS                                                                                \
	{ "type", 'T', "TYPE", 0, "i8 u8 i16 u16 i32 u32 i64 u64 f32 f64: what it holds", 1 },   \
	{                                                                                        \
		"count", 'c', "COUNT", 0, "how many values it holds, if this call creates it", 1 \
	}
#define INDEX_ROW                                                                    \
	{                                                                            \
		"index", 'i', "INDEX", 0, "which value, the first is 0 (default)", 1 \
	}
#define OFFSET_ROW                                                                       \
	{                                                                                \
		"offset", KEY_OFFSET, "N", 0, "begin at that byte; K M G as for SIZE", 1 \
	}

static const struct argp_option create_table[] = { TYPE_ROWS, { 0 } };
static const struct argp_option value_table[] = { TYPE_ROWS, INDEX_ROW, { 0 } };
static const struct argp_option get_table[] = {
	TYPE_ROWS,
	{ "index", 'i', "INDEX[:END]", 0, "only that value; only those before END", 1 },
	{ 0 },
};
static const struct argp_option read_table[] = {
	OFFSET_ROW,
	{ "length", KEY_LENGTH, "N", 0, "so many bytes; an error if there are fewer", 1 },
	{ 0 },
};
static const struct argp_option write_table[] = { OFFSET_ROW, { 0 } };

static const struct argp_child creating[] = {
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child comparing[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child waiting[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child plain[] = { { &cli_standard, 0, NULL, 0 }, { 0 } };
static const struct argp_child looking[] = {
	{ &cli_json, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

/* ---- what all verbs have in common ------------------------------------------- */

/* Parse; *FINISHED: there is nothing more to do. */
static int parse_verb(int argc, char **argv, const struct argp *argp, struct shm_options *options,
		      bool *finished)
{
	int status;

	options->words = calloc((size_t)argc + 1, sizeof(*options->words));
	if (!options->words) {
		options->common.command = "ipc-shm";
		cli_complain(&options->common, NULL, NULL, "cannot start: not enough memory");
		*finished = true;
		return IPCU_LIMIT;
	}
	hide_dashes(argc, argv);
	status = cli_parse_verb(argp, "ipc-shm", argc, argv, &options->common, options);
	*finished = status || options->common.finished;
	return status;
}

static int open_and(const struct ipcu_shm_layout *layout, struct shm_options *options,
		    shm_verb_fn verb)
{
	ipcu_shm *shm;
	enum ipcu_result result = ipcu_shm_open(&shm, options->name, layout, &options->common.open);
	int status;

	if (result != IPCU_OK) {
		if (result == IPCU_NOT_FOUND && !*ipcu_last_error()->hint &&
		    !strchr(options->name, ':') && (!layout || !layout->count))
			ipcu_hint("ipc-shm create and load make one");
		return cli_status(&options->common, options->name, result);
	}
	cli_opened(&options->common, options->name);
	status = verb(shm, options);
	ipcu_shm_close(shm);
	return status;
}

static int run(int argc, char **argv, const struct argp *argp, struct shm_options *options,
	       shm_verb_fn verb)
{
	struct ipcu_shm_layout layout = { 0 };
	bool finished;
	int status = parse_verb(argc, argv, argp, options, &finished);

	if (!finished && options->values && options->type == IPCU_BYTES) {
		cli_complain(&options->common, options->name, NULL, "--count takes a --type, too");
		finished = true;
		status = IPCU_USAGE;
	}
	/* A mistake in the words shall not create it. */
	if (!finished && options->type != IPCU_BYTES) {
		status = cli_status(&options->common, options->name,
				    shm_check_words(options, options->type));
		finished = status != IPCU_OK;
	}
	if (!finished) {
		/* With a type it is created on first use, with room for what is asked for. */
		layout.type = options->type;
		layout.exact = options->values != 0;
		if (options->type != IPCU_BYTES)
			layout.count =
				options->values ? options->values
				: options->has_end
					? options->end
					: options->index + (options->most < 0
								    ? (uint64_t)options->count
								    : 1);
		status = open_and(&layout, options, verb);
	}
	free(options->words);
	return status;
}

/* ---- the verbs that are here --------------------------------------------------- */

static int do_nothing(ipcu_shm *shm, struct shm_options *options)
{
	(void)shm;
	(void)options;
	return IPCU_OK;
}

/* NAME SIZE, or NAME with a type; exactly one of them. */
static int create_layout(const struct shm_options *options, struct ipcu_shm_layout *layout)
{
	layout->type = options->type;
	layout->count = options->values ? options->values : 1;
	layout->exact = true;
	if ((options->type != IPCU_BYTES) == (options->count == 1) ||
	    (options->values && options->type == IPCU_BYTES)) {
		cli_complain(&options->common, options->name, NULL,
			     "give either a SIZE, or a --type and perhaps --count");
		return IPCU_USAGE;
	}
	if (options->count == 0)
		return IPCU_OK;
	if (ipcu_parse_size(options->words[0], &layout->count) == IPCU_OK && layout->count > 0)
		return IPCU_OK;
	if (layout->count == 0)
		ipcu_fail(IPCU_USAGE, "'%s' is not a size like 4096, 64K, 10M or 1G",
			  options->words[0]);
	return cli_status(&options->common, options->name, IPCU_USAGE);
}

static int shm_create(int argc, char **argv)
{
	static const struct argp argp = {
		create_table,
		parse,
		"NAME SIZE\nNAME --type=TYPE",
		"Create memory of SIZE bytes (K M G: powers of 1024), or for COUNT (default 1) "
		"values of TYPE, all zero." CLI_EXIT_STATUSES,
		creating,
		NULL,
		NULL,
	};
	struct shm_options options = { .most = 1 };
	struct ipcu_shm_layout layout = { 0 };
	bool finished;
	int status = parse_verb(argc, argv, &argp, &options, &finished);

	if (!finished) {
		status = create_layout(&options, &layout);
		if (status == IPCU_OK)
			status = open_and(&layout, &options, do_nothing);
	}
	free(options.words);
	return status;
}

static void put_lock(struct cli_buffer *out, const struct ipcu_shm_info *info)
{
	char text[192], command[128];

	if (!info->locked_by)
		return;
	if (info->locked_by == IPCU_PID_UNKNOWN) {
		snprintf(text, sizeof(text),
			 "locked: unknown process of another PID namespace, %u waiting\n",
			 info->lock_waiting);
	} else {
		ipcu_process_command(info->locked_by, command, sizeof(command));
		snprintf(text, sizeof(text), "locked: process %d (", (int)info->locked_by);
		cli_put_text(out, text);
		cli_put_safe_text(out, command);
		snprintf(text, sizeof(text), "), %u waiting\n", info->lock_waiting);
	}
	cli_put_text(out, text);
}

static int do_status(ipcu_shm *shm, struct shm_options *options)
{
	struct cli_buffer out = { 0 };
	struct ipcu_shm_info info;
	enum ipcu_result result = ipcu_shm_status(shm, &info);
	char text[160], holder[16];

	if (result != IPCU_OK)
		return cli_status(&options->common, options->name, result);
	if (options->common.json) {
		cli_put_text(&out, "{\"memory\":");
		cli_put_json(&out, options->name, strlen(options->name));
		snprintf(text, sizeof(text),
			 ",\"size\":%llu,\"type\":\"%s\",\"count\":%llu,\"attached\":%llu,",
			 (unsigned long long)info.size, ipcu_type_name(info.type),
			 (unsigned long long)info.count, (unsigned long long)info.attached);
		cli_put_text(&out, text);
		snprintf(holder, sizeof(holder), "%d", (int)info.locked_by);
		snprintf(text, sizeof(text), "\"locked_by\":%s,\"waiting\":%u,\"locked\":%s}\n",
			 info.locked_by > 0 ? holder : "null", info.lock_waiting,
			 info.locked_by ? "true" : "false");
		cli_put_text(&out, text);
	} else {
		snprintf(text, sizeof(text), "%llu bytes", (unsigned long long)info.size);
		cli_put_text(&out, text);
		if (info.type != IPCU_BYTES) {
			snprintf(text, sizeof(text), ", %llu %s of type %s",
				 (unsigned long long)info.count,
				 info.count == 1 ? "value" : "values", ipcu_type_name(info.type));
			cli_put_text(&out, text);
		}
		snprintf(text, sizeof(text), ", attached %llu %s\n",
			 (unsigned long long)info.attached, info.attached == 1 ? "time" : "times");
		cli_put_text(&out, text);
		put_lock(&out, &info);
	}
	if (!out.failed)
		fwrite(out.bytes, 1, out.used, stdout);
	free(out.bytes);
	return IPCU_OK;
}

static bool describe_lock(void *handle, char *text, size_t capacity)
{
	const struct shm_options *options = handle;
	const struct ipcu_open how = { .create = IPCU_CREATE_NEVER, .deadline = &ipcu_no_wait };
	struct ipcu_shm_info info;
	enum ipcu_result result;
	char command[64];
	ipcu_shm *shm;

	/* The handle that waits may replace its lock: this thread uses a handle of its own. */
	if (ipcu_shm_open(&shm, options->name, NULL, &how) != IPCU_OK)
		return false;
	result = ipcu_shm_status(shm, &info);
	ipcu_shm_close(shm);
	if (result != IPCU_OK || !info.locked_by)
		return false;
	snprintf(text, capacity, "for the lock: ");
	ipcu_process_command(info.locked_by, command, sizeof(command));
	cli_wait_process(text, capacity, info.locked_by, command);
	cli_wait_append(text, capacity, " holds it; %u process%s for it", info.lock_waiting,
			info.lock_waiting == 1 ? " waits" : "es wait");
	return true;
}

static int do_lock(ipcu_shm *shm, struct shm_options *options)
{
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	char path[CLI_PATH_MAX];
	enum ipcu_result result;
	struct cli_wait wait = { .prepared = false };
	int status = cli_find_command(options->command[0], path);

	if (status == IPCU_OK) {
		cli_wait_begin(&wait, &options->common, options->name, describe_lock, options);
		/* A process that was stopped and continued joins the wait queue again. */
		do
			result = ipcu_shm_lock(shm, deadline);
		while (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR);
		cli_wait_end(&wait);
		if (result != IPCU_OK)
			return cli_status(&options->common, options->name, result);
		setenv("IPC_SHM", options->name, 1);
		/* This very process is the holder: whatever ends COMMAND gives the lock back. */
		status = cli_become(options->command, path);
	}
	return cli_cannot_run(&options->common, options->command[0], status);
}

#define VERB(function, table, words_doc, doc, children, perform, ...)                        \
	static int function(int argc, char **argv)                                           \
	{                                                                                    \
		static const struct argp argp = {                                            \
			table, parse, words_doc, doc CLI_EXIT_STATUSES, children, NULL, NULL \
		};                                                                           \
		struct shm_options options = { __VA_ARGS__ };                                \
                                                                                             \
		return run(argc, argv, &argp, &options, perform);                            \
	}

VERB(shm_read_verb, read_table, "NAME", "Write its bytes to standard output.", plain, shm_read,
     .most = 0)
VERB(shm_write_verb, write_table, "NAME",
     "Write standard input into it. What does not fit is an error (5).", plain, shm_write,
     .most = 0)
VERB(shm_get_verb, get_table, "NAME", "Print its values, one a line.", creating, shm_get, .most = 0,
     .slices = true)
VERB(shm_set_verb, value_table, "NAME VALUE...", "Set VALUEs, from INDEX on.", creating, shm_set,
     .least = 1, .most = -1, .what = "which VALUE")
VERB(shm_add_verb, value_table, "NAME DELTA",
     "Add DELTA in one atomic step and print the new value. Unsigned types wrap around; overflow of signed ones is an "
     "error (5) that changes nothing.",
     creating, shm_add, .least = 1, .most = 1, .adds = true, .what = "which DELTA")
VERB(shm_cas_verb, value_table, "NAME OLD NEW",
     "Set it to NEW if it is OLD, in one atomic step. If not, print the value found and exit 1.",
     comparing, shm_cas, .least = 2, .most = 2, .what = "which OLD and NEW")
VERB(shm_wait_verb, value_table, "NAME {eq|ne|lt|le|gt|ge} VALUE",
     "Wait until the value compares so with VALUE.", comparing, shm_wait, .least = 2, .most = 2,
     .compares = true, .what = "wait for which comparison and VALUE")
VERB(shm_status_verb, NULL, "NAME",
     "Size, type and count, how often it is attached, who holds its lock.", looking, do_status,
     .most = 0)

static int shm_load_verb(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		parse,
		"NAME",
		"Create it from standard input, or replace all it holds: all or nothing, also while "
		"others read." CLI_EXIT_STATUSES,
		creating,
		NULL,
		NULL
	};
	struct shm_options options = { .most = 0 };
	bool finished;
	int status = parse_verb(argc, argv, &argp, &options, &finished);

	if (!finished)
		status = shm_load(&options);
	free(options.words);
	return status;
}

static int shm_lock_verb(int argc, char **argv)
{
	static const struct argp argp = {
		NULL,
		parse,
		"NAME -- COMMAND [ARG...]",
		"Run COMMAND, in this very process, holding the object's own lock; whatever ends it gives "
		"the lock back. First come, first served." CLI_EXIT_STATUSES,
		waiting,
		NULL,
		NULL
	};
	struct shm_options options = { .most = 0 };
	char *none[] = { NULL };

	int status;

	options.command = cli_split_command(&argc, argv);
	if (!options.command)
		options.command = none;
	status = run(argc, argv, &argp, &options, do_lock);
	if (status == IPCU_USAGE && options.command == none)
		cli_hint_separator(argc, argv, true, "ipc-shm lock NAME -- COMMAND");
	return status;
}

static const struct cli_verb verbs[] = {
	{ "create", shm_create, "create memory, or an array of values" },
	{ "read", shm_read_verb, "bytes to standard output" },
	{ "write", shm_write_verb, "bytes from standard input" },
	{ "load", shm_load_verb, "create or replace all, from standard input" },
	{ "get", shm_get_verb, "print values" },
	{ "set", shm_set_verb, "set values" },
	{ "add", shm_add_verb, "add to a value" },
	{ "cas", shm_cas_verb, "compare and set a value" },
	{ "wait", shm_wait_verb, "wait until a value is as wanted" },
	{ "lock", shm_lock_verb, "run a command holding its lock" },
	{ "status", shm_status_verb, "size, type, who uses it" },
	{ 0 },
};

int ipc_shm(int argc, char **argv);

int ipc_shm(int argc, char **argv)
{
	return cli_verbs("ipc-shm", verbs, "Shared memory and typed values." CLI_EXIT_STATUSES,
			 argc, argv);
}
