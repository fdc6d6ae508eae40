/* SPDX-License-Identifier: MIT
 * cli-exec.h - running a command
 */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include <stdbool.h>
#include <stddef.h>

#include "cli-start.h"

enum { CLI_CANNOT_RUN = 126, CLI_NOT_FOUND = 127, CLI_BY_SIGNAL = 128 };

/*
 * The COMMAND behind the first "--" of ARGV, or NULL if there is no "--"; its first
 * word is NULL if nothing follows. *ARGC is cut down to what stands before: getopt
 * moves words across "--", and then nobody knows where COMMAND began.
 */
char **cli_split_command(int *argc, char **argv);

/* True if WORD may be meant as a COMMAND: a path that begins with / or . or a command in PATH. */
bool cli_is_command(const char *word);

/* After a usage error without "--": if a word of ARGV may be meant as a COMMAND, or NEEDED, hint at "--" with EXAMPLE. */
void cli_hint_separator(int argc, char **argv, bool needed, const char *example);

/*
 * Find COMMAND as execvp(3) does. Return 0 and write its path to PATH, or return 126 or 127 with errno.
 */
#define CLI_PATH_MAX 4096
int cli_find_command(const char *command, char path[CLI_PATH_MAX]);

/* Report that COMMAND could not be started, with the reason from errno. Returns STATUS. */
int cli_cannot_run(const struct cli_options *options, const char *command, int status);

/*
 * The calls below start COMMAND in the same way: sh runs a script without a #! line.
 *
 * Become COMMAND, which was found at PATH: to search for it again costs a failing execve(2) for
 * each directory. Returns only if that fails: 126 or 127 with errno.
 */
int cli_become(char *const command[], const char *path);

/*
 * Run COMMAND with SIZE bytes at INPUT on its stdin, wait for it, and return its
 * exit status (128+N: ended by signal N). If it could not be started, *STARTED is false, errno holds the reason,
 * and the status is 126, 127, or IPCU_LIMIT if there is no room for one more process.
 */
int cli_run(char *const command[], const void *input, size_t size, bool *started);

/*
 * The same with our own stdin, and COMMAND gets SIGTERM if this process ends before it:
 * for what must not go on without us.
 */
int cli_run_bound(char *const command[], bool *started);

#endif
