/* SPDX-License-Identifier: MIT
 * pipe-ends.c - a peer that may write the set and the head of a pipe, and programs that remove or use its parts
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "identity.h"
#include "pipe.h"
#include "queue.h"
#include "registry.h"
#include "tap.h"

#define SIZE 4096
#define STRANGER 12345 /* a user that is not the owner */

/* The semaphores of pipe-ends.c. */
enum { PRESENT, JOINED = 2, CLOSING = 4, SEMAPHORES = 5 + IPCU_IDENTITY_MEMBERS };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void set_value(int set, int semaphore, int value)
{
	semctl(set, semaphore, SETVAL, (union semun){ .val = value });
}

static ipcu_pipe *must_open(enum ipcu_pipe_end end, mode_t mode)
{
	const struct ipcu_open how = { .mode = mode };
	ipcu_pipe *pipe = NULL;

	if (ipcu_pipe_open(&pipe, "p", end, SIZE, &how, &ipcu_no_wait) != IPCU_OK) {
		printf("Bail out! %s\n", ipcu_last_error()->message);
		exit(1);
	}
	return pipe;
}

static key_t key_of(const char *name)
{
	key_t key = 0;

	ipcu_name_key(name, &key);
	return key;
}

static bool anything_left(void)
{
	return semget(key_of("p"), 0, 0) >= 0 || shmget(key_of("p"), 0, 0) >= 0;
}

/* ---- limits ------------------------------------------------------------------ */

