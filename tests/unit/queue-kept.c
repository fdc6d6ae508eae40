/* SPDX-License-Identifier: MIT
 * queue-kept.c - messages that were taken and cannot return to their queue, and waits with deadlines
 */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "queue.h"
#include "returned.h"
#include "tap.h"

#define LONG_ENOUGH INT64_C(10000000000) /* ten seconds */

/* ---- a queue that another sender fills while a message is to be put back ---------- */

static int fill_id = -1; /* the next shmat() fills this queue and fails for want of memory */

static void fill(int id)
{
	struct {
		long type;
		char body[1];
	} message = { 1, "" };

	while (msgsnd(id, &message, 0, IPC_NOWAIT) == 0)
		;
}

void *shmat(int id, const void *at, int flags)
{
	void *(*real)(int, const void *, int) =
		(void *(*)(int, const void *, int))dlsym(RTLD_NEXT, "shmat");

	if (fill_id < 0)
		return real(id, at, flags);
	fill(fill_id);
	fill_id = -1;
	errno = ENOMEM;
	return (void *)-1;
}

/*
 * Probes of two queues take their messages in the same instant: none returns before both have taken one, and the queue
 * FULL is filled at once.
 */
static int together, full = -1;
static _Atomic int taken;

ssize_t msgrcv(int id, void *message, size_t size, long type, int flags)
{
	ssize_t (*real)(int, void *, size_t, long, int) =
		(ssize_t(*)(int, void *, size_t, long, int))dlsym(RTLD_NEXT, "msgrcv");
	struct timespec pause = { 0, 1000000 };
	ssize_t got = real(id, message, size, type, flags);

	if (!together || got < 0 || flags & IPC_NOWAIT)
		return got;
	if (id == full)
		fill(id);
	for (atomic_fetch_add(&taken, 1); atomic_load(&taken) < together;)
		nanosleep(&pause, NULL);
	return got;
}

/* No queue of returned messages takes any. */
int msgsnd(int id, const void *message, size_t size, int flags)
{
	int (*real)(int, const void *, size_t, int) =
		(int (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "msgsnd");
	struct msqid_ds state;

	if (ipcu_stat_queue(id, &state) == 0 && ipcu_returned_is(&state.msg_perm)) {
		errno = EAGAIN;
		return -1;
	}
	return real(id, message, size, flags);
}

static void set_capacity(ipcu_queue *queue, unsigned long bytes)
{
	struct msqid_ds state;

	msgctl(queue->object.id, IPC_STAT, &state);
	state.msg_qbytes = bytes;
	ok(msgctl(queue->object.id, IPC_SET, &state) == 0, "the queue holds %lu bytes", bytes);
}

static ipcu_queue *open_queue(const char *name)
{
	static const struct ipcu_open how = { .create = IPCU_CREATE_ALWAYS };
	ipcu_queue *queue = NULL;

	is_result(ipcu_queue_open(&queue, name, &how), IPCU_OK, "opens a queue");
	return queue;
}

/* The descriptor of a big message is taken, its body cannot be mapped, and the queue is full meanwhile. */
static void big_into_full(void)
{
	static const char body[100000] = "big";
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_queue("kept-big");
	struct timespec deadline;
	struct ipcu_queue_info info;

	is_result(ipcu_queue_send(queue, 9, body, sizeof(body), NULL), IPCU_OK, "sends it");
	set_capacity(queue, 40);
	fill_id = queue->object.id;
	is_result(ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait), IPCU_LIMIT,
		  "a receive without memory for the body does not wait for room");
	is_number((long long)ipcu_queue_kept(queue), 1, "the handle keeps the message");
	ok(ipcu_queue_status(queue, &info) == IPCU_OK && info.messages == 41,
	   "it counts as one that can be received");
	is_result(ipcu_queue_put_back(queue, &ipcu_no_wait), IPCU_NOT_NOW,
		  "no room to put it back");
	deadline = ipcu_deadline_in(20000000);
	is_result(ipcu_queue_put_back(queue, &deadline), IPCU_NOT_NOW, "... until the deadline");
	is_number(ipcu_last_error()->errnum, ETIMEDOUT, "... which is reported");
	is_result(ipcu_queue_peek(queue, 0, &message), IPCU_OK, "peek shows it");
	is_number((long long)message.size, sizeof(body), "... whole");
	is_result(ipcu_queue_peek(queue, 1, &message), IPCU_OK, "... and then the queue's");
	is_number((long long)message.size, 0, "... first");
	is_result(ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait), IPCU_OK,
		  "the next receive delivers it");
	ok(message.size == sizeof(body) && message.type == 9 &&
		   memcmp(message.body, body, sizeof(body)) == 0,
	   "... whole and first");
	is_number((long long)ipcu_queue_kept(queue), 0, "the handle keeps nothing more");
	ipcu_message_clear(&message);
	ipcu_queue_close(queue);
	ipcu_remove("kept-big", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
}

