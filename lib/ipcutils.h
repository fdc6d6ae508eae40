/* SPDX-License-Identifier: MIT
 * ipcutils.h - System V IPC with names, timeouts and big messages
 *
 * CAVEATS, before anything else
 *
 *  - A receiver that is killed with SIGKILL between taking a message and using
 *    it loses that message. Everything else (timeouts, signals, a full queue,
 *    a dying peer) loses and doubles nothing.
 *  - Waits end early when a signal handler ran: IPCU_NOT_NOW with errnum
 *    EINTR. Deadlines are absolute, so just call again with the same one.
 *  - Timed waits, and waits on several queues, need one real-time signal to
 *    interrupt the library's own threads and calls: the highest one that is at
 *    its default when first needed gets an empty handler. ipcu_signal_use()
 *    names another. No other disposition is ever touched.
 *  - Objects live until they are removed or the machine restarts, not as long
 *    as a process. systemd (RemoveIPC=yes) removes those of a normal user when
 *    the last session ends: see ipcutils(7).
 *  - Opaque objects may be used by several threads at once, but must be closed
 *    by one thread when no other uses them.
 *  - This header needs what POSIX with XSI declares. It is there by default, but with
 *    -std=c99 or -std=c11 only if -D_XOPEN_SOURCE=700 is given, too.
 *
 * MAP
 *
 *  results and errors   enum ipcu_result, ipcu_last_error
 *  waiting              deadlines: ipcu_deadline_in, ipcu_signal_use
 *  names                ipcu_name_key, struct ipcu_open
 *  queues               ipcu_queue_*
 *  barriers             ipcu_barrier_*
 *  events               ipcu_event_*
 *  semaphores, locks    ipcu_sem_*, ipcu_lock_*
 *  memory and values    ipcu_shm_*, ipcu_type_*, ipcu_value_*
 *  pipes                ipcu_pipe_*
 *  looking              ipcu_list, ipcu_users, ipcu_limits
 *  removing             ipcu_remove, ipcu_remove_stale
 *
 * Every fallible call returns an enum ipcu_result and, when that is not
 * IPCU_OK, leaves the reason in the thread's last error. Out parameters are
 * written only on IPCU_OK unless a call says otherwise. Any call may return
 * IPCU_LIMIT for want of memory, or where the kernel allows fewer operations in
 * one semop(2) than it needs (SEMOPM of kernel.sem), and IPCU_SYSTEM.
 */
#ifndef IPCUTILS_H
#define IPCUTILS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* ---------------------------------------------------------------------- */
/* Results and errors                                                      */
/* ---------------------------------------------------------------------- */

/* What a call came to. The numbers are the commands' exit statuses. */
enum ipcu_result {
	IPCU_OK = 0, /* done */
	IPCU_NOT_NOW =
		1, /* timed out (errnum ETIMEDOUT), would block (EAGAIN), interrupted (EINTR) */
	IPCU_USAGE = 2,	    /* an argument is malformed; nothing was done */
	IPCU_NOT_FOUND = 3, /* no such object, or it was removed while waiting */
	IPCU_DENIED = 4,    /* permission denied */
	IPCU_LIMIT = 5,	    /* too large, no space, too many objects */
	IPCU_BROKEN =
		6, /* the other side died or cheated: broken barrier, cut pipe, forged message */
	IPCU_CONFLICT = 7, /* exists as another kind or definition, or is in use */
	IPCU_SYSTEM = 8	   /* any other system error */
};

/* The last error of the calling thread. */
struct ipcu_error {
	enum ipcu_result result; /* what the failed call returned */
	int errnum;		 /* errno of the failed system call, or 0 */
	char call[32];		 /* the failed system call, "" if none */
	char message[256];	 /* "WHAT: WHY", no newline */
	char hint[512];		 /* what to do about it, or "" */
};

/* The last error of the calling thread: never NULL; valid until the thread ends, rewritten by its next failing call. */
const struct ipcu_error *ipcu_last_error(void);

/* The version of the library, like "0.1.0"; static storage. */
const char *ipcu_version(void);

/* ---------------------------------------------------------------------- */
/* Waiting                                                                 */
/* ---------------------------------------------------------------------- */

/*
 * Every wait takes an absolute CLOCK_MONOTONIC time; NULL waits for ever and
 * a time in the past, such as { 0 }, does not wait. Setting the clock does not move it
 * (clock_gettime(2)).
 */

/* The time NANOSECONDS (>= 0, saturating) from now. */
struct timespec ipcu_deadline_in(int64_t nanoseconds);

/*
 * Use signal SIGNO for the library's own wake-ups, from now on. An empty
 * handler is installed at once. The signal need not be unblocked.
 *
 * IPCU_OK; IPCU_USAGE: not a signal that can be handled.
 */
enum ipcu_result ipcu_signal_use(int signo);

/* ---------------------------------------------------------------------- */
/* Names                                                                   */
/* ---------------------------------------------------------------------- */

/*
 * A name is NAME, OWNER/NAME, key:KEY, id:ID or ftok:PATH[:P], as in ipcutils(7).
 * Wherever a call takes one it may return, besides its own results:
 *
 *   IPCU_USAGE      the name is malformed, or would be created and is a number (digits only, or 0x...)
 *   IPCU_NOT_FOUND  no such object (and it was not to be created), or no such owner
 *   IPCU_DENIED     its mode does not let this user in
 *   IPCU_LIMIT      the kernel's or the registry's number of objects is reached
 *   IPCU_CONFLICT   it exists as another kind or with another definition
 *   IPCU_SYSTEM     the registry is damaged, or a system call failed otherwise
 */

enum ipcu_kind {
	IPCU_KIND_ANY = 0,
	IPCU_KIND_QUEUE = 1,
	IPCU_KIND_SEMAPHORE = 2,
	IPCU_KIND_BARRIER = 3,
	IPCU_KIND_EVENT = 4,
	IPCU_KIND_MEMORY = 5,
	IPCU_KIND_PIPE = 6
};

/* The word for a kind: "queue", "semaphore" and so on, "object" for an unknown one; static storage. */
const char *ipcu_kind_name(enum ipcu_kind kind);

enum ipcu_create {
	IPCU_CREATE_NAMES = 0, /* a plain NAME is created on first use, a raw key is not */
	IPCU_CREATE_NEVER,
	IPCU_CREATE_ALWAYS /* a raw key: or ftok: too */
};

