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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipcutils.h"
#include "object.h"
#include "process.h"

struct blocking {
	long number;
	enum ipcu_family family;
	const char *how;
};

static const struct blocking calls[] = {
#ifdef SYS_msgrcv
	{ SYS_msgrcv, IPCU_FAMILY_QUEUE, "receives" },
	{ SYS_msgsnd, IPCU_FAMILY_QUEUE, "sends" },
#endif
#ifdef SYS_semop
	{ SYS_semop, IPCU_FAMILY_SET, "waits" },
#endif
#ifdef SYS_semtimedop
	{ SYS_semtimedop, IPCU_FAMILY_SET, "waits" },
#endif
#ifdef SYS_semtimedop_time64
	{ SYS_semtimedop_time64, IPCU_FAMILY_SET, "waits" },
#endif
	{ -1, IPCU_FAMILY_QUEUE, "" },
};

/* What the thread whose "syscall" file is PATH does with the object, or NULL. */
static const char *sleeps_in(const char *path, enum ipcu_family family, int id)
{
	char text[128], *end;
	FILE *file = fopen(path, "re");
	const char *how = NULL;
	long number;

	if (!file)
		return NULL;
	if (fgets(text, sizeof(text), file) && (isdigit((unsigned char)text[0]))) {
		number = strtol(text, &end, 10);
		if (*end == ' ' && (int)strtoull(end, NULL, 16) == id)
			for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && !how; i++)
				if (calls[i].number == number && calls[i].family == family)
					how = calls[i].how;
	}
	fclose(file);
	return how;
}

static const char *waits_on(pid_t pid, enum ipcu_family family, int id)
{
	char path[64];
	DIR *tasks;
	struct dirent *task;
	const char *how = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else reads from this stream */
	while (tasks && !how && (task = readdir(tasks))) {
		if (!isdigit((unsigned char)task->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/syscall", (int)pid, task->d_name);
		how = sleeps_in(path, family, id);
	}
	if (tasks)
		closedir(tasks);
	return how;
}

/* A line of maps: from-to perms offset device inode path; the path begins with /SYSV. */
static const char *has_attached(pid_t pid, int id)
{
	char path[64], *line = NULL;
	size_t capacity = 0;
	const char *how = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	while (file && !how && getline(&line, &capacity, file) > 0) {
		unsigned long long inode;

		/* NOLINTNEXTLINE(cert-err34-c): the kernel has written it */
		if (strstr(line, "/SYSV") && sscanf(line, "%*s %*s %*s %*s %llu", &inode) == 1 &&
		    inode == (unsigned)id)
			how = "attached";
	}
	free(line);
	if (file)
		fclose(file);
	return how;
}

/* Identifiers are those of an IPC namespace: in another one the same number is another object. */
static bool same_namespace(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)pid);
	return stat("/proc/self/ns/ipc", &ours) < 0 ||
	       (stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
		ours.st_dev == theirs.st_dev);
}

static enum ipcu_family family_of(enum ipcu_kind kind)
{
	return kind == IPCU_KIND_QUEUE				    ? IPCU_FAMILY_QUEUE
	       : kind == IPCU_KIND_MEMORY || kind == IPCU_KIND_PIPE ? IPCU_FAMILY_SEGMENT
								    : IPCU_FAMILY_SET;
}

size_t ipcu_users(enum ipcu_kind kind, int id, ipcu_user_fn fn, void *context)
{
	enum ipcu_family family = family_of(kind);
	DIR *processes = opendir("/proc");
	struct dirent *process;
	size_t count = 0;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else reads from this stream */
	while (processes && (process = readdir(processes))) {
		char command[128];
		struct ipcu_user user = { .pid = (pid_t)strtol(process->d_name, NULL, 10),
					  .command = command };

		if (user.pid <= 0 || user.pid == getpid())
			continue;
		user.how = family == IPCU_FAMILY_SEGMENT ? has_attached(user.pid, id)
							 : waits_on(user.pid, family, id);
		if (!user.how || !same_namespace(user.pid))
			continue;
		count++;
		if (fn) {
			ipcu_process_command(user.pid, command, sizeof(command));
			fn(&user, context);
		}
	}
	if (processes)
		closedir(processes);
	return count;
}
