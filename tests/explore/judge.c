/* SPDX-License-Identifier: MIT
 * judge.c - searches for an order of complete commands that explains an outcome
 *
 * References are runs of the same commands one after the other, each until it ends or blocks. A run is accepted if its
 * statuses, outputs and states equal those of one order that does not contradict time: a command that had finished
 * before a different one began is before it in the order, too.
 *
 * A killed command may be absent, be complete, or have done only its first half; its status and output do not
 * count. The table in differences.c lists the other commands that may differ.
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

/* ---- comparing ------------------------------------------------------------------- */

/* The place of PROCESS in ORDER, or -1. */
static int place_in(const struct schedule *order, int process)
{
	for (int i = 0; i < order->count; i++)
		if (order->steps[i].process == process)
			return i;
	return -1;
}

static bool removal_follows(const struct view *view, const struct schedule *order, int place)
{
	for (int i = place + 1; i < order->count; i++)
		if (order->steps[i].process != HALF &&
		    command_removes(&view->scene->commands[order->steps[i].process]))
			return true;
	return false;
}

/* Return true if what PROCESS printed and its status are explained by ORDER, whose outcome is REFERENCE. */
static bool same_result(const struct view *view, int process, const struct schedule *order,
			const struct outcome *reference)
{
	const struct outcome *outcome = view->outcome;
	enum difference difference = difference_of(view, process);
	int place = place_in(order, process);

	if (difference == DIFFERS_IN_ANYTHING)
		return true;
	if (difference != DIFFERS_IN_NOTHING && place < 0)
		return outcome->processes[process].out[0] == '\0';
	if (difference == DIFFERS_BY_REMOVAL && removal_follows(view, order, place))
		return true;
	return outcome->processes[process].status == reference->processes[process].status &&
	       strcmp(outcome->processes[process].out, reference->processes[process].out) == 0;
}

static bool equal(const struct view *view, const struct schedule *order,
		  const struct outcome *reference)
{
	const struct outcome *outcome = view->outcome;

	for (int i = 0; i < view->scene->count; i++)
		if (!same_result(view, i, order, reference))
			return false;
	return view_same_state(view, outcome->held, reference->held) &&
	       view_same_state(view, outcome->end, reference->end) &&
	       (outcome->left == 0 || outcome->left == reference->left);
}

/*
 * Return true if SECOND cannot come after FIRST. A killed command has no end: a command that comes later may complete
 * its work.
 */
static bool contradicts(const struct view *view, int first, int second)
{
	const struct outcome *outcome = view->outcome;

	return !view_was_killed(view, second) && outcome->processes[second].finished >= 0 &&
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
	return equal(search->view, &search->order,
		     reference(search->judge, &search->order, &search->half));
}

/* Extend the order by PROCESS, or, if it may be absent, go on without it. */
static bool try_process(struct search *search, int process)
{
	bool found;

	search->placed[process] = true;
	search->dying[process] = view_was_killed(search->view, process);
	found = try_step(search, &(struct step){ .process = process });
	search->dying[process] = false;
	if (search->view->outcome->processes[process].disturbed)
		found = found || try_step(search, &(struct step){ .process = process });
	found = found ||
		(difference_of(search->view, process) != DIFFERS_IN_NOTHING && try_all(search));
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
