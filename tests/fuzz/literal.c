/* SPDX-License-Identifier: MIT
 * literal.c - fuzz: values of shared memory as text
 *
 * The first byte is the type. What follows is read as text, and as the bits of a value; whatever is
 * written must read back as the same value.
 */
#include <config.h>

#include <math.h>

#include "fuzz.h"

static bool is_float(enum ipcu_type type)
{
	return type == IPCU_F32 || type == IPCU_F64;
}

static bool same(enum ipcu_type type, union ipcu_value a, union ipcu_value b)
{
	if (is_float(type))
		return a.f == b.f ? signbit(a.f) == signbit(b.f) : isnan(a.f) && isnan(b.f);
	return a.u == b.u;
}

static void round_trip(enum ipcu_type type, union ipcu_value value)
{
	char text[IPCU_VALUE_TEXT];
	union ipcu_value again = { .u = 0 };

	memset(text, 'x', sizeof(text));
	ipcu_value_write(type, value, text);
	must(memchr(text, '\0', sizeof(text)));
	must(ipcu_value_read(type, text, &again) == IPCU_OK);
	must(same(type, value, again));
}

/* What a segment of this type could hold at all. */
static union ipcu_value of_bits(enum ipcu_type type, uint64_t bits)
{
	union ipcu_value value = { .u = bits };
	unsigned spare = 64 - 8 * (unsigned)ipcu_type_size(type);
	uint32_t low = (uint32_t)bits;
	float single;

	if (type == IPCU_F32) {
		memcpy(&single, &low, sizeof(single));
		value.f = (double)single;
	} else if (type == IPCU_F64) {
		memcpy(&value.f, &bits, sizeof(value.f));
	} else if (type % 2) { /* i8 i16 i32 i64 */
		value.i = (int64_t)(bits << spare) >> spare;
	} else {
		value.u = bits << spare >> spare;
	}
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };
	enum ipcu_type type = (enum ipcu_type)(fuzz_take(&input, 1) % (IPCU_F64 + 1));
	char *text = fuzz_text(input.at, (size_t)(input.end - input.at));
	union ipcu_value value = { .u = 77 };
	enum ipcu_type read;

	if (fuzz_result(ipcu_value_read(type, text, &value)) == IPCU_OK) {
		must(type != IPCU_BYTES);
		must(same(type, value, of_bits(type, is_float(type) ? 0 : value.u)) ||
		     is_float(type));
		must(type != IPCU_F32 || isnan(value.f) || (double)(float)value.f == value.f);
		round_trip(type, value);
	} else {
		must(value.u == 77);
	}
	if (type != IPCU_BYTES)
		round_trip(type, of_bits(type, fuzz_take(&input, 8)));
	if (fuzz_result(ipcu_type_read(text, &read)) == IPCU_OK)
		must(strcmp(ipcu_type_name(read), text) == 0);
	free(text);
	return 0;
}
