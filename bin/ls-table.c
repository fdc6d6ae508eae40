/* SPDX-License-Identifier: MIT
 * ls-table.c - what ipc-ls shows of an object, and the table it is shown in
 *
 * libsmartcols knows terminals, widths and JSON; here is only which column says what.
 */
#include <config.h>

#include <errno.h>
#include <grp.h>
#include <libsmartcols.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "error.h"
#include "ls-table.h"

#define TEXT_MAX 160

/* How a cell is written; the uid is the user's own, for names. */
typedef void (*cell_fn)(char *text, const struct ipcu_info *info, uid_t self);

struct column {
	const char *name;
	cell_fn cell;
	int kinds; /* bits of the kinds it has a value for; 0: all */
	int json;  /* SCOLS_JSON_... */
	int flags;
	const char *help;
};

#define QUEUES (1 << IPCU_KIND_QUEUE)
#define MEMORY (1 << IPCU_KIND_MEMORY | 1 << IPCU_KIND_PIPE)

static void put_user(char *text, uid_t uid)
{
	const struct passwd *entry = getpwuid(uid);

	if (entry)
		snprintf(text, TEXT_MAX, "%s", entry->pw_name);
	else
		snprintf(text, TEXT_MAX, "%lu", (unsigned long)uid);
}

static void put_number(char *text, uint64_t number)
{
	snprintf(text, TEXT_MAX, "%llu", (unsigned long long)number);
}

static void put_time(char *text, int64_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm tm;

	text[0] = '\0';
	if (seconds && localtime_r(&when, &tm))
		strftime(text, TEXT_MAX, "%Y-%m-%dT%H:%M:%S%z", &tm);
}

static void cell_name(char *text, const struct ipcu_info *info, uid_t self)
{
	char owner[TEXT_MAX];

	text[0] = '\0';
	if (!info->name)
		return;
	if (info->creator == self) {
		snprintf(text, TEXT_MAX, "%s", info->name);
		return;
	}
	put_user(owner, info->creator);
	snprintf(text, TEXT_MAX, "%.60s/%s", owner, info->name);
}

static void cell_kind(char *text, const struct ipcu_info *info, uid_t self)
{
	(void)self;
	snprintf(text, TEXT_MAX, "%s", ipcu_kind_name(info->kind));
}

static void cell_key(char *text, const struct ipcu_info *info, uid_t self)
{
	(void)self;
	snprintf(text, TEXT_MAX, "0x%08x", (unsigned)info->key);
}

static void cell_id(char *text, const struct ipcu_info *info, uid_t self)
{
	(void)self;
	text[0] = '\0';
	if (!info->gone)
		put_number(text, (uint64_t)info->id);
}

static void cell_owner(char *text, const struct ipcu_info *info, uid_t self)
{
	(void)self;
	put_user(text, info->owner);
}

static void cell_creator(char *text, const struct ipcu_info *info, uid_t self)
{
	(void)self;
	put_user(text, info->creator);
}

static void cell_group(char *text, const struct ipcu_info *info, uid_t self)
{
	const struct group *entry = getgrgid(info->group);

	(void)self;
	if (entry)
		snprintf(text, TEXT_MAX, "%s", entry->gr_name);
	else
		put_number(text, info->group);
}

static void cell_mode(char *text, const struct ipcu_info *info, uid_t self)
{
	(void)self;
	snprintf(text, TEXT_MAX, "%03o", (unsigned)info->mode);
}

