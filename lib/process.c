/* SPDX-License-Identifier: MIT
 * process.c - what /proc says of a process
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process.h"

/* Read the file NAME of PID as a string; its length, or -1. */
static ssize_t read_file(pid_t pid, const char *name, char *text, size_t capacity)
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

uint64_t ipcu_process_start(pid_t pid)
{
	char text[1024], *at;
	char state;

	if (read_file(pid, "stat", text, sizeof(text)) <= 0)
		return 0;
	/* The command, second field, may hold anything, blanks and parentheses too. */
	at = strrchr(text, ')');
	if (!at || at[1] != ' ')
		return 0;
	state = at[2];
	if (state == 'Z' || state == 'X')
		return 0;
	at += 2;
	for (int field = 3; field < 22 && at; field++) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

bool ipcu_process_lives(pid_t pid, uint64_t start)
{
	uint64_t now = ipcu_process_start(pid);

	if (now)
		return now == start || start == 0;
	/* /proc may be mounted with hidepid: only ESRCH is an answer. */
	return access("/proc/self/stat", R_OK) != 0 && (kill(pid, 0) == 0 || errno != ESRCH);
}

void ipcu_process_command(pid_t pid, char *text, size_t capacity)
{
	ssize_t length = read_file(pid, "cmdline", text, capacity);

	while (length > 0 && text[length - 1] == '\0')
		length--;
	if (length <= 0) {
		snprintf(text, capacity, "?");
		return;
	}
	for (ssize_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
	text[length] = '\0';
}
