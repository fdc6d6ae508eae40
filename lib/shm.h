/* SPDX-License-Identifier: MIT
 * shm.h - the parts of shared memory
 */
#ifndef SHM_H
#define SHM_H

#include <stdatomic.h>

#include "identity.h"
#include "object.h"

/* What the definition of a record holds for a segment. */
enum {
	IPCU_SHM_TYPE,	 /* enum ipcu_type */
	IPCU_SHM_LENGTH, /* bytes */
	IPCU_SHM_OTHER, /* shm-home.c: the home key, and the identifier + 1 of a second segment, or 0 */
	IPCU_SHM_LOCK /* shm-lock.c: the key of the set, and its identifier + 1 */
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

/* Segments of no bytes do not exist. */
static inline size_t ipcu_segment_size(uint64_t length)
{
	return length ? (size_t)length : 1;
}

/*
 * What waiters sleep on: in the last bytes of the last page of a named segment, after its data, where they leave room.
 * The kernel maps whole pages, so all processes that attach the segment share these bytes. A staged segment has it in
 * its control page.
 */
struct ipcu_shm_tail {
	_Atomic uint32_t asleep;   /* 1: a process sleeps, or did */
	_Atomic uint32_t sequence; /* counts wake-ups; what sleepers sleep on */
};

struct ipcu_shm {
	struct ipcu_object object;
	enum ipcu_type type;
	uint64_t count;
	size_t size; /* of the data */
	unsigned char *data;
	struct ipcu_shm_tail *tail; /* NULL: there is none */
	struct ipcu_shm_control
		*control; /* of a staged segment; NULL: this is the one on the home key */
	_Atomic bool
		open_for_change; /* no return can copy the segment while this handle is attached */
	bool moves;  /* the data may leave this segment although the handle is attached */
	bool yields; /* ipcu_shm_wait() may detach it */
	bool writable;
	bool wakes_always;     /* users may sleep who could not say so */
	_Atomic uint64_t lock; /* definition[IPCU_SHM_LOCK]; a thread may learn more */
	char typed[];	       /* the name as it was given */
};

/* IPCU_OK if there is a value at INDEX, and WRITING is allowed. */
enum ipcu_result ipcu_shm_check(ipcu_shm *shm, uint64_t index, bool writing);

/* Return true if the segment is no longer the one its name or key leads to. */
bool ipcu_shm_gone(const ipcu_shm *shm);

/* Where the tail of a segment of SIZE bytes attached at DATA is, or NULL. */
struct ipcu_shm_tail *ipcu_shm_tail(void *data, size_t size);

/*
 * Bring SIZE bytes at DATA into this process's page table at once, which costs far less than a fault for each page. Where
 * the kernel cannot (before Linux 5.14), the faults come by themselves.
 */
void ipcu_shm_populate(void *data, size_t size, bool writing);
#define IPCU_POPULATE_CHUNK ((size_t)1 << 20) /* as much as stays in a cache until it is used */

/* Wake all processes that may wait for anything in it. */
void ipcu_shm_wake_all(ipcu_shm *shm);

/* The data and its size, for a caller that only reads: a return to the home key goes on. */
const void *ipcu_shm_peek(const ipcu_shm *shm, size_t *size);

/* Allow ipcu_shm_wait() to detach SHM, which the caller uses for nothing else. */
void ipcu_shm_let_go(ipcu_shm *shm);

/* shm-stage.c */

/* Keys of staged segments: the upper half of the range of message bodies. */
#define IPCU_STAGE_PREFIX 0x1bc80000u
#define IPCU_STAGE_MASK 0xfff80000u
static inline bool ipcu_stage_key(key_t key)
{
	return ((uint32_t)key & IPCU_STAGE_MASK) == IPCU_STAGE_PREFIX;
}

/* What a process does with a staged segment. */
enum ipcu_phase {
	IPCU_STAGE_OPEN,   /* it holds the data; processes read and write there */
	IPCU_STAGE_FROZEN, /* it holds the data; a process copies them to the home key */
	IPCU_STAGE_COMMIT, /* the same; that process checks that no other is attached */
	IPCU_STAGE_MOVED   /* the copy holds the data */
};

/*
 * The last page of a staged segment. Any process that may write the segment may write this page: a word is read once,
 * and what it names is verified.
 */
struct ipcu_shm_control {
	_Atomic uint64_t magic;
	_Atomic uint64_t state; /* phase, generation and process: shm-stage.c */
	_Atomic uint64_t
		copy; /* the copy on the home key: generation, and its maker or identifier */
	_Atomic uint64_t progress; /* grows while the copy is filled */
	_Atomic uint64_t
		cancelled; /* when a writer last ended a return: CLOCK_MONOTONIC, nanoseconds */
	struct ipcu_shm_tail tail;
};

/* A state of the control page, taken apart. */
struct ipcu_stage_state {
	enum ipcu_phase phase;
	uint32_t generation; /* of the return; 30 bits */
	pid_t pid;	     /* that returns it */
};
struct ipcu_stage_state ipcu_stage_load(struct ipcu_shm_control *control, uint64_t *word);

static inline bool ipcu_stage_moved(struct ipcu_shm_control *control)
{
	uint64_t word;

	return ipcu_stage_load(control, &word).phase == IPCU_STAGE_MOVED;
}

/* Replace the state WORD, which was read, by STATE. False: it has changed. */
bool ipcu_stage_change(struct ipcu_shm_control *control, uint64_t *word,
		       struct ipcu_stage_state state);

/* The control page of a segment of SIZE bytes attached at DATA, of which LENGTH are the data; NULL: it has none. */
struct ipcu_shm_control *ipcu_stage_control(void *data, size_t size, uint64_t length);

/*
 * Make sure that no return copies the segment while this process is attached, so that changes stay. A return that makes
 * progress is waited for, a tenth of a second at most; any other is cancelled. IPCU_NOT_FOUND: the data have moved.
 */
enum ipcu_result ipcu_stage_hold(struct ipcu_shm_control *control);

/* Sleep a moment, which grows with each call from a quarter of a millisecond up to LIMIT nanoseconds. */
void ipcu_stage_nap(int64_t *nap, int64_t limit);

/* The owner, group and mode that LIKE has, and only these bits of it. */
bool ipcu_segment_set_perm(int id, const struct ipc_perm *like, unsigned mode);

/* Return true if segment INFO was being filled by a process that has ended, and no name leads to it. */
bool ipcu_stage_stale(const struct ipcu_info *info);

/* shm-home.c */

/*
 * Copy the data of staged segment ID, attached at DATA by this call's caller and by no other process, to KEY, the home
 * key of OBJECT, and make its record lead there. Returns true if the record has changed. The caller is the owner.
 */
bool ipcu_shm_bring_home(const struct ipcu_object *object, int id, unsigned char *data,
			 size_t size);

/* The same for a process that has the segment of OBJECT not attached. */
bool ipcu_shm_return(const struct ipcu_object *object);

/* The segment that holds the data of OBJECT, whose staged segment with CONTROL says that they have moved; -1: none. */
int ipcu_shm_moved_to(const struct ipcu_object *object, struct ipcu_shm_control *control);

/*
 * Caller holds the registry lock. End what a killed process began with NAME, and what a living one does if CANCEL: *RECORD
 * is its record, and brought up to date. False, and nothing to do, if there was none. DRY_RUN only looks.
 */
bool ipcu_shm_settle(struct ipcu_registry *registry, const char *name, struct ipcu_record *record,
		     bool dry_run);
void ipcu_shm_cancel(struct ipcu_registry *registry, const char *name, struct ipcu_record *record);

/* Remove the second segment that RECORD of OWNER names by its identifier, if it is his. False: it is still there. */
bool ipcu_shm_other_remove(const struct ipcu_record *record, uid_t owner);

/* shm-lock.c */

/* The members of the set that belongs to the name of a segment, before its identity. */
enum { SHM_HELD, SHM_MEMBERS = SHM_HELD + 1 + IPCU_IDENTITY_MEMBERS };

/* What the identity says: the type, and that there are no bytes. */
#define SHM_DETAIL_TYPE 0xfu
#define SHM_DETAIL_EMPTY 0x10u

/*
 * Caller holds the registry lock. Create the set of OBJECT's name on KEY, or use the one that exists; its permissions are
 * those that a segment of MODE allows. Fills in DEFINITION. IPCU_CONFLICT: a different program uses the key.
 */
enum ipcu_result ipcu_shm_set_make(const struct ipcu_object *object, key_t key, mode_t mode,
				   uint64_t definition[4]);

/* Make set ID say what DEFINITION says. */
void ipcu_shm_set_describe(int id, const uint64_t definition[4]);

/* Give set ID the owner and group of a segment with PERM, and no permission that the segment does not give. */
void ipcu_shm_set_restrict(int id, const struct ipc_perm *perm);

/* Caller holds the registry lock. Remove the set of OWNER's NAME; with IDLE_ONLY not while a process uses it. */
void ipcu_shm_set_remove(uid_t owner, const char *name, uint64_t lock, bool idle_only);

/* Take the lock for as long as this process lives, unless a process holds it or waits for it. */
enum ipcu_result ipcu_shm_set_seal(uint64_t lock, uid_t owner);
void ipcu_shm_set_unseal(uint64_t lock, uid_t owner);

/*
 * LOCK is what a definition of OWNER's says of the set, and may be a lie. Return the identifier of the set, or -1 if it
 * leads to none that the owner created.
 */
int ipcu_shm_lock_set(uint64_t lock, uid_t owner);

/* The process that holds the lock, or 0; *WAITING is the number of processes that wait for it. */
pid_t ipcu_shm_lock_holder(uint64_t lock, uid_t owner, unsigned *waiting);

/* The owner opens SHM with the state PERM: repair what is missing of its set, or allows too much. */
void ipcu_shm_lock_check(ipcu_shm *shm, const struct ipc_perm *perm);

#endif