/* What the handle keeps goes back as soon as there is room. */
static void back_with_room(void)
{
	static const char body[100000] = "big";
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_queue("kept-room");
	struct ipcu_select of_type_2 = { IPCU_PICK_TYPE, 2 };

	is_result(ipcu_queue_send(queue, 9, body, sizeof(body), NULL), IPCU_OK, "sends it");
	set_capacity(queue, 40);
	fill_id = queue->object.id;
	is_result(ipcu_queue_receive(queue, &message, NULL, &ipcu_no_wait), IPCU_LIMIT, "takes it");
	is_result(ipcu_queue_receive(queue, &message, &of_type_2, &ipcu_no_wait), IPCU_NOT_NOW,
		  "what a receive does not select stays kept");
	set_capacity(queue, 400);
	is_result(ipcu_queue_put_back(queue, NULL), IPCU_OK, "there is room");
	is_number((long long)ipcu_queue_kept(queue), 0, "... and nothing is kept");
	is_result(ipcu_queue_put_back(queue, NULL), IPCU_OK, "... which is no failure");
	set_capacity(queue, 480);
	fill_id = queue->object.id;
	is_result(ipcu_queue_receive(queue, &message, &(struct ipcu_select){ IPCU_PICK_TYPE, 9 },
				     &ipcu_no_wait),
		  IPCU_LIMIT, "takes it once more");
	set_capacity(queue, 1000);
	ipcu_queue_close(queue);
	queue = open_queue("kept-room");
	is_result(ipcu_queue_receive(queue, &message, &(struct ipcu_select){ IPCU_PICK_TYPE, 9 },
				     &ipcu_no_wait),
		  IPCU_OK, "closing the handle puts it back");
	ipcu_message_clear(&message);
	ipcu_queue_close(queue);
	ipcu_remove("kept-room", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
}

/* ---- messages of zero bytes that probes take in the same instant ------------------- */

static void count_one(const struct ipcu_user *user, void *context)
{
	(void)user;
	++*(int *)context;
}

/* Poll until a process waits for a message of QUEUE. */
static void until_waited_for(ipcu_queue *queue)
{
	struct timespec pause = { 0, 1000000 };
	int waiting = 0;

	while (!waiting) {
		ipcu_users(IPCU_KIND_QUEUE, queue->object.id, count_one, &waiting);
		nanosleep(&pause, NULL);
	}
}

struct report {
	enum ipcu_result result;
	long first;
	size_t which, kept, kept_after, received;
};

/* What the receiver does: report how it went, and end. */
static void receive_both(ipcu_queue **queues, struct report *report)
{
	struct timespec deadline = ipcu_deadline_in(LONG_ENOUGH);
	struct ipcu_message message = { 0 };
	size_t which;

	report->result =
		ipcu_queue_receive_any(queues, 2, &report->which, &message, NULL, &deadline);
	report->first = message.type;
	report->kept = ipcu_queue_kept(queues[1]);
	while (ipcu_queue_receive_any(queues, 2, &which, &message, NULL, &ipcu_no_wait) == IPCU_OK)
		report->received++;
	report->kept_after = ipcu_queue_kept(queues[1]);
	_exit(0);
}

static void both_taken(void)
{
	struct report *report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ipcu_queue *queues[] = { open_queue("key:0x6001"), open_queue("key:0x6002") };
	pid_t receiver;
	int status;

	set_capacity(queues[1], 1);
	together = 2;
	full = queues[1]->object.id;
	receiver = fork();
	if (receiver == 0)
		receive_both(queues, report);
	together = 0;
	until_waited_for(queues[0]);
	until_waited_for(queues[1]);
	ipcu_queue_send(queues[0], 5, "", 0, NULL);
	ipcu_queue_send(queues[1], 6, "", 0, NULL);
	waitpid(receiver, &status, 0);
	is_result(report->result, IPCU_OK, "a message is delivered by the deadline");
	ok(report->which == 0 && report->first == 5, "... from the first queue");
	is_number((long long)report->kept, 1, "the handle keeps that of the full queue");
	is_number((long long)report->received, 2,
		  "... and the next receives deliver it and the rest");
	is_number((long long)report->kept_after, 0, "... so that nothing is kept");
	for (int i = 0; i < 2; i++)
		ipcu_queue_close(queues[i]);
	ipcu_remove("key:0x6001", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
	ipcu_remove("key:0x6002", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
	munmap(report, sizeof(*report));
}

/* ---- looking ---------------------------------------------------------------------- */

static enum ipcu_result wait_any(ipcu_queue **queues, size_t *which,
				 const struct ipcu_select *select, bool now)
{
	struct timespec past = ipcu_deadline_in(0);

	return ipcu_queue_wait_any(queues, 2, which, select, now ? &ipcu_no_wait : &past);
}

/* A message that is there is found whatever the deadline is, each time. */
static void look_first(const char *body, size_t size)
{
	static const struct ipcu_select of_type_7 = { IPCU_PICK_TYPE, 7 },
					of_type_8 = { IPCU_PICK_TYPE, 8 };
	ipcu_queue *queues[] = { open_queue("key:0x6001"), open_queue("key:0x6002") };
	long found = 0, typed = 0, none = 0, missing = 0, repeat = rounds("ROUNDS", 200);
	size_t which;

	none += wait_any(queues, &which, NULL, false) == IPCU_NOT_NOW &&
		ipcu_last_error()->errnum == ETIMEDOUT;
	none += wait_any(queues, &which, NULL, true) == IPCU_NOT_NOW &&
		ipcu_last_error()->errnum == EAGAIN;
	is_number(none, 2, "empty queues: timed out, and not now");
	ipcu_queue_send(queues[1], 7, body, size, NULL);
	for (long i = 0; i < repeat; i++) {
		found += wait_any(queues, &which, NULL, i % 2) == IPCU_OK && which == 1;
		typed += wait_any(queues, &which, &of_type_7, i % 2) == IPCU_OK && which == 1;
		missing += wait_any(queues, &which, &of_type_8, i % 2) == IPCU_NOT_NOW;
	}
	is_number(found, repeat, "a message that is there is found after the deadline");
	is_number(typed, repeat, "... one of a type, too");
	is_number(missing, repeat, "... and one of another type is not");
	for (int i = 0; i < 2; i++)
		ipcu_queue_close(queues[i]);
	ipcu_remove("key:0x6001", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
	ipcu_remove("key:0x6002", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
}

/* Looking at a queue leaves a message of zero bytes where it is. */
static void order_stays(const char *name)
{
	ipcu_queue *queues[] = { open_queue(name), open_queue("kept-other") };
	struct ipcu_message message = { 0 };
	struct timespec deadline = ipcu_deadline_in(LONG_ENOUGH);
	size_t which;

	ipcu_queue_send(queues[0], 1, "", 0, NULL);
	ipcu_queue_send(queues[0], 2, "x", 1, NULL);
	is_result(ipcu_queue_wait_any(queues, 2, &which, NULL, &deadline), IPCU_OK,
		  "waits for what is there");
	is_result(ipcu_queue_receive(queues[0], &message, NULL, &ipcu_no_wait), IPCU_OK,
		  "receives it");
	ok(message.type == 1 && message.size == 0, "the message of zero bytes is still the first");
	ipcu_message_clear(&message);
	for (int i = 0; i < 2; i++)
		ipcu_queue_close(queues[i]);
	ipcu_remove(name, IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
	ipcu_remove("kept-other", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
}

int main(void)
{
	deadline_for_all(60);
	big_into_full();
	back_with_room();
	both_taken();
	look_first("x", 1);
	look_first("", 0);
	order_stays("kept-order");
	order_stays("key:0x6003");
	return done();
}