/* How to open. NULL stands for all zero. */
struct ipcu_open {
	enum ipcu_create create;
	mode_t mode; /* permission bits if this call creates, whatever the umask; 0 means 0600 */
	/*
	 * How long to wait for who creates names just now, which takes microseconds unless he is
	 * stopped: at least a second whatever is here, half a minute at most or if it is NULL.
	 * Then IPCU_SYSTEM, with a hint that says who it is.
	 */
	const struct timespec *deadline;
	mode_t *found_mode; /* if not NULL, receives the permission bits of the opened object */
};

/*
 * The key that NAME has, or would be given first, without touching any object:
 * positive, and the same on every boot. A collision gives an object a later candidate, so
 * ask ipcu_list() for an object that exists.
 *
 * IPCU_OK; IPCU_USAGE: malformed, or an id: (which has no key of its own);
 * IPCU_NOT_FOUND: no such owner or file; see ftok(3); IPCU_DENIED: not to be looked at;
 * IPCU_SYSTEM.
 */
enum ipcu_result ipcu_name_key(const char *name, key_t *key);

/* ---------------------------------------------------------------------- */
/* Queues: msgget(2), msgop(2), msgctl(2)                                  */
/* ---------------------------------------------------------------------- */

/* One body can have this many bytes (on a named queue, whatever kernel.msgmax is). */
#define IPCU_MESSAGE_MAX ((size_t)1 << 30)

typedef struct ipcu_queue ipcu_queue;

/*
 * A message as received. Start with all zero, use it for any number of
 * receives, end with ipcu_message_clear(). BODY belongs to the message and is
 * valid until its next receive or clear; it is not NUL-terminated.
 */
struct ipcu_message {
	long type;
	size_t size; /* bytes */
	const void *body;
	void *buffer;	 /* the library's own */
	size_t capacity; /* the library's own */
	void *mapping;	 /* the library's own */
};

/* Free what the message holds and make it all zero again. */
void ipcu_message_clear(struct ipcu_message *message);

/* Which messages a receive takes; NULL stands for all zero. */
enum ipcu_pick {
	IPCU_PICK_FIRST = 0, /* whatever is first */
	IPCU_PICK_TYPE,	     /* the first of TYPE */
	IPCU_PICK_MAX_TYPE,  /* the first of the lowest type that is <= TYPE */
	IPCU_PICK_NOT_TYPE   /* the first of any type but TYPE */
};
struct ipcu_select {
	enum ipcu_pick pick;
	long type; /* >= 1; not used by IPCU_PICK_FIRST */
};

/*
 * Open, and perhaps create, the queue NAME. The caller gives *QUEUE to
 * ipcu_queue_close(). Opening needs no permission but the registry's; sending
 * and receiving need the queue's.
 *
 * Results: those of names.
 */
enum ipcu_result ipcu_queue_open(ipcu_queue **queue, const char *name, const struct ipcu_open *how);

/* Release the handle, not the queue. NULL is allowed. */
void ipcu_queue_close(ipcu_queue *queue);

/*
 * Send SIZE bytes at BODY as one message of TYPE (>= 1), waiting while the
 * queue is full. On a named queue a body over the limits of kernel and queue
 * goes through a memory segment of its own; elsewhere it is an error. An empty body is sent to a
 * named queue as a marker of 16 bytes, which a program that does not use this library sees.
 *
 * IPCU_OK; IPCU_NOT_NOW: still full at the deadline, or a signal handler ran,
 * and nothing was sent; IPCU_USAGE: TYPE < 1; IPCU_NOT_FOUND: removed;
 * IPCU_DENIED; IPCU_LIMIT: over IPCU_MESSAGE_MAX, over a raw queue's limit, or no
 * segment could be had; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_queue_send(ipcu_queue *queue, long type, const void *body, size_t size,
				 const struct timespec *deadline);

/*
 * Take one message, waiting while there is none that SELECT wants.
 *
 * IPCU_OK; IPCU_NOT_NOW: none by the deadline, or a signal handler ran, and none
 * was taken; IPCU_USAGE: a type < 1; IPCU_NOT_FOUND: removed; IPCU_DENIED: by the queue, or by the
 * body of a big message, which is then the last; IPCU_LIMIT: no memory for the body, and the message is still there (a big one is now
 * the last, or is kept: see ipcu_queue_kept());
 * IPCU_BROKEN: the message told of a big body that is not there or not its
 * own: it was taken and is of no use; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_queue_receive(ipcu_queue *queue, struct ipcu_message *message,
				    const struct ipcu_select *select,
				    const struct timespec *deadline);

/*
 * Take one message from whichever of COUNT queues has one first; *WHICH is its index. While it is blocked the call uses
 * one thread for each queue and no CPU. If messages of zero bytes that another program sends come to several queues in
 * the same instant, one is delivered and the others return to the end of their queues. If a queue refuses its message,
 * because it is full or the caller may not send to it, the handle keeps the message: see ipcu_queue_kept().
 *
 * Results: those of ipcu_queue_receive, for the queue *WHICH, which is then
 * written for failures too; IPCU_USAGE also if COUNT is 0; IPCU_LIMIT also for too many threads.
 */
enum ipcu_result ipcu_queue_receive_any(ipcu_queue *const *queues, size_t count, size_t *which,
					struct ipcu_message *message,
					const struct ipcu_select *select,
					const struct timespec *deadline);

/*
 * A copy of the message at INDEX (0 is the oldest) without taking it. While
 * others receive, indexes shift. Needs a kernel with CONFIG_CHECKPOINT_RESTORE.
 *
 * IPCU_OK; IPCU_NOT_NOW: there is no message at INDEX (EAGAIN);
 * IPCU_NOT_FOUND, IPCU_DENIED, IPCU_LIMIT, IPCU_BROKEN as for a receive (if
 * broken, MESSAGE->type is written); IPCU_SYSTEM: ENOSYS where the kernel cannot.
 */
enum ipcu_result ipcu_queue_peek(ipcu_queue *queue, size_t index, struct ipcu_message *message);

/*
 * Wait until there is a message that SELECT wants, without taking it. Another receiver may take it first. The queues
 * are looked at even if DEADLINE has passed.
 *
 * A message of zero bytes is taken and returns to the end of its queue, or is kept by the handle, if another program
 * sends it while this call is blocked, or if SELECT wants one of a certain type and it is the first of those. A message
 * that ipcutils sends to a NAME stays where it is.
 *
 * Results: those of ipcu_queue_receive_any.
 */
