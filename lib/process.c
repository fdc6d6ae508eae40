/* SPDX-License-Identifier: MIT
 * process.c - what /proc says of a process
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "process.h"
#include "text.h"

/*
 * Whether /proc counts processes as we do. It shows those of the PID namespace it was mounted in,
 * and unshare --pid alone leaves it as it is.
 */
static bool proc_is_ours(void)
{
	char text[16];
	ssize_t length = readlink("/proc/self", text, sizeof(text) - 1);

	if (length <= 0)
		return false;
	text[length] = '\0';
	return strtol(text, NULL, 10) == (long)getpid();
}

/* Read the file NAME of what /proc calls PID as a string; its length, or -1. */
static ssize_t read_any(pid_t pid, const char *name, char *text, size_t capacity)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	do
		length = read(fd, text, capacity - 1);
	while (length < 0 && errno == EINTR);
	close(fd);
	if (length >= 0)
		text[length] = '\0';
	return length;
}

/* The same of what we call PID. */
static ssize_t read_file(pid_t pid, const char *name, char *text, size_t capacity)
{
	return proc_is_ours() ? read_any(pid, name, text, capacity) : -1;
}

/*
 * The number of the namespace of this process that FILE of /proc/self/ns leads to, as in "pid:[4026531836]"; 0: unknown. The
 * kernel gives the target of the link in half the time of stat(2), which creates an inode for the namespace.
 */
static uint64_t own_namespace(const char *file)
{
	char text[64];
	ssize_t length = readlink(file, text, sizeof(text));
	uint64_t number = 0;

	for (ssize_t at = 0; at < length; at++)
		if (text[at] >= '0' && text[at] <= '9')
			number = number * 10 + (uint64_t)(text[at] - '0');
	return number;
}

/* ---- time -------------------------------------------------------------------- */

#define NANO 1000000000
#define FIRST_TIME 0xeffffffau /* the first time namespace of a machine (the kernel's proc_ns.h) */

static uint64_t ticks_per_second(void)
{
	static _Atomic long ticks;

	if (!ticks)
		ticks = (long)getauxval(AT_CLKTCK); /* sysconf(3) touches a page of libc */
	if (!ticks)
		ticks = sysconf(_SC_CLK_TCK);
	return (uint64_t)ticks;
}

/*
 * The clock since boot of our time namespace is ahead of the machine's by that many ticks, rounded up: what is computed with
 * it is never later than it was.
 */
static int64_t read_time_offset(void)
{
	int64_t unit = NANO / (int64_t)ticks_per_second(), offset = 0;
	uint64_t own = own_namespace("/proc/self/ns/time");
	char line[96];
	FILE *file;

	if (!own || own == FIRST_TIME)
		return 0;
	file = fopen("/proc/self/timens_offsets", "re");
	while (file && fgets(line, sizeof(line), file)) {
		char *at = line + strlen("boottime"), *end;

		if (strncmp(line, "boottime", strlen("boottime")) != 0)
			continue;
		offset = strtoll(at, &end, 10) * (int64_t)ticks_per_second();
		offset += (strtoll(end, NULL, 10) + unit - 1) / unit;
	}
	if (file)
		fclose(file);
	return offset;
}

/*
 * Times are compared between processes, of which each may be in a time namespace of its own. SELF is getpid(): a child may be
 * in another one than its parent; 0: as it was seen last.
 */
static int64_t time_offset(pid_t self)
{
	static _Atomic int64_t known;
	static _Atomic pid_t known_for;

	if (!known_for || (self && known_for != self)) {
		known = read_time_offset();
		known_for = self ? self : getpid();
	}
	return known;
}

/* ---- /proc/PID/stat ------------------------------------------------------------ */

/* What we need of it. */
struct stat_fields {
	char state;
	pid_t parent;
	uint64_t flags, threads, start;
};

#define EXITING 0x4 /* PF_EXITING of the flags */

