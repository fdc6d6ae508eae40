/* SPDX-License-Identifier: MIT
 * shm-value.c - typed values: get, set, add, cas, wait
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli-output.h"
#include "cli-wait.h"
#include "error.h"
#include "queue.h"
#include "shm-verbs.h"
#include "shm.h"

static int failed(const struct shm_options *options, enum ipcu_result result)
{
	return cli_status(&options->common, options->name, result);
}

/* The type to read words by, after the segment was found to have values. */
static enum ipcu_result type_of(ipcu_shm *shm, enum ipcu_type *type, uint64_t *count)
{
	struct ipcu_shm_info info;
	enum ipcu_result result = ipcu_shm_status(shm, &info);

	if (result != IPCU_OK)
		return result;
	if (info.type == IPCU_BYTES) {
		ipcu_fail(IPCU_USAGE, "it holds bytes, not values");
		ipcu_hint("say how to see them, as in --type=i32, or use read and write");
		return IPCU_USAGE;
	}
	*type = info.type;
	*count = info.count;
	return IPCU_OK;
}

/* ---- words -------------------------------------------------------------- */

/* What is taken away from an unsigned value wraps as a sum does. */
static enum ipcu_result read_delta(enum ipcu_type type, const char *word, union ipcu_value *delta)
{
	bool is_unsigned =
		type == IPCU_U8 || type == IPCU_U16 || type == IPCU_U32 || type == IPCU_U64;
	bool negative = is_unsigned && *word == '-';
	enum ipcu_result result = ipcu_value_read(type, word + negative, delta);

	if (result == IPCU_OK && negative)
		delta->u = 0 - delta->u;
	/* Once more as it was typed, for the message. */
	return result == IPCU_OK ? result : ipcu_value_read(type, word, delta);
}

static enum ipcu_result read_comparison(const char *word, enum ipcu_comparison *comparison)
{
	static const char *const comparisons[] = { "eq", "ne", "lt", "le", "gt", "ge" };

	for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++)
		if (strcmp(comparisons[i], word) == 0) {
			*comparison = (enum ipcu_comparison)i;
			return IPCU_OK;
		}
	return ipcu_fail(IPCU_USAGE, "'%.60s' is not a comparison: eq ne lt le gt ge", word);
}

enum ipcu_result shm_check_words(const struct shm_options *options, enum ipcu_type type)
{
	enum ipcu_result result = IPCU_OK;
	enum ipcu_comparison comparison;
	union ipcu_value value;

	for (int i = 0; i < options->count && result == IPCU_OK; i++)
		result = options->compares && i == 0
				 ? read_comparison(options->words[i], &comparison)
			 : options->adds ? read_delta(type, options->words[i], &value)
					 : ipcu_value_read(type, options->words[i], &value);
	return result;
}

/* ---- the verbs ------------------------------------------------------------ */

static void put_value(struct cli_buffer *out, enum ipcu_type type, union ipcu_value value)
{
	char text[IPCU_VALUE_TEXT];

	ipcu_value_write(type, value, text);
	cli_put_text(out, text);
	cli_put(out, "\n", 1);
}

static int print(const struct shm_options *options, struct cli_buffer *out)
{
	int status = IPCU_OK;

	if (out->failed || cli_write(out->bytes, out->used) < out->used) {
		cli_complain(&options->common, NULL, NULL, "write error: %s",
			     out->failed ? "not enough memory" : strerror(errno));
		status = IPCU_SYSTEM;
	}
	free(out->bytes);
	return status;
}

static int print_value(const struct shm_options *options, enum ipcu_type type,
		       union ipcu_value value)
{
	struct cli_buffer out = { 0 };

	put_value(&out, type, value);
	return print(options, &out);
}

int shm_get(ipcu_shm *shm, struct shm_options *options)
{
	struct cli_buffer out = { 0 };
	union ipcu_value value;
	uint64_t count, end;
	enum ipcu_type type = IPCU_BYTES;
	enum ipcu_result result = type_of(shm, &type, &count);

	if (result != IPCU_OK)
		return failed(options, result);
	end = options->has_end ? options->end : options->has_index ? options->index + 1 : count;
	if (options->has_index && !options->has_end && options->index >= count)
		return failed(options, ipcu_shm_get(shm, options->index, &value));
	if (end > count || options->index > end) {
		cli_complain(&options->common, options->name, NULL,
			     "there are no values %llu:%llu: it has %llu",
			     (unsigned long long)options->index, (unsigned long long)end,
			     (unsigned long long)count);
		return IPCU_LIMIT;
	}
	for (uint64_t index = options->index; index < end && result == IPCU_OK; index++) {
		result = ipcu_shm_get(shm, index, &value);
		if (result == IPCU_OK)
			put_value(&out, type, value);
	}
	if (result == IPCU_OK)
		return print(options, &out);
	free(out.bytes);
	return failed(options, result);
}