enum ipcu_result ipcu_queue_wait_any(ipcu_queue *const *queues, size_t count, size_t *which,
				     const struct ipcu_select *select,
				     const struct timespec *deadline);

/*
 * Return the number of messages that the handle keeps. A message is kept if it was taken, cannot be delivered and
 * cannot return to its queue, nor to the second queue that receivers look into (ipc-recv(1)). The next receive, peek or
 * wait through the handle finds it before what the queue holds. ipcu_queue_close() puts back what these queues take
 * without waiting; the rest is lost.
 */
size_t ipcu_queue_kept(ipcu_queue *queue);

/*
 * Return the messages that the handle keeps to their queue or the second one, and wait while the queue is full.
 *
 * IPCU_OK: the handle keeps none; IPCU_NOT_NOW: still full at the deadline, or a signal handler ran, and the handle
 * keeps the rest, as it does after IPCU_DENIED; IPCU_NOT_FOUND: removed; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_queue_put_back(ipcu_queue *queue, const struct timespec *deadline);

/* The state of a queue. */
struct ipcu_queue_info {
	uint64_t messages;
	uint64_t bytes;
	uint64_t bytes_max;
	bool named; /* opened by name: big messages work */
};
/*
 * How many messages and bytes are queued, and how many bytes may be (msgctl(2)). What this handle keeps counts as
 * messages, for a receive through it would take them.
 *
 * IPCU_OK; IPCU_NOT_FOUND: removed; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_queue_status(ipcu_queue *queue, struct ipcu_queue_info *info);

/* ---------------------------------------------------------------------- */
/* Barriers: semop(2)                                                      */
/* ---------------------------------------------------------------------- */

/* A barrier can have so many parties. */
#define IPCU_PARTIES_MAX 31000

typedef struct ipcu_barrier ipcu_barrier;

/*
 * Open, and perhaps create, the barrier NAME for PARTIES (1 to IPCU_PARTIES_MAX; 0:
 * as many as it has, and it is not created). It is cyclic: when all have come they are
 * released and the next generation begins. The caller gives *BARRIER to
 * ipcu_barrier_close(). All but looking needs read and write permission.
 *
 * Results: those of names; IPCU_USAGE also for a raw key; IPCU_CONFLICT also if it has
 * other PARTIES.
 */
enum ipcu_result ipcu_barrier_open(ipcu_barrier **barrier, const char *name, unsigned parties,
				   const struct ipcu_open *how);

/* Release the handle, not the barrier. NULL is allowed. */
void ipcu_barrier_close(ipcu_barrier *barrier);

/* How to wait. NULL stands for all zero. */
struct ipcu_barrier_how {
	bool break_on_timeout; /* a timeout breaks the barrier instead of opening the place again */
	/*
	 * What the last to come does before anybody is released; anything but IPCU_OK
	 * breaks the barrier. Others may give up or die meanwhile: their places are
	 * open again and who then completes the generation runs its own action.
	 */
	enum ipcu_result (*action)(void *context);
	void *context;
};

/*
 * Arrive and wait until all parties of this generation have. *INDEX (may be NULL) is
 * this one's number among them, 0 for the first to come and PARTIES - 1 for the last; no
 * two of a generation have the same, for the number of one who left is given again.
 * A process that ends, however, while it waits has not arrived.
 *
 * IPCU_OK; IPCU_NOT_NOW: at the deadline, or when a signal handler ran, some were still
 * missing, and this one has not arrived; IPCU_NOT_FOUND: removed; IPCU_DENIED; IPCU_BROKEN: broken
 * before this generation was complete; what ACTION returned; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_barrier_wait(ipcu_barrier *barrier, const struct ipcu_barrier_how *how,
				   const struct timespec *deadline, unsigned *index);

/*
 * Break the barrier: until a reset, processes that wait or that arrive get IPCU_BROKEN. A barrier that is already broken
 * stays so. IPCU_OK; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_barrier_abort(ipcu_barrier *barrier);

/*
 * End the open generation and begin the next one in one step. Processes that wait get IPCU_BROKEN once; if they call
 * ipcu_barrier_wait() again, they arrive in the new generation. If the barrier is not broken and no process waits, nothing
 * changes. IPCU_OK; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM: also if stopped processes occupied the barrier for five seconds.
 */
enum ipcu_result ipcu_barrier_reset(ipcu_barrier *barrier);

struct ipcu_barrier_info {
	unsigned parties;
	unsigned waiting;    /* have come in this generation */
	uint64_t generation; /* how many are over; begins again after 2^30 - 2^16 + 1 */
	bool broken;
	bool acting; /* the last one runs its action */
};
/*
 * How many wait, in which generation, and whether it is broken: all of one instant.
 * IPCU_OK; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_barrier_status(ipcu_barrier *barrier, struct ipcu_barrier_info *info);

/* Call FN for each process that waits, with its index. Results as ipcu_barrier_status. */
typedef void (*ipcu_barrier_waiter_fn)(pid_t pid, unsigned index, void *context);
enum ipcu_result ipcu_barrier_waiters(ipcu_barrier *barrier, ipcu_barrier_waiter_fn fn,
				      void *context);

/* ---------------------------------------------------------------------- */
/* Events: semop(2)                                                        */
/* ---------------------------------------------------------------------- */

typedef struct ipcu_event ipcu_event;

/*
 * Open, and perhaps create (not set), the event NAME. The caller gives *EVENT to
 * ipcu_event_close(). Waiting and looking need read permission, changing needs both.
 *
 * Results: those of names; IPCU_USAGE also for a raw key.
 */
enum ipcu_result ipcu_event_open(ipcu_event **event, const char *name, const struct ipcu_open *how);

/* Release the handle, not the event. NULL is allowed. */
void ipcu_event_close(ipcu_event *event);

/*
 * Set the event: all who wait and who come are let through, until a clear. One atomic step, as
 * are a clear and a pulse.
 *
 * IPCU_OK; IPCU_NOT_FOUND: removed; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_event_set(ipcu_event *event);

/* Let those wait who come from now on. Results as ipcu_event_set. */
enum ipcu_result ipcu_event_clear(ipcu_event *event);

