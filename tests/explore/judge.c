/* SPDX-License-Identifier: MIT
 * judge.c - searches for an order of complete commands that explains an outcome
 *
 * References are runs of the same commands one after the other, each until it ends or blocks. A run is accepted if its
 * statuses, outputs and states equal those of one order that does not contradict time: a command that had finished
 * before a different one began is before it in the order, too.
 *
 * A killed command may be absent, be complete, or have done only its first half; its status and output do not
 * count. The table of differences below lists the other commands of which this holds.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

#define REFERENCES_MAX 400
#define HALF (PROCESSES_MAX - 1)

struct reference {
	struct schedule order;
	struct command half;
	struct outcome *outcome;
};

struct judge {
	const struct setting *setting;
	struct scene scene;
	struct reference references[REFERENCES_MAX];
	int count;
	struct judge *variant; /* the same scene with equivalent commands, or NULL */
};

/* ---- references --------------------------------------------------------------- */

struct judge *judge_new(const struct setting *setting, const struct scene *scene)
{
	struct judge *judge = calloc(1, sizeof(*judge));

	if (!judge)
		abort();
	judge->setting = setting;
	judge->scene = *scene;
	return judge;
}

void judge_free(struct judge *judge)
{
	if (!judge)
		return;
	judge_free(judge->variant);
	for (int i = 0; i < judge->count; i++)
		outcome_free(judge->references[i].outcome);
	free(judge);
}

static bool same_order(const struct reference *reference, const struct schedule *order,
		       const struct command *half)
{
	if (reference->order.count != order->count || reference->half.user != half->user ||
	    strcmp(reference->half.text, half->text) != 0)
		return false;
	for (int i = 0; i < order->count; i++)
		if (reference->order.steps[i].process != order->steps[i].process ||
		    reference->order.steps[i].kill != order->steps[i].kill ||
		    reference->order.steps[i].all != order->steps[i].all)
			return false;
	return true;
}

/* The outcome of ORDER, in which the last process is HALF. */
static const struct outcome *reference(struct judge *judge, const struct schedule *order,
				       const struct command *half)
{
	struct scene scene = judge->scene;
	struct reference *reference;

	for (int i = 0; i < judge->count; i++)
		if (same_order(&judge->references[i], order, half))
			return judge->references[i].outcome;
	if (judge->count == REFERENCES_MAX)
		abort();
	reference = &judge->references[judge->count++];
	reference->order = *order;
	reference->half = *half;
	scene.commands[HALF] = *half;
	scene.count = PROCESSES_MAX;
	reference->outcome = run_schedule(judge->setting, &scene, order, NULL, NULL, 0);
	return reference->outcome;
}

/* ---- what may differ ------------------------------------------------------------ */

struct view {
	const struct scene *scene;
	const struct schedule *schedule;
	const struct injection *injection;
	const struct outcome *outcome;
};

static bool overlap(const struct outcome *outcome, int a, int b)
{
	int a_end = outcome->processes[a].finished, b_end = outcome->processes[b].finished;

	return (a_end < 0 || a_end >= outcome->processes[b].began) &&
	       (b_end < 0 || b_end >= outcome->processes[a].began);
}

static bool was_killed(const struct view *view, int process)
{
	return view->outcome->processes[process].status == ENDED_KILLED ||
	       view->outcome->processes[process].disturbed;
}

static bool was_failed(const struct view *view, int process)
{
	return view->injection && view->injection->errnum && view->outcome->injected &&
	       view->injection->process == process && view->outcome->processes[process].status != 0;
}

static bool was_removed(const struct view *view, int process)
{
	if (view->outcome->processes[process].status != 3)
		return false;
	for (int i = 0; i < view->scene->count; i++)
		if (i != process && command_removes(&view->scene->commands[i]) &&
		    overlap(view->outcome, process, i))
			return true;
	return false;
}

static bool uses_lock(const struct command *command)
{
	return strncmp(command->text, "sem ", 4) == 0 || strncmp(command->text, "shm lock", 8) == 0;
}

