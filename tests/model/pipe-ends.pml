/* SPDX-License-Identifier: MIT
 * pipe-ends.pml - how processes come to the ends of a pipe, meet and leave (lib/pipe-ends.c), any of them dying anywhere
 *
 * Two processes want the first end, one the second; each comes once, and a killed one is not replaced. Each atomic block is one
 * semop, or one read. The kernel takes PRESENT and CLOSING back from the dead. The pipe is removed by who leaves last,
 * and made anew, all zero, by who then comes. What an end writes into the head is a word here: whose it is.
 *
 * In words:
 *  - At most one process is at an end.
 *  - Two that have met have met each other: who sees the other joined reads words that the other wrote in this session.
 *  - After they met, each sees at any moment whether the other one is still there: not a successor, and not nobody too early.
 *  - Nobody removes a pipe in which somebody else is.
 *  - When all have ended and nobody was killed, nothing is left.
 *  - Nobody waits for ever: no end state in which one waits, except for a partner that never comes.
 *
 * verify holds the ends | | -DNOCLAIM |
 * verify fails an end is taken although the last one there was not forgotten | -DBLIND_ENTER | -DNOCLAIM |
 * verify fails the last session is forgotten while somebody is in it | -DBLIND_CLEAR | -DNOCLAIM |
 * verify fails who clears waits for those of the next session, too | -DBLIND_WAIT | -DNOCLAIM |
 * verify fails an end joins before its words are ready | -DHASTY_JOIN | -DNOCLAIM |
 * verify fails who leaves does not see in the same step whether it is the last | -DTWO_STEPS | -DNOCLAIM |
 * verify fails who comes does not wait for a removal | -DBLIND_CLOSING | -DNOCLAIM |
 */
#ifndef KILLS
#define KILLS 1
#endif
#define PROCESSES 3
#define END(p) ((p) % 2)
#define NOBODY 9

bool exists;
bool present[2];
bool joined[2];
bool closing;
byte head[2] = NOBODY; /* the words of each end */

/* What the kernel knows of a process: what to take back. */
bool here[PROCESSES];
bool closes[PROCESSES];
bool lost[PROCESSES]; /* the identifier it knows leads nowhere any more */

/* What only the model knows. */
bool victim[PROCESSES];
byte kills = KILLS;
bool was_killed;
byte at[2] = NOBODY; /* who is at an end */
byte met[PROCESSES] = NOBODY;
bool over[PROCESSES];

inline reopen()
{
	atomic {
		if
		:: !exists ->
			exists = true;
			present[0] = false; present[1] = false;
			joined[0] = false; joined[1] = false;
			closing = false;
			head[0] = NOBODY; head[1] = NOBODY
		:: else
		fi;
		lost[me] = false
	}
}

/* Whether the pipe that was opened is gone: every step on it fails then. */
#define GONE lost[me]

#ifdef BLIND_CLOSING
#define CLOSING false
#else
#define CLOSING closing
#endif
/* All who wanted that end are over. */
#define NOBODY_COMES(e) (e == 0 -> over[0] && over[2] : over[1])
#define STALE(e) (joined[e] && !present[e])

#define end END(me)

inline enter()
{
	atomic {
		assert(at[end] == NOBODY);
		present[end] = true;
		here[me] = true;
		at[end] = me
	}
}

inline leave_now()
{
	present[end] = false;
	here[me] = false;
	at[end] = NOBODY
}

proctype party(byte me)
{
	bool seen_self, seen_there, seen_other, seen_present;

	{
	skip;
again:	skip;
	reopen();
	/* come: read all, then act on what was read */
	do
	:: true ->
		atomic {
			if
			:: GONE -> goto again
			:: else -> seen_self = joined[end]; seen_there = present[end]; seen_other = joined[1 - end]; seen_present = present[1 - end]
			fi;
			if
			:: present[end] && !STALE(1 - end) -> goto done /* a conflict */
			:: else
			fi
		}
		if
		:: (seen_self && !seen_there) || (seen_other && !seen_present) ->
			/* clear */
			atomic {
#ifdef BLIND_CLEAR
				if
				:: GONE -> goto again
				:: !GONE && !present[end] -> joined[0] = false; joined[1] = false
				fi
#else
				if
				:: GONE -> goto again
				:: !GONE && !CLOSING && !present[0] && !present[1] && (!seen_self || joined[end]) && (!seen_other || joined[1 - end]) ->
					if
					:: seen_self -> joined[end] = false
					:: else
					fi;
					if
					:: seen_other -> joined[1 - end] = false
					:: else
					fi
				:: !GONE && !CLOSING && !present[0] && !present[1] && ((seen_self && !joined[end]) || (seen_other && !joined[1 - end]))
#ifndef BLIND_WAIT
				:: !GONE && !CLOSING && present[end] && !seen_there
				:: !GONE && !CLOSING && present[1 - end] && !seen_present
#endif
				fi
#endif
			}
		:: else ->
			atomic {
				if
				:: GONE -> goto again
				:: !GONE && !CLOSING ->
					if
#ifdef BLIND_ENTER
					:: !present[end] -> enter(); break
					:: present[end]
#else
					:: !present[end] && !joined[end] && joined[1 - end] == seen_other && (!seen_other || present[1 - end]) ->
						enter(); break
					:: else
#endif
					fi
				fi
			}
		fi
	od;
#ifdef HASTY_JOIN
	atomic { if :: GONE -> assert(false) :: else -> joined[end] = true fi }
	head[end] = me;
#else
	head[end] = me;
	atomic { if :: GONE -> assert(false) :: else -> joined[end] = true fi }
#endif
	/* meet, or give up */
	atomic {
		if
		:: GONE -> assert(false)
		:: !GONE && joined[1 - end] -> met[me] = head[1 - end]; assert(met[me] != NOBODY && END(met[me]) != end)
		:: !GONE && !joined[1 - end] && NOBODY_COMES(1 - end) /* timed out */
		fi
	}
	/* the stream */
	atomic {
		if
		:: met[me] != NOBODY -> assert(present[1 - end] == !over[met[me]])
		:: else
		fi
	}
	/* leave */
#ifdef TWO_STEPS
	seen_present = present[1 - end];
	atomic {
		over[me] = true;
		leave_now();
		if
		:: seen_present -> goto done
		:: else -> closing = true; closes[me] = true
		fi
	}
#else
	atomic {
		over[me] = true;
		if
		:: present[1 - end] -> leave_now(); goto done
		:: else -> leave_now(); closing = true; closes[me] = true
		fi
	}
#endif
	/* remove, with the registry's lock */
	atomic {
		assert(at[0] == NOBODY && at[1] == NOBODY);
		if
		:: !GONE -> exists = false; lost[0] = true; lost[1] = true; lost[2] = true
		:: else
		fi;
		closing = false;
		closes[me] = false
	}
done:	skip;
	over[me] = true
	} unless {
		atomic {
			victim[me] ->
			over[me] = true;
			if
			:: here[me] -> leave_now()
			:: else
			fi;
			if
			:: closes[me] -> closing = false; closes[me] = false
			:: else
			fi
		}
	}
}

active proctype killer()
{
	do
	:: kills > 0 ->
		atomic {
			kills--;
			was_killed = true;
			if
			:: victim[0] = true
			:: victim[1] = true
			:: victim[2] = true
					fi
		}
	:: break
	od
}

active proctype watcher()
{
	/* All have ended and nobody was killed: nothing is left. */
	(over[0] && over[1] && over[2] && _nr_pr == 2);
	assert(was_killed || !exists)
}

init
{
	atomic {
		run party(0);
		run party(1);
		run party(2)
	}
}