/* FILE is "stat" or "task/TID/stat" of PID. */
static bool read_stat(pid_t pid, const char *file, struct stat_fields *fields)
{
	char text[1024], *at;

	memset(fields, 0, sizeof(*fields));
	if (read_file(pid, file, text, sizeof(text)) <= 0)
		return false;
	/* The command, second field, may hold anything, blanks and parentheses too. */
	at = strrchr(text, ')');
	if (!at || at[1] != ' ')
		return false;
	fields->state = at[2];
	at += 2;
	for (int field = 3; field < 22; field++) {
		at = strchr(at, ' ');
		if (!at)
			return false;
		at++;
		if (field + 1 == 4)
			fields->parent = (pid_t)strtol(at, NULL, 10);
		else if (field + 1 == 9)
			fields->flags = strtoull(at, NULL, 10);
		else if (field + 1 == 20)
			fields->threads = strtoull(at, NULL, 10);
	}
	fields->start = strtoull(at, NULL, 10) - (uint64_t)time_offset(getpid());
	return true;
}

static bool is_ending(const struct stat_fields *fields)
{
	return fields->state == 'Z' || fields->state == 'X' || (fields->flags & EXITING);
}

uint64_t ipcu_process_start(pid_t pid)
{
	struct stat_fields fields;

	if (!read_stat(pid, "stat", &fields) || fields.state == 'Z' || fields.state == 'X')
		return 0;
	return fields.start;
}

static bool is_gone(pid_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

/* Whether a thread of PID runs, whose main thread has ended. True if that cannot be told. */
static bool a_thread_runs(pid_t pid)
{
	char path[64];
	struct dirent *task;
	struct stat_fields fields;
	bool runs = false;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return !is_gone(pid);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread reads from this stream */
	while (!runs && (task = readdir(tasks))) {
		snprintf(path, sizeof(path), "task/%.20s/stat", task->d_name);
		runs = task->d_name[0] != '.' && read_stat(pid, path, &fields) &&
		       !is_ending(&fields);
	}
	closedir(tasks);
	return runs;
}

static bool has_ended(pid_t pid, const struct stat_fields *fields)
{
	return is_ending(fields) && (fields->threads <= 1 || !a_thread_runs(pid));
}

uint64_t ipcu_process_clock_at(int64_t nanoseconds)
{
	return (uint64_t)nanoseconds / (NANO / ticks_per_second()) - (uint64_t)time_offset(0);
}

uint64_t ipcu_process_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return ipcu_process_clock_at((int64_t)now.tv_sec * NANO + now.tv_nsec);
}

/*
 * hidepid= of /proc hides living processes of other users, and any read may fail: then only the kernel's answer that there
 * is no such process counts.
 */
bool ipcu_process_ended(pid_t pid, uint64_t then)
{
	struct stat_fields fields;

	if (!read_stat(pid, "stat", &fields))
		return is_gone(pid);
	return fields.start > then || has_ended(pid, &fields);
}

bool ipcu_process_lives(pid_t pid, uint64_t start)
{
	struct stat_fields fields;

	if (pid <= 0) /* as the kernel reports a process of another PID namespace */
		return true;
	if (!read_stat(pid, "stat", &fields))
		return !is_gone(pid);
	if (has_ended(pid, &fields))
		return false;
	/* An odd offset of a time namespace rounds either way. */
	return !start || (fields.start <= start + 1 && start <= fields.start + 1);
}

bool ipcu_process_lived_at(pid_t pid, int64_t then)
{
	uint64_t start = ipcu_process_start(pid), now = ipcu_process_clock();

	if (!ipcu_process_lives(pid, 0))
		return false;
	if (!start || start > now)
		return true;
	/* Objects are dated in whole seconds, and the two clocks differ a little. */
	return time(NULL) - (int64_t)((now - start) / ticks_per_second()) <= then + 2;
}

ssize_t ipcu_process_file(pid_t pid, const char *name, char *text, size_t capacity)
{
	return read_file(pid, name, text, capacity);
}

bool ipcu_process_program(pid_t pid, char *name, size_t capacity)
{
	char path[64], target[PATH_MAX];
	const char *base;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	length = proc_is_ours() ? readlink(path, target, sizeof(target) - 1) : -1;
	if (length <= 0)
		return false;
	target[length] = '\0';
	base = strrchr(target, '/');
	snprintf(name, capacity, "%s", base ? base + 1 : target);
	return true;
}

pid_t ipcu_process_parent(pid_t pid)
{
	struct stat_fields fields;

	return read_stat(pid, "stat", &fields) ? fields.parent : 0;
}

unsigned ipcu_process_threads(pid_t pid)
{
	struct stat_fields fields;

	return read_stat(pid, "stat", &fields) ? (unsigned)fields.threads : 0;
}

