/* SPDX-License-Identifier: MIT
 * keeper.pml - acquire, its keeper, the owner and release, any of which may die between any two steps
 *
 * The protocol of bin/sem-acquire.c and lib/keeper.c. One unit, which a stranger may hold for ever; a caller that
 * forks a keeper; an owner that may end at any moment; two releases, each of which claims the keeper, and looks into the table a
 * second time. A release may die at any step. The number of a process may be given to a different one as soon as it has
 * ended: REUSED.
 *
 * verify holds safety | | -DSAFETY -DNOCLAIM | -E
 * verify holds what the owner's end leaves | | -DNFAIR=8 | -a -f -N over
 * verify holds what a killed caller leaves | | -DNFAIR=8 | -a -f -N nobody_alone
 * verify fails the caller ends before the keeper has said that it lives on alone | -DNO_ANSWER | -DSAFETY -DNOCLAIM | -E
 * verify fails the keeper does not die with its caller | -DNO_DEATH_SIGNAL | -DNFAIR=8 | -a -f -N nobody_alone
 * verify fails the keeper does not watch the owner | -DNO_WATCH | -DNFAIR=8 | -a -f -N over
 * verify fails release does not look a second time | -DNO_SECOND_LOOK | -DSAFETY -DNOCLAIM | -E
 * verify fails two releases end one keeper | -DNO_CLAIM | -DSAFETY -DNOCLAIM | -E
 * verify fails an acquire that was not answered is released | -DNO_CONFIRM | -DSAFETY -DNOCLAIM | -E
 * verify fails the claim of a dead release stays | -DNO_TAKEOVER | -DSAFETY -DNOCLAIM | -E
 * verify fails the entry comes before the unit | -DENTRY_FIRST | -DSAFETY -DNOCLAIM | -E
 */

byte unit = 1;	      /* the semaphore */
bool stranger_has;
bool owner = true;    /* lives */
bool caller = true;
bool keeper;
bool held;	      /* the keeper's undo record */
bool bound;	      /* it gets the death signal of its caller */
bool entry;	      /* in the table; counts only while the keeper lives */
bool reused;	      /* another process has the keeper's number */
bool answered, go, alone; /* what went through the socket */
bool ready;	      /* the acquire was confirmed: the keeper may be released */
byte claim;	      /* the release that has claimed the keeper, 0: none */
bool lives[3];	      /* the releases, 1 and 2 */

/* What only the model knows. */
bool said;	      /* the caller exited 0 */
bool released;	      /* release was told to end the keeper */
byte succeeded;	      /* releases that report success */
bool refused;	      /* a release found nothing, although a confirmed keeper held and no other release was at work */
bool shot;	      /* the keeper was killed from outside */
bool was_keeper;

#define LISTED (entry && keeper)

inline end_keeper()
{
	if :: held -> held = false; unit++ :: else fi; /* the kernel undoes */
	keeper = false
}

proctype keeper_process()
{
	{
		/* at the gate, then the unit, which the kernel will undo */
#ifdef ENTRY_FIRST
		atomic { keeper -> entry = true }
		atomic { keeper && unit > 0 -> unit--; held = true }
#else
		atomic { keeper && unit > 0 -> unit--; held = true }
		atomic { keeper -> entry = true }
#endif
		atomic { keeper -> answered = true }
		if
		:: atomic { keeper && go -> skip }
		:: atomic { keeper && !caller && !go -> end_keeper(); goto over }
		fi;
		atomic { keeper -> bound = false }
		if
		:: atomic { keeper && caller -> alone = true }
		:: atomic { keeper && !caller -> end_keeper(); goto over } /* nobody hears it */
		fi;
#ifndef NO_WATCH
		/* The end of the caller confirms the acquire, too. */
		do
		:: atomic { keeper && !caller && !ready -> ready = true }
		:: atomic { keeper && !owner -> end_keeper(); goto over }
		od
#else
		atomic { keeper && false -> skip }
#endif
	} unless { !keeper }
over:	skip
}

