/* SPDX-License-Identifier: MIT
 * soak-ops.c - the commands of the soak test, and what their ends must look like
 */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soak.h"

/* ---- words -------------------------------------------------------------------- */

static char texts[WORDS_MAX][96];

/* A word that is made; valid until the next command begins. */
__attribute__((format(printf, 2, 3))) static const char *text(unsigned slot, const char *format,
							      ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(texts[slot], sizeof(texts[slot]), format, args);
	va_end(args);
	return texts[slot];
}

#define WORDS(...)                                               \
	do {                                                     \
		const char *const all[] = { __VA_ARGS__, NULL }; \
		memcpy(words, all, sizeof(all));                 \
	} while (0)

#define BEGIN(name)                                                                       \
	static bool name(struct child *child, const char *words[WORDS_MAX], char **input, \
			 size_t *size)
#define UNUSED (void)child, (void)input, (void)size

static const char *queue(unsigned slot)
{
	return text(slot, "q%u", soak_random(QUEUES));
}

/* ---- queues ------------------------------------------------------------------- */

BEGIN(begin_send)
{
	child->first = book_new(1, false);
	child->count = 1;
	*input = book_body(child->first, size);
	WORDS("ipc-send", "-w", "-t", "300ms", queue(0));
	return true;
}

static void end_send(struct child *child, const struct ending *ending)
{
	if (ending->status == 0)
		book_sent(child->first, child->count);
}

BEGIN(begin_send_lines)
{
	size_t used = 0;

	child->count = 2 + soak_random(30);
	child->safe = soak_random(2) == 0;
	child->first = book_new(child->count, child->safe);
	*input = malloc((size_t)child->count * 20002);
	if (!*input)
		abort();
	for (unsigned i = 0; i < child->count; i++) {
		size_t length;
		char *body = book_body(child->first + i, &length);

		memcpy(*input + used, body, length);
		used += length;
		(*input)[used++] = '\n';
		free(body);
	}
	*size = used;
	WORDS("ipc-send", "-t", "300ms", child->safe ? "g" : queue(0));
	return true;
}

/* What a sender says it has sent it has sent. */
static void end_send_lines(struct child *child, const struct ending *ending)
{
	const char *said = strstr(ending->err, " sent before)");
	unsigned sent = child->count;

	if (ending->status != 0) {
		while (said && said > ending->err && said[-1] != '(')
			said--;
		if (!said || sscanf(said, "%u", &sent) != 1 || sent > child->count)
			soak_wrong(child, ending, "it does not say how many were sent");
	}
	if (sent <= child->count)
		book_sent(child->first, sent);
}

BEGIN(begin_receive)
{
	UNUSED;
	child->count = 1 + soak_random(4);
	WORDS("ipc-recv", "-t", "50ms", "-c", text(0, "%u", child->count), queue(1));
	return true;
}

BEGIN(begin_receive_any)
{
	UNUSED;
	child->count = 1 + soak_random(3);
	WORDS("ipc-recv", "-t", "50ms", "-c", text(0, "%u", child->count), "q0", "q1", "q2");
	return true;
}

/* From g, whose receivers are only asked to end: it must lose nothing. */
BEGIN(begin_receive_safely)
{
	unsigned what = soak_random(3);

	UNUSED;
	if (what == 0)
		WORDS("ipc-recv", "-a", "g");
	else if (what == 1)
		WORDS("ipc-recv", "-f", "-t", "60ms", "g");
	else
		WORDS("ipc-recv", "-t", "50ms", "-c", text(0, "%u", 1 + soak_random(40)), "g");
	return true;
}

static void end_receive(struct child *child, const struct ending *ending)
{
	book_received(child, ending, ending->out, ending->out_size);
}

/* Only a kill may lose something, and no more than it may have taken. */
static void cut_receive(struct child *child, const struct ending *ending)
{
	book_received(child, ending, ending->out, ending->out_size);
	if (child->killed)
		book_may_lose(child->count);
}

BEGIN(begin_peek)
{
	UNUSED;
	WORDS("ipc-recv", "-p", "-a", "-F", "%s\\n", queue(0));
	return true;
}

/* ---- semaphores ----------------------------------------------------------------- */

