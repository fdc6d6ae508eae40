/* SPDX-License-Identifier: MIT
 * ls-columns.c - which column of ipc-ls says what
 */
#include <config.h>

#include <grp.h>
#include <libsmartcols.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cli-output.h"
#include "cli-state.h"
#include "error.h"
#include "ls-table.h"
#include "parse.h"
#include "process.h"
#include "text.h"

#define QUEUES (1 << IPCU_KIND_QUEUE)
#define STREAMS (QUEUES | 1 << IPCU_KIND_PIPE)
#define MEMORY (1 << IPCU_KIND_MEMORY | 1 << IPCU_KIND_PIPE)

static void put_number(FILE *out, uint64_t number)
{
	fprintf(out, "%llu", (unsigned long long)number);
}

static void put_time(FILE *out, int64_t seconds)
{
	time_t when = (time_t)seconds;
	char text[40];
	struct tm tm;

	if (seconds && localtime_r(&when, &tm) &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm))
		fputs(text, out);
}

/*
 * Put text that another user may have chosen. In JSON the whole document is made safe when it is printed; until then only
 * bytes that are not UTF-8 are escaped, because JSON has no other form for them.
 */
static void put_safely(FILE *out, const struct ls_row *row, const char *text)
{
	const char *end = text + strlen(text);
	bool shown;

	if (!row->view->json) {
		cli_print_safe(out, text);
		return;
	}
	for (size_t size; text < end; text += size) {
		size = ipcu_text_next(text, end, &shown);
		if (ipcu_utf8(text, size))
			fwrite(text, 1, size, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*text);
	}
}

static void cell_name(FILE *out, const struct ls_row *row)
{
	if (!row->info->name)
		return;
	if (row->info->creator != row->view->self) {
		cli_print_user(out, row->info->creator);
		putc('/', out);
	}
	put_safely(out, row, row->info->name);
}

static void cell_kind(FILE *out, const struct ls_row *row)
{
	fputs(ipcu_kind_name(row->info->kind), out);
}

static void cell_key(FILE *out, const struct ls_row *row)
{
	fprintf(out, "0x%08x", (unsigned)row->info->key);
}

static void cell_id(FILE *out, const struct ls_row *row)
{
	if (!row->info->gone)
		put_number(out, (uint64_t)row->info->id);
}

static void cell_owner(FILE *out, const struct ls_row *row)
{
	cli_print_user(out, row->info->owner);
}

static void cell_creator(FILE *out, const struct ls_row *row)
{
	cli_print_user(out, row->info->creator);
}

static void cell_group(FILE *out, const struct ls_row *row)
{
	const struct group *entry = getgrgid(row->info->group);

	if (entry)
		fputs(entry->gr_name, out);
	else
		put_number(out, row->info->group);
}

static void cell_mode(FILE *out, const struct ls_row *row)
{
	fprintf(out, "%03o", (unsigned)row->info->mode);
}

static void cell_state(FILE *out, const struct ls_row *row)
{
	cli_print_state(out, row->info);
}

#define NUMBER_CELL(function, member)                             \
	static void function(FILE *out, const struct ls_row *row) \
	{                                                         \
		put_number(out, (uint64_t)row->info->member);     \
	}
NUMBER_CELL(cell_messages, messages)
NUMBER_CELL(cell_bytes, bytes)
NUMBER_CELL(cell_bytes_max, bytes_max)
NUMBER_CELL(cell_sender, last_sender)
NUMBER_CELL(cell_receiver, last_receiver)
NUMBER_CELL(cell_size, size)
NUMBER_CELL(cell_attached, attached)

#define TIME_CELL(function, member)                               \
	static void function(FILE *out, const struct ls_row *row) \
	{                                                         \
		put_time(out, row->info->member);                 \
	}
TIME_CELL(cell_changed, changed)
TIME_CELL(cell_send_time, send_time)
TIME_CELL(cell_receive_time, receive_time)
TIME_CELL(cell_attach_time, attach_time)
TIME_CELL(cell_detach_time, detach_time)

