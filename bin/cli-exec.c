/* SPDX-License-Identifier: MIT
 * cli-exec.c - running a command
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli-exec.h"

#define SHELL "/bin/sh"

char **cli_split_command(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			*argc = i;
			argv[i] = NULL;
			return argv + i + 1;
		}
	return NULL;
}

static int status_of_errno(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR ? CLI_NOT_FOUND : CLI_CANNOT_RUN;
}

/* True if ERRNUM means that there is no room for one more process or pipe, whatever COMMAND is. */
static bool is_limit(int errnum)
{
	return errnum == EAGAIN || errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE;
}

/* The status after a process could not be started, with ERRNUM in errno. */
static int not_started(int errnum)
{
	errno = errnum;
	return is_limit(errnum) ? IPCU_LIMIT : status_of_errno(errnum);
}

int cli_cannot_run(const struct cli_options *options, const char *command, int status)
{
	const char *hint = NULL;

	if (status == IPCU_LIMIT && errno == EAGAIN)
		hint = "ulimit -u, kernel.threads-max or pids.max of the control group is reached";
	else if (status == IPCU_LIMIT && errno == EMFILE)
		hint = "ulimit -n is reached";
	cli_complain(options, command, hint, "cannot run it: %s", strerror(errno));
	return status;
}

static bool executable(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return false;
	if (S_ISDIR(status.st_mode)) {
		errno = EACCES;
		return false;
	}
	return access(path, X_OK) == 0;
}

int cli_find_command(const char *command, char path[CLI_PATH_MAX])
{
	const char *directory = getenv("PATH");
	char usual[256];
	int errnum = ENOENT;

	path[0] = '\0';
	if (strchr(command, '/')) {
		if (strlen(command) < CLI_PATH_MAX)
			strcpy(path, command);
		return executable(command) ? 0 : status_of_errno(errno);
	}
	/* Without a PATH there is the system's own, for execvp(3) too. */
	if (!directory && confstr(_CS_PATH, usual, sizeof(usual)) - 1 < sizeof(usual))
		directory = usual;
	while (directory && *command) {
		const char *colon = strchr(directory, ':');
		size_t length = colon ? (size_t)(colon - directory) : strlen(directory);

		if (length + strlen(command) + 2 <= CLI_PATH_MAX) {
			memcpy(path, directory, length);
			path[length] = '\0';
			strcat(strcat(path, length ? "/" : "./"), command);
			if (executable(path))
				return 0;
			/* Found but not executable; a directory we may not look into has nothing for us. */
			if (errno == EACCES && access(path, F_OK) == 0)
				errnum = EACCES;
		}
		directory = colon ? colon + 1 : NULL;
	}
	errno = errnum;
	return status_of_errno(errnum);
}

bool cli_is_command(const char *word)
{
	char path[CLI_PATH_MAX];

	if (word[0] == '/' || strncmp(word, "./", 2) == 0 || strncmp(word, "../", 3) == 0)
		return true;
	return word[0] && word[0] != '-' && cli_find_command(word, path) == 0;
}

void cli_hint_separator(int argc, char **argv, bool needed, const char *example)
{
	for (int i = 1; i < argc && !needed; i++)
		needed = cli_is_command(argv[i]);
	if (needed)
		fprintf(stderr, "hint: put -- before COMMAND, as in: %s\n", example);
}

/*
 * The words with which sh runs COMMAND, a script without #! at PATH; NULL without memory. Shells and glibc's execvp(3)
 * run such a script; posix_spawn(3) and musl's execvp(3) do not.
 */
static char **as_script(char *const command[], const char *path)
{
	size_t count = 0;
	char **words;

	while (command[count])
		count++;
	words = calloc(count + 2, sizeof(*words));
	if (!words)
		return NULL;
	words[0] = (char *)"sh";
	words[1] = (char *)path;
	for (size_t i = 1; i < count; i++)
		words[i + 1] = command[i];
	return words;
}

