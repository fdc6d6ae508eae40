/* SPDX-License-Identifier: MIT
 * pipe.c - fuzz: pipes whose other end writes what it likes into the shared head
 *
 * The input is a program: numbers written into the head of a pipe, into its record, and into the set that says who is
 * there, between calls of both ends. What a call says may be read or written lies within the rings, and no call hangs.
 */
#include <config.h>

#include <unistd.h>

#include "fuzz.h"
#include "pipe.h"
#include "queue.h"
#include "registry.h"
#include "sysv.h"

#define STEPS_MAX 48
#define SIZE 16384

static ipcu_pipe *ends[2];

/* The bytes from AT on are of a ring of PIPE, and can be touched. */
static void touch(const ipcu_pipe *pipe, const unsigned char *at, size_t size, bool write)
{
	const unsigned char *first = (const unsigned char *)pipe->head + IPCU_PIPE_HEAD;
	size_t all = pipe->capacity * (size_t)pipe->object.definition[IPCU_PIPE_RINGS];
	volatile unsigned char *bytes = (volatile unsigned char *)(uintptr_t)at;

	must(size >= 1 && size <= pipe->capacity / 4);
	must(at >= first && (size_t)(at - first) + size <= all);
	for (size_t i = 0; i < size; i += 512) {
		if (write)
			bytes[i] = 'x';
		else
			(void)bytes[i];
	}
}

static void close_both(void)
{
	ipcu_pipe_close(ends[0]);
	ipcu_pipe_close(ends[1]);
	ends[0] = ends[1] = NULL;
}

static void open_both(bool both_ways)
{
	enum ipcu_pipe_end first = both_ways ? IPCU_PIPE_CONNECT : IPCU_PIPE_WRITER;
	enum ipcu_pipe_end second = both_ways ? IPCU_PIPE_CONNECT : IPCU_PIPE_READER;

	close_both();
	if (fuzz_result(ipcu_pipe_open(&ends[0], "p", first, SIZE, NULL, &ipcu_no_wait)) != IPCU_OK)
		ends[0] = NULL;
	if (fuzz_result(ipcu_pipe_open(&ends[1], "p", second, 0, NULL, &ipcu_no_wait)) != IPCU_OK)
		ends[1] = NULL;
	for (int i = 0; i < 2; i++)
		if (ends[i])
			fuzz_result(ipcu_pipe_meet(ends[i], &ipcu_no_wait));
}

static void damage_record(struct fuzz_input *input)
{
	struct ipcu_registry registry;
	struct ipcu_record record;

	if (ipcu_registry_open_locked(&registry, geteuid(), false) != IPCU_OK)
		return;
	if (ipcu_registry_find(&registry, "p", &record) == IPCU_OK) {
		fuzz_patch(input, &record, sizeof(record));
		ipcu_registry_put(&registry, "p", &record);
	}
	ipcu_registry_unlock_close(&registry);
}

static void damage(struct fuzz_input *input, ipcu_pipe *pipe, unsigned what)
{
	/* But for whose the other end is: for another user's one waits two seconds. */
	if (what == 0 && pipe)
		fuzz_patch(input, pipe->head, offsetof(struct ipcu_pipe_head, uid));
	else if (what == 1)
		damage_record(input);
	else if (what == 2 && pipe)
		semctl(pipe->set, (int)(fuzz_take(input, 1) % 7), SETVAL,
		       (union semun){ .val = (int)(fuzz_take(input, 1) % 3) });
}

static void use(struct fuzz_input *input, ipcu_pipe *pipe, unsigned what)
{
	static unsigned char buffer[SIZE * 2];
	const void *peeked;
	void *room;
	size_t size = 0, wanted;

	switch (what) {
	case 0:
		if (fuzz_result(ipcu_pipe_reserve(pipe, &room, &size, &ipcu_no_wait)) != IPCU_OK)
			return;
		touch(pipe, room, size, true);
		wanted = (size_t)fuzz_take(input, 2);
		ipcu_pipe_commit(pipe, wanted < size ? wanted : size);
		return;
	case 1:
		if (fuzz_result(ipcu_pipe_peek(pipe, &peeked, &size, &ipcu_no_wait)) != IPCU_OK ||
		    !size)
			return;
		touch(pipe, peeked, size, false);
		wanted = (size_t)fuzz_take(input, 2);
		ipcu_pipe_consume(pipe, wanted < size ? wanted : size);
		return;
	case 2:
		wanted = (size_t)fuzz_take(input, 2) % sizeof(buffer);
		fuzz_result(ipcu_pipe_write(pipe, buffer, wanted, &size, &ipcu_no_wait));
		must(size <= wanted);
		return;
	case 3:
		wanted = (size_t)fuzz_take(input, 2) % sizeof(buffer) + 1;
		if (fuzz_result(ipcu_pipe_read(pipe, buffer, wanted, &size, &ipcu_no_wait)) ==
		    IPCU_OK)
			must(size <= wanted);
		return;
	case 4:
		ipcu_pipe_end(pipe);
		return;
	case 5:
		fuzz_result(ipcu_pipe_finish(pipe, &ipcu_no_wait));
		return;
	default:
		fuzz_result(ipcu_pipe_check(pipe));
		fuzz_result(ipcu_pipe_meet(pipe, &ipcu_no_wait));
	}
}

static enum ipcu_result listed(const struct ipcu_info *info, void *context)
{
	(void)context;
	must(ipcu_kind_name(info->kind));
	return IPCU_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };

	fuzz_remove_all();
	open_both(fuzz_take(&input, 1) % 2);
	for (int steps = 0; input.at < input.end && steps < STEPS_MAX; steps++) {
		unsigned what = (unsigned)fuzz_take(&input, 1);
		ipcu_pipe *pipe = ends[what >> 7];

		what = what % 128 % 13;
		if (what < 4)
			damage(&input, pipe, what < 2 ? 0 : what - 1);
		else if (what < 11 && pipe)
			use(&input, pipe, what - 4);
		else if (what == 11)
			fuzz_result(ipcu_list(geteuid(), IPCU_LIST_ALL, listed, NULL));
		else if (what == 12)
			open_both(fuzz_take(&input, 1) % 2);
	}
	close_both();
	fuzz_remove_all();
	return 0;
}
