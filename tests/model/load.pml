/* SPDX-License-Identifier: MIT
 * load.pml - how the data of a staged segment return to the home key while processes change and read them
 *
 * The staged segment is published: the record leads to it. Two returning processes try to copy it to the home key
 * (lib/shm-home.c), a writer adds one and acknowledges it, a reader looks twice. One returning process
 * may be killed at any step: the kernel then detaches it and releases the registry's lock. The other returning process may
 * be stopped at any step, for ever or for a while. Each statement is one step in one order for all: the words are
 * sequentially consistent, and the kernel's lock orders attaching, detaching and counting.
 *
 * In words: whatever is read is at least as many as the additions that were acknowledged before the read began; and every
 * writer and reader comes to its end, whatever process is stopped or dead (an invalid end state otherwise).
 *
 * verify holds no acknowledged change is lost, no process waits for a stopped one | | -DNOCLAIM -DCOLLAPSE |
 * verify fails a return does not look for attached processes before it copies | -DNOT_ALONE | -DNOCLAIM -DCOLLAPSE |
 * verify fails a return looks for attached processes before it freezes | -DALONE_FIRST | -DNOCLAIM -DCOLLAPSE |
 * verify fails a commit does not look for attached processes | -DBLIND_COMMIT | -DNOCLAIM -DCOLLAPSE |
 * verify fails a writer does not cancel a return | -DNO_CANCEL | -DNOCLAIM -DCOLLAPSE |
 * verify fails a writer waits for the end of a return | -DWAITS | -DNOCLAIM -DCOLLAPSE |
 * verify fails a process reads the state before it attaches | -DSTATE_FIRST | -DNOCLAIM -DCOLLAPSE |
 * verify fails a process goes by the record although the data have moved | -DBY_RECORD | -DNOCLAIM -DCOLLAPSE |
 * verify fails a return takes the freeze of a later one for its own | -DNO_GENERATION | -DNOCLAIM -DCOLLAPSE |
 */
#define OPEN 0
#define FROZEN 1
#define COMMIT 2
#define MOVED 3

/* The word of the control page, changed as a whole. */
byte phase = OPEN, generation, returner;

byte attached;	/* to the staged segment */
bool home;	/* the record leads to the copy */
bool removed;	/* the staged segment is */
byte staged;	/* the value in the staged segment */
byte copied;	/* the value in the segment on the home key */
byte copy;	/* that segment: the generation of its return, 0: there is none */
byte locker;	/* of the registry, 0: no process */
byte acknowledged;
bool killed[6], stopped[6];

#define IS_MINE(p) (phase == p && generation == mine)
#ifdef NO_GENERATION
#undef IS_MINE
#define IS_MINE(p) (phase == p)
#endif

inline detach()
{
	atomic {
		if
		:: here -> attached--; here = false
		:: else
		fi
	}
}

/* The staged segment, if it can still be attached; otherwise the record has changed. */
inline attach()
{
	atomic {
		if
		:: !removed -> attached++; here = true
		:: else
		fi
	}
}