static void cell_state(char *text, const struct ipcu_info *info, uid_t self)
{
	char waiting[40] = "";

	(void)self;
	if (info->kind == IPCU_KIND_SEMAPHORE && info->waiters > 0)
		snprintf(waiting, sizeof(waiting), ", %lld waiting", (long long)info->waiters);
	if (info->gone)
		snprintf(text, TEXT_MAX, "gone: removed by another program");
	else if (info->internal && info->kind == IPCU_KIND_MEMORY)
		snprintf(text, TEXT_MAX, "%s, %llu bytes", info->purpose,
			 (unsigned long long)info->size);
	else if (info->internal)
		snprintf(text, TEXT_MAX, "%s", info->purpose);
	else if (info->kind == IPCU_KIND_QUEUE)
		snprintf(text, TEXT_MAX, "%llu messages, %llu bytes",
			 (unsigned long long)info->messages, (unsigned long long)info->bytes);
	else if (info->kind == IPCU_KIND_BARRIER)
		snprintf(text, TEXT_MAX, "%llu/%llu waiting%s", (unsigned long long)info->waiting,
			 (unsigned long long)info->definition[0], info->broken ? ", broken" : "");
	else if (info->kind == IPCU_KIND_EVENT && info->waiting)
		snprintf(text, TEXT_MAX, "not set, %llu waiting",
			 (unsigned long long)info->waiting);
	else if (info->kind == IPCU_KIND_EVENT)
		snprintf(text, TEXT_MAX, "%s", info->set ? "set" : "not set");
	else if (info->kind == IPCU_KIND_MEMORY || info->kind == IPCU_KIND_PIPE)
		snprintf(text, TEXT_MAX, "%llu bytes, %llu attached",
			 (unsigned long long)info->size, (unsigned long long)info->attached);
	else if (info->kind == IPCU_KIND_SEMAPHORE && info->name && info->value >= 0)
		snprintf(text, TEXT_MAX, "%lld/%lld free%s", (long long)info->value,
			 (long long)info->count, waiting);
	else
		snprintf(text, TEXT_MAX, "%llu semaphores", (unsigned long long)info->semaphores);
}

#define NUMBER_CELL(function, member)                                              \
	static void function(char *text, const struct ipcu_info *info, uid_t self) \
	{                                                                          \
		(void)self;                                                        \
		put_number(text, (uint64_t)info->member);                          \
	}
NUMBER_CELL(cell_messages, messages)
NUMBER_CELL(cell_bytes, bytes)
NUMBER_CELL(cell_bytes_max, bytes_max)
NUMBER_CELL(cell_sender, last_sender)
NUMBER_CELL(cell_receiver, last_receiver)
NUMBER_CELL(cell_size, size)
NUMBER_CELL(cell_attached, attached)

#define TIME_CELL(function, member)                                                \
	static void function(char *text, const struct ipcu_info *info, uid_t self) \
	{                                                                          \
		(void)self;                                                        \
		put_time(text, info->member);                                      \
	}
TIME_CELL(cell_changed, changed)
TIME_CELL(cell_send_time, send_time)
TIME_CELL(cell_receive_time, receive_time)
TIME_CELL(cell_attach_time, attach_time)
TIME_CELL(cell_detach_time, detach_time)