/* Let those through who wait now, and nobody else; nothing happens if it is set. Results as ipcu_event_set. */
enum ipcu_result ipcu_event_pulse(ipcu_event *event);

/*
 * Wait until it is set or pulsed. *TICKET (TICKET may be NULL) is 0 at first; give it again to go on
 * after IPCU_NOT_NOW, and what happened between the two calls is not missed.
 *
 * IPCU_OK; IPCU_NOT_NOW: not until the deadline, or a signal handler ran;
 * IPCU_NOT_FOUND: removed; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_event_wait(ipcu_event *event, uint64_t *ticket,
				 const struct timespec *deadline);

struct ipcu_event_info {
	bool set;
	unsigned waiting; /* asleep in the kernel */
};
/* Whether it is set, and how many wait. IPCU_OK; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM. */
enum ipcu_result ipcu_event_status(ipcu_event *event, struct ipcu_event_info *info);

/* ---------------------------------------------------------------------- */
/* Semaphores and locks: semget(2), semop(2), semctl(2)                    */
/* ---------------------------------------------------------------------- */

/*
 * A named semaphore has COUNT units, which are free, held by a process, or taken
 * for good. Held units come back when the process that took them ends, however it
 * ends; they survive execve(2), and a child does not hold what its parent does.
 * Units are given in the order in which processes began to wait, whatever each wants.
 * Who waits and is stopped and continued begins anew.
 *
 * A raw set (key:, id:, ftok:) belongs to other programs: plain semop(2) on one of its
 * members, with no count, no order, no slots and no holders.
 *
 * If a set of a different program has all keys of a named semaphore, the calls below return IPCU_CONFLICT.
 *
 * The holders are listed in a segment that all semaphores with the same creator, owner, group and mode share. A
 * semaphore works without it: see ipcu_sem_holders(). A handle uses the table of the mode that the semaphore had when it was
 * opened.
 */

/* A semaphore can have so many units. */
#define IPCU_SEM_COUNT_MAX 32767u

/* An operation of ipcu_sem_op(), from <sys/sem.h>. */
struct sembuf;

typedef struct ipcu_sem ipcu_sem;

/*
 * Open, and perhaps create, the semaphore NAME. COUNT is what its count must be, or 0:
 * whatever it is, and OTHERWISE if the semaphore is created here. The
 * caller gives *SEM to ipcu_sem_close().
 *
 * Results: those of names; IPCU_CONFLICT also: its count is another; IPCU_USAGE also: neither COUNT nor
 * OTHERWISE, or more than IPCU_SEM_COUNT_MAX.
 */
enum ipcu_result ipcu_sem_open(ipcu_sem **sem, const char *name, unsigned count, unsigned otherwise,
			       const struct ipcu_open *how);

/* What a semaphore is to be. All zero is the default. */
struct ipcu_sem_options {
	unsigned count;	    /* what its count must be; 0: any */
	unsigned otherwise; /* its count if this call creates it, and COUNT is 0 */
	unsigned
		consumed; /* so many of its units are consumed if this call creates it: one step, not two */
	bool lock; /* if this call creates it: a read-write lock, with IPCU_SEM_COUNT_MAX units unless COUNT is given */
	bool transient; /* if this call creates it: remove it when no process holds it or waits for it */
};

/*
 * Open, and perhaps create, the semaphore NAME as OPTIONS say. A transient semaphore is removed by ipcu_sem_close() after
 * the last release, by a call that needs room for a new object, or by ipcu_remove_stale(), once no process holds it or
 * waits for it and no unit is consumed. A call on a handle then returns IPCU_NOT_FOUND: open it again.
 *
 * Results: those of ipcu_sem_open; IPCU_USAGE also: more units consumed than its count.
 */
enum ipcu_result ipcu_sem_open_with(ipcu_sem **sem, const char *name,
				    const struct ipcu_sem_options *options,
				    const struct ipcu_open *how);

/*
 * Return true if SEM has a NAME and was created as a read-write lock, by whatever process.
 * A process that takes one unit of it excludes only exclusive holders: use ipcu_lock_exclusive() to be alone.
 */
bool ipcu_sem_is_lock(ipcu_sem *sem);

/* Release the handle, not the semaphore, nor what the process holds of it. NULL is allowed. */
void ipcu_sem_close(ipcu_sem *sem);

/*
 * Say which member of a raw set the other calls use (at first 0).
 * IPCU_OK; IPCU_USAGE: it has none such; IPCU_NOT_FOUND: removed.
 */
enum ipcu_result ipcu_sem_select(ipcu_sem *sem, unsigned index);

enum ipcu_hold_mode {
	IPCU_HOLD_UNITS = 0,
	IPCU_HOLD_SHARED = 1,
	IPCU_HOLD_EXCLUSIVE = 2,
	IPCU_HOLD_UNKNOWN = 3 /* only in struct ipcu_holder: one unit, or a shared lock */
};

/* What this process holds by one acquire. */
struct ipcu_hold {
	enum ipcu_hold_mode mode;
	unsigned units;
	int slot; /* 0 to count - 1: no other holder of this PID namespace has it. -1: a foreign set, or not known */
	pid_t pid;	    /* the holder */
	bool previous_died; /* the previous holder of the slot was killed, or ended without releasing it */
	pid_t previous; /* the process that died, or the one for which it held */
	int entry;	/* private */
	uint64_t word;	/* private */
};

/*
 * Hold UNITS until ipcu_sem_release() or the end of this process, waiting while
 * they are not free or somebody else waits.
 *
 * IPCU_OK and *HOLD; IPCU_NOT_NOW: not by the deadline, or a signal handler ran, and
 * nothing is held; IPCU_NOT_FOUND: removed; IPCU_DENIED; IPCU_LIMIT: it has not that many
 * units at all; IPCU_USAGE: no or too many UNITS; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_sem_acquire(ipcu_sem *sem, unsigned units, const struct timespec *deadline,
				  struct ipcu_hold *hold);

/* Hold a shared lock, which is one unit, in the same way. Results as ipcu_sem_acquire; IPCU_USAGE also for a raw set. */
enum ipcu_result ipcu_lock_shared(ipcu_sem *sem, const struct timespec *deadline,
				  struct ipcu_hold *hold);

/* Hold an exclusive lock, which is all units, in the same way. Results as ipcu_lock_shared. */
enum ipcu_result ipcu_lock_exclusive(ipcu_sem *sem, const struct timespec *deadline,
				     struct ipcu_hold *hold);

