/* SPDX-License-Identifier: MIT
 * inject.c - lets a call of a traced task fail
 *
 * At the stop before a call its number becomes -1, so that the kernel skips it, and its result becomes the error.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "explore.h"

#if defined(__x86_64__)
bool trace_can_inject(void)
{
	return true;
}

bool trace_inject(pid_t tid, int errnum)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, tid, NULL, &registers) < 0)
		return false;
	registers.orig_rax = (unsigned long long)-1;
	registers.rax = (unsigned long long)-errnum;
	return ptrace(PTRACE_SETREGS, tid, NULL, &registers) == 0;
}
#elif defined(__aarch64__)
bool trace_can_inject(void)
{
	return true;
}

bool trace_inject(pid_t tid, int errnum)
{
	struct user_regs_struct registers;
	struct iovec all = { &registers, sizeof(registers) };
	int none = -1;
	struct iovec number = { &none, sizeof(none) };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &all) < 0)
		return false;
	registers.regs[0] = (unsigned long long)-errnum;
	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &all) == 0 &&
	       ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL, &number) == 0;
}
#else
bool trace_can_inject(void)
{
	return false;
}

bool trace_inject(pid_t tid, int errnum)
{
	(void)tid, (void)errnum;
	return false;
}
#endif
