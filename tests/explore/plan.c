/* SPDX-License-Identifier: MIT
 * plan.c - the runs of one scene: the points at which commands are held, killed or made to fail
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"

#define PATIENCE_MS 2500
#define ROW 6	 /* calls of a row that are explored: the first and the last three */
#define DRAWS 24 /* of one scene, when runs are drawn */

bool time_is_up(const struct explorer *explorer)
{
	return explorer->end && time(NULL) >= explorer->end;
}

/* ---- one run ------------------------------------------------------------------ */

struct trial {
	struct explorer *explorer;
	const struct scene *scene;
	struct judge *judge;
	struct schedule schedule;
	struct injection injection;
};

static void push(struct trial *trial, int process, const struct point *point, bool kill)
{
	struct step *step = &trial->schedule.steps[trial->schedule.count++];

	*step = (struct step){ .process = process, .kill = kill, .hold = point != NULL };
	if (point)
		step->point = *point;
}

/* Run once more, and let waiters have time. Return true if the outcome is wrong again. */
static bool fails_again(struct trial *trial, struct outcome **last)
{
	outcome_free(*last);
	*last = run_schedule(&trial->explorer->setting, trial->scene, &trial->schedule,
			     &trial->injection, NULL, PATIENCE_MS);
	trial->explorer->runs++;
	return !judge_accepts(trial->judge, &trial->schedule, &trial->injection, *last);
}

static void report(struct trial *trial, const struct outcome *outcome, bool steady)
{
	char text[1024];

	replay_print(text, sizeof(text), trial->scene, &trial->schedule, &trial->injection);
	printf("%s: %s --replay '%s'\n", steady ? "not ok" : "# once", "tests/explore/explore",
	       text);
	if (trial->explorer->setting.verbose)
		judge_explain(trial->judge, &trial->schedule, outcome);
	fflush(stdout);
	if (steady)
		trial->explorer->failures++;
	else
		trial->explorer->unsteady++;
}

/* A wrong outcome counts if two of two repetitions are wrong, too. */
static void try(struct trial *trial)
{
	struct outcome *outcome = run_schedule(&trial->explorer->setting, trial->scene,
					       &trial->schedule, &trial->injection, NULL, 0);

	trial->explorer->runs++;
	if (!judge_accepts(trial->judge, &trial->schedule, &trial->injection, outcome)) {
		bool steady = fails_again(trial, &outcome) && fails_again(trial, &outcome);

		if (steady || trial->explorer->setting.verbose)
			report(trial, outcome, steady);
		else
			trial->explorer->unsteady++;
	}
	outcome_free(outcome);
}

/* ---- the runs of one point ------------------------------------------------------- */

enum form { HOLD, KILL_AFTER, KILL_BEFORE, FORMS };

static void run_form(struct trial *trial, const struct point *point, enum form form)
{
	trial->schedule.count = 0;
	push(trial, 0, point, false);
	if (form == KILL_BEFORE)
		push(trial, 0, NULL, true);
	for (int i = 1; i < trial->scene->count; i++)
		push(trial, i, NULL, false);
	if (form != KILL_BEFORE)
		push(trial, 0, NULL, form == KILL_AFTER);
	try(trial);
}

static struct point point_of(const struct call *call, bool after)
{
	return (struct point){ call->task, call->number, after };
}

/* A is held at the first point, the first commands run, A is held at the second point, the others run. */
static void hold_twice(struct trial *trial, const struct point *first, const struct point *second,
		       int before)
{
	trial->schedule.count = 0;
	push(trial, 0, first, false);
	for (int i = 1; i <= before; i++)
		push(trial, i, NULL, false);
	push(trial, 0, second, false);
	for (int i = before + 1; i < trial->scene->count; i++)
		push(trial, i, NULL, false);
	push(trial, 0, NULL, false);
	try(trial);
}

/* A is held, B is held, A ends, the others run, B goes on or is killed. */
static void hold_both(struct trial *trial, const struct point *first, const struct point *second,
		      bool kill)
{
	trial->schedule.count = 0;
	push(trial, 0, first, false);
	push(trial, 1, second, false);
	push(trial, 0, NULL, false);
	if (kill)
		push(trial, 1, NULL, true);
	for (int i = 2; i < trial->scene->count; i++)
		push(trial, i, NULL, false);
	if (!kill)
		push(trial, 1, NULL, false);
	try(trial);
}

/* ---- points ---------------------------------------------------------------------- */

static bool same_row(const struct call *a, const struct call *b)
{
	return a->task == b->task && a->nr == b->nr && a->detail == b->detail;
}

/* Drop the middle of long rows of the same call. */
static void thin(struct calls *calls)
{
	int kept = 0;

	for (int i = 0, end; i < calls->count; i = end) {
		for (end = i; end < calls->count && same_row(&calls->list[i], &calls->list[end]);)
			end++;
		for (int j = i; j < end; j++)
			if (j - i < ROW / 2 || end - j <= ROW / 2)
				calls->list[kept++] = calls->list[j];
	}
	calls->count = kept;
}

static int compare_calls(const void *a, const void *b)
{
	const struct call *first = a, *second = b;

	if (first->task != second->task)
		return first->task < second->task ? -1 : 1;
	return first->number < second->number ? -1 : first->number > second->number;
}

