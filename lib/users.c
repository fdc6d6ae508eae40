/* SPDX-License-Identifier: MIT
 * users.c - which processes use an object
 *
 * The kernel keeps no list, but /proc/PID/task/TID/syscall says in which call
 * a thread sleeps and with which arguments, and /proc/PID/maps what is attached (a
 * segment's inode is its identifier). Both are open to the same user and to root.
 */
#include <config.h>

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "object.h"
#include "process.h"
#include "users.h"

#define TOLD_MAX 64 /* uses of one process that are told apart */

/*
 * The calls in which one sleeps. A 64-bit kernel runs 32-bit processes too, whose numbers are others and mean
 * other calls to it; on some machines ipc(2) is all of these calls in one.
 */
struct blocking {
	long number;
	int bits; /* of the process */
	enum ipcu_family family;
	const char *how;
};

#define BITS ((int)sizeof(long) * 8)
#define BITS_32_MAX 0xffffffff

static const struct blocking calls[] = {
#ifdef SYS_msgrcv
	{ SYS_msgrcv, BITS, IPCU_FAMILY_QUEUE, "receives" },
	{ SYS_msgsnd, BITS, IPCU_FAMILY_QUEUE, "sends" },
#endif
#ifdef SYS_semop
	{ SYS_semop, BITS, IPCU_FAMILY_SET, "waits" },
#endif
#ifdef SYS_semtimedop
	{ SYS_semtimedop, BITS, IPCU_FAMILY_SET, "waits" },
#endif
#ifdef SYS_semtimedop_time64
	{ SYS_semtimedop_time64, BITS, IPCU_FAMILY_SET, "waits" },
#endif
#if defined(__x86_64__)
	{ 401, 32, IPCU_FAMILY_QUEUE, "receives" },
	{ 400, 32, IPCU_FAMILY_QUEUE, "sends" },
	{ 420, 32, IPCU_FAMILY_SET, "waits" },
#elif defined(__i386__)
	{ 70, 64, IPCU_FAMILY_QUEUE, "receives" }, { 69, 64, IPCU_FAMILY_QUEUE, "sends" },
	{ 65, 64, IPCU_FAMILY_SET, "waits" },	   { 220, 64, IPCU_FAMILY_SET, "waits" },
#endif
	{ -1, 0, IPCU_FAMILY_QUEUE, "" },
};

/* What the first argument of ipc(2) stands for. */
static const struct blocking all_in_one[] = {
	{ 12, 0, IPCU_FAMILY_QUEUE, "receives" }, { 11, 0, IPCU_FAMILY_QUEUE, "sends" },
	{ 1, 0, IPCU_FAMILY_SET, "waits" },	  { 4, 0, IPCU_FAMILY_SET, "waits" },
	{ -1, 0, IPCU_FAMILY_QUEUE, "" },
};

static bool is_ipc(int bits, long number)
{
#if defined(SYS_ipc)
	return bits == BITS && number == SYS_ipc;
#elif defined(__x86_64__)
	return bits == 32 && number == 117;
#else
	return (void)bits, (void)number, false;
#endif
}

/* One process, as it is looked at. */
struct look {
	pid_t pid;
	unsigned families;
	bool checked, ours; /* whether it is in our IPC namespace */
	struct ipcu_usage told[TOLD_MAX];
	size_t count;
	ipcu_usage_fn fn;
	void *context;
};

/* Identifiers are those of an IPC namespace: in another one the same number is another object. */
static bool same_namespace(struct look *look)
{
	if (!look->checked)
		look->ours = ipcu_process_same_namespace(look->pid);
	look->checked = true;
	return look->ours;
}

static void tell(struct look *look, enum ipcu_family family, int id, const char *how)
{
	struct ipcu_usage usage = { look->pid, family, id, how };

	if (!(look->families >> family & 1) || !same_namespace(look))
		return;
	for (size_t i = 0; i < look->count; i++)
		if (look->told[i].family == family && look->told[i].id == id &&
		    look->told[i].how == how)
			return;
	/* Who uses more at once is told twice rather than not at all. */
	if (look->count < TOLD_MAX)
		look->told[look->count++] = usage;
	look->fn(&usage, look->context);
}

