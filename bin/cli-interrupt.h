/* SPDX-License-Identifier: MIT
 * cli-interrupt.h - ending at a signal, or when stdout's reader is gone, with nothing lost
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/*
 * From now on SIGHUP, SIGINT and SIGTERM (unless ignored) end waits with EINTR
 * instead of ending the process, and a write into a closed pipe fails with EPIPE.
 */
void cli_interrupts_start(void);

/* Also end waits when nobody can read stdout any more. */
void cli_watch_stdout(void);

/* Wake this process up every MILLISECONDS: waits end with EINTR. */
void cli_tick_start(int milliseconds);

bool cli_interrupted(void);    /* by a signal */
int cli_interrupt_count(void); /* by how many */
bool cli_stdout_hung_up(void); /* its reader is gone */

/* If a signal came: end by it, so that the parent sees what happened. */
void cli_interrupts_finish(void);

/*
 * SIGTSTP, a terminal's Ctrl-Z, interrupts waits until "finish", and stops us in "obey": to be called when a
 * wait has ended with EINTR, for who is stopped must not keep a place that others wait behind.
 */
void cli_stops_start(void);
void cli_stops_obey(void);
void cli_stops_finish(void);

#endif
