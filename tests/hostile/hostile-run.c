/* SPDX-License-Identifier: MIT
 * hostile-run.c - every command, as root and as another user
 *
 * Each must end in time, by itself, with a documented status, and nothing that a sanitizer says.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "hostile.h"

#define WORDS_MAX 12
#define COMMANDS 10
#define SECONDS_MAX \
	60 /* a blocked command has a deadline of 5 ms, a locked registry one of a second; the machine may be busy */

static const char *const commands[COMMANDS] = { "ipc-barrier", "ipc-doctor", "ipc-event", "ipc-ls",
						"ipc-pipe",    "ipc-recv",   "ipc-rm",	  "ipc-sem",
						"ipc-send",    "ipc-shm" };
static int opened[COMMANDS];
static int output = -1;
static pid_t owner; /* a process for which units are acquired */

/* %s is a NAME, %p the process for which units are acquired. Those that change most come last. */
static const char *const lines[] = {
	"ipc-ls %s",
	"ipc-ls -J -o +AGE,CREATOR,MESSAGES,SIZE,WAITERS,PIDS,USE,COMMAND %s",
	"ipc-recv -p --all %s",
	"ipc-recv -n %s",
	"ipc-recv -t 5ms -J %s",
	"ipc-recv -t 5ms %s %s",
	"ipc-send -n %s x",
	"ipc-sem get %s",
	"ipc-sem status %s",
	"ipc-sem status -J %s",
	"ipc-sem run -n %s -- true",
	"ipc-sem run -t 5ms -x %s -- true",
	"ipc-sem run -t 5ms -s %s -- true",
	"ipc-sem acquire -t 5ms -P %p %s",
	"ipc-sem release -P %p %s",
	"ipc-sem wait -t 5ms %s",
	"ipc-sem post %s",
	"ipc-sem set %s 1",
	"ipc-sem create -t 5ms -c 4 --resize %s",
	"ipc-barrier status -J %s",
	"ipc-barrier wait -t 5ms %s",
	"ipc-barrier wait -t 5ms --break-on-timeout %s 3",
	"ipc-barrier abort %s",
	"ipc-barrier reset %s",
	"ipc-event status -J %s",
	"ipc-event wait -t 5ms %s",
	"ipc-event pulse %s",
	"ipc-event set %s",
	"ipc-event clear %s",
	"ipc-shm status -J %s",
	"ipc-shm get %s",
	"ipc-shm read %s",
	"ipc-shm add -i 99 %s 1",
	"ipc-shm cas -i 3 %s 1 2",
	"ipc-shm wait -t 5ms %s eq 77",
	"ipc-shm set %s 1 2 3",
	"ipc-shm write %s",
	"ipc-shm lock -t 5ms %s -- true",
	"ipc-shm load %s",
	"ipc-pipe read -t 5ms %s",
	"ipc-pipe write -t 5ms %s",
	"ipc-rm --dry-run %s",
	"ipc-rm %s",
	"ipc-rm -f %s",
};
static const char *const general[] = {
	"ipc-ls -a",
	"ipc-ls -a -J -o +AGE,CREATOR,MESSAGES,BYTES-MAX,SIZE,WAITERS,PIDS,USE,COMMAND",
	"ipc-ls --user=1000",
	"ipc-doctor -J --interval=0 --older-than=0",
	"ipc-rm --stale --older-than=0 --dry-run",
	"ipc-rm --stale --older-than=0",
};

bool hostile_open_commands(const char *directory)
{
	char path[4096], template[] = "/tmp/hostile-XXXXXX";

	for (int i = 0; i < COMMANDS; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, commands[i]);
		opened[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (opened[i] < 0)
			return false;
	}
	output = mkostemp(template, O_CLOEXEC);
	unlink(template);
	/* A report of a sanitizer is a status of its own. */
	return output >= 0 && setenv("ASAN_OPTIONS", "exitcode=99:detect_leaks=0", 1) == 0 &&
	       setenv("UBSAN_OPTIONS", "halt_on_error=1:exitcode=98:print_stacktrace=1", 1) == 0;
}

