/* SPDX-License-Identifier: MIT
 * sem-value.c - create, wait, post, get, set and op of ipc-sem
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>

#include "cli-exec.h"
#include "cli-interrupt.h"
#include "cli-wait.h"
#include "error.h"
#include "parse.h"
#include "sem-verbs.h"

static const struct argp_child waiting_children[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};
static const struct argp_child creating_children[] = {
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

/* ---- create ------------------------------------------------------------- */

static const struct argp_option create_table[] = {
	{ NULL, 0, NULL, 0, "What is created:", 1 },
	SEM_COUNT_OPTION,
	{ "resize", CLI_RESIZE, NULL, 0,
	  "change the count of an existing one: fewer units wait until so many are free at once",
	  1 },
	{ "value", CLI_VALUE, "UNITS", 0,
	  "how many units are free if this call creates it (default COUNT); the others are consumed",
	  1 },
	SEM_TRANSIENT,
	{ 0 },
};

static const struct argp create_argp = {
	.options = create_table,
	.parser = sem_parse,
	.args_doc = "NAME",
	.doc = "Create the semaphore NAME with COUNT units, by default 1. That it exists already with the same "
	       "COUNT is no error." CLI_EXIT_STATUSES,
	.children = waiting_children,
};

static int create_or_resize(const struct sem_options *options, const struct timespec *deadline)
{
	unsigned count = options->count ? options->count : 1;
	struct ipcu_sem_info info;
	enum ipcu_result result;
	ipcu_sem *sem;

	result = sem_check(options);
	if (result == IPCU_OK)
		result = sem_open_with(&sem, options, count);
	if (result != IPCU_OK)
		return cli_status(&options->common, options->words[0], result);
	cli_opened(&options->common, options->words[0]);
	if (options->resize)
		result = ipcu_sem_status(sem, &info);
	if (options->resize && result == IPCU_OK && info.count != count) {
		cli_stops_start();
		do
			result = ipcu_sem_resize(sem, count, deadline);
		while (sem_again(result));
		cli_stops_finish();
	}
	ipcu_sem_close(sem);
	return cli_status(&options->common, options->words[0], result);
}