BEGIN(begin_run)
{
	bool exclusive = soak_random(3) == 0;

	UNUSED;
	WORDS("ipc-sem", "run", exclusive ? "-x" : "-s", "-t", "1s", "w", "--", soak_self, "hold",
	      text(0, "%s/w", soak_scratch), exclusive ? "x" : "s", text(1, "%u", soak_random(8)));
	return true;
}

BEGIN(begin_mutex)
{
	UNUSED;
	WORDS("ipc-sem", "run", "-t", "1s", "m", "--", soak_self, "hold",
	      text(0, "%s/m", soak_scratch), "x", text(1, "%u", soak_random(5)));
	return true;
}

BEGIN(begin_units)
{
	UNUSED;
	WORDS("ipc-sem", "run", "-u", text(0, "%u", 1 + soak_random(COUNT_LEAST)), "-t", "300ms",
	      "k", "--", "true");
	return true;
}

BEGIN(begin_acquire)
{
	pid_t owner = soak_owners[soak_random(OWNERS)];

	UNUSED;
	WORDS("ipc-sem", "acquire", "-u", text(0, "%u", 1 + soak_random(2)), "-t", "100ms", "-P",
	      text(1, "%d", (int)owner), "k");
	return owner > 0;
}

/* A release by somebody else may come before acquire has ended. */
static void end_acquire(struct child *child, const struct ending *ending)
{
	if (ending->status == 8 && !strstr(ending->err, "its keeper has died"))
		soak_wrong(child, ending, "another system error");
	if (ending->status == 7 && !strstr(ending->err, "would wait for itself"))
		soak_wrong(child, ending, "another conflict");
}

/* A release that is stopped keeps another one waiting, for a limited time. */
static void end_release(struct child *child, const struct ending *ending)
{
	if (ending->status == 8 && !strstr(ending->err, "does not finish"))
		soak_wrong(child, ending, "another system error");
}

BEGIN(begin_release)
{
	pid_t owner = soak_owners[soak_random(OWNERS)];

	UNUSED;
	WORDS("ipc-sem", "release", "-P", text(1, "%d", (int)owner), "k");
	return owner > 0;
}

BEGIN(begin_resize)
{
	UNUSED;
	WORDS("ipc-sem", "create", "--resize", "-t", "50ms", "-c",
	      text(0, "%u", COUNT_LEAST + soak_random(COUNT_MOST - COUNT_LEAST + 1)), "k");
	return true;
}

BEGIN(begin_wait)
{
	UNUSED;
	WORDS("ipc-sem", "wait", "-t", "50ms", "t");
	return true;
}

static void end_wait(struct child *child, const struct ending *ending)
{
	(void)child;
	book.tokens_least += ending->status == 0;
	book.tokens_most += ending->status == 0;
}

static void cut_wait(struct child *child, const struct ending *ending)
{
	(void)child, (void)ending;
	book.tokens_most++;
}

BEGIN(begin_post)
{
	UNUSED;
	WORDS("ipc-sem", "post", "t");
	return true;
}

static void end_post(struct child *child, const struct ending *ending)
{
	(void)child;
	book.tokens_least -= ending->status == 0;
	book.tokens_most -= ending->status == 0;
}

static void cut_post(struct child *child, const struct ending *ending)
{
	(void)child, (void)ending;
	book.tokens_least--;
}

BEGIN(begin_sem_status)
{
	UNUSED;
	WORDS("ipc-sem", "status", "-J", soak_random(2) ? "k" : "w");
	return true;
}

/* ---- barriers and events -------------------------------------------------------- */

BEGIN(begin_barrier)
{
	UNUSED;
	WORDS("ipc-barrier", "wait", "-t", text(0, "%ums", 50 + soak_random(400)), "b");
	return true;
}

static void end_barrier(struct child *child, const struct ending *ending)
{
	(void)child;
	book.arrived += ending->status == 0;
	book.arrived_most += ending->status == 0;
}

static void cut_barrier(struct child *child, const struct ending *ending)
{
	(void)child, (void)ending;
	book.arrived_most++;
}

/* Another one, that is broken again and again. */
BEGIN(begin_fragile)
{
	unsigned what = soak_random(10);

	UNUSED;
	if (what < 8)
		WORDS("ipc-barrier", "wait", "-t", "100ms", "f");
	else
		WORDS("ipc-barrier", what == 8 ? "abort" : "reset", "f");
	return true;
}

