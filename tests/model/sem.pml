/* SPDX-License-Identifier: MIT
 * sem.pml - the protocol of lib/sem.c and lib/lock.c, any process of which may die between any two steps
 *
 * Each atomic block is one semop, or one read. Three processes take units, everything (an exclusive lock) or
 * a token, in the line or past it when nobody waits; a fourth changes the count, and one posts the tokens.
 * KILLS kills are spent at any moment on anybody: the kernel undoes what the dead one holds, and
 * it comes back as a new process until its rounds are over.
 *
 * The kernel lets those who sleep for the gate have it in the order they came: a process may take it
 * only when nobody with an earlier ticket sleeps.
 *
 * verify holds safety, units | | -DSAFETY -DNOCLAIM |
 * verify holds safety, with resizing | -DRESIZE | -DSAFETY -DNOCLAIM |
 * verify holds everybody is served | | -DNFAIR=8 | -a -f -N served
 * verify holds an exclusive one is not starved | -DENDLESS -DKILLS=0 | -DNFAIR=8 | -a -f -N exclusive
 * verify fails who comes does not look whether somebody waits | -DPASSING | -DSAFETY -DNOCLAIM |
 * verify fails ... and so starves an exclusive one | -DPASSING -DNOTHING_SAID -DENDLESS -DKILLS=0 | -DNFAIR=8 | -a -f -N exclusive
 * verify fails units are taken in one step and written down in another | -DTWO_STEPS | -DSAFETY -DNOCLAIM |
 * verify fails a post gives back what is held | -DBLIND_POST | -DSAFETY -DNOCLAIM |
 * verify fails units come in while a lock is exclusive | -DBLIND_RESIZE -DRESIZE | -DSAFETY -DNOCLAIM |
 * verify fails the count is set from what was read before | -DSETVAL -DRESIZE | -DSAFETY -DNOCLAIM |
 * verify fails the gate of the dead does not come back | -DNO_UNDO | -DNFAIR=8 | -a -f -N served
 */
#define PROCESSES 3
#ifndef ROUNDS
#define ROUNDS 4 /* of all together */
#endif
#ifndef KILLS
#define KILLS 2
#endif
#define UNIT 0
#define ALL 1
#define TOKEN 2

/* The semaphores. */
byte value = 2;
byte gate = 1;
byte taken;
byte count = 2;
byte exclusive;

/* What the kernel knows: undo records, and who sleeps for the gate in which order. */
byte held[PROCESSES];
bool is_exclusive[PROCESSES];
bool at_head[PROCESSES];
bool sleeps[PROCESSES];
byte ticket[PROCESSES];

/* What only the model knows. */
bool victim[PROCESSES];
byte kills = KILLS;
byte rounds = ROUNDS;
byte finished;
bool got_exclusive;
bool missing; /* a unit taken that no undo record knows */

#define NOBODY_SLEEPS (!sleeps[0] && !sleeps[1] && !sleeps[2])
#define BEFORE(j) (sleeps[j] && ticket[j] < ticket[me])
#define FIRST (!BEFORE(0) && !BEFORE(1) && !BEFORE(2))
#define SLEEPERS (sleeps[0] + sleeps[1] + sleeps[2])
#define ALL_HELD (held[0] + held[1] + held[2])

/* Safety, in words: all units are accounted for at every instant, and an exclusive lock is alone. */
inline check()
{
	assert(value + taken + ALL_HELD == count);
	assert(exclusive <= 1);
	assert(!is_exclusive[0] || (held[1] + held[2] + value + taken == 0));
	assert(!is_exclusive[1] || (held[0] + held[2] + value + taken == 0));
	assert(!is_exclusive[2] || (held[0] + held[1] + value + taken == 0))
}

inline leave_line()
{
	if :: sleeps[0] && ticket[0] > ticket[me] -> ticket[0]-- :: else fi;
	if :: sleeps[1] && ticket[1] > ticket[me] -> ticket[1]-- :: else fi;
	if :: sleeps[2] && ticket[2] > ticket[me] -> ticket[2]-- :: else fi;
	sleeps[me] = false;
	ticket[me] = 0
}

inline move()
{
	value = value - want;
	if
	:: kind == TOKEN -> taken = taken + want
	:: kind == ALL -> held[me] = want; is_exclusive[me] = true; exclusive++
	:: kind == UNIT -> held[me] = want
	fi
}

