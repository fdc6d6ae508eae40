/* SPDX-License-Identifier: MIT
 * threads.c - several threads use one handle of each kind at once, as the header allows
 *
 * What ThreadSanitizer watches (make check-tsan); the sums are checked everywhere.
 */
#include <config.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "queue.h"
#include "tap.h"

#define THREADS 4
#define TURNS 300

static ipcu_queue *queues[2];
static ipcu_sem *sem;
static ipcu_barrier *barrier;
static ipcu_event *event;
static ipcu_shm *shm;
static ipcu_pipe *pipes[2]; /* the two ends of one */
static _Atomic long received, failures, passed;

static void expect(bool good, const char *what)
{
	if (good)
		return;
	failures++;
	printf("# %s: %s\n", what, ipcu_last_error()->message);
}

static void *send_all(void *unused)
{
	for (int i = 0; i < TURNS; i++) {
		struct timespec deadline = ipcu_deadline_in(5000000000);

		expect(ipcu_queue_send(queues[i % 2], i % 3 + 1, "body", 4, &deadline) == IPCU_OK,
		       "send");
	}
	return unused;
}

static void *receive_all(void *unused)
{
	struct ipcu_message message = { 0 };

	for (int i = 0; i < TURNS; i++) {
		struct timespec deadline = ipcu_deadline_in(5000000000);
		enum ipcu_result result;
		size_t which;

		if (i % 10 == 0) /* from both: the thread's own probes */
			result = ipcu_queue_receive_any(queues, 2, &which, &message, NULL,
							&deadline);
		else
			result = ipcu_queue_receive(queues[i % 2], &message, NULL, &deadline);
		/* Others may have taken from a queue what this one waits for. */
		if (result == IPCU_NOT_NOW)
			break;
		expect(result == IPCU_OK, "receive");
		received++;
	}
	ipcu_message_clear(&message);
	return unused;
}

static void *hold(void *unused)
{
	for (int i = 0; i < TURNS; i++) {
		struct ipcu_hold held;
		struct ipcu_sem_info info;
		enum ipcu_result result = i % 7 == 0 ? ipcu_lock_exclusive(sem, NULL, &held)
						     : ipcu_sem_acquire(sem, 1, NULL, &held);

		expect(result == IPCU_OK, "acquire");
		expect(ipcu_sem_status(sem, &info) == IPCU_OK, "status");
		if (result == IPCU_OK)
			expect(ipcu_sem_release(sem, &held) == IPCU_OK, "release");
	}
	return unused;
}

static void *meet(void *unused)
{
	for (int i = 0; i < TURNS; i++) {
		unsigned index;

		expect(ipcu_barrier_wait(barrier, NULL, NULL, &index) == IPCU_OK, "barrier");
		passed += index == THREADS - 1;
	}
	return unused;
}

static void *happen(void *unused)
{
	for (int i = 0; i < TURNS; i++) {
		struct timespec deadline = ipcu_deadline_in(100000);

		expect(ipcu_event_set(event) == IPCU_OK, "set");
		expect(ipcu_event_wait(event, NULL, &deadline) <= IPCU_NOT_NOW, "wait");
		expect(ipcu_event_clear(event) == IPCU_OK, "clear");
		expect(ipcu_event_pulse(event) == IPCU_OK, "pulse");
	}
	return unused;
}

static void *count_up(void *unused)
{
	union ipcu_value one = { .i = 1 }, value;

	for (int i = 0; i < TURNS; i++) {
		struct timespec deadline = ipcu_deadline_in(1000000);
		struct ipcu_shm_info info;

		expect(ipcu_shm_add(shm, 0, one, &value) == IPCU_OK, "add");
		expect(ipcu_shm_wait(shm, 0, IPCU_GREATER_EQUAL, value, NULL, NULL) == IPCU_OK,
		       "wait");
		expect(ipcu_shm_wait(shm, 1, IPCU_EQUAL, one, &deadline, NULL) <= IPCU_NOT_NOW,
		       "wait");
		/* The lock is the process's, and each of its threads may give it back. */
		expect(ipcu_shm_lock(shm, NULL) == IPCU_OK, "lock");
		expect(ipcu_shm_get(shm, 2, &value) == IPCU_OK, "get");
		value.i++;
		expect(ipcu_shm_set(shm, 2, value) == IPCU_OK, "set");
		expect(ipcu_shm_unlock(shm) == IPCU_OK, "unlock");
		expect(ipcu_shm_status(shm, &info) == IPCU_OK, "status");
	}
	return unused;
}

/* Both ends of a pipe, each with a thread that writes and one that reads. */
#define STREAM 300000