BEGIN(begin_event)
{
	static const char *const verbs[] = { "set", "clear", "pulse", "status" };
	unsigned what = soak_random(8);

	UNUSED;
	if (what < 4)
		WORDS("ipc-event", verbs[what], "e");
	else
		WORDS("ipc-event", "wait", "-t", "50ms", "e");
	return true;
}

/* ---- memory --------------------------------------------------------------------- */

BEGIN(begin_add)
{
	UNUSED;
	WORDS("ipc-shm", "add", "c", "1");
	return true;
}

static void end_add(struct child *child, const struct ending *ending)
{
	(void)child;
	book.added += ending->status == 0;
	book.added_most += ending->status == 0;
}

static void cut_add(struct child *child, const struct ending *ending)
{
	(void)child, (void)ending;
	book.added_most++;
}

BEGIN(begin_lock)
{
	UNUSED;
	WORDS("ipc-shm", "lock", "-t", "1s", "c", "--", soak_self, "hold",
	      text(0, "%s/c", soak_scratch), "x", text(1, "%u", soak_random(4)));
	return true;
}

/* For stdin: all of one letter of the first BELOW, and as many as the letter says. */
static void give_letters(unsigned below, char **input, size_t *size)
{
	unsigned letter = soak_random(below);

	*size = 1000 * (letter + 1);
	*input = malloc(*size);
	if (!*input)
		abort();
	memset(*input, 'a' + (int)letter, *size);
}

BEGIN(begin_load)
{
	(void)child;
	give_letters(8, input, size);
	WORDS("ipc-shm", "load", "l");
	return true;
}

BEGIN(begin_read)
{
	UNUSED;
	WORDS("ipc-shm", "read", "l");
	return true;
}

static void end_read(struct child *child, const struct ending *ending)
{
	bool whole = ending->out_size > 0 &&
		     ending->out_size == 1000 * (size_t)(ending->out[0] - 'a' + 1);

	for (size_t i = 1; whole && i < ending->out_size; i++)
		whole = ending->out[i] == ending->out[0];
	if (ending->status == 0 && !whole)
		soak_wrong(child, ending, "%zu bytes are not what anybody wrote", ending->out_size);
}

/* ---- pipes ---------------------------------------------------------------------- */

/* Mostly more than the pipe has room for. */
BEGIN(begin_pipe_write)
{
	(void)child;
	give_letters(20, input, size);
	WORDS("ipc-pipe", "write", "-t", "200ms", "--size=4K", text(0, "p%u", soak_random(2)));
	return true;
}

/* It says success only of the whole. */
BEGIN(begin_pipe_read)
{
	UNUSED;
	WORDS("ipc-pipe", "read", "-t", "200ms", "--size=4K", text(0, "p%u", soak_random(2)));
	return true;
}

/* ---- names ---------------------------------------------------------------------- */

/* Names that come and go, as whatever kind. */
BEGIN(begin_churn)
{
	const char *name = text(0, "x%u", soak_random(4));

	UNUSED;
	switch (soak_random(8)) {
	case 0:
		WORDS("ipc-send", "-n", name, "hello");
		break;
	case 1:
		WORDS("ipc-sem", "run", "-n", name, "--", "true");
		break;
	case 2:
		WORDS("ipc-shm", "create", name, "5000");
		break;
	case 3:
		WORDS("ipc-event", "set", name);
		break;
	case 4:
		WORDS("ipc-barrier", "create", name, "2");
		break;
	default:
		WORDS("ipc-rm", "-f", name);
	}
	return true;
}

BEGIN(begin_list)
{
	UNUSED;
	if (soak_random(2))
		WORDS("ipc-ls", "-a");
	else
		WORDS("ipc-ls", "-J", "-l");
	return true;
}

BEGIN(begin_stale)
{
	UNUSED;
	WORDS("ipc-rm", "--stale", "--older-than=1m");
	return true;
}

/* As cleanup jobs of build and database machines do, which see segments that no process has attached. */
BEGIN(begin_cleanup)
{
	UNUSED;
	WORDS(soak_self, "cleanup");
	return true;
}

BEGIN(begin_doctor)
{
	UNUSED;
	if (soak_random(2))
		WORDS("ipc-doctor", "--root=/nowhere", "--interval=20ms");
	else
		WORDS("ipc-doctor", "--root=/nowhere", "--interval=20ms", "--repair");
	return true;
}

