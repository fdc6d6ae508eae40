/* SPDX-License-Identifier: MIT
 * ls-table.h - the parts of ipc-ls: columns, the table
 */
#ifndef LS_TABLE_H
#define LS_TABLE_H

#include <stdio.h>

#include "cli-start.h"
#include "cli-users.h"

#define LS_COLUMNS_MAX 64

struct ls_view {
	int columns[LS_COLUMNS_MAX]; /* indexes into the table of all columns */
	size_t column_count;
	bool json, noheadings;
	uid_t self;   /* whose names are shown without their owner */
	size_t lines; /* that fit on the screen; 0: any number */
};

/* ls-columns.c: what a column shows. */

struct ls_row {
	const struct ipcu_info *info;
	const struct ls_view *view;
	const struct cli_uses *uses; /* empty unless a column uses them */
};

struct ls_column {
	const char *name;
	void (*cell)(FILE *out, const struct ls_row *row); /* nothing: there is no value */
	int kinds; /* bits of the kinds it has a value for; 0: all */
	int json;  /* SCOLS_JSON_... */
	int flags; /* SCOLS_FL_...; WRAP: a line for each user */
	const char *help;
};

const struct ls_column *ls_column(int index);

/* Whether a column of VIEW shows who uses an object. */
bool ls_needs_uses(const struct ls_view *view);

/* The columns of "NAME,KEY", or of "+KEY" behind the default ones. IPCU_USAGE with a sentence. */
enum ipcu_result ls_columns(struct ls_view *view, const char *list);

/* The names of all columns and what they show, for --help. */
void ls_print_columns(FILE *out);

/* ls-table.c: the table. */

struct ls_table;

/* NULL without memory. */
struct ls_table *ls_table_new(const struct ls_view *view);
enum ipcu_result ls_table_add(struct ls_table *table, const struct ipcu_info *info);

/* Print and free. IPCU_LIMIT: no memory. */
enum ipcu_result ls_table_finish(struct ls_table *table);

/* Free without printing. */
void ls_table_discard(struct ls_table *table);

/* The table of --limits. */
enum ipcu_result ls_limits(const struct ls_view *view);

#endif
