/* SPDX-License-Identifier: MIT
 * errno-driver.c - every command, with each of its calls failing in turn
 *
 * Each command of errno-tests.c runs again and again, the first, second, ... of its calls of each function failing
 * with one errno it may give after the other (IPC_TEST_ERRNO=some: with one of them, in turn). Whatever fails, the command
 *
 *   - ends by itself, with a documented status; success is the whole of what success is without a failure
 *   - says why on stderr, unless it is success or "not now"
 *   - has changed all or nothing, and what it has taken it has written (EIDRM is made true, and then nothing is
 *     expected of what was removed)
 *   - leaves no object that removing its names does not remove, but perhaps an empty registry of names, which
 *     the next command uses. That, and what the failing call was to remove, ipc-rm --stale finds.
 *
 * Usage: errno-driver LIBRARY SCRATCH [WORD]; WORD: only tests whose name has it.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sweep.h"
#include "fuzz.h"
#include "tap.h"

#define SECONDS_MAX 10
#define CALLS_MAX 200 /* ipc-rm looks at every process, always in the same way */
#define CALLS_SOME 20
#define CALLS_HEAVY 3
#define OUTPUT_MAX 32768

static const struct {
	const char *call;
	int errnums[10]; /* 0 ends */
} calls[] = {
	{ "msgget", { ENOSPC, ENOMEM, EACCES, EEXIST } },
	{ "msgsnd", { EINTR, EAGAIN, EACCES, EIDRM, ENOMEM } },
	{ "msgrcv", { EINTR, ENOMSG, EACCES, EIDRM, E2BIG, ENOMEM, ENOSYS } },
	{ "msgctl", { EACCES, EIDRM, EPERM } },
	{ "semget", { ENOSPC, ENOMEM, EACCES, EEXIST, EINVAL } },
	{ "semop", { EINTR, EAGAIN, EACCES, EIDRM, ENOMEM, ERANGE } },
	{ "semtimedop", { EINTR, EAGAIN, EACCES, EIDRM, ENOMEM, ERANGE } },
	{ "semctl", { EACCES, EIDRM, EPERM, ENOMEM, ERANGE } },
	{ "shmget", { ENOSPC, ENOMEM, EACCES, EEXIST, EINVAL, ENFILE } },
	{ "shmat", { ENOMEM, EACCES, EIDRM } },
	{ "shmctl", { EACCES, EIDRM, EPERM } },
	{ "malloc", { ENOMEM } },
	{ "calloc", { ENOMEM } },
	{ "realloc", { ENOMEM } },
	{ "strdup", { ENOMEM } },
	{ "mmap", { ENOMEM } },
	{ "open_memstream", { ENOMEM } },
	{ "open", { EMFILE, EACCES, ENOENT } },
	{ "fopen", { ENOMEM, EMFILE, ENOENT } },
	{ "read", { EIO, EINTR } },
	{ "write", { ENOSPC, EIO, EINTR } },
	{ "close", { EINTR, EIO } },
	{ "fstat", { ENOMEM } },
	{ "stat", { EACCES, ENOENT } },
	{ "access", { EACCES, ENOENT } },
	{ "lseek", { ESPIPE } },
	{ "opendir", { EMFILE, EACCES } },
	{ "poll", { EINTR, ENOMEM } },
	{ "ppoll", { EINTR, ENOMEM } },
	{ "pipe2", { EMFILE, ENFILE } },
	{ "socketpair", { EMFILE, ENOMEM } },
	{ "send", { EPIPE, ENOMEM } },
	{ "recv", { ECONNRESET, EINTR } },
	{ "eventfd", { EMFILE, ENOMEM } },
	{ "getrandom", { ENOSYS, EAGAIN } },
	{ "chdir", { EACCES } },
	{ "fork", { EAGAIN, ENOMEM } },
	{ "waitpid", { EINTR } },
	{ "execv", { ENOMEM, EACCES, E2BIG } },
	{ "execvp", { ENOMEM, EACCES } },
	{ "timer_create", { EAGAIN, ENOMEM } },
	{ "timer_settime", { EINVAL } },
	{ "posix_spawnp", { EAGAIN, ENOMEM } },
	{ "pthread_create", { EAGAIN } },
	{ "getpwnam_r", { EIO, EMFILE, ERANGE } },
	{ "getpwuid", { EIO } },
	{ "getgrgid", { EIO } },
	{ "syscall", { ENOSYS, EPERM, EMFILE } },
};
#define CALL_COUNT (sizeof(calls) / sizeof(calls[0]))