/* Holders may be stopped, and a registry that a cleanup removed begins empty; but nothing of ours corrupts it. */
static void end_doctor(struct child *child, const struct ending *ending)
{
	const char *line = strstr(ending->out, "registry of names: ");

	if (line && !strstr(line, "stopped") && !strstr(line, "it holds no name"))
		soak_wrong(child, ending, "%s", line);
}

struct operation soak_operations[] = {
	{ .name = "send", .weight = 20, .begin = begin_send, .end = end_send, .statuses = "01" },
	{ .name = "send lines",
	  .weight = 10,
	  .begin = begin_send_lines,
	  .end = end_send_lines,
	  .statuses = "01" },
	{ .name = "receive",
	  .weight = 14,
	  .begin = begin_receive,
	  .end = end_receive,
	  .cut = cut_receive,
	  .statuses = "01" },
	{ .name = "receive any",
	  .weight = 6,
	  .begin = begin_receive_any,
	  .end = end_receive,
	  .cut = cut_receive,
	  .statuses = "01" },
	{ .name = "receive safely",
	  .weight = 6,
	  .begin = begin_receive_safely,
	  .end = end_receive,
	  .cut = cut_receive,
	  .statuses = "01",
	  .never_killed = true },
	{ .name = "peek", .weight = 2, .begin = begin_peek, .statuses = "016" },
	{ .name = "run -s, -x", .weight = 12, .begin = begin_run, .statuses = "01" },
	{ .name = "run, a mutex", .weight = 8, .begin = begin_mutex, .statuses = "01" },
	{ .name = "run -u", .weight = 8, .begin = begin_units, .statuses = "015" },
	{ .name = "acquire",
	  .weight = 8,
	  .begin = begin_acquire,
	  .end = end_acquire,
	  .statuses = "013578" },
	{ .name = "release",
	  .weight = 8,
	  .begin = begin_release,
	  .end = end_release,
	  .statuses = "0348" },
	{ .name = "resize", .weight = 2, .begin = begin_resize, .statuses = "01" },
	{ .name = "wait",
	  .weight = 6,
	  .begin = begin_wait,
	  .end = end_wait,
	  .cut = cut_wait,
	  .statuses = "01" },
	{ .name = "post",
	  .weight = 6,
	  .begin = begin_post,
	  .end = end_post,
	  .cut = cut_post,
	  .statuses = "05" },
	{ .name = "sem status", .weight = 2, .begin = begin_sem_status, .statuses = "0" },
	{ .name = "barrier wait",
	  .weight = 12,
	  .begin = begin_barrier,
	  .end = end_barrier,
	  .cut = cut_barrier,
	  .statuses = "01" },
	{ .name = "barrier, broken", .weight = 4, .begin = begin_fragile, .statuses = "016" },
	{ .name = "event", .weight = 8, .begin = begin_event, .statuses = "01" },
	{ .name = "add",
	  .weight = 8,
	  .begin = begin_add,
	  .end = end_add,
	  .cut = cut_add,
	  .statuses = "0" },
	{ .name = "memory's lock", .weight = 6, .begin = begin_lock, .statuses = "01" },
	{ .name = "load", .weight = 5, .begin = begin_load, .statuses = "0" },
	{ .name = "read", .weight = 5, .begin = begin_read, .end = end_read, .statuses = "0" },
	{ .name = "pipe write", .weight = 5, .begin = begin_pipe_write, .statuses = "01367" },
	{ .name = "pipe read",
	  .weight = 5,
	  .begin = begin_pipe_read,
	  .end = end_read,
	  .statuses = "01367" },
	{ .name = "names come and go", .weight = 12, .begin = begin_churn, .statuses = "01367" },
	{ .name = "list", .weight = 3, .begin = begin_list, .statuses = "0" },
	{ .name = "doctor",
	  .weight = 2,
	  .begin = begin_doctor,
	  .end = end_doctor,
	  .statuses = "01" },
	{ .name = "cleanup", .weight = 2, .begin = begin_cleanup, .statuses = "0" },
	{ .name = "remove stale", .weight = 1, .begin = begin_stale, .statuses = "0" },
};
const size_t soak_operation_count = sizeof(soak_operations) / sizeof(soak_operations[0]);
