/* SPDX-License-Identifier: MIT
 * cli-users.c - the processes that use an object
 *
 * Holders are in our own tables; who sleeps in a call on an object, or has it attached, is looked up in /proc once for
 * the whole table, for a look at all processes costs more than a look at all objects.
 */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

#include "cli-users.h"
#include "holder.h"
#include "object.h"
#include "shm.h"
#include "users.h"

struct cli_users {
	struct ipcu_usage *items;
	size_t count, capacity;
	bool failed;
};

static void collect(const struct ipcu_usage *usage, void *context)
{
	struct cli_users *users = context;

	if (users->count == users->capacity) {
		size_t capacity = users->capacity ? users->capacity * 2 : 64;
		void *items = realloc(users->items, capacity * sizeof(*users->items));

		if (!items) {
			users->failed = true;
			return;
		}
		users->items = items;
		users->capacity = capacity;
	}
	users->items[users->count++] = *usage;
}

struct cli_users *cli_users_new(void)
{
	struct cli_users *users = calloc(1, sizeof(*users));

	if (!users)
		return NULL;
	ipcu_usage_each(1 << IPCU_FAMILY_QUEUE | 1 << IPCU_FAMILY_SET | 1 << IPCU_FAMILY_SEGMENT,
			collect, users);
	if (!users->failed)
		return users;
	cli_users_free(users);
	return NULL;
}

void cli_users_free(struct cli_users *users)
{
	if (users)
		free(users->items);
	free(users);
}

/* ---- of one object -------------------------------------------------------- */

static bool add(struct cli_uses *uses, pid_t pid, const char *how)
{
	if (uses->count == uses->capacity) {
		size_t capacity = uses->capacity ? uses->capacity * 2 : 16;
		void *items = realloc(uses->items, capacity * sizeof(*uses->items));

		if (!items)
			return false;
		uses->items = items;
		uses->capacity = capacity;
	}
	uses->items[uses->count].pid = pid;
	uses->items[uses->count++].how = how;
	return true;
}

static bool add_usages(const struct cli_users *users, enum ipcu_family family, int id,
		       struct cli_uses *uses)
{
	for (size_t i = 0; i < users->count; i++)
		if (users->items[i].family == family && users->items[i].id == id &&
		    !add(uses, users->items[i].pid, users->items[i].how))
			return false;
	return true;
}

struct holders {
	struct cli_uses *uses;
	bool good;
};

static void add_holder(const struct ipcu_holder *holder, void *context)
{
	struct holders *holders = context;

	holders->good &= add(holders->uses, holder->pid, "holds");
}

/* Those who have units of a named semaphore. */
static bool add_holders(const struct ipcu_info *info, struct cli_uses *uses)
{
	struct holders holders = { uses, true };

	ipcu_holders_list(info->id, add_holder, &holders, NULL);
	return holders.good;
}

/* The one who has the lock of a memory, and those who wait for it. */
static bool add_lock(const struct cli_users *users, const struct ipcu_info *info,
		     struct cli_uses *uses)
{
	unsigned waiting;
	pid_t holder =
		ipcu_shm_lock_holder(info->definition[IPCU_SHM_LOCK], info->creator, &waiting);
	int set = ipcu_shm_lock_set(info->definition[IPCU_SHM_LOCK], info->creator);

	return (holder <= 0 || add(uses, holder, "holds")) &&
	       (set < 0 || add_usages(users, IPCU_FAMILY_SET, set, uses));
}

static enum ipcu_family family_of(const struct ipcu_info *info)
{
	const struct ipcu_kind_ops *ops = ipcu_kind_ops(info->kind);

	return ops ? ops->family : IPCU_FAMILY_SEGMENT;
}

bool cli_users_of(const struct cli_users *users, const struct ipcu_info *info,
		  struct cli_uses *uses)
{
	uses->count = 0;
	if (info->gone)
		return true;
	if (info->name && info->kind == IPCU_KIND_SEMAPHORE && !add_holders(info, uses))
		return false;
	if (info->name && info->kind == IPCU_KIND_MEMORY && !add_lock(users, info, uses))
		return false;
	return add_usages(users, family_of(info), info->id, uses);
}

/* Of a set of another program: those who wait for more of any member, and those who wait for zero. */
static int64_t raw_waiters(const struct ipcu_info *info)
{
	int64_t waiters = 0;

	for (uint64_t i = 0; i < info->semaphores; i++) {
		int more = semctl(info->id, (int)i, GETNCNT),
		    zero = semctl(info->id, (int)i, GETZCNT);

		if (more < 0 || zero < 0)
			return -1;
		waiters += more + zero;
	}
	return waiters;
}

int64_t cli_users_waiting(const struct ipcu_info *info, const struct cli_uses *uses)
{
	unsigned waiting;

	if (info->gone)
		return -1;
	switch (info->kind) {
	case IPCU_KIND_SEMAPHORE:
		return info->name ? info->waiters : raw_waiters(info);
	case IPCU_KIND_BARRIER:
	case IPCU_KIND_EVENT:
		return (int64_t)info->waiting;
	case IPCU_KIND_MEMORY:
		if (info->name)
			ipcu_shm_lock_holder(info->definition[IPCU_SHM_LOCK], info->creator,
					     &waiting);
		return info->name ? (int64_t)waiting : 0;
	case IPCU_KIND_QUEUE: /* the kernel does not tell: those that we see */
		return (int64_t)uses->count;
	default:
		return -1;
	}
}
