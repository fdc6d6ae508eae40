/* SPDX-License-Identifier: MIT
 * spill.c - bodies of big messages: who may read and write them, and which may be removed
 */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "queue.h"
#include "spill.h"
#include "tap.h"

#define SIZE 100000
#define OTHER_USER 1001
#define OTHER_GROUP 1002

static const char big[SIZE] = "big";

/* ---- what comes between two calls ------------------------------------------------ */

static bool
	stop_before_shmat; /* this process stops after it has received, before it attaches the body */
static bool
	stop_before_shmdt;   /* this process stops after it has sent, before it detaches the body */
static int shift_after = -1; /* after the first look at a message of this queue, two are received */

void *shmat(int id, const void *at, int flags)
{
	void *(*real)(int, const void *, int) =
		(void *(*)(int, const void *, int))dlsym(RTLD_NEXT, "shmat");

	if (stop_before_shmat) {
		stop_before_shmat = false;
		raise(SIGSTOP);
	}
	return real(id, at, flags);
}

int shmdt(const void *at)
{
	int (*real)(const void *) = (int (*)(const void *))dlsym(RTLD_NEXT, "shmdt");

	if (stop_before_shmdt) {
		stop_before_shmdt = false;
		raise(SIGSTOP);
	}
	return real(at);
}

ssize_t msgrcv(int id, void *message, size_t size, long type, int flags)
{
	ssize_t (*real)(int, void *, size_t, long, int) =
		(ssize_t(*)(int, void *, size_t, long, int))dlsym(RTLD_NEXT, "msgrcv");
	ssize_t got = real(id, message, size, type, flags);
	int errnum = errno;
	struct {
		long type;
		char body[100];
	} taken;

	if (id == shift_after && flags & MSG_COPY) {
		shift_after = -1;
		if (fork() == 0)
			_exit(real(id, &taken, sizeof(taken.body), 1, IPC_NOWAIT) < 0 ||
			      real(id, &taken, sizeof(taken.body), 1, IPC_NOWAIT) < 0);
		wait(NULL);
	}
	errno = errnum;
	return got;
}

/* ---- helpers ----------------------------------------------------------------------- */

static ipcu_queue *open_mode(const char *name, mode_t mode)
{
	struct ipcu_open how = { .mode = mode };
	ipcu_queue *queue = NULL;

	is_result(ipcu_queue_open(&queue, name, &how), IPCU_OK, "opens a queue");
	return queue;
}

static void done_with(ipcu_queue *queue, const char *name)
{
	ipcu_queue_close(queue);
	ipcu_remove(name, IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
}

/* The descriptor at INDEX of QUEUE. */
static struct ipcu_spill_descriptor described(ipcu_queue *queue, long index)
{
	struct {
		long type;
		struct ipcu_spill_descriptor descriptor;
	} message = { 0 };

	msgrcv(queue->object.id, &message, sizeof(message.descriptor), index,
	       MSG_COPY | IPC_NOWAIT);
	return message.descriptor;
}

static unsigned mode_of(int id)
{
	struct shmid_ds state;

	return ipcu_stat_segment(id, &state) == 0 ? state.shm_perm.mode & 0777 : 07777;
}

static bool exists(int id)
{
	return mode_of(id) != 07777;
}

static void chmod_queue(ipcu_queue *queue, unsigned mode)
{
	struct msqid_ds state;

	msgctl(queue->object.id, IPC_STAT, &state);
	state.msg_perm.mode = (unsigned short)mode;
	ok(msgctl(queue->object.id, IPC_SET, &state) == 0, "chmod %o of the queue", mode);
}

static void remove_stale(int64_t seconds)
{
	is_result(ipcu_remove_stale(seconds, 0, NULL, NULL), IPCU_OK, "removes what is stale");
}

/* ---- permissions ---------------------------------------------------------------------- */

/* What a user who may only receive can do with the newest body: a bit for each. */
enum { CAN_READ = 1, CAN_WRITE = 2, CAN_REMOVE = 4 };

static int as_other(uid_t user, gid_t group, int id)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		int can = 0;

		if (setgroups(0, NULL) || setgid(group) || setuid(user))
			_exit(99);
		can |= shmat(id, NULL, SHM_RDONLY) == (void *)-1 ? 0 : CAN_READ;
		can |= shmat(id, NULL, 0) == (void *)-1 ? 0 : CAN_WRITE;
		can |= shmctl(id, IPC_RMID, NULL) < 0 ? 0 : CAN_REMOVE;
		_exit(can);
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static void body_modes(void)
{
	static const unsigned modes[] = { 0600, 0640, 0644, 0622, 0666, 0606, 0400 };
	char name[32];

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		ipcu_queue *queue;
		unsigned mode;

		snprintf(name, sizeof(name), "spill-%o", modes[i]);
		queue = open_mode(name, modes[i]);
		is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
		mode = mode_of(described(queue, 0).id);
		ok(mode == (modes[i] & 0444), "queue %o: body %o", modes[i], mode);
		done_with(queue, name);
	}
}

