/* SPDX-License-Identifier: MIT
 * cli-owner.c - the process on whose behalf a command acts
 *
 * The parent is not always the script: a pipeline, a command substitution and parentheses run in a subshell, timeout(1)
 * runs its command in a child, and the shell of system(3) ends at once. So the owner is the nearest ancestor that is a
 * shell and not a subshell, which is the process that the script knows as $$.
 *
 * A subshell is a fork of a shell that has executed no program since. It has the auxiliary vector of its parent: the
 * kernel writes a new one, with new random addresses, for each program. Where addresses are not random the command line
 * distinguishes most programs.
 *
 * A process whose parent has ended is adopted, by process 1 or by a process that asked for it. An adopter is of a
 * different session, or is an init with process groups of its own.
 */
#include <config.h>

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "cli-owner.h"
#include "error.h"
#include "process.h"

#define PROGRAM_MAX 64
#define MEMORY_MAX 4096

static bool is_listed(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

/* Cut what follows the name of a program: the version, "-static" and, after an upgrade, " (deleted)". */
static void cut_version(char *name)
{
	static const char *const ends[] = { " (deleted)", "-static" };
	size_t length = strlen(name);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t size = strlen(ends[i]);

		if (length > size && strcmp(name + length - size, ends[i]) == 0)
			name[length -= size] = '\0';
	}
	while (length > 1 && strchr("0123456789.-", name[length - 1]))
		name[--length] = '\0';
}

/* The last part of the path that is one argument, without the "-" of a login shell. */
static const char *base_name(const char *argument)
{
	const char *slash = strrchr(argument, '/');

	argument = slash ? slash + 1 : argument;
	return *argument == '-' ? argument + 1 : argument;
}

/* The program that PID executes. In a file with many programs the first argument selects one. */
static bool read_program(pid_t pid, char name[PROGRAM_MAX])
{
	static const char *const collections[] = { "busybox", "toybox", "coreutils", NULL };
	char arguments[MEMORY_MAX];
	const char *first = arguments;
	ssize_t length;

	if (!ipcu_process_program(pid, name, PROGRAM_MAX))
		return false;
	cut_version(name);
	if (!is_listed(name, collections))
		return true;
	length = ipcu_process_file(pid, "cmdline", arguments, sizeof(arguments));
	if (length <= 0)
		return false;
	if (is_listed(base_name(first), collections) && strlen(first) + 1 < (size_t)length)
		first += strlen(first) + 1;
	strncpy(name, base_name(first), PROGRAM_MAX - 1);
	name[PROGRAM_MAX - 1] = '\0';
	return true;
}

static bool is_shell(const char *program)
{
	static const char *const shells[] = { "ash",  "bash", "csh",   "dash", "elvish", "es",
					      "fish", "hush", "ksh",   "lksh", "loksh",	 "mksh",
					      "nu",   "oksh", "pdksh", "posh", "pwsh",	 "rbash",
					      "rc",   "rksh", "sh",    "tcsh", "xonsh",	 "yash",
					      "zsh",  NULL };

	return is_listed(program, shells);
}

/* Whether PROGRAM may run its command in a child, for which it does nothing but wait. */
static bool is_wrapper(const char *program)
{
	static const char *const wrappers[] = { "chrt",	   "env",     "ionice",	 "ltrace", "nice",
						"nohup",   "prlimit", "setpriv", "stdbuf", "strace",
						"taskset", "time",    "timeout", NULL };

	return is_listed(program, wrappers);
}

static bool is_same(pid_t a, pid_t b, const char *file)
{
	char ours[MEMORY_MAX], theirs[MEMORY_MAX];
	ssize_t length = ipcu_process_file(a, file, ours, sizeof(ours));

	return length > 0 && ipcu_process_file(b, file, theirs, sizeof(theirs)) == length &&
	       memcmp(ours, theirs, (size_t)length) == 0;
}

/* Whether CHILD is a fork of PARENT that has executed no program since. */
static bool is_fork(pid_t child, pid_t parent)
{
	char program[PROGRAM_MAX], other[PROGRAM_MAX];

	return ipcu_process_program(child, program, sizeof(program)) &&
	       ipcu_process_program(parent, other, sizeof(other)) && strcmp(program, other) == 0 &&
	       is_same(child, parent, "auxv") && is_same(child, parent, "cmdline");
}

/* Whether PARENT started CHILD, and has not adopted it. */
static bool is_caller(pid_t parent, pid_t child)
{
	pid_t group = getpgid(child);

	if (parent <= 0 || getsid(parent) != getsid(0))
		return false;
	return parent != 1 || group == child || group == getpgid(parent);
}

static enum ipcu_result no_caller(void)
{
	ipcu_fail(IPCU_NOT_FOUND,
		  "cannot determine the calling shell: it has ended, or is of a different session");
	ipcu_hint("name the process on whose behalf to act, as in -P $$");
	return IPCU_NOT_FOUND;
}

static enum ipcu_result no_shell(pid_t pid, const char *program)
{
	if (program)
		ipcu_fail(IPCU_USAGE,
			  "cannot determine the calling shell: process %d (%s) is not a shell",
			  (int)pid, program);
	else
		ipcu_fail(IPCU_USAGE,
			  "cannot determine the calling shell: /proc does not show process %d",
			  (int)pid);
	ipcu_hint("name the process on whose behalf to act: -P $$ in a shell script");
	return IPCU_USAGE;
}

/* Pass over the subshells from the shell that is last in the chain on. */
static void pass_subshells(struct cli_owner *owner)
{
	while (owner->count < CLI_OWNER_MAX) {
		pid_t shell = cli_owner_pid(owner), parent = ipcu_process_parent(shell);

		if (!is_caller(parent, shell) || !is_fork(shell, parent))
			return;
		owner->chain[owner->count++] = parent;
	}
}

enum ipcu_result cli_owner_find(struct cli_owner *owner)
{
	pid_t child = getpid(), parent = getppid();

	for (owner->count = 0; owner->count < CLI_OWNER_MAX; parent = ipcu_process_parent(child)) {
		char program[PROGRAM_MAX];

		if (!is_caller(parent, child))
			return no_caller();
		owner->chain[owner->count++] = parent;
		if (!read_program(parent, program))
			return no_shell(parent, NULL);
		if (is_shell(program)) {
			pass_subshells(owner);
			return IPCU_OK;
		}
		if (!is_wrapper(program))
			return no_shell(parent, program);
		child = parent;
	}
	return no_caller();
}

pid_t cli_owner_pid(const struct cli_owner *owner)
{
	return owner->chain[owner->count - 1];
}
