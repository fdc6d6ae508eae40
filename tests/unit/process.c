/* SPDX-License-Identifier: MIT
 * process.c - who lives, and who has ended
 */
#include <config.h>

#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#include "process.h"
#include "tap.h"

#define NOBODY 0x3ffffe /* no process has this number, for the kernel gives out the lowest */

static void *until_killed(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* A process whose first thread has ended, and another one lives on. */
static pid_t start_headless(void)
{
	pthread_t thread;
	pid_t pid = fork();

	if (pid == 0) {
		pthread_create(&thread, NULL, until_killed, NULL);
		pthread_exit(NULL);
	}
	return pid;
}

/* Poll until it has the state, "R" or "Z"..., for ten seconds at most. */
static bool comes_to(pid_t pid, char state)
{
	const struct timespec pause = { 0, 1000000 };
	char path[64], text[512];

	for (int i = 0; i < 10000; i++) {
		FILE *file;
		bool is;

		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		file = fopen(path, "r");
		is = file && fgets(text, sizeof(text), file) && strrchr(text, ')') &&
		     strrchr(text, ')')[2] == state;
		if (file)
			fclose(file);
		if (is)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void myself(void)
{
	uint64_t start = ipcu_process_start(getpid());
	char text[200], tiny[4];

	ok(start > 0 && start <= ipcu_process_clock(), "this process has started");
	ok(ipcu_process_lives(getpid(), start) && ipcu_process_lives(getpid(), 0), "and lives");
	ok(!ipcu_process_lives(getpid(), start + 2), "but one that started later does not");
	ok(!ipcu_process_ended(getpid(), ipcu_process_clock()), "nor has it ended");
	ok(ipcu_process_ended(getpid(), start - 1), "as one that had its number before has");
	ipcu_process_command(getpid(), text, sizeof(text));
	ok(strstr(text, "process"), "its command line: %s", text);
	ipcu_process_command(getpid(), tiny, sizeof(tiny));
	ok(strlen(tiny) == 3, "is cut where there is no more room");
}

static void nobody(void)
{
	char text[20];

	ok(ipcu_process_start(NOBODY) == 0 && !ipcu_process_lives(NOBODY, 0) &&
		   ipcu_process_ended(NOBODY, 1),
	   "there is nobody with that number");
	ipcu_process_command(NOBODY, text, sizeof(text));
	ok(strcmp(text, "?") == 0, "and so no command line");
}

static void others(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ok(comes_to(pid, 'Z') && ipcu_process_ended(pid, ipcu_process_clock()) &&
		   ipcu_process_start(pid) == 0,
	   "a zombie has ended");
	waitpid(pid, NULL, 0);
	pid = start_headless();
	ok(comes_to(pid, 'Z') && !ipcu_process_ended(pid, ipcu_process_clock()),
	   "one whose first thread has ended has not, while another one runs");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ok(ipcu_process_ended(pid, ipcu_process_clock()), "but has when all are gone");
}

/* ---- namespaces ------------------------------------------------------------- */

/* The exit statuses of a child that looks at its parent. */
enum { SAME, REFUSED, HIDDEN_NOT, TAKEN_FOR_DEAD, TAKEN_FOR_ENDED };

/* Whether PARENT, which lives, is taken for a living process that started at START and was there at THEN. */
static int judge(pid_t parent, uint64_t start, uint64_t then)
{
	if (!ipcu_process_lives(parent, 0) || !ipcu_process_lives(parent, start))
		return TAKEN_FOR_DEAD;
	return ipcu_process_ended(parent, then) ? TAKEN_FOR_ENDED : SAME;
}

/*
 * Where /proc hides the processes of other users, as another user. Only the mounts of /proc are made private: the root
 * of a chroot may be no mount point.
 */
static int look_from_hidden(pid_t parent, uint64_t start, uint64_t then, const char *how)
{
	char path[64];

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/proc", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, how) < 0 || setgroups(0, NULL) < 0 ||
	    setgid(1000) < 0 || setuid(1000) < 0)
		return REFUSED;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)parent);
	return access(path, R_OK) == 0 ? HIDDEN_NOT : judge(parent, start, then);
}