int shm_set(ipcu_shm *shm, struct shm_options *options)
{
	union ipcu_value *values = calloc((size_t)options->count, sizeof(*values));
	uint64_t count = 0;
	enum ipcu_type type = IPCU_BYTES;
	enum ipcu_result result = values ? type_of(shm, &type, &count)
					 : ipcu_fail_call("malloc", ENOMEM, "cannot set it");

	for (int i = 0; i < options->count && result == IPCU_OK; i++)
		result = ipcu_value_read(type, options->words[i], &values[i]);
	/* All or none, as far as room goes. */
	if (result == IPCU_OK &&
	    (options->index > count || (uint64_t)options->count > count - options->index)) {
		ipcu_fail(IPCU_LIMIT, "no room for %d values from %llu on: it has %llu",
			  options->count, (unsigned long long)options->index,
			  (unsigned long long)count);
		result = IPCU_LIMIT;
	}
	for (int i = 0; i < options->count && result == IPCU_OK; i++)
		result = ipcu_shm_set(shm, options->index + (uint64_t)i, values[i]);
	free(values);
	return failed(options, result);
}

int shm_add(ipcu_shm *shm, struct shm_options *options)
{
	union ipcu_value delta, sum;
	uint64_t count = 0;
	enum ipcu_type type = IPCU_BYTES;
	enum ipcu_result result = type_of(shm, &type, &count);

	if (result == IPCU_OK)
		result = read_delta(type, options->words[0], &delta);
	if (result == IPCU_OK)
		result = ipcu_shm_add(shm, options->index, delta, &sum);
	return result == IPCU_OK ? print_value(options, type, sum) : failed(options, result);
}

int shm_cas(ipcu_shm *shm, struct shm_options *options)
{
	union ipcu_value old, new, found;
	uint64_t count = 0;
	enum ipcu_type type = IPCU_BYTES;
	enum ipcu_result result = type_of(shm, &type, &count);

	if (result == IPCU_OK)
		result = ipcu_value_read(type, options->words[0], &old);
	if (result == IPCU_OK)
		result = ipcu_value_read(type, options->words[1], &new);
	if (result == IPCU_OK)
		result = ipcu_shm_compare_set(shm, options->index, old, new, &found);
	if (result == IPCU_NOT_NOW) {
		int status = print_value(options, type, found);

		return status ? status : failed(options, result);
	}
	return failed(options, result);
}

/* The value that shm_wait waits for. */
struct awaited {
	const struct shm_options *options;
	enum ipcu_type type;
};

static bool describe_wait(void *handle, char *text, size_t capacity)
{
	const struct awaited *awaited = handle;
	const struct shm_options *options = awaited->options;
	char now[IPCU_VALUE_TEXT];
	const struct ipcu_open how = { .create = IPCU_CREATE_NEVER, .deadline = &ipcu_no_wait };
	union ipcu_value value;
	enum ipcu_result result;
	ipcu_shm *shm;

	/* The handle that waits attaches again as it needs: this thread uses one of its own. */
	if (ipcu_shm_open(&shm, options->name, NULL, &how) != IPCU_OK)
		return false;
	result = ipcu_shm_get(shm, options->index, &value);
	ipcu_shm_close(shm);
	if (result != IPCU_OK)
		return false;
	ipcu_value_write(awaited->type, value, now);
	snprintf(text, capacity, "until the value at index %llu is %s %s; it is %s",
		 (unsigned long long)options->index, options->words[0], options->words[1], now);
	return true;
}

int shm_wait(ipcu_shm *shm, struct shm_options *options)
{
	struct timespec storage;
	const struct timespec *deadline = cli_deadline(&options->common, &storage);
	enum ipcu_comparison comparison;
	union ipcu_value value;
	uint64_t count = 0;
	enum ipcu_type type = IPCU_BYTES;
	struct awaited awaited = { .options = options };
	struct cli_wait wait = { .prepared = false };
	enum ipcu_result result;

	result = read_comparison(options->words[0], &comparison);
	if (result == IPCU_OK)
		result = type_of(shm, &type, &count);
	if (result == IPCU_OK)
		result = ipcu_value_read(type, options->words[1], &value);
	if (result != IPCU_OK)
		return failed(options, result);
	ipcu_shm_let_go(shm);
	awaited.type = type;
	cli_wait_begin(&wait, &options->common, options->name, describe_wait, &awaited);
	/* A process that was stopped and continued compares again. */
	do
		result = ipcu_shm_wait(shm, options->index, comparison, value, deadline, NULL);
	while (result == IPCU_NOT_NOW && ipcu_last_error()->errnum == EINTR);
	cli_wait_end(&wait);
	return failed(options, result);
}