/* As short as a person would say it, in the two largest units; for programs in seconds. */
static void cell_age(FILE *out, const struct ls_row *row)
{
	static const struct {
		int64_t seconds;
		char letter;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	int64_t age = time(NULL) - row->info->created;
	size_t i = 0;

	if (!row->info->created)
		return;
	if (age < 0)
		age = 0;
	if (row->view->json) {
		put_number(out, (uint64_t)age);
		return;
	}
	while (i < 3 && age < units[i].seconds)
		i++;
	fprintf(out, "%lld%c", (long long)(age / units[i].seconds), units[i].letter);
	age %= units[i].seconds;
	if (i < 3 && age >= units[i + 1].seconds)
		fprintf(out, "%lld%c", (long long)(age / units[i + 1].seconds),
			units[i + 1].letter);
}

/* ---- who uses it: a line for each process ------------------------------------ */

static void cell_waiters(FILE *out, const struct ls_row *row)
{
	int64_t waiters = cli_users_waiting(row->info, row->uses);

	if (waiters >= 0)
		put_number(out, (uint64_t)waiters);
}

static void cell_pids(FILE *out, const struct ls_row *row)
{
	for (size_t i = 0; i < row->uses->count; i++)
		fprintf(out, "%s%d", i ? "\n" : "", (int)row->uses->items[i].pid);
}

static void cell_use(FILE *out, const struct ls_row *row)
{
	for (size_t i = 0; i < row->uses->count; i++)
		fprintf(out, "%s%s", i ? "\n" : "", row->uses->items[i].how);
}

static void cell_command(FILE *out, const struct ls_row *row)
{
	char command[128];

	for (size_t i = 0; i < row->uses->count; i++) {
		if (i)
			putc('\n', out);
		ipcu_process_command(row->uses->items[i].pid, command, sizeof(command));
		put_safely(out, row, command);
	}
}

static const struct ls_column all_columns[] = {
	{ "NAME", cell_name, 0, SCOLS_JSON_STRING, 0,
	  "the name, OWNER/NAME if it is another user's" },
	{ "KIND", cell_kind, 0, SCOLS_JSON_STRING, 0, "queue, semaphore, memory..." },
	{ "KEY", cell_key, 0, SCOLS_JSON_STRING, 0,
	  "the System V key, for key:KEY and other programs" },
	{ "ID", cell_id, 0, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "the System V identifier, for id:ID" },
	{ "OWNER", cell_owner, 0, SCOLS_JSON_STRING, 0, "the user it belongs to" },
	{ "MODE", cell_mode, 0, SCOLS_JSON_STRING, 0, "permission bits" },
	{ "STATE", cell_state, 0, SCOLS_JSON_STRING, 0, "what is in it" },
	{ "GROUP", cell_group, 0, SCOLS_JSON_STRING, 0, "the group it belongs to" },
	{ "CREATOR", cell_creator, 0, SCOLS_JSON_STRING, 0, "the user who made it" },
	{ "MESSAGES", cell_messages, QUEUES, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "messages in the queue" },
	{ "BYTES", cell_bytes, STREAMS, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "bytes in the queue or pipe" },
	{ "BYTES-MAX", cell_bytes_max, STREAMS, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "bytes it can hold" },
	{ "SENDER", cell_sender, QUEUES, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "process that sent last" },
	{ "RECEIVER", cell_receiver, QUEUES, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "process that received last" },
	{ "SEND-TIME", cell_send_time, QUEUES, SCOLS_JSON_STRING, 0, "when" },
	{ "RECV-TIME", cell_receive_time, QUEUES, SCOLS_JSON_STRING, 0, "when" },
	{ "SIZE", cell_size, MEMORY, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT, "bytes of the segment" },
	{ "ATTACHED", cell_attached, MEMORY, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "how often it is attached" },
	{ "ATTACH-TIME", cell_attach_time, MEMORY, SCOLS_JSON_STRING, 0, "when it was last" },
	{ "DETACH-TIME", cell_detach_time, MEMORY, SCOLS_JSON_STRING, 0, "when it was last" },
	{ "CHANGED", cell_changed, 0, SCOLS_JSON_STRING, 0,
	  "when it was made, or its mode changed" },
	{ "AGE", cell_age, 0, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
	  "how long it has its name, or else CHANGED" },
	{ "WAITERS", cell_waiters, 0, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT, "how many wait for it" },
	{ "PIDS", cell_pids, 0, SCOLS_JSON_ARRAY_NUMBER, SCOLS_FL_RIGHT | SCOLS_FL_WRAP,
	  "processes that use it, a line each" },
	{ "USE", cell_use, 0, SCOLS_JSON_ARRAY_STRING, SCOLS_FL_WRAP,
	  "holds, waits, receives, sends, attached" },
	{ "COMMAND", cell_command, 0, SCOLS_JSON_ARRAY_STRING, SCOLS_FL_WRAP, "what they run" },
};
#define COLUMN_COUNT (sizeof(all_columns) / sizeof(all_columns[0]))
#define DEFAULT_COUNT 7

const struct ls_column *ls_column(int index)
{
	return &all_columns[index];
}

bool ls_needs_uses(const struct ls_view *view)
{
	for (size_t i = 0; i < view->column_count; i++) {
		const struct ls_column *column = &all_columns[view->columns[i]];

		if (column->flags & SCOLS_FL_WRAP || column->cell == cell_waiters)
			return true;
	}
	return false;
}

void ls_print_columns(FILE *out)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		fprintf(out, "  %-12s %s\n", all_columns[i].name, all_columns[i].help);
}

static void add_defaults(struct ls_view *view)
{
	for (int i = 0; i < DEFAULT_COUNT; i++)
		view->columns[view->column_count++] = i;
}

enum ipcu_result ls_columns(struct ls_view *view, const char *list)
{
	view->column_count = 0;
	if (!list || *list == '+') {
		add_defaults(view);
		if (!list)
			return IPCU_OK;
		list++;
	}
	for (;;) {
		size_t length = strcspn(list, ","), i;

		for (i = 0; i < COLUMN_COUNT; i++)
			if (strlen(all_columns[i].name) == length &&
			    strncasecmp(all_columns[i].name, list, length) == 0)
				break;
		if (i == COLUMN_COUNT || view->column_count == LS_COLUMNS_MAX) {
			ipcu_fail(IPCU_USAGE, "'%.*s' is not a column; --help lists them",
				  (int)length, list);
			return IPCU_USAGE;
		}
		view->columns[view->column_count++] = (int)i;
		if (!list[length])
			return IPCU_OK;
		list += length + 1;
	}
}
