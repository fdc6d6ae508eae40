/* SPDX-License-Identifier: MIT
 * replay.c - the text of one run
 *
 *	STATE / USER:COMMAND / USER:COMMAND... / STEP...  [/ fail PROCESS TASK.CALL ERRNO [on NR]]
 *
 * A step is the letter of a command, with the point at which it is held: A@0.7b is before the seventh reported call of
 * its first task, A@0.7a after it; A alone goes on to its end; A! is killed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

static void add(char *text, size_t size, const char *more)
{
	size_t used = strlen(text);

	if (used + 1 < size)
		snprintf(text + used, size - used, "%s", more);
}

void replay_print(char *text, size_t size, const struct scene *scene,
		  const struct schedule *schedule, const struct injection *injection)
{
	char part[TEXT_MAX + 8];

	snprintf(text, size, "%s", scene->state->name);
	for (int i = 0; i < scene->count; i++) {
		snprintf(part, sizeof(part), " / %d:%s", scene->commands[i].user,
			 scene->commands[i].text);
		add(text, size, part);
	}
	add(text, size, " /");
	for (int i = 0; i < schedule->count; i++) {
		const struct step *step = &schedule->steps[i];

		snprintf(part, sizeof(part), " %c%s", 'A' + step->process, step->kill ? "!" : "");
		add(text, size, part);
		if (!step->hold)
			continue;
		snprintf(part, sizeof(part), "@%d.%u%c", step->point.task, step->point.call,
			 step->point.after ? 'a' : 'b');
		add(text, size, part);
	}
	if (!injection || !injection->errnum)
		return;
	snprintf(part, sizeof(part), " / fail %c %d.%u %d", 'A' + injection->process,
		 injection->point.task, injection->point.call, injection->errnum);
	add(text, size, part);
	if (injection->from_there_on) {
		snprintf(part, sizeof(part), " on %ld", injection->nr);
		add(text, size, part);
	}
}

/* The next part of *REST before " / ", or NULL. */
static char *next_part(char **rest)
{
	char *part = *rest, *end = part ? strstr(part, " / ") : NULL;

	*rest = end ? end + 3 : NULL;
	if (end)
		*end = '\0';
	return part;
}

static bool read_step(const char *word, int processes, struct step *step)
{
	char side = 0;

	*step = (struct step){ .process = word[0] - 'A' };
	if (step->process < 0 || step->process >= processes)
		return false;
	step->kill = word[1] == '!';
	if (word[1] != '@')
		return true;
	step->hold = sscanf(word + 2, "%d.%u%c", &step->point.task, &step->point.call, &side) == 3;
	step->point.after = side == 'a';
	return step->hold;
}

static bool read_steps(char *text, int processes, struct schedule *schedule)
{
	char *word;

	while ((word = strsep(&text, " "))) {
		if (!*word)
			continue;
		if (schedule->count == STEPS_MAX ||
		    !read_step(word, processes, &schedule->steps[schedule->count++]))
			return false;
	}
	return schedule->count > 0;
}

static bool read_injection(const char *text, struct injection *injection)
{
	char process;
	int fields = sscanf(text, "fail %c %d.%u %d on %ld", &process, &injection->point.task,
			    &injection->point.call, &injection->errnum, &injection->nr);

	injection->process = process - 'A';
	injection->from_there_on = fields == 5;
	return fields >= 4;
}

bool replay_read(const char *text, struct scene *scene, struct schedule *schedule,
		 struct injection *injection)
{
	char *copy = strdup(text), *rest = copy, *part = next_part(&rest);
	bool good = false;

	memset(scene, 0, sizeof(*scene));
	memset(schedule, 0, sizeof(*schedule));
	memset(injection, 0, sizeof(*injection));
	scene->state = part ? state_find(part, strlen(part)) : NULL;
	while (scene->state && (part = next_part(&rest)) && part[0] >= '0' && part[0] <= '2' &&
	       part[1] == ':' && scene->count < PROCESSES_MAX - 1) {
		struct command *command = &scene->commands[scene->count++];

		command->user = part[0] - '0';
		snprintf(command->text, sizeof(command->text), "%s", part + 2);
	}
	if (scene->state && part)
		good = read_steps(part, scene->count, schedule);
	part = next_part(&rest);
	if (good && part)
		good = read_injection(part, injection);
	free(copy);
	return good;
}