/*
 * Give back what this process holds by HOLD, which then holds nothing.
 * IPCU_OK; IPCU_NOT_FOUND: removed; IPCU_USAGE: HOLD holds nothing, or another process
 * does by it (a child after fork(2)); IPCU_DENIED: its mode was changed meanwhile, and the
 * units come back with the end of this process; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_sem_release(ipcu_sem *sem, struct ipcu_hold *hold);

/*
 * Take UNITS for good (P), in the same line: they stay taken when this process ends.
 * Results: those of ipcu_sem_acquire.
 */
enum ipcu_result ipcu_sem_wait(ipcu_sem *sem, unsigned units, const struct timespec *deadline);

/*
 * Give UNITS that were taken for good (V). Never waits.
 * IPCU_OK; IPCU_LIMIT: fewer are taken, or a raw value would be over 32767; IPCU_USAGE: no
 * or too many UNITS; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_sem_post(ipcu_sem *sem, unsigned units);

/* How many units are free. IPCU_OK; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM. */
enum ipcu_result ipcu_sem_get(ipcu_sem *sem, unsigned *value);

/*
 * Make VALUE units free: what is missing to the count, and is not held, is then taken for good.
 * One step, and no undo record of anybody is touched, unlike semctl(2) SETVAL.
 * IPCU_OK; IPCU_LIMIT: VALUE and what is held are more than the count; others as for get.
 */
enum ipcu_result ipcu_sem_set(ipcu_sem *sem, unsigned value);

/*
 * Make the count COUNT. Stands in line as if to take units; more units then wait until no
 * lock is held exclusively, fewer until so many are free at once, and meanwhile
 * nobody else gets any.
 *
 * IPCU_OK; IPCU_NOT_NOW: not by the deadline, and nothing has changed; IPCU_USAGE: a raw
 * set, or not 1 to 32767; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_sem_resize(ipcu_sem *sem, unsigned count, const struct timespec *deadline);

struct ipcu_sem_info {
	bool named;
	unsigned value;	     /* free */
	unsigned count;	     /* all; of a raw set 0, as the next two */
	unsigned taken;	     /* for good */
	unsigned held;	     /* count = value + taken + held */
	unsigned waiters;    /* processes */
	pid_t first_waiter;  /* the process at the head of the wait queue, 0: none, or not known */
	unsigned semaphores; /* in the set */
	pid_t last_pid;	     /* that changed the value */
	bool transient;	     /* it is removed when no process uses it */
};
/*
 * How many units are free, held and taken for good, all of one instant, and how many processes wait.
 * IPCU_OK; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_sem_status(ipcu_sem *sem, struct ipcu_sem_info *info);

/*
 * A living process that holds units. If only the kernel knows it, SINCE is 0, PID may be a keeper of a different process,
 * and KEEPER is 0.
 */
struct ipcu_holder {
	pid_t pid;    /* for whom */
	pid_t keeper; /* the process that has them on its behalf, 0: itself */
	enum ipcu_hold_mode mode;
	unsigned units;
	int slot;	       /* -1: not known */
	struct timespec since; /* by CLOCK_REALTIME, 0: not known */
	/* Its command line, with spaces for control characters. */
	const char *command;
};
typedef void (*ipcu_holder_fn)(const struct ipcu_holder *holder, void *context);

/*
 * Call FN for each holder of a named semaphore, in the order of their slots. A process that has just taken units may not be listed yet.
 * *UNLISTED, if not NULL, is how many units are held by processes that cannot be listed: those of a different PID
 * namespace, and those that took their units before the table of holders was removed. If such a process holds an
 * exclusive lock, or the only unit, it is listed nevertheless.
 *
 * IPCU_OK; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_LIMIT; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_sem_holders(ipcu_sem *sem, ipcu_holder_fn fn, void *context,
				  unsigned *unlisted);

/*
 * One semop(2) with a deadline, on a raw set. The operations' (<sys/sem.h>) flags are the caller's;
 * a DEADLINE in the past does not wait for any.
 * IPCU_OK; IPCU_NOT_NOW; IPCU_USAGE: a named semaphore, no operation, or a member that there is not;
 * IPCU_LIMIT: a value over 32767, or more operations than the kernel allows; IPCU_NOT_FOUND; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_sem_op(ipcu_sem *sem, struct sembuf *ops, size_t count,
			     const struct timespec *deadline);

/* ---------------------------------------------------------------------- */
/* Memory and values: shmget(2), shmop(2), shmctl(2), futex(2)             */
/* ---------------------------------------------------------------------- */

/* What a segment holds, from its first byte on: bytes, or a plain C array. */
enum ipcu_type {
	IPCU_BYTES = 0,
	IPCU_I8, /* int8_t */
	IPCU_U8,
	IPCU_I16,
	IPCU_U16,
	IPCU_I32,
	IPCU_U32,
	IPCU_I64,
	IPCU_U64,
	IPCU_F32, /* float */
	IPCU_F64  /* double */
};

/* The word for a type: "i64", "bytes"; static storage. */
const char *ipcu_type_name(enum ipcu_type type);

/* How many bytes a value of TYPE has, 1 for IPCU_BYTES. */
size_t ipcu_type_size(enum ipcu_type type);

/* The type that the word NAME ("i8" to "f64") says. IPCU_OK; IPCU_USAGE: there is no such type. */
enum ipcu_result ipcu_type_read(const char *name, enum ipcu_type *type);

/* A value of any type: I of signed types, U of unsigned ones, F of f32 and f64. */
union ipcu_value {
	int64_t i;
	uint64_t u;
	double f;
};

/*
 * Read TEXT strictly: decimal digits with a sign where TYPE has one; for f32 and f64 a fraction and an
 * exponent too, and inf, -inf and nan, rounded to the nearest; nothing else before or behind.
 *
 * IPCU_OK; IPCU_USAGE: malformed, or not in the range of TYPE.
 */
enum ipcu_result ipcu_value_read(enum ipcu_type type, const char *text, union ipcu_value *value);

#define IPCU_VALUE_TEXT 32
/* Write VALUE as the shortest of text that ipcu_value_read() reads back exactly. */
void ipcu_value_write(enum ipcu_type type, union ipcu_value value, char text[IPCU_VALUE_TEXT]);

