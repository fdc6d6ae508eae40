/* SPDX-License-Identifier: MIT
 * soak-book.c - which messages were sent for sure, and which were received
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soak.h"

enum { SENT = 1, RECEIVED = 2, SAFE = 4 };

struct book book;
static unsigned char *notes; /* a byte a message */
static unsigned capacity;

unsigned book_new(unsigned count, bool safe)
{
	unsigned first = book.made;

	book.made += count;
	while (book.made > capacity) {
		unsigned more = capacity ? capacity : 65536;

		notes = realloc(notes, capacity + more);
		if (!notes)
			abort();
		memset(notes + capacity, 0, more);
		capacity += more;
	}
	for (unsigned i = first; safe && i < book.made; i++)
		notes[i] = SAFE;
	return first;
}

void book_sent(unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		notes[i] |= SENT;
	book.sent += count;
}

void book_may_lose(unsigned count)
{
	book.lost_allowed += count;
}

/* "m17", and for every fiftieth so much behind it that it does not fit into a queue. */
char *book_body(unsigned number, size_t *size)
{
	size_t capacity_of = number % 50 == 7 ? 20000 : 32;
	char *body = malloc(capacity_of);

	if (!body)
		abort();
	*size = (size_t)snprintf(body, capacity_of, "m%u ", number);
	if (capacity_of > 32) {
		memset(body + *size, 'x', capacity_of - *size);
		*size = capacity_of;
	}
	return body;
}

/* One line of a receiver; one that was cut off by a kill may not be whole. */
static void receive(const struct child *child, const struct ending *ending, const char *line,
		    size_t size)
{
	unsigned number;
	size_t expected;
	char *body;

	if (sscanf(line, "m%u ", &number) != 1 || number >= book.made) {
		soak_wrong(child, ending, "a message that nobody sent: %.40s", line);
		book.unknown++;
		return;
	}
	body = book_body(number, &expected);
	if (size != expected || memcmp(body, line, size) != 0)
		soak_wrong(child, ending, "message %u is not what was sent", number);
	free(body);
	if (notes[number] & RECEIVED) {
		soak_wrong(child, ending, "message %u came twice", number);
		book.doubled++;
		return;
	}
	notes[number] |= RECEIVED;
	book.received++;
}

void book_received(const struct child *child, const struct ending *ending, const char *out,
		   size_t size)
{
	const char *end;

	for (; size > 0; size -= (size_t)(end - out) + 1, out = end + 1) {
		end = memchr(out, '\n', size);
		if (!end) {
			if (!child->killed)
				soak_wrong(child, ending, "half a message");
			return;
		}
		receive(child, ending, out, (size_t)(end - out));
	}
}

void book_close(void)
{
	for (unsigned i = 0; i < book.made; i++) {
		bool lost = (notes[i] & SENT) && !(notes[i] & RECEIVED), safe = notes[i] & SAFE;

		book.lost += lost && !safe;
		book.safe_lost += lost && safe;
		book.safe += safe && (notes[i] & SENT);
	}
	free(notes);
}
