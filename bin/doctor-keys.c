/* SPDX-License-Identifier: MIT
 * doctor-keys.c - objects of others on the keys that ours should have
 *
 * A name goes to its next key when the first is taken, so nothing breaks; but whoever was told the first key, or
 * computes it, meets the other object.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "object.h"
#include "shm.h"

static const char *const family_kinds[] = { "queue", "semaphore", "memory" };

/* Whether a name of ours has the key: two names can begin with the same one. */
static bool is_named(const struct doctor *doctor, enum ipcu_family family, int id)
{
	for (size_t i = 0; i < doctor->object_count; i++) {
		const struct ipcu_info *info = &doctor->objects[i];
		const struct ipcu_kind_ops *ops = ipcu_kind_ops(info->kind);

		if (info->name && !info->gone && info->id == id && ops && ops->family == family)
			return true;
	}
	return false;
}

static void tell(struct doctor *doctor, const char *subject, enum ipcu_family family, key_t key,
		 const struct ipc_perm *perm)
{
	char advice[DOCTOR_TEXT];

	snprintf(
		advice, sizeof(advice),
		"nothing is broken; programs that were given the key must use the one that ipc-ls -o NAME,KEY shows, unless user %lu removes the %s",
		(unsigned long)perm->cuid, family_kinds[family]);
	doctor_advise(doctor, subject, advice,
		      "a %s of user %lu, made by another program, is on its key 0x%08x",
		      family_kinds[family], (unsigned long)perm->cuid, (unsigned)key);
}

/*
 * Whether, as it is now, a name of OWNER's has KEY after all, or NAME is on its way to it (shm-load.c): names go on
 * being made and loaded since the objects were listed.
 */
static bool is_named_by_now(uid_t owner, const char *name, key_t key)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	bool named;

	if (ipcu_registry_open(&registry, owner) != IPCU_OK)
		return true;
	named = ipcu_registry_has_key(&registry, key, IPCU_REGISTRY_NAME);
	if (strcmp(name, IPCU_REGISTRY_NAME) != 0 && !named)
		named = ipcu_registry_find(&registry, name, &record) != IPCU_OK ||
			(record.kind == IPCU_KIND_MEMORY &&
			 (key_t)ipcu_pair_low(record.definition[IPCU_SHM_OTHER]) == key);
	ipcu_registry_close(&registry);
	return named;
}

/* The keys of NAME before KEY, which is the one that its object has. */
static void examine_keys(struct doctor *doctor, const char *subject, uid_t owner, const char *name,
			 enum ipcu_family family, key_t key)
{
	for (unsigned i = 0; i < IPCU_CANDIDATES; i++) {
		key_t candidate = ipcu_name_derive(owner, name, i);
		struct ipc_perm perm;
		int id;

		if (candidate == key)
			return;
		id = ipcu_family_get(family, candidate);
		if (id >= 0 && ipcu_family_stat(family, id, &perm) == 0 &&
		    !is_named(doctor, family, id) && !is_named_by_now(owner, name, candidate))
			tell(doctor, subject, family, candidate, &perm);
	}
}

/* Of the registry itself: it is found behind them, but any of them could be the next one's. */
static void examine_registry(struct doctor *doctor, uid_t owner)
{
	struct ipcu_registry registry;
	struct shmid_ds state;
	key_t key = 0;

	if (ipcu_registry_open(&registry, owner) != IPCU_OK)
		return;
	if (registry.segment && ipcu_stat_segment(registry.id, &state) == 0)
		key = PERM_KEY(state.shm_perm);
	ipcu_registry_close(&registry);
	examine_keys(doctor, "registry of names", owner, IPCU_REGISTRY_NAME, IPCU_FAMILY_SEGMENT,
		     key);
}

enum ipcu_result doctor_keys(struct doctor *doctor)
{
	if (doctor->damaged)
		return IPCU_OK;
	examine_registry(doctor, geteuid());
	for (size_t i = 0; i < doctor->object_count; i++) {
		const struct ipcu_info *info = &doctor->objects[i];
		const struct ipcu_kind_ops *ops = ipcu_kind_ops(info->kind);
		char subject[DOCTOR_NAME];

		if (!info->name || !ops)
			continue;
		doctor_name(info, subject);
		examine_keys(doctor, subject, info->creator, info->name, ops->family,
			     info->gone ? 0 : info->key);
	}
	return IPCU_OK;
}