inline give_back()
{
	value = value + held[me];
	held[me] = 0;
	if :: is_exclusive[me] -> exclusive--; is_exclusive[me] = false :: else fi
}

#ifdef PASSING
#define MAY_PASS true
#else
#define MAY_PASS (gate == 1 && NOBODY_SLEEPS)
#endif

/* Safety, in words: nobody is served before one who slept in the line when it came. */
inline no_passing()
{
#ifndef NOTHING_SAID
	assert(NOBODY_SLEEPS)
#else
	skip
#endif
}

proctype taker(byte me)
{
	byte want, kind;

	do
	:: rounds == 0 -> break
	:: atomic { /* the count is read, and what is wanted known */
		rounds > 0 ->
#ifdef ENDLESS
		if
		:: me == 2 -> kind = ALL
		:: me != 2 -> kind = UNIT
		fi;
#else
		rounds--;
		select(kind : UNIT .. TOKEN);
#endif
		want = (kind == ALL -> count : 1)
	   }
		{
			if
			:: atomic { /* at once; an exclusive one must see the count it took for all */
				MAY_PASS && value >= want && (kind != ALL || want == count) ->
				no_passing();
				move()
			   }
			:: atomic { !(MAY_PASS && value >= want && (kind != ALL || want == count)) -> ticket[me] = SLEEPERS; sleeps[me] = true }
			   /* the head of the line */
			   atomic { gate == 1 && FIRST -> gate = 0; leave_line(); at_head[me] = true }
			   /* nobody else can change the count now */
			   atomic { want = (kind == ALL -> count : 1) }
#ifdef TWO_STEPS
			   atomic { value >= want -> value = value - want; missing = true }
			   atomic {
				missing = false; value = value + want; move();
				gate = 1; at_head[me] = false
			   }
#else
			   atomic { value >= want -> move(); gate = 1; at_head[me] = false }
#endif
			fi;
			atomic {
				check();
				if :: kind == ALL -> got_exclusive = true :: else fi
			}
			atomic {
				give_back(); check();
				want = 0;
#ifdef ENDLESS
				if :: kind == ALL -> rounds = 0 :: else fi;
#endif
				kind = UNIT
			}
		} unless {
			atomic {
				victim[me] -> /* kill -9: the kernel undoes */
				victim[me] = false;
				if :: sleeps[me] -> leave_line() :: else fi;
#ifndef NO_UNDO
				if :: at_head[me] -> gate = 1 :: else fi;
#endif
				at_head[me] = false;
				give_back();
				missing = false;
				want = 0; kind = UNIT;
				check()
			}
		}
	od;
	finished++
}

/* Gives tokens back, one after the other, as long as there are any. */
proctype poster()
{
end:	do
#ifdef BLIND_POST
	:: atomic { taken > 0 || held[0] == 1 -> value++; taken = (taken > 0 -> taken - 1 : 0); check() }
#else
	:: atomic { taken > 0 -> value++; taken--; check() }
#endif
	:: finished == PROCESSES && taken == 0 -> break
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

#ifdef RESIZE
/* One unit more, then one fewer. The resizer is not killed: each of its steps is whole. */
proctype resizer()
{
	byte before;
	bool mine;

#ifdef SETVAL
	atomic { before = value }
	atomic { value = before + 1; count++; check() }
#else
	atomic { gate == 1 && NOBODY_SLEEPS -> gate = 0 }
#ifdef BLIND_RESIZE
	atomic { value++; count++; gate = 1; check() }
#else
	atomic { exclusive == 0 -> value++; count++; gate = 1; check() }
#endif
	atomic { gate == 1 && NOBODY_SLEEPS -> gate = 0 }
	atomic { exclusive == 0 && value > 0 -> value--; count--; gate = 1; check() }
#endif
}
#endif

init
{
	atomic {
		byte i;

		for (i : 0 .. PROCESSES - 1) { run taker(i) }
#ifndef ENDLESS
		run poster();
		run killer();
#endif
#ifdef RESIZE
		run resizer()
#endif
	}
}

/* Liveness, in words: when the killing ends everybody is served, whatever the dead left. */
ltl served { <> (finished == PROCESSES) }
/* ... and an exclusive one is, however many others come and go for ever. */
ltl exclusive { <> got_exclusive }
