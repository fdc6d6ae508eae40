/* SPDX-License-Identifier: MIT
 * process.h - what /proc says of a process
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipcutils.h"

/*
 * Return when PID started, in clock ticks since boot of the machine, 0 if that cannot be told or it is a zombie. Together
 * with the number it names a process for good: numbers are used again. Time namespaces make no difference.
 */
uint64_t ipcu_process_start(pid_t pid);

/* Return true if the process that had PID and START (0: any) still runs, or if that cannot be told. */
bool ipcu_process_lives(pid_t pid, uint64_t start);

/*
 * Return true if the process that had number PID at the time THEN, in seconds of CLOCK_REALTIME as the kernel dates objects,
 * still runs, or if that cannot be told. A process that started later has the number again.
 */
bool ipcu_process_lived_at(pid_t pid, int64_t then);

/* Return the present time on the clock of ipcu_process_start(). A child calls ipcu_process_numbers() before. */
uint64_t ipcu_process_clock(void);

/* Return the same for the time when CLOCK_BOOTTIME was NANOSECONDS. */
uint64_t ipcu_process_clock_at(int64_t nanoseconds);

/*
 * Return true if the process that had number PID at the time THEN has run its last instruction: it is gone, a zombie, or on
 * its way out with all its threads, or a process that started later has its number. Return false if that cannot be told.
 */
bool ipcu_process_ended(pid_t pid, uint64_t then);

/* ---- process-open.c: a process that is watched ---------------------------------- */

struct ipcu_process {
	int fd; /* a pidfd, -1: there is none */
	pid_t pid;
	uint64_t start; /* without a pidfd */
};

/* Open PID. IPCU_NOT_FOUND: it has ended, or is a thread; IPCU_SYSTEM: it cannot be watched. */
enum ipcu_result ipcu_process_open(struct ipcu_process *process, pid_t pid);
void ipcu_process_close(struct ipcu_process *process);

/*
 * Wait until the process ends, OTHER (-1: none) is readable, or MILLISECONDS have passed (-1: for ever). Return true if it
 * has ended.
 */
bool ipcu_process_wait(const struct ipcu_process *process, int other, int milliseconds);

/* Send SIGKILL to the process. It is no error if it has ended. */
enum ipcu_result ipcu_process_kill(const struct ipcu_process *process);

/* Return true if the process calls itself NAME, as in /proc/PID/comm; false if that cannot be told. */
bool ipcu_process_named(const struct ipcu_process *process, const char *name);

/* Return true if PID is the number of a thread that is not the first of its process. */
bool ipcu_process_is_thread(pid_t pid);

/* ---- looking -------------------------------------------------------------------- */

/* Read the file NAME of PID in /proc as a string. Return its length, or -1 if it cannot be read. */
ssize_t ipcu_process_file(pid_t pid, const char *name, char *text, size_t capacity);

/* Write the base name of the program that PID executes to NAME. Return false if /proc does not show it. */
bool ipcu_process_program(pid_t pid, char *name, size_t capacity);

/* The parent of PID, 0 if it is gone or /proc hides it. */
pid_t ipcu_process_parent(pid_t pid);

/* How many threads PID has, 0 if /proc does not show it. */
unsigned ipcu_process_threads(pid_t pid);

/* Return true if PID sleeps in wait4(2) or waitid(2). */
bool ipcu_process_waits_for_child(pid_t pid);

/* Return true if CHILD is the only child of PARENT that has not ended. */
bool ipcu_process_has_one_child(pid_t parent, pid_t child);

/* Its state as in ps(1): 'T' stopped, 't' traced, 'S' asleep...; 0 if it is gone. */
char ipcu_process_state(pid_t pid);

/* The PID namespace that our process numbers are of, 0 if it cannot be told. SELF is getpid(). */
uint64_t ipcu_process_numbers(pid_t self);

/* Whether PID has surely left our IPC namespace, and with it what it held. Cannot tell means no. */
bool ipcu_process_left(pid_t pid);

/* Whether PID sees the objects that we see. Cannot tell means no, but where nothing can be told, yes. */
bool ipcu_process_same_namespace(pid_t pid);

/* The command line of PID, arguments separated by spaces, "?" if it cannot be read. */
void ipcu_process_command(pid_t pid, char *text, size_t capacity);

#endif
