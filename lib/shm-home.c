/* SPDX-License-Identifier: MIT
 * shm-home.c - from a staged segment back to the key that programs were told
 *
 * A return holds the registry's lock for single calls only, and not while it copies:
 *
 *   freeze    the state of the staged segment becomes FROZEN (shm-stage.c)
 *   alone     no other process is attached
 *   announce  with the lock: the control page names this process, then the identifier of the segment it creates on the
 *             home key, so that a killed process's copy is found
 *   copy      with mode 0
 *   commit    with the lock: the record still leads to the staged segment; COMMIT; still alone; the copy gets its mode;
 *             MOVED
 *   switch    the record leads to the copy, the staged segment is removed
 *
 * MOVED is the moment of the change: before it the staged segment holds the data, after it the copy does, whatever the
 * record says. A process that finds MOVED goes on to the copy, which then has its mode: only the owner could give it one, and
 * a different user must neither wait for the owner nor fail. A return that is cancelled removes its copy by the
 * identifier; so does the next return, or the removal of the name, for a process that was killed or is stopped.
 *
 * A copy belongs to a return by its generation. A copy of an earlier generation than that of the state can no longer be
 * committed, so that it may be removed at any time.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "futex.h"
#include "process.h"
#include "stage.h"

#define ALONE_NANOSECONDS 100000000	 /* other processes have so long to detach */
#define COOL_DOWN_NANOSECONDS 1000000000 /* after a writer cancelled a return */
#define NAP_NANOSECONDS 1000000

struct homecoming {
	const struct ipcu_object *object;
	int id; /* of the staged segment */
	unsigned char *data;
	size_t length;
	struct ipcu_shm_control *control;
	struct ipcu_stage_state state; /* what this process has made of it */
	uint64_t word;
	key_t key; /* home */
	int copy;
	unsigned char *target;
	bool switched; /* the record leads to the copy */
};

/* ---- announcing a copy --------------------------------------------------------- */

/* The word of a copy: its generation, and its maker, or its identifier once it is known. */
#define COPY_GENERATION_SHIFT 32
#define COPY_KNOWN (UINT64_C(1) << 31)
#define COPY_NUMBER UINT64_C(0x7fffffff)

static uint64_t announcement(uint32_t generation, int number, bool known)
{
	return (uint64_t)generation << COPY_GENERATION_SHIFT | (known ? COPY_KNOWN : 0) |
	       ((uint64_t)(uint32_t)number & COPY_NUMBER);
}

/* Return true if the copy of WORD is of an earlier generation than GENERATION, which wraps round at 30 bits. */
static bool is_earlier(uint64_t word, uint32_t generation)
{
	uint32_t distance = (generation - (uint32_t)(word >> COPY_GENERATION_SHIFT)) & 0x3fffffff;

	return distance > 0 && distance < 0x20000000;
}

/* The copy that WORD announces on KEY, of LENGTH bytes of OWNER's; -1: there is none. */
static int announced(uint64_t word, key_t key, uid_t owner, uint64_t length)
{
	int number = (int)(word & COPY_NUMBER);
	int id = word & COPY_KNOWN ? number : shmget(key, 0, 0);
	struct shmid_ds copy;

	if (!word || id < 0 || ipcu_stat_segment(id, &copy) < 0 || PERM_KEY(copy.shm_perm) != key ||
	    copy.shm_perm.cuid != owner || copy.shm_segsz != ipcu_segment_size(length))
		return -1;
	/* Not yet announced by its identifier: its maker had not attached it, so no process ever did. */
	if (!(word & COPY_KNOWN) &&
	    (copy.shm_cpid != number || copy.shm_nattch != 0 || copy.shm_atime != 0))
		return -1;
	return id;
}

int ipcu_shm_moved_to(const struct ipcu_object *object, struct ipcu_shm_control *control)
{
	uint64_t word = atomic_load(&control->copy);
	key_t home = (key_t)ipcu_pair_low(object->definition[IPCU_SHM_OTHER]);

	return word & COPY_KNOWN
		       ? announced(word, home, object->owner, object->definition[IPCU_SHM_LENGTH])
		       : -1;
}

/* ---- the steps of a return -------------------------------------------------------- */

/* Wake the processes that wait for a value here: they detach while a return goes on. */
static void wake_waiters(struct ipcu_shm_control *control)
{
	atomic_fetch_add(&control->tail.sequence, 1);
	ipcu_futex_wake(&control->tail.sequence);
}

static bool is_cooling_down(struct ipcu_shm_control *control)
{
	uint64_t now = (uint64_t)ipcu_stage_clock(), then = atomic_load(&control->cancelled);

	return then && then <= now && now - then < COOL_DOWN_NANOSECONDS;
}

