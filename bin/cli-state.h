/* SPDX-License-Identifier: MIT
 * cli-state.h - what an object holds, in words
 */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include <stdio.h>

#include "cli-users.h"

/* The name of a user, or the number where there is none. */
void cli_print_user(FILE *out, uid_t uid);

/* "5 messages, 31 bytes", "0/1 free": the STATE of ipc-ls. */
void cli_print_state(FILE *out, const struct ipcu_info *info);

/* "queue of root, mode 600, 5 messages, 31 bytes; 1234 receives (ipc-recv q1)". */
void cli_print_details(FILE *out, const struct ipcu_info *info, const struct cli_uses *uses);

#endif
