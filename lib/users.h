/* SPDX-License-Identifier: MIT
 * users.h - who uses which objects, as /proc shows it
 */
#ifndef USERS_H
#define USERS_H

#include "ipcutils.h"
#include "sysv.h"

struct ipcu_usage {
	pid_t pid;
	enum ipcu_family family;
	int id;
	const char *how; /* "receives", "sends", "waits", "attached"; static storage */
};
typedef void (*ipcu_usage_fn)(const struct ipcu_usage *usage, void *context);

/*
 * Call FN for what every process but this one uses of FAMILIES (1 << IPCU_FAMILY_..., or several of them): once for
 * each object and way, process by process. One look at all processes, however many objects there are.
 */
void ipcu_usage_each(unsigned families, ipcu_usage_fn fn, void *context);

#endif