/* What the thread whose "syscall" file is PATH sleeps in. */
static void look_at_call(struct look *look, const char *path)
{
	char text[192];
	FILE *file = fopen(path, "re");
	unsigned long long words[8]; /* six arguments, the stack pointer, the program counter */
	const struct blocking *call = calls;
	char *at, *end;
	int bits, first = 0;
	long number;

	if (!file)
		return;
	if (!fgets(text, sizeof(text), file) || !isdigit((unsigned char)text[0]))
		goto out;
	number = strtol(text, &at, 10);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++, at = end) {
		words[i] = strtoull(at, &end, 16);
		if (end == at)
			goto out;
	}
	bits = words[6] > BITS_32_MAX ? 64 : 32;
	if (is_ipc(bits, number)) {
		call = all_in_one;
		bits = 0;
		number = (long)(words[0] & 0xffff);
		first = 1;
	}
	for (; call->number >= 0; call++)
		if (call->bits == bits && call->number == number)
			tell(look, call->family, (int)words[first], call->how);
out:
	fclose(file);
}

static void look_at_calls(struct look *look)
{
	char path[64];
	DIR *tasks;
	struct dirent *task;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)look->pid);
	tasks = opendir(path);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else reads from this stream */
	while (tasks && (task = readdir(tasks))) {
		if (!isdigit((unsigned char)task->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/syscall", (int)look->pid,
			 task->d_name);
		look_at_call(look, path);
	}
	if (tasks)
		closedir(tasks);
}

/* A line of maps: from-to perms offset device inode path; the path begins with /SYSV. */
static void look_at_maps(struct look *look)
{
	char path[64], *line = NULL;
	size_t capacity = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)look->pid);
	file = fopen(path, "re");
	while (file && getline(&line, &capacity, file) > 0) {
		unsigned long long inode;

		/* NOLINTNEXTLINE(cert-err34-c): the kernel has written it */
		if (strstr(line, "/SYSV") && sscanf(line, "%*s %*s %*s %*s %llu", &inode) == 1 &&
		    inode <= INT_MAX)
			tell(look, IPCU_FAMILY_SEGMENT, (int)inode, "attached");
	}
	free(line);
	if (file)
		fclose(file);
}

void ipcu_usage_each(unsigned families, ipcu_usage_fn fn, void *context)
{
	DIR *processes = opendir("/proc");
	struct dirent *process;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else reads from this stream */
	while (processes && (process = readdir(processes))) {
		struct look look = { .pid = (pid_t)strtol(process->d_name, NULL, 10),
				     .families = families,
				     .fn = fn,
				     .context = context };

		if (look.pid <= 0 || look.pid == getpid())
			continue;
		if (families & (1 << IPCU_FAMILY_QUEUE | 1 << IPCU_FAMILY_SET))
			look_at_calls(&look);
		if (families & 1 << IPCU_FAMILY_SEGMENT)
			look_at_maps(&look);
	}
	if (processes)
		closedir(processes);
}

/* ---- of one object -------------------------------------------------------- */

static enum ipcu_family family_of(enum ipcu_kind kind)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops(kind);

	return ops ? ops->family : IPCU_FAMILY_SEGMENT;
}

struct of_one {
	enum ipcu_family family;
	int id;
	pid_t last; /* a process is told of once, whatever its threads do */
	size_t count;
	ipcu_user_fn fn;
	void *context;
};

static void filter(const struct ipcu_usage *usage, void *context)
{
	struct of_one *one = context;
	char command[128];
	struct ipcu_user user = { .pid = usage->pid, .how = usage->how, .command = command };

	if (usage->family != one->family || usage->id != one->id || usage->pid == one->last)
		return;
	one->last = usage->pid;
	one->count++;
	if (!one->fn)
		return;
	ipcu_process_command(user.pid, command, sizeof(command));
	one->fn(&user, one->context);
}

size_t ipcu_users(enum ipcu_kind kind, int id, ipcu_user_fn fn, void *context)
{
	struct of_one one = { .family = family_of(kind), .id = id, .fn = fn, .context = context };

	ipcu_usage_each(1u << one.family, filter, &one);
	return one.count;
}
