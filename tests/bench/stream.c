/* SPDX-License-Identifier: MIT
 * stream.c - a million lines through a queue, by several means
 *
 * All read the same file and all receivers write the same bytes to /dev/null. Sender
 * and receiver run on a processor each where there are two. The clock runs from before
 * the first start until the sender has ended and the queue is empty.
 *
 *   commands   ipc-send q <file and ipc-recv -f q
 *   bare       two loops of msgsnd(2) and msgrcv(2), reads and writes of 64 KiB
 *   redis      LPUSH and BRPOP, a hundred in each pipeline, over a Unix socket
 *   python     multiprocessing.Queue, put and get, without the interpreter's start
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ipcutils.h"

#define KEY 0x62656e63
#define CHUNK 65536
#define PIPELINE 100

/* Call FUNCTION for every line of stdin. */
static void each_line(void (*function)(void *, char *, size_t), void *argument)
{
	static char buffer[sizeof(long) + CHUNK];
	char *start = buffer + sizeof(long);
	size_t used = 0;
	ssize_t got;

	while ((got = read(STDIN_FILENO, start + used, CHUNK - used)) > 0) {
		char *at = start, *end = start + used + got, *found;

		while ((found = memchr(at, '\n', (size_t)(end - at)))) {
			function(argument, at, (size_t)(found - at));
			at = found + 1;
		}
		used = (size_t)(end - at);
		memmove(start, at, used);
	}
}

/* ---- bare ------------------------------------------------------------------------------ */

static void bare_send(void *id, char *line, size_t size)
{
	char *message = line - sizeof(long);
	long saved, type = 1;

	memcpy(&saved, message, sizeof(saved));
	memcpy(message, &type, sizeof(type));
	if (msgsnd(*(int *)id, message, size, 0) < 0)
		die("msgsnd");
	memcpy(message, &saved, sizeof(saved));
}

static void bare_sender(void *id)
{
	each_line(bare_send, id);
}

static void bare_receiver(void *id)
{
	static char out[sizeof(long) + 2 * CHUNK];
	size_t used = sizeof(long);

	for (;;) {
		long saved;
		ssize_t size;

		memcpy(&saved, out + used - sizeof(long), sizeof(saved));
		size = msgrcv(*(int *)id, out + used - sizeof(long), CHUNK, 0, 0);
		if (size < 0)
			die("msgrcv");
		memcpy(out + used - sizeof(long), &saved, sizeof(saved));
		used += (size_t)size;
		out[used++] = '\n';
		if (used >= CHUNK) {
			if (write(STDOUT_FILENO, out + sizeof(long), used - sizeof(long)) < 0)
				die("write");
			used = sizeof(long);
		}
	}
}

/* The sender is done, the queue is empty: the seconds since BEGUN, and the receiver is ended. */
static double finish_stream(int id, pid_t sender, pid_t receiver, double begun)
{
	struct timespec pause = { 0, 50000 };
	struct msqid_ds state;
	double seconds;

	finish(sender, false);
	for (;;) {
		if (msgctl(id, IPC_STAT, &state) < 0)
			die("msgctl");
		if (state.msg_qnum == 0)
			break;
		nanosleep(&pause, NULL);
	}
	seconds = now() - begun;
	kill(receiver, SIGTERM);
	finish(receiver, true);
	return seconds;
}

double stream_bare(const char *input)
{
	int id = msgget(KEY, IPC_CREAT | 0600);
	double begun = now(), seconds;
	pid_t receiver = start_function(bare_receiver, &id, 1, NULL);
	pid_t sender = start_function(bare_sender, &id, 0, input);

	seconds = finish_stream(id, sender, receiver, begun);
	msgctl(id, IPC_RMID, NULL);
	return MESSAGES / seconds;
}

