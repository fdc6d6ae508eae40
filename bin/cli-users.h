/* SPDX-License-Identifier: MIT
 * cli-users.h - the processes that use an object
 */
#ifndef CLI_USERS_H
#define CLI_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipcutils.h"

struct cli_use {
	pid_t pid;
	const char *how; /* "holds", "waits", "receives", "sends", "attached" */
};
struct cli_uses {
	struct cli_use *items;
	size_t count, capacity;
};

/* What processes do now, looked at once for a whole table. */
struct cli_users;

/* NULL without memory. */
struct cli_users *cli_users_new(void);
void cli_users_free(struct cli_users *users);

/* Put those of the object into USES, which is emptied first. False without memory. */
bool cli_users_of(const struct cli_users *users, const struct ipcu_info *info,
		  struct cli_uses *uses);

/* How many processes wait for it; -1: this process cannot know. */
int64_t cli_users_waiting(const struct ipcu_info *info, const struct cli_uses *uses);

#endif
