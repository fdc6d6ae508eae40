/* SPDX-License-Identifier: MIT
 * explore.h - the parts of the explorer of pairs of commands
 *
 *	scenes.c    the commands, the states they begin in, and their combinations
 *	commands.c  from the text of a command to a process
 *	trace.c     runs processes under ptrace and holds them at a call
 *	filter.c    the seccomp filter that reports the calls at which a process can be held
 *	run.c       runs one schedule in an IPC namespace of its own and records the outcome
 *	state.c     reads the objects that exist, by means of the commands
 *	judge.c     searches for an order of complete commands that explains an outcome
 *	differences.c  what may differ from the outcome of an order
 *	replay.c    reads and prints the text of one run
 *	inject.c    lets a call fail
 *	errnos.c    the errors that each call can fail with
 *	plan.c      the runs of one scene
 *	explore.c   chooses the scenes
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define TEXT_MAX 160
#define PROCESSES_MAX 6 /* of one scene; the last place is for a reference's half command */
#define STEPS_MAX 16
#define TASKS_MAX 64
#define CALLS_MAX 2048

/* Users: 0 is root, 1 owns the names, 2 is a different user. */
#define USER_OWNER 1
#define USER_OTHER 2
#define UID_OF(user) ((user) ? (uid_t)(1000 + (user)) : 0)

struct command {
	char text[TEXT_MAX];
	int user;
};

/* Commands that run on the same object, after the state was prepared. */
struct scene {
	const struct state *state;
	struct command commands[PROCESSES_MAX];
	int count;
};

/* A place at which a task can be held: before or after its N-th reported call. */
struct point {
	int task; /* in the order of creation in its process */
	unsigned call;
	bool after;
};

struct step {
	int process;
	bool kill, hold;
	bool all; /* kill the keeper, too */
	struct point point;
};

struct schedule {
	struct step steps[STEPS_MAX];
	int count;
};

/* One reported call of a recorded process. */
struct call {
	int task;
	unsigned number;
	long nr, detail;
};

struct calls {
	struct call list[CALLS_MAX];
	int count;
};

/* The call of a process that fails, if errnum is not 0. */
struct injection {
	int process, errnum;
	struct point point;
	bool from_there_on; /* all later calls of the task to NR fail, too */
	long nr;
};

/* What the explorer was started with. */
struct setting {
	const char *bin; /* the directory of the commands */
	int users;	 /* processes can become other users */
	int key;	 /* of queue q of the owner of names */
	int null;	 /* a descriptor of /dev/null */
	unsigned seed;
	int seconds, job, jobs;
	int two, errnos, all, verbose;
	const char *only; /* a part of the text of the scenes to explore, or NULL */
};

enum { ENDED_BLOCKED = 1000, ENDED_KILLED, ENDED_ABSENT };

struct outcome {
	struct {
		int status; /* as a shell shows it, or one of the constants above */
		char out[128], error[160];
		bool disturbed;	     /* a child of it was killed, such as its keeper */
		int began, finished; /* steps; finished -1: it still waits at the end */
	} processes[PROCESSES_MAX];
	char *held; /* the objects while processes hold units */
	char *end;  /* the objects after all processes have ended */
	int left;   /* objects that removal of all names leaves */
	bool injected;
	bool hung;
};

/* commands.c */
struct started {
	pid_t pid;
	int out, error, input; /* input: the end of a pipe to keep open, or -1 */
};
/* What a text can refer to. */
struct context {
	const struct setting *setting;
	pid_t owners[2]; /* processes on whose behalf units are acquired: %1 and %2 */
};
bool command_start(const struct context *context, const struct command *command, bool traced,
		   bool filtered, struct started *started);
int command_run(const struct context *context, const struct command *command, char *out,
		size_t size);
bool command_holds(const struct command *command);
bool command_removes(const struct command *command);
bool command_half(const struct command *command, int number, struct command *half);

/* filter.c */
bool filter_install(void);
const char *filter_name(long nr);

/* trace.c */
struct task {
	pid_t tid, tgid;
	int process; /* -1: not known yet */
	int ordinal;
	unsigned calls;
	long nr;
	bool held, entered, stopped, executed;
	unsigned long switches;
};

struct traced {
	pid_t pid;
	int tasks;  /* created so far */
	int status; /* of waitpid, once it has ended */
	bool started, ended, executed, armed, recording;
	struct point point;
};

struct trace {
	struct task tasks[TASKS_MAX];
	struct traced processes[PROCESSES_MAX];
	struct calls *calls; /* of the process that is recorded */
	struct injection injection;
	bool injected;
	int task_count;
};
void trace_add(struct trace *trace, int process, pid_t pid);
bool trace_settle(struct trace *trace, int milliseconds);
void trace_resume(struct trace *trace, int process);
bool trace_kill(struct trace *trace, int process, bool all);
bool trace_inject(pid_t tid, int errnum);
bool trace_can_inject(void);

/* run.c */
struct outcome *run_schedule(const struct setting *setting, const struct scene *scene,
			     const struct schedule *schedule, const struct injection *injection,
			     struct calls *calls, int patience);
void outcome_free(struct outcome *outcome);

/* state.c */
enum tolerance { TOLERATE_NOTHING, TOLERATE_KILL, TOLERATE_FAILURE };
char *state_describe(const struct context *context, const struct state *state,
		     enum tolerance tolerance);
void state_prepare(const struct context *context, const struct state *state);
int state_clear(const struct context *context, bool killed);

/* scenes.c */
struct state {
	const char *name, *kind;
	const char *setup[6];
	const char *observe[3];
};
size_t scene_count(const struct setting *setting);
size_t scene_special_count(void);
bool scene_is_explainable(const struct scene *scene);
bool scene_get(const struct setting *setting, size_t number, struct scene *scene);
const struct state *state_find(const char *name, size_t length);

/* differences.c */
struct view {
	const struct scene *scene;
	const struct schedule *schedule;
	const struct injection *injection;
	const struct outcome *outcome;
};
/*
 * How the outcome of a command may differ. WITHOUT_EFFECT: it failed and changed nothing, so it is absent from the order.
 * BY_REMOVAL: it failed, and it is absent or a removal follows it in the order.
 */
enum difference {
	DIFFERS_IN_NOTHING,
	DIFFERS_WITHOUT_EFFECT,
	DIFFERS_BY_REMOVAL,
	DIFFERS_IN_ANYTHING
};
enum difference difference_of(const struct view *view, int process);
bool view_was_killed(const struct view *view, int process);
bool view_same_state(const struct view *view, const char *ours, const char *theirs);

/* judge.c */
struct judge;
struct judge *judge_new(const struct setting *setting, const struct scene *scene);
void judge_free(struct judge *judge);
bool judge_accepts(struct judge *judge, const struct schedule *schedule,
		   const struct injection *injection, const struct outcome *outcome);
void judge_explain(struct judge *judge, const struct schedule *schedule,
		   const struct outcome *outcome);

/* plan.c */
struct explorer {
	struct setting setting;
	time_t end; /* 0: none */
	long runs, scenes, points, failures, unsteady;
};
bool time_is_up(const struct explorer *explorer);
void explore_scene(struct explorer *explorer, const struct scene *scene);
int explore_replay(struct explorer *explorer, const char *text);

/* replay.c */
void replay_print(char *text, size_t size, const struct scene *scene,
		  const struct schedule *schedule, const struct injection *injection);
bool replay_read(const char *text, struct scene *scene, struct schedule *schedule,
		 struct injection *injection);

/* errnos.c */
const int *errnos_of(const struct call *call);

#endif
