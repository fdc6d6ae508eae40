/* SPDX-License-Identifier: MIT
 * queue.c - queues and names under many hands at once
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../unit/tap.h"

/* Run WORK in COUNT processes that begin together; how many failed. */
static int together(int count, int (*work)(int number, void *context), void *context)
{
	int start[2], failures = 0, status;
	char go;

	if (pipe(start) < 0)
		return count;
	for (int i = 0; i < count; i++)
		if (fork() == 0) {
			alarm(60);
			close(start[1]);
			if (read(start[0], &go, 1) < 0)
				_exit(1);
			_exit(work(i, context));
		}
	close(start[0]);
	close(start[1]); /* end of file: all begin */
	for (int i = 0; i < count; i++)
		failures += wait(&status) < 0 || status != 0;
	return failures;
}

static enum ipcu_result count_one(const struct ipcu_info *info, void *context)
{
	++*(int *)context;
	(void)info;
	return IPCU_OK;
}

static int names(void)
{
	int count = 0;

	ipcu_list(geteuid(), 0, count_one, &count);
	return count;
}

/* ---- creating ------------------------------------------------------------------ */

static int create_and_send(int number, void *context)
{
	ipcu_queue *queue;
	char name[32];

	snprintf(name, sizeof(name), "race-%d", context ? number : 0);
	return ipcu_queue_open(&queue, name, NULL) != IPCU_OK ||
	       ipcu_queue_send(queue, 1 + number, "", 0, NULL) != IPCU_OK;
}

static void creators(void)
{
	long repeat = rounds("ROUNDS", 20);
	bool all_same = true, all_there = true, all_apart = true;

	for (long i = 0; i < repeat; i++) {
		struct ipcu_queue_info info = { 0 };
		ipcu_queue *queue;

		all_there &= together(50, create_and_send, NULL) == 0;
		all_same &= names() == 1;
		all_there &= ipcu_queue_open(&queue, "race-0", NULL) == IPCU_OK &&
			     ipcu_queue_status(queue, &info) == IPCU_OK && info.messages == 50;
		ipcu_queue_close(queue);
		ipcu_remove("race-0", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
		all_apart &= together(50, create_and_send, &repeat) == 0 && names() == 50;
		for (int n = 0; n < 50; n++) {
			char name[32];

			snprintf(name, sizeof(name), "race-%d", n);
			all_apart &= ipcu_remove(name, IPCU_KIND_ANY, IPCU_REMOVE_FORCE) == IPCU_OK;
		}
	}
	ok(all_same, "50 creators of one name make one object");
	ok(all_there, "and all of them use it");
	ok(all_apart, "50 creators of different names get 50 objects");
}

/* The registry itself comes and goes all the time here. */
static int churn(int number, void *context)
{
	long repeat = *(long *)context;
	char name[32];

	for (long i = 0; i < repeat; i++) {
		ipcu_queue *queue;
		enum ipcu_result result;

		snprintf(name, sizeof(name), "churn-%d", number % 3);
		result = ipcu_queue_open(&queue, name, NULL);
		if (result != IPCU_OK)
			return fprintf(stderr, "# open: %s\n", ipcu_last_error()->message), 1;
		ipcu_queue_close(queue);
		result = ipcu_remove(name, IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
		if (result != IPCU_OK && result != IPCU_NOT_FOUND)
			return fprintf(stderr, "# remove: %s\n", ipcu_last_error()->message), 1;
	}
	return 0;
}

static void create_and_remove(void)
{
	long repeat = rounds("ROUNDS", 200);

	is_number(together(8, churn, &repeat), 0, "creating and removing side by side");
	is_number(names(), 0, "leaves no name");
}

/* ---- a message at the very deadline ----------------------------------------------- */

struct lottery {
	ipcu_queue *queues[3];
	size_t count;
	size_t size;
	long rounds;
};

static int send_late(int number, void *context)
{
	struct lottery *lottery = context;
	static const char body[20000];

	(void)number;
	for (long i = 0; i < lottery->rounds; i++) {
		struct timespec pause = { 0, (i * 7919) % 400000 };

		nanosleep(&pause, NULL);
		if (ipcu_queue_send(lottery->queues[(size_t)i % lottery->count], 1, body,
				    lottery->size, NULL) != IPCU_OK)
			return 1;
	}
	return 0;
}

static void deadlines(const char *what, size_t count, size_t size)
{
	struct lottery lottery = { .count = count, .size = size, .rounds = rounds("ROUNDS", 2000) };
	struct ipcu_message message = { 0 };
	long received = 0, timed_out = 0;
	bool right = true;
	int status = 0;
	pid_t sender;
	char name[32];

	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "late-%zu", i);
		right &= ipcu_queue_open(&lottery.queues[i], name, NULL) == IPCU_OK;
	}
	sender = fork();
	if (sender == 0)
		_exit(send_late(0, &lottery));
	while (received < lottery.rounds && right) {
		struct timespec deadline = ipcu_deadline_in(150000);
		size_t which;
		enum ipcu_result result = ipcu_queue_receive_any(lottery.queues, count, &which,
								 &message, NULL, &deadline);

		if (result == IPCU_OK) {
			received++;
			right &= message.size == size;
		} else if (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == ETIMEDOUT) {
			/* Now and then the sender is done, and something is missing. */
			if (++timed_out % 1000 == 0 &&
			    waitpid(sender, &status, WNOHANG) == sender) {
				sender = 0;
				if (timed_out > 100 * lottery.rounds)
					break;
			}
		} else {
			right = false;
		}
	}
	if (sender)
		waitpid(sender, &status, 0);
	ok(right && status == 0, "%s: nothing but messages and timeouts (%ld of those)", what,
	   timed_out);
	is_number(received, lottery.rounds, "each message once");
	is_result(ipcu_queue_receive_any(lottery.queues, count, &(size_t){ 0 }, &message, NULL,
					 &(struct timespec){ 0, 0 }),
		  IPCU_NOT_NOW, "and none twice");
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "late-%zu", i);
		ipcu_queue_close(lottery.queues[i]);
		ipcu_remove(name, IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
	}
	ipcu_message_clear(&message);
}

