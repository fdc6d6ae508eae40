/* SPDX-License-Identifier: MIT
 * errnos.c - the errors that each call can fail with
 *
 * Only errors that the kernel can give for these calls. "It was removed" is not in the list: an object that still
 * exists would be a lie, and other scenes remove it in truth.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "explore.h"

static const int get[] = { ENOMEM, ENOSPC, 0 };
static const int find[] = { ENOMEM, 0 };
static const int attach[] = { ENOMEM, EACCES, 0 };
static const int change[] = { EPERM, ENOMEM, 0 };
static const int look[] = { EACCES, 0 };
static const int send[] = { EAGAIN, EINTR, ENOMEM, EACCES, 0 };
static const int receive[] = { EINTR, ENOMEM, EACCES, 0 };
static const int operate[] = { EINTR, ENOMEM, ENOSPC, ERANGE, EACCES, 0 };
static const int process[] = { EAGAIN, ENOMEM, 0 };
static const int handle[] = { EMFILE, ENOMEM, ENOSYS, EPERM, 0 };
static const int sleeping[] = { EINTR, ENOSYS, 0 };
static const int none[] = { 0 };

static bool makes(const struct call *call)
{
	return strstr(filter_name(call->nr), "get") != NULL && call->detail & IPC_CREAT;
}

const int *errnos_of(const struct call *call)
{
	static const struct {
		const char *name;
		const int *errnos;
	} table[] = {
		{ "msgget", find },    { "semget", find },	  { "shmget", find },
		{ "msgsnd", send },    { "msgrcv", receive },	  { "semop", operate },
		{ "shmat", attach },   { "semtimedop", operate }, { "clone", process },
		{ "clone3", process }, { "pidfd_open", handle },  { "pidfd_send_signal", look },
		{ "futex", sleeping },
	};
	const char *name = filter_name(call->nr);

	/* What every process may read cannot be denied. */
	if (strstr(name, "ctl") && strcmp(name, "semctl") != 0 && call->detail > IPC_STAT)
		return none;
	if (strcmp(name, "semctl") == 0 && call->detail >= SEM_STAT)
		return none;
	if (strstr(name, "ctl"))
		return call->detail == IPC_RMID || call->detail == IPC_SET ||
				       call->detail == SETALL || call->detail == SETVAL
			       ? change
			       : look;
	if (makes(call))
		return get;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].name, name) == 0)
			return table[i].errnos;
	return none;
}
