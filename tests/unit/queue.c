/* SPDX-License-Identifier: MIT
 * queue.c - the queue calls of the library
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "tap.h"

static void send_and_receive(ipcu_queue *queue)
{
	struct ipcu_message message = { 0 };

	is_result(ipcu_queue_send(queue, 7, "hello", 5, NULL), IPCU_OK, "sends");
	is_result(ipcu_queue_receive(queue, &message, NULL, NULL), IPCU_OK, "receives");
	is_number(message.type, 7, "the type arrives");
	ok(message.size == 5 && memcmp(message.body, "hello", 5) == 0, "the body arrives");
	ipcu_message_clear(&message);
}

static void wait_for_nothing(ipcu_queue *queue)
{
	struct ipcu_message message = { 0 };
	struct timespec deadline = ipcu_deadline_in(20000000);

	is_result(ipcu_queue_receive(queue, &message, NULL, &deadline), IPCU_NOT_NOW,
		  "an empty queue times out");
	is_number(ipcu_last_error()->errnum, ETIMEDOUT, "and says so");
	ipcu_message_clear(&message);
}

int main(void)
{
	static const char large[100000];
	ipcu_queue *queue;

	deadline_for_all(60);
	if (!is_result(ipcu_queue_open(&queue, "unit-queue", NULL), IPCU_OK, "opens and creates"))
		return done();
	send_and_receive(queue);
	wait_for_nothing(queue);
	is_result(ipcu_queue_send(queue, 0, "", 0, NULL), IPCU_USAGE, "type 0 is refused");
	is_result(ipcu_queue_send(queue, 0, large, sizeof(large), NULL), IPCU_USAGE,
		  "... of a big message, too");
	ipcu_queue_close(queue);
	is_result(ipcu_remove("unit-queue", IPCU_KIND_QUEUE, 0), IPCU_OK, "is removed");
	return done();
}
