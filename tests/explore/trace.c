/* SPDX-License-Identifier: MIT
 * trace.c - runs processes under ptrace and holds them at a call
 *
 * A seccomp filter stops a task at each reported call. PTRACE_SYSCALL is used only to reach the exit of a call at which
 * the task is to be held. All processes are traced, so that the driver knows each of their tasks and the kernel
 * ends them with the driver (PTRACE_O_EXITKILL).
 *
 * A task is blocked if it sleeps and its counts of context switches do not change for QUIET_MS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"

#define QUIET_MS 4
#define POLLING_MS 50
#define OPTIONS                                                                                   \
	(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | \
	 PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)

/* ---- tasks ------------------------------------------------------------------ */

static struct task *find(struct trace *trace, pid_t tid)
{
	for (int i = 0; i < trace->task_count; i++)
		if (trace->tasks[i].tid == tid)
			return &trace->tasks[i];
	return NULL;
}

static struct task *add(struct trace *trace, pid_t tid)
{
	struct task *task = &trace->tasks[trace->task_count];

	if (trace->task_count == TASKS_MAX) {
		fprintf(stderr, "explore: too many tasks\n");
		abort();
	}
	trace->task_count++;
	*task = (struct task){ .tid = tid, .tgid = tid, .process = -1 };
	return task;
}

static void forget(struct trace *trace, struct task *task)
{
	*task = trace->tasks[--trace->task_count];
}

static void adopt(struct trace *trace, struct task *task, int process)
{
	task->process = process;
	task->ordinal = trace->processes[process].tasks++;
}

/* ---- going on --------------------------------------------------------------- */

static bool is_at(const struct trace *trace, const struct task *task, bool after)
{
	const struct traced *process = &trace->processes[task->process];

	return process->armed && process->point.task == task->ordinal &&
	       process->point.call == task->calls && process->point.after == after;
}

static void go_on(struct trace *trace, struct task *task, int signo)
{
	bool to_exit = task->entered && is_at(trace, task, true);

	task->stopped = task->held = false;
	ptrace(to_exit ? PTRACE_SYSCALL : PTRACE_CONT, task->tid, NULL, (long)signo);
}

/* Hold TASK if its process is to be held here. */
static void hold_or_go_on(struct trace *trace, struct task *task, bool after)
{
	if (!is_at(trace, task, after)) {
		go_on(trace, task, 0);
		return;
	}
	trace->processes[task->process].armed = false;
	task->held = task->stopped = true;
}

/* ---- events ----------------------------------------------------------------- */

static void record(struct trace *trace, struct task *task, const struct __ptrace_syscall_info *info)
{
	struct calls *calls = trace->calls;
	const char *name = filter_name((long)info->seccomp.nr);
	long detail = 0;

	if (!trace->processes[task->process].recording || calls->count == CALLS_MAX)
		return;
	/* The flags of a get, the command of a ctl. */
	if (strcmp(name, "semctl") == 0 || strcmp(name, "semget") == 0 ||
	    strcmp(name, "shmget") == 0)
		detail = (long)info->seccomp.args[2];
	else if (strcmp(name, "msgctl") == 0 || strcmp(name, "msgget") == 0 ||
		 strcmp(name, "shmctl") == 0)
		detail = (long)info->seccomp.args[1];
	calls->list[calls->count++] =
		(struct call){ task->ordinal, task->calls, (long)info->seccomp.nr, detail };
}

static bool is_to_fail(struct trace *trace, const struct task *task)
{
	const struct injection *injection = &trace->injection;

	if (!injection->errnum || task->process != injection->process ||
	    task->ordinal != injection->point.task)
		return false;
	return task->calls == injection->point.call ||
	       (injection->from_there_on && trace->injected && task->nr == injection->nr);
}

static void on_call(struct trace *trace, struct task *task)
{
	struct __ptrace_syscall_info info;

	task->calls++;
	task->entered = true;
	if (trace->calls || trace->injection.errnum) {
		memset(&info, 0, sizeof(info));
		ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info);
		task->nr = (long)info.seccomp.nr;
		record(trace, task, &info);
	}
	if (is_to_fail(trace, task)) {
		trace->injected |= trace_inject(task->tid, trace->injection.errnum);
		task->entered = false;
	}
	hold_or_go_on(trace, task, false);
}

static void on_child(struct trace *trace, struct task *task, bool thread)
{
	int process = task->process;
	pid_t parent = task->tid, tgid = task->tgid;
	unsigned long number = 0;
	struct task *child;

	ptrace(PTRACE_GETEVENTMSG, task->tid, NULL, &number);
	child = find(trace, (pid_t)number);
	if (!child)
		child = add(trace, (pid_t)number);
	adopt(trace, child, process);
	if (thread)
		child->tgid = tgid;
	if (child->stopped)
		go_on(trace, child, 0);
	go_on(trace, find(trace, parent), 0);
}

static void on_end(struct trace *trace, struct task *task, int status)
{
	if (task->process >= 0 && trace->processes[task->process].pid == task->tid) {
		trace->processes[task->process].ended = true;
		trace->processes[task->process].status = status;
	}
	forget(trace, task);
}

static void on_exec(struct trace *trace, struct task *task)
{
	/* The first one starts the command itself. */
	if (task->executed)
		trace->processes[task->process].executed = true;
	task->executed = true;
	go_on(trace, task, 0);
}

