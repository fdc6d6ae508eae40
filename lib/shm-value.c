/* SPDX-License-Identifier: MIT
 * shm-value.c - values in shared memory, each changed in one atomic step
 *
 * A segment begins at a page and values begin at its first byte, so every one is aligned. Whole numbers
 * use the machine's own steps; a sum that can overflow, and floating point, which has none, compare and
 * exchange until nobody came between. What a value means is decided by its bits: -0 equals 0, a nan a nan.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "error.h"
#include "shm.h"

enum ipcu_result ipcu_shm_check(ipcu_shm *shm, uint64_t index, bool writing)
{
	if (shm->type == IPCU_BYTES) {
		ipcu_fail(IPCU_USAGE, "it holds bytes, not values");
		ipcu_hint("say how to see them, as in --type=i32, or use read and write");
		return IPCU_USAGE;
	}
	if (index >= shm->count) {
		ipcu_fail(IPCU_LIMIT, "there is no value %llu: it has %llu",
			  (unsigned long long)index, (unsigned long long)shm->count);
		ipcu_hint("the first one is 0");
		return IPCU_LIMIT;
	}
	if (writing)
		return ipcu_shm_writable(shm);
	if (shm->moves && ipcu_stage_moved(shm->control))
		return ipcu_fail_call("shmat", EIDRM, "cannot read it");
	return IPCU_OK;
}

/* ---- the steps, for each type -------------------------------------------- */

#define ORDER __ATOMIC_SEQ_CST

/* NOLINTBEGIN(bugprone-macro-parentheses): a type in parentheses is none */
#define SIGNED_STEPS(suffix, type)                                              \
	static bool add_##suffix(type *at, int64_t delta, int64_t *sum)         \
	{                                                                       \
		type old = __atomic_load_n(at, __ATOMIC_RELAXED), new;          \
                                                                                \
		do                                                              \
			if (__builtin_add_overflow(old, delta, &new))           \
				return false;                                   \
		while (!__atomic_compare_exchange_n(at, &old, new, true, ORDER, \
						    __ATOMIC_RELAXED));         \
		*sum = new;                                                     \
		return true;                                                    \
	}
/* NOLINTEND(bugprone-macro-parentheses) */
SIGNED_STEPS(i8, int8_t)
SIGNED_STEPS(i16, int16_t)
SIGNED_STEPS(i32, int32_t)
SIGNED_STEPS(i64, int64_t)

/* The bits of floats are read and exchanged as whole numbers. */
static double from_bits(enum ipcu_type type, uint64_t bits)
{
	uint32_t low = (uint32_t)bits;
	double value;
	float single;

	if (type == IPCU_F32) {
		memcpy(&single, &low, sizeof(single));
		return (double)single;
	}
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint64_t to_bits(enum ipcu_type type, double value)
{
	float single = (float)value;
	uint32_t low;
	uint64_t bits;

	if (type == IPCU_F32) {
		memcpy(&low, &single, sizeof(low));
		return low;
	}
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static void *place(const ipcu_shm *shm, uint64_t index)
{
	return shm->data + index * ipcu_type_size(shm->type);
}

static uint64_t load_bits(const void *at, size_t size)
{
	switch (size) {
	case 1:
		return __atomic_load_n((const uint8_t *)at, ORDER);
	case 2:
		return __atomic_load_n((const uint16_t *)at, ORDER);
	case 4:
		return __atomic_load_n((const uint32_t *)at, ORDER);
	default:
		return __atomic_load_n((const uint64_t *)at, ORDER);
	}
}

static void store_bits(void *at, size_t size, uint64_t bits)
{
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)at, (uint8_t)bits, ORDER);
		return;
	case 2:
		__atomic_store_n((uint16_t *)at, (uint16_t)bits, ORDER);
		return;
	case 4:
		__atomic_store_n((uint32_t *)at, (uint32_t)bits, ORDER);
		return;
	default:
		__atomic_store_n((uint64_t *)at, bits, ORDER);
	}
}

/* Exchange if *BITS is there; otherwise *BITS becomes what is. */
#define EXCHANGE(type)                                                                       \
	do {                                                                                 \
		type old = (type)*bits;                                                      \
		bool done = __atomic_compare_exchange_n((type *)at, &old, (type) new, false, \
							ORDER, ORDER);                       \
		*bits = old;                                                                 \
		return done;                                                                 \
	} while (0)
static bool exchange_bits(void *at, size_t size, uint64_t *bits, uint64_t new)
{
	switch (size) {
	case 1:
		EXCHANGE(uint8_t);
	case 2:
		EXCHANGE(uint16_t);
	case 4:
		EXCHANGE(uint32_t);
	default:
		EXCHANGE(uint64_t);
	}
}

static union ipcu_value value_of(enum ipcu_type type, uint64_t bits)
{
	union ipcu_value value = { .u = bits };