/* The values of the peer's end make it neither present nor absent, and it claims to be a user that cannot remove the pipe. */
static void leaving(void)
{
	ipcu_pipe *writer = must_open(IPCU_PIPE_WRITER, 0600);
	double start = now();

	atomic_store(&writer->head->uid[1], STRANGER);
	set_value(writer->set, PRESENT + 1, 2);
	ipcu_pipe_close(writer);
	ok(now() - start < 10, "a peer delays the last end for seconds, not for half an hour");
	is_number(semctl(semget(key_of("p"), 0, 0), PRESENT, GETVAL), 0,
		  "which leaves nevertheless");
	is_result(ipcu_remove("p", IPCU_KIND_PIPE, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}

#ifdef __LP64__ /* elsewhere the call has a different name where time has 64 bits */
static int restless_set = -1;

/* The library that is linked into this test calls it. The set is different before each call, so every comparison fails. */
int semtimedop(int id, struct sembuf *ops, size_t count, const struct timespec *timeout)
{
	if (id == restless_set)
		set_value(id, JOINED + 1, !semctl(id, JOINED + 1, GETVAL));
	return (int)syscall(SYS_semtimedop, id, ops, count, timeout);
}

static void restless(void)
{
	struct timespec deadline = ipcu_deadline_in(50000000);
	ipcu_pipe *first = must_open(IPCU_PIPE_READER, 0600), *pipe;
	double start = now();

	restless_set = first->set;
	is_result(ipcu_pipe_open(&pipe, "p", IPCU_PIPE_WRITER, SIZE, NULL, &deadline), IPCU_NOT_NOW,
		  "in a set that changes all the time an arrival ends at its deadline");
	ok(now() - start < 5, "in time");
	start = now();
	is_result(ipcu_pipe_open(&pipe, "p", IPCU_PIPE_WRITER, SIZE, NULL, NULL), IPCU_SYSTEM,
		  "and without one after many attempts");
	ok(now() - start < 30, "in seconds");
	restless_set = -1;
	ipcu_remove("p", IPCU_KIND_PIPE, IPCU_REMOVE_FORCE);
	ipcu_pipe_close(first);
}
#else
static void restless(void)
{
	ok(true, "a set that changes all the time # SKIP semtimedop has a different name here");
}
#endif

/* ---- what is shown ----------------------------------------------------------- */

static void claimed_numbers(void)
{
	ipcu_pipe *writer = must_open(IPCU_PIPE_WRITER, 0600), *second;

	is_result(ipcu_pipe_open(&second, "p", IPCU_PIPE_WRITER, SIZE, NULL, NULL), IPCU_CONFLICT,
		  "a second writer");
	ok(strstr(ipcu_last_error()->message, "process "), "learns which process is the first");
	atomic_store(&writer->head->pid[0], 4294967295u);
	is_result(ipcu_pipe_open(&second, "p", IPCU_PIPE_WRITER, SIZE, NULL, NULL), IPCU_CONFLICT,
		  "also if the first one claims a number");
	ok(!strstr(ipcu_last_error()->message, "4294967295"),
	   "that no process has: it is not shown");
	ipcu_pipe_close(writer);
}

/* ---- permissions --------------------------------------------------------------- */

static int mode_of_set(void)
{
	struct semid_ds state = { .sem_perm = { .mode = 07777 } };

	ipcu_stat_set(semget(key_of("p"), 0, 0), &state);
	return state.sem_perm.mode & 0777;
}

static void permissions(void)
{
	ipcu_pipe *writer = must_open(IPCU_PIPE_WRITER, 0644), *reader;
	struct shmid_ds segment;

	is_number(mode_of_set(), 0644, "the set has the mode of the segment");
	ipcu_stat_segment(writer->object.id, &segment);
	segment.shm_perm.mode = 0600;
	shmctl(writer->object.id, IPC_SET, &segment);
	reader = must_open(IPCU_PIPE_READER, 0);
	is_number(mode_of_set(), 0600, "also after the mode of the segment was changed");
	ipcu_pipe_close(reader);
	ipcu_pipe_close(writer);
}

static void remove_registry(void)
{
	struct ipcu_registry registry;

	is_result(ipcu_registry_open(&registry, geteuid()), IPCU_OK, "a registry");
	shmctl(registry.id, IPC_RMID, NULL);
	ipcu_registry_close(&registry);
}

/* A pipe whose ends died, and whose segment a cleanup removed, perhaps with the REGISTRY. The set of mode 0666 is left. */
static void created_again(bool registry)
{
	ipcu_pipe *writer;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		must_open(IPCU_PIPE_WRITER, 0666);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	shmctl(shmget(key_of("p"), 0, 0), IPC_RMID, NULL);
	if (registry)
		remove_registry();
	is_number(mode_of_set(), 0666, "a set without a segment");
	writer = must_open(IPCU_PIPE_WRITER, 0600);
	is_number(mode_of_set(), 0600, "grants no more than the pipe that is created after it");
	ipcu_pipe_close(writer);
	ok(!anything_left(), "nothing is left");
}

/* ---- identity ------------------------------------------------------------------ */

/* A set of the same size and owner on the key of the pipe, but of a different program. */
static void foreign_set(void)
{
	ipcu_pipe *writer = must_open(IPCU_PIPE_WRITER, 0600), *reader;
	int set;

	semctl(writer->set, 0, IPC_RMID);
	set = semget(key_of("p"), SEMAPHORES, IPC_CREAT | 0600);
	is_result(ipcu_pipe_open(&reader, "p", IPCU_PIPE_READER, SIZE, NULL, &ipcu_no_wait),
		  IPCU_CONFLICT, "a different program's set is not used");
	ipcu_pipe_close(writer);
	is_result(ipcu_remove("p", IPCU_KIND_PIPE, IPCU_REMOVE_FORCE), IPCU_OK, "remove the pipe");
	is_number(semctl(set, 0, GETVAL), 0, "but not that set");
	semctl(set, 0, IPC_RMID);
}

/* The registry was removed while both ends were there: the last one removes the pipe nevertheless. */
static void without_registry(void)
{
	ipcu_pipe *writer = must_open(IPCU_PIPE_WRITER, 0600), *reader;

	reader = must_open(IPCU_PIPE_READER, 0600);
	remove_registry();
	ipcu_pipe_close(writer);
	ipcu_pipe_close(reader);
	ok(!anything_left(), "without its registry too, the pipe is removed by its last end");
	ipcu_remove_stale(0, 0, NULL, NULL);
}

/* The segment is removed under a writer. A reader that opens the name must not meet it: they would not share a ring. */
static void orphaned(void)
{
	ipcu_pipe *writer = must_open(IPCU_PIPE_WRITER, 0600), *reader;

	shmctl(writer->object.id, IPC_RMID, NULL);
	remove_registry();
	reader = must_open(IPCU_PIPE_READER, 0600);
	is_result(ipcu_pipe_meet(reader, &ipcu_no_wait), IPCU_NOT_NOW,
		  "a process at the end of a removed pipe is not met");
	is_result(ipcu_pipe_meet(writer, &ipcu_no_wait), IPCU_NOT_FOUND,
		  "and learns that the pipe was removed");
	ipcu_pipe_close(writer);
	ipcu_pipe_close(reader);
	ok(!anything_left(), "nothing is left");
}

/* ---- removal ------------------------------------------------------------------- */

static enum ipcu_result seal(int segment)
{
	const struct ipcu_record record = {
		.kind = IPCU_KIND_PIPE, .key = key_of("p"), .id = segment, .definition = { SIZE, 1 }
	};

	return ipcu_pipe_ops.seal(segment, &record);
}

/* A pipe that two killed ends left, so no process is at it. Returns its segment. */
static int leave_one(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		must_open(IPCU_PIPE_WRITER, 0600);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	return shmget(key_of("p"), 0, 0);
}

static void sealing(void)
{
	ipcu_pipe *pipe = must_open(IPCU_PIPE_WRITER, 0600);
	struct timespec deadline;
	int segment = pipe->object.id;
	pid_t child;

	is_result(seal(segment), IPCU_CONFLICT, "a pipe with a process at an end cannot be sealed");
	ipcu_pipe_close(pipe);
	segment = leave_one();
	fflush(stdout);
	child = fork();
	if (child == 0)
		_exit(seal(segment));
	waitpid(child, NULL, 0);
	pipe = must_open(IPCU_PIPE_WRITER, 0600);
	ok(true, "after the death of its remover a pipe can be used");
	ipcu_pipe_close(pipe);
	segment = leave_one();
	is_result(seal(segment), IPCU_OK, "an unused pipe is sealed");
	deadline = ipcu_deadline_in(30000000);
	is_result(ipcu_pipe_open(&pipe, "p", IPCU_PIPE_WRITER, SIZE, NULL, &deadline), IPCU_NOT_NOW,
		  "then no process comes to its ends");
	is_result(ipcu_remove("p", IPCU_KIND_PIPE, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
	ok(!anything_left(), "nothing is left");
}

int main(void)
{
	deadline_for_all(90);
	leaving();
	restless();
	claimed_numbers();
	permissions();
	created_again(false);
	created_again(true);
	foreign_set();
	without_registry();
	orphaned();
	sealing();
	return done();
}
