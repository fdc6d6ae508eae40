/* SPDX-License-Identifier: MIT
 * failing.c - a library for LD_PRELOAD that makes one call fail
 *
 * Each function here counts, and either fails as failing.h says or calls the real one. What libc calls within itself
 * (the reads of a getline, the write of an fflush) does not come by here; its calls of malloc do.
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "failing.h"

static struct failing *page;

/* The next one in line of these names; called with the lock of the loader, which allocates nothing here. */
static void *next(const char *name)
{
	void *real = dlsym(RTLD_NEXT, name);

	if (!real)
		_exit(99);
	return real;
}

/* What a bad command would do here. */
static void plant(void)
{
	switch (page->planted) {
	case PLANTED_CRASH:
		abort();
	case PLANTED_LEAK:
		syscall(SYS_msgget, IPC_PRIVATE, 0600);
		return;
	case PLANTED_LIE:
		_exit(0);
	case PLANTED_SILENCE:
		_exit(4);
	case PLANTED_STATUS:
		_exit(77);
	}
}

/* Whether it is this call's turn. POSSIBLE: the errno is one that the kernel could give for these arguments. */
static bool is_to_fail(const char *call, int command, bool possible)
{
	if (!page)
		return false;
	page->all++;
	if (strcmp(page->call, call) != 0 || ++page->count != page->nth)
		return false;
	page->command = command;
	page->hit = possible ? FAILING_FAILED : FAILING_NOT_POSSIBLE;
	if (possible)
		plant();
	errno = page->errnum;
	return possible;
}

static bool is_one_of(const int *errnums)
{
	for (; page && *errnums; errnums++)
		if (*errnums == page->errnum)
			return true;
	return false;
}

#define ONE_OF(...) is_one_of((const int[]){ __VA_ARGS__, 0 })

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv(FAILING_FILE);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	/* What is executed from here is not to fail. */
	unsetenv("LD_PRELOAD");
	unsetenv(FAILING_FILE);
	if (mapped != MAP_FAILED)
		page = mapped;
}

