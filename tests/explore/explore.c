/* SPDX-License-Identifier: MIT
 * explore.c - every pair of commands at every step
 *
 * Command A is held before and after each of its calls of System V (and futex, kill, clone, execve, exit). Command B, or a
 * sequence, runs on the same object until it ends or blocks. Then A goes on, or is killed. The outcome must be one
 * of complete commands in some order (judge.c).
 *
 *	explore --bin DIR [--seconds N] [--seed N]	draw runs at random
 *	explore --bin DIR --all [--only TEXT]		all scenes, all points
 *	explore --bin DIR --replay 'TEXT'		one run, explained
 *	--two       two preemptions as well        --errno     failing calls instead of held ones
 *	--jobs N    as many processes		       --one-user  in a user namespace that has only one
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

static bool is_wanted(const struct setting *setting, const struct scene *scene)
{
	char text[1024];
	const struct schedule none = { .count = 0 };

	if (!setting->users)
		for (int i = 0; i < scene->count; i++)
			if (scene->commands[i].user != USER_OWNER)
				return false;
	if (!scene_is_explainable(scene))
		return false;
	replay_print(text, sizeof(text), scene, &none, NULL);
	return !setting->only || strstr(text, setting->only);
}

static void explore_all(struct explorer *explorer)
{
	const struct setting *setting = &explorer->setting;
	size_t count = scene_count(setting);
	struct scene scene;

	for (size_t i = (size_t)setting->job; i < count && !time_is_up(explorer);
	     i += (size_t)setting->jobs)
		if (scene_get(setting, i, &scene) && is_wanted(setting, &scene))
			explore_scene(explorer, &scene);
}

/* Each eighth scene is one of the special ones, which are few. */
static void explore_at_random(struct explorer *explorer)
{
	const struct setting *setting = &explorer->setting;
	size_t count = scene_count(setting);
	struct scene scene;

	srandom(setting->seed + (unsigned)setting->job);
	while (!time_is_up(explorer)) {
		size_t among = random() % 8 ? count : scene_special_count();

		if (scene_get(setting, (size_t)random() % among, &scene) &&
		    is_wanted(setting, &scene))
			explore_scene(explorer, &scene);
	}
}

/* ---- main ------------------------------------------------------------------------- */

/* The key of queue q, for the program that knows nothing of ipcutils. */
static int key_of_queue(struct setting *setting)
{
	struct context context = { .setting = setting };
	struct command make = { "recv -n q", USER_OWNER },
		       look = { "ls --noheadings -o KEY q", USER_OWNER };
	char text[64] = "";

	if (unshare(CLONE_NEWIPC) < 0)
		return 0;
	command_run(&context, &make, NULL, 0);
	command_run(&context, &look, text, sizeof(text));
	return (int)strtoul(text, NULL, 0);
}

static bool prepare(struct setting *setting)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setting->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	setting->key = key_of_queue(setting);
	return setting->key != 0;
}

static void read_value(struct setting *setting, int option, const char **replayed)
{
	if (option == 'b')
		setting->bin = optarg;
	else if (option == 'j')
		setting->jobs = (int)strtol(optarg, NULL, 10);
	else if (option == 'o')
		setting->only = optarg;
	else if (option == 'r')
		*replayed = optarg;
	else if (option == 's')
		setting->seconds = (int)strtol(optarg, NULL, 10);
	else if (option == 'd')
		setting->seed = (unsigned)strtoul(optarg, NULL, 0);
}

static bool read_options(struct explorer *explorer, int argc, char **argv, const char **replayed)
{
	struct setting *setting = &explorer->setting;
	const struct option options[] = {
		{ "all", no_argument, &setting->all, 1 },
		{ "bin", required_argument, NULL, 'b' },
		{ "errno", no_argument, &setting->errnos, 1 },
		{ "jobs", required_argument, NULL, 'j' },
		{ "one-user", no_argument, &setting->users, 0 },
		{ "only", required_argument, NULL, 'o' },
		{ "replay", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'd' },
		{ "two", no_argument, &setting->two, 1 },
		{ "verbose", no_argument, &setting->verbose, 1 },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?')
			return false;
		read_value(setting, option, replayed);
	}
	return setting->bin && setting->jobs > 0 && optind == argc;
}

static int run_job(struct explorer *explorer)
{
	if (!prepare(&explorer->setting)) {
		printf("1..0 # SKIP cannot make an IPC namespace, or cannot trace\n");
		return 77;
	}
	if (explorer->setting.all || explorer->setting.errnos)
		explore_all(explorer);
	else
		explore_at_random(explorer);
	printf("# job %d: %ld runs of %ld scenes with %ld points: %ld wrong, %ld not reproduced\n",
	       explorer->setting.job, explorer->runs, explorer->scenes, explorer->points,
	       explorer->failures, explorer->unsteady);
	return explorer->failures != 0;
}

static int run_jobs(struct explorer *explorer)
{
	int jobs = explorer->setting.jobs, status, worst = 0;

	for (int i = 0; i < jobs; i++) {
		fflush(stdout);
		explorer->setting.job = i;
		if (fork() == 0)
			exit(run_job(explorer));
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) > worst)
			worst = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	return worst;
}

int main(int argc, char **argv)
{
	struct explorer explorer = { .setting = { .jobs = 1, .seconds = 0 } };
	const char *replayed = NULL;

	explorer.setting.seed = (unsigned)time(NULL);
	explorer.setting.users = getuid() == 0;
	if (!read_options(&explorer, argc, argv, &replayed)) {
		fprintf(stderr,
			"usage: explore --bin DIR [--all] [--errno] [--jobs N] [--only TEXT] "
			"[--replay TEXT] [--seconds N] [--seed N] [--two] [--verbose]\n");
		return 2;
	}
	if (explorer.setting.seconds)
		explorer.end = time(NULL) + explorer.setting.seconds;
	if (replayed)
		return prepare(&explorer.setting) ? explore_replay(&explorer, replayed) : 77;
	if (!explorer.setting.all && !explorer.setting.errnos)
		printf("# seed %u\n", explorer.setting.seed);
	return run_jobs(&explorer);
}