/* A 32-bit process on a 64-bit kernel has numbers of its own, which no 64-bit call that blocks has. */
bool ipcu_process_waits_for_child(pid_t pid)
{
	static const long calls[] = {
		SYS_wait4,
		SYS_waitid,
#if defined(__x86_64__)
		114,
		284,
#elif defined(__i386__)
		61,
		247,
#endif
	};
	char text[192];
	bool waits = false;

	/* A running process has no number there. */
	if (read_file(pid, "syscall", text, sizeof(text)) <= 0 || text[0] < '0' || text[0] > '9')
		return false;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		waits |= strtol(text, NULL, 10) == calls[i];
	return waits;
}

bool ipcu_process_has_one_child(pid_t parent, pid_t child)
{
	DIR *processes = proc_is_ours() ? opendir("/proc") : NULL;
	struct stat_fields fields;
	struct dirent *entry;
	bool one = processes;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread reads from this stream */
	while (one && (entry = readdir(processes))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		one = pid <= 0 || pid == child || !read_stat(pid, "stat", &fields) ||
		      fields.parent != parent || is_ending(&fields);
	}
	if (processes)
		closedir(processes);
	return one;
}

char ipcu_process_state(pid_t pid)
{
	struct stat_fields fields;

	if (!read_stat(pid, "stat", &fields))
		return '\0';
	return fields.state;
}

uint64_t ipcu_process_numbers(pid_t self)
{
	static _Atomic pid_t known_for; /* a child may be in another one */
	static _Atomic uint64_t known;

	if (known_for != self) {
		time_offset(self);
		known = own_namespace("/proc/self/ns/pid");
		known_for = self;
	}
	return known;
}

bool ipcu_process_left(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)pid);
	return proc_is_ours() && stat("/proc/self/ns/ipc", &ours) == 0 &&
	       stat(path, &theirs) == 0 && ours.st_ino != theirs.st_ino;
}

/* The number in /proc of the process that is open; 0 if it cannot be told. */
static pid_t number_in_proc(const struct ipcu_process *process)
{
	char path[64], line[64];
	pid_t pid = 0;
	FILE *file;

	if (process->fd < 0)
		return proc_is_ours() ? process->pid : 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", process->fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "Pid:", 4) == 0)
			pid = (pid_t)strtol(line + 4, NULL, 10);
	if (file)
		fclose(file);
	return pid > 0 ? pid : 0;
}

bool ipcu_process_named(const struct ipcu_process *process, const char *name)
{
	char text[32];
	pid_t pid = number_in_proc(process);
	ssize_t length = pid ? read_any(pid, "comm", text, sizeof(text)) : -1;

	return length > 0 && text[length - 1] == '\n' && strlen(name) == (size_t)length - 1 &&
	       memcmp(text, name, (size_t)length - 1) == 0;
}

bool ipcu_process_is_thread(pid_t pid)
{
	char text[1024], *group;

	if (read_file(pid, "status", text, sizeof(text)) <= 0)
		return false;
	group = strstr(text, "\nTgid:");
	return group && strtol(group + strlen("\nTgid:"), NULL, 10) != (long)pid;
}

bool ipcu_process_same_namespace(pid_t pid)
{
	char path[64];
	struct stat ours, theirs;

	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)pid);
	return stat("/proc/self/ns/ipc", &ours) < 0 ||
	       (stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
		ours.st_dev == theirs.st_dev);
}

/* What is left of LENGTH bytes without a character of UTF-8 that was cut in its middle. */
static ssize_t whole_characters(const char *text, ssize_t length)
{
	for (ssize_t at = length - 1; at >= 0 && at >= length - 3; at--) {
		unsigned char byte = (unsigned char)text[at];
		ssize_t size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;

		if ((byte & 0xc0) != 0x80) /* where a character begins */
			return size > length - at ? at : length;
	}
	return length;
}

void ipcu_process_command(pid_t pid, char *text, size_t capacity)
{
	ssize_t length = read_file(pid, "cmdline", text, capacity);

	if (length > 0 && (size_t)length == capacity - 1)
		length = whole_characters(text, length);
	while (length > 0 && text[length - 1] == '\0')
		length--;
	if (length <= 0) {
		snprintf(text, capacity, "?");
		return;
	}
	text[length] = '\0';
	for (ssize_t i = 0; i < length; i++)
		if (!text[i])
			text[i] = ' '; /* between two arguments */
	ipcu_text_blank(text, (size_t)length, ' ');
}