/* One run of a command. */
struct run {
	int status; /* 128 + N: a signal; -1: it did not end */
	char out[OUTPUT_MAX], err[OUTPUT_MAX];
	size_t out_size;
};

/* One failing call, and what came of it. */
struct attempt {
	const char *call;
	uint32_t nth;
	int errnum;
	uint32_t planted;
	bool reached, failed; /* it was made that often, and failed */
	const char *wrong[4]; /* sentences, or NULL */
	struct run run;
	char left[1024], *after;
};

static struct failing *page;
static const char *library, *scratch;
static char page_path[4096];
static bool some; /* of the errnos only one a call */

/* ---- running ------------------------------------------------------------------- */

static int open_scratch(const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	must(fd >= 0);
	return fd;
}

static size_t read_scratch(const char *name, char *text)
{
	int fd = open_scratch(name, O_RDONLY);
	ssize_t size = read(fd, text, OUTPUT_MAX - 1);

	must(size >= 0);
	text[size] = '\0';
	close(fd);
	return (size_t)size;
}

/* A process that does nothing but live. */
static pid_t start_owner(void)
{
	pid_t pid = fork();

	must(pid >= 0);
	while (pid == 0)
		pause();
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void become(const char *const *words, pid_t owner, bool failing)
{
	char *arguments[12] = { NULL }, number[16];
	int in = open_scratch("in", O_RDONLY);
	int out = open_scratch("out", O_WRONLY | O_CREAT | O_TRUNC);
	int err = open_scratch("err", O_WRONLY | O_CREAT | O_TRUNC);

	snprintf(number, sizeof(number), "%d", (int)owner);
	for (size_t i = 0; i < 10 && words[i]; i++)
		arguments[i] = strcmp(words[i], "OWNER") == 0 ? number : (char *)words[i];
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (failing) {
		setenv("LD_PRELOAD", library, 1);
		setenv(FAILING_FILE, page_path, 1);
	}
	execvp(arguments[0], arguments);
	_exit(98);
}

static void run_words(struct run *run, const char *const *words, const char *input, pid_t owner,
		      bool failing)
{
	int in = open_scratch("in", O_WRONLY | O_CREAT | O_TRUNC), status;
	struct pollfd ended = { .events = POLLIN };
	pid_t pid;

	must(write(in, input, strlen(input)) == (ssize_t)strlen(input));
	close(in);
	pid = fork();
	must(pid >= 0);
	if (pid == 0)
		become(words, owner, failing);
	ended.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	must(ended.fd >= 0);
	run->status = poll(&ended, 1, SECONDS_MAX * 1000) == 1 ? 0 : -1;
	close(ended.fd);
	if (run->status < 0)
		kill(pid, SIGKILL);
	must(waitpid(pid, &status, 0) == pid);
	if (run->status == 0)
		run->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	run->out_size = read_scratch("out", run->out);
	read_scratch("err", run->err);
}

/* Prepare, and run with a call failing (NULL: none). Returns the owner, 0 if there is none. */
static pid_t run_test(const struct test *test, struct run *run, const char *input,
		      const struct attempt *attempt)
{
	pid_t owner = test->how & OWNED ? start_owner() : 0;

	state_prepare(test->state);
	memset(page, 0, sizeof(*page));
	if (test->state == SEM_HELD) {
		static const char *const words[10] = { "ipc-sem", "acquire", "-P", "OWNER", "s" };

		run_words(run, words, "", owner, false);
		must(run->status == 0);
	}
	if (attempt) {
		snprintf(page->call, sizeof(page->call), "%s", attempt->call);
		page->nth = attempt->nth;
		page->errnum = attempt->errnum;
		page->planted = attempt->planted;
	}
	run_words(run, test->words, input, owner, true);
	return owner;
}

/* ---- judging -------------------------------------------------------------------- */

/* What the command does when nothing fails. */
struct expected {
	struct run run;
	char *before;
	char *states[8]; /* after; with LINES: of no line, one line, ... */
	size_t state_count;
	char *created;	   /* NULL, or: the object was made on first use, and no more */
	unsigned messages; /* in queues and on stdout */
	uint32_t watched;  /* calls that can fail */
};

static unsigned count_lines(const char *text)
{
	unsigned lines = 0;

	for (; *text; text++)
		lines += *text == '\n' || *text == '\0';
	return lines;
}

static void learn(const struct test *test, struct expected *expected)
{
	const char *line = test->input;
	char input[OUTPUT_MAX];
	pid_t owner;

	memset(expected, 0, sizeof(*expected));
	state_prepare(test->state);
	while (test->how & LINES && *line && expected->state_count < 7) {
		line = strchr(line, '\n') + 1;
		if (!*line)
			break;
		snprintf(input, sizeof(input), "%.*s", (int)(line - test->input), test->input);
		run_test(test, &expected->run, input, NULL);
		expected->states[expected->state_count++] = state_describe();
	}
	owner = run_test(test, &expected->run, test->input, NULL);
	expected->watched = page->all;
	expected->states[expected->state_count++] = state_describe();
	expected->messages = state_messages() + count_lines(expected->run.out);
	if (owner)
		end(owner);
	if (test->how / CREATES(1)) {
		state_prepare((enum state)(test->how / CREATES(1)));
		expected->created = state_describe();
	}
	/* Without a command, to see what was there. */
	owner = test->state == SEM_HELD ? start_owner() : 0;
	state_prepare(test->state);
	if (owner) {
		static const char *const words[10] = { "ipc-sem", "acquire", "-P", "OWNER", "s" };
		struct run held;

		run_words(&held, words, "", owner, false);
	}
	expected->before = state_describe();
	if (owner)
		end(owner);
}

static void forget(struct expected *expected)
{
	for (size_t i = 0; i < expected->state_count; i++)
		free(expected->states[i]);
	free(expected->before);
	free(expected->created);
}

/* Whether it was a removal that failed. */
static bool is_removal(const struct test *test)
{
	return strcmp(test->words[0], "ipc-rm") == 0 || test->state == STALE ||
	       (page->command == IPC_RMID && strstr(page->call, "ctl"));
}

/* Whether an object was removed in the middle, behind the command's back. */
static bool was_removed(void)
{
	return page->errnum == EIDRM;
}

/* Whether the command speaks of itself: "ipc-send: ..." */
static bool has_said_why(const struct run *run)
{
	return strncmp(run->err, "ipc-", 4) == 0 && strchr(run->err, '\n');
}

static const char *judge_status(const struct test *test, const struct run *run,
				const struct expected *expected)
{
	bool runs = strcmp(test->name, "receive for a command") == 0 || strstr(test->name, "run") ||
		    strstr(test->name, "action") || strstr(test->name, "lock");

	if (run->status < 0)
		return "it did not end";
	if (run->status > 8 && !(runs && (run->status == 126 || run->status == 127)))
		return "its status is not documented";
	if (run->status == 2)
		return "it is not a usage error";
	if (was_removed() && strstr(run->err, "damaged") && !strstr(run->err, "removed it"))
		return "what was removed is not damaged";
	if (run->status > 1 && !has_said_why(run))
		return "it does not say why";
	/* ENOMSG stands for another receiver, who was faster. */
	if (run->status == 0 && expected->run.status == 0 && !(test->how & (VARIES | MESSAGES)) &&
	    !was_removed() && page->errnum != ENOMSG &&
	    (run->out_size != expected->run.out_size ||
	     memcmp(run->out, expected->run.out, run->out_size) != 0))
		return "its output is not what it should be, and it says success";
	return NULL;
}

static const char *judge_state(const struct test *test, const struct run *run,
			       const struct expected *expected, const char *after)
{
	const char *full = expected->states[expected->state_count - 1];
	bool known = strcmp(after, expected->before) == 0;

	/* A big message whose body cannot be had is told of, and gone. */
	if (test->how & MESSAGES && run->status == 6)
		return NULL;
	if (test->how & MESSAGES)
		return state_messages() + count_lines(run->out) == expected->messages
			       ? NULL
			       : "a message is lost or doubled";
	if (run->status == 0 && expected->run.status == 0)
		return strcmp(after, full) == 0 ? NULL : "it says success, and has not done it";
	for (size_t i = 0; i < expected->state_count; i++)
		known |= strcmp(after, expected->states[i]) == 0;
	known |= expected->created && strcmp(after, expected->created) == 0;
	return known ? NULL : "it has done a half";
}

/* Whether what is LEFT, one after the other, is nothing but a registry and its lock. */
static bool only_registry(const char *left)
{
	for (; *left; left = strstr(left, "; ") + 2)
		if (strstr(left, "registry") == NULL ||
		    strstr(left, "registry") > strstr(left, "; "))
			return false;
	return true;
}

static const char *judge_left(const struct test *test, char *left, size_t capacity)
{
	char more[1024];

	if (state_clear(left, capacity) == 0)
		return NULL;
	if (!is_removal(test) && !only_registry(left))
		return "it leaves objects";
	/* Of a pipe the owner alone can be refused this, which cannot be. */
	if (page->errnum == EPERM && strcmp(test->words[0], "ipc-pipe") == 0)
		return NULL;
	ipcu_remove_stale(0, 0, NULL, NULL);
	return state_clear(more, sizeof(more)) == 0
		       ? NULL
		       : "it leaves objects that --stale does not find";
}

static void try(const struct test *test, const struct expected *expected, struct attempt *attempt)
{
	pid_t owner = run_test(test, &attempt->run, test->input, attempt);

	attempt->reached = page->hit != FAILING_NOT_REACHED;
	attempt->failed = page->hit == FAILING_FAILED;
	memset(attempt->wrong, 0, sizeof(attempt->wrong));
	attempt->left[0] = '\0';
	attempt->after = state_describe();
	if (attempt->failed) {
		attempt->wrong[0] = judge_status(test, &attempt->run, expected);
		if (!was_removed())
			attempt->wrong[1] =
				judge_state(test, &attempt->run, expected, attempt->after);
	}
	if (owner) {
		end(owner);
		attempt->wrong[2] = state_units_back() ? NULL : "units do not come back";
	}
	if (attempt->failed && !was_removed())
		attempt->wrong[3] = judge_left(test, attempt->left, sizeof(attempt->left));
}

/* Say what is wrong; whether nothing is. */
static bool is_good(const struct attempt *attempt)
{
	bool good = true;

	for (int i = 0; i < 4; i++)
		if (attempt->wrong[i]) {
			good = false;
			printf("# %s %u: %s: %s (status %d, %s%s)\n", attempt->call, attempt->nth,
			       strerror(attempt->errnum), attempt->wrong[i], attempt->run.status,
			       strcspn(attempt->run.err, "\n") ? attempt->run.err : "silent\n",
			       i == 3	? attempt->left
			       : i == 1 ? attempt->after
					: "");
		}
	return good;
}

/* With the NTH of CALL failing; false: it was not made that often. With SOME only one errno that is possible. */
static bool try_errnos(const struct test *test, const struct expected *expected, size_t call,
		       uint32_t nth, unsigned first, bool *good, unsigned *tries)
{
	static struct attempt attempt;
	const int *errnums = calls[call].errnums;
	unsigned count = 0, before = *tries;

	attempt = (struct attempt){ .call = calls[call].call, .nth = nth, .reached = true };
	while (count < 10 && errnums[count])
		count++;
	for (unsigned i = 0; i < count && attempt.reached && (!some || *tries == before); i++) {
		attempt.errnum = errnums[(first + i) % count];
		try(test, expected, &attempt);
		if (attempt.failed)
			*good &= is_good(&attempt);
		*tries += attempt.failed;
		free(attempt.after);
	}
	return attempt.reached;
}

static void sweep(const struct test *test, unsigned number)
{
	static struct expected expected;
	uint32_t most = test->how & HEAVY ? CALLS_HEAVY : some ? CALLS_SOME : CALLS_MAX;
	unsigned tries = 0;
	bool good = true;

	learn(test, &expected);
	if (expected.run.status != test->status || expected.watched == 0) {
		printf("# status %d, %u calls; %s", expected.run.status, expected.watched,
		       expected.run.err);
		ok(false, "%s: works when nothing fails", test->name);
		forget(&expected);
		return;
	}
	for (size_t call = 0; call < CALL_COUNT; call++) {
		uint32_t nth = 1;

		while (nth <= most &&
		       try_errnos(test, &expected, call, nth, nth + number, &good, &tries))
			nth++;
	}
	forget(&expected);
	ok(good && tries > 2, "%s: %u failures", test->name, tries);
}

/* Errors planted on purpose are found out, each by its own sentence. */
static void find_planted(void)
{
	static const struct {
		const char *test, *call;
		int errnum;
		uint32_t planted;
		const char *found;
	} planted[] = {
		{ "send", "msgsnd", ENOMEM, PLANTED_CRASH, "its status is not documented" },
		{ "send", "msgsnd", ENOMEM, PLANTED_LEAK, "it leaves objects" },
		{ "send", "msgsnd", ENOMEM, PLANTED_LIE, "it says success, and has not done it" },
		{ "send", "msgsnd", ENOMEM, PLANTED_SILENCE, "it does not say why" },
		{ "send", "msgsnd", ENOMEM, PLANTED_STATUS, "its status is not documented" },
		{ "send", "msgsnd", ENOMEM, PLANTED_TWICE, "it has done a half" },
		{ "receive", "msgrcv", ENOMEM, PLANTED_LOSS, "a message is lost or doubled" },
		{ "sem get", "semctl", EACCES, PLANTED_LIE,
		  "its output is not what it should be, and it says success" },
	};
	static struct expected expected;
	static struct attempt attempt;

	for (size_t i = 0; i < sizeof(planted) / sizeof(planted[0]); i++) {
		const struct test *test = tests;
		bool found = false;

		while (strcmp(test->name, planted[i].test) != 0)
			test++;
		learn(test, &expected);
		attempt = (struct attempt){ .call = planted[i].call,
					    .errnum = planted[i].errnum,
					    .planted = planted[i].planted };
		do {
			attempt.nth++;
			try(test, &expected, &attempt);
			free(attempt.after);
		} while (attempt.reached && !attempt.failed);
		for (int w = 0; w < 4; w++)
			found |=
				attempt.wrong[w] && strcmp(attempt.wrong[w], planted[i].found) == 0;
		ok(found, "planted in %s: %s", test->name, planted[i].found);
		forget(&expected);
	}
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		return 2;
	library = argv[1];
	scratch = argv[2];
	some = getenv("IPC_TEST_ERRNO") && strcmp(getenv("IPC_TEST_ERRNO"), "some") == 0;
	snprintf(page_path, sizeof(page_path), "%s/page", scratch);
	fd = open_scratch("page", O_RDWR | O_CREAT);
	must(ftruncate(fd, sizeof(*page)) == 0);
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(page != MAP_FAILED);
	for (size_t i = 0; i < test_count; i++)
		if (argc < 4 || strstr(tests[i].name, argv[3]))
			sweep(&tests[i], (unsigned)i);
	if (argc < 4)
		find_planted();
	fuzz_remove_all();
	return done();
}