/* A process may be at the head of the wait queue, or remove the object, for an instant: commands with -n are refused then. */
static bool was_refused(const struct view *view, int process)
{
	const struct command *commands = view->scene->commands;

	if (view->outcome->processes[process].status != 1 || !uses_lock(&commands[process]) ||
	    !strstr(commands[process].text, " -n"))
		return false;
	for (int i = 0; i < view->scene->count; i++)
		if (i != process && overlap(view->outcome, process, i) &&
		    (uses_lock(&commands[i]) || command_removes(&commands[i])))
			return true;
	return false;
}

static bool lost_peer(const struct view *view, int process)
{
	const struct command *commands = view->scene->commands;

	if (view->outcome->processes[process].status != 6 ||
	    strncmp(commands[process].text, "pipe ", 5) != 0)
		return false;
	for (int i = 0; i < view->scene->count; i++)
		if (i != process && was_killed(view, i) &&
		    strncmp(commands[i].text, "pipe ", 5) == 0)
			return true;
	return false;
}

static bool was_sealed(const struct view *view, int process)
{
	const struct command *commands = view->scene->commands;

	if (view->outcome->processes[process].status != 5 ||
	    strncmp(commands[process].text, "sem set", 7) != 0)
		return false;
	for (int i = 0; i < view->scene->count; i++)
		if (i != process && overlap(view->outcome, process, i) &&
		    command_removes(&commands[i]))
			return true;
	return false;
}

/* A command that is held at a call looks as if it slept in it. */
static bool was_in_use(const struct view *view, int process)
{
	const struct command *command = &view->scene->commands[process];

	if (!command_removes(command) || view->outcome->processes[process].status != 7)
		return false;
	for (int i = 0; i < view->scene->count; i++)
		if (i != process && overlap(view->outcome, process, i))
			return true;
	return false;
}

/* The first end creates the pipe and arrives in a second step; no command only creates a pipe. */
static bool was_early(const struct view *view, int process)
{
	if (strncmp(view->scene->commands[process].text, "pipe ", 5) != 0 ||
	    view->outcome->processes[process].status != 1)
		return false;
	for (int i = 0; i < view->scene->count; i++)
		if (i != process && overlap(view->outcome, process, i))
			return true;
	return false;
}

static bool was_denied(const struct view *view, int process)
{
	const struct command *command = &view->scene->commands[process];

	return command->user == USER_OTHER && view->outcome->processes[process].status == 4 &&
	       (command_removes(command) || view->scene->state->setup[0] == NULL);
}

/* The reviewed differences: each makes a command one that may be absent, complete, or half done. */
static const struct difference {
	bool (*applies)(const struct view *view, int process);
	const char *reason;
} differences[] = {
	{ was_killed, "SIGKILL may hit a command before or after its effect" },
	{ was_failed, "a call that the driver made to fail may prevent the effect of the command" },
	{ was_in_use,
	  "ipc-rm without -f refuses to remove an object that a different command uses" },
	{ was_early,
	  "an end of a pipe that does not wait gives up if the pipe exists and its peer does not" },
	{ was_denied,
	  "a user without permission is refused, whether the name exists already or not" },
	{ was_refused,
	  "a command that does not wait is refused while a different one is in the wait "
	  "queue, even if that one takes no units in the end" },
	{ was_sealed,
	  "ipc-rm holds all free units from its check to the removal, so that none can be "
	  "taken: ipc-sem set finds them held in that instant" },
	{ lost_peer, "status 6 is documented for an end of a pipe whose peer was killed" },
	{ was_removed, "status 3 is documented for an object that is removed while it is used, "
		       "even if a command that begins later creates the name again" },
};

static bool may_be_absent(const struct view *view, int process)
{
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
		if (differences[i].applies(view, process))
			return true;
	return false;
}

/* ---- comparing ------------------------------------------------------------------- */

/*
 * Compare what ipc-ls shows. A pipe stays if the last end to leave was killed, and the next session clears it: if a process
 * was killed, a pipe without bytes and ends counts as none.
 */
