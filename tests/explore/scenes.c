/* SPDX-License-Identifier: MIT
 * scenes.c - what is explored: commands, the states they begin in, and their combinations
 *
 * For each state of a kind: each pair of verbs of that kind, by the same user and by different users; each verb against
 * a sequence that removes the name and creates it again; and the scenes that no pair contains.
 */
#include <stdio.h>
#include <string.h>

#include "explore.h"

static const struct state states[] = {
	{ "sem-absent", "sem", { NULL }, { "sem status s" } },
	{ "sem1", "sem", { "sem create s -m 666" }, { "sem status s" } },
	{ "sem2", "sem", { "sem create s -c 2 -m 666" }, { "sem status s" } },
	{ "sem1-held",
	  "sem",
	  { "sem create s -m 666", "sem acquire s -P %1" },
	  { "sem status s" } },
	{ "sem2-held",
	  "sem",
	  { "sem create s -c 2 -m 666", "sem acquire s -P %1", "sem acquire s -P %1" },
	  { "sem status s" } },
	{ "sem1-taken", "sem", { "sem create s -m 666", "sem wait s" }, { "sem status s" } },
	{ "sem1-transient", "sem", { "sem create s --transient -m 666" }, { "sem status s" } },
	{ "queue-absent", "queue", { NULL }, { "recv -p -a -J --no-create q" } },
	{ "queue-empty",
	  "queue",
	  { "send -m 666 q x", "recv q" },
	  { "recv -p -a -J --no-create q" } },
	{ "queue-one", "queue", { "send -m 666 q one" }, { "recv -p -a -J --no-create q" } },
	{ "queue-zero", "queue", { "send -m 666 q ''" }, { "recv -p -a -J --no-create q" } },
	{ "queue-big",
	  "queue",
	  { "send -m 666 q one", "send -w q <big", "send q three" },
	  { "recv -p -a -J --no-create q" } },
	{ "queues",
	  "queues",
	  { "send -m 644 q x", "recv q", "send -m 644 r x", "recv r" },
	  { "recv -p -a -J --no-create q", "recv -p -a -J --no-create r" } },
	{ "event-absent", "event", { NULL }, { "event status -J e" } },
	{ "event-clear", "event", { "event clear e -m 666" }, { "event status -J e" } },
	{ "event-set", "event", { "event set e -m 666" }, { "event status -J e" } },
	{ "barrier-absent", "barrier", { NULL }, { "barrier status -J b" } },
	{ "barrier2", "barrier", { "barrier create b 2 -m 666" }, { "barrier status -J b" } },
	{ "barrier1", "barrier", { "barrier create b 1 -m 666" }, { "barrier status -J b" } },
	{ "barrier-broken",
	  "barrier",
	  { "barrier create b 2 -m 666", "barrier abort b" },
	  { "barrier status -J b" } },
	{ "shm-absent", "shm", { NULL }, { "shm get a" } },
	{ "shm-number",
	  "shm",
	  { "shm create a -T i64 -m 666", "shm set a 7", "shm lock a -- true" },
	  { "shm get a" } },
	{ "pipe-absent", "pipe", { NULL }, { NULL } },
	{ "name-absent", "name", { NULL }, { NULL } },
	{ "name-event", "name", { "event set x -m 666" }, { NULL } },
	{ "name-others", "name", { "event set x -m 666", "event set y -m 666" }, { NULL } },
	{ "lock-orphan", "orphan", { "send z m", "!segments", "!queues" }, { NULL } },
};
#define STATES (sizeof(states) / sizeof(states[0]))

