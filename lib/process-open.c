/* SPDX-License-Identifier: MIT
 * process-open.c - watching and ending one process
 *
 * A pidfd names a process whatever becomes of its number. Old kernels have none, and sandboxes refuse the calls with EPERM
 * or ENOSYS. Then the number and the time at which the process started name it, which /proc reports: the process is looked
 * at 20 times a second. Where neither can be had it is not watched at all.
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "process.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

#define SLICE_MILLISECONDS 50

static enum ipcu_result no_process(pid_t pid)
{
	return ipcu_fail(IPCU_NOT_FOUND, "no process %d: it may have ended", (int)pid);
}

/* Whether a sandbox or an old kernel does not have the call that failed with ERRNUM. */
static bool is_refused(int errnum)
{
	return errnum == ENOSYS || errnum == EPERM || errnum == EACCES;
}

enum ipcu_result ipcu_process_open(struct ipcu_process *process, pid_t pid)
{
	int errnum;

	process->pid = pid;
	process->start = 0;
	process->fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process->fd >= 0)
		return IPCU_OK;
	errnum = errno;
	/* ENOENT, since Linux 6.16, or EINVAL: the number of a thread. */
	if (errnum == ESRCH || errnum == EINVAL || errnum == ENOENT)
		return no_process(pid);
	if (is_refused(errnum)) {
		if (!ipcu_process_lives(pid, 0) || ipcu_process_is_thread(pid))
			return no_process(pid);
		process->start = ipcu_process_start(pid);
	}
	if (process->start)
		return IPCU_OK;
	return ipcu_fail_call("pidfd_open", errnum, "cannot watch process %d", (int)pid);
}

void ipcu_process_close(struct ipcu_process *process)
{
	if (process->fd >= 0)
		close(process->fd);
	process->fd = -1;
}

/* Poll OTHER and the pidfd for MILLISECONDS; whether the process has ended. */
static bool look(const struct ipcu_process *process, struct pollfd fds[2], int milliseconds)
{
	fds[0].revents = fds[1].revents = 0;
	/* A negative descriptor is not looked at. */
	if (poll(fds, 2, milliseconds) < 0)
		fds[0].revents = fds[1].revents = 0;
	if (process->fd >= 0)
		return fds[1].revents != 0;
	return !ipcu_process_lives(process->pid, process->start);
}

bool ipcu_process_wait(const struct ipcu_process *process, int other, int milliseconds)
{
	struct pollfd fds[2] = { { .fd = other, .events = POLLIN },
				 { .fd = process->fd, .events = POLLIN } };

	for (;;) {
		int slice = milliseconds;

		if (process->fd < 0 && (slice < 0 || slice > SLICE_MILLISECONDS))
			slice = SLICE_MILLISECONDS;
		if (look(process, fds, slice))
			return true;
		if (fds[0].revents || milliseconds == 0)
			return false;
		if (milliseconds > 0)
			milliseconds -= slice;
	}
}

enum ipcu_result ipcu_process_kill(const struct ipcu_process *process)
{
	int errnum = ENOSYS;

	if (process->fd >= 0) {
		if (syscall(SYS_pidfd_send_signal, process->fd, SIGKILL, NULL, 0) == 0)
			return IPCU_OK;
		errnum = errno;
	}
	if (ipcu_process_wait(process, -1, 0))
		return IPCU_OK;
	/* It lives now. Its number is given to another process only after all others were used. */
	if (is_refused(errnum))
		errnum = kill(process->pid, SIGKILL) == 0 ? 0 : errno;
	if (errnum == 0 || errnum == ESRCH)
		return IPCU_OK;
	return ipcu_fail_call("kill", errnum, "cannot end process %d", (int)process->pid);
}
