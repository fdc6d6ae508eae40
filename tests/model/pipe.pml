/* SPDX-License-Identifier: MIT
 * pipe.pml - how the two sides of a pipe's ring sleep and wake (lib/pipe-ring.c), either of them dying anywhere
 *
 * Each statement is one atomic step of the processor, in one order for all (seq_cst). A writer sends UNITS through a ring
 * of ROOM and says the end; a reader takes them and says that it has all. A word is twice a position, plus one at the end.
 * futex(2) compares and falls asleep in one step. A sleeper that is not woken sees in the end that the other one died: that
 * slow look is the step that is possible only then, so whoever sleeps while the other lives must be woken or sleeps for ever.
 *
 * In words:
 *  - Nobody sleeps on while the other one lives and has done what it waits for. In the model: no end state in which a
 *    process is still asleep.
 *  - The reader takes for whole only what the writer has ended, all of it.
 *  - The writer ends well only if the reader has everything.
 *  - Who calls the stream cut is right: what it waits for did not come before the other one died.
 *  - The writer never writes over what is not yet taken.
 *
 * verify holds the ring | | -DNOCLAIM |
 * verify fails the sleeper does not say that it sleeps | -DSILENT | -DNOCLAIM |
 * verify fails the other one looks for sleepers before it moves | -DLOOKS_EARLY | -DNOCLAIM |
 * verify fails who wakes also forgets that the other one sleeps | -DFORGETS | -DNOCLAIM |
 * verify fails the end is not part of the word that is slept on | -DEND_APART | -DNOCLAIM |
 * verify fails a dead writer is an end | -DDEATH_IS_END | -DNOCLAIM |
 * verify fails no last look after the other one was seen dead | -DHASTY | -DNOCLAIM |
 * verify fails the reader says that it has all before it has | -DEARLY_THANKS | -DNOCLAIM |
 */
#ifndef UNITS
#define UNITS 3
#endif
#define ROOM 2
#define WRITER 0
#define READER 1

byte word[2];	       /* each side's position */
bool ended[2];	       /* with END_APART: what belongs into the word */
bool asleep[2];	       /* a side says that it sleeps, on the other's word */
bool sleeping[2];      /* it does, in the kernel */
bool alive[2] = true; /* the kernel says so */
bool killed[2];	       /* between any two steps */
byte saved;	       /* what the reader has in safety */

#ifdef END_APART
#define WHOLE(side) (word[side] + (ended[side] -> 1 : 0))
#else
#define WHOLE(side) word[side]
#endif

/* Move our word to POSITION, and wake the other side if it sleeps on it. */
inline advance(self, position, end)
{
#ifdef LOOKS_EARLY
	heard = asleep[1 - self];
#endif
#ifdef END_APART
	word[self] = 2 * (position);
	ended[self] = end;
#else
	word[self] = 2 * (position) + (end -> 1 : 0);
#endif
#ifndef LOOKS_EARLY
	heard = asleep[1 - self];
#endif
	if
	:: heard ->
#ifdef FORGETS
		asleep[1 - self] = false;
#endif
		sleeping[1 - self] = false
	:: else
	fi
}

/* Wait until the other side's word is no longer SEEN; "cut" if it died before. */
inline sleep_on(self, seen)
{
	do
	:: true ->
#ifndef SILENT
		asleep[self] = true;
#endif
		if
		:: WHOLE(1 - self) != seen -> break
		:: else
		fi;
		/* futex(2): asleep only if the word is still the same. */
		atomic {
			if
#ifdef END_APART
			:: word[1 - self] == seen - seen % 2 -> sleeping[self] = true
#else
			:: word[1 - self] == seen -> sleeping[self] = true
#endif
			:: else
			fi
		}
		if
		:: !sleeping[self]
		:: sleeping[self] && !alive[1 - self] -> sleeping[self] = false
		fi;
		if
		:: WHOLE(1 - self) != seen -> break
		:: else
		fi;
		there = alive[1 - self];
		if
		:: there
#ifdef HASTY
		:: !there -> cut = true; break
#else
		:: !there && WHOLE(1 - self) != seen -> break
		:: !there && WHOLE(1 - self) == seen -> cut = true; break
#endif
		fi
	od;
	asleep[self] = false
}

proctype writer()
{
	byte written, other;
	bool heard, there, cut;

	{
	do
	:: written < UNITS ->
		other = WHOLE(READER);
		if
		:: written - other / 2 < ROOM ->
			assert(written - word[READER] / 2 < ROOM);
			written++;
			advance(WRITER, written, false)
		:: else ->
			sleep_on(WRITER, other);
			if
			:: cut -> assert(WHOLE(READER) == other); goto gone
			:: else
			fi
		fi
	:: else -> break
	od;
	advance(WRITER, written, true);
	do
	:: WHOLE(READER) == 2 * UNITS + 1 -> assert(saved == UNITS); goto gone
	:: else ->
		other = WHOLE(READER);
		if
		:: other != 2 * UNITS + 1 ->
			sleep_on(WRITER, other);
			if
			:: cut -> assert(WHOLE(READER) == other); goto gone
			:: else
			fi
		:: else
		fi
	od;
gone:	alive[WRITER] = false
	} unless { killed[WRITER] -> alive[WRITER] = false }
}

proctype reader()
{
	byte taken, other;
	bool heard, there, cut;

	{
	do
	:: true ->
		other = WHOLE(WRITER);
		if
		:: other / 2 > taken ->
#ifdef EARLY_THANKS
			taken++;
			advance(READER, taken, other % 2 && taken == other / 2);
			saved++
#else
			saved++;
			taken++;
			advance(READER, taken, false)
#endif
		:: other / 2 == taken && other % 2 -> break
		:: other / 2 == taken && other % 2 == 0 ->
			sleep_on(READER, other);
			if
			:: cut ->
				assert(WHOLE(WRITER) == other);
#ifdef DEATH_IS_END
				break
#else
				goto gone
#endif
			:: else
			fi
		fi
	od;
	assert(WHOLE(WRITER) == 2 * UNITS + 1 && saved == UNITS);
	advance(READER, taken, true);
gone:	alive[READER] = false
	} unless { killed[READER] -> alive[READER] = false }
}

/* At any moment, or never. */
proctype killer(byte side)
{
	if
	:: killed[side] = true
	:: true
	fi
}

init
{
	atomic {
		run writer();
		run reader();
		run killer(WRITER);
		run killer(READER)
	}
}