static const struct verb {
	const char *kind, *text;
} verbs[] = {
	{ "sem", "sem create @s -c 2" },
	{ "sem", "sem create @s -c 5 --resize" },
	{ "sem", "sem create @s -c 1 --resize -n" },
	{ "sem", "sem run @s -- cat" },
	{ "sem", "sem run -n @s -- cat" },
	{ "sem", "sem run -u 2 @s -- cat" },
	{ "sem", "sem run -x @s -- cat" },
	{ "sem", "sem run -n -s @s -- cat" },
	{ "sem", "sem acquire @s -P %1" },
	{ "sem", "sem release @s -P %1" },
	{ "sem", "sem wait @s" },
	{ "sem", "sem wait -n @s" },
	{ "sem", "sem post @s" },
	{ "sem", "sem set @s 1" },
	{ "sem", "sem set @s 0" },
	{ "sem", "rm @s" },
	{ "sem", "rm -f @s" },
	{ "sem", "rm --stale --older-than=0s" },
	{ "queue", "send @q x" },
	{ "queue", "send @q ''" },
	{ "queue", "send -w @q <big" },
	{ "queue", "recv -n @q" },
	{ "queue", "recv @q" },
	{ "queue", "recv -n -p @q" },
	{ "queue", "rm @q" },
	{ "queue", "rm -f @q" },
	{ "queue", "rm --stale --older-than=0s" },
	{ "queues", "recv @q @r" },
	{ "queues", "send @q x" },
	{ "queues", "send @r ''" },
	{ "queues", "rm -f @q" },
	{ "event", "event set @e" },
	{ "event", "event clear @e" },
	{ "event", "event pulse @e" },
	{ "event", "event wait @e" },
	{ "event", "event wait -n @e" },
	{ "event", "rm @e" },
	{ "event", "rm -f @e" },
	{ "event", "rm --stale --older-than=0s" },
	{ "barrier", "barrier create @b 2" },
	{ "barrier", "barrier wait @b 2" },
	{ "barrier", "barrier wait -n @b 2" },
	{ "barrier", "barrier abort @b" },
	{ "barrier", "barrier reset @b" },
	{ "barrier", "rm @b" },
	{ "barrier", "rm -f @b" },
	{ "barrier", "rm --stale --older-than=0s" },
	{ "shm", "shm create @a -T i64" },
	{ "shm", "shm set -T i64 @a 3" },
	{ "shm", "shm add -T i64 @a 1" },
	{ "shm", "shm cas @a 7 9" },
	{ "shm", "shm write @a <number" },
	{ "shm", "shm load @a <number" },
	{ "shm", "shm wait -T i64 @a ge 8" },
	{ "shm", "shm lock @a -- cat" },
	{ "shm", "shm lock -n @a -- cat" },
	{ "shm", "rm @a" },
	{ "shm", "rm -f @a" },
	{ "shm", "rm --stale --older-than=0s" },
	{ "pipe", "pipe write @p <text" },
	{ "pipe", "pipe read @p" },
	{ "pipe", "pipe write -n @p <text" },
	{ "pipe", "rm @p" },
	{ "pipe", "rm -f @p" },
	{ "pipe", "rm --stale --older-than=0s" },
	{ "name", "sem create @x" },
	{ "name", "event set @x" },
	{ "name", "barrier create @x 2" },
	{ "name", "shm create @x -T i64" },
	{ "name", "send @x m" },
	{ "name", "rm @x" },
	{ "name", "rm -a -f" },
	{ "name", "rm --stale --older-than=0s" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* What comes after "rm -f" of the name. */
static const struct verb creators[] = {
	{ "sem", "sem create @s -c 2 -m 666" },	     { "sem", "sem run @s -- cat" },
	{ "queue", "send -m 666 @q new" },	     { "event", "event set @e -m 666" },
	{ "barrier", "barrier create @b 2 -m 666" }, { "shm", "shm create @a -T i64 -m 666" },
	{ "name", "sem create @x -m 666" },
};
#define CREATORS (sizeof(creators) / sizeof(creators[0]))

static const int pairs_of_users[][2] = {
	{ USER_OWNER, USER_OWNER }, { USER_OWNER, USER_OTHER }, { USER_OTHER, USER_OWNER },
	{ USER_OWNER, 0 },	    { 0, USER_OWNER },
};

/* Scenes that no pair contains. */
static const struct special {
	const char *state;
	struct command commands[PROCESSES_MAX - 1];
} specials[] = {
	{ "sem2",
	  { { "sem run -u 2 @s -- cat", 1 },
	    { "sem create @s -c 5 --resize", 1 },
	    { "sem acquire @s -P %1", 1 },
	    { "sem acquire @s -P %1", 1 } } },
	{ "sem1",
	  { { "sem run @s -- cat", 1 },
	    { "rm -f @s", 1 },
	    { "sem create @s", 1 },
	    { "sem acquire @s -P %1", 1 } } },
	{ "sem1", { { "rm @s", 1 }, { "sem run @s -- cat", 1 }, { "sem run -n @s -- cat", 1 } } },
	{ "queue-absent", { { "send @q x", 1 }, { "foreign receive", 1 }, { "send @q y", 1 } } },
	{ "queue-absent", { { "send @q x", 1 }, { "foreign send", 1 }, { "send @q y", 1 } } },
	{ "queues", { { "recv @q @r", 2 }, { "send @q ''", 1 }, { "send @r ''", 1 } } },
	{ "queues", { { "recv @q @r", 1 }, { "send @q ''", 1 }, { "send @r x", 1 } } },
	{ "lock-orphan",
	  { { "rm --stale --older-than=0s", 1 },
	    { "sem run @s -- cat", 1 },
	    { "sem run -n @s -- cat", 1 } } },
	{ "barrier2",
	  { { "barrier wait @b 2", 1 }, { "barrier reset @b", 1 }, { "barrier wait @b 2", 1 } } },
	{ "event-clear",
	  { { "event wait @e", 1 }, { "event pulse @e", 1 }, { "event pulse @e", 1 } } },
	{ "shm-number",
	  { { "shm load @a <number", 1 }, { "shm add @a 1", 1 }, { "shm add @a 1", 1 } } },
	{ "pipe-absent",
	  { { "pipe write @p <text", 1 }, { "pipe read @p", 1 }, { "pipe read @p", 1 } } },
};
#define SPECIALS (sizeof(specials) / sizeof(specials[0]))

const struct state *state_find(const char *name, size_t length)
{
	for (size_t i = 0; i < STATES; i++)
		if (strlen(states[i].name) == length && strncmp(states[i].name, name, length) == 0)
			return &states[i];
	return NULL;
}

static void add(struct scene *scene, const char *text, int user)
{
	struct command *command = &scene->commands[scene->count++];

	snprintf(command->text, sizeof(command->text), "%s", text);
	command->user = user;
}

static const struct verb *nth(const struct verb *list, size_t count, const char *kind,
			      size_t number)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].kind, kind) == 0 && number-- == 0)
			return &list[i];
	return NULL;
}

