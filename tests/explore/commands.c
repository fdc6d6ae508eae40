/* SPDX-License-Identifier: MIT
 * commands.c - from the text of a command to a process
 *
 * A text is the command line without the prefix "ipc-", for example "sem run s -- cat". In it
 *
 *	@s       is s for the owner of the names, and OWNER/s for other users
 *	%1 %2    is the number of a process on whose behalf units are acquired
 *	''       is an empty word
 *	<big     is not a word: standard input holds that (the table of inputs)
 *	-- cat   is a program that ends when the driver closes its standard input
 *
 * "foreign" is a program that knows nothing of ipcutils and opens or creates the queue with the key of q.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "explore.h"

#define WORDS_MAX 24
#define BIG 20000

struct words {
	char *list[WORDS_MAX + 1];
	char bytes[2 * TEXT_MAX];
	const char *input;
	int count;
};

/* ---- words ---------------------------------------------------------------- */

static void expand(const struct context *context, const struct command *command, const char *word,
		   char *out, size_t size)
{
	if (word[0] == '@' && command->user != USER_OWNER && context->setting->users)
		snprintf(out, size, "%lu/%s", (unsigned long)UID_OF(USER_OWNER), word + 1);
	else if (word[0] == '@')
		snprintf(out, size, "%s", word + 1);
	else if (word[0] == '%')
		snprintf(out, size, "%d", (int)context->owners[word[1] == '2']);
	else if (strcmp(word, "''") == 0)
		out[0] = '\0';
	else
		snprintf(out, size, "%s", word);
}

static void split(const struct context *context, const struct command *command, struct words *words)
{
	char text[TEXT_MAX + 8], *rest = text, *word;
	size_t used = 0;

	memset(words, 0, sizeof(*words));
	snprintf(text, sizeof(text), "ipc-%s", command->text);
	while ((word = strsep(&rest, " ")) && words->count < WORDS_MAX) {
		if (word[0] == '<') {
			words->input = strchr(command->text, '<') + 1;
			continue;
		}
		words->list[words->count++] = words->bytes + used;
		expand(context, command, word, words->bytes + used, sizeof(words->bytes) - used);
		used += strlen(words->bytes + used) + 1;
	}
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

bool command_holds(const struct command *command)
{
	return strstr(command->text, "-- cat") != NULL;
}

bool command_removes(const struct command *command)
{
	return begins(command->text, "rm ");
}

/*
 * The NUMBER-th first half of a command that consists of steps by contract: one that creates its object and then uses
 * it, or removes several. Return false if there is none.
 */
bool command_half(const struct command *command, int number, struct command *half)
{
	static const char *const halves[][3] = {
		{ "sem run -x", "sem run -s ", " -- true" },
		{ "sem run -n -s", "sem run -s ", " -- true" },
		{ "sem run", "sem create ", "" },
		{ "sem acquire", "sem create ", "" },
		{ "sem wait", "sem create ", "" },
		{ "sem post", "sem create ", "" },
		{ "sem set", "sem create ", "" },
		{ "send", "recv -n -T 999 ", "" },
		{ "recv", "recv -n -T 999 ", "" },
		{ "event", "event clear ", "" },
		{ "barrier wait", "barrier create ", " 2" },
		{ "shm create", "shm create -T i64 ", "" },
		{ "shm set", "shm create -T i64 ", "" },
		{ "shm add", "shm create -T i64 ", "" },
		{ "shm cas", "shm create -T i64 ", "" },
		{ "shm wait", "shm create -T i64 ", "" },
		{ "foreign", "foreign create", "" },
		{ "rm -a", "rm -f @x", "" },
		{ "rm -a", "rm -f @y", "" },
	};
	const char *name = strchr(command->text, '@');

	half->user = command->user;
	for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++)
		if (begins(command->text, halves[i][0]) && number-- == 0) {
			snprintf(half->text, sizeof(half->text), "%s%.2s%s", halves[i][1],
				 name ? name : "", halves[i][2]);
			return true;
		}
	return false;
}

/* ---- standard input and output ---------------------------------------------- */