/* Record the calls of PROCESS while all commands run one after the other, PROCESS first. */
static struct calls *record(struct trial *trial, int process)
{
	struct calls *calls = calloc(1, sizeof(*calls));
	struct schedule order = { .count = 0 };
	struct injection none = { .process = process };

	if (!calls)
		abort();
	order.steps[order.count++] = (struct step){ .process = process };
	for (int i = 0; i < trial->scene->count; i++)
		if (i != process)
			order.steps[order.count++] = (struct step){ .process = i };
	outcome_free(
		run_schedule(&trial->explorer->setting, trial->scene, &order, &none, calls, 0));
	qsort(calls->list, (size_t)calls->count, sizeof(calls->list[0]), compare_calls);
	thin(calls);
	trial->explorer->points += 2 * calls->count;
	return calls;
}

/* ---- one scene ------------------------------------------------------------------- */

/* Run FN for all points, or for some that are drawn. */
static void all_forms(struct trial *trial, const struct calls *calls)
{
	for (int i = 0; i < calls->count; i++)
		for (int after = 0; after < 2; after++)
			for (int form = 0; form < FORMS && !time_is_up(trial->explorer); form++) {
				struct point point = point_of(&calls->list[i], after);

				run_form(trial, &point, (enum form)form);
			}
}

static void all_twos(struct trial *trial, const struct calls *calls, const struct calls *others)
{
	for (int i = 0; i < 2 * calls->count; i++) {
		struct point first = point_of(&calls->list[i / 2], i % 2);

		for (int j = i + 1; j < 2 * calls->count && !time_is_up(trial->explorer); j++) {
			struct point second = point_of(&calls->list[j / 2], j % 2);

			for (int k = 1; k < trial->scene->count - 1; k++)
				hold_twice(trial, &first, &second, k);
		}
		for (int j = 0; j < 2 * others->count && !time_is_up(trial->explorer); j++) {
			struct point second = point_of(&others->list[j / 2], j % 2);

			hold_both(trial, &first, &second, false);
			hold_both(trial, &first, &second, true);
		}
	}
}

static void draw_one(struct trial *trial, const struct calls *calls, const struct calls *others)
{
	struct point first = point_of(&calls->list[random() % calls->count], random() % 2);
	struct point second;
	long form = random() % (others ? FORMS + 2 : FORMS);

	if (form < FORMS) {
		run_form(trial, &first, (enum form)form);
		return;
	}
	second = point_of(&others->list[random() % others->count], random() % 2);
	hold_both(trial, &first, &second, form == FORMS);
}

static void fail_calls(struct trial *trial, const struct calls *calls)
{
	for (int i = 0; i < calls->count; i++)
		for (const int *errnum = errnos_of(&calls->list[i]); *errnum; errnum++)
			/* A call that is interrupted or refused for ever would be tried for ever. */
			for (int on = 0; on < (*errnum == EINTR || *errnum == EAGAIN ? 1 : 2) &&
					 !time_is_up(trial->explorer);
			     on++) {
				trial->injection = (struct injection){
					.errnum = *errnum,
					.point = point_of(&calls->list[i], false),
					.from_there_on = on,
					.nr = calls->list[i].nr,
				};
				trial->schedule.count = 0;
				for (int j = 0; j < trial->scene->count; j++)
					push(trial, j, NULL, false);
				try(trial);
			}
}

void explore_scene(struct explorer *explorer, const struct scene *scene)
{
	struct trial trial = { .explorer = explorer, .scene = scene };
	struct calls *calls, *others = NULL;

	trial.judge = judge_new(&explorer->setting, scene);
	calls = record(&trial, 0);
	if (explorer->setting.two)
		others = record(&trial, 1);
	explorer->scenes++;
	if (explorer->setting.errnos) {
		fail_calls(&trial, calls);
	} else if (explorer->setting.all) {
		all_forms(&trial, calls);
		if (others)
			all_twos(&trial, calls, others);
	} else {
		for (int i = 0; i < DRAWS && calls->count && !time_is_up(explorer); i++)
			draw_one(&trial, calls, others && others->count ? others : NULL);
	}
	judge_free(trial.judge);
	free(calls);
	free(others);
}

/* ---- one run again ---- */

int explore_replay(struct explorer *explorer, const char *text)
{
	struct trial trial = { .explorer = explorer };
	struct scene scene;
	struct outcome *outcome;
	bool good;

	if (!replay_read(text, &scene, &trial.schedule, &trial.injection)) {
		fprintf(stderr, "explore: cannot read '%s'\n", text);
		return 2;
	}
	explorer->setting.errnos = trial.injection.errnum != 0;
	trial.scene = &scene;
	trial.judge = judge_new(&explorer->setting, &scene);
	outcome = run_schedule(&explorer->setting, &scene, &trial.schedule, &trial.injection, NULL,
			       PATIENCE_MS);
	good = judge_accepts(trial.judge, &trial.schedule, &trial.injection, outcome);
	judge_explain(trial.judge, &trial.schedule, outcome);
	printf("%s\n", good ? "ok: an order explains it" : "not ok: no order explains it");
	outcome_free(outcome);
	judge_free(trial.judge);
	return !good;
}
