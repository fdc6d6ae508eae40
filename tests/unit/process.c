/* SPDX-License-Identifier: MIT
 * process.c - who lives, and who has ended
 */
#include <config.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

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
	ok(!ipcu_process_lives(getpid(), start + 1), "but one that started later does not");
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

int main(void)
{
	deadline_for_all(60);
	myself();
	nobody();
	others();
	return done();
}
