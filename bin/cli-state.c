/* SPDX-License-Identifier: MIT
 * cli-state.c - what an object holds, in words
 */
#include <config.h>

#include <pwd.h>
#include <stdio.h>

#include "cli-output.h"
#include "cli-state.h"
#include "object.h"
#include "process.h"

void cli_print_user(FILE *out, uid_t uid)
{
	const struct passwd *entry = getpwuid(uid);

	if (entry)
		fputs(entry->pw_name, out);
	else
		fprintf(out, "%lu", (unsigned long)uid);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

void cli_print_state(FILE *out, const struct ipcu_info *info)
{
	static const char *const ends[2][4] = {
		{ "nobody", "writer, no reader", "reader, no writer", "writer and reader" },
		{ "nobody", "one end", "one end", "both ends" },
	};
	char waiting[40] = "";

	if (info->kind == IPCU_KIND_SEMAPHORE && info->waiters > 0)
		snprintf(waiting, sizeof(waiting), ", %lld waiting", (long long)info->waiters);
	if (info->nameless)
		fprintf(out, "%s (name lost), ", ipcu_kind_name(info->kind));
	if (info->gone)
		fputs("gone: removed by another program", out);
	else if (info->internal && info->kind == IPCU_KIND_MEMORY)
		fprintf(out, "%s, %llu byte%s", info->purpose, (unsigned long long)info->size,
			plural(info->size));
	else if (info->internal)
		fputs(info->purpose, out);
	else if (info->kind == IPCU_KIND_QUEUE)
		fprintf(out, "%llu message%s, %llu byte%s", (unsigned long long)info->messages,
			plural(info->messages), (unsigned long long)info->bytes,
			plural(info->bytes));
	else if (info->kind == IPCU_KIND_BARRIER)
		fprintf(out, "%llu/%llu waiting%s", (unsigned long long)info->waiting,
			(unsigned long long)info->definition[0], info->broken ? ", broken" : "");
	else if (info->kind == IPCU_KIND_EVENT && info->waiting)
		fprintf(out, "not set, %llu waiting", (unsigned long long)info->waiting);
	else if (info->kind == IPCU_KIND_EVENT)
		fputs(info->set ? "set" : "not set", out);
	else if (info->kind == IPCU_KIND_PIPE)
		fprintf(out, "%llu byte%s, %s", (unsigned long long)info->bytes,
			plural(info->bytes), ends[info->definition[1] == 2][info->ends & 3]);
	else if (info->kind == IPCU_KIND_MEMORY)
		fprintf(out, "%llu byte%s, %llu attached", (unsigned long long)info->size,
			plural(info->size), (unsigned long long)info->attached);
	else if (info->kind == IPCU_KIND_SEMAPHORE && (info->name || info->nameless) &&
		 info->value >= 0)
		fprintf(out, "%lld/%lld free%s%s", (long long)info->value, (long long)info->count,
			waiting, info->transient ? ", transient" : "");
	else
		fprintf(out, "%llu semaphore%s", (unsigned long long)info->semaphores,
			plural(info->semaphores));
}

#define USES_SHOWN 3

void cli_print_details(FILE *out, const struct ipcu_info *info, const struct cli_uses *uses)
{
	char command[64];

	fprintf(out, "%s of ", ipcu_kind_name(info->kind));
	cli_print_user(out, info->owner);
	fprintf(out, ", mode %03o, ", (unsigned)info->mode);
	cli_print_state(out, info);
	for (size_t i = 0; i < uses->count && i < USES_SHOWN; i++) {
		fprintf(out, "%s%d %s (", i ? ", " : "; ", (int)uses->items[i].pid,
			uses->items[i].how);
		ipcu_process_command(uses->items[i].pid, command, sizeof(command));
		cli_print_safe(out, command);
		putc(')', out);
	}
	if (uses->count > USES_SHOWN)
		fprintf(out, " and %zu more", uses->count - USES_SHOWN);
}
