/* SPDX-License-Identifier: MIT
 * barrier.pml - the protocol of lib/barrier.c, any process of which may die between any two steps
 *
 * Each atomic block is one semop, or one reading of all values. A party loops: come, wait, give up or pass. KILLS kills and
 * GIVE_UPS timeouts are spent at any moment, on anybody; the kernel then undoes what the dead
 * one holds, and it comes back as a new process. Three processes share a barrier of two parties, so
 * there is always somebody else to take a place; two slots, so each is used again at once.
 *
 * verify holds safety | | -DSAFETY -DNOCLAIM |
 * verify holds safety, with an abort | -DABORT -DKILLS=1 | -DSAFETY -DNOCLAIM |
 * verify holds safety, with two resets | -DRESETS=2 -DKILLS=0 | -DSAFETY -DNOCLAIM |
 * verify holds progress, with a reset | -DRESETS=1 -DKILLS=0 | -DNFAIR=7 | -a -f
 * verify holds safety, with a removal that seals | -DSEAL -DKILLS=1 | -DSAFETY -DNOCLAIM |
 * verify holds progress | | -DNFAIR=6 | -a -f
 * verify fails the last one releases without looking who is still there | -DBLIND_RELEASE | -DSAFETY -DNOCLAIM |
 * verify fails who gives up does not look whether it was released | -DBLIND_RETRACT | -DSAFETY -DNOCLAIM |
 * verify fails who comes does not look whether the generation is over | -DBLIND_ARRIVE | -DSAFETY -DNOCLAIM |
 * verify fails a slot is opened while a process is in it | -DBLIND_REUSE -DRESETS=2 | -DSAFETY -DNOCLAIM |
 * verify fails a reset is two steps, between which an ejected waiter returns | -DRESETS=1 -DTWO_STEPS | -DSAFETY -DNOCLAIM |
 * verify fails a reset does not compare the generation | -DRESETS=1 -DBLIND_RESET | -DSAFETY -DNOCLAIM |
 * verify fails an arrival does not wait for a seal | -DSEAL -DKILLS=0 -DBLIND_SEALED | -DSAFETY -DNOCLAIM |
 * verify fails a removal does not look for arrivals in the step that seals | -DSEAL -DKILLS=0 -DBLIND_SEAL | -DSAFETY -DNOCLAIM |
 * verify fails the lock of the dead does not come back | -DNO_UNDO | -DNFAIR=6 | -a -f
 */
#define PROCESSES 3
#define OTHERS 1 /* parties - 1 */
#define SLOTS 2
#define LAST 3 /* generations that are looked at */
#ifndef KILLS
#define KILLS 2
#endif
#define GIVE_UPS 1
#ifndef RESETS
#define RESETS 0
#endif

/* The semaphores. */
byte lock = 1;
byte gate[SLOTS];
byte arrived[SLOTS];
byte broken[SLOTS];
byte generation;
bool sealed;
byte slot; /* whose gate is 1: the generation's digits do not tell it */

/* What only the model knows. */
byte present[LAST + 2];   /* alive, arrived in this generation, and not gone */
bool released[LAST + 2];  /* its last party has come */
bool aborted[LAST + 2];
byte passed[LAST + 2];
bool victim[PROCESSES];
byte kills = KILLS;
byte give_ups = GIVE_UPS;

#define NEXT(s) (1 - (s))

/* Safety, in words: who passes belongs to a generation that is released, and at most all parties do. */
inline count_passage()
{
	assert(released[mine] && !aborted[mine]);
	passed[mine]++;
	assert(passed[mine] <= OTHERS + 1);
}

inline open_next()
{
	gate[at] = 0;
	broken[NEXT(at)] = 0;
	gate[NEXT(at)] = 1;
	slot = NEXT(at);
	generation++;
}

#ifdef BLIND_REUSE
#define NEXT_IS_FREE true
#else
#define NEXT_IS_FREE (arrived[NEXT(at)] == 0)
#endif

#ifdef BLIND_SEALED
#define SEALED false
#else
#define SEALED sealed
#endif

#ifdef BLIND_RELEASE
#define ALL_THERE (others == OTHERS && generation == mine)
#else
#define ALL_THERE (arrived[at] >= OTHERS && !broken[at] && generation == mine)
#endif

#ifdef BLIND_ARRIVE
#define MAY_ARRIVE (!SEALED && !broken[at] && arrived[at] < OTHERS && generation < LAST)
#define MY_GENERATION mine
#else
#define MAY_ARRIVE (!SEALED && !broken[at] && arrived[at] < OTHERS && gate[at] == 1 && generation < LAST)
#define MY_GENERATION generation
#endif

#ifdef BLIND_RETRACT
#define STILL_CLOSED true
#else
#define STILL_CLOSED (gate[at] == 1 && !broken[at])
#endif

