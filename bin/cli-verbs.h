/* SPDX-License-Identifier: MIT
 * cli-verbs.h - a command whose first word is a verb: ipc-sem run, ipc-sem wait...
 *
 * Each verb is a command of its own, with its own options and --help:
 *
 *	static const struct cli_verb verbs[] = {
 *		{ "create", sem_create, "create a semaphore" },
 *		{ 0 }
 *	};
 *	int ipc_sem(int argc, char **argv)
 *	{
 *		return cli_verbs("ipc-sem", verbs, "Semaphores and locks." CLI_EXIT_STATUSES, argc, argv);
 *	}
 *	int sem_create(int argc, char **argv)
 *	{
 *		...
 *		int status = cli_parse_verb(&argp, "ipc-sem", argc, argv, &options.common, &options);
 */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli-options.h"

struct cli_verb {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the verb */
	const char *doc;		   /* one line */
};

/*
 * Run the verb that argv[1] names and return its status. VERBS ends with a row
 * of zeroes. --help and --complete-options list them; no verb, or one that there
 * is not, is IPCU_USAGE.
 */
int cli_verbs(const char *command, const struct cli_verb *verbs, const char *doc, int argc,
	      char **argv);

/*
 * cli_parse() for the verb in argv[0]: usage errors and --help speak of "COMMAND
 * VERB", all other messages begin with COMMAND alone.
 */
int cli_parse_verb(const struct argp *argp, const char *command, int argc, char **argv,
		   struct cli_options *options, void *input);

#endif
