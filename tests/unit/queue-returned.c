/* SPDX-License-Identifier: MIT
 * queue-returned.c - messages that return to a queue which is full meanwhile
 */
#include <config.h>

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "name.h"
#include "queue.h"
#include "returned.h"
#include "tap.h"

#define LONG_ENOUGH INT64_C(20000000000) /* twenty seconds */

static const struct ipcu_select of_type_5 = { IPCU_PICK_TYPE, 5 };

/* Once a message was refused by this queue, other receivers empty it before the message is stored. */
static int emptied = -1;

/* This queue refuses every message, with this errno; a queue of returned messages has room for one byte. */
static int refuses = -1, refuses_with;

static void make_tiny(int id)
{
	struct msqid_ds state;

	ipcu_stat_queue(id, &state);
	state.msg_qbytes = 1;
	msgctl(id, IPC_SET, &state);
}

int msgsnd(int id, const void *message, size_t size, int flags)
{
	int (*real)(int, const void *, size_t, int) =
		(int (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "msgsnd");
	int result, errnum;
	struct {
		long type;
		char body[64];
	} any;

	if (id == refuses) {
		errno = refuses_with;
		return -1;
	}
	if (refuses >= 0)
		make_tiny(id);
	result = real(id, message, size, flags);
	errnum = errno;

	if (result < 0 && errnum == EAGAIN && id == emptied) {
		while (msgrcv(id, &any, sizeof(any.body), 0, IPC_NOWAIT | MSG_NOERROR) >= 0)
			;
		emptied = -1;
	}
	errno = errnum;
	return result;
}

static ipcu_queue *open_mode(const char *name, mode_t mode)
{
	struct ipcu_open how = { .create = IPCU_CREATE_ALWAYS, .mode = mode };
	ipcu_queue *queue = NULL;

	is_result(ipcu_queue_open(&queue, name, &how), IPCU_OK, name);
	return queue;
}

static void done_with(ipcu_queue *queue, const char *name)
{
	ipcu_queue_close(queue);
	is_result(ipcu_remove(name, IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}

/* Fill QUEUE with messages of type 1; how many there are. */
static long fill(ipcu_queue *queue)
{
	long count = 0;

	while (ipcu_queue_send(queue, 1, "0123456789abcdef", 16, &ipcu_no_wait) == IPCU_OK)
		count++;
	return count;
}

/* How many queues of returned messages QUEUE has. */
static unsigned stores(ipcu_queue *queue)
{
	int ids[IPCU_RETURNED_MAX];

	return ipcu_returned_find(&queue->object.perm, ids);
}

static uint64_t messages(ipcu_queue *queue)
{
	struct ipcu_queue_info info = { 0 };

	ipcu_queue_status(queue, &info);
	return info.messages;
}

static enum ipcu_result receive(ipcu_queue *queue, struct ipcu_message *message,
				const struct ipcu_select *select)
{
	return ipcu_queue_receive(queue, message, select, &ipcu_no_wait);
}

/* ---- storing ------------------------------------------------------------- */

static void whole(const char *name)
{
	static char big[100000];
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_mode(name, 0600), *other;
	long count = fill(queue);

	memset(big, 'b', sizeof(big));
	is_number(stores(queue), 0, "no queue has a second one before it is needed");
	is_result(ipcu_queue_return_message(queue, 5, "five", 4), IPCU_OK, "a message returns");
	is_result(ipcu_queue_return_message(queue, 6, "", 0), IPCU_OK, "an empty one");
	if (queue->object.named)
		is_result(ipcu_queue_return_message(queue, 7, big, sizeof(big)), IPCU_OK,
			  "a big one");
	is_number((long long)ipcu_queue_kept(queue), 0, "the handle keeps none");
	is_number(stores(queue), 1, "they are in one queue");
	is_number((long long)messages(queue), count + 2 + queue->object.named, "they count");
	ipcu_queue_close(queue);
	is_result(ipcu_remove_stale(0, 0, NULL, NULL), IPCU_OK, "what is stale is removed");

	other = open_mode(name, 0600);
	/* An empty message fits into a queue that is full, where it has no marker. */
	is_result(ipcu_queue_peek(other, (size_t)count + !other->object.named, &message), IPCU_OK,
		  "peek shows them");
	ok(message.type == 5 && message.size == 4 && memcmp(message.body, "five", 4) == 0,
	   "... whole");
	is_result(ipcu_queue_peek(other, 100000, &message), IPCU_NOT_NOW, "... and no more");
	is_result(receive(other, &message, &of_type_5), IPCU_OK, "a different handle receives one");
	ok(message.size == 4 && memcmp(message.body, "five", 4) == 0, "... whole");
	is_result(receive(other, &message, &of_type_5), IPCU_NOT_NOW, "... once");
	is_result(receive(other, &message, &(struct ipcu_select){ IPCU_PICK_NOT_TYPE, 1 }), IPCU_OK,
		  "... the next");
	ok(message.type == 6 && message.size == 0, "... which is empty");
	if (other->object.named) {
		is_result(receive(other, &message, &(struct ipcu_select){ IPCU_PICK_TYPE, 7 }),
			  IPCU_OK, "... the big one");
		ok(message.size == sizeof(big) && memcmp(message.body, big, sizeof(big)) == 0,
		   "... whole");
	}
	ipcu_message_clear(&message);
	done_with(other, name);
}

/* A queue that never runs empty does not hide what has returned to it. */
static void in_turn(void)
{
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_mode("returned-turn", 0600);
	long found = 0;

	fill(queue);
	receive(queue, &message, NULL); /* the first one looks */
	fill(queue);
	ipcu_queue_return_message(queue, 5, "five", 4);
	for (int i = 0; i < 200 && !found; i++) {
		if (receive(queue, &message, NULL) == IPCU_OK && message.type == 5)
			found = i + 1;
		fill(queue);
	}
	ok(found > 1 && found <= 64, "it is received after %ld messages", found);
	ipcu_message_clear(&message);
	done_with(queue, "returned-turn");
}

/* More than one queue of returned messages, and the end of what can return. */
static void many(void)
{
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_mode("returned-many", 0600);
	char body[4096] = "";
	long count = fill(queue), returned = 0, received = 0;

	while (ipcu_queue_return_message(queue, 5, body, sizeof(body)) == IPCU_OK &&
	       !ipcu_queue_kept(queue))
		returned++;
	is_number(stores(queue), IPCU_RETURNED_MAX, "there is a limit");
	is_number((long long)ipcu_queue_kept(queue), 1, "beyond it the handle keeps the message");
	while (receive(queue, &message, NULL) == IPCU_OK)
		received++;
	is_number(received, count + returned + 1, "all are received, each once");
	ipcu_message_clear(&message);
	done_with(queue, "returned-many");
	is_number(stores(queue = open_mode("returned-many", 0600)), 0, "none is left");
	done_with(queue, "returned-many");
}

/* A message that is too big for every second queue creates one of them, not all. */
static void too_big(void)
{
	ipcu_queue *queue = open_mode("returned-big", 0600);

	refuses = queue->object.id;
	refuses_with = EAGAIN;
	for (int i = 0; i < 3; i++)
		ipcu_queue_return_message(queue, 5, "five", 4);
	refuses = -1;
	is_number((long long)ipcu_queue_kept(queue), 3, "the handle keeps what is too big");
	is_number(stores(queue), 1, "... and creates no more than one queue for it");
	done_with(queue, "returned-big");
}

/* kernel.msgmax was lowered after the message was sent. */
static void over_the_limit(void)
{
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_mode("returned-limit", 0600);

	refuses = queue->object.id;
	refuses_with = EINVAL;
	is_result(ipcu_queue_return_message(queue, 5, "five", 4), IPCU_OK, "it returns");
	is_result(ipcu_queue_put_back(queue, &ipcu_no_wait), IPCU_SYSTEM, "... not to the queue");
	ok(ipcu_last_error()->errnum == EMSGSIZE, "the error says that the message is too long");
	refuses = -1;
	is_number((long long)ipcu_queue_kept(queue), 1, "a message over kernel.msgmax is kept");
	is_result(receive(queue, &message, &of_type_5), IPCU_OK, "... and received");
	ipcu_message_clear(&message);
	done_with(queue, "returned-limit");
}

/*
 * A queue of a different program has the first key while messages return, and is removed: a receiver that has looked before
 * finds them all the same.
 */
static void first_key_used(void)
{
	struct timespec deadline = ipcu_deadline_in(LONG_ENOUGH);
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_mode("returned-first", 0600);
	char derived[32];
	long count = fill(queue);
	int first;

	snprintf(derived, sizeof(derived), ":returned:%08x",
		 (unsigned)PERM_KEY(queue->object.perm));
	first = msgget(ipcu_name_derive(geteuid(), derived, 0), IPC_CREAT | IPC_EXCL | 0600);
	ok(first >= 0, "a different program has the first key");
	receive(queue, &message, NULL);
	fill(queue);
	ipcu_queue_return_message(queue, 5, "five", 4);
	is_number(stores(queue), 1, "a message returns to the second key");
	msgctl(first, IPC_RMID, NULL);
	is_number((long long)messages(queue), count + 1, "it counts after the first key is free");
	while (ipcu_queue_receive(queue, &message, NULL, &deadline) == IPCU_OK)
		if (message.type == 5)
			break;
	ok(message.type == 5, "... and is received");
	ipcu_message_clear(&message);
	done_with(queue, "returned-first");
}

/* ---- waking -------------------------------------------------------------- */

/* Receivers emptied the queue and went to sleep between the refusal of a message and its storing. */
static void wakes(void)
{
	struct msqid_ds state;
	ipcu_queue *queue = open_mode("returned-wakes", 0600);

	fill(queue);
	emptied = queue->object.id;
	is_result(ipcu_queue_return_message(queue, 5, "five", 4), IPCU_OK, "it returns");
	ok(ipcu_stat_queue(queue->object.id, &state) == 0 && state.msg_qnum == 1,
	   "it is in the queue itself, where sleepers see it");
	is_number((long long)messages(queue), 1, "... once");
	done_with(queue, "returned-wakes");
}

static void count_one(const struct ipcu_user *user, void *context)
{
	(void)user;
	++*(int *)context;
}

static void until_waited_for(ipcu_queue *queue)
{
	struct timespec pause = { 0, 1000000 };
	int waiting = 0;

	while (!waiting) {
		ipcu_users(IPCU_KIND_QUEUE, queue->object.id, count_one, &waiting);
		nanosleep(&pause, NULL);
	}
}

/* A receiver of one type sleeps while messages of another type fill the queue. */
static void wakes_a_type(bool several, bool forever)
{
	ipcu_queue *queues[] = { open_mode("returned-type", 0600),
				 open_mode("returned-other", 0600) };
	struct timespec deadline = ipcu_deadline_in(LONG_ENOUGH);
	struct ipcu_message message = { 0 };
	size_t which;
	pid_t receiver;
	int status;

	fill(queues[0]);
	receiver = fork();
	if (receiver == 0)
		_exit((int)ipcu_queue_receive_any(queues, several ? 2 : 1, &which, &message,
						  &of_type_5, forever ? NULL : &deadline));
	until_waited_for(queues[0]);
	ipcu_queue_return_message(queues[0], 5, "five", 4);
	waitpid(receiver, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == IPCU_OK, "it receives what returns");
	done_with(queues[0], "returned-type");
	done_with(queues[1], "returned-other");
}

/* The queue was not empty when the message was stored, and was emptied after that: its receivers look, or are woken. */
static void looks_asleep(bool several)
{
	ipcu_queue *queues[] = { open_mode("returned-asleep", 0600),
				 open_mode("returned-other", 0600) };
	struct timespec deadline = ipcu_deadline_in(LONG_ENOUGH);
	struct ipcu_message message = { 0 };
	struct {
		long type;
		char body[4];
	} stored = { 5, "five" };
	int ids[IPCU_RETURNED_MAX], status;
	size_t which;
	pid_t receiver;

	fill(queues[0]);
	ipcu_queue_return_message(queues[0], 5, "five", 4);
	while (receive(queues[0], &message, NULL) == IPCU_OK)
		;
	receiver = fork();
	if (receiver == 0)
		_exit((int)ipcu_queue_receive_any(queues, several ? 2 : 1, &which, &message, NULL,
						  &deadline));
	until_waited_for(queues[0]);
	ok(ipcu_returned_find(&queues[0]->object.perm, ids) == 1 &&
		   msgsnd(ids[0], &stored, sizeof(stored.body), IPC_NOWAIT) == 0,
	   "a message is stored while a receiver sleeps");
	waitpid(receiver, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == IPCU_OK, "it receives the message");
	ipcu_message_clear(&message);
	done_with(queues[0], "returned-asleep");
	done_with(queues[1], "returned-other");
}

static void moves_at_close(void)
{
	static const struct ipcu_select of_type_1 = { IPCU_PICK_TYPE, 1 };
	ipcu_queue *queue = open_mode("returned-close", 0600),
		   *other = open_mode("returned-close", 0600);
	struct ipcu_message message = { 0 };
	struct msqid_ds state;

	fill(queue);
	ipcu_queue_return_message(queue, 5, "five", 4);
	while (receive(other, &message, &of_type_1) == IPCU_OK)
		;
	ok(ipcu_stat_queue(queue->object.id, &state) == 0 && state.msg_qnum == 0,
	   "a receiver has emptied the queue");
	ipcu_message_clear(&message);
	ipcu_queue_close(other);
	ok(ipcu_stat_queue(queue->object.id, &state) == 0 && state.msg_qnum == 1,
	   "when it closes the queue, the message moves there");
	is_result(receive(queue, &message, &of_type_5), IPCU_OK, "... and is received");
	is_number((long long)messages(queue), 0, "... once");
	ipcu_message_clear(&message);
	done_with(queue, "returned-close");
}

static void looks(void)
{
	ipcu_queue *queues[] = { open_mode("returned-look", 0600) };
	size_t which;

	fill(queues[0]);
	ipcu_queue_return_message(queues[0], 5, "five", 4);
	is_result(ipcu_queue_wait_any(queues, 1, &which, &of_type_5, &ipcu_no_wait), IPCU_OK,
		  "a wait finds what has returned");
	done_with(queues[0], "returned-look");
}

/* ---- permissions --------------------------------------------------------- */

static unsigned mode_of_store(ipcu_queue *queue)
{
	int ids[IPCU_RETURNED_MAX];
	struct msqid_ds state;

	if (ipcu_returned_find(&queue->object.perm, ids) == 0 ||
	    ipcu_stat_queue(ids[0], &state) < 0)
		return 0;
	return state.msg_perm.mode & 0666;
}

static void set_mode(ipcu_queue *queue, unsigned mode)
{
	struct msqid_ds state;

	ipcu_stat_queue(queue->object.id, &state);
	state.msg_perm.mode = (unsigned short)mode;
	ok(msgctl(queue->object.id, IPC_SET, &state) == 0, "the queue gets mode %o", mode);
}

static void grants_no_more(void)
{
	static const struct {
		mode_t mode;
		unsigned stores;
	} all[] = { { 0600, 0 }, { 0622, 0 }, { 0644, 0 }, { 0660, 1 }, { 0606, 1 }, { 0666, 1 } };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ipcu_queue *queue = open_mode("returned-mode", all[i].mode);

		ok(stores(queue) == all[i].stores,
		   "mode %o: others can return messages if they can take them",
		   (unsigned)all[i].mode);
		fill(queue);
		ipcu_queue_return_message(queue, 5, "five", 4);
		ok(mode_of_store(queue) == all[i].mode, "the second queue has the mode %o",
		   (unsigned)all[i].mode);
		set_mode(queue, 0600);
		ipcu_queue_return_message(queue, 5, "five", 4);
		is_number(mode_of_store(queue), 0600, "... and loses what the queue loses");
		done_with(queue, "returned-mode");
	}
}

/* ---- the queue goes ------------------------------------------------------ */

static void count_what(const char *what, void *context)
{
	*(unsigned *)context += strstr(what, "returned to a queue that is gone") != NULL;
}

static unsigned stale(unsigned flags)
{
	unsigned count = 0;

	ipcu_remove_stale(0, flags, count_what, &count);
	return count;
}

/* What returned to a queue that a different program removed is not received from the next one. */
static void removed(void)
{
	struct ipcu_message message = { 0 };
	ipcu_queue *queue = open_mode("returned-gone", 0600);

	fill(queue);
	ipcu_queue_return_message(queue, 5, "five", 4);
	msgctl(queue->object.id, IPC_RMID, NULL);
	is_result(ipcu_queue_return_message(queue, 5, "five", 4), IPCU_OK,
		  "a removed queue takes its messages with it");
	ipcu_queue_close(queue);
	queue = open_mode("returned-gone", 0600);
	is_result(receive(queue, &message, NULL), IPCU_NOT_NOW, "the next queue is empty");
	is_number(stores(queue), 0, "... and has no second one");
	done_with(queue, "returned-gone");

	queue = open_mode("key:0x6004", 0600);
	fill(queue);
	ipcu_queue_return_message(queue, 5, "five", 4);
	is_number(stale(0), 0, "what has a queue is not stale");
	msgctl(queue->object.id, IPC_RMID, NULL);
	is_number(stale(IPCU_REMOVE_DRY_RUN), 1, "what has none is");
	is_number(stale(0), 1, "... and removed");
	is_number(stale(0), 0, "... once");
	ipcu_queue_close(queue);

	queue = open_mode("key:0x6004", 0600);
	fill(queue);
	ipcu_queue_return_message(queue, 5, "five", 4);
	msgctl(queue->object.id, IPC_RMID, NULL);
	ipcu_queue_close(queue);
	queue = open_mode("key:0x6004", 0600);
	is_result(receive(queue, &message, NULL), IPCU_NOT_NOW,
		  "the next queue on the key is empty");
	done_with(queue, "key:0x6004");
}

/* A queue without a key has no second one. */
static void private(void)
{
	char name[32];
	int id = msgget(IPC_PRIVATE, 0600);
	ipcu_queue *queue;

	snprintf(name, sizeof(name), "id:%d", id);
	queue = open_mode(name, 0600);
	fill(queue);
	ipcu_queue_return_message(queue, 5, "five", 4);
	is_number((long long)ipcu_queue_kept(queue), 1, "the handle keeps the message");
	is_number(stores(queue), 0, "there is no second queue");
	done_with(queue, name);
}

int main(void)
{
	deadline_for_all(120);
	whole("returned-whole");
	whole("key:0x6005");
	in_turn();
	many();
	too_big();
	over_the_limit();
	first_key_used();
	wakes();
	for (int i = 0; i < 4; i++)
		wakes_a_type(i & 1, i & 2);
	looks_asleep(false);
	looks_asleep(true);
	moves_at_close();
	looks();
	grants_no_more();
	removed();
	private();
	return done();
}
