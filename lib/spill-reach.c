/* SPDX-License-Identifier: MIT
 * spill-reach.c - bodies of big messages that no process can receive any more
 *
 * A body is reachable while its sender is about to send its descriptor, while the descriptor is in the queue, and while
 * a receiver that has taken the descriptor has not yet attached the body. The first state is in the head, and the sender
 * has the body attached meanwhile. The second one a scan of the queue finds. Nothing records the third; the kernel
 * tells only which process was the last to receive from the queue (msg_lrpid) and the last to attach or detach the body
 * (shm_lpid), and when. Whatever cannot be told counts as reachable.
 *
 * A look at a head is such an attachment as well. So what the kernel tells is read before the head.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "process.h"
#include "returned.h"
#include "spill-head.h"

#define UNKNOWN_SECONDS 60	    /* how long a receiver that is not visible here may take */
#define PAUSE_NANOSECONDS 200000000 /* the same of one that runs */

/* ---- the queue ---------------------------------------------------------------- */

struct described {
	long type;
	struct ipcu_spill_descriptor descriptor;
};

/* Copy the message at INDEX. 1: it is a descriptor, 0: it is not, or there is none; -1: cannot tell. */
static int copy_at(int queue, long index, struct described *message)
{
	ssize_t size =
		msgrcv(queue, message, sizeof(message->descriptor), index, MSG_COPY | IPC_NOWAIT);

	if (size < 0)
		return errno == ENOMSG || errno == E2BIG ? 0 : -1;
	return size == (ssize_t)sizeof(message->descriptor) &&
	       ipcu_spill_looks_like(&message->descriptor, (size_t)size);
}

/*
 * Return true if QUEUE holds the descriptor with NONCE, or if that cannot be told. The scan runs from the last message to the
 * first: a receiver that takes messages meanwhile moves those that follow towards the first, so the scan cannot miss
 * one. Counting upwards it would.
 */
static bool holds(int queue, const uint64_t nonce[2])
{
	struct described message;
	struct msqid_ds state;

	if (ipcu_stat_queue(queue, &state) < 0)
		return errno != EINVAL && errno != EIDRM;
	for (long index = (long)state.msg_qnum - 1; index >= 0; index--) {
		int found = copy_at(queue, index, &message);

		if (found < 0)
			return errno != EINVAL && errno != EIDRM;
		if (found &&
		    memcmp(message.descriptor.nonce, nonce, sizeof(message.descriptor.nonce)) == 0)
			return true;
	}
	return false;
}

/* The same for QUEUE and what has returned to it: a descriptor may move from the one to the other until it is received. */
static bool is_queued(int queue, const uint64_t nonce[2])
{
	int ids[IPCU_RETURNED_MAX];
	struct msqid_ds state;
	unsigned count;

	if (holds(queue, nonce))
		return true;
	if (ipcu_stat_queue(queue, &state) < 0)
		return errno != EINVAL && errno != EIDRM;
	count = ipcu_returned_find(&state.msg_perm, ids);
	for (unsigned i = 0; i < count; i++)
		if (holds(ids[i], nonce))
			return true;
	return count > 0 && holds(queue, nonce);
}

static void compare_user(const struct ipcu_user *user, void *context)
{
	pid_t *pid = context;

	if (user->pid == *pid)
		*pid = 0;
}

/* Return true if PID has one thread, and that sleeps in msgrcv(2) or msgsnd(2) of QUEUE. */
static bool sleeps_on(int queue, pid_t pid)
{
	char path[64];
	struct stat tasks;
	pid_t found = pid;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if (stat(path, &tasks) < 0 || tasks.st_nlink != 3)
		return false;
	ipcu_users(IPCU_KIND_QUEUE, queue, compare_user, &found);
	return found == 0;
}

/*
 * Return true if the last receiver of QUEUE, which has identifier ID, may have taken the descriptor of BODY and not yet attached
 * it: it lives, does not wait for the next message, and was not the last to touch BODY.
 */