static void chmod_between(void)
{
	ipcu_queue *queue = open_mode("spill-chmod", 0644), *second;
	struct ipcu_message message = { 0 };
	int first, last;

	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	first = described(queue, 0).id;
	chmod_queue(queue, 0600);
	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	last = described(queue, 1).id;
	is_number(mode_of(last), 0400, "a new body has the mode of now");
	is_number(mode_of(first), 0400, "... and the one before has lost what the queue has lost");
	second = open_mode("spill-chmod", 0);
	is_result(ipcu_queue_receive(second, &message, NULL, &ipcu_no_wait), IPCU_OK, "receives");
	ok(message.size == SIZE && memcmp(message.body, big, SIZE) == 0, "... it whole");
	ipcu_message_clear(&message);
	ipcu_queue_close(second);
	done_with(queue, "spill-chmod");
	queue = open_mode("spill-chmod", 0644);
	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends to a new one");
	is_number(mode_of(described(queue, 0).id), 0444, "... whose mode counts");
	done_with(queue, "spill-chmod");
}

static void other_users(void)
{
	ipcu_queue *queue = open_mode("spill-users", 0644);
	struct msqid_ds state;
	int id;

	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	id = described(queue, 0).id;
	is_number(as_other(OTHER_USER, OTHER_GROUP, id), CAN_READ,
		  "a user who may receive can read a body, not write or remove it");
	chmod_queue(queue, 0640);
	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	is_number(as_other(OTHER_USER, OTHER_GROUP, id), 0, "one who may no longer cannot read it");
	/* Now the group of the queue is not that of the sender. */
	msgctl(queue->object.id, IPC_STAT, &state);
	state.msg_perm.gid = OTHER_GROUP;
	msgctl(queue->object.id, IPC_SET, &state);
	if (setegid(OTHER_GROUP + 1) == 0)
		is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	if (setegid(0))
		ok(false, "the group is back");
	id = described(queue, 2).id;
	is_number(as_other(OTHER_USER, OTHER_GROUP + 1, id), 0,
		  "the sender's group, which may not receive, cannot read the body");
	done_with(queue, "spill-users");
}

/* A member of the queue's group that cannot read a body leaves the message in the queue. */
static void denied(void)
{
	ipcu_queue *queue = open_mode("spill-denied", 0644);
	struct ipcu_message message = { 0 };
	struct shmid_ds state;
	int id, status;
	pid_t child;

	is_result(ipcu_queue_send(queue, 7, big, SIZE, NULL), IPCU_OK, "sends");
	chmod_queue(queue, 0666);
	id = described(queue, 0).id;
	ipcu_stat_segment(id, &state);
	state.shm_perm.mode = 0400;
	shmctl(id, IPC_SET, &state);
	child = fork();
	if (child == 0) {
		if (setgroups(0, NULL) || setgid(OTHER_GROUP) || setuid(OTHER_USER))
			_exit(99);
		_exit((int)ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait));
	}
	waitpid(child, &status, 0);
	is_number(WEXITSTATUS(status), IPCU_DENIED, "a body that cannot be read is denied");
	is_result(ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait), IPCU_OK,
		  "... and its owner still receives it");
	ok(message.size == SIZE && message.type == 7, "... as it was");
	ipcu_message_clear(&message);
	done_with(queue, "spill-denied");
}

/* ---- what may be removed ------------------------------------------------------------- */

/* A receiver takes two messages while the queue is scanned for a descriptor. */
static void shifted(void)
{
	ipcu_queue *queue = open_mode("spill-shift", 0600);
	struct ipcu_message message = { 0 };

	ipcu_queue_send(queue, 1, "a", 1, NULL);
	ipcu_queue_send(queue, 1, "b", 1, NULL);
	is_result(ipcu_queue_send(queue, 2, big, SIZE, NULL), IPCU_OK, "sends");
	shift_after = queue->object.id;
	remove_stale(0);
	is_number(shift_after, -1, "messages were received while the queue was scanned");
	is_result(ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait), IPCU_OK,
		  "the body of a message in the queue was not removed");
	ipcu_message_clear(&message);
	done_with(queue, "spill-shift");
}