/* A function of TYPE that fails with FAILED. */
#define WATCHED(type, name, parameters, arguments, failed)      \
	type name parameters                                    \
	{                                                       \
		static type(*real) parameters;                  \
                                                                \
		if (is_to_fail(#name, 0, true))                 \
			return failed;                          \
		if (!real)                                      \
			real = (type(*) parameters)next(#name); \
		return real arguments;                          \
	}

/* ---- System V --------------------------------------------------------------- */

/* Only what is made can find no room; only who asks for permission is denied; only what must be new may be there. */
static bool get_fits(int flags)
{
	if (ONE_OF(EEXIST))
		return flags & IPC_EXCL;
	if (ONE_OF(EACCES))
		return flags & 0666 && !(flags & IPC_EXCL);
	return flags & IPC_CREAT;
}

static bool is_in(int command, const int *list)
{
	for (; *list; list++)
		if (*list == command)
			return true;
	return false;
}

static bool control_fits(int command, const int *changes, const int *reads)
{
	if (ONE_OF(EPERM))
		return command == IPC_RMID || command == IPC_SET;
	if (ONE_OF(EACCES))
		return is_in(command, reads) || is_in(command, changes);
	if (ONE_OF(ENOMEM, ERANGE))
		return is_in(command, changes);
	return command != IPC_INFO && command != MSG_INFO && command != SEM_INFO &&
	       command != SHM_INFO;
}

/* What can sleep can be woken by a signal, and what can be in want of units can fail for want of them. */
static bool semop_fits(const struct sembuf *ops, size_t count)
{
	bool sleeps = false, wants = false, gives = false, undo = false;

	for (size_t i = 0; i < count; i++) {
		wants |= ops[i].sem_op <= 0;
		sleeps |= ops[i].sem_op <= 0 && !(ops[i].sem_flg & IPC_NOWAIT);
		gives |= ops[i].sem_op > 0;
		undo |= (ops[i].sem_flg & SEM_UNDO) && ops[i].sem_op;
	}
	return ONE_OF(EINTR)	? sleeps
	       : ONE_OF(EAGAIN) ? wants
	       : ONE_OF(ERANGE) ? gives
	       : ONE_OF(ENOMEM) ? undo
				: true;
}

/* "It was removed" is made true. */
static void make_true(const char *call, int id)
{
	if (!page || page->errnum != EIDRM)
		return;
	if (strncmp(call, "msg", 3) == 0)
		((int (*)(int, int, struct msqid_ds *))next("msgctl"))(id, IPC_RMID, NULL);
	else if (strncmp(call, "sem", 3) == 0)
		((int (*)(int, int, int, ...))next("semctl"))(id, 0, IPC_RMID);
	else
		((int (*)(int, int, struct shmid_ds *))next("shmctl"))(id, IPC_RMID, NULL);
	errno = EIDRM;
}

/* A function of TYPE that uses the object ID; it fails with FAILED if the errno is POSSIBLE. */
#define USES(type, name, parameters, arguments, failed, possible)                              \
	type name parameters                                                                   \
	{                                                                                      \
		static type(*real) parameters;                                                 \
                                                                                               \
		if (!real)                                                                     \
			real = (type(*) parameters)next(#name);                                \
		if (is_to_fail(#name, 0, possible)) {                                          \
			if (page->planted == PLANTED_TWICE || page->planted == PLANTED_LOSS) { \
				real arguments;                                                \
				if (page->planted == PLANTED_TWICE)                            \
					real arguments;                                        \
			}                                                                      \
			errno = page->errnum;                                                  \
			make_true(#name, id);                                                  \
			return failed;                                                         \
		}                                                                              \
		return real arguments;                                                         \
	}

/* A function that finds or makes one. */
#define GETS(name, parameters, arguments)                      \
	int name parameters                                    \
	{                                                      \
		static int(*real) parameters;                  \
                                                               \
		if (is_to_fail(#name, 0, get_fits(flags)))     \
			return -1;                             \
		if (!real)                                     \
			real = (int(*) parameters)next(#name); \
		return real arguments;                         \
	}

GETS(msgget, (key_t key, int flags), (key, flags))
GETS(semget, (key_t key, int count, int flags), (key, count, flags))
GETS(shmget, (key_t key, size_t size, int flags), (key, size, flags))
USES(int, msgsnd, (int id, const void *message, size_t size, int flags), (id, message, size, flags),
     -1, !ONE_OF(EINTR) || !(flags & IPC_NOWAIT))
USES(ssize_t, msgrcv, (int id, void *message, size_t size, long type, int flags),
     (id, message, size, type, flags), -1,
     ONE_OF(EINTR)    ? !(flags & IPC_NOWAIT)
     : ONE_OF(ENOMSG) ? flags & IPC_NOWAIT
		      : true)
USES(int, semop, (int id, struct sembuf *ops, size_t count), (id, ops, count), -1,
     semop_fits(ops, count))
USES(int, semtimedop, (int id, struct sembuf *ops, size_t count, const struct timespec *limit),
     (id, ops, count, limit), -1, semop_fits(ops, count))
USES(void *, shmat, (int id, const void *at, int flags), (id, at, flags), (void *)-1, true)

int msgctl(int id, int command, struct msqid_ds *state)
{
	static int (*real)(int, int, struct msqid_ds *);

	if (is_to_fail("msgctl", command,
		       control_fits(command, (const int[]){ 0 }, (const int[]){ IPC_STAT, 0 }))) {
		make_true("msgctl", id);
		return -1;
	}
	if (!real)
		real = (int (*)(int, int, struct msqid_ds *))next("msgctl");
	return real(id, command, state);
}

int shmctl(int id, int command, struct shmid_ds *state)
{
	static int (*real)(int, int, struct shmid_ds *);

	if (is_to_fail("shmctl", command,
		       control_fits(command, (const int[]){ 0 }, (const int[]){ IPC_STAT, 0 }))) {
		make_true("shmctl", id);
		return -1;
	}
	if (!real)
		real = (int (*)(int, int, struct shmid_ds *))next("shmctl");
	return real(id, command, state);
}

/* Its fourth argument is a union of an int and pointers. */
int semctl(int id, int number, int command, ...)
{
	static int (*real)(int, int, int, ...);
	static const int changes[] = { SETALL, SETVAL, 0 };
	static const int reads[] = { IPC_STAT, GETALL, GETVAL, GETPID, GETNCNT, GETZCNT, 0 };
	va_list arguments;
	void *value;

	va_start(arguments, command);
	value = va_arg(arguments, void *);
	va_end(arguments);
	/* Who may see to a name may remove its sets. */
	if (is_to_fail("semctl", command,
		       control_fits(command, changes, reads) &&
			       !(ONE_OF(EPERM) && command == IPC_RMID))) {
		make_true("semctl", id);
		return -1;
	}
	if (!real)
		real = (int (*)(int, int, int, ...))next("semctl");
	return real(id, number, command, value);
}

/* ---- files ------------------------------------------------------------------ */

int open(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);
	va_list arguments;
	unsigned mode;

	va_start(arguments, flags);
	mode = va_arg(arguments, unsigned);
	va_end(arguments);
	if (is_to_fail("open", 0, true))
		return -1;
	if (!real)
		real = (int (*)(const char *, int, ...))next("open");
	return real(path, flags, mode);
}

WATCHED(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL)
WATCHED(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size), -1)
/* A pipe has no room to want for and no disk to fail. */
ssize_t write(int fd, const void *bytes, size_t size)
{
	static ssize_t (*real)(int, const void *, size_t);
	bool file = ((off_t(*)(int, off_t, int))next("lseek"))(fd, 0, SEEK_CUR) >= 0;

	if (is_to_fail("write", 0, file || ONE_OF(EINTR)))
		return -1;
	if (!real)
		real = (ssize_t(*)(int, const void *, size_t))next("write");
	return real(fd, bytes, size);
}

/* It fails, and has closed all the same. */
int close(int fd)
{
	static int (*real)(int);
	bool fails = is_to_fail("close", 0, true);
	int errnum = errno;

	if (!real)
		real = (int (*)(int))next("close");
	if (!fails)
		return real(fd);
	real(fd);
	errno = errnum;
	return -1;
}

WATCHED(int, fstat, (int fd, struct stat *status), (fd, status), -1)
WATCHED(int, stat, (const char *path, struct stat *status), (path, status), -1)
WATCHED(int, access, (const char *path, int mode), (path, mode), -1)
WATCHED(off_t, lseek, (int fd, off_t offset, int whence), (fd, offset, whence), -1)
WATCHED(DIR *, opendir, (const char *path), (path), NULL)
WATCHED(struct dirent *, readdir, (DIR * directory), (directory), NULL)
WATCHED(int, poll, (struct pollfd * fds, nfds_t count, int limit), (fds, count, limit), -1)
WATCHED(int, ppoll,
	(struct pollfd * fds, nfds_t count, const struct timespec *limit, const sigset_t *mask),
	(fds, count, limit, mask), -1)
WATCHED(int, pipe2, (int ends[2], int flags), (ends, flags), -1)
WATCHED(int, socketpair, (int domain, int type, int protocol, int ends[2]),
	(domain, type, protocol, ends), -1)
WATCHED(ssize_t, send, (int fd, const void *bytes, size_t size, int flags),
	(fd, bytes, size, flags), -1)
WATCHED(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags), -1)
WATCHED(int, eventfd, (unsigned count, int flags), (count, flags), -1)
WATCHED(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags), -1)
WATCHED(int, chdir, (const char *path), (path), -1)

/* ---- processes, threads, time -------------------------------------------------- */

WATCHED(pid_t, fork, (void), (), -1)
WATCHED(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1)
WATCHED(int, execv, (const char *path, char *const arguments[]), (path, arguments), -1)
WATCHED(int, execvp, (const char *path, char *const arguments[]), (path, arguments), -1)
WATCHED(int, timer_create, (clockid_t clock, struct sigevent *event, timer_t *timer),
	(clock, event, timer), -1)
WATCHED(int, timer_settime,
	(timer_t timer, int flags, const struct itimerspec *value, struct itimerspec *old),
	(timer, flags, value, old), -1)
WATCHED(int, posix_spawnp,
	(pid_t * pid, const char *file, const posix_spawn_file_actions_t *actions,
	 const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]),
	(pid, file, actions, attributes, arguments, environment), errno)
WATCHED(int, pthread_create,
	(pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *),
	 void *argument),
	(thread, attributes, start, argument), errno)

struct libscols_table;
int scols_print_table(struct libscols_table *table);
int scols_print_table_to_string(struct libscols_table *table, char **text);

/* ---- other libraries -------------------------------------------------------------------- */

/*
 * Not ours to mend: where malloc fails in them, the name services of glibc 2.36 end with a crash, and
 * libsmartcols prints on without a cell.
 */
static _Thread_local int inside;

#define OTHERS(type, name, parameters, arguments, failed)       \
	type name parameters                                    \
	{                                                       \
		static type(*real) parameters;                  \
		type result;                                    \
                                                                \
		if (is_to_fail(#name, 0, true))                 \
			return failed;                          \
		if (!real)                                      \
			real = (type(*) parameters)next(#name); \
		inside++;                                       \
		result = real arguments;                        \
		inside--;                                       \
		return result;                                  \
	}

OTHERS(int, getpwnam_r,
       (const char *name, struct passwd *entry, char *bytes, size_t size, struct passwd **found),
       (name, entry, bytes, size, found), errno)
OTHERS(struct passwd *, getpwuid, (uid_t user), (user), NULL)
OTHERS(struct group *, getgrgid, (gid_t group), (group), NULL)

OTHERS(int, scols_print_table, (struct libscols_table * table), (table), -errno)
OTHERS(int, scols_print_table_to_string, (struct libscols_table * table, char **text),
       (table, text), -errno)

/* ---- memory ----------------------------------------------------------------- */

#define ALLOCATES(name, parameters, arguments)                   \
	void *name parameters                                    \
	{                                                        \
		static void *(*real)parameters;                  \
                                                                 \
		if (!inside && is_to_fail(#name, 0, true))       \
			return NULL;                             \
		if (!real)                                       \
			real = (void *(*)parameters)next(#name); \
		return real arguments;                           \
	}

ALLOCATES(malloc, (size_t size), (size))
ALLOCATES(calloc, (size_t count, size_t size), (count, size))
ALLOCATES(realloc, (void *old, size_t size), (old, size))
WATCHED(char *, strdup, (const char *text), (text), NULL)
WATCHED(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
	(at, size, protection, flags, fd, offset), MAP_FAILED)
WATCHED(FILE *, open_memstream, (char **text, size_t *size), (text, size), NULL)

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	va_list arguments;
	long a[6];

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	/* The number of the own thread cannot fail. */
	if (number != SYS_gettid && is_to_fail("syscall", 0, true))
		return -1;
	if (!real)
		real = (long (*)(long, ...))next("syscall");
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