static bool change(struct homecoming *home, enum ipcu_phase phase)
{
	home->state.phase = phase;
	return ipcu_stage_change(home->control, &home->word, home->state);
}

static bool freeze(struct homecoming *home)
{
	home->state = ipcu_stage_load(home->control, &home->word);
	if (home->state.phase == IPCU_STAGE_MOVED ||
	    (home->state.phase == IPCU_STAGE_OPEN ? is_cooling_down(home->control)
						  : ipcu_process_lives(home->state.pid, 0)))
		return false;
	home->state.generation = (home->state.generation + 1) & 0x3fffffff;
	home->state.pid = getpid();
	return change(home, IPCU_STAGE_FROZEN);
}

static bool is_frozen(const struct homecoming *home)
{
	return atomic_load(&home->control->state) == home->word;
}

static bool is_alone(const struct homecoming *home)
{
	struct shmid_ds staged;

	return ipcu_stat_segment(home->id, &staged) == 0 && staged.shm_nattch == 1;
}

static bool wait_alone(const struct homecoming *home)
{
	int64_t until = ipcu_stage_clock() + ALONE_NANOSECONDS, nap = 0;

	while (!is_alone(home)) {
		if (ipcu_stage_clock() >= until || !is_frozen(home))
			return false;
		wake_waiters(home->control);
		ipcu_stage_nap(&nap, NAP_NANOSECONDS);
	}
	return true;
}

/* Take the registry lock; true if the record still leads to the staged segment. Unlock in either case. */
static bool lock_record(const struct homecoming *home, struct ipcu_registry *registry,
			struct ipcu_record *record)
{
	const struct timespec past = { 0, 0 }; /* wait for a moment only */

	return ipcu_registry_open_until(registry, home->object->owner, false, &past) == IPCU_OK &&
	       ipcu_registry_find(registry, home->object->name, record) == IPCU_OK &&
	       record->kind == IPCU_KIND_MEMORY && record->state == IPCU_RECORD_LIVE &&
	       record->id == home->id;
}

/* Caller holds the registry lock. Remove what an earlier return left, and announce this one's copy. */
static bool announce(const struct homecoming *home, uint64_t *word)
{
	uint64_t old = atomic_load(&home->control->copy);
	int id;

	if (old && !is_earlier(old, home->state.generation))
		return false;
	id = announced(old, home->key, home->object->owner, home->length);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	*word = announcement(home->state.generation, getpid(), false);
	return atomic_compare_exchange_strong(&home->control->copy, &old, *word);
}

/* With the lock, so that whatever step it is killed at the record leads to what it has announced. */
static bool create_copy(struct homecoming *home)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	uint64_t word;
	bool good =
		lock_record(home, &registry, &record) && is_frozen(home) && announce(home, &word);

	if (good)
		home->copy = shmget(home->key, ipcu_segment_size(home->length),
				    IPC_CREAT | IPC_EXCL | 0600);
	good = good && home->copy >= 0 &&
	       atomic_compare_exchange_strong(&home->control->copy, &word,
					      announcement(home->state.generation, home->copy,
							   true));
	ipcu_registry_unlock_close(&registry);
	return good;
}

static bool make_copy(struct homecoming *home)
{
	struct shmid_ds staged;
	void *target;

	if (!create_copy(home))
		return false;
	target = shmat(home->copy, NULL, 0);
	if (target == (void *)-1)
		return false;
	home->target = target;
	return ipcu_stat_segment(home->id, &staged) == 0 &&
	       ipcu_segment_set_perm(home->copy, &staged.shm_perm, 0);
}

static bool fill(const struct homecoming *home)
{
	for (size_t done = 0, part; done < home->length; done += part) {
		if (!is_frozen(home))
			return false;
		part = home->length - done < IPCU_POPULATE_CHUNK ? home->length - done
								 : IPCU_POPULATE_CHUNK;
		ipcu_shm_populate(home->target + done, part, true);
		ipcu_shm_populate(home->data + done, part, false);
		memcpy(home->target + done, home->data + done, part);
		atomic_fetch_add(&home->control->progress, 1);
	}
	return true;
}

/* ---- the switch ---------------------------------------------------------------------- */

static void set_other(struct ipcu_record *record, key_t home, int id)
{
	record->definition[IPCU_SHM_OTHER] = ipcu_pair((uint32_t)home, (uint32_t)id + 1);
}