/* A message of the same queue that is larger than a descriptor must not hide that a body is unreachable. */
static void larger_ones(void)
{
	ipcu_queue *queue = open_mode("spill-larger", 0600);
	struct ipcu_spill_descriptor lost;

	is_result(ipcu_queue_send(queue, 2, big, SIZE, NULL), IPCU_OK, "sends");
	lost = described(queue, 0);
	ipcu_queue_send(queue, 1, big, 1000, NULL);
	if (fork() == 0) {
		char body[100];

		_exit(msgrcv(queue->object.id, body, 40, 2, IPC_NOWAIT) != 40);
	}
	wait(NULL);
	remove_stale(0);
	ok(!exists(lost.id), "the body whose receiver was killed is removed");
	done_with(queue, "spill-larger");
}

/* Start a receiver that stops between taking a descriptor and attaching its body. */
static pid_t start_stopped(ipcu_queue *queue, uid_t user)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct ipcu_message message = { 0 };

		if (user && (setgroups(0, NULL) || setgid(OTHER_GROUP) || setuid(user)))
			_exit(99);
		stop_before_shmat = true;
		_exit(ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait) != IPCU_OK ||
		      message.size != SIZE || memcmp(message.body, big, SIZE) != 0);
	}
	waitpid(child, &status, WUNTRACED);
	ok(WIFSTOPPED(status), "a receiver has the descriptor and not yet the body");
	return child;
}

static void is_received(pid_t child)
{
	int status = -1;

	kill(child, SIGCONT);
	waitpid(child, &status, 0);
	is_number(status, 0, "... and receives the body");
}

static void being_received(void)
{
	ipcu_queue *queue = open_mode("spill-window", 0600);
	pid_t child;

	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	child = start_stopped(queue, 0);
	remove_stale(0);
	is_received(child);
	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	child = start_stopped(queue, 0);
	done_with(queue, "spill-window");
	ok(true, "the queue is removed");
	is_received(child);
}

static int bodies(void)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info), count = 0;

	for (int slot = 0; slot <= last; slot++) {
		struct shmid_ds state;

		count += shmctl(slot, SHM_STAT_ANY, &state) >= 0 && state.shm_segsz > SIZE &&
			 state.shm_segsz < 2 * SIZE;
	}
	return count;
}

/* A sender has sent its message, and is still attached to the body, when the queue is removed. */
static void being_sent(void)
{
	ipcu_queue *queue = open_mode("spill-sending", 0600);
	pid_t child = fork();
	int status;

	if (child == 0) {
		ipcu_queue *own;

		if (ipcu_queue_open(&own, "spill-sending", NULL) != IPCU_OK)
			_exit(99);
		stop_before_shmdt = true;
		_exit((int)ipcu_queue_send(own, 1, big, SIZE, NULL));
	}
	waitpid(child, &status, WUNTRACED);
	ok(WIFSTOPPED(status) && bodies() == 1, "a sender is attached to the body it has sent");
	done_with(queue, "spill-sending");
	kill(child, SIGCONT);
	waitpid(child, &status, 0);
	is_number(status, 0, "... and ends well after the queue was removed");
	is_number(bodies(), 0, "... and the body is removed with the queue");
}

/* What another user takes, who cannot remove it, the next sender removes; but not while it is being taken. */
static void swept(void)
{
	ipcu_queue *queue = open_mode("spill-sweep", 0644);
	pid_t child;

	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends");
	child = start_stopped(queue, OTHER_USER);
	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "sends another one");
	is_received(child);
	is_number(bodies(), 2, "the body that was received is left, and the other one");
	is_result(ipcu_queue_send(queue, 1, big, SIZE, NULL), IPCU_OK, "the next sender");
	is_number(bodies(), 2, "... removes it");
	done_with(queue, "spill-sweep");
	is_number(bodies(), 0, "... and removing the queue removes the rest");
}

int main(void)
{
	deadline_for_all(60);
	body_modes();
	chmod_between();
	shifted();
	larger_ones();
	being_received();
	being_sent();
	if (geteuid() == 0) {
		other_users();
		denied();
		swept();
	} else {
		ok(true, "# SKIP becoming other users needs root");
	}
	return done();
}