static int input_of(const char *name, int null)
{
	static const char number[8] = { 100 };
	char big[BIG];
	int fd;

	if (!name)
		return fcntl(null, F_DUPFD_CLOEXEC, 0);
	fd = memfd_create("input", MFD_CLOEXEC);
	memset(big, 'B', sizeof(big));
	if (begins(name, "big")	     ? write(fd, big, sizeof(big)) != (ssize_t)sizeof(big)
	    : begins(name, "number") ? write(fd, number, sizeof(number)) != (ssize_t)sizeof(number)
				     : write(fd, "hello\n", 6) != 6)
		abort();
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static bool open_all(struct started *started, const struct words *words,
		     const struct command *command, int null, int *input)
{
	int ends[2];

	started->input = -1;
	started->out = memfd_create("out", MFD_CLOEXEC);
	started->error = memfd_create("error", MFD_CLOEXEC);
	if (command_holds(command)) {
		if (pipe2(ends, O_CLOEXEC) < 0)
			return false;
		*input = ends[0];
		started->input = ends[1];
	} else {
		*input = input_of(words->input, null);
	}
	return started->out >= 0 && started->error >= 0 && *input >= 0;
}

/* ---- the process ------------------------------------------------------------ */

static void become(int user)
{
	uid_t id = UID_OF(user);

	if (id &&
	    (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0))
		_exit(125);
}

/* A program that knows the key of q opens or creates it, sends a message, or waits for one. */
static int foreign(const struct context *context, const char *verb)
{
	struct {
		long type;
		char body[64];
	} message = { 1, "foreign" };
	int id = msgget(context->setting->key, IPC_CREAT | 0666);
	ssize_t size;

	if (id < 0)
		return 1;
	if (strcmp(verb, "create") == 0)
		return 0;
	if (strcmp(verb, "send") == 0)
		return msgsnd(id, &message, 7, IPC_NOWAIT) == 0 ? 0 : 1;
	size = msgrcv(id, &message, sizeof(message.body), 0, MSG_NOERROR);
	return size >= 0 && write(1, message.body, (size_t)size) == size ? 0 : 1;
}

struct child {
	const struct context *context;
	const struct command *command;
	struct words *words;
	int program, input;
	bool traced, filtered;
};

__attribute__((noreturn)) static void be_child(const struct child *child,
					       const struct started *started)
{
	char path[512];
	char locale[] = "LC_ALL=C", zone[] = "TZ=UTC";
	char *environment[] = { path, locale, zone, NULL };
	sigset_t none;

	snprintf(path, sizeof(path), "PATH=%s:/usr/bin:/bin", child->context->setting->bin);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(child->input, 0) < 0 || dup2(started->out, 1) < 0 || dup2(started->error, 2) < 0)
		_exit(125);
	if (child->traced && (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0))
		_exit(125);
	if (child->context->setting->users)
		become(child->command->user);
	/* raise() is tgkill(2), which the filter reports: the filter comes after it. */
	if (child->filtered && !filter_install())
		_exit(125);
	if (child->program < 0)
		_exit(foreign(child->context, child->words->list[1]));
	syscall(SYS_execveat, child->program, "", child->words->list, environment, AT_EMPTY_PATH);
	_exit(125);
}

/* A descriptor of the program, so that a directory that only root can enter is no obstacle; -1 for "foreign". */
static int open_program(const struct context *context, const struct words *words)
{
	char path[512];
	int fd;

	if (strcmp(words->list[0], "ipc-foreign") == 0)
		return -1;
	snprintf(path, sizeof(path), "%s/%s", context->setting->bin, words->list[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "explore: cannot open %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return fd;
}

bool command_start(const struct context *context, const struct command *command, bool traced,
		   bool filtered, struct started *started)
{
	struct words words;
	struct child child = { context, command, &words, -1, -1, traced, filtered };

	split(context, command, &words);
	child.program = open_program(context, &words);
	if (!open_all(started, &words, command, context->setting->null, &child.input))
		return false;
	started->pid = fork();
	if (started->pid == 0)
		be_child(&child, started);
	close(child.input);
	if (child.program >= 0)
		close(child.program);
	return started->pid > 0;
}

int command_run(const struct context *context, const struct command *command, char *out,
		size_t size)
{
	struct started started;
	ssize_t length = 0;
	int status = -1;

	if (!command_start(context, command, false, false, &started))
		return -1;
	while (waitpid(started.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (out) {
		length = pread(started.out, out, size - 1, 0);
		out[length > 0 ? length : 0] = '\0';
	}
	close(started.out);
	close(started.error);
	if (started.input >= 0)
		close(started.input);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