double stream_commands(const char *send, const char *receive, const char *input)
{
	const char *send_argv[] = { send, "stream", NULL };
	const char *receive_argv[] = { receive, "-f", "stream", NULL };
	double begun, seconds;
	pid_t sender, receiver;
	ipcu_queue *queue;
	key_t key;

	if (ipcu_queue_open(&queue, "stream", NULL) != IPCU_OK ||
	    ipcu_name_key("stream", &key) != IPCU_OK)
		die(ipcu_last_error()->message);
	begun = now();
	receiver = start(receive, receive_argv, 1, NULL);
	sender = start(send, send_argv, 0, input);
	seconds = finish_stream(msgget(key, 0), sender, receiver, begun);
	ipcu_queue_close(queue);
	if (ipcu_remove("stream", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE) != IPCU_OK)
		die(ipcu_last_error()->message);
	return MESSAGES / seconds;
}

/* ---- redis ----------------------------------------------------------------------------- */

struct redis {
	int fd;
	char out[CHUNK];
	size_t used;
	int pending;
};

static int redis_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect to redis");
	return fd;
}

static void redis_flush(struct redis *redis, int lines_each, bool copy)
{
	size_t done = 0;
	int lines = 0, wanted = redis->pending * lines_each;
	char in[CHUNK];

	while (done < redis->used) {
		ssize_t wrote = write(redis->fd, redis->out + done, redis->used - done);

		if (wrote < 0)
			die("write to redis");
		done += (size_t)wrote;
	}
	while (lines < wanted) {
		ssize_t got = read(redis->fd, in, sizeof(in));

		if (got <= 0)
			die("read from redis");
		for (char *at = in; (at = memchr(at, '\n', (size_t)(in + got - at))); at++)
			lines++;
		if (copy && write(STDOUT_FILENO, in, (size_t)got) < 0)
			die("write");
	}
	redis->used = 0;
	redis->pending = 0;
}

static void redis_push(void *argument, char *line, size_t size)
{
	struct redis *redis = argument;

	redis->used += (size_t)sprintf(redis->out + redis->used,
				       "*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$%zu\r\n%.*s\r\n", size,
				       (int)size, line);
	if (++redis->pending == PIPELINE)
		redis_flush(redis, 1, false);
}

static void redis_sender(void *path)
{
	static struct redis redis;

	redis.fd = redis_connect(path);
	each_line(redis_push, &redis);
	redis_flush(&redis, 1, false);
}

static void redis_receiver(void *path)
{
	static const char pop[] = "*3\r\n$5\r\nBRPOP\r\n$1\r\nq\r\n$1\r\n0\r\n";
	static struct redis redis;

	redis.fd = redis_connect(path);
	for (long taken = 0; taken < MESSAGES; taken += PIPELINE) {
		for (int i = 0; i < PIPELINE; i++) {
			memcpy(redis.out + redis.used, pop, sizeof(pop) - 1);
			redis.used += sizeof(pop) - 1;
		}
		redis.pending = PIPELINE;
		redis_flush(&redis, 5, true); /* an array of two strings is five lines */
	}
}

double stream_redis(const char *input, const char *socket_path)
{
	double begun = now();
	pid_t receiver = start_function(redis_receiver, (void *)socket_path, -1, NULL);
	pid_t sender = start_function(redis_sender, (void *)socket_path, -1, input);

	finish(sender, false);
	finish(receiver, false);
	return MESSAGES / (now() - begun);
}

/* ---- python ---------------------------------------------------------------------------- */

double stream_python(const char *input, long messages)
{
	static const char program[] =
		"import multiprocessing as m, sys, time\n"
		"lines = [l.rstrip('\\n') for l, i in zip(open(sys.argv[1]), range(int(sys.argv[2])))]\n"
		"def take(q, n, out):\n"
		"    for i in range(n): out.write(q.get() + '\\n')\n"
		"q = m.Queue()\n"
		"t = time.monotonic()\n"
		"p = m.Process(target=take, args=(q, len(lines), open('/dev/null', 'w')))\n"
		"p.start()\n"
		"for l in lines: q.put(l)\n"
		"p.join()\n"
		"print(len(lines) / (time.monotonic() - t))\n";
	char command[256];
	double rate = 0;
	FILE *out;

	setenv("BENCH_PYTHON", program, 1);
	snprintf(command, sizeof(command), "exec python3 -c \"$BENCH_PYTHON\" %s %ld", input,
		 messages);
	out = popen(command, "r");
	if (!out || fscanf(out, "%lf", &rate) != 1)
		rate = 0;
	if (out)
		pclose(out);
	return rate;
}