static size_t count_of(const struct verb *list, size_t count, const char *kind)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += strcmp(list[i].kind, kind) == 0;
	return found;
}

static void set_pair(struct scene *scene, const struct state *state, size_t number, int a, int b)
{
	size_t count = count_of(verbs, VERBS, state->kind);

	scene->state = state;
	add(scene, nth(verbs, VERBS, state->kind, number / count)->text, a);
	add(scene, nth(verbs, VERBS, state->kind, number % count)->text, b);
}

/*
 * Two writers, or two readers, of different users: the owner may create the pipe and the other user be its first
 * writer, for which there is no order of complete commands. No command only creates a pipe.
 */
bool scene_is_explainable(const struct scene *scene)
{
	return strcmp(scene->state->kind, "pipe") != 0 ||
	       scene->commands[0].user == scene->commands[1].user ||
	       strncmp(scene->commands[0].text, scene->commands[1].text, 6) != 0;
}

/* A verb against "remove and create again". */
static void set_sequence(struct scene *scene, const struct state *state, size_t number, int a)
{
	size_t count = count_of(creators, CREATORS, state->kind);
	const struct verb *creator = nth(creators, CREATORS, state->kind, number % count);
	char text[TEXT_MAX];

	scene->state = state;
	add(scene, nth(verbs, VERBS, state->kind, number / count)->text, a);
	snprintf(text, sizeof(text), "rm -f %.2s", strchr(creator->text, '@'));
	add(scene, text, USER_OWNER);
	add(scene, creator->text, USER_OWNER);
}

static bool take(size_t *number, size_t count)
{
	if (*number < count)
		return true;
	*number -= count;
	return false;
}

static bool get_of_state(const struct setting *setting, const struct state *state, size_t *number,
			 struct scene *scene)
{
	size_t own = count_of(verbs, VERBS, state->kind);
	size_t sequences = own * count_of(creators, CREATORS, state->kind);
	size_t users = setting->users ? sizeof(pairs_of_users) / sizeof(pairs_of_users[0]) : 1;

	for (size_t i = 0; i < users; i++) {
		if (take(number, own * own)) {
			set_pair(scene, state, *number, pairs_of_users[i][0], pairs_of_users[i][1]);
			return true;
		}
		/* The owner creates the name again, so only the user of the first command differs. */
		if (pairs_of_users[i][1] == USER_OWNER && take(number, sequences)) {
			set_sequence(scene, state, *number, pairs_of_users[i][0]);
			return true;
		}
	}
	return false;
}

/* Scene NUMBER: the special ones come first. Return false after the last one. */
bool scene_get(const struct setting *setting, size_t number, struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	if (take(&number, SPECIALS)) {
		const struct special *special = &specials[number];

		scene->state = state_find(special->state, strlen(special->state));
		for (int i = 0; i < PROCESSES_MAX - 1 && special->commands[i].text[0]; i++)
			add(scene, special->commands[i].text, special->commands[i].user);
		return true;
	}
	for (size_t i = 0; i < STATES; i++)
		if (get_of_state(setting, &states[i], &number, scene))
			return true;
	return false;
}

size_t scene_special_count(void)
{
	return SPECIALS;
}

size_t scene_count(const struct setting *setting)
{
	struct scene scene;
	size_t low = SPECIALS, high = 1000000;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (scene_get(setting, middle, &scene))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
