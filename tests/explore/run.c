/* SPDX-License-Identifier: MIT
 * run.c - runs one schedule in an IPC namespace of its own
 *
 * A step starts a process or lets it go on until it ends, blocks, or reaches the point at which it is held. The next
 * step begins when nothing moves. After the last step all held processes go on. Programs that hold units end only
 * after the state with their units was read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"

#define STEP_MS 10000
#define MOMENT_NS 300000

struct run {
	const struct scene *scene;
	const struct schedule *schedule;
	struct context context;
	struct trace trace;
	struct started started[PROCESSES_MAX];
	struct outcome *outcome;
	enum tolerance tolerance;
	int recorded; /* the process whose calls are recorded, or -1 */
};

/* ---- around the steps --------------------------------------------------------- */

static pid_t start_owner(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static bool needs_owners(const struct scene *scene)
{
	for (int i = 0; i < scene->count; i++)
		if (strchr(scene->commands[i].text, '%'))
			return true;
	for (int i = 0; i < 6 && scene->state->setup[i]; i++)
		if (strchr(scene->state->setup[i], '%'))
			return true;
	return false;
}

static void begin(struct run *run)
{
	if (unshare(CLONE_NEWIPC) < 0) {
		perror("explore: unshare");
		exit(2);
	}
	for (int i = 0; i < 2 && needs_owners(run->scene); i++)
		run->context.owners[i] = start_owner();
	state_prepare(&run->context, run->scene->state);
}

/* End the processes for which units were acquired, and wait until no process of this run is left. */
static void end_all(struct run *run)
{
	const struct timespec moment = { 0, MOMENT_NS };
	siginfo_t info;
	struct trace *trace = &run->trace;

	for (int i = 0; i < 2; i++)
		if (run->context.owners[i] > 0)
			kill(run->context.owners[i], SIGKILL);
	for (int tries = 0; tries < 10000; tries++) {
		trace_settle(trace, 0);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 &&
		    errno == ECHILD)
			return;
		nanosleep(&moment, NULL);
	}
	run->outcome->hung = true;
	for (int i = 0; i < trace->task_count; i++)
		kill(trace->tasks[i].tgid, SIGKILL);
	trace_settle(trace, 1000);
}

/* ---- steps ------------------------------------------------------------------ */

/* Return true if PROCESS is ever held, and so needs the filter. */
static bool is_filtered(const struct run *run, int process)
{
	const struct injection *injection = &run->trace.injection;

	for (int i = 0; i < run->schedule->count; i++)
		if (run->schedule->steps[i].process == process && run->schedule->steps[i].hold)
			return true;
	return run->recorded == process || (injection->errnum && injection->process == process);
}

static bool is_done(const struct run *run, int process)
{
	const struct traced *traced = &run->trace.processes[process];

	return traced->ended || (traced->executed && command_holds(&run->scene->commands[process]));
}

static void settle(struct run *run, int number)
{
	if (!trace_settle(&run->trace, STEP_MS))
		run->outcome->hung = true;
	for (int i = 0; i < run->scene->count; i++)
		if (run->outcome->processes[i].finished < 0 && is_done(run, i))
			run->outcome->processes[i].finished = number;
}

static void start(struct run *run, int process, int number)
{
	struct traced *traced = &run->trace.processes[process];
	struct started *started = &run->started[process];

	traced->recording = run->recorded == process;
	if (!command_start(&run->context, &run->scene->commands[process], true,
			   is_filtered(run, process), started)) {
		perror("explore: cannot start a command");
		exit(2);
	}
	run->outcome->processes[process].began = number;
	trace_add(&run->trace, process, started->pid);
}

static void do_step(struct run *run, int number)
{
	const struct step *step = &run->schedule->steps[number];
	struct traced *traced = &run->trace.processes[step->process];

	if (step->kill) {
		if (trace_kill(&run->trace, step->process, step->all))
			run->outcome->processes[step->process].status = ENDED_KILLED;
		else
			run->outcome->processes[step->process].disturbed = true;
	} else {
		traced->armed = step->hold;
		traced->point = step->point;
		if (traced->started)
			trace_resume(&run->trace, step->process);
		else
			start(run, step->process, number);
	}
	settle(run, number);
}

