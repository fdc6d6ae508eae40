/* SPDX-License-Identifier: MIT
 * shm.h - the parts of shared memory
 */
#ifndef SHM_H
#define SHM_H

#include <stdatomic.h>

#include "object.h"

/* What a record's definition says of a segment. */
enum {
	IPCU_SHM_TYPE,	 /* enum ipcu_type */
	IPCU_SHM_LENGTH, /* bytes */
	IPCU_SHM_OTHER,	 /* shm-load.c: the key of another segment, and who made it, or 0 */
	IPCU_SHM_LOCK	 /* shm-lock.c: the key of the lock's set, and its identifier + 1, or 0 */
};

/* Two 32-bit numbers in one of a definition's. */
static inline uint64_t ipcu_pair(uint32_t low, uint32_t high)
{
	return (uint64_t)high << 32 | low;
}
static inline uint32_t ipcu_pair_low(uint64_t pair)
{
	return (uint32_t)pair;
}
static inline uint32_t ipcu_pair_high(uint64_t pair)
{
	return (uint32_t)(pair >> 32);
}

/*
 * In the last bytes of a segment's last page, behind its data, where they leave room: the kernel maps
 * whole pages, and so all who attach it share these too. Only of segments that have a NAME.
 */
struct ipcu_shm_tail {
	_Atomic uint32_t asleep;   /* 1: somebody sleeps, or did */
	_Atomic uint32_t sequence; /* counts wake-ups; what sleepers sleep on */
};

struct ipcu_shm {
	struct ipcu_object object;
	enum ipcu_type type;
	uint64_t count;
	size_t size; /* of the data */
	unsigned char *data;
	struct ipcu_shm_tail *tail; /* NULL: there is none */
	bool writable;
	bool wakes_always; /* some may sleep who could not say so */
	_Atomic uint64_t
		lock; /* what is known of definition[IPCU_SHM_LOCK]; a thread may learn more */
	char typed[]; /* the name as it was given */
};

/* IPCU_OK if there is a value at INDEX, and WRITING is allowed. */
enum ipcu_result ipcu_shm_check(ipcu_shm *shm, uint64_t index, bool writing);

/* Whether the segment is no longer the one its name or key leads to. */
bool ipcu_shm_gone(const ipcu_shm *shm);

/* Where the tail of a segment of SIZE bytes attached at DATA is, or NULL. */
struct ipcu_shm_tail *ipcu_shm_tail(void *data, size_t size);

/*
 * Bring SIZE bytes at DATA into this process's page table at once, which costs far less than a fault for each page. Where
 * the kernel cannot (before Linux 5.14), the faults come by themselves.
 */
void ipcu_shm_populate(void *data, size_t size, bool writing);
#define IPCU_POPULATE_CHUNK ((size_t)1 << 20) /* as much as stays in a cache until it is used */

/* Wake all who may wait for anything in it. */
void ipcu_shm_wake_all(ipcu_shm *shm);

/* shm-load.c */

/* Keys of segments that are being filled: the upper half of the big messages' range. */
#define IPCU_STAGE_PREFIX 0x1bc80000u
#define IPCU_STAGE_MASK 0xfff80000u
static inline bool ipcu_stage_key(key_t key)
{
	return ((uint32_t)key & IPCU_STAGE_MASK) == IPCU_STAGE_PREFIX;
}

/*
 * With the lock: end what a killed ipcu_shm_publish() of NAME began. *RECORD is its record, and brought up to
 * date. False, and nothing to do, if there was none. DRY_RUN only looks.
 */
bool ipcu_shm_settle(struct ipcu_registry *registry, const char *name, struct ipcu_record *record,
		     bool dry_run);

/* Remove the other segment that RECORD of OWNER's names, if it is his. */
void ipcu_shm_other_remove(const struct ipcu_record *record, uid_t owner);

/* Whether segment INFO was being filled by a process that is gone. */
bool ipcu_stage_stale(const struct ipcu_info *info);

/* shm-lock.c */

/* With the lock of the registry: make the lock's set on the first key of NAME that is free, for who PERM lets in. */
enum ipcu_result ipcu_shm_lock_add(struct ipcu_registry *registry, const char *name,
				   struct ipcu_record *record, const struct ipc_perm *perm);

/* Make the lock's set, if there is none yet. Only the owner of the name can. */
enum ipcu_result ipcu_shm_lock_make(ipcu_shm *shm);
/*
 * LOCK is what a definition of OWNER's says of it, and may be a lie: the identifier of the set it leads to, or -1 if that
 * is not the owner's.
 */
int ipcu_shm_lock_set(uint64_t lock, uid_t owner);

/* Who holds it, 0 nobody; *WAITING how many wait for it. */
pid_t ipcu_shm_lock_holder(uint64_t lock, uid_t owner, unsigned *waiting);
void ipcu_shm_lock_remove(uint64_t lock, uid_t owner);

#endif
