/* SPDX-License-Identifier: MIT
 * filter.c - the calls at which the explorer can hold a process
 *
 * A seccomp filter reports them to the tracer, so that all other calls run at full speed.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "explore.h"
#include "mark.h"

struct reported {
	long nr;
	const char *name;
};

static const struct reported reported[] = {
	{ SYS_msgget, "msgget" },	  { SYS_msgsnd, "msgsnd" },
	{ SYS_msgrcv, "msgrcv" },	  { SYS_msgctl, "msgctl" },
	{ SYS_semget, "semget" },	  { SYS_semop, "semop" },
	{ SYS_semtimedop, "semtimedop" }, { SYS_semctl, "semctl" },
	{ SYS_shmget, "shmget" },	  { SYS_shmat, "shmat" },
	{ SYS_shmdt, "shmdt" },		  { SYS_shmctl, "shmctl" },
	{ SYS_futex, "futex" },		  { SYS_kill, "kill" },
	{ SYS_tgkill, "tgkill" },	  { SYS_clone, "clone" },
#ifdef SYS_clone3
	{ SYS_clone3, "clone3" },
#endif
#ifdef SYS_vfork
	{ SYS_vfork, "vfork" },
#endif
#ifdef SYS_pidfd_open
	{ SYS_pidfd_open, "pidfd_open" }, { SYS_pidfd_send_signal, "pidfd_send_signal" },
#endif
	{ SYS_sendto, "sendto" },	  { SYS_execve, "execve" },
	{ SYS_exit_group, "exit_group" }, { SYS_getpriority, "mark" },
};

#define COUNT (sizeof(reported) / sizeof(reported[0]))

const char *filter_name(long nr)
{
	for (size_t i = 0; i < COUNT; i++)
		if (reported[i].nr == nr)
			return reported[i].name;
	return "?";
}

static unsigned short emit(struct sock_filter *code, unsigned short at, unsigned short op,
			   unsigned value, unsigned char if_true, unsigned char if_false)
{
	code[at] = (struct sock_filter){ op, if_true, if_false, value };
	return at + 1;
}

/* Only a getpriority() with the magic number is a mark. */
bool filter_install(void)
{
	const unsigned short load = BPF_LD | BPF_W | BPF_ABS, equal = BPF_JMP | BPF_JEQ | BPF_K,
			     end = BPF_RET | BPF_K;
	struct sock_filter code[2 * COUNT + 8];
	struct sock_fprog program = { .filter = code };
	unsigned short at = 0;

	at = emit(code, at, load, offsetof(struct seccomp_data, nr), 0, 0);
	for (size_t i = 0; i < COUNT; i++) {
		if (reported[i].nr == SYS_getpriority)
			continue;
		at = emit(code, at, equal, (unsigned)reported[i].nr, 0, 1);
		at = emit(code, at, end, SECCOMP_RET_TRACE, 0, 0);
	}
	at = emit(code, at, equal, SYS_getpriority, 0, 2);
	at = emit(code, at, load, offsetof(struct seccomp_data, args), 0, 0);
	at = emit(code, at, equal, EXPLORE_MARK, 1, 0);
	at = emit(code, at, end, SECCOMP_RET_ALLOW, 0, 0);
	at = emit(code, at, end, SECCOMP_RET_TRACE, 0, 0);
	program.len = at;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