/* ---- many receivers ----------------------------------------------------------------- */

struct tally {
	size_t queues;
	unsigned char *seen; /* shared: how often each message came */
};

static int receive_all(int number, void *context)
{
	struct tally *tally = context;
	ipcu_queue *queues[2];
	struct ipcu_message message = { 0 };
	size_t which;

	(void)number;
	if (ipcu_queue_open(&queues[0], "many-0", NULL) != IPCU_OK ||
	    ipcu_queue_open(&queues[1], "many-1", NULL) != IPCU_OK)
		return 1;
	while (ipcu_queue_receive_any(queues, tally->queues, &which, &message, NULL, NULL) ==
	       IPCU_OK) {
		long index;

		if (message.size != sizeof(index)) /* the end */
			return message.size != 1;
		memcpy(&index, message.body, sizeof(index));
		__atomic_fetch_add(&tally->seen[index], 1, __ATOMIC_RELAXED);
	}
	return 1;
}

static void competitors(size_t queue_count, long messages)
{
	struct tally tally = { queue_count, mmap(NULL, (size_t)messages, PROT_READ | PROT_WRITE,
						 MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	ipcu_queue *queues[2];
	long once = 0;
	bool sent = true;
	pid_t receivers;
	int status;

	ipcu_queue_open(&queues[0], "many-0", NULL);
	ipcu_queue_open(&queues[1], "many-1", NULL);
	receivers = fork();
	if (receivers == 0)
		_exit(together(20, receive_all, &tally));
	for (long i = 0; i < messages; i++)
		sent &= ipcu_queue_send(queues[(size_t)i % queue_count], 1, &i, sizeof(i), NULL) ==
			IPCU_OK;
	for (int i = 0; i < 20; i++)
		sent &= ipcu_queue_send(queues[0], 1, "", 1, NULL) == IPCU_OK;
	waitpid(receivers, &status, 0);
	for (long i = 0; i < messages; i++)
		once += tally.seen[i] == 1;
	ok(sent && status == 0, "20 receivers of %zu queues end well", queue_count);
	is_number(once, messages, "each message came to one of them");
	munmap(tally.seen, (size_t)messages);
	ipcu_queue_close(queues[0]);
	ipcu_queue_close(queues[1]);
	ipcu_remove("many-0", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
	ipcu_remove("many-1", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
}

/* ---- bodies that are removed while others are received ------------------------------ */

static int send_big(int number, void *context)
{
	static const char body[20000];
	ipcu_queue *queue;

	(void)number;
	if (ipcu_queue_open(&queue, "reaped", NULL) != IPCU_OK)
		return 1;
	for (long i = *(long *)context; i > 0; i--)
		if (ipcu_queue_send(queue, 1, body, i % 3 ? 10 : sizeof(body), NULL) != IPCU_OK)
			return 1;
	return 0;
}

static int receive_big(int number, void *context)
{
	struct ipcu_message message = { 0 };
	ipcu_queue *queue;

	(void)number;
	if (ipcu_queue_open(&queue, "reaped", NULL) != IPCU_OK)
		return 1;
	for (long i = *(long *)context; i > 0; i--)
		if (ipcu_queue_receive(queue, &message, NULL, NULL) != IPCU_OK) {
			fprintf(stderr, "# receive: %s\n", ipcu_last_error()->message);
			ipcu_remove("reaped", IPCU_KIND_ANY,
				    IPCU_REMOVE_FORCE); /* ends the sender */
			return 1;
		}
	return 0;
}

static int send_or_receive(int number, void *context)
{
	return number ? receive_big(number, context) : send_big(number, context);
}

/* ipc-rm --stale as fast as it can, while a sender and a receiver shift the queue. */
static void reaped(void)
{
	long messages = rounds("MESSAGES", 6000);
	pid_t workers;
	long reaps = 0;
	int status = -1;

	workers = fork();
	if (workers == 0)
		_exit(together(2, send_or_receive, &messages));
	for (; waitpid(workers, &status, WNOHANG) == 0; reaps++)
		ipcu_remove_stale(0, 0, NULL, NULL);
	is_number(status, 0, "no body is removed that is still to be received");
	printf("# %ld looks for bodies\n", reaps);
	ipcu_remove("reaped", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
}

/* ---- removal ------------------------------------------------------------------------- */

static int wait_for_removal(int number, void *context)
{
	ipcu_queue *queues[2];
	struct ipcu_message message = { 0 };
	size_t which;
	static const char much[8000];
	enum ipcu_result result = IPCU_OK;

	(void)context;
	if (ipcu_queue_open(&queues[0], "gone-0", NULL) != IPCU_OK ||
	    ipcu_queue_open(&queues[1], "gone-1", NULL) != IPCU_OK)
		return 1;
	if (number % 3 == 0)
		result = ipcu_queue_receive(queues[0], &message, NULL, NULL);
	else if (number % 3 == 1)
		result = ipcu_queue_receive_any(queues, 2, &which, &message,
						&(struct ipcu_select){ IPCU_PICK_TYPE, 9 }, NULL);
	else
		while (result == IPCU_OK)
			result = ipcu_queue_send(queues[1], 1, much, sizeof(much), NULL);
	return result != IPCU_NOT_FOUND;
}

static void count_waiter(const struct ipcu_user *user, void *context)
{
	(void)user;
	++*(int *)context;
}

static enum ipcu_result count_waiters(const struct ipcu_info *info, void *context)
{
	ipcu_users(IPCU_KIND_QUEUE, info->id, count_waiter, context);
	return IPCU_OK;
}

static void removal(void)
{
	ipcu_queue *queue;
	int status, waiting = 0;
	pid_t waiters;

	ok(ipcu_queue_open(&queue, "gone-0", NULL) == IPCU_OK, "a queue to receive from");
	ipcu_queue_close(queue);
	ok(ipcu_queue_open(&queue, "gone-1", NULL) == IPCU_OK, "and one to fill");
	ipcu_queue_close(queue);
	waiters = fork();
	if (waiters == 0)
		_exit(together(30, wait_for_removal, NULL));
	/* 20 wait on the first and 20 on the second, 10 of them on both. */
	while (waiting < 40) {
		waiting = 0;
		ipcu_list(geteuid(), 0, count_waiters, &waiting);
	}
	ipcu_remove("gone-0", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
	ipcu_remove("gone-1", IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
	waitpid(waiters, &status, 0);
	is_number(status, 0, "all 30 waiters learn of the removal");
}

int main(void)
{
	deadline_for_all(120);
	creators();
	create_and_remove();
	deadlines("one queue", 1, 10);
	deadlines("three queues", 3, 10);
	deadlines("three queues, zero bytes", 3, 0);
	deadlines("big messages", 1, 20000);
	competitors(1, rounds("MESSAGES", 100000));
	competitors(2, rounds("MESSAGES", 100000) / 10);
	reaped();
	removal();
	return done();
}