int sem_create(int argc, char **argv)
{
	struct sem_options options = { 0 };
	struct timespec storage;
	int status = sem_start(&create_argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	if (options.resize && !options.count) {
		cli_complain(&options.common, options.words[0], NULL, "--resize needs --count");
		return IPCU_USAGE;
	}
	return create_or_resize(&options, cli_deadline(&options.common, &storage));
}

/* ---- wait, post --------------------------------------------------------- */

static const struct argp_option units_table[] = {
	{ NULL, 0, NULL, 0, "What is taken or given:", 1 },
	SEM_UNITS,
	SEM_INDEX,
	{ 0 },
};

static const struct argp wait_argp = {
	.options = units_table,
	.parser = sem_parse,
	.args_doc = "NAME",
	.doc = "Take units of NAME for good (P): they stay taken when this command ends, until somebody posts "
	       "them." CLI_EXIT_STATUSES,
	.children = waiting_children,
};

int sem_wait_for(int argc, char **argv)
{
	struct sem_options options = { 0 };
	struct timespec storage;
	const struct timespec *deadline;
	enum ipcu_result result;
	struct cli_wait wait = { .prepared = false };
	ipcu_sem *sem;
	int status = sem_start(&wait_argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	deadline = cli_deadline(&options.common, &storage);
	status = sem_open(&sem, &options);
	if (status)
		return status;
	cli_stops_start();
	cli_wait_begin(&wait, &options.common, options.words[0], sem_describe_wait, &options);
	do
		result = ipcu_sem_wait(sem, options.units, deadline);
	while (sem_again(result) || sem_reopened(&sem, &options, result));
	cli_wait_end(&wait);
	cli_stops_finish();
	status = cli_status(&options.common, options.words[0], result);
	ipcu_sem_close(sem);
	return status;
}

static const struct argp post_argp = {
	.options = units_table,
	.parser = sem_parse,
	.args_doc = "NAME",
	.doc = "Give units of NAME that were taken for good (V). More than were taken is an "
	       "error (5)." CLI_EXIT_STATUSES,
	.children = creating_children,
};

int sem_post(int argc, char **argv)
{
	struct sem_options options = { 0 };
	ipcu_sem *sem;
	int status = sem_start(&post_argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	status = sem_open(&sem, &options);
	if (status)
		return status;
	status = cli_status(&options.common, options.words[0], ipcu_sem_post(sem, options.units));
	ipcu_sem_close(sem);
	return status;
}

/* ---- get, set ----------------------------------------------------------- */

static const struct argp_option index_table[] = {
	{ NULL, 0, NULL, 0, "Which semaphore:", 1 },
	SEM_INDEX,
	{ 0 },
};
static const struct argp_child get_children[] = { { &cli_standard, 0, NULL, 0 }, { 0 } };

static const struct argp get_argp = {
	.options = index_table,
	.parser = sem_parse,
	.args_doc = "NAME",
	.doc = "Print how many units of NAME are free." CLI_EXIT_STATUSES,
	.children = get_children,
};

int sem_get(int argc, char **argv)
{
	struct sem_options options = { 0 };
	enum ipcu_result result;
	unsigned value;
	ipcu_sem *sem;
	int status = sem_start(&get_argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	options.common.open.create = IPCU_CREATE_NEVER;
	status = sem_open(&sem, &options);
	if (status)
		return status;
	result = ipcu_sem_get(sem, &value);
	if (result == IPCU_OK)
		printf("%u\n", value);
	ipcu_sem_close(sem);
	return cli_status(&options.common, options.words[0], result);
}

static const struct argp set_argp = {
	.options = index_table,
	.parser = sem_parse,
	.args_doc = "NAME VALUE",
	.doc = "Make VALUE units of NAME free; those that are missing to its count, and that nobody holds, are then "
	       "taken for good. No holder loses anything." CLI_EXIT_STATUSES,
	.children = creating_children,
};

int sem_set(int argc, char **argv)
{
	struct sem_options options = { .more = "a VALUE", .more_min = 1, .more_max = 1 };
	int64_t value;
	ipcu_sem *sem;
	int status = sem_start(&set_argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	if (ipcu_parse_number(options.words[1], 0, UINT32_MAX, &value) != IPCU_OK)
		return cli_status(&options.common, options.words[0], IPCU_USAGE);
	status = sem_open(&sem, &options);
	if (status)
		return status;
	status = cli_status(&options.common, options.words[0], ipcu_sem_set(sem, (unsigned)value));
	ipcu_sem_close(sem);
	return status;
}

/* ---- op ----------------------------------------------------------------- */

static const struct argp_child op_children[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

static const struct argp op_argp = {
	.parser = sem_parse,
	.args_doc = "NAME OP... [-- COMMAND [ARG...]]",
	.doc = "Do all OPs on the raw set NAME (key:, id: or ftok:) in one atomic semop(2). OP is INDEX:DELTA, "
	       "as 0:-1 or 2:+3; 1:0 waits for zero. A u behind it has the kernel undo it when the "
	       "process ends, which makes sense with COMMAND; an n makes it fail instead of wait." CLI_EXIT_STATUSES,
	.children = op_children,
};

/* INDEX:DELTA[u][n] */
static enum ipcu_result parse_op(const char *text, struct sembuf *op)
{
	char number[16];
	const char *at = strchr(text, ':');
	int64_t index, delta;
	size_t length;

	if (!at || (size_t)(at - text) >= sizeof(number))
		goto malformed;
	snprintf(number, sizeof(number), "%.*s", (int)(at - text), text);
	if (ipcu_parse_number(number, 0, 65535, &index) != IPCU_OK)
		goto malformed;
	at += 1 + (at[1] == '+');
	length = strcspn(at, "un");
	if (length >= sizeof(number) || (at[-1] == '+' && *at == '-'))
		goto malformed;
	snprintf(number, sizeof(number), "%.*s", (int)length, at);
	if (ipcu_parse_number(number, -(int64_t)IPCU_SEM_COUNT_MAX, IPCU_SEM_COUNT_MAX, &delta) !=
	    IPCU_OK)
		goto malformed;
	*op = (struct sembuf){ (unsigned short)index, (short)delta, 0 };
	for (at += length; *at; at++) {
		short flag = (short)(*at == 'u' ? SEM_UNDO : *at == 'n' ? IPC_NOWAIT : 0);

		if (!flag || op->sem_flg & flag)
			goto malformed;
		op->sem_flg = (short)(op->sem_flg | flag);
	}
	return IPCU_OK;
malformed:
	return ipcu_fail(IPCU_USAGE, "'%s' is not an operation like 0:-1, 0:-1u, 1:0 or 2:+3n",
			 text);
}

static int operate(const struct sem_options *options, struct sembuf *ops, size_t count,
		   const char *path)
{
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	enum ipcu_result result;
	ipcu_sem *sem;
	int status = sem_open(&sem, options);

	if (status)
		return status;
	do
		result = ipcu_sem_op(sem, ops, count, deadline);
	while (sem_again(result));
	status = cli_status(&options->common, options->words[0], result);
	if (result == IPCU_OK && options->command)
		status = sem_become(options, path);
	ipcu_sem_close(sem);
	return status;
}

int sem_op(int argc, char **argv)
{
	struct sem_options options = {
		.more = "at least one OP", .more_min = 1, .more_max = 500, .needs_set = true
	};
	char path[CLI_PATH_MAX] = "";
	struct sembuf *ops;
	int status;

	options.command = cli_split_command(&argc, argv);
	options.needs_command = options.command != NULL;
	status = sem_start(&op_argp, argc, argv, &options);
	if (status || options.common.finished)
		return status;
	ops = calloc((size_t)options.word_count, sizeof(*ops));
	if (!ops)
		return cli_status(&options.common, NULL,
				  ipcu_fail_call("malloc", ENOMEM, "cannot start"));
	for (int i = 1; i < options.word_count && !status; i++)
		status = cli_status(&options.common, options.words[0],
				    parse_op(options.words[i], &ops[i - 1]));
	/* A command that is not there must not find everything done. */
	if (!status && options.command && (status = cli_find_command(options.command[0], path)))
		cli_cannot_run(&options.common, options.command[0], status);
	if (!status)
		status = operate(&options, ops, (size_t)options.word_count - 1, path);
	free(ops);
	if (status == IPCU_USAGE && !options.command)
		cli_hint_separator(argc, argv, false, "ipc-sem op NAME OP -- COMMAND");
	return status;
}
