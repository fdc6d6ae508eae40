/* SPDX-License-Identifier: MIT
 * process.h - what /proc says of a process
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * When PID started, in clock ticks since boot, 0 if it is gone or a zombie. Together
 * with the number it names a process for good: numbers are used again.
 */
uint64_t ipcu_process_start(pid_t pid);

/* Whether the process that had PID and START still runs. Cannot tell means yes. */
bool ipcu_process_lives(pid_t pid, uint64_t start);

/* Now, in clock ticks since boot, the clock of ipcu_process_start. */
uint64_t ipcu_process_clock(void);

/*
 * Whether the process that had number PID at the time THEN has run its last instruction: it is
 * gone, a zombie, or on its way out with all its threads, or one that started later has its
 * number. Cannot tell means no.
 */
bool ipcu_process_ended(pid_t pid, uint64_t then);

/* Its state as in ps(1): 'T' stopped, 't' traced, 'S' asleep...; 0 if it is gone. */
char ipcu_process_state(pid_t pid);

/* The PID namespace that our process numbers are of, 0 if it cannot be told. SELF is getpid(). */
uint64_t ipcu_process_numbers(pid_t self);

/* Whether PID has surely left our IPC namespace, and with it what it held. Cannot tell means no. */
bool ipcu_process_left(pid_t pid);

/* Whether the process of PIDFD calls itself NAME, as in /proc/PID/comm. Cannot tell means no. */
bool ipcu_process_named(int pidfd, const char *name);

/* Whether PID sees the objects that we see. Cannot tell means no, but where nothing can be told, yes. */
bool ipcu_process_same_namespace(pid_t pid);

/* The command line of PID, arguments separated by spaces, "?" if it cannot be read. */
void ipcu_process_command(pid_t pid, char *text, size_t capacity);

#endif
