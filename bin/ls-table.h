/* SPDX-License-Identifier: MIT
 * ls-table.h - what ipc-ls shows of an object, and the table it is shown in
 */
#ifndef LS_TABLE_H
#define LS_TABLE_H

#include <stdio.h>

#include "cli-start.h"

#define LS_COLUMNS_MAX 64

struct ls_view {
	int columns[LS_COLUMNS_MAX]; /* indexes into the table of all columns */
	size_t column_count;
	bool json, noheadings;
	uid_t self; /* whose names are shown without their owner */
};

/* The columns of "NAME,KEY", or of "+KEY" behind the default ones. IPCU_USAGE with a sentence. */
enum ipcu_result ls_columns(struct ls_view *view, const char *list);

/* The names of all columns and what they show, for --help. */
void ls_print_columns(FILE *out);

struct ls_table;

/* NULL without memory. */
struct ls_table *ls_table_new(const struct ls_view *view);
enum ipcu_result ls_table_add(struct ls_table *table, const struct ipcu_info *info);

/* Print and free. IPCU_LIMIT: no memory. */
enum ipcu_result ls_table_finish(struct ls_table *table);

/* The table of --limits. */
enum ipcu_result ls_limits(const struct ls_view *view);

#endif