/* Become COMMAND, which is at PATH. Returns only if that fails, with errno. */
static void execute(char *const command[], const char *path)
{
	char **script;

	execv(path, command);
	if (errno != ENOEXEC)
		return;
	script = as_script(command, path);
	if (script)
		execv(SHELL, script);
	free(script);
	errno = ENOEXEC;
}

int cli_become(char *const command[], const char *path)
{
	errno = ENOENT;
	if (path[0])
		execute(command, path);
	/* Removed since it was found, or a path that is too long to be noted. */
	if (errno == ENOENT)
		execvp(command[0], command);
	return status_of_errno(errno);
}

/* Where who started us ignores SIGCHLD, the kernel would keep no child's status for us. */
static void keep_statuses(void)
{
	struct sigaction action;

	if (sigaction(SIGCHLD, NULL, &action) < 0 || action.sa_handler != SIG_IGN)
		return;
	action.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &action, NULL);
}

/* The command gets the signals as we got them, not as we use them. */
static void default_signals(posix_spawnattr_t *attributes)
{
	static const int ours[] = { SIGPIPE, SIGALRM };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		sigaddset(&set, ours[i]);
	posix_spawnattr_setsigdefault(attributes, &set);
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF);
}

/* A command need not read its input: EPIPE is its choice. */
static void feed(int fd, const char *input, size_t size)
{
	while (size > 0) {
		ssize_t wrote = write(fd, input, size);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return;
		input += wrote;
		size -= (size_t)wrote;
	}
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_CANNOT_RUN;
	return WIFSIGNALED(status) ? CLI_BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Start COMMAND, which is at PATH, with the descriptor INPUT as its stdin; 0 or an errno. */
static int spawn(pid_t *pid, char *const command[], const char *path, int input)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char **script = NULL;
	int errnum;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	default_signals(&attributes);
	/* Without memory for this it would read our stdin in place of the message. */
	errnum = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (!errnum)
		errnum = posix_spawn(pid, path, &actions, &attributes, command, environ);
	if (errnum == ENOEXEC)
		script = as_script(command, path);
	if (script)
		errnum = posix_spawn(pid, SHELL, &actions, &attributes, script, environ);
	free(script);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return errnum;
}

int cli_run(char *const command[], const void *input, size_t size, bool *started)
{
	char path[CLI_PATH_MAX];
	int ends[2], errnum, status = cli_find_command(command[0], path);
	pid_t pid;

	*started = false;
	if (status)
		return status;
	keep_statuses();
	if (pipe2(ends, O_CLOEXEC) < 0)
		return not_started(errno);
	errnum = spawn(&pid, command, path[0] ? path : command[0], ends[0]);
	close(ends[0]);
	if (errnum) {
		close(ends[1]);
		return not_started(errnum);
	}
	*started = true;
	feed(ends[1], input, size);
	close(ends[1]);
	return wait_for(pid);
}

/* In the child: never returns; what kept it from running goes into the pipe. */
static void become(char *const command[], const char *path, pid_t parent, int report)
{
	int errnum;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) /* it was gone before we asked */
		_exit(CLI_CANNOT_RUN);
	cli_become(command, path);
	errnum = errno;
	while (write(report, &errnum, sizeof(errnum)) < 0 && errno == EINTR)
		;
	_exit(CLI_CANNOT_RUN);
}

int cli_run_bound(char *const command[], bool *started)
{
	char path[CLI_PATH_MAX];
	int ends[2], errnum = 0, status = cli_find_command(command[0], path);
	pid_t parent = getpid(), pid;
	ssize_t got;

	*started = false;
	if (status)
		return status;
	keep_statuses();
	if (pipe2(ends, O_CLOEXEC) < 0)
		return not_started(errno);
	pid = fork();
	if (pid == 0)
		become(command, path, parent, ends[1]);
	if (pid < 0)
		errnum = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return not_started(errnum);
	}
	do
		got = read(ends[0], &errnum, sizeof(errnum));
	while (got < 0 && errno == EINTR);
	close(ends[0]);
	if (got > 0) {
		wait_for(pid);
		errno = errnum;
		return status_of_errno(errnum);
	}
	*started = true;
	return wait_for(pid);
}
