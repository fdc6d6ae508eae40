/* SPDX-License-Identifier: MIT
 * state.c - prepares, reads and removes the objects of one run
 *
 * Objects are read only by means of the commands: what they print, without numbers that differ from run to run. The
 * layouts of sets and segments are not known here.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "explore.h"

#define OUTPUT_MAX 65536
#define LINES_MAX 64

union semun_ {
	int value;
	struct seminfo *info;
};

static int run_text(const struct context *context, const char *text, int user, char *out,
		    size_t size)
{
	struct command command = { .user = user };

	snprintf(command.text, sizeof(command.text), "%s", text);
	return command_run(context, &command, out, size);
}

/* What a cleanup job does: "!segments" removes all unattached segments, "!queues" all queues. */
static void remove_all(const char *what)
{
	bool queues = strcmp(what, "!queues") == 0;

	for (int slot = 0; slot < 64; slot++) {
		struct shmid_ds segment;
		struct msqid_ds queue;
		int id = queues ? msgctl(slot, MSG_STAT, &queue) : shmctl(slot, SHM_STAT, &segment);

		if (id >= 0 && queues)
			msgctl(id, IPC_RMID, NULL);
		else if (id >= 0 && segment.shm_nattch == 0)
			shmctl(id, IPC_RMID, NULL);
	}
}

void state_prepare(const struct context *context, const struct state *state)
{
	for (int i = 0; i < 6 && state->setup[i]; i++) {
		const char *text = state->setup[i];

		if (text[0] == '!') {
			remove_all(text);
		} else if (run_text(context, text, USER_OWNER, NULL, 0) != 0) {
			fprintf(stderr, "explore: cannot prepare state %s: %s failed\n",
				state->name, text);
			exit(2);
		}
	}
}

/* ---- texts without what differs from run to run ------------------------------- */

/* The units of a holder: neither its number and slot, nor the mode, which only the table of holders knows. */
static void print_holder(FILE *file, const char *line)
{
	char units[32] = "";

	if (sscanf(line, "%*s %31s", units) == 1)
		fprintf(file, "holder %s\n", units);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A command whose call failed may hold units without an entry in the table: then NAMELESS, no holder is printed. */
static void print_semaphore(FILE *file, char *text, bool nameless)
{
	char *line, *holders[LINES_MAX] = { NULL };
	bool head = true;
	int count = 0;

	while ((line = strsep(&text, "\n"))) {
		if (strstr(line, "PID UNITS"))
			head = false;
		else if (head)
			fprintf(file, "%s ", line);
		else if (*line && count < LINES_MAX &&
			 isdigit((unsigned char)line[strspn(line, " ")]))
			holders[count++] = line;
	}
	fputc('\n', file);
	if (nameless)
		return;
	for (int i = 0; i < count; i++)
		while (isspace((unsigned char)*holders[i]))
			holders[i]++;
	for (int i = 0; i < count; i++) /* the number of the process does not decide the order */
		holders[i] += strcspn(holders[i], " ");
	qsort(holders, (size_t)count, sizeof(holders[0]), compare);
	for (int i = 0; i < count; i++) {
		char whole[256];

		snprintf(whole, sizeof(whole), "0%s", holders[i]);
		print_holder(file, whole);
	}
}

/* Columns are as wide as bookkeeping makes them. */
static void squeeze(char *line)
{
	char *to = line;

	for (const char *from = line; *from; from++)
		if (*from != ' ' || from[1] != ' ')
			*to++ = *from;
	*to = '\0';
}

/*
 * Objects with a name only: bookkeeping may be made earlier or later. A killed ipc-rm may leave a name without its
 * object, which is the same as no name.
 */
static void print_list(FILE *file, char *text, bool killed)
{
	char *line, *lines[LINES_MAX] = { NULL };
	int count = 0;

	while ((line = strsep(&text, "\n")))
		if (*line && *line != ' ' && count < LINES_MAX &&
		    !(killed && strstr(line, "gone: ")))
			squeeze(lines[count++] = line);
	qsort(lines, (size_t)count, sizeof(lines[0]), compare);
	for (int i = 0; i < count; i++)
		fprintf(file, "%s\n", lines[i]);
}

static void print_plain(FILE *file, const char *text)
{
	size_t length = strlen(text);
	unsigned hash = 0;

	for (size_t i = 0; i < length; i++) {
		hash = hash * 31 + (unsigned char)text[i];
		if (i < 200)
			fputc(text[i], file);
	}
	if (length > 200)
		fprintf(file, "... %zu bytes, hash %x", length, hash);
	fputc('\n', file);
}

static void observe(FILE *file, const struct context *context, const char *text,
		    enum tolerance tolerance, char *output)
{
	int status = run_text(context, text, USER_OWNER, output, OUTPUT_MAX);
	char *cut = strstr(output, ",\"waiters\":[");

	fprintf(file, "  %s: %d ", text, status);
	if (cut)
		*cut = '\0';
	if (strncmp(text, "sem status", 10) == 0)
		print_semaphore(file, output, tolerance == TOLERATE_FAILURE);
	else if (strncmp(text, "ls ", 3) == 0)
		print_list(file, output, tolerance != TOLERATE_NOTHING);
	else
		print_plain(file, output);
}

char *state_describe(const struct context *context, const struct state *state,
		     enum tolerance tolerance)
{
	char *text = NULL, *output = malloc(OUTPUT_MAX);
	size_t size;
	FILE *file = open_memstream(&text, &size);

	if (!file || !output)
		abort();
	for (int i = 0; i < 3 && state->observe[i]; i++)
		observe(file, context, state->observe[i], tolerance, output);
	/* The last one, because a command that opens an object may write its name into the registry again. */
	observe(file, context, "ls -a --noheadings -o NAME,KIND,OWNER,MODE,STATE", tolerance,
		output);
	fclose(file);
	free(output);
	return text;
}

/* ---- removing --------------------------------------------------------------- */

static int count_objects(void)
{
	struct msginfo queues;
	struct seminfo sets;
	struct shm_info segments;
	union semun_ argument = { .info = &sets };

	memset(&queues, 0, sizeof(queues));
	memset(&sets, 0, sizeof(sets));
	memset(&segments, 0, sizeof(segments));
	msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&queues);
	semctl(0, 0, SEM_INFO, argument);
	shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&segments);
	return queues.msgpool + sets.semusz + segments.used_ids;
}

/*
 * Remove all names of all users and return how many objects are left. After a kill the commands may find objects that
 * only ipc-rm --stale removes.
 */
int state_clear(const struct context *context, bool killed)
{
	static const int users[] = { USER_OWNER, USER_OTHER, 0 };

	for (int i = 0; i < 3 && count_objects(); i++) {
		run_text(context, "rm -a -f", users[i], NULL, 0);
		if (killed && count_objects())
			run_text(context, "rm --stale --older-than=0s", users[i], NULL, 0);
	}
	return count_objects();
}