static bool receiver_may_attach(int id, const struct msqid_ds *queue, const struct shmid_ds *body)
{
	pid_t receiver = queue->msg_lrpid;

	if (queue->msg_rtime == 0 || receiver == getpid())
		return false;
	if (receiver == 0) /* of a PID namespace that cannot be seen from here */
		return time(NULL) - queue->msg_rtime < UNKNOWN_SECONDS;
	return receiver != body->shm_lpid && ipcu_process_lived_at(receiver, queue->msg_rtime) &&
	       !sleeps_on(id, receiver);
}

/* When a message of QUEUE, or of what has returned to it, was last received. */
static time_t last_receive(const struct msqid_ds *queue)
{
	int ids[IPCU_RETURNED_MAX];
	unsigned count = ipcu_returned_find(&queue->msg_perm, ids);
	time_t last = queue->msg_rtime;

	while (count > 0) {
		struct msqid_ds returned;

		if (ipcu_stat_queue(ids[--count], &returned) == 0 && returned.msg_rtime > last)
			last = returned.msg_rtime;
	}
	return last;
}

/* As receiver_may_attach(), for QUEUE and for what has returned to it. */
static bool may_attach(int id, const struct msqid_ds *queue, const struct shmid_ds *body)
{
	int ids[IPCU_RETURNED_MAX];
	unsigned count = ipcu_returned_find(&queue->msg_perm, ids);

	while (count > 0) {
		struct msqid_ds returned;

		if (ipcu_stat_queue(ids[--count], &returned) == 0 &&
		    receiver_may_attach(ids[count], &returned, body))
			return true;
	}
	return receiver_may_attach(id, queue, body);
}

/* ---- segments ------------------------------------------------------------------- */

/* Whether this user may remove the body, or change its mode. */
static bool is_ours(const struct shmid_ds *state)
{
	return state->shm_perm.uid == geteuid() || state->shm_perm.cuid == geteuid();
}

static time_t touched(const struct shmid_ds *state)
{
	time_t last = state->shm_ctime;

	if (state->shm_atime > last)
		last = state->shm_atime;
	return state->shm_dtime > last ? state->shm_dtime : last;
}

/* Call FN with each body in the kernel's table. */
static void for_bodies(void (*fn)(int id, const struct shmid_ds *state, void *context),
		       void *context)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

	for (int slot = 0; slot <= last; slot++) {
		struct shmid_ds state;
		int id;

		memset(&state, 0, sizeof(state));
		id = shmctl(slot, SHM_STAT_ANY, &state);
		if (id >= 0 && ipcu_spill_is_body(&state))
			fn(id, &state, context);
	}
}

/* Remove ID unless a process has touched it since this one looked at its head. */
static bool remove_untouched(int id)
{
	struct shmid_ds state;

	return ipcu_stat_segment(id, &state) == 0 && state.shm_nattch == 0 &&
	       state.shm_lpid == getpid() && shmctl(id, IPC_RMID, NULL) == 0;
}

/* ---- what others have received --------------------------------------------------- */

struct sweep {
	pid_t receiver; /* the last one of the queue that is being sent to */
	int64_t idle;
	size_t removed;
};

/* Return true if the process that touched BODY last may have received it. One that may remove it would have removed it. */
static bool touched_by_receiver(const struct shmid_ds *body)
{
	struct stat process;
	char path[32];

	if (body->shm_lpid == body->shm_cpid || body->shm_lpid == getpid())
		return false;
	snprintf(path, sizeof(path), "/proc/%d", (int)body->shm_lpid);
	return stat(path, &process) < 0 ||
	       (process.st_uid != 0 && process.st_uid != body->shm_perm.uid &&
		process.st_uid != body->shm_perm.cuid);
}