typedef struct ipcu_shm ipcu_shm;

/* What there should be. NULL, and COUNT 0, create nothing. */
struct ipcu_shm_layout {
	enum ipcu_type type; /* of a segment of bytes, or another program's: how to see it */
	uint64_t count;	     /* values, or bytes, if this call creates it */
	bool exact;	     /* it is a conflict if it has another type or count */
};

/*
 * Open and attach, and perhaps create (all zero), the segment NAME. What lacks write permission is
 * attached to read. The caller gives *SHM to ipcu_shm_close(). A handle keeps the segment it
 * found: when ipcu_shm_publish() puts another one in its place, open it again to see that.
 *
 * Results: those of names; IPCU_CONFLICT also if it has another type, or with EXACT another count;
 * IPCU_LIMIT also: larger than the kernel allows.
 */
enum ipcu_result ipcu_shm_open(ipcu_shm **shm, const char *name,
			       const struct ipcu_shm_layout *layout, const struct ipcu_open *how);

/* Detach, and release the handle, not the segment. NULL is allowed. */
void ipcu_shm_close(ipcu_shm *shm);

/* Where it is attached, and how many bytes *SIZE there are; valid until ipcu_shm_close(). */
void *ipcu_shm_data(ipcu_shm *shm, size_t *size);

/* Whether it may be written. IPCU_OK; IPCU_DENIED: no write permission. */
enum ipcu_result ipcu_shm_writable(ipcu_shm *shm);

/*
 * Wake those in ipcu_shm_wait() after LENGTH bytes at OFFSET were changed by other means than these calls. In memory
 * without a NAME, or of whole pages, more than 256 KiB wake nobody: they look within a second.
 */
void ipcu_shm_changed(ipcu_shm *shm, size_t offset, size_t length);

/*
 * Get the value at INDEX, 0 for the first. One atomic step between all processes that use such steps, as are a set, an addition
 * and a compare-and-set.
 *
 * IPCU_OK; IPCU_USAGE: it holds bytes, and no type was said; IPCU_LIMIT: there is no such INDEX.
 */
enum ipcu_result ipcu_shm_get(ipcu_shm *shm, uint64_t index, union ipcu_value *value);

/* Set the value at INDEX. Results as ipcu_shm_get; IPCU_DENIED: no write permission. */
enum ipcu_result ipcu_shm_set(ipcu_shm *shm, uint64_t index, union ipcu_value value);

/*
 * Add DELTA to the value at INDEX; *VALUE (may be NULL) is the sum. Unsigned types wrap around.
 *
 * Results as ipcu_shm_set; IPCU_LIMIT also: the sum of a signed type is out of its range, and nothing changed.
 */
enum ipcu_result ipcu_shm_add(ipcu_shm *shm, uint64_t index, union ipcu_value delta,
			      union ipcu_value *value);

/*
 * Make the value at INDEX what is DESIRED, if it is what is EXPECTED (a nan is a nan); *FOUND (may be NULL) is what was
 * there, on IPCU_NOT_NOW too.
 *
 * Results as ipcu_shm_set; IPCU_NOT_NOW: it is not EXPECTED (EAGAIN), and nothing changed.
 */
enum ipcu_result ipcu_shm_compare_set(ipcu_shm *shm, uint64_t index, union ipcu_value expected,
				      union ipcu_value desired, union ipcu_value *found);

enum ipcu_comparison {
	IPCU_EQUAL,
	IPCU_NOT_EQUAL,
	IPCU_LESS,
	IPCU_LESS_EQUAL,
	IPCU_GREATER,
	IPCU_GREATER_EQUAL
};

/*
 * Wait until the value at INDEX compares so with VALUE; *FOUND (may be NULL) is then what it is. Changes by
 * these calls wake it at once, changes by other programs are seen within a second. Of a NAME it goes on with the segment
 * that ipcu_shm_publish() put in place.
 *
 * IPCU_OK; IPCU_NOT_NOW: not until the deadline, or a signal handler ran; IPCU_USAGE: it holds bytes; IPCU_NOT_FOUND:
 * removed; IPCU_LIMIT: there is no such INDEX; others as for ipcu_shm_open.
 */
enum ipcu_result ipcu_shm_wait(ipcu_shm *shm, uint64_t index, enum ipcu_comparison comparison,
			       union ipcu_value value, const struct timespec *deadline,
			       union ipcu_value *found);

/*
 * Take the object's own lock, first come first served; wait while another process holds it. The kernel gives it back
 * when this process ends, however. It survives execve(2) and not fork(2). It is the process's: another thread of it that
 * takes it, or the same one once more, waits too.
 *
 * IPCU_OK; IPCU_NOT_NOW: not until the deadline, or a signal handler ran; IPCU_USAGE: not a NAME; IPCU_NOT_FOUND:
 * removed; IPCU_DENIED; IPCU_LIMIT: no semaphore to be had; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_shm_lock(ipcu_shm *shm, const struct timespec *deadline);

/* Give the lock back; nothing happens if this process does not hold it. IPCU_OK; IPCU_NOT_FOUND: removed; IPCU_SYSTEM. */
enum ipcu_result ipcu_shm_unlock(ipcu_shm *shm);

#define IPCU_PID_UNKNOWN ((pid_t)-1) /* a process of another PID namespace */

struct ipcu_shm_info {
	uint64_t size; /* bytes */
	enum ipcu_type type;
	uint64_t count;	   /* values, or bytes */
	uint64_t attached; /* by others than this handle */
	pid_t locked_by;   /* 0: not locked; IPCU_PID_UNKNOWN */
	unsigned lock_waiting;
};
/* What it holds, and who uses it. IPCU_OK; IPCU_NOT_FOUND: removed; IPCU_SYSTEM. */
enum ipcu_result ipcu_shm_status(ipcu_shm *shm, struct ipcu_shm_info *info);

typedef struct ipcu_shm_stage ipcu_shm_stage;

/*
 * A new segment of SIZE bytes, all zero, to be filled at ipcu_shm_stage_data() and then published. Nobody
 * sees it until then. If this process dies meanwhile, ipcu_remove_stale() removes it.
 *
 * IPCU_OK; IPCU_LIMIT: larger than the kernel allows, or no memory; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_shm_stage_open(ipcu_shm_stage **stage, size_t size);

/* Where the staged bytes are to be written; valid until ipcu_shm_stage_close(). */
void *ipcu_shm_stage_data(ipcu_shm_stage *stage);

