/* SPDX-License-Identifier: MIT
 * differences.c - what may differ between an outcome and the outcomes of complete commands in some order
 *
 * Each row of the table names one exit status of one kind of command, and the command beside it that is the cause.
 * A command that was refused must have changed nothing: at most the first half of it, such as the creation of its
 * object, is in the order that explains the outcome.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "explore.h"

/* ---- commands ------------------------------------------------------------------- */

static bool begins(const struct command *command, const char *with)
{
	return strncmp(command->text, with, strlen(with)) == 0;
}

static bool does_not_wait(const struct command *command)
{
	return strstr(command->text, " -n") != NULL;
}

/* Return true if COMMAND is ipc-rm without -f of a name: it checks for users, and seals the object. */
static bool seals(const struct command *command)
{
	return begins(command, "rm @");
}

/* Return true if COMMAND can remove an object that is in use, or in an instant in which no process uses it. */
static bool removes_names(const struct command *command)
{
	return command_removes(command) && !strstr(command->text, "--stale");
}

static bool is_end_of_pipe(const struct command *command)
{
	return begins(command, "pipe ");
}

/* Return true if A and B are commands for the two directions of a pipe. */
static bool are_peers(const struct command *a, const struct command *b)
{
	return is_end_of_pipe(a) && is_end_of_pipe(b) &&
	       begins(a, "pipe read") != begins(b, "pipe read");
}

/* Return true if COMMAND can be first in a wait queue of the kind of lock that OF uses. */
static bool queues_for_lock_of(const struct command *command, const struct command *of)
{
	if (begins(of, "shm lock"))
		return begins(command, "shm lock");
	return begins(command, "sem run") || begins(command, "sem acquire") ||
	       begins(command, "sem wait") || strstr(command->text, "--resize");
}

static bool uses_lock(const struct command *command)
{
	return begins(command, "sem ") || begins(command, "shm lock");
}

/* ---- causes --------------------------------------------------------------------- */

static bool overlap(const struct outcome *outcome, int a, int b)
{
	int a_end = outcome->processes[a].finished, b_end = outcome->processes[b].finished;

	return (a_end < 0 || a_end >= outcome->processes[b].began) &&
	       (b_end < 0 || b_end >= outcome->processes[a].began);
}

/* Return true if a command of which IS holds overlaps with PROCESS. */
static bool is_beside(const struct view *view, int process,
		      bool (*is)(const struct command *other, const struct command *command))
{
	const struct command *commands = view->scene->commands;

	for (int i = 0; i < view->scene->count; i++)
		if (i != process && overlap(view->outcome, process, i) &&
		    is(&commands[i], &commands[process]))
			return true;
	return false;
}

static bool is_sealer(const struct command *other, const struct command *command)
{
	(void)command;
	return seals(other);
}

static bool is_remover(const struct command *other, const struct command *command)
{
	(void)command;
	return removes_names(other);
}

/* ipc-rm takes the lock of the registry, so that two of them do not overlap in their check. */
static bool is_user(const struct command *other, const struct command *command)
{
	(void)command;
	return !command_removes(other);
}

static bool refuses(const struct command *other, const struct command *command)
{
	return queues_for_lock_of(other, command) || seals(other);
}

static bool is_any(const struct command *other, const struct command *command)
{
	(void)other;
	(void)command;
	return true;
}

static bool has_status(const struct view *view, int process, int status)
{
	return view->outcome->processes[process].status == status;
}

/* ---- the rows --------------------------------------------------------------------- */

bool view_was_killed(const struct view *view, int process)
{
	return has_status(view, process, ENDED_KILLED) ||
	       view->outcome->processes[process].disturbed;
}

static bool was_failed(const struct view *view, int process)
{
	return view->injection && view->injection->errnum && view->outcome->injected &&
	       view->injection->process == process && !has_status(view, process, 0);
}

static bool was_removed(const struct view *view, int process)
{
	return has_status(view, process, 3) && is_beside(view, process, is_remover);
}

/* A process may be at the head of the wait queue, or remove the object, for an instant. */
static bool was_refused(const struct view *view, int process)
{
	const struct command *command = &view->scene->commands[process];

	return has_status(view, process, 1) && uses_lock(command) && does_not_wait(command) &&
	       is_beside(view, process, refuses);
}

static bool lost_peer(const struct view *view, int process)
{
	const struct command *commands = view->scene->commands;

	for (int i = 0; i < view->scene->count && has_status(view, process, 6); i++)
		if (view_was_killed(view, i) && are_peers(&commands[i], &commands[process]))
			return true;
	return false;
}