proctype caller_process()
{
	{
		atomic { caller && owner -> keeper = true; was_keeper = true; bound = true; run keeper_process() }
		if
		:: atomic { caller && answered -> go = true }
#ifndef NO_ANSWER
		   if
		   :: atomic { caller && alone -> ready = true; said = true; caller = false }
		   :: atomic { caller && !keeper -> caller = false } /* killed: an error */
		   fi
#else
		   atomic { caller ->
			ready = true; said = true; caller = false;
			if :: bound && keeper -> end_keeper() :: else fi
		   }
#endif
		:: atomic { caller && !owner -> end_keeper(); caller = false }
		:: atomic { caller && was_keeper && !keeper -> caller = false }
		fi
	} unless { !caller }
}

/* Ends whom it likes at any moment; the death of a caller ends a keeper that is bound to it. */
proctype killer()
{
	if
	:: atomic { caller ->
		caller = false;
#ifndef NO_DEATH_SIGNAL
		if :: bound && keeper -> end_keeper() :: else fi
#endif
	   }
	:: atomic { keeper -> shot = true; end_keeper() }
	:: true
	fi
}

proctype owner_process()
{
	atomic { owner = false }
}

/* Another holder, who may never give back. */
proctype stranger()
{
	if
	:: atomic { unit > 0 -> unit--; stranger_has = true }
	   if
	   :: atomic { stranger_has = false; unit++ }
	   :: true
	   fi
	:: true
	fi
}

/* The keeper's number is given to a process that has nothing to do with it. */
proctype reuse()
{
	if
	:: atomic { was_keeper && !keeper -> reused = true }
	:: true
	fi
}

#ifdef NO_CONFIRM
#define CONFIRMED true
#else
#define CONFIRMED ready
#endif
#ifdef NO_CLAIM
#define CLAIMABLE true
#else
#ifdef NO_TAKEOVER
#define CLAIMABLE (claim == 0)
#else
#define CLAIMABLE (claim == 0 || !lives[claim])
#endif
#endif

/* SELF is 1 or 2. */
proctype release(byte self)
{
	bool of_another;

	{
		if
		/* one compare-and-swap */
		:: atomic { LISTED && CONFIRMED && CLAIMABLE -> claim = self }
		:: atomic { LISTED && !(CONFIRMED && CLAIMABLE) ->
			if
			:: ready && (claim == 0 || !lives[claim]) -> refused = true
			:: else
			fi;
			goto done
		   }
		:: atomic { !LISTED -> goto done }
		fi;
		/* pidfd_open: the process that has the number now */
		if
		:: atomic { keeper -> of_another = false }
		:: atomic { !keeper && reused -> of_another = true }
		:: atomic { !keeper && !reused -> goto done }
		fi;
#ifndef NO_SECOND_LOOK
		if
		:: atomic { LISTED -> skip }
		:: atomic { !LISTED -> goto done }
		fi;
#endif
		/* Safety: no process is ended that is not a keeper. */
		assert(!of_another);
		atomic {
			/* An acquire that has not reported success is not made to fail. */
			assert(!keeper || !caller || said);
			if
			:: keeper -> released = true; end_keeper()
			:: else
			fi
		}
		atomic { !keeper -> succeeded++ }
	} unless { !lives[self] }
done:	skip
}

/* Ends a release, so that the other one has to take over. */
proctype release_killer()
{
	if
	:: atomic { lives[1] = false }
	:: true
	fi
}

/* Safety, in words, true at every instant. */
proctype monitor()
{
	/* The unit is free or somebody living has it. */
	atomic {
		assert(unit + held + stranger_has == 1);
		assert(!held || keeper);
		/* Who is listed has the unit. */
		assert(!LISTED || held);
		/* An acquire that said 0 has it, as long as its owner lives and nobody ended its keeper. */
		assert(!said || !owner || released || shot || held);
		/* One keeper, one release. */
		assert(succeeded <= 1);
		/* A keeper that may be released is not refused. */
		assert(!refused)
	}
}

init
{
	atomic {
		run caller_process();
		run killer();
		run owner_process();
		run stranger();
		run reuse();
		lives[1] = true;
		lives[2] = true;
		run release(1);
		run release(2);
		run release_killer();
		run monitor()
	}
}

/* Liveness, in words: when the owner has ended, so does the keeper, and gives the unit back. */
ltl over { [] (!owner -> <> (!keeper && !held)) }
/* A caller that is killed before it told its keeper to go on leaves no keeper behind. */
ltl nobody_alone { [] ((!caller && !said && !go) -> <> !keeper) }