/* Detach, release the handle, and remove the segment if it was not published. NULL is allowed. */
void ipcu_shm_stage_close(ipcu_shm_stage *stage);

/*
 * Create NAME with what is staged, or replace all data of NAME by it. Every process finds all of the old or all of the new
 * data, whatever process is killed or stopped. A handle of the old segment keeps it as it was. Mode, type and lock stay. The
 * key stays too, but until the data are copied there, programs that go by the key find no segment, or one that they
 * cannot attach. A handle that is opened before that delays the copy until it is closed. Afterwards call only
 * ipcu_shm_stage_close() with STAGE.
 *
 * Results: those of names; IPCU_USAGE also for a raw key; IPCU_DENIED also if the namespace is another user's;
 * IPCU_CONFLICT also if the bytes are no whole number of its type's values.
 */
enum ipcu_result ipcu_shm_publish(ipcu_shm_stage *stage, const char *name,
				  const struct ipcu_open *how);

/* ---------------------------------------------------------------------- */
/* Pipes                                                                   */
/* ---------------------------------------------------------------------- */

/*
 * A stream of bytes between two processes, one at each end, through rings in shared memory. One session lasts from the
 * first that opens it until the last that closes it, and then the pipe is gone. The end of the
 * stream is what the writer says it is (ipcu_pipe_end, ipcu_pipe_finish), never what a dead or impatient writer leaves: that is
 * IPCU_BROKEN. What was written before still comes through.
 *
 * Semantics as of pipe(7), but for that, and for the writer's knowing in the end that all was taken. One thread may
 * write while another reads; each direction is for one thread at a time. A child of fork(2) has the memory, but is not at the
 * end: it must not use the pipe. Waits inside these calls notice within half a second that the other end is gone; a caller that
 * waits elsewhere asks with ipcu_pipe_check().
 */

typedef struct ipcu_pipe ipcu_pipe;

enum ipcu_pipe_end {
	IPCU_PIPE_WRITER = 0,
	IPCU_PIPE_READER = 1,
	IPCU_PIPE_CONNECT = 2 /* either end of a pipe that goes both ways */
};

/*
 * Take END of the pipe NAME. SIZE is the room in bytes for each direction, rounded up to whole pages of 4096, at most
 * 1 GiB; 0: the size of the existing pipe, or 1 MiB. If processes of an earlier session have not left yet, wait for them until
 * DEADLINE. The caller passes *PIPE to ipcu_pipe_close().
 *
 * IPCU_OK; IPCU_NOT_NOW: the earlier session is not over; IPCU_CONFLICT also: a process is at this end, or the pipe has a
 * different SIZE or different directions; IPCU_USAGE also: a raw key, or too large; IPCU_LIMIT: no memory; IPCU_SYSTEM also: a
 * process that may write the pipe's semaphores keeps changing them, or has been removing the pipe for 40 seconds; others as of
 * names.
 */
enum ipcu_result ipcu_pipe_open(ipcu_pipe **pipe, const char *name, enum ipcu_pipe_end end,
				uint64_t size, const struct ipcu_open *how,
				const struct timespec *deadline);

/*
 * Wait for the other end, which must be done before anything else. It may be called again after IPCU_NOT_NOW.
 *
 * IPCU_OK: it is there, or was; IPCU_NOT_NOW; IPCU_NOT_FOUND: the pipe was removed; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_pipe_meet(ipcu_pipe *pipe, const struct timespec *deadline);

/*
 * Leave, and release the handle. Unless ipcu_pipe_finish() was IPCU_OK, the peer gets IPCU_BROKEN. The process that leaves last
 * removes the pipe, if it is its owner or root. An owner whose peer is another user waits for the peer to leave, two seconds at
 * most. The thread's last error does not change. NULL is allowed.
 */
void ipcu_pipe_close(ipcu_pipe *pipe);

/*
 * Wait until there is room, and tell where: at least one byte, *SIZE of them at *AT, in the pipe itself; never more than a quarter
 * of it. ipcu_pipe_commit() sends the first SIZE bytes of them. Reserved again without that it is the same room.
 *
 * IPCU_OK; IPCU_NOT_NOW: full; IPCU_BROKEN: the other end is gone, or has damaged the pipe; IPCU_NOT_FOUND: it was
 * removed; IPCU_USAGE: not a writing end, or ended.
 */
enum ipcu_result ipcu_pipe_reserve(ipcu_pipe *pipe, void **at, size_t *size,
				   const struct timespec *deadline);

/* Send the first SIZE bytes of the room that ipcu_pipe_reserve() told. */
void ipcu_pipe_commit(ipcu_pipe *pipe, size_t size);

/*
 * Wait until there is something to read, and tell where: *SIZE bytes at *AT, in the pipe itself, at most a quarter of it, which
 * stay until ipcu_pipe_consume() gives the first SIZE bytes of them back. *SIZE 0 is the end of the stream, and that it is whole.
 * The bytes are the other end's to change even while they are looked at: copy what must not.
 *
 * Results as of ipcu_pipe_reserve, but IPCU_NOT_NOW: empty.
 */
enum ipcu_result ipcu_pipe_peek(ipcu_pipe *pipe, const void **at, size_t *size,
				const struct timespec *deadline);

/* Give the first SIZE bytes back of those that ipcu_pipe_peek() told: they have been read. */
void ipcu_pipe_consume(ipcu_pipe *pipe, size_t size);

/* Write SIZE bytes; *WRITTEN is how many went in, whatever the result. Results as of ipcu_pipe_reserve. */
enum ipcu_result ipcu_pipe_write(ipcu_pipe *pipe, const void *bytes, size_t size, size_t *written,
				 const struct timespec *deadline);

/* Read what is there, at most SIZE bytes and at least one; *GOT 0 is the end. Results as of ipcu_pipe_peek. */
enum ipcu_result ipcu_pipe_read(ipcu_pipe *pipe, void *buffer, size_t size, size_t *got,
				const struct timespec *deadline);

/*
 * Say that no more will be written: the other end reads to here, and then reads the end. Does not wait, and does nothing at an end
 * that only reads.
 */
void ipcu_pipe_end(ipcu_pipe *pipe);