static const struct column all_columns[] = {
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
	{ "BYTES", cell_bytes, QUEUES, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT, "bytes in the queue" },
	{ "BYTES-MAX", cell_bytes_max, QUEUES, SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT,
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
};
#define COLUMN_COUNT (sizeof(all_columns) / sizeof(all_columns[0]))
#define DEFAULT_COUNT 7

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

/* ---- the table -------------------------------------------------------------- */

struct ls_table {
	struct libscols_table *table;
	const struct ls_view *view;
};

static struct libscols_table *new_table(const struct ls_view *view, const char *name)
{
	struct libscols_table *table = scols_new_table();

	if (!table)
		return NULL;
	scols_table_set_name(table, name);
	scols_table_enable_json(table, view->json);
	scols_table_enable_noheadings(table, view->noheadings);
	return table;
}

/* lsblk(8) writes JSON members in lower case, so we do: "send-time". */
static bool new_column(struct libscols_table *table, const char *name, int json_type, int flags,
		       bool json)
{
	char lower[32];
	struct libscols_column *column;
	size_t i;

	for (i = 0; i < sizeof(lower) - 1 && name[i]; i++)
		lower[i] =
			(char)(json && name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	lower[i] = '\0';
	column = scols_table_new_column(table, lower, 0.1, flags);
	return column && scols_column_set_json_type(column, json_type) == 0;
}

static enum ipcu_result print(struct libscols_table *table)
{
	int result = scols_print_table(table);

	scols_unref_table(table);
	return result == 0 ? IPCU_OK : ipcu_fail_call("malloc", ENOMEM, "cannot print the table");
}

struct ls_table *ls_table_new(const struct ls_view *view)
{
	struct ls_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	scols_init_debug(0);
	table->view = view;
	table->table = new_table(view, "objects");
	for (size_t i = 0; table->table && i < view->column_count; i++) {
		const struct column *column = &all_columns[view->columns[i]];

		if (!new_column(table->table, column->name, column->json, column->flags,
				view->json)) {
			scols_unref_table(table->table);
			table->table = NULL;
		}
	}
	if (table->table)
		return table;
	free(table);
	return NULL;
}

enum ipcu_result ls_table_add(struct ls_table *table, const struct ipcu_info *info)
{
	struct libscols_line *line = scols_table_new_line(table->table, NULL);
	char text[TEXT_MAX];

	if (!line)
		return ipcu_fail_call("malloc", ENOMEM, "cannot list");
	for (size_t i = 0; i < table->view->column_count; i++) {
		const struct column *column = &all_columns[table->view->columns[i]];

		if (column->kinds && !(column->kinds >> info->kind & 1))
			continue;
		column->cell(text, info, table->view->self);
		if (text[0] && scols_line_set_data(line, i, text) != 0)
			return ipcu_fail_call("malloc", ENOMEM, "cannot list");
	}
	return IPCU_OK;
}

enum ipcu_result ls_table_finish(struct ls_table *table)
{
	enum ipcu_result result = print(table->table);

	free(table);
	return result;
}

/* ---- limits ----------------------------------------------------------------- */

static bool add_limit(struct libscols_table *table, const struct ipcu_limit *limit)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char number[24], used[24] = "", percent[16] = "";

	if (!line)
		return false;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)limit->limit);
	if (limit->has_used)
		snprintf(used, sizeof(used), "%llu", (unsigned long long)limit->used);
	if (limit->has_used && limit->limit)
		snprintf(percent, sizeof(percent), "%.0f%%",
			 100.0 * (double)limit->used / (double)limit->limit);
	return scols_line_set_data(line, 0, limit->name) == 0 &&
	       scols_line_set_data(line, 1, limit->description) == 0 &&
	       scols_line_set_data(line, 2, number) == 0 &&
	       (!used[0] || scols_line_set_data(line, 3, used) == 0) &&
	       (!percent[0] || scols_line_set_data(line, 4, percent) == 0) &&
	       scols_line_set_data(line, 5, limit->unit) == 0 &&
	       scols_line_set_data(line, 6, limit->sysctl) == 0;
}

enum ipcu_result ls_limits(const struct ls_view *view)
{
	static const struct {
		const char *name;
		int json, flags;
	} columns[] = {
		{ "LIMIT", SCOLS_JSON_STRING, 0 },
		{ "WHAT", SCOLS_JSON_STRING, 0 },
		{ "MAXIMUM", SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT },
		{ "USED", SCOLS_JSON_NUMBER, SCOLS_FL_RIGHT },
		{ "USE%", SCOLS_JSON_STRING, SCOLS_FL_RIGHT },
		{ "UNIT", SCOLS_JSON_STRING, 0 },
		{ "SYSCTL", SCOLS_JSON_STRING, 0 },
	};
	struct ipcu_limit limits[32];
	size_t count;
	struct libscols_table *table;
	enum ipcu_result result = ipcu_limits(limits, 32, &count);
	bool ok;

	if (result != IPCU_OK)
		return result;
	scols_init_debug(0);
	table = new_table(view, "limits");
	ok = table != NULL;
	for (size_t i = 0; ok && i < sizeof(columns) / sizeof(columns[0]); i++)
		ok = new_column(table, columns[i].name, columns[i].json, columns[i].flags,
				view->json);
	for (size_t i = 0; ok && i < count; i++)
		ok = add_limit(table, &limits[i]);
	if (ok)
		return print(table);
	scols_unref_table(table);
	return ipcu_fail_call("malloc", ENOMEM, "cannot list the limits");
}
