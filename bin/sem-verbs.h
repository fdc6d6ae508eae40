/* SPDX-License-Identifier: MIT
 * sem-verbs.h - the verbs of ipc-sem, and what they share
 */
#ifndef SEM_VERBS_H
#define SEM_VERBS_H

#include "cli-verbs.h"

struct sem_options {
	struct cli_options common; /* first: the children's input is both */
	char **words;		   /* NAME and what follows it */
	int word_count;
	const char *more; /* what follows NAME, for messages; NULL: nothing does */
	int more_min, more_max;
	char **command; /* behind --, or NULL */
	bool needs_command;
	bool needs_name, needs_set; /* for acquire, and for op */
	unsigned count;		    /* 0: not given */
	unsigned units, index;
	bool units_given, index_given, resize, transient;
	unsigned value; /* free units of a new semaphore */
	bool value_given;
	enum ipcu_hold_mode mode;
	pid_t pid;
	struct ipcu_sem *storage; /* of the semaphore that sem_open() opens, or NULL */
};

/* Parser for every verb; which options there are is its table's business. */
error_t sem_parse(int key, char *arg, struct argp_state *state);

/* Rows of those tables. */
#define SEM_UNITS                                                         \
	{                                                                 \
		"units", 'u', "UNITS", 0, "how many units (default 1)", 1 \
	}
#define SEM_INDEX                                                                       \
	{                                                                               \
		"index", 'i', "INDEX", 0, "which semaphore of a raw set (default 0)", 1 \
	}
#define SEM_COUNT_OPTION                                                                           \
	{                                                                                          \
		"count", 'c', "COUNT", 0,                                                          \
			"how many units it has: N, or relative to the online CPUs +N, -N or N%", 1 \
	}
#define SEM_TRANSIENT                                                                            \
	{                                                                                        \
		"transient", CLI_TRANSIENT, NULL, 0,                                             \
			"if this call creates it: remove it when no process uses it any more", 1 \
	}
#define SEM_SHARED                                                                              \
	{                                                                                       \
		"shared", 's', NULL, 0, "a read-write lock: together with other shared ones", 1 \
	}
#define SEM_EXCLUSIVE_OPTION                                             \
	{                                                                \
		"exclusive", 'x', NULL, 0, "a read-write lock: alone", 1 \
	}
#define SEM_PID                                                                                   \
	{                                                                                         \
		"pid", 'P', "PID", 0, "on behalf of this process (default: the calling shell)", 1 \
	}

/* Parse ARGV for a verb; IPCU_OK and perhaps common.finished, or IPCU_USAGE. */
int sem_start(const struct argp *argp, int argc, char **argv, struct sem_options *options);

/* Whether what is asked for goes with such a NAME, before anything is created for it. */
enum ipcu_result sem_check(const struct sem_options *options);

/* Open NAME with -c, -i and the shared options; the status. */
int sem_open(ipcu_sem **sem, const struct sem_options *options);

/* Open NAME, with COUNT units if it is created; 0: as for a lock. */
enum ipcu_result sem_open_with(ipcu_sem **sem, const struct sem_options *options, unsigned count);

/*
 * Whether a transient semaphore was removed by its last user after it was opened, as RESULT says: then it was opened again
 * and *SEM is new.
 */
bool sem_reopened(ipcu_sem **sem, const struct sem_options *options, enum ipcu_result result);

/* With --verbose, report that the previous holder died. */
void sem_report_previous(const struct sem_options *options, const struct ipcu_hold *hold);

/* Whether RESULT is of a wait that a signal ended and that should begin again. A stop is obeyed before. */
bool sem_again(enum ipcu_result result);

/* Take what -u, -s or -x say, going on after a stop and continue. */
enum ipcu_result sem_hold(ipcu_sem *sem, const struct sem_options *options,
			  const struct timespec *deadline, struct ipcu_hold *hold);

/* The wait for units, for cli_wait_begin(). It opens the semaphore for itself. */
bool sem_describe_wait(void *options, char *text, size_t capacity);

/* Become COMMAND, found at PATH ("": not yet); returns only if that cannot be, with the status. */
int sem_become(const struct sem_options *options, const char *path);

/* The same with IPC_SEM and IPC_SLOT in the environment of COMMAND, as HOLD says. */
int sem_become_holder(const struct sem_options *options, const struct ipcu_hold *hold,
		      const char *path);

int sem_acquire(int argc, char **argv);
int sem_create(int argc, char **argv);
int sem_get(int argc, char **argv);
int sem_op(int argc, char **argv);
int sem_post(int argc, char **argv);
int sem_release(int argc, char **argv);
int sem_run(int argc, char **argv);
int sem_set(int argc, char **argv);
int sem_status(int argc, char **argv);
int sem_wait_for(int argc, char **argv);

#endif
