/* SPDX-License-Identifier: MIT
 * cli-namespace.c - acting in the IPC namespace of another process
 *
 * A namespace belongs to a thread: this is done before there is a second one. What
 * the process starts later, a COMMAND too, inherits it.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli-namespace.h"
#include "error.h"

static enum ipcu_result refused(pid_t pid, const char *call, int errnum)
{
	enum ipcu_result result = ipcu_fail_call(
		call, errnum, "cannot enter the IPC namespace of process %d", (int)pid);

	if (result == IPCU_DENIED)
		ipcu_hint("it takes root (CAP_SYS_ADMIN over both); into a container without root: "
			  "nsenter --target %d --user --preserve-credentials --ipc COMMAND",
			  (int)pid);
	return result;
}

static enum ipcu_result absent(pid_t pid)
{
	if (access("/proc/self/ns/ipc", F_OK) < 0) {
		ipcu_fail(IPCU_SYSTEM,
			  "IPC namespaces cannot be told apart: there is no /proc/self/ns/ipc");
		ipcu_hint("mount /proc; the kernel needs CONFIG_IPC_NS");
		return IPCU_SYSTEM;
	}
	return ipcu_fail(IPCU_USAGE, "--ipc-namespace: there is no process %d", (int)pid);
}

enum ipcu_result cli_enter_namespace(pid_t pid)
{
	enum ipcu_result result = IPCU_OK;
	struct stat ours, theirs;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/ipc", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? absent(pid) : refused(pid, "open", errno);
	/* Who is there already needs no privilege. */
	if (fstat(fd, &theirs) < 0 || stat("/proc/self/ns/ipc", &ours) < 0 ||
	    ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)
		if (setns(fd, CLONE_NEWIPC) < 0)
			result = refused(pid, "setns", errno);
	close(fd);
	return result;
}
