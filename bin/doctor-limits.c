/* SPDX-License-Identifier: MIT
 * doctor-limits.c - the kernel's limits: near full, or too small
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "registry-layout.h"

#define NEAR 80		  /* per cent */
#define OBJECTS_MAX 32768 /* of a kind, for any kernel that was not started with ipcmni_extend */
#define MESSAGE_WISE \
	((uint64_t)1 << 20) /* bodies up to this size are better off in the queue itself */

struct limits {
	struct doctor *doctor;
	struct ipcu_limit all[32];
	size_t count;
	uint64_t sem[4]; /* kernel.sem as it should be */
};

static const struct ipcu_limit *find(const struct limits *limits, const char *name)
{
	static const struct ipcu_limit none;

	for (size_t i = 0; i < limits->count; i++)
		if (strcmp(limits->all[i].name, name) == 0)
			return &limits->all[i];
	return &none;
}

/* Which of the four numbers of kernel.sem a limit is, or -1. */
static int place_in_sem(const char *name)
{
	static const char *const names[] = { "SEMMSL", "SEMMNS", "SEMOPM", "SEMMNI" };

	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

/* That it is set to VALUE mends what MESSAGE tells. */
static void tell(struct limits *limits, const struct ipcu_limit *limit, uint64_t value,
		 const char *message)
{
	const uint64_t *sem = limits->sem;
	char fix[DOCTOR_TEXT];

	if (place_in_sem(limit->name) >= 0) {
		snprintf(fix, sizeof(fix), "sysctl -w kernel.sem='%llu %llu %llu %llu'",
			 (unsigned long long)sem[0], (unsigned long long)sem[1],
			 (unsigned long long)sem[2], (unsigned long long)sem[3]);
		doctor_find(limits->doctor, "kernel.sem", fix, "%s", message);
		return;
	}
	snprintf(fix, sizeof(fix), "sysctl -w %s=%llu", limit->sysctl, (unsigned long long)value);
	doctor_find(limits->doctor, limit->sysctl, fix, "%s", message);
}

/* ---- near full -------------------------------------------------------------- */

static bool is_near(const struct ipcu_limit *limit)
{
	return limit->has_used && (double)limit->used * 100 >= (double)limit->limit * NEAR;
}

static uint64_t twice(const struct ipcu_limit *limit)
{
	uint64_t value = limit->limit < 16 ? 32 : limit->limit * 2;
	bool objects = strcmp(limit->unit, "objects") == 0;

	return objects && limit->limit < OBJECTS_MAX && value > OBJECTS_MAX ? OBJECTS_MAX : value;
}

static void examine_use(struct limits *limits, const struct ipcu_limit *limit)
{
	char message[DOCTOR_TEXT];

	if (!is_near(limit))
		return;
	if (strcmp(limit->unit, "objects") == 0 && limit->limit >= OBJECTS_MAX) {
		doctor_find(limits->doctor, limit->name,
			    "ipc-rm --stale; ipc-ls -a -o +AGE,USE,COMMAND",
			    "%llu of %llu %s are used, and more the kernel does not allow",
			    (unsigned long long)limit->used, (unsigned long long)limit->limit,
			    limit->description);
		return;
	}
	snprintf(message, sizeof(message),
		 "%llu of %llu %s are used (%s): new ones will be refused",
		 (unsigned long long)limit->used, (unsigned long long)limit->limit,
		 strcmp(limit->unit, "pages") == 0 ? "pages" : limit->description, limit->name);
	tell(limits, limit, twice(limit), message);
}

/* ---- too small -------------------------------------------------------------- */

struct need {
	const char *limit;
	uint64_t least, value; /* VALUE is the kernel's own */
	const char *what;
};

static const struct need *needs(size_t *count)
{
	static struct need all[] = {
		{ "MSGMAX", 64, 8192, "the descriptor of a big message" },
		{ "MSGMNB", 64, 16384, "the descriptor of a big message" },
		{ "SEMMSL", 64, 32000, "barriers and events" },
		{ "SEMOPM", 24, 500, "the steps of a barrier" },
		{ "SHMMAX", sizeof(struct registry_segment), UINT64_C(18446744073692774399),
		  "the registry of names" },
		{ "SHMALL", 0, UINT64_C(18446744073692774399), "the registry of names" },
	};

	all[5].least = sizeof(struct registry_segment) / (uint64_t)sysconf(_SC_PAGESIZE);
	*count = sizeof(all) / sizeof(all[0]);
	return all;
}

static void examine_needs(struct limits *limits)
{
	size_t count;
	const struct need *all = needs(&count);

	for (size_t i = 0; i < count; i++) {
		const struct ipcu_limit *limit = find(limits, all[i].limit);
		char message[DOCTOR_TEXT];

		if (limit->limit >= all[i].least)
			continue;
		snprintf(message, sizeof(message), "%llu %s are too few (%s): at least %llu for %s",
			 (unsigned long long)limit->limit, limit->unit, limit->name,
			 (unsigned long long)all[i].least, all[i].what);
		tell(limits, limit, all[i].value, message);
	}
}

/* msgsnd(2) waits for ever for room that there cannot be. */
static void examine_queue_size(struct limits *limits)
{
	const struct ipcu_limit *message = find(limits, "MSGMAX"), *queue = find(limits, "MSGMNB");
	char text[DOCTOR_TEXT];

	if (queue->limit >= message->limit || queue->limit < 64)
		return;
	snprintf(
		text, sizeof(text),
		"a new queue holds %llu bytes, less than one message may have (kernel.msgmax, %llu): who sends one to it waits for ever",
		(unsigned long long)queue->limit, (unsigned long long)message->limit);
	tell(limits, queue, message->limit * 2, text);
}

/* Bodies that are too big for the queue take a segment each, of which there are only so many. */
static void examine_big_messages(struct limits *limits)
{
	const struct ipcu_limit *segments = find(limits, "SHMMNI"),
				*message = find(limits, "MSGMAX");
	uint64_t count = 0, largest = 0, wise = 8192;
	char fix[DOCTOR_TEXT];

	for (size_t i = 0; i < limits->doctor->object_count; i++) {
		const struct ipcu_info *info = &limits->doctor->objects[i];

		if (!info->purpose || strcmp(info->purpose, "body of a big message") != 0 ||
		    info->size > MESSAGE_WISE)
			continue;
		count++;
		largest = info->size > largest ? info->size : largest;
	}
	if (count == 0 || count * 10 < segments->limit)
		return;
	while (wise < largest)
		wise *= 2;
	snprintf(fix, sizeof(fix), "sysctl -w kernel.msgmax=%llu kernel.msgmnb=%llu",
		 (unsigned long long)wise, (unsigned long long)wise * 16);
	doctor_find(
		limits->doctor, "kernel.msgmax", fix,
		"%llu queued messages are over its %llu bytes, or their queue's, and take one of %llu segments each",
		(unsigned long long)count, (unsigned long long)message->limit,
		(unsigned long long)segments->limit);
}

/* kernel.sem has one command for its four numbers: it raises all that need it. */
static void want_sem(struct limits *limits)
{
	size_t count;
	const struct need *all = needs(&count);

	for (size_t i = 0; i < limits->count; i++) {
		const struct ipcu_limit *limit = &limits->all[i];
		int place = place_in_sem(limit->name);

		if (place < 0)
			continue;
		limits->sem[place] = is_near(limit) ? twice(limit) : limit->limit;
		for (size_t j = 0; j < count; j++)
			if (strcmp(all[j].limit, limit->name) == 0 && limit->limit < all[j].least)
				limits->sem[place] = all[j].value;
	}
}

enum ipcu_result doctor_limits(struct doctor *doctor)
{
	struct limits limits = { .doctor = doctor };
	enum ipcu_result result = ipcu_limits(limits.all, 32, &limits.count);

	if (result != IPCU_OK)
		return result;
	want_sem(&limits);
	for (size_t i = 0; i < limits.count; i++)
		examine_use(&limits, &limits.all[i]);
	examine_needs(&limits);
	examine_queue_size(&limits);
	examine_big_messages(&limits);
	return IPCU_OK;
}