/* Caller holds the registry lock; the data are in COPY. Make RECORD lead to it. */
static bool switch_record(struct ipcu_registry *registry, const char *name,
			  struct ipcu_record *record, int copy)
{
	key_t home = (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER]);
	int staged = record->id;

	record->key = home;
	record->id = copy;
	set_other(record, home, staged);
	if (ipcu_registry_put(registry, name, record) != IPCU_OK)
		return false;
	/* If it stays, the record names it on, and the next process tries again. */
	if (ipcu_shm_other_remove(record, registry->owner)) {
		record->definition[IPCU_SHM_OTHER] = 0;
		ipcu_registry_put(registry, name, record);
	}
	return true;
}

static bool copy_is_there(const struct homecoming *home)
{
	struct shmid_ds copy;

	return ipcu_stat_segment(home->copy, &copy) == 0 && !(copy.shm_perm.mode & SHM_DEST);
}

/* Give the copy the owner and the mode of the staged segment, which may have changed since it was created. */
static bool admit_users(const struct homecoming *home)
{
	struct shmid_ds staged;

	return ipcu_stat_segment(home->id, &staged) == 0 &&
	       ipcu_segment_set_perm(home->copy, &staged.shm_perm, staged.shm_perm.mode);
}

/* One attempt. False, and *AGAIN: other processes are attached at this moment. */
static bool commit_once(struct homecoming *home, bool *again)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	bool done;

	*again = false;
	done = lock_record(home, &registry, &record) && copy_is_there(home) &&
	       change(home, IPCU_STAGE_COMMIT);
	if (done && !is_alone(home)) {
		done = false;
		*again = change(home, IPCU_STAGE_FROZEN);
	}
	done = done && admit_users(home) && change(home, IPCU_STAGE_MOVED);
	if (done)
		home->switched = switch_record(&registry, home->object->name, &record, home->copy);
	ipcu_registry_unlock_close(&registry);
	return done;
}

static bool commit(struct homecoming *home)
{
	int64_t until = ipcu_stage_clock() + ALONE_NANOSECONDS, nap = 0;
	bool done, again;

	for (;;) {
		done = commit_once(home, &again);
		if (done || !again || ipcu_stage_clock() >= until)
			return done;
		wake_waiters(home->control);
		ipcu_stage_nap(&nap, NAP_NANOSECONDS);
	}
}

bool ipcu_shm_bring_home(const struct ipcu_object *object, int id, unsigned char *data, size_t size)
{
	struct homecoming home = { .object = object, .id = id, .data = data, .copy = -1 };
	struct ipcu_error error = *ipcu_last_error();
	bool done;

	home.length = (size_t)object->definition[IPCU_SHM_LENGTH];
	home.key = (key_t)ipcu_pair_low(object->definition[IPCU_SHM_OTHER]);
	home.control = ipcu_stage_control(data, size, home.length);
	if (!home.control || !home.key || !freeze(&home))
		return false;
	done = wait_alone(&home) && make_copy(&home) && fill(&home) && commit(&home);
	if (home.target)
		shmdt(home.target);
	if (!done && home.copy >= 0)
		shmctl(home.copy, IPC_RMID, NULL);
	if (!done) {
		home.state.generation = (home.state.generation + 1) & 0x3fffffff;
		home.state.pid = 0;
		change(&home, IPCU_STAGE_OPEN);
	}
	wake_waiters(home.control);
	ipcu_error_restore(&error);
	return home.switched;
}

/* ---- what a process began that was killed ------------------------------------------------ */

bool ipcu_shm_other_remove(const struct ipcu_record *record, uid_t owner)
{
	int id = (int)ipcu_pair_high(record->definition[IPCU_SHM_OTHER]) - 1;
	key_t home = (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER]);
	struct shmid_ds segment;

	if (id < 0 || id == record->id || ipcu_stat_segment(id, &segment) < 0)
		return true;
	/* A record can name any segment: only one that its owner made for this name is removed. */
	if (segment.shm_perm.cuid != owner ||
	    (PERM_KEY(segment.shm_perm) != home && !ipcu_stage_key(PERM_KEY(segment.shm_perm))))
		return true;
	return shmctl(id, IPC_RMID, NULL) == 0 || errno == EINVAL || errno == EIDRM;
}

/* What a staged segment says of itself, and what is to be done about it. */
struct settlement {
	struct ipcu_registry *registry;
	const char *name;
	struct ipcu_record *record;
	bool dry_run, cancel;
};

/* No return is under way: remove the copy of one that was cancelled. */
static bool settle_open(const struct settlement *s, struct ipcu_shm_control *control,
			uint32_t generation)
{
	uint64_t word = atomic_load(&control->copy);
	key_t home = (key_t)ipcu_pair_low(s->record->definition[IPCU_SHM_OTHER]);
	int id = is_earlier(word, generation) ? announced(word, home, s->registry->owner,
							  s->record->definition[IPCU_SHM_LENGTH])
					      : -1;

	if (s->dry_run)
		return id >= 0;
	/* A process that is about to create its copy then finds that it is no longer announced. */
	if (is_earlier(word, generation))
		atomic_compare_exchange_strong(&control->copy, &word, 0);
	return id >= 0 && shmctl(id, IPC_RMID, NULL) == 0;
}

