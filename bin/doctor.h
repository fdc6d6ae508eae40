/* SPDX-License-Identifier: MIT
 * doctor.h - the parts of ipc-doctor
 *
 * A check looks at one thing and calls doctor_find() for all that is, or will be, wrong with it. What it cannot
 * look at for want of permission it leaves out.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "cli-options.h"
#include "cli-output.h"

#define DOCTOR_TEXT 1024
#define DOCTOR_NAME 128
#define DOCTOR_WORD (4 * DOCTOR_NAME)

struct doctor {
	struct cli_options common;
	const char *root;	      /* what stands before the names of the machine's files */
	int64_t interval, older_than; /* nanoseconds */
	pid_t peer;		      /* 0: nobody in particular */
	bool repair;

	const char *check; /* that runs now */
	size_t findings;   /* not counting what was repaired */
	size_t printed;
	struct cli_buffer json;

	/* Those of the caller, or of all for root; none while the caller's registry is damaged. */
	struct ipcu_info *objects; /* as they were at first; a name is a copy */
	size_t object_count, object_capacity;
	bool damaged; /* the caller's registry is, or is kept locked */
};

/*
 * A finding: SUBJECT has the trouble that FORMAT tells, and the command FIX ends it. Both are clauses without a full stop.
 */
void doctor_find(struct doctor *doctor, const char *subject, const char *fix, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));

/*
 * The same where the remedy needs judgement: ADVICE is text, not a command. What may consume a message, or remove or end
 * something that may be in use, is advice and never a FIX, which must be safe to execute unread.
 */
void doctor_advise(struct doctor *doctor, const char *subject, const char *advice,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* q1, alice/q1, key:0x00000001 or id:5, for any command. */
const char *doctor_name(const struct ipcu_info *info, char name[DOCTOR_NAME]);

/* NAME as one word of a shell. */
const char *doctor_quote(const char *name, char word[DOCTOR_WORD]);

/* "1234 (its command)" */
#define DOCTOR_PROCESS 128
const char *doctor_process(pid_t pid, char text[DOCTOR_PROCESS]);

/* Whether PID is stopped by a signal or a debugger. */
bool doctor_stopped(pid_t pid);

/* The checks, in the order in which they run. An error is one of the doctor's own. */
enum ipcu_result doctor_namespace(struct doctor *doctor); /* doctor-machine.c */
enum ipcu_result doctor_kernel(struct doctor *doctor);
enum ipcu_result doctor_systemd(struct doctor *doctor);	 /* doctor-systemd.c */
enum ipcu_result doctor_limits(struct doctor *doctor);	 /* doctor-limits.c */
enum ipcu_result doctor_registry(struct doctor *doctor); /* doctor-names.c */
enum ipcu_result doctor_unreachable(struct doctor *doctor);
enum ipcu_result doctor_keys(struct doctor *doctor);	 /* doctor-keys.c */
enum ipcu_result doctor_holders(struct doctor *doctor);	 /* doctor-objects.c */
enum ipcu_result doctor_deadlock(struct doctor *doctor); /* doctor-deadlock.c */
enum ipcu_result doctor_queues(struct doctor *doctor);

#endif
