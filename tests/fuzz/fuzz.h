/* SPDX-License-Identifier: MIT
 * fuzz.h - what the fuzz targets share
 *
 * A target is one file with LLVMFuzzerTestOneInput() in it. `make fuzz` links it with
 * libFuzzer; `make check` links it with replay.c, which needs no clang, and plays back
 * the seeds and what was once found. Targets of shared data begin each input by
 * removing every object of their namespace, so they refuse to run outside tests/ns-run.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipcutils.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input, whatever it is. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* An input as a program: numbers are taken from its front, and are 0 when it is used up. */
struct fuzz_input {
	const uint8_t *at, *end;
};

static inline uint64_t fuzz_take(struct fuzz_input *input, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes && input->at < input->end; i++)
		number |= (uint64_t)*input->at++ << (8 * i);
	return number;
}

/* Write a number of 1, 2, 4 or 8 bytes from the input over MEMORY, at an offset from the input. */
static inline void fuzz_patch(struct fuzz_input *input, void *memory, size_t size)
{
	size_t offset = (size_t)fuzz_take(input, size > 256 ? 2 : 1);
	size_t bytes = (size_t)1 << (fuzz_take(input, 1) % 4);
	uint64_t number = fuzz_take(input, bytes);

	offset %= size;
	offset -= offset % bytes; /* where a program would have such a number */
	if (size - offset >= bytes)
		memcpy((char *)memory + offset, &number, bytes);
}

/* A copy as a string, as long as it is: a read behind its end is seen by AddressSanitizer. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	size_t length = size ? strnlen((const char *)data, size) : 0;
	char *text = malloc(length + 1);

	must(text);
	memcpy(text, data, length);
	text[length] = '\0';
	return text;
}

/* Whether RESULT is one that the header names, with a sentence if it is an error. */
static inline enum ipcu_result fuzz_result(enum ipcu_result result)
{
	must(result >= IPCU_OK && result <= IPCU_SYSTEM);
	must(result == IPCU_OK || ipcu_last_error()->message[0]);
	must(result == IPCU_OK || ipcu_last_error()->result == result);
	return result;
}

/* fuzz-objects.c: remove every System V object of this namespace, which must be a test's own. */
void fuzz_remove_all(void);

#endif