/*
 * End well, and know that the other end has everything: say that all that was read is in safety, if this end reads, which it
 * must have done to the end; end the own stream, if it writes; and wait until the other end has called this too.
 *
 * IPCU_OK: both sides know; IPCU_NOT_NOW: not yet, call it again; IPCU_BROKEN: the other end is gone before it had
 * everything; IPCU_USAGE: not read to the end; IPCU_NOT_FOUND: the pipe was removed.
 */
enum ipcu_result ipcu_pipe_finish(ipcu_pipe *pipe, const struct timespec *deadline);

/*
 * Whether the other end is there, or has ended well. For callers that wait elsewhere.
 *
 * IPCU_OK; IPCU_BROKEN; IPCU_NOT_FOUND: the pipe was removed.
 */
enum ipcu_result ipcu_pipe_check(ipcu_pipe *pipe);

/* ---------------------------------------------------------------------- */
/* Looking                                                                 */
/* ---------------------------------------------------------------------- */

/* One object, as ipcu_list shows it. Valid during the callback. */
struct ipcu_info {
	const char *name;    /* without owner, or NULL: it has none */
	enum ipcu_kind kind; /* of a foreign set or segment: semaphore, memory */
	key_t key;
	int id;
	uid_t owner, creator; /* creator is whose namespace a name is in */
	gid_t group;
	mode_t mode;	     /* permission bits */
	bool gone;	     /* the name is there, the object was removed behind its back */
	bool internal;	     /* the library's own, without a name */
	const char *purpose; /* of an internal one: "registry of names"; static storage */
	bool nameless; /* an object of a name that no registry lists: use the name to list it again */
	uint64_t definition[4]; /* as recorded: count, parties, type and length */
	int64_t created; /* seconds since 1970: when it got its name; without one as CHANGED */
	int64_t changed; /* seconds since 1970: created or its mode changed */
	/* queue */
	uint64_t messages, bytes, bytes_max;
	pid_t last_sender, last_receiver;
	int64_t send_time, receive_time; /* 0: never */
	/* semaphore set */
	uint64_t semaphores;
	int64_t value, count, waiters; /* of a named one; -1: not ours to read */
	bool transient;		       /* it is removed when no process uses it */
	/* barrier, event */
	uint64_t waiting;
	bool broken, set;
	/* memory */
	uint64_t size, attached;
	bool removed; /* it was, and goes with the last that has it attached */
	pid_t creator_pid, last_pid;
	int64_t attach_time, detach_time;
	/* pipe: these, and bytes, bytes_max (of one direction) */
	unsigned ends; /* bit 0: its writer, or first end, is there; bit 1: its reader, or second */
};

/* Return anything but IPCU_OK to end the listing with that result. */
typedef enum ipcu_result (*ipcu_list_fn)(const struct ipcu_info *info, void *context);

#define IPCU_LIST_ALL 1u /* also objects that have no name, and those of other users */

/*
 * Call FN for every object in the namespace of USER, in no certain order, and
 * with IPCU_LIST_ALL for every object the kernel knows.
 *
 * IPCU_OK (an empty list too); what FN returned; IPCU_LIMIT: not enough memory;
 * IPCU_SYSTEM: the registry is damaged.
 */
enum ipcu_result ipcu_list(uid_t user, unsigned flags, ipcu_list_fn fn, void *context);

/* Call FN for one object, as ipcu_list does. Results: those of names, and what FN returned. */
enum ipcu_result ipcu_list_one(const char *name, ipcu_list_fn fn, void *context);

/* One kernel limit. All strings have static storage. */
struct ipcu_limit {
	const char *name;	 /* "MSGMNI" */
	const char *description; /* "queues" */
	const char *sysctl;	 /* "kernel.msgmni" */
	const char *unit;	 /* "objects", "bytes", "pages", ... */
	uint64_t limit;
	bool has_used;
	uint64_t used;
};
/*
 * Fill at most CAPACITY limits and set *COUNT to how many there are (msgctl(2)
 * IPC_INFO and MSG_INFO and their like). IPCU_OK; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_limits(struct ipcu_limit *limits, size_t capacity, size_t *count);

/* A process that uses an object, as far as /proc lets us see. */
struct ipcu_user {
	pid_t pid;
	const char *how; /* "receives", "sends", "waits", "attached" */
	const char *
		command; /* its command line, at most 127 bytes, control characters replaced by spaces */
};
typedef void (*ipcu_user_fn)(const struct ipcu_user *user, void *context);

/*
 * Call FN for each process that waits on or is attached to the object ID of
 * KIND; returns how many. Processes this user may not look into are not seen.
 */
size_t ipcu_users(enum ipcu_kind kind, int id, ipcu_user_fn fn, void *context);

/* ---------------------------------------------------------------------- */
/* Removing                                                                */
/* ---------------------------------------------------------------------- */

#define IPCU_REMOVE_FORCE 1u   /* also if it is in use */
#define IPCU_REMOVE_DRY_RUN 2u /* check everything, remove nothing */

/*
 * Remove the object NAME, of KIND or of any (IPCU_KIND_ANY). Processes that wait on it
 * get IPCU_NOT_FOUND. FLAGS are 0, or IPCU_REMOVE_FORCE and IPCU_REMOVE_DRY_RUN.
 *
 * IPCU_OK; IPCU_CONFLICT: it is in use, and the error names the processes; it is of
 * a different kind; or a key or identifier leads to an object that has a name or that
 * other objects need, and the error states which; others as for names. A name whose
 * object has vanished is forgotten, and the result is IPCU_NOT_FOUND.
 */
enum ipcu_result ipcu_remove(const char *name, enum ipcu_kind kind, unsigned flags);

/* What ipcu_remove_stale found: "big message of queue 5, 1048576 bytes". */
typedef void (*ipcu_stale_fn)(const char *what, void *context);

/*
 * Remove what no process can reach any more: big message bodies whose descriptor
 * is gone, names whose objects are gone, what a killed creator left, the sets of memory
 * and pipes that are gone, the lock of a registry that is gone. Only what this user owns,
 * and a body only if it was last touched SECONDS or more ago. Each is reported to FN (may be NULL). FLAGS are 0 or
 * IPCU_REMOVE_DRY_RUN.
 *
 * IPCU_OK; IPCU_LIMIT: not enough memory; IPCU_SYSTEM.
 */
enum ipcu_result ipcu_remove_stale(int64_t seconds, unsigned flags, ipcu_stale_fn fn,
				   void *context);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