static bool was_sealed(const struct view *view, int process)
{
	return has_status(view, process, 5) && begins(&view->scene->commands[process], "sem set") &&
	       is_beside(view, process, is_sealer);
}

/* A command that is held at a call looks as if it slept in it. */
static bool was_in_use(const struct view *view, int process)
{
	return has_status(view, process, 7) && seals(&view->scene->commands[process]) &&
	       is_beside(view, process, is_user);
}

/* The first end creates the pipe and arrives in a second step; no command only creates a pipe. */
static bool was_early(const struct view *view, int process)
{
	const struct command *command = &view->scene->commands[process];

	return has_status(view, process, 1) && is_end_of_pipe(command) && does_not_wait(command) &&
	       is_beside(view, process, is_any);
}

static bool any_was_killed(const struct view *view)
{
	for (int i = 0; i < view->scene->count; i++)
		if (view_was_killed(view, i))
			return true;
	return false;
}

/* A command that was killed may have made the registry, and not yet the name. */
static bool was_denied(const struct view *view, int process)
{
	const struct command *command = &view->scene->commands[process];

	return has_status(view, process, 4) && command->user == USER_OTHER &&
	       (command_removes(command) || view->scene->state->setup[0] == NULL) &&
	       (is_beside(view, process, is_any) || any_was_killed(view));
}

/* ipc-rm --stale leaves a transient semaphore while a process holds it or waits for it. */
static bool was_skipped(const struct view *view, int process)
{
	return has_status(view, process, 0) && strstr(view->scene->state->name, "transient") &&
	       begins(&view->scene->commands[process], "rm --stale") &&
	       is_beside(view, process, queues_for_lock_of);
}

static const struct row {
	bool (*applies)(const struct view *view, int process);
	enum difference difference;
	const char *reason;
} rows[] = {
	{ view_was_killed, DIFFERS_IN_ANYTHING,
	  "SIGKILL may hit a command before or after its effect" },
	{ was_failed, DIFFERS_IN_ANYTHING,
	  "a call that the driver made to fail may prevent the effect of the command" },
	{ lost_peer, DIFFERS_IN_ANYTHING,
	  "status 6 is documented for an end of a pipe whose peer was killed" },
	{ was_in_use, DIFFERS_WITHOUT_EFFECT,
	  "ipc-rm without -f refuses to remove an object that a different command uses" },
	{ was_early, DIFFERS_WITHOUT_EFFECT,
	  "an end of a pipe that does not wait gives up if the pipe exists and its peer does not" },
	{ was_skipped, DIFFERS_WITHOUT_EFFECT,
	  "ipc-rm --stale leaves a transient semaphore that a different command waits for" },
	{ was_denied, DIFFERS_WITHOUT_EFFECT,
	  "a user without permission is refused, whether the name exists already or not" },
	{ was_refused, DIFFERS_WITHOUT_EFFECT,
	  "a command that does not wait is refused while a different one is in the wait "
	  "queue, even if that one takes no units in the end" },
	{ was_sealed, DIFFERS_WITHOUT_EFFECT,
	  "ipc-rm holds all free units from its check to the removal, so that none can be "
	  "taken: ipc-sem set finds them held in that instant" },
	{ was_removed, DIFFERS_BY_REMOVAL,
	  "status 3 is documented for an object that is removed while it is used, "
	  "even if a command that begins later creates the name again" },
};

enum difference difference_of(const struct view *view, int process)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].applies(view, process))
			return rows[i].difference;
	return DIFFERS_IN_NOTHING;
}

/* ---- states ----------------------------------------------------------------------- */

static bool end_was_killed(const struct view *view)
{
	for (int i = 0; i < view->scene->count; i++)
		if (view_was_killed(view, i) && is_end_of_pipe(&view->scene->commands[i]))
			return true;
	return false;
}

/*
 * Compare what ipc-ls shows. A pipe stays if the last end to leave was killed, and the next session clears it: if an
 * end was killed, a pipe without bytes and ends counts as none.
 */
bool view_same_state(const struct view *view, const char *ours, const char *theirs)
{
	static const char before[] = "p pipe ", after[] = " 0 bytes, nobody";
	const char *pipe = strstr(ours, before), *end = pipe ? strstr(pipe, after) : NULL;

	if (!end || memchr(pipe, '\n', (size_t)(end - pipe)) || strstr(theirs, before) ||
	    !end_was_killed(view))
		return strcmp(ours, theirs) == 0;
	end += strlen(after);
	end += *end == '\n';
	return strncmp(ours, theirs, (size_t)(pipe - ours)) == 0 &&
	       strcmp(end, theirs + (pipe - ours)) == 0;
}
