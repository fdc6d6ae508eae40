/* SPDX-License-Identifier: MIT
 * ls-table.c - the table of ipc-ls
 *
 * libsmartcols knows terminals, widths and JSON. A cell with several lines is an array there.
 */
#include <config.h>

#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "cli-output.h"
#include "error.h"
#include "ls-table.h"

struct ls_table {
	struct libscols_table *table;
	const struct ls_view *view;
	struct cli_users *users; /* NULL: no column shows them */
	struct cli_uses uses;
	FILE *cell; /* writes into text */
	char *text;
	size_t size;
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
	if (!column || scols_column_set_json_type(column, json_type) != 0)
		return false;
	/* ls-columns.c has escaped what must not be shown: backslashes are ours. */
	if (scols_column_set_safechars(column, flags & SCOLS_FL_WRAP ? "\n\\" : "\\") != 0)
		return false;
	return !(flags & SCOLS_FL_WRAP) ||
	       (scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk,
					  NULL) == 0);
}

/* The first lines of TEXT, and how many are missing then: what does not fit would scroll the headings away. */
static void print_screen(const char *text, size_t lines)
{
	size_t count = 0;
	const char *at = text;

	for (const char *end = text; (end = strchr(end, '\n')); end++)
		count++;
	if (*text && text[strlen(text) - 1] != '\n')
		count++;
	for (size_t i = 0; i < (count > lines ? lines - 1 : count); i++) {
		size_t length = strcspn(at, "\n");

		printf("%.*s\n", (int)length, at);
		at += length + 1;
	}
	if (count > lines)
		printf("... %zu more lines\n", count - lines + 1);
}

/* Print the JSON in TEXT, with what a terminal could obey escaped. */
static bool print_json(const char *text)
{
	struct cli_buffer safe = { 0 };

	cli_put_json_document(&safe, text);
	if (!safe.failed && safe.used)
		fwrite(safe.bytes, 1, safe.used, stdout);
	free(safe.bytes);
	return !safe.failed;
}

static enum ipcu_result print(struct libscols_table *table, const struct ls_view *view)
{
	char *text = NULL;
	bool whole = view->lines || view->json;
	bool good =
		(whole ? scols_print_table_to_string(table, &text) : scols_print_table(table)) == 0;

	if (text && view->json)
		good = print_json(text) && good;
	else if (text)
		print_screen(text, view->lines);
	free(text);
	scols_unref_table(table);
	return good ? IPCU_OK : ipcu_fail_call("malloc", ENOMEM, "cannot print the table");
}

static void free_table(struct ls_table *table)
{
	if (table->cell)
		fclose(table->cell);
	free(table->text);
	free(table->uses.items);
	cli_users_free(table->users);
	free(table);
}

struct ls_table *ls_table_new(const struct ls_view *view)
{
	struct ls_table *table = calloc(1, sizeof(*table));
	bool good;

	if (!table)
		return NULL;
	scols_init_debug(0);
	table->view = view;
	table->cell = open_memstream(&table->text, &table->size);
	table->table = new_table(view, "objects");
	if (ls_needs_uses(view))
		table->users = cli_users_new();
	good = table->cell && table->table && (table->users || !ls_needs_uses(view));
	for (size_t i = 0; good && i < view->column_count; i++) {
		const struct ls_column *column = ls_column(view->columns[i]);

		good = new_column(table->table, column->name, column->json, column->flags,
				  view->json);
	}
	if (good)
		return table;
	scols_unref_table(table->table);
	free_table(table);
	return NULL;
}

/* One cell, into the same memory as all others. */
static bool fill(struct ls_table *table, struct libscols_line *line, size_t number,
		 const struct ls_row *row)
{
	const struct ls_column *column = ls_column(table->view->columns[number]);

	if (column->kinds && !(column->kinds >> row->info->kind & 1))
		return true;
	rewind(table->cell);
	column->cell(table->cell, row);
	putc('\0', table->cell);
	return fflush(table->cell) == 0 &&
	       (!table->text[0] || scols_line_set_data(line, number, table->text) == 0);
}

enum ipcu_result ls_table_add(struct ls_table *table, const struct ipcu_info *info)
{
	struct ls_row row = { .info = info, .view = table->view, .uses = &table->uses };
	struct libscols_line *line = scols_table_new_line(table->table, NULL);
	bool good = line && (!table->users || cli_users_of(table->users, info, &table->uses));

	for (size_t i = 0; good && i < table->view->column_count; i++)
		good = fill(table, line, i, &row);
	return good ? IPCU_OK : ipcu_fail_call("malloc", ENOMEM, "cannot list");
}

enum ipcu_result ls_table_finish(struct ls_table *table)
{
	enum ipcu_result result = print(table->table, table->view);

	free_table(table);
	return result;
}

void ls_table_discard(struct ls_table *table)
{
	scols_unref_table(table->table);
	free_table(table);
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
		return print(table, view);
	scols_unref_table(table);
	return ipcu_fail_call("malloc", ENOMEM, "cannot list the limits");
}