static void sweep_one(int id, const struct shmid_ds *seen, void *context)
{
	struct sweep *sweep = context;
	struct ipcu_spill_head head;
	struct shmid_ds state;
	struct msqid_ds queue;
	bool idle = time(NULL) - touched(seen) >= sweep->idle;

	if (seen->shm_nattch > 0 || !is_ours(seen) || !touched_by_receiver(seen) ||
	    (!idle && seen->shm_lpid != sweep->receiver) ||
	    !ipcu_spill_read_head(id, &state, &head) || !ipcu_spill_is_head(&head) ||
	    state.shm_lpid != seen->shm_lpid)
		return;
	if (ipcu_stat_queue(head.queue, &queue) == 0) {
		if (seen->shm_lpid != queue.msg_lrpid &&
		    (!idle || may_attach(head.queue, &queue, seen)))
			return;
		if (is_queued(head.queue, head.nonce))
			return;
	} else if (errno != EINVAL && errno != EIDRM) {
		return;
	}
	sweep->removed += remove_untouched(id);
}

size_t ipcu_spill_sweep(const struct msqid_ds *sent_to, int64_t idle)
{
	struct sweep sweep = { sent_to->msg_lrpid, idle, 0 };

	for_bodies(sweep_one, &sweep);
	return sweep.removed;
}

/* ---- permissions ------------------------------------------------------------------ */

struct narrow {
	int id;
	const struct msqid_ds *queue;
};

static void narrow_one(int id, const struct shmid_ds *seen, void *context)
{
	const struct narrow *narrow = context;
	struct ipcu_spill_head head;
	struct shmid_ds state;
	unsigned allowed = ipcu_spill_mode(&narrow->queue->msg_perm, seen->shm_perm.cgid);

	/* A body that is newer than the last change of the queue has its mode from it. */
	if (seen->shm_ctime > narrow->queue->msg_ctime || !is_ours(seen) ||
	    !(seen->shm_perm.mode & 0444 & ~allowed))
		return;
	if (!ipcu_spill_read_head(id, &state, &head) || !ipcu_spill_is_head(&head) ||
	    head.queue != narrow->id)
		return;
	state.shm_perm.mode = (unsigned short)(state.shm_perm.mode & allowed);
	shmctl(id, IPC_SET, &state);
}

void ipcu_spill_narrow(int id, const struct msqid_ds *queue)
{
	struct narrow narrow = { id, queue };

	for_bodies(narrow_one, &narrow);
}

/* ---- a queue that is removed ------------------------------------------------------- */

struct discard {
	int id;
	struct msqid_ds queue; /* as it was before */
	struct ipcu_spill_descriptor *queued;
	size_t count;
	bool known; /* QUEUED has all that were in the queue */
	bool last;  /* the second pass: what is in no list goes too */
	size_t left;
};

/* Before the queue is removed: what it holds. */
static void list_queued(struct discard *discard)
{
	struct described message;
	size_t capacity;

	if (ipcu_stat_queue(discard->id, &discard->queue) < 0)
		return;
	capacity = discard->queue.msg_qnum;
	discard->queued = calloc(capacity + 1, sizeof(*discard->queued));
	discard->known = discard->queued != NULL;
	for (long index = (long)capacity - 1; index >= 0 && discard->known; index--) {
		int found = copy_at(discard->id, index, &message);

		discard->known = found >= 0;
		if (found > 0)
			discard->queued[discard->count++] = message.descriptor;
	}
}

static bool was_queued(const struct discard *discard, int id, const struct ipcu_spill_head *head)
{
	for (size_t i = 0; i < discard->count; i++)
		if (discard->queued[i].id == id &&
		    memcmp(discard->queued[i].nonce, head->nonce, sizeof(head->nonce)) == 0)
			return true;
	return false;
}

/*
 * Return true if the sender of BODY, which was queued, is still attached to it, and no receiver has been. The removal takes
 * effect when the sender detaches it; a receiver that has taken the message can still attach it until then.
 */
static bool is_senders(const struct shmid_ds *body)
{
	return body->shm_nattch == 1 && body->shm_cpid > 0 && body->shm_lpid == body->shm_cpid;
}

