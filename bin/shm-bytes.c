/* SPDX-License-Identifier: MIT
 * shm-bytes.c - bytes into and out of shared memory, straight from and to where they are
 */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli-interrupt.h"
#include "cli-output.h"
#include "error.h"
#include "shm.h"
#include "shm-verbs.h"

/* Whether --offset is within SIZE; *ROOM is what is left behind it. */
static int check_offset(const struct shm_options *options, size_t size, size_t *room)
{
	if (options->offset > size) {
		cli_complain(&options->common, options->name, NULL,
			     "--offset %llu is behind its end: it has %zu bytes",
			     (unsigned long long)options->offset, size);
		return IPCU_LIMIT;
	}
	*room = size - (size_t)options->offset;
	return IPCU_OK;
}

/* To stdout; false with errno. */
static bool put_out(const char *data, size_t size)
{
	for (size_t done = 0, part; done < size; done += part) {
		part = size - done < IPCU_POPULATE_CHUNK ? size - done : IPCU_POPULATE_CHUNK;
		ipcu_shm_populate((void *)(uintptr_t)(data + done), part, false);
		if (cli_write(data + done, part) < part)
			return false;
	}
	return true;
}

int shm_read(ipcu_shm *shm, struct shm_options *options)
{
	size_t size, length;
	const char *data = ipcu_shm_peek(shm, &size);
	int status = check_offset(options, size, &length);

	if (status)
		return status;
	if (options->has_length && options->length > length) {
		cli_complain(&options->common, options->name, NULL, "there are %zu bytes, not %llu",
			     length, (unsigned long long)options->length);
		return IPCU_LIMIT;
	}
	if (options->has_length)
		length = (size_t)options->length;
	if (put_out(data + options->offset, length))
		return IPCU_OK;
	cli_complain(&options->common, NULL, NULL, "write error: %s", strerror(errno));
	return IPCU_SYSTEM;
}

/* How many bytes stdin still has, if it is a file; 0: cannot tell. */
static size_t expected(void)
{
	struct stat status;
	off_t at;

	if (fstat(STDIN_FILENO, &status) < 0 || !S_ISREG(status.st_mode))
		return 0;
	at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	return at >= 0 && at < status.st_size && (uintmax_t)(status.st_size - at) < SIZE_MAX
		       ? (size_t)(status.st_size - at)
		       : 0;
}

/*
 * Read stdin into SIZE bytes at DATA until they are full or it ends. Returns how many came; *ERRNUM is 0,
 * or why it went no further. EINTR: a signal asked us to end.
 */
static size_t fill(char *data, size_t size, int *errnum)
{
	size_t known = expected(), done = 0;

	*errnum = 0;
	while (done < size) {
		size_t part = size - done;
		ssize_t got;

		/* Only pages that will be written for sure: the others stay unused. */
		if (done < known && part > IPCU_POPULATE_CHUNK)
			part = IPCU_POPULATE_CHUNK;
		if (done < known)
			ipcu_shm_populate(data + done, part < known - done ? part : known - done,
					  true);
		got = read(STDIN_FILENO, data + done, part);

		if (got == 0)
			break;
		if (got > 0) {
			done += (size_t)got;
			continue;
		}
		cli_would_block(STDIN_FILENO, POLLIN);
		if (errno != EINTR || cli_interrupted()) {
			*errnum = errno;
			break;
		}
	}
	return done;
}

static int read_failed(const struct shm_options *options, int errnum, const char *consequence)
{
	if (errnum != EINTR)
		cli_complain(&options->common, options->name, NULL,
			     "cannot read standard input: %s: %s", strerror(errnum), consequence);
	return IPCU_SYSTEM;
}

int shm_write(ipcu_shm *shm, struct shm_options *options)
{
	enum ipcu_result result = ipcu_shm_writable(shm);
	size_t size, room, done;
	char *data = ipcu_shm_data(shm, &size), more;
	int errnum, status = check_offset(options, size, &room);
	char text[64];

	if (status)
		return status;
	if (result != IPCU_OK)
		return cli_status(&options->common, options->name, result);
	done = fill(data + options->offset, room, &errnum);
	ipcu_shm_changed(shm, (size_t)options->offset, done);
	snprintf(text, sizeof(text), "%zu bytes were written", done);
	if (errnum)
		return read_failed(options, errnum, text);
	if (done == room && fill(&more, 1, &errnum) == 1) {
		cli_complain(&options->common, options->name,
			     "ipc-shm load makes it as large as the input is",
			     "%s: no more fit, it has %zu bytes", text, size);
		return IPCU_LIMIT;
	}
	if (options->common.verbose)
		cli_complain(&options->common, options->name, NULL, "%s", text);
	return IPCU_OK;
}

/* ---- load ----------------------------------------------------------------- */

/* The rest of stdin behind what is in BUFFER; 0 or an errno. */
static int take_all(struct cli_buffer *buffer)
{
	int errnum = 0;
	size_t room, got;

	do {
		if (!cli_reserve(buffer, 1))
			return ENOMEM;
		room = buffer->capacity - buffer->used;
		got = fill(buffer->bytes + buffer->used, room, &errnum);
		buffer->used += got;
	} while (!errnum && got == room);
	return errnum;
}

static enum ipcu_result stage_copy(ipcu_shm_stage **stage, const struct cli_buffer *buffer)
{
	enum ipcu_result result = ipcu_shm_stage_open(stage, buffer->used);

	if (result == IPCU_OK && buffer->used)
		memcpy(ipcu_shm_stage_data(*stage), buffer->bytes, buffer->used);
	return result;
}

/*
 * A file is read straight into the staged segment; what has no size that is known before goes through
 * a buffer, and so does a file that turns out to be longer or shorter.
 */
static enum ipcu_result stage_input(ipcu_shm_stage **stage, int *errnum)
{
	struct cli_buffer buffer = { 0 };
	size_t size = expected(), done;
	enum ipcu_result result = IPCU_OK;
	char more;

	*stage = NULL;
	*errnum = 0;
	if (size) {
		result = ipcu_shm_stage_open(stage, size);
		if (result != IPCU_OK)
			return result;
		done = fill(ipcu_shm_stage_data(*stage), size, errnum);
		if (*errnum || (done == size && fill(&more, 1, errnum) == 0))
			return IPCU_OK;
		cli_put(&buffer, ipcu_shm_stage_data(*stage), done);
		if (done == size)
			cli_put(&buffer, &more, 1);
		ipcu_shm_stage_close(*stage);
		*stage = NULL;
	}
	*errnum = buffer.failed ? ENOMEM : take_all(&buffer);
	if (!*errnum)
		result = stage_copy(stage, &buffer);
	free(buffer.bytes);
	return result;
}

int shm_load(struct shm_options *options)
{
	ipcu_shm_stage *stage;
	enum ipcu_result result;
	int errnum, status;

	/* A signal would leave the staged segment. */
	cli_interrupts_start();
	result = stage_input(&stage, &errnum);
	if (errnum) {
		status = read_failed(options, errnum, "nothing was changed");
	} else {
		if (result == IPCU_OK)
			result = ipcu_shm_publish(stage, options->name, &options->common.open);
		if (result == IPCU_OK)
			cli_opened(&options->common, options->name);
		status = cli_status(&options->common, options->name, result);
	}
	ipcu_shm_stage_close(stage);
	if (errnum)
		cli_interrupts_finish();
	return status;
}
