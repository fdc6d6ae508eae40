/* SPDX-License-Identifier: MIT
 * purpose.c - what an object without a listed name is for
 *
 * The bookkeeping of ipcutils is found by its keys, and objects whose name no registry lists any more by the identity in
 * their sets. An identity holds a hash of the name, not the name: the object is listed again when its name is used.
 */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "holder.h"
#include "identity.h"
#include "purpose.h"
#include "returned.h"
#include "shm.h"

#define REGISTRY "registry of names"
#define LOCK "lock of a registry of names"
#define BODY "body of a big message"
#define STAGED "memory that is being loaded"
#define HOLDERS "holders of semaphores"
#define RETURNED "messages returned to a full queue"

enum ipcu_family ipcu_family_of_kind(enum ipcu_kind kind)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops(kind);

	return ops ? ops->family : IPCU_FAMILY_QUEUE;
}

/* ---- recognising --------------------------------------------------------- */

static void be_internal(struct ipcu_info *info, const char *purpose)
{
	info->internal = true;
	info->purpose = purpose;
}

/* INFO is the object of RECORD, whose name is lost. */
static void be_nameless(struct ipcu_info *info, const struct ipcu_record *record)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops((enum ipcu_kind)record->kind);

	info->nameless = true;
	info->kind = ops->kind;
	memcpy(info->definition, record->definition, sizeof(info->definition));
	if (ops->describe)
		ops->describe(info);
}

static void recognise_set(struct ipcu_info *info)
{
	static const char *const purposes[2][2] = {
		{ "lock of memory that is gone", "lock of memory" },
		{ "ends of a pipe that is gone", "ends of a pipe" },
	};
	struct ipcu_proven proven;
	struct ipcu_record record;
	struct ipc_perm perm;
	enum ipcu_proof proof;

	if (ipcu_registry_is_key(info->owner, info->key, true)) {
		be_internal(info, LOCK);
		return;
	}
	proof = ipcu_prove_id(info->id, &record, &perm, &proven);
	if (proof != IPCU_PROOF_OBJECT && proof != IPCU_PROOF_SET)
		return;
	if (record.kind == IPCU_KIND_MEMORY || record.kind == IPCU_KIND_PIPE)
		be_internal(info,
			    purposes[record.kind == IPCU_KIND_PIPE][proof == IPCU_PROOF_OBJECT]);
	else if (proof == IPCU_PROOF_OBJECT)
		be_nameless(info, &record);
}

/* A segment on the key of a set that proves it to be memory or a pipe. */
static bool recognise_companion(struct ipcu_info *info)
{
	int set = ipcu_family_get(IPCU_FAMILY_SET, info->key);
	struct ipcu_proven proven;
	struct ipcu_record record;
	struct ipc_perm perm;

	if (set < 0 || ipcu_prove_id(set, &record, &perm, &proven) != IPCU_PROOF_OBJECT ||
	    ipcu_family_of_kind((enum ipcu_kind)record.kind) != IPCU_FAMILY_SEGMENT ||
	    record.id != info->id)
		return false;
	be_nameless(info, &record);
	return true;
}

static void recognise_segment(struct ipcu_info *info)
{
	if (ipcu_stage_key(info->key))
		be_internal(info, STAGED);
	else if (((uint32_t)info->key & IPCU_SPILL_MASK) == IPCU_SPILL_PREFIX)
		be_internal(info, BODY);
	else if (ipcu_registry_is_key(info->creator, info->key, false))
		be_internal(info, REGISTRY);
	else if (!recognise_companion(info) && ipcu_holders_internal(info->id))
		be_internal(info, HOLDERS);
}

static void recognise_queue(struct ipcu_info *info)
{
	struct msqid_ds state;

	if (ipcu_stat_queue(info->id, &state) == 0 && ipcu_returned_is(&state.msg_perm))
		be_internal(info, RETURNED);
}

void ipcu_recognise(struct ipcu_info *info, enum ipcu_family family)
{
	if (family == IPCU_FAMILY_QUEUE)
		recognise_queue(info);
	else if (family == IPCU_FAMILY_SET)
		recognise_set(info);
	else if (family == IPCU_FAMILY_SEGMENT)
		recognise_segment(info);
}

/* ---- what depends on an object ------------------------------------------- */