static void discard_one(int id, const struct shmid_ds *seen, void *context)
{
	struct discard *discard = context;
	struct ipcu_spill_head head;
	struct shmid_ds state;

	if ((seen->shm_nattch > 0 && !is_senders(seen)) || !is_ours(seen) ||
	    !ipcu_spill_read_head(id, &state, &head) || !ipcu_spill_is_head(&head) ||
	    head.queue != discard->id)
		return;
	if (seen->shm_nattch > 0) {
		if (discard->known && was_queued(discard, id, &head))
			shmctl(id, IPC_RMID, NULL);
		return;
	}
	if (discard->known && !was_queued(discard, id, &head)) {
		if (may_attach(id, &discard->queue, seen))
			return;
		if (!discard->last) {
			discard->left++;
			return;
		}
	}
	remove_untouched(id);
}

int ipcu_spill_discard_queue(int id)
{
	struct timespec pause = { 0, PAUSE_NANOSECONDS };
	struct discard discard = { .id = id };
	int result, errnum;

	list_queued(&discard);
	result = msgctl(id, IPC_RMID, NULL);
	errnum = errno;
	if (result == 0) {
		for_bodies(discard_one, &discard);
		/* A receiver that has just taken a message attaches its body now, and removes it. */
		if (discard.left && time(NULL) - last_receive(&discard.queue) <= 1)
			nanosleep(&pause, NULL);
		discard.last = true;
		if (discard.left)
			for_bodies(discard_one, &discard);
	}
	free(discard.queued);
	errno = errnum;
	return result;
}

/* ---- ipc-rm --stale ------------------------------------------------------------------ */

/* Return true if the body with HEAD is unreachable; *RECENT: a receiver may just be on its way to it. */
static bool unreachable(const struct ipcu_spill_head *head, const struct shmid_ds *seen,
			int64_t seconds, bool *recent)
{
	struct msqid_ds queue;

	*recent = false;
	if (head->state == IPCU_SPILL_FILLING &&
	    ipcu_process_lives(head->sender, head->sender_start))
		return false;
	if (ipcu_stat_queue(head->queue, &queue) < 0)
		return errno == EINVAL || errno == EIDRM;
	if (time(NULL) - last_receive(&queue) < seconds || is_queued(head->queue, head->nonce))
		return false;
	/* Again: what was received meanwhile is seen now. */
	if (ipcu_stat_queue(head->queue, &queue) < 0)
		return errno == EINVAL || errno == EIDRM;
	*recent = time(NULL) - last_receive(&queue) <= 1;
	return !may_attach(head->queue, &queue, seen);
}

static bool judge(int id, int64_t seconds, struct ipcu_spill_head *head,
		  const struct shmid_ds *seen)
{
	struct timespec pause = { 0, PAUSE_NANOSECONDS };
	struct shmid_ds state;
	bool recent;

	if (!unreachable(head, seen, seconds, &recent))
		return false;
	if (recent) {
		nanosleep(&pause, NULL);
		if (!unreachable(head, seen, seconds, &recent))
			return false;
	}
	return ipcu_stat_segment(id, &state) == 0 && state.shm_nattch == 0 &&
	       state.shm_lpid == getpid();
}

bool ipcu_spill_stale(int id, int64_t seconds, char *what, size_t capacity)
{
	struct ipcu_spill_head head;
	struct shmid_ds seen;
	bool stale;

	if (ipcu_stat_segment(id, &seen) < 0 || !ipcu_spill_is_body(&seen) || seen.shm_nattch > 0 ||
	    !is_ours(&seen) || time(NULL) - touched(&seen) < seconds ||
	    !ipcu_spill_read_head(id, &seen, &head) || seen.shm_nattch > 0)
		return false;
	/* One whose creator was killed before the head was whole has no magic, and is old enough. */
	if (!ipcu_spill_is_head(&head))
		stale = head.magic[0] == '\0' && seen.shm_cpid > 0 &&
			!ipcu_process_lived_at(seen.shm_cpid, seen.shm_ctime);
	else
		stale = judge(id, seconds, &head, &seen);
	if (stale)
		snprintf(what, capacity, "big message of queue %d, %llu bytes", head.queue,
			 (unsigned long long)seen.shm_segsz - sizeof(head));
	return stale;
}