/* Split LINE into words of ARGV; the texts are in ROOM. */
static void split(const char *line, const char *name, char *room, size_t size, char **argv)
{
	int count = 0;

	for (const char *at = line; *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");

		must(count < WORDS_MAX - 1 && size > 80);
		if (strncmp(at, "%s", length) == 0)
			snprintf(room, size, "%s", name);
		else if (strncmp(at, "%p", length) == 0)
			snprintf(room, size, "%d", (int)owner);
		else
			snprintf(room, size, "%.*s", (int)length, at);
		argv[count++] = room;
		size -= strlen(room) + 1;
		room += strlen(room) + 1;
		at += length;
	}
	argv[count] = NULL;
}

__attribute__((noreturn)) static void become(uid_t uid, char **argv)
{
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[0], commands[i]) != 0)
			continue;
		dup2(input, STDIN_FILENO);
		dup2(output, STDOUT_FILENO);
		dup2(output, STDERR_FILENO);
		setpgid(0, 0);
		if (uid && (setgid(uid) < 0 || setuid(uid) < 0))
			break;
		syscall(SYS_execveat, opened[i], "", argv, environ, AT_EMPTY_PATH);
	}
	_exit(97);
}

/* Its status, or -1 if it had to be killed. */
static int wait_for(pid_t pid)
{
	struct timespec pause = { 0, 200000 },
			last = ipcu_deadline_in(SECONDS_MAX * INT64_C(1000000000));
	int status;

	for (;;) {
		struct timespec now = ipcu_deadline_in(0);

		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		if (now.tv_sec > last.tv_sec) {
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		nanosleep(&pause, NULL);
		pause.tv_nsec = pause.tv_nsec < 2000000 ? pause.tv_nsec * 2 : pause.tv_nsec;
	}
}

static void print_output(void)
{
	char line[512];
	int copy = dup(output);
	FILE *file;

	lseek(copy, 0, SEEK_SET);
	file = fdopen(copy, "r");
	for (int i = 0; file && i < 40 && fgets(line, sizeof(line), file); i++)
		printf("# %s", line);
	if (file)
		fclose(file);
	printf("\n");
}

static bool is_documented(int status)
{
	return WIFEXITED(status) && (WEXITSTATUS(status) <= 8 || WEXITSTATUS(status) == 126 ||
				     WEXITSTATUS(status) == 127);
}

/* Whether it went as it must. */
static bool run_one(const struct hostile_case *one, const char *line, const char *name, uid_t uid)
{
	char room[2048], *argv[WORDS_MAX];
	pid_t pid;
	int status;

	split(line, name, room, sizeof(room), argv);
	must(ftruncate(output, 0) == 0 && lseek(output, 0, SEEK_SET) == 0);
	fflush(stdout);
	pid = fork();
	must(pid >= 0);
	if (pid == 0)
		become(uid, argv);
	status = wait_for(pid);
	if (status != -1 && is_documented(status))
		return true;
	printf("# case %ld, %s: '%s' of %s as user %d: %s %d\n", one->wanted, one->what, line, name,
	       (int)uid,
	       status == -1	   ? "killed, after seconds"
	       : WIFEXITED(status) ? "status"
				   : "signal",
	       status == -1	   ? SECONDS_MAX
	       : WIFEXITED(status) ? WEXITSTATUS(status)
				   : WTERMSIG(status));
	print_output();
	return false;
}

static long run_as(const struct hostile_case *one, uid_t uid)
{
	long wrong = 0;

	for (size_t i = 0; i < sizeof(general) / sizeof(general[0]); i++)
		wrong += !run_one(one, general[i], "", uid);
	for (int n = 0; n < HOSTILE_NAMES; n++) {
		char name[16];

		if (one->aims && strcmp(one->name, hostile_names[n]) != 0)
			continue;
		snprintf(name, sizeof(name), "%d/%s", HOSTILE_UID, hostile_names[n]);
		for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			wrong += !run_one(one, lines[i], name, uid);
	}
	return wrong;
}

long hostile_run(const struct hostile_case *one)
{
	long wrong;

	owner = fork();
	must(owner >= 0);
	if (owner == 0)
		for (;;)
			pause();
	wrong = run_as(one, OTHER_UID) + run_as(one, 0);
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	return wrong;
}
