/* SPDX-License-Identifier: MIT
 * deadline.c - deadlines, the signal that ends calls, and waiting for several queues
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "deadline.h"
#include "queue.h"
#include "tap.h"

static void arithmetic(void)
{
	struct timespec now = ipcu_deadline_in(0), before = ipcu_deadline_in(-5), far, left;

	ok(before.tv_sec - now.tv_sec <= 1, "a time in the past is now");
	far = ipcu_deadline_in(INT64_MAX);
	ok(far.tv_sec > now.tv_sec + 1000000 && far.tv_nsec < 1000000000,
	   "for ever does not overflow");
	far = ipcu_deadline_in(999999999);
	ok(far.tv_nsec >= 0 && far.tv_nsec < 1000000000, "nanoseconds carry");
	ok(ipcu_deadline_passed(&ipcu_no_wait) && ipcu_deadline_passed(&now) &&
		   !ipcu_deadline_passed(&far) && !ipcu_deadline_passed(NULL),
	   "what has passed and what has not");
	left = ipcu_deadline_left(&ipcu_no_wait);
	ok(left.tv_sec == 0 && left.tv_nsec == 0, "nothing is left of what has passed");
	left = ipcu_deadline_left(&far);
	ok(left.tv_sec == 0 && left.tv_nsec > 0, "and something of what has not");
}

static void handler(int signo)
{
	(void)signo;
}

/* In a process that uses every real-time signal itself. */
static void no_signal_left(ipcu_queue *const queues[2])
{
	struct timespec soon = ipcu_deadline_in(20000000);
	struct ipcu_message message = { 0 };
	pid_t pid = fork();
	size_t which;
	int status;

	if (pid == 0) {
		bool good;

		for (int signo = SIGRTMIN; signo <= SIGRTMAX; signo++)
			signal(signo, handler);
		good = ipcu_queue_receive(queues[0], &message, NULL, &soon) != IPCU_OK &&
		       ipcu_queue_receive_any(queues, 2, &which, &message, NULL, NULL) ==
			       IPCU_SYSTEM &&
		       strstr(ipcu_last_error()->message, "real-time signal") != NULL;
		_exit(good ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "a process without a free signal is told so, and does not wait for ever");
}

static void signal_of_choice(ipcu_queue *queue)
{
	struct timespec soon = ipcu_deadline_in(20000000);
	struct ipcu_message message = { 0 };
	struct sigaction action;

	is_result(ipcu_signal_use(0), IPCU_USAGE, "0 is no signal");
	is_result(ipcu_signal_use(SIGKILL), IPCU_USAGE, "SIGKILL cannot be handled");
	is_result(ipcu_signal_use(9999), IPCU_USAGE, "there is no signal 9999");
	is_result(ipcu_signal_use(SIGRTMIN + 3), IPCU_OK, "a signal of one's own choice");
	sigaction(SIGRTMIN + 3, NULL, &action);
	ok(action.sa_handler != SIG_DFL, "has a handler");
	is_result(ipcu_queue_receive(queue, &message, NULL, &soon), IPCU_NOT_NOW,
		  "and ends a wait");
	is_number(ipcu_last_error()->errnum, ETIMEDOUT, "which has timed out");
	ipcu_message_clear(&message);
}

static void several(ipcu_queue *const queues[2])
{
	const struct ipcu_select no_type = { IPCU_PICK_TYPE, 0 };
	struct timespec soon = ipcu_deadline_in(5000000000);
	struct ipcu_message message = { 0 };
	size_t which = 7;

	is_result(ipcu_queue_receive_any(queues, 0, &which, &message, NULL, NULL), IPCU_USAGE,
		  "none of no queues");
	is_result(ipcu_queue_wait_any(queues, 0, &which, NULL, NULL), IPCU_USAGE,
		  "nor a wait for none");
	is_result(ipcu_queue_receive_any(queues, 2, &which, &message, &no_type, NULL), IPCU_USAGE,
		  "types begin at 1");
	is_result(ipcu_queue_receive(queues[0], &message, &no_type, NULL), IPCU_USAGE,
		  "for one queue too");
	is_result(ipcu_queue_send(queues[1], 5, "", 0, NULL), IPCU_OK,
		  "a message of no bytes is sent");
	is_result(ipcu_queue_wait_any(queues, 2, &which, NULL, &soon), IPCU_OK, "and waited for");
	is_number((long long)which, 1, "in the second queue");
	is_result(ipcu_queue_receive_any(queues, 2, &which, &message, NULL, &ipcu_no_wait), IPCU_OK,
		  "it is still there");
	ok(message.type == 5 && message.size == 0, "as it was");
	ipcu_message_clear(&message);
}

static void too_large(ipcu_queue *named)
{
	static char body[100000];
	const struct ipcu_open create = { .create = IPCU_CREATE_ALWAYS };
	ipcu_queue *raw;

	is_result(ipcu_queue_send(named, 1, body, IPCU_MESSAGE_MAX + 1, NULL), IPCU_LIMIT,
		  "over a gigabyte is refused");
	is_result(ipcu_queue_send_at(named, 1, body + 8, IPCU_MESSAGE_MAX + 1, NULL), IPCU_LIMIT,
		  "in place too");
	if (!is_result(ipcu_queue_open(&raw, "key:0x77", &create), IPCU_OK, "a queue on a key"))
		return;
	is_result(ipcu_queue_send(raw, 1, body, sizeof(body), NULL), IPCU_LIMIT,
		  "takes what it can hold");
	is_result(ipcu_queue_send_at(raw, 1, body + 8, sizeof(body) - 8, NULL), IPCU_LIMIT,
		  "in place too");
	ok(strstr(ipcu_last_error()->hint, "a named queue takes any size"), "and says what helps");
	is_result(ipcu_remove("key:0x77", IPCU_KIND_QUEUE, 0), IPCU_OK, "is removed");
	ipcu_queue_close(raw);
}

int main(void)
{
	ipcu_queue *queues[2];

	deadline_for_all(60);
	arithmetic();
	if (!is_result(ipcu_queue_open(&queues[0], "unit-a", NULL), IPCU_OK, "a queue") ||
	    !is_result(ipcu_queue_open(&queues[1], "unit-b", NULL), IPCU_OK, "and another one"))
		return done();
	no_signal_left(queues);
	signal_of_choice(queues[0]);
	several(queues);
	too_large(queues[0]);
	ipcu_queue_close(queues[0]);
	ipcu_queue_close(queues[1]);
	is_result(ipcu_remove("unit-a", IPCU_KIND_QUEUE, 0), IPCU_OK, "are removed");
	is_result(ipcu_remove("unit-b", IPCU_KIND_QUEUE, 0), IPCU_OK, "both");
	return done();
}