static void on_stop(struct trace *trace, struct task *task, int status)
{
	int signo = WSTOPSIG(status), event = status >> 16;

	task->stopped = true;
	if (task->process < 0)
		return; /* its parent's event has not arrived yet */
	if (event == PTRACE_EVENT_SECCOMP) {
		on_call(trace, task);
	} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
		   event == PTRACE_EVENT_CLONE) {
		on_child(trace, task, event == PTRACE_EVENT_CLONE);
	} else if (event == PTRACE_EVENT_EXEC) {
		on_exec(trace, task);
	} else if (signo == (SIGTRAP | 0x80)) {
		hold_or_go_on(trace, task, true);
		if (!task->held)
			task->entered = false;
	} else {
		/* A new task begins with SIGSTOP, which is not for it. */
		go_on(trace, task, signo == SIGSTOP ? 0 : signo);
	}
}

/* Handle all events that there are; return true if there was one. */
static bool drain(struct trace *trace)
{
	bool any = false;
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		struct task *task = find(trace, tid);

		any = true;
		if (WIFSTOPPED(status))
			on_stop(trace, task ? task : add(trace, tid), status);
		else if (task)
			on_end(trace, task, status);
	}
	return any;
}

/* ---- quiet ------------------------------------------------------------------ */

/* The sum of a task's context switches; 0 if it does not sleep. */
static unsigned long switches_of(pid_t tid)
{
	char path[64], text[4096], *found;
	ssize_t length = -1;
	unsigned long sum = 1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		length = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (length <= 0)
		return 0;
	text[length] = '\0';
	found = strstr(text, "\nState:\t");
	if (!found || (found[8] != 'S' && found[8] != 'D'))
		return 0;
	for (const char *name = "voluntary_ctxt_switches:"; (found = strstr(found, name));
	     found += strlen(name))
		sum += strtoul(found + strlen(name), NULL, 10);
	return sum;
}

/* Return true if TASK polls for a task of its own command that is held. */
static bool waits_for_held(const struct trace *trace, const struct task *task)
{
	for (int i = 0; i < trace->task_count; i++)
		if (trace->tasks[i].held && trace->tasks[i].process == task->process)
			return true;
	return false;
}

/*
 * Return true if a task may go on by itself: it does not sleep, or has slept and run since the last call. After a while
 * a task that shares a command with a held one does not count.
 */
static bool is_busy(struct trace *trace, bool long_since)
{
	bool busy = false;

	for (int i = 0; i < trace->task_count; i++) {
		struct task *task = &trace->tasks[i];
		unsigned long now;

		if (task->held || (long_since && waits_for_held(trace, task)))
			continue;
		now = switches_of(task->tid);
		busy |= now == 0 || now != task->switches;
		task->switches = now;
	}
	return busy;
}

static bool all_held_or_ended(const struct trace *trace)
{
	for (int i = 0; i < trace->task_count; i++)
		if (!trace->tasks[i].held)
			return false;
	return true;
}

static bool all_wait_for_held(const struct trace *trace)
{
	for (int i = 0; i < trace->task_count; i++)
		if (!trace->tasks[i].held && !waits_for_held(trace, &trace->tasks[i]))
			return false;
	return true;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Wait until each task is held, blocked or has ended. Return false if some go on after MILLISECONDS. */
bool trace_settle(struct trace *trace, int milliseconds)
{
	const struct timespec moment = { 0, 500000 };
	int64_t begin = now_ns(), limit = begin + milliseconds * INT64_C(1000000),
		quiet = INT64_MAX;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		bool some = drain(trace), late = now_ns() - begin > POLLING_MS * INT64_C(1000000);

		if (some && !(late && all_wait_for_held(trace))) {
			quiet = INT64_MAX;
			continue;
		}
		if (all_held_or_ended(trace) || (late && all_wait_for_held(trace)))
			return true;
		if (now_ns() > limit)
			return false;
		if (sigtimedwait(&child, NULL, &moment) == SIGCHLD)
			continue;
		if (is_busy(trace, late))
			quiet = INT64_MAX;
		else if (quiet == INT64_MAX)
			quiet = now_ns();
		else if (now_ns() - quiet >= QUIET_MS * INT64_C(1000000))
			return true;
	}
}

/* ---- processes -------------------------------------------------------------- */

void trace_add(struct trace *trace, int process, pid_t pid)
{
	struct task *task = add(trace, pid);
	int status;

	trace->processes[process].pid = pid;
	trace->processes[process].started = true;
	adopt(trace, task, process);
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	if (!WIFSTOPPED(status)) {
		on_end(trace, task, status);
		return;
	}
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (long)OPTIONS);
	go_on(trace, task, 0);
}

void trace_resume(struct trace *trace, int process)
{
	for (int i = 0; i < trace->task_count; i++)
		if (trace->tasks[i].process == process && trace->tasks[i].held)
			go_on(trace, &trace->tasks[i], 0);
}

static void kill_group(struct trace *trace, pid_t tgid)
{
	if (find(trace, tgid))
		kill(tgid, SIGKILL);
	for (int i = 0; i < trace->task_count; i++)
		if (trace->tasks[i].tgid == tgid)
			trace->tasks[i].held = false;
}

/*
 * Kill the process of a command that is held, which may be its keeper, or the command itself, or ALL of them. Return true
 * if the command itself was killed.
 */
bool trace_kill(struct trace *trace, int process, bool all)
{
	pid_t victim = trace->processes[process].pid;

	for (int i = 0; i < trace->task_count; i++) {
		struct task *task = &trace->tasks[i];

		if (task->process == process && (task->held || (all && task->tid == task->tgid)))
			kill_group(trace, victim = task->tgid);
	}
	if (all)
		victim = trace->processes[process].pid;
	kill_group(trace, victim);
	return victim == trace->processes[process].pid && !trace->processes[process].ended;
}
