/* SPDX-License-Identifier: MIT
 * doctor-objects.c - holders that are stopped, queues that are full or only grow
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doctor.h"
#include "error.h"
#include "holder.h"
#include "object.h"
#include "sem.h"
#include "shm.h"

/* ---- holders -------------------------------------------------------------------- */

struct holding {
	struct doctor *doctor;
	const struct ipcu_info *info;
};

static void tell_stopped(const struct holding *holding, pid_t pid, const char *what)
{
	char name[DOCTOR_NAME], fix[64], process[DOCTOR_PROCESS];

	snprintf(fix, sizeof(fix), "kill -CONT %d", (int)pid);
	doctor_find(holding->doctor, doctor_name(holding->info, name), fix,
		    "process %s is stopped and %s", doctor_process(pid, process), what);
}

static void look_at_holder(const struct ipcu_holder *holder, void *context)
{
	char what[128];

	snprintf(what, sizeof(what), "holds %u of its units: who waits for them waits on",
		 holder->units);
	if (doctor_stopped(holder->pid))
		tell_stopped(context, holder->pid, what);
	snprintf(what, sizeof(what),
		 "keeps units for %d: they will not come back when that one ends",
		 (int)holder->pid);
	if (holder->keeper && doctor_stopped(holder->keeper))
		tell_stopped(context, holder->keeper, what);
}

static void look_at_semaphore(const struct holding *holding)
{
	pid_t first = ipcu_sem_first_waiter(holding->info->id);

	ipcu_holders_list(holding->info->id, look_at_holder, (void *)holding, NULL);
	if (first && doctor_stopped(first))
		tell_stopped(holding, first,
			     "is first in its wait queue: the processes after it wait");
}

static void look_at_memory(const struct holding *holding)
{
	unsigned waiting;
	pid_t holder = ipcu_shm_lock_holder(holding->info->definition[IPCU_SHM_LOCK],
					    holding->info->creator, &waiting);

	if (holder && doctor_stopped(holder))
		tell_stopped(holding, holder, "holds its lock: who waits for it waits on");
}

static void look_at_end(const struct ipcu_user *user, void *context)
{
	if (doctor_stopped(user->pid))
		tell_stopped(context, user->pid, "is one of its ends: the other one waits on");
}

enum ipcu_result doctor_holders(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->object_count; i++) {
		struct holding holding = { doctor, &doctor->objects[i] };

		if (!holding.info->name || holding.info->gone)
			continue;
		if (holding.info->kind == IPCU_KIND_SEMAPHORE)
			look_at_semaphore(&holding);
		else if (holding.info->kind == IPCU_KIND_MEMORY)
			look_at_memory(&holding);
		else if (holding.info->kind == IPCU_KIND_PIPE)
			ipcu_users(IPCU_KIND_PIPE, holding.info->id, look_at_end, &holding);
	}
	return IPCU_OK;
}

/* ---- queues --------------------------------------------------------------------- */

#define SAMPLES 4
#define NEAR 80 /* per cent */

struct sample {
	const struct ipcu_info *info;
	uint64_t first, last; /* messages */
	uint64_t bytes, bytes_max;
	time_t received;
	pid_t receiver;
	bool only_grew;
	int growths; /* in how many parts of the interval */
};

/* To receive from it here would take messages from the program that they are for. */
#define RECEIVER_ADVICE \
	"start the program that receives from it, or find out why it does not run; ipc-ls -a -o +USE shows the users of a queue"

/*
 * A message is one of at most as many as there may be bytes (msgsnd(2)). What has returned to a second queue takes no room in
 * this one.
 */
static void look_at_room(struct doctor *doctor, const struct sample *sample)
{
	char name[DOCTOR_NAME];

	if (sample->bytes * 100 < sample->bytes_max * NEAR &&
	    sample->first * 100 < sample->bytes_max * NEAR)
		return;
	doctor_advise(
		doctor, doctor_name(sample->info, name), RECEIVER_ADVICE,
		"%llu messages with %llu bytes are in it, and it holds %llu (kernel.msgmnb, when it was made): senders will wait",
		(unsigned long long)sample->first, (unsigned long long)sample->bytes,
		(unsigned long long)sample->bytes_max);
}

/* False if it is gone. */
static bool measure(struct sample *sample)
{
	struct msqid_ds state;

	if (ipcu_stat_queue(sample->info->id, &state) < 0)
		return false;
	if (state.msg_qnum < sample->last || state.msg_rtime != sample->received ||
	    state.msg_lrpid != sample->receiver)
		sample->only_grew = false;
	sample->growths += state.msg_qnum > sample->last;
	sample->last = state.msg_qnum;
	sample->bytes = state.__msg_cbytes;
	return true;
}

/*
 * The queues that programs use: the second queue of one, for messages that return, has no senders that wait. Times have whole
 * seconds: where one was received in this one, the next would not be noticed.
 */
static struct sample *start(struct doctor *doctor, size_t *count)
{
	struct sample *samples = calloc(doctor->object_count + 1, sizeof(*samples));
	time_t now = time(NULL);

	*count = 0;
	for (size_t i = 0; samples && i < doctor->object_count; i++) {
		const struct ipcu_info *info = &doctor->objects[i];
		struct msqid_ds state;

		if (info->kind != IPCU_KIND_QUEUE || info->gone || info->internal ||
		    ipcu_stat_queue(info->id, &state) < 0)
			continue;
		samples[(*count)++] = (struct sample){ .info = info,
						       .first = state.msg_qnum,
						       .last = state.msg_qnum,
						       .bytes = state.__msg_cbytes,
						       .bytes_max = state.msg_qbytes,
						       .received = state.msg_rtime,
						       .receiver = state.msg_lrpid,
						       .only_grew = state.msg_rtime < now };
	}
	return samples;
}

static void tell_growth(struct doctor *doctor, const struct sample *sample)
{
	char name[DOCTOR_NAME];

	/* Once is just what a queue is for. */
	if (!sample->only_grew || sample->growths < 2)
		return;
	doctor_advise(doctor, doctor_name(sample->info, name), RECEIVER_ADVICE,
		      "it only grows: from %llu to %llu messages in %.3gs, and nobody received one",
		      (unsigned long long)sample->first, (unsigned long long)sample->last,
		      (double)doctor->interval / 1e9);
}

enum ipcu_result doctor_queues(struct doctor *doctor)
{
	struct timespec pause = { (time_t)(doctor->interval / SAMPLES / 1000000000),
				  (long)(doctor->interval / SAMPLES % 1000000000) };
	size_t count;
	struct sample *samples = start(doctor, &count);

	if (!samples)
		return ipcu_fail_call("malloc", ENOMEM, "cannot watch queues");
	for (size_t i = 0; i < count; i++)
		look_at_room(doctor, &samples[i]);
	for (int round = 0; round < SAMPLES && count && doctor->interval; round++) {
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		for (size_t i = 0; i < count; i++)
			samples[i].only_grew &= measure(&samples[i]);
	}
	for (size_t i = 0; i < count && doctor->interval; i++)
		tell_growth(doctor, &samples[i]);
	free(samples);
	return IPCU_OK;
}
