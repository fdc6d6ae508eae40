/* SPDX-License-Identifier: MIT
 * wait.pml - how ipcu_shm_wait() sleeps and ipcu_shm_changed() wakes, saving the call when nobody sleeps
 *
 * Each statement is one atomic step of the processor, in one order for all (seq_cst). Two writers add one each; one
 * sleeper waits for 1 and one for 2, so there is a wake-up that satisfies only one of them. A third one gives up, or is
 * killed, at any moment, and leaves the word "asleep" set. futex(2) compares and falls asleep in one step.
 *
 * In words: when both writers are done, nobody sleeps who has what it waits for. In the model that is: no end state in
 * which a process is still asleep (an invalid end state for SPIN), for who sleeps then would sleep for ever. The slow
 * look once a second, which in the program mends what a killed writer leaves undone, is left out.
 *
 * verify holds nobody sleeps on with what it waits for | | -DNOCLAIM |
 * verify fails the sleeper does not say that it sleeps | -DSILENT | -DNOCLAIM |
 * verify fails the sleeper says so after its look | -DLATE | -DNOCLAIM |
 * verify fails the sleeper says so before it notes the sequence | -DNOTES_SECOND | -DNOCLAIM |
 * verify fails the sleeper notes the sequence after its look | -DNOTES_LATE | -DNOCLAIM |
 * verify fails the writer forgets the sleepers after it has counted | -DFORGETS_LATE | -DNOCLAIM |
 * verify fails the writer looks for sleepers before its change | -DLOOKS_EARLY | -DNOCLAIM |
 * verify fails the writer does not count | -DNO_COUNT | -DNOCLAIM |
 */
#define SLEEPERS 3

byte value;
bool asleep;	       /* the tail's two words */
byte sequence;
bool sleeping[SLEEPERS]; /* in the kernel */

inline wake()
{
	d_step {
		sleeping[0] = false;
		sleeping[1] = false;
		sleeping[2] = false;
	}
}

proctype writer()
{
	bool heard;

#ifdef LOOKS_EARLY
	heard = asleep;
	value++;
#else
	value++;
	heard = asleep;
#endif
	if
	:: heard ->
#ifdef FORGETS_LATE
		sequence++;
		asleep = false;
#else
		asleep = false;
#ifndef NO_COUNT
		sequence++;
#endif
#endif
		wake()
	:: else
	fi
}

proctype sleeper(byte self; byte wanted; bool gives_up)
{
	byte seen;
	bool enough;

	do
	:: gives_up -> break
	:: true ->
#ifdef NOTES_SECOND
		asleep = true;
#endif
#ifndef NOTES_LATE
		seen = sequence;
#endif
#if !defined(SILENT) && !defined(LATE) && !defined(NOTES_SECOND)
		asleep = true;
#endif
		enough = value >= wanted;
#ifdef NOTES_LATE
		seen = sequence;
#endif
#ifdef LATE
		asleep = true;
#endif
		if
		:: enough -> break
		:: else
		fi;
		/* futex(2): asleep only if nobody has counted. */
		atomic {
			if
			:: sequence == seen -> sleeping[self] = true
			:: else
			fi
		}
		if
		:: !sleeping[self]
		:: gives_up -> sleeping[self] = false; break
		fi
	od
}

init
{
	atomic {
		run writer();
		run writer();
		run sleeper(0, 1, false);
		run sleeper(1, 2, false);
		run sleeper(2, 2, true)
	}
}