static bool same_state(const struct view *view, const char *ours, const char *theirs)
{
	static const char before[] = "p pipe ", after[] = " 0 bytes, nobody";
	const char *pipe = strstr(ours, before), *end = pipe ? strstr(pipe, after) : NULL;
	bool killed = false;

	for (int i = 0; i < view->scene->count; i++)
		killed |= was_killed(view, i);
	if (!killed || !end || memchr(pipe, '\n', (size_t)(end - pipe)) || strstr(theirs, before))
		return strcmp(ours, theirs) == 0;
	end += strlen(after);
	end += *end == '\n';
	return strncmp(ours, theirs, (size_t)(pipe - ours)) == 0 &&
	       strcmp(end, theirs + (pipe - ours)) == 0;
}

static bool equal(const struct view *view, const struct outcome *reference)
{
	const struct outcome *outcome = view->outcome;

	for (int i = 0; i < view->scene->count; i++)
		if (!may_be_absent(view, i) &&
		    (outcome->processes[i].status != reference->processes[i].status ||
		     strcmp(outcome->processes[i].out, reference->processes[i].out) != 0))
			return false;
	return same_state(view, outcome->held, reference->held) &&
	       same_state(view, outcome->end, reference->end) &&
	       (outcome->left == 0 || outcome->left == reference->left);
}

/*
 * Return true if SECOND cannot come after FIRST. A killed command has no end: a command that comes later may complete
 * its work.
 */
static bool contradicts(const struct view *view, int first, int second)
{
	const struct outcome *outcome = view->outcome;

	return !was_killed(view, second) && outcome->processes[second].finished >= 0 &&
	       outcome->processes[second].finished < outcome->processes[first].began;
}

/* ---- orders ------------------------------------------------------------------ */

struct search {
	struct judge *judge;
	const struct view *view;
	struct schedule order;
	bool placed[PROCESSES_MAX];
	bool dying[PROCESSES_MAX]; /* placed, and still to be killed */
	struct command half;
	int half_of; /* -1: there is none */
	bool half_placed;
};

static bool try_all(struct search *search);

static bool try_step(struct search *search, const struct step *step)
{
	bool found;

	search->order.steps[search->order.count++] = *step;
	found = try_all(search);
	search->order.count--;
	return found;
}

/* Return true if all commands that finished before PROCESS began are in the order. */
static bool may_come(const struct search *search, int process)
{
	for (int i = 0; i < search->view->scene->count; i++)
		if (!search->placed[i] && i != process && contradicts(search->view, process, i))
			return false;
	return true;
}

static bool complete(struct search *search)
{
	if (search->half_of >= 0 && !search->half_placed)
		return false;
	return equal(search->view, reference(search->judge, &search->order, &search->half));
}

/* Extend the order by PROCESS, or, if it may be absent, go on without it. */
static bool try_process(struct search *search, int process)
{
	bool found;

	search->placed[process] = true;
	search->dying[process] = was_killed(search->view, process);
	found = try_step(search, &(struct step){ .process = process });
	search->dying[process] = false;
	if (search->view->outcome->processes[process].disturbed)
		found = found || try_step(search, &(struct step){ .process = process });
	found = found || (may_be_absent(search->view, process) && try_all(search));
	search->placed[process] = false;
	return found;
}

/* With or without the keeper, which dies with a command that has not yet been answered. */
static bool try_kill(struct search *search, int process)
{
	struct step step = { .process = process, .kill = true };
	bool found, keeps = strstr(search->view->scene->commands[process].text, "acquire");

	search->dying[process] = false;
	found = try_step(search, &step);
	step.all = true;
	found = found || (keeps && try_step(search, &step));
	search->dying[process] = true;
	return found;
}

