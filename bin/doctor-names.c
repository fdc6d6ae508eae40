/* SPDX-License-Identifier: MIT
 * doctor-names.c - the registry of names, what it leads to, and what nothing leads to
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "damage.h"
#include "doctor.h"
#include "error.h"
#include "object.h"
#include "process.h"

/* ---- damage ------------------------------------------------------------------- */

struct patient {
	struct doctor *doctor;
	char subject[DOCTOR_NAME];
	size_t damages;
};

static void report(const char *what, bool repaired, void *context)
{
	struct patient *patient = context;

	patient->damages++;
	doctor_find(patient->doctor, patient->subject, repaired ? "" : "ipc-doctor --repair", "%s",
		    what);
}

/* Who is stopped with the lock keeps everybody from changing a name. */
static bool is_kept_locked(struct patient *patient, uid_t owner)
{
	pid_t holder = ipcu_registry_lock_holder(owner);
	char fix[64], process[DOCTOR_PROCESS];

	if (!holder || !doctor_stopped(holder))
		return false;
	snprintf(fix, sizeof(fix), "kill -CONT %d", (int)holder);
	doctor_find(patient->doctor, patient->subject, fix,
		    "process %s is stopped and has it locked: nobody can create or remove a name",
		    doctor_process(holder, process));
	return true;
}

/* Whether the rest of what is known by name can be believed. */
static bool examine_registry(struct doctor *doctor, uid_t owner, enum ipcu_result *result)
{
	struct patient patient = { .doctor = doctor };

	if (owner == geteuid())
		snprintf(patient.subject, sizeof(patient.subject), "registry of names");
	else
		snprintf(patient.subject, sizeof(patient.subject), "registry of names of user %lu",
			 (unsigned long)owner);
	if (is_kept_locked(&patient, owner))
		return false;
	*result = ipcu_registry_examine(owner, doctor->repair, report, &patient);
	if (*result == IPCU_SYSTEM && !ipcu_last_error()->errnum) {
		const struct ipcu_error *error = ipcu_last_error();

		/* The registry of another user is repaired by a command, a newer version by nothing. */
		if (strncmp(error->hint, "setpriv ", 8) == 0)
			doctor_find(doctor, patient.subject, error->hint, "%s", error->message);
		else
			doctor_advise(doctor, patient.subject, error->hint, "%s", error->message);
		*result = IPCU_OK;
		return false;
	}
	return *result == IPCU_OK && (patient.damages == 0 || doctor->repair);
}

struct owners {
	uid_t *items;
	size_t count;
};

/* Root looks at everybody's: who has a registry? */
static void find_owners(struct owners *owners)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

	for (int slot = 0; slot <= last; slot++) {
		struct shmid_ds state = { 0 }; /* for valgrind, which does not know SHM_STAT_ANY */
		uid_t *items;

		if (shmctl(slot, SHM_STAT_ANY, &state) < 0 || state.shm_perm.cuid == geteuid() ||
		    !ipcu_registry_is_key(state.shm_perm.cuid, PERM_KEY(state.shm_perm), false))
			continue;
		items = realloc(owners->items, (owners->count + 1) * sizeof(*items));
		if (!items)
			return;
		owners->items = items;
		owners->items[owners->count++] = state.shm_perm.cuid;
	}
}

enum ipcu_result doctor_registry(struct doctor *doctor)
{
	struct owners owners = { 0 };
	enum ipcu_result result = IPCU_OK, one;

	doctor->damaged = !examine_registry(doctor, geteuid(), &result);
	if (geteuid() == 0)
		find_owners(&owners);
	for (size_t i = 0; i < owners.count; i++) {
		one = IPCU_OK;
		examine_registry(doctor, owners.items[i], &one);
		result = one == IPCU_OK ? result : one;
	}
	free(owners.items);
	return result;
}

/* ---- what nobody can reach ------------------------------------------------------ */

static int64_t seconds_of(int64_t nanoseconds)
{
	return nanoseconds / 1000000000 + (nanoseconds % 1000000000 != 0);
}

/* "queue q1: the object is gone", "big message of queue 5, 100000 bytes" */
static void report_stale(const char *what, void *context)
{
	struct doctor *doctor = context;
	const char *why = strstr(what, ": ");
	char subject[DOCTOR_NAME * 2], fix[64] = "ipc-rm --stale";

	snprintf(subject, sizeof(subject), "%.*s", why ? (int)(why - what) : (int)strlen(what),
		 what);
	if (seconds_of(doctor->older_than) < 60)
		snprintf(fix, sizeof(fix), "ipc-rm --stale --older-than=%llds",
			 (long long)seconds_of(doctor->older_than));
	doctor_find(doctor, subject, fix, "%s", why ? why + 2 : "nobody can reach it any more");
}