	switch (type) {
	case IPCU_I8:
		value.i = (int8_t)bits;
		break;
	case IPCU_I16:
		value.i = (int16_t)bits;
		break;
	case IPCU_I32:
		value.i = (int32_t)bits;
		break;
	case IPCU_F32:
	case IPCU_F64:
		value.f = from_bits(type, bits);
		break;
	default:
		break;
	}
	return value;
}

static bool is_float(enum ipcu_type type)
{
	return type == IPCU_F32 || type == IPCU_F64;
}

static uint64_t bits_of(enum ipcu_type type, union ipcu_value value)
{
	return is_float(type) ? to_bits(type, value.f) : value.u;
}

static bool same(enum ipcu_type type, union ipcu_value a, union ipcu_value b)
{
	if (is_float(type))
		return a.f == b.f || (a.f != a.f && b.f != b.f);
	return a.u == b.u;
}

static void changed(ipcu_shm *shm, uint64_t index)
{
	size_t size = ipcu_type_size(shm->type);

	ipcu_shm_changed(shm, (size_t)index * size, size);
}

/* ---- the calls ------------------------------------------------------------ */

enum ipcu_result ipcu_shm_get(ipcu_shm *shm, uint64_t index, union ipcu_value *value)
{
	enum ipcu_result result = ipcu_shm_check(shm, index, false);

	if (result == IPCU_OK)
		*value = value_of(shm->type,
				  load_bits(place(shm, index), ipcu_type_size(shm->type)));
	return result;
}

enum ipcu_result ipcu_shm_set(ipcu_shm *shm, uint64_t index, union ipcu_value value)
{
	enum ipcu_result result = ipcu_shm_check(shm, index, true);

	if (result != IPCU_OK)
		return result;
	store_bits(place(shm, index), ipcu_type_size(shm->type), bits_of(shm->type, value));
	changed(shm, index);
	return IPCU_OK;
}

static union ipcu_value add_float(enum ipcu_type type, void *at, double delta)
{
	size_t size = ipcu_type_size(type);
	uint64_t old = load_bits(at, size), new;

	do
		/* A float's sum is rounded once, as the machine would add two of them. */
		new = type == IPCU_F32
			      ? to_bits(type, (double)((float)from_bits(type, old) + (float)delta))
			      : to_bits(type, from_bits(type, old) + delta);
	while (!exchange_bits(at, size, &old, new));
	return value_of(type, new);
}

/* False: the sum is out of the type's range. */
static bool add(enum ipcu_type type, void *at, union ipcu_value delta, union ipcu_value *sum)
{
	switch (type) {
	case IPCU_I8:
		return add_i8(at, delta.i, &sum->i);
	case IPCU_I16:
		return add_i16(at, delta.i, &sum->i);
	case IPCU_I32:
		return add_i32(at, delta.i, &sum->i);
	case IPCU_I64:
		return add_i64(at, delta.i, &sum->i);
	case IPCU_U8:
		sum->u = __atomic_add_fetch((uint8_t *)at, (uint8_t)delta.u, ORDER);
		return true;
	case IPCU_U16:
		sum->u = __atomic_add_fetch((uint16_t *)at, (uint16_t)delta.u, ORDER);
		return true;
	case IPCU_U32:
		sum->u = __atomic_add_fetch((uint32_t *)at, (uint32_t)delta.u, ORDER);
		return true;
	case IPCU_U64:
		sum->u = __atomic_add_fetch((uint64_t *)at, delta.u, ORDER);
		return true;
	default:
		*sum = add_float(type, at, delta.f);
		return true;
	}
}

enum ipcu_result ipcu_shm_add(ipcu_shm *shm, uint64_t index, union ipcu_value delta,
			      union ipcu_value *value)
{
	enum ipcu_result result = ipcu_shm_check(shm, index, true);
	union ipcu_value sum;

	if (result != IPCU_OK)
		return result;
	if (!add(shm->type, place(shm, index), delta, &sum))
		return ipcu_fail(IPCU_LIMIT,
				 "the sum is out of the range of %s: the value was not changed",
				 ipcu_type_name(shm->type));
	changed(shm, index);
	if (value)
		*value = sum;
	return IPCU_OK;
}

enum ipcu_result ipcu_shm_compare_set(ipcu_shm *shm, uint64_t index, union ipcu_value expected,
				      union ipcu_value desired, union ipcu_value *found)
{
	enum ipcu_result result = ipcu_shm_check(shm, index, true);
	size_t size = ipcu_type_size(shm->type);
	union ipcu_value there;
	uint64_t bits;

	if (result != IPCU_OK)
		return result;
	bits = load_bits(place(shm, index), size);
	do {
		there = value_of(shm->type, bits);
		if (!same(shm->type, there, expected)) {
			result = ipcu_not_now(EAGAIN);
			break;
		}
	} while (!exchange_bits(place(shm, index), size, &bits, bits_of(shm->type, desired)));
	if (result == IPCU_OK)
		changed(shm, index);
	if (found)
		*found = there;
	return result;
}