proctype returning(byte self)
{
	byte mine, value;
	bool here, good;

	{
		attach();
#ifdef ALONE_FIRST
		good = attached == 1;
#endif
		atomic {
			if
			:: here && (phase == OPEN || (phase != MOVED && killed[returner])) ->
				phase = FROZEN; generation++; returner = self; mine = generation
			:: else -> goto out
			fi
		}
#ifdef NOT_ALONE
		good = true;
#endif
#if !defined(NOT_ALONE) && !defined(ALONE_FIRST)
		good = attached == 1;
#endif
		/* Create the copy, with the lock; or give up. */
		atomic {
			if
			:: good && locker == 0 -> locker = self
			:: else -> good = false
			fi
		}
		if
		:: good ->
			good = !home && IS_MINE(FROZEN);
			if
			:: good && copy != 0 && copy != mine -> copy = 0
			:: else
			fi;
			if
			:: good -> copied = 0; copy = mine
			:: else
			fi;
			locker = 0
		:: else
		fi;
		/* Copy. What was removed meanwhile takes the bytes with it. */
		if
		:: good ->
			value = staged;
			atomic {
				if
				:: copy == mine -> copied = value
#ifdef NO_GENERATION
				:: copy != mine && copy != 0 -> copied = value
#endif
				:: else
				fi
			}
		:: else
		fi;
		/* Commit, with the lock. */
		atomic {
			if
			:: good && locker == 0 -> locker = self
			:: else -> good = false
			fi
		}
		if
		:: good ->
			atomic {
				good = !home && IS_MINE(FROZEN);
#ifndef NO_GENERATION
				good = good && copy == mine;
#endif
				if
				:: good -> phase = COMMIT
				:: else
				fi
			}
#ifndef BLIND_COMMIT
			good = good && attached == 1;
#endif
			atomic {
				good = good && IS_MINE(COMMIT);
				if
				:: good -> phase = MOVED
				:: else
				fi
			}
			if
			:: good -> home = true; removed = true
			:: else
			fi;
			locker = 0
		:: else
		fi;
		/* Remove the copy and thaw, unless the data have moved or another process has done so. */
		if
		:: !good ->
			atomic {
				if
				:: copy == mine && !(phase == MOVED && generation == mine) -> copy = 0
				:: else
				fi
			}
			atomic {
				if
				:: generation == mine && (phase == FROZEN || phase == COMMIT) ->
					phase = OPEN; generation++
				:: else
				fi
			}
		:: else
		fi;
out:		detach()
	} unless {
		killed[self] || stopped[self]
	}
	if
	:: killed[self] ->
		detach();
		atomic {
			if
			:: locker == self -> locker = 0
			:: else
			fi
		}
	:: else
	fi
}

/* Look the record up and attach; INTO is 0: the staged segment holds the data, 1: the copy does. */
inline enter(into)
{
	do
	:: home -> into = 1; break
	:: !home ->
#ifdef STATE_FIRST
		at = phase;
		attach();
#else
		attach();
		at = phase;
#endif
		if
		:: !here
		:: here && at == MOVED ->
			detach();
#ifdef BY_RECORD
			into = 0;
#else
			into = 1;
#endif
			break
		:: else -> into = 0; break
		fi
	od
}

proctype writer(byte self)
{
	byte into, at, seen;
	bool here, done;

	{
		enter(into);
		do
		:: into == 1 || at == OPEN -> break
#ifdef NO_CANCEL
		:: into == 0 && at != OPEN -> break
#else
#ifdef WAITS
		:: into == 0 && at != OPEN && phase != at -> at = phase
#else
		:: into == 0 && at != OPEN ->
			atomic {
				if
				:: phase == FROZEN || phase == COMMIT -> phase = OPEN; generation++
				:: else
				fi;
				at = phase
			}
			/* It attached in the instant of the commit, and came too late. */
			if
			:: at == MOVED -> detach(); into = 1
			:: else
			fi
#endif
#endif
		od;
		if
		:: into == 0 -> staged++
		:: else -> copied++
		fi;
		acknowledged++;
		detach()
	} unless {
		killed[self]
	}
	if
	:: killed[self] -> detach()
	:: else
	fi
}

proctype reader()
{
	byte into, at, before, value;
	bool here;

	before = acknowledged;
	enter(into);
	if
	:: into == 0 -> value = staged
	:: else -> value = copied
	fi;
	assert(value >= before);
	/* A handle that found OPEN or FROZEN stays right as long as it is attached. */
	before = acknowledged;
	if
	:: into == 0 && (at == OPEN || at == FROZEN) ->
		value = staged;
		assert(value >= before)
	:: else
	fi;
	detach()
}

proctype fate(byte victim)
{
	if
	:: killed[victim] = true
	:: true
	fi
}

proctype rest(byte victim)
{
	if
	:: stopped[victim] = true
	:: true
	fi
}

init
{
	atomic {
		run returning(1);
		run returning(2);
		run writer(3);
		run reader();
		run fate(1);
		run rest(2)
	}
}