static bool is_old(const struct doctor *doctor, const struct ipcu_info *info)
{
	int64_t touched = info->changed;

	touched = info->attach_time > touched ? info->attach_time : touched;
	touched = info->detach_time > touched ? info->detach_time : touched;
	return time(NULL) - touched >= seconds_of(doctor->older_than);
}

struct user_list {
	char text[DOCTOR_TEXT / 2];
	size_t count;
};

static void add_user(const struct ipcu_user *user, void *context)
{
	struct user_list *list = context;
	size_t text = strlen(list->text);

	list->count++;
	if (text < sizeof(list->text) - 60)
		snprintf(list->text + text, sizeof(list->text) - text, "%s%d (%.40s)",
			 text ? ", " : "", (int)user->pid, user->command);
}

/* Of another PID namespace, the kernel gives no number: it may live. */
static bool has_ended(pid_t pid)
{
	return pid > 0 && !ipcu_process_lives(pid, 0);
}

/*
 * A segment without a key: who made it, or was told its identifier, is all who can reach it. To remove it as soon as it is
 * attached is a custom of programs (those that draw with X11 do), so one whose maker lives is well.
 */
static void examine_segment(struct doctor *doctor, const struct ipcu_info *info)
{
	struct user_list users = { .text = "" };
	char advice[DOCTOR_TEXT], subject[64];

	if (info->kind != IPCU_KIND_MEMORY || info->name || info->key || !is_old(doctor, info) ||
	    !has_ended(info->creator_pid))
		return;
	snprintf(subject, sizeof(subject), "memory id:%d", info->id);
	if (info->removed) {
		ipcu_users(info->kind, info->id, add_user, &users);
		if (users.count)
			doctor_advise(
				doctor, subject,
				"end the processes that have it attached if they are no longer needed",
				"it was removed and who made it has ended, but %llu bytes stay until it is detached by %s",
				(unsigned long long)info->size, users.text);
		return;
	}
	snprintf(advice, sizeof(advice),
		 "if no program was given the identifier, ipc-rm -k memory id:%d removes it",
		 info->id);
	if (info->attached == 0 && (info->attach_time == 0 || has_ended(info->last_pid)))
		doctor_advise(
			doctor, subject, advice,
			"it has no key, nobody has its %llu bytes attached, and who made it has ended",
			(unsigned long long)info->size);
}

/* An object of ipcutils that no registry lists: it is in order, and its name still leads to it. */
static void examine_nameless(struct doctor *doctor, const struct ipcu_info *info)
{
	char name[DOCTOR_NAME];

	if (!info->nameless)
		return;
	doctor_name(info, name);
	doctor_advise(
		doctor, name, "use its name again, which lists it",
		"it is %s of ipcutils whose name is not listed any more, because the registry was removed",
		ipcu_kind_phrase(info->kind));
}

/* Root sees the names of others too; ipcu_remove_stale() knows the caller's. */
static void examine_name(struct doctor *doctor, const struct ipcu_info *info)
{
	char name[DOCTOR_NAME], fix[DOCTOR_TEXT];

	if (!info->name || info->creator == geteuid())
		return;
	doctor_name(info, name);
	/* As its owner: that looks again, with the lock, and removes nothing that has come back since. */
	snprintf(fix, sizeof(fix), "setpriv --reuid=%lu --clear-groups ipc-rm --stale",
		 (unsigned long)info->creator);
	if (info->gone)
		doctor_find(doctor, name, fix, "the %s is gone: another program removed it",
			    ipcu_kind_name(info->kind));
	else if (info->kind == IPCU_KIND_PIPE && info->ends == 0 && is_old(doctor, info))
		doctor_find(doctor, name, fix, "both its ends are gone");
}

enum ipcu_result doctor_unreachable(struct doctor *doctor)
{
	if (doctor->damaged)
		return IPCU_OK;
	for (size_t i = 0; i < doctor->object_count; i++) {
		examine_segment(doctor, &doctor->objects[i]);
		examine_nameless(doctor, &doctor->objects[i]);
		examine_name(doctor, &doctor->objects[i]);
	}
	return ipcu_remove_stale(seconds_of(doctor->older_than), IPCU_REMOVE_DRY_RUN, report_stale,
				 doctor);
}
