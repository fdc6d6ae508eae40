/* SPDX-License-Identifier: MIT
 * doctor-machine.c - in which IPC namespace we are, and what the kernel does with segments
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "error.h"

/* The first namespaces of a machine have these numbers (the kernel's proc_ns.h). */
#define FIRST_IPC 0xefffffffu
#define FIRST_PID 0xeffffffcu

/* The number of a process's namespace, 0 if that is not ours to know. */
static unsigned long number_of(const char *process, const char *kind)
{
	struct stat status;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/ns/%s", process, kind);
	return stat(path, &status) == 0 ? (unsigned long)status.st_ino : 0;
}

static bool differs(struct doctor *doctor, pid_t pid, const char *who)
{
	char process[16], fix[DOCTOR_TEXT];
	unsigned long ours = number_of("self", "ipc"), theirs;

	snprintf(process, sizeof(process), "%d", (int)pid);
	theirs = number_of(process, "ipc");
	if (!ours || !theirs || ours == theirs)
		return false;
	snprintf(fix, sizeof(fix), "nsenter --target %d --ipc", (int)pid);
	doctor_find(
		doctor, "IPC namespace", fix,
		"this one (%lu) is not that of %s %d (%lu): what is made there is not seen here",
		ours, who, (int)pid, theirs);
	return true;
}

/* What may not be looked at is left out, but what is not there is a mistake. */
static enum ipcu_result look_at_peer(struct doctor *doctor)
{
	char process[16];

	snprintf(process, sizeof(process), "%d", (int)doctor->peer);
	if (number_of("self", "ipc") && !number_of(process, "ipc") && errno == ENOENT)
		return ipcu_fail(IPCU_USAGE, "--peer: there is no process %s", process);
	differs(doctor, doctor->peer, "process");
	return IPCU_OK;
}

enum ipcu_result doctor_namespace(struct doctor *doctor)
{
	if (doctor->common.namespace_of) /* the caller knows */
		return IPCU_OK;
	if (doctor->peer)
		return look_at_peer(doctor);
	if (differs(doctor, getppid(), "the parent, process") || differs(doctor, 1, "process"))
		return IPCU_OK;
	/* Process 1 may be root's, and not to be looked at; but who sees the machine's processes may expect its objects. */
	if (!number_of("1", "ipc") && number_of("self", "pid") == FIRST_PID &&
	    number_of("self", "ipc") != FIRST_IPC)
		doctor_find(
			doctor, "IPC namespace", "nsenter --target 1 --ipc",
			"this one (%lu) is not the machine's (%u): what is made there is not seen here",
			number_of("self", "ipc"), FIRST_IPC);
	return IPCU_OK;
}

enum ipcu_result doctor_kernel(struct doctor *doctor)
{
	FILE *file = fopen("/proc/sys/kernel/shm_rmid_forced", "re");
	int value = file ? getc(file) : '0';

	if (file)
		fclose(file);
	if (value == '1')
		doctor_find(
			doctor, "kernel.shm_rmid_forced", "sysctl -w kernel.shm_rmid_forced=0",
			"it is 1: a segment goes with the last process that has it attached, and so no name can be kept");
	return IPCU_OK;
}