static void *write_stream(void *end)
{
	ipcu_pipe *pipe = *(ipcu_pipe **)end;
	char bytes[777];
	size_t done;

	for (size_t written = 0; written < STREAM; written += done) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)((written + i) % 251);
		done = STREAM - written < sizeof(bytes) ? STREAM - written : sizeof(bytes);
		expect(ipcu_pipe_write(pipe, bytes, done, &done, NULL) == IPCU_OK, "write");
	}
	ipcu_pipe_end(pipe);
	return NULL;
}

static void *read_stream(void *end)
{
	ipcu_pipe *pipe = *(ipcu_pipe **)end;
	char bytes[1000];
	size_t taken = 0, got = 1;

	while (got) {
		expect(ipcu_pipe_read(pipe, bytes, sizeof(bytes), &got, NULL) == IPCU_OK, "read");
		for (size_t i = 0; i < got; i++, taken++)
			if (bytes[i] != (char)(taken % 251))
				failures++;
		expect(ipcu_pipe_check(pipe) == IPCU_OK, "check");
	}
	expect(taken == STREAM, "all");
	return NULL;
}

static void stream_both_ways(void)
{
	pthread_t threads[4];

	for (int end = 0; end < 2; end++) {
		is_result(ipcu_pipe_open(&pipes[end], "p", IPCU_PIPE_CONNECT, 4096, NULL, NULL),
			  IPCU_OK, "an end of a pipe");
	}
	for (int end = 0; end < 2; end++) {
		is_result(ipcu_pipe_meet(pipes[end], NULL), IPCU_OK, "its other end");
		pthread_create(&threads[end], NULL, write_stream, &pipes[end]);
		pthread_create(&threads[2 + end], NULL, read_stream, &pipes[end]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is_number(failures, 0, "streams both ways at once");
	is_result(ipcu_pipe_finish(pipes[0], &ipcu_no_wait), IPCU_NOT_NOW, "one end is done");
	is_result(ipcu_pipe_finish(pipes[1], NULL), IPCU_OK, "and the other");
	for (int end = 0; end < 2; end++)
		ipcu_pipe_close(pipes[end]);
}

static void all_at_once(void *(*const functions[])(void *), int count)
{
	pthread_t threads[4 * THREADS];

	for (int i = 0; i < count * THREADS; i++)
		pthread_create(&threads[i], NULL, functions[i % count], NULL);
	for (int i = 0; i < count * THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	void *(*const messages[])(void *) = { send_all, receive_all };
	void *(*const others[])(void *) = { hold, meet, happen, count_up };
	const struct ipcu_shm_layout layout = { .type = IPCU_I64, .count = 3 };
	union ipcu_value value;
	struct timespec past = { 0, 0 };
	struct ipcu_message message = { 0 };
	struct ipcu_sem_info info = { 0 };

	deadline_for_all(120);
	is_result(ipcu_queue_open(&queues[0], "q0", NULL), IPCU_OK, "a queue");
	is_result(ipcu_queue_open(&queues[1], "q1", NULL), IPCU_OK, "another queue");
	is_result(ipcu_sem_open(&sem, "s", 2, 0, NULL), IPCU_OK, "a semaphore");
	is_result(ipcu_barrier_open(&barrier, "b", THREADS, NULL), IPCU_OK, "a barrier");
	is_result(ipcu_event_open(&event, "e", NULL), IPCU_OK, "an event");
	is_result(ipcu_shm_open(&shm, "m", &layout, NULL), IPCU_OK, "a memory");
	stream_both_ways();
	all_at_once(messages, 2);
	for (int i = 0; i < 2; i++)
		while (ipcu_queue_receive(queues[i], &message, NULL, &past) == IPCU_OK)
			received++;
	ipcu_message_clear(&message);
	is_number(received, THREADS * TURNS, "each message once");
	all_at_once(others, 4);
	is_number(passed, TURNS, "each generation has one last");
	ipcu_sem_status(sem, &info);
	is_number(info.value, 2, "all units are back");
	ipcu_shm_get(shm, 0, &value);
	is_number(value.i, THREADS * TURNS, "each addition once");
	ipcu_shm_get(shm, 2, &value);
	is_number(value.i, THREADS * TURNS, "and each under the lock");
	is_number(failures, 0, "nothing failed");
	ipcu_queue_close(queues[0]);
	ipcu_queue_close(queues[1]);
	ipcu_sem_close(sem);
	ipcu_barrier_close(barrier);
	ipcu_event_close(event);
	ipcu_shm_close(shm);
	for (size_t i = 0; i < 6; i++)
		is_result(ipcu_remove((const char *[]){ "q0", "q1", "s", "b", "e", "m" }[i],
				      IPCU_KIND_ANY, 0),
			  IPCU_OK, "removed");
	return done();
}