static enum ipcu_result refuse(const char *hint, const char *format, ...) IPCU_PRINTF(2, 3);

static enum ipcu_result refuse(const char *hint, const char *format, ...)
{
	char what[200];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	ipcu_fail(IPCU_CONFLICT, "%s", what);
	ipcu_hint("%s", hint);
	return IPCU_CONFLICT;
}

/* Find the listed name whose object or companion INFO is. */
static bool find_name(struct ipcu_registry *registry, const struct ipcu_info *info,
		      enum ipcu_family family, char name[IPCU_NAME_MAX + 1],
		      struct ipcu_record *record)
{
	struct ipcu_proven proven;
	struct ipcu_record now;
	struct ipc_perm perm;
	uint32_t cursor = 0;

	while (ipcu_registry_next(registry, &cursor, name, record))
		if (record->id == info->id && record->key == info->key &&
		    ipcu_family_of_kind((enum ipcu_kind)record->kind) == family)
			return true;
	return family == IPCU_FAMILY_SET &&
	       ipcu_prove_id(info->id, &now, &perm, &proven) >= IPCU_PROOF_SET &&
	       ipcu_find_hash(registry, proven.hash, name, record);
}

bool ipcu_listed_name(const struct ipcu_info *info, enum ipcu_family family,
		      char name[IPCU_NAME_MAX + 1], struct ipcu_record *record)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_registry registry;
	bool found = false;

	/* One that is corrupted, or of a different version, proves nothing. */
	if (ipcu_registry_open(&registry, info->creator) == IPCU_OK) {
		found = find_name(&registry, info, family, name, record);
		ipcu_registry_close(&registry);
	}
	ipcu_error_restore(&error);
	return found;
}

static enum ipcu_result check_name(const struct ipcu_info *info, enum ipcu_family family)
{
	char name[IPCU_NAME_MAX + 1], hint[IPCU_NAME_MAX + 64];
	struct ipcu_record record;

	if (!ipcu_listed_name(info, family, name, &record))
		return IPCU_OK;
	snprintf(hint, sizeof(hint), "remove it by its name: ipc-rm %lu/%s",
		 (unsigned long)info->creator, name);
	return refuse(hint, record.id == info->id ? "it is the %s %s" : "it belongs to the %s %s",
		      ipcu_kind_name((enum ipcu_kind)record.kind), name);
}

/* How many names the registry of OWNER lists. */
static unsigned count_names(uid_t owner)
{
	char name[IPCU_NAME_MAX + 1];
	struct ipcu_registry registry;
	struct ipcu_record record;
	uint32_t cursor = 0;
	unsigned names = 0;

	if (ipcu_registry_open(&registry, owner) != IPCU_OK)
		return 0;
	while (ipcu_registry_next(&registry, &cursor, name, &record))
		names++;
	ipcu_registry_close(&registry);
	return names;
}

/* What each purpose is for; the hint is the command that removes it where it is not needed. */
static enum ipcu_result refuse_purpose(const struct ipcu_info *info)
{
	static const struct {
		const char *purpose, *depends;
	} all[] = {
		{ LOCK, "processes that change the names of the user take it" },
		{ BODY, "its receiver would lose the message" },
		{ STAGED, "the data would be lost" },
		{ RETURNED, "they would be lost" },
		{ HOLDERS, "without it, holders are not shown and not found again" },
	};

	if (strcmp(info->purpose, REGISTRY) == 0)
		return refuse("ipc-rm --stale removes it once it lists no name",
			      "it is the registry of user %lu, which lists %u names",
			      (unsigned long)info->creator, count_names(info->creator));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(info->purpose, all[i].purpose) == 0)
			return refuse("ipc-rm --stale removes what is not needed any more",
				      "it is the %s: %s", info->purpose, all[i].depends);
	return refuse("ipc-rm --stale removes what is not needed any more", "it is the %s",
		      info->purpose);
}

enum ipcu_result ipcu_check_dependents(const struct ipcu_info *info, enum ipcu_family family)
{
	enum ipcu_result result = check_name(info, family);

	if (result != IPCU_OK)
		return result;
	if (info->internal)
		return refuse_purpose(info);
	if (info->nameless)
		return refuse("any use of its name lists it again",
			      "it is %s of ipcutils whose name is not listed any more",
			      ipcu_kind_phrase(info->kind));
	return IPCU_OK;
}