/* ---- the outcome -------------------------------------------------------------- */

static void read_output(int fd, char *text, size_t size)
{
	ssize_t length = pread(fd, text, size - 1, 0);

	text[length > 0 ? length : 0] = '\0';
}

static void collect(struct run *run)
{
	for (int i = 0; i < run->scene->count; i++) {
		const struct traced *traced = &run->trace.processes[i];
		const struct started *started = &run->started[i];
		int *status = &run->outcome->processes[i].status;

		if (!traced->started) {
			*status = ENDED_ABSENT;
			continue;
		}
		if (*status != ENDED_KILLED)
			*status = !traced->ended	      ? ENDED_BLOCKED
				  : WIFEXITED(traced->status) ? WEXITSTATUS(traced->status)
							      : 128 + WTERMSIG(traced->status);
		read_output(started->out, run->outcome->processes[i].out,
			    sizeof(run->outcome->processes[i].out));
		read_output(started->error, run->outcome->processes[i].error,
			    sizeof(run->outcome->processes[i].error));
		close(started->out);
		close(started->error);
		if (!traced->ended)
			kill(traced->pid, SIGKILL);
	}
}

static bool any_blocked(const struct run *run)
{
	for (int i = 0; i < run->scene->count; i++)
		if (run->trace.processes[i].started && !is_done(run, i))
			return true;
	return false;
}

/* A process that still waits is given MILLISECONDS. */
static void be_patient(struct run *run, int milliseconds)
{
	const struct timespec moment = { 0, 20000000 };

	for (int waited = 0; waited < milliseconds && any_blocked(run); waited += 20) {
		nanosleep(&moment, NULL);
		trace_settle(&run->trace, STEP_MS);
	}
}

static void finish(struct run *run, int patience)
{
	for (int i = 0; i < run->scene->count; i++) {
		run->trace.processes[i].armed = false;
		trace_resume(&run->trace, i);
	}
	settle(run, run->schedule->count);
	be_patient(run, patience);
	run->outcome->held = state_describe(&run->context, run->scene->state, run->tolerance);
	for (int i = 0; i < run->scene->count; i++)
		if (run->trace.processes[i].started && run->started[i].input >= 0)
			close(run->started[i].input);
	settle(run, run->schedule->count);
	collect(run);
	settle(run, run->schedule->count);
	end_all(run);
	run->outcome->end = state_describe(&run->context, run->scene->state, run->tolerance);
}

static bool any_killed(const struct schedule *schedule)
{
	for (int i = 0; i < schedule->count; i++)
		if (schedule->steps[i].kill)
			return true;
	return false;
}

struct outcome *run_schedule(const struct setting *setting, const struct scene *scene,
			     const struct schedule *schedule, const struct injection *injection,
			     struct calls *calls, int patience)
{
	struct run *run = calloc(1, sizeof(*run));
	struct outcome *outcome = calloc(1, sizeof(*outcome));

	if (!run || !outcome)
		abort();
	run->scene = scene;
	run->schedule = schedule;
	run->context.setting = setting;
	run->outcome = outcome;
	run->recorded = calls && injection ? injection->process : -1;
	run->trace.calls = calls;
	if (injection)
		run->trace.injection = *injection;
	run->tolerance = setting->errnos	? TOLERATE_FAILURE
			 : any_killed(schedule) ? TOLERATE_KILL
						: TOLERATE_NOTHING;
	for (int i = 0; i < scene->count; i++)
		outcome->processes[i].finished = -1;
	begin(run);
	for (int i = 0; i < schedule->count; i++)
		do_step(run, i);
	finish(run, patience);
	outcome->left = state_clear(&run->context, run->tolerance != TOLERATE_NOTHING);
	outcome->injected = run->trace.injected;
	free(run);
	return outcome;
}

void outcome_free(struct outcome *outcome)
{
	if (!outcome)
		return;
	free(outcome->held);
	free(outcome->end);
	free(outcome);
}