static bool settle_control(const struct settlement *s, struct ipcu_shm_control *control)
{
	struct ipcu_object object = { .owner = s->registry->owner };
	struct ipcu_stage_state state;
	uint64_t word;
	int copy;

	memcpy(object.definition, s->record->definition, sizeof(object.definition));
	for (int attempt = 0; attempt < 100;
	     attempt++) { /* only a hostile writer changes it so often */
		state = ipcu_stage_load(control, &word);
		if (state.phase == IPCU_STAGE_OPEN)
			return settle_open(s, control, state.generation) || attempt;
		if (state.phase == IPCU_STAGE_MOVED) {
			copy = ipcu_shm_moved_to(&object, control);
			return copy >= 0 &&
			       (s->dry_run || switch_record(s->registry, s->name, s->record, copy));
		}
		if (!s->cancel && ipcu_process_lives(state.pid, 0))
			return false;
		if (s->dry_run)
			return true;
		state = (struct ipcu_stage_state){ IPCU_STAGE_OPEN, state.generation + 1, 0 };
		ipcu_stage_change(control, &word, state);
	}
	return false;
}

static bool settle_staged(const struct settlement *s)
{
	struct ipcu_shm_control *control;
	struct shmid_ds staged;
	void *data = shmat(s->record->id, NULL, 0);
	bool found = false;

	if (data == (void *)-1)
		return false;
	if (ipcu_stat_segment(s->record->id, &staged) == 0 &&
	    staged.shm_perm.cuid == s->registry->owner) {
		control = ipcu_stage_control(data, staged.shm_segsz,
					     s->record->definition[IPCU_SHM_LENGTH]);
		found = control && settle_control(s, control);
	}
	shmdt(data);
	return found;
}

static bool settle(const struct settlement *s)
{
	struct ipcu_record *record = s->record;
	bool away = ipcu_stage_key(record->key), found;

	if (record->state != IPCU_RECORD_LIVE)
		return false;
	found = ipcu_pair_high(record->definition[IPCU_SHM_OTHER]) != 0;
	if (found && !s->dry_run && ipcu_shm_other_remove(record, s->registry->owner)) {
		set_other(record,
			  away ? (key_t)ipcu_pair_low(record->definition[IPCU_SHM_OTHER]) : 0, -1);
		ipcu_registry_put(s->registry, s->name, record);
	}
	return (away && settle_staged(s)) || found;
}

bool ipcu_shm_settle(struct ipcu_registry *registry, const char *name, struct ipcu_record *record,
		     bool dry_run)
{
	const struct settlement s = { registry, name, record, dry_run, false };

	return settle(&s);
}

void ipcu_shm_cancel(struct ipcu_registry *registry, const char *name, struct ipcu_record *record)
{
	const struct settlement s = { registry, name, record, false, true };

	settle(&s);
}

/* The data of OBJECT have moved, and the process that moved them was killed before the record said so. */
static bool finish_move(const struct ipcu_object *object)
{
	const struct timespec past = { 0, 0 };
	struct ipcu_registry registry;
	struct ipcu_record record;
	bool done = ipcu_registry_open_until(&registry, object->owner, false, &past) == IPCU_OK &&
		    ipcu_registry_find(&registry, object->name, &record) == IPCU_OK &&
		    record.kind == IPCU_KIND_MEMORY && record.id == object->id &&
		    ipcu_shm_settle(&registry, object->name, &record, false);

	ipcu_registry_unlock_close(&registry);
	return done;
}

bool ipcu_shm_return(const struct ipcu_object *object)
{
	struct ipcu_error error = *ipcu_last_error();
	struct ipcu_shm_control *control;
	struct shmid_ds staged;
	unsigned char *data;
	bool done = false;

	/* The lock may be held by a stopped process: the object can be used where it is. */
	if (ipcu_registry_lock_holder(object->owner))
		return false;
	data = shmat(object->id, NULL, 0);
	if (data == (void *)-1)
		return false;
	if (ipcu_stat_segment(object->id, &staged) == 0) {
		control = ipcu_stage_control(data, staged.shm_segsz,
					     object->definition[IPCU_SHM_LENGTH]);
		if (control && ipcu_stage_moved(control))
			done = finish_move(object);
		else
			done = staged.shm_nattch == 1 &&
			       ipcu_shm_bring_home(object, object->id, data, staged.shm_segsz);
	}
	shmdt(data);
	ipcu_error_restore(&error);
	return done;
}
