/* SPDX-License-Identifier: MIT
 * cli-owner.h - the process on whose behalf a command acts
 */
#ifndef CLI_OWNER_H
#define CLI_OWNER_H

#include <stddef.h>
#include <sys/types.h>

#include "ipcutils.h"

#define CLI_OWNER_MAX 32 /* a longer chain of ancestors is refused */

struct cli_owner {
	pid_t chain[CLI_OWNER_MAX]; /* from the parent of this process to its owner */
	size_t count;
};

/*
 * Find the process that runs the script which called this command: the nearest ancestor that is a shell and not a
 * subshell. Subshells, and programs such as timeout(1) that run the command that they are given, are passed over.
 *
 * IPCU_OK; IPCU_USAGE: a program that is not a shell called, or /proc does not show the ancestors; IPCU_NOT_FOUND: the
 * caller has ended, or is of a different session.
 */
enum ipcu_result cli_owner_find(struct cli_owner *owner);

/* The owner that was found. */
pid_t cli_owner_pid(const struct cli_owner *owner);

#endif