/* Where the clock since boot shows another time. */
static int look_from_another_time(pid_t parent, uint64_t start, uint64_t then, const char *offset)
{
	FILE *file = unshare(CLONE_NEWTIME) < 0 ? NULL : fopen("/proc/self/timens_offsets", "w");
	bool written = file && fprintf(file, "boottime %s\n", offset) > 0;
	int status = REFUSED;
	pid_t pid;

	if (!file || fclose(file) != 0 || !written)
		return REFUSED;
	pid = fork(); /* which is in it */
	if (pid == 0)
		_exit(judge(parent, start, then));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : REFUSED;
}

static void from_elsewhere(int (*look)(pid_t, uint64_t, uint64_t, const char *), const char *where,
			   const char *what)
{
	pid_t self = getpid(), pid;
	uint64_t start = ipcu_process_start(self), then = ipcu_process_clock();
	int status = 0;

	pid = fork();
	if (pid == 0)
		_exit(look(self, start, then, where));
	waitpid(pid, &status, 0);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (status == REFUSED)
		printf("ok %d # SKIP no such namespace can be made here: %s\n", ++tap_count, where);
	else
		is_number(status, SAME, what);
}

static void namespaces(void)
{
	struct stat own;

	if (stat("/proc/self/ns/pid", &own) < 0)
		printf("ok %d # SKIP /proc has no namespaces\n", ++tap_count);
	else
		ok(ipcu_process_numbers(getpid()) == own.st_ino,
		   "the number of the PID namespace is that of its inode");
	from_elsewhere(look_from_hidden, "hidepid=1", "who may not be looked at in /proc lives");
	from_elsewhere(look_from_hidden, "hidepid=2", "who is hidden in /proc lives");
	from_elsewhere(look_from_another_time, "86400 0", "the clock of a time namespace is ahead");
	from_elsewhere(look_from_another_time, "86400 1234567",
		       "... by an odd part of a clock tick");
	from_elsewhere(look_from_another_time, "-20 0", "... or behind");
}

/* ---- a process that is open ---------------------------------------------------- */

static void opened(void)
{
	struct ipcu_process process;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	is_result(ipcu_process_open(&process, pid), IPCU_OK, "a process is opened");
	ok(!ipcu_process_wait(&process, -1, 1), "and lives");
	/* Without a pidfd, as where the calls are refused. */
	ipcu_process_close(&process);
	process.start = ipcu_process_start(pid);
	ok(process.fd < 0 && !ipcu_process_wait(&process, -1, 60), "also without a pidfd");
	is_result(ipcu_process_kill(&process), IPCU_OK, "it is ended by its number");
	ok(ipcu_process_wait(&process, -1, -1), "and that is seen, before it is waited for");
	waitpid(pid, NULL, 0);
	is_result(ipcu_process_kill(&process), IPCU_OK, "to end it again is no error");
	is_result(ipcu_process_open(&process, pid), IPCU_NOT_FOUND, "it cannot be opened again");
}

/* A number that is used again is told from the process that had it. */
static void dated(void)
{
	int64_t now = time(NULL);
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	ok(ipcu_process_lived_at(pid, now), "a process that has just started lived a moment ago");
	ok(ipcu_process_lived_at(pid, now + 3600),
	   "... and an hour from now, if the clock was set");
	ok(!ipcu_process_lived_at(pid, now - 10), "... but not ten seconds ago");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ok(!ipcu_process_lived_at(pid, now), "one that has ended does not live");
	ok(ipcu_process_lived_at(0, now - 10), "one that cannot be seen does");
}

int main(void)
{
	deadline_for_all(60);
	namespaces();
	opened();
	dated();
	myself();
	nobody();
	others();
	return done();
}