/* After arriving, until passed, given up, or broken. */
inline stay()
{
	if
	:: atomic { /* pass: the kernel's step or our own */
		!broken[at] && gate[at] == 0 ->
		arrived[at]--; in = false; present[mine]--;
		count_passage()
	   }
	:: atomic { /* give up */
		give_ups > 0 && STILL_CLOSED ->
		give_ups--;
		/* Safety: who was released does not say that it timed out. */
		assert(!released[mine] && !aborted[mine]);
		arrived[at]--; in = false; present[mine]--
	   }
	:: atomic { /* broken: nobody else's generation says so */
		broken[at] -> assert(aborted[mine] && !released[mine])
	   }
	   atomic { arrived[at]--; in = false; present[mine]-- }
	fi
}

proctype party(byte me)
{
	byte at, mine, others;
	bool holds, in, is_broken;

	do
	:: generation >= LAST -> break
	:: else ->
		{
			/* without the lock; who fails queues for it */
			atomic { at = slot; mine = generation; others = arrived[at]; is_broken = broken[at] }
			if
			:: !is_broken && mine < LAST && others < OTHERS ->
				if
				:: atomic { /* arrive; it may have become a later generation, in the same slot */
					MAY_ARRIVE ->
					mine = MY_GENERATION; arrived[at]++; in = true; present[mine]++
				   }
				   stay()
				:: !(MAY_ARRIVE) -> goto queue
				fi
			:: else ->
queue:			atomic { lock > 0 -> lock--; holds = true }
			do
			:: atomic { /* look */
				at = slot; mine = generation; others = arrived[at]; is_broken = broken[at]
			   }
			   if
			   :: is_broken || mine >= LAST ->
#if RESETS
				/* Safety: a reset never leaves the open generation broken, so it ejects no process that arrives. */
				assert(!is_broken);
#endif
				atomic { lock++; holds = false }
				break
			   :: !is_broken && mine < LAST && others >= OTHERS ->
				if
				:: atomic { /* release */
					ALL_THERE && NEXT_IS_FREE ->
					/* Safety: nobody is released by the arrival of one who died or gave up. */
					assert(present[mine] == OTHERS);
					released[mine] = true;
					open_next();
					lock++; holds = false;
					count_passage()
				   }
				   break
				:: !(ALL_THERE && NEXT_IS_FREE) -> skip /* look again */
				fi
			   :: !is_broken && mine < LAST && others < OTHERS ->
				if
				:: atomic { /* arrive: a reset needs no lock, so it may be a later generation */
					MAY_ARRIVE ->
					mine = MY_GENERATION; arrived[at]++; in = true; present[mine]++;
					lock++; holds = false
				   }
				   stay();
				   break
				:: !(MAY_ARRIVE) -> skip /* look again */
				fi
			   fi
			od
			fi
		} unless {
			atomic {
				victim[me] -> /* kill -9: the kernel undoes */
				victim[me] = false;
#ifndef NO_UNDO
				if :: holds -> lock++; holds = false :: else fi;
#endif
				holds = false;
				if :: in -> arrived[at]--; present[mine]--; in = false :: else fi
			}
		}
	od
}

proctype killer()
{
	byte who;

	do
	:: atomic { kills > 0 -> kills--; select(who : 0 .. PROCESSES - 1); victim[who] = true }
	:: break
	od
}

#ifdef ABORT
proctype aborter()
{
	atomic {
		if
		:: generation < LAST -> aborted[generation] = true; broken[slot] = 1
		:: else
		fi
	}
}
#endif

#ifdef SEAL
proctype sealer()
{
	bool unused;

#ifdef BLIND_SEAL
	atomic { unused = (arrived[slot] == 0) }
	atomic { sealed = unused }
#else
	atomic { unused = (arrived[slot] == 0); sealed = unused }
#endif
	if
	:: unused ->
		/* Safety: what is removed has no party in it. */
		atomic { assert(arrived[slot] == 0) }
	:: unused -> atomic { sealed = false } /* killed */
	:: !unused
	fi
}
#endif

#if RESETS
/* Needs no lock: the step names the generation that it ends. */
proctype resetter()
{
	byte at, mine, count, target;

	do
	:: count < RESETS && generation < LAST ->
		atomic { at = slot; mine = generation; target = mine }
#ifdef TWO_STEPS
		atomic {
			if
			:: generation == mine -> aborted[mine] = true; broken[at] = 1
			:: else -> goto again
			fi
		}
		atomic { generation == mine && NEXT_IS_FREE -> open_next() }
#else
		atomic {
			if
#ifdef BLIND_RESET
			:: NEXT_IS_FREE ->
#else
			:: generation == mine && NEXT_IS_FREE ->
#endif
				/* Safety: a reset ends the generation that it saw, which was not released. */
				assert(!released[target] && mine == generation);
				aborted[mine] = true;
				broken[at] = 1;
				open_next()
			:: generation != mine
			fi
		}
#endif
again:		count++
	:: else -> break
	od
}
#endif

init
{
	atomic {
		byte i;

		gate[0] = 1;
		for (i : 0 .. PROCESSES - 1) { run party(i) }
		run killer();
#ifdef SEAL
		run sealer();
#endif
#ifdef ABORT
		run aborter();
#endif
#if RESETS
		run resetter();
#endif
	}
}

/* Liveness, in words: when the killing ends, the generations go on, whatever the dead left. */
ltl progress { <> (generation >= LAST) }