/* Extend the order by each step that may come next. */
static bool try_all(struct search *search)
{
	bool found = false, missing = false;

	if (search->half_of >= 0 && !search->half_placed) {
		search->half_placed = true;
		found = try_step(search, &(struct step){ .process = HALF });
		search->half_placed = false;
	}
	for (int i = 0; i < search->view->scene->count && !found; i++) {
		missing |= !search->placed[i] || search->dying[i];
		if (search->dying[i])
			found = try_kill(search, i);
		else if (!search->placed[i] && may_come(search, i) &&
			 (search->half_of != i || search->half_placed))
			found = try_process(search, i);
	}
	return found || (!missing && complete(search));
}

static bool explains(struct judge *judge, const struct view *view)
{
	struct search search = { .judge = judge, .view = view, .half_of = -1 };

	if (try_all(&search))
		return true;
	for (int i = 0; i < judge->scene.count; i++) {
		search = (struct search){ .judge = judge, .view = view, .half_of = i };
		for (int j = 0; command_half(&judge->scene.commands[i], j, &search.half); j++)
			if (try_all(&search))
				return true;
	}
	return false;
}

/* Commands for which an equivalent command stands, too. */
static const struct variant {
	const char *text, *other, *reason;
} variants[] = {
	{ "recv @q @r", "recv @r @q",
	  "ipc-recv takes from any of several queues; the order of their names is not part of its contract" },
	{ "barrier wait -n @b 2", "barrier wait @b 2",
	  "a process that does not wait arrives, and leaves again in the next step" },
	{ "pipe write -n @p <text", "pipe write @p <text",
	  "as above: the pipe exists for an instant" },
	{ "event wait -n @e", "event wait @e", "as above: a pulse may come between the two steps" },
};

static struct judge *with_variants(struct judge *judge)
{
	struct scene scene = judge->scene;
	bool any = false;

	for (int i = 0; i < scene.count; i++)
		for (size_t j = 0; j < sizeof(variants) / sizeof(variants[0]); j++)
			if (strcmp(scene.commands[i].text, variants[j].text) == 0) {
				strcpy(scene.commands[i].text, variants[j].other);
				any = true;
			}
	if (any && !judge->variant)
		judge->variant = judge_new(judge->setting, &scene);
	return judge->variant;
}

bool judge_accepts(struct judge *judge, const struct schedule *schedule,
		   const struct injection *injection, const struct outcome *outcome)
{
	struct view view = { &judge->scene, schedule, injection, outcome };

	if (outcome->hung)
		return false;
	return explains(judge, &view) || (with_variants(judge) && explains(judge->variant, &view));
}

/* ---- explaining ------------------------------------------------------------------ */

static void print_outcome(const struct scene *scene, const struct outcome *outcome)
{
	static const char *const words[] = { "blocked", "killed", "absent" };

	for (int i = 0; i < scene->count; i++) {
		int status = outcome->processes[i].status;

		if (status == ENDED_ABSENT)
			continue;
		printf("#   %c ", 'A' + i);
		if (status >= ENDED_BLOCKED)
			printf("%s", words[status - ENDED_BLOCKED]);
		else
			printf("%d", status);
		printf(" \"%.*s\" %.*s\n", (int)strcspn(outcome->processes[i].out, "\n"),
		       outcome->processes[i].out, (int)strcspn(outcome->processes[i].error, "\n"),
		       outcome->processes[i].error);
	}
	printf("#   held:\n%s#   end:\n%s#   left: %d%s\n", outcome->held, outcome->end,
	       outcome->left, outcome->hung ? ", and it hung" : "");
}

void judge_explain(struct judge *judge, const struct schedule *schedule,
		   const struct outcome *outcome)
{
	(void)schedule;
	printf("# outcome:\n");
	print_outcome(&judge->scene, outcome);
	for (int i = 0; i < judge->count; i++) {
		const struct reference *reference = &judge->references[i];

		printf("# reference:");
		for (int j = 0; j < reference->order.count; j++)
			printf(" %c%s", 'A' + reference->order.steps[j].process,
			       reference->order.steps[j].kill ? "!" : "");
		putchar('\n');
		print_outcome(&judge->scene, reference->outcome);
	}
}
