/* SPDX-License-Identifier: MIT
 * soak.c - all commands at random, killed and stopped at random, for SOAK_SECONDS
 *
 * Up to CHILDREN commands run at once. At random one is killed with SIGKILL, asked to end with SIGTERM, SIGINT or
 * SIGHUP, or stopped for a while; owners of acquired units are killed too. A command must end by itself, in time and with a
 * status it may have; what it did is written down (soak-book.c) and compared with what is there in the end.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "soak.h"
#include "tap.h"

#define HANGS_SECONDS 30

unsigned soak_wrongs, soak_kills, soak_stops, soak_signals, soak_keepers;
pid_t soak_owners[OWNERS];
const char *soak_self, *soak_scratch;
static struct child children[CHILDREN];
static uint64_t state;

unsigned soak_random(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? (unsigned)(state >> 20) % below : 0;
}

void soak_wrong(const struct child *child, const struct ending *ending, const char *format, ...)
{
	va_list args;

	soak_wrongs++;
	if (soak_wrongs > 50)
		return;
	printf("# %s: ", child->operation ? child->operation->name : "in the end");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" (status %d%s) %s\n", ending->status, child->killed ? ", killed" : "",
	       ending->err ? ending->err : "");
	fflush(stdout);
}

/* Only this file counts tests. */
bool soak_ok(bool good, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return ok(good, "%s", text);
}

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

/* ---- owners -------------------------------------------------------------------- */

static void start_owner(unsigned i)
{
	soak_owners[i] = fork();
	while (soak_owners[i] == 0)
		pause();
}

static void end_owner(unsigned i)
{
	if (soak_owners[i] <= 0)
		return;
	kill(soak_owners[i], SIGKILL);
	waitpid(soak_owners[i], NULL, 0);
	soak_owners[i] = 0;
}

/* ---- starting ------------------------------------------------------------------- */

static struct operation *choose(void)
{
	unsigned sum = 0, at;

	for (size_t i = 0; i < soak_operation_count; i++)
		sum += soak_operations[i].weight;
	at = soak_random(sum);
	for (size_t i = 0;; i++) {
		if (at < soak_operations[i].weight)
			return &soak_operations[i];
		at -= soak_operations[i].weight;
	}
}

static void become(const char *const *words, int in, const struct child *child)
{
	dup2(in, STDIN_FILENO);
	dup2(child->out, STDOUT_FILENO);
	dup2(child->err, STDERR_FILENO);
	execvp(words[0], (char *const *)words);
	_exit(98);
}

static int memory_file(const void *bytes, size_t size)
{
	int fd = memfd_create("soak", MFD_CLOEXEC);

	if (fd < 0 || (size && write(fd, bytes, size) != (ssize_t)size) ||
	    lseek(fd, 0, SEEK_SET) < 0) {
		perror("soak");
		exit(EXIT_FAILURE);
	}
	return fd;
}

static void start(struct child *child)
{
	const char *words[WORDS_MAX + 1] = { NULL };
	char *input = NULL;
	size_t size = 0;
	int in;

	*child = (struct child){ .operation = choose() };
	if (!child->operation->begin(child, words, &input, &size))
		return;
	in = memory_file(input, size);
	free(input);
	child->out = memory_file(NULL, 0);
	child->err = memory_file(NULL, 0);
	clock_gettime(CLOCK_MONOTONIC, &child->started);
	child->pid = fork();
	if (child->pid == 0)
		become(words, in, child);
	close(in);
	if (child->pid < 0) {
		close(child->out);
		close(child->err);
		child->pid = 0;
	}
}

/* ---- ending --------------------------------------------------------------------- */

static char *read_all(int fd, size_t *size)
{
	struct stat status;
	char *text;

	fstat(fd, &status);
	*size = (size_t)status.st_size;
	text = malloc(*size + 1);
	if (!text || pread(fd, text, *size, 0) != (ssize_t)*size)
		exit(EXIT_FAILURE);
	text[*size] = '\0';
	close(fd);
	return text;
}

static void judge(struct child *child, const struct ending *ending)
{
	struct operation *operation = (struct operation *)child->operation;

	operation->done++;
	if (ending->status < 10)
		operation->by_status[ending->status]++;
	/* It may have ended by itself before the signal came. */
	if (ending->status > 128 && child->signals & 1u << (ending->status - 128)) {
		operation->cuts++;
		if (operation->cut)
			operation->cut(child, ending);
		return;
	}
	if (ending->status > 9 || !strchr(operation->statuses, '0' + ending->status))
		soak_wrong(child, ending, "a status it may not end with");
	if (operation->end)
		operation->end(child, ending);
}

static void finish(struct child *child, int status)
{
	struct ending ending = { .status = WIFSIGNALED(status) ? 128 + WTERMSIG(status)
							       : WEXITSTATUS(status) };
	size_t err_size;
	char *err = read_all(child->err, &err_size);

	ending.out = read_all(child->out, &ending.out_size);
	ending.err = err;
	judge(child, &ending);
	if (strstr(err, "damaged"))
		soak_wrong(child, &ending, "something is damaged");
	free(ending.out);
	free(err);
	child->pid = 0;
}

/* Whoever has ended, without waiting. */
static void reap(void)
{
	for (int i = 0; i < CHILDREN; i++) {
		struct child *child = &children[i];
		int status;

		if (!child->pid)
			continue;
		if (child->stopped && seconds_since(&child->go_on) >= 0) {
			child->stopped = false;
			kill(child->pid, SIGCONT);
		}
		if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
			finish(child, status);
		} else if (seconds_since(&child->started) > HANGS_SECONDS && !child->killed) {
			soak_wrong(child, &(struct ending){ .status = -1 }, "it does not end");
			kill(child->pid, SIGKILL);
			child->killed = true;
			child->signals |= 1u << SIGKILL;
		}
	}
}

/* ---- disturbing ------------------------------------------------------------------ */

static void stop(struct child *child)
{
	long milliseconds = 1 + (long)soak_random(200);

	clock_gettime(CLOCK_MONOTONIC, &child->go_on);
	child->go_on.tv_nsec += milliseconds * 1000000;
	if (child->go_on.tv_nsec >= 1000000000) {
		child->go_on.tv_nsec -= 1000000000;
		child->go_on.tv_sec++;
	}
	child->stopped = kill(child->pid, SIGSTOP) == 0;
	soak_stops++;
}

static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

static void disturb(void)
{
	struct child *child = &children[soak_random(CHILDREN)];
	unsigned what = soak_random(40);

	if (what == 0 && soak_random(4) == 0) {
		unsigned i = soak_random(OWNERS);

		end_owner(i);
		start_owner(i);
	} else if (what == 1 && soak_random(4) == 0) {
		soak_kill_keeper();
	} else if (what < 4 && child->pid && !child->killed && !child->operation->never_killed) {
		child->killed = kill(child->pid, SIGKILL) == 0;
		child->signals |= 1u << SIGKILL;
		soak_kills++;
	} else if (what < 5 && child->pid && !child->killed) {
		int signo = signals[soak_random(3)];

		child->signals |= 1u << signo;
		kill(child->pid, signo);
		soak_signals++;
	} else if (what < 8 && child->pid && !child->stopped && !child->killed) {
		stop(child);
	}
}

static void run_for(long seconds)
{
	const struct timespec pause = { 0, 300000 };
	struct timespec begun, shown;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	shown = begun;
	while (seconds_since(&begun) < (double)seconds) {
		for (int i = 0; i < CHILDREN; i++)
			if (!children[i].pid && soak_random(3) == 0) {
				start(&children[i]);
				break;
			}
		disturb();
		reap();
		nanosleep(&pause, NULL);
		if (seconds_since(&shown) > 60) {
			clock_gettime(CLOCK_MONOTONIC, &shown);
			printf("# %.0f s: %u messages sent, %u received, %u killed, %u wrong\n",
			       seconds_since(&begun), book.sent, book.received, soak_kills,
			       soak_wrongs);
			fflush(stdout);
		}
	}
}

/* Everybody goes on, and ends by himself. */
static void wait_for_all(void)
{
	const struct timespec pause = { 0, 1000000 };
	bool left = true;

	for (int i = 0; i < CHILDREN; i++)
		if (children[i].pid && children[i].stopped)
			kill(children[i].pid, SIGCONT);
	while (left) {
		left = false;
		reap();
		for (int i = 0; i < CHILDREN; i++)
			left |= children[i].pid != 0;
		nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; i < OWNERS; i++)
		end_owner(i);
}

/* Keepers end with their owners, a moment later; a killed command's child may run for a few milliseconds. */
static void wait_for_units(void)
{
	const struct ipcu_open never = { .create = IPCU_CREATE_NEVER };
	static const char *const names[] = { "m", "w", "k" };
	const struct timespec pause = { 0, 1000000 };

	for (int i = 0; i < 3; i++) {
		struct ipcu_sem_info info = { .held = 1 };
		ipcu_sem *sem;

		if (ipcu_sem_open(&sem, names[i], 0, 1, &never) != IPCU_OK)
			continue;
		for (int try = 0; try < 10000 && info.held; try++) {
			ipcu_sem_status(sem, &info);
			nanosleep(&pause, NULL);
		}
		ipcu_sem_close(sem);
	}
}

static void report(long seconds)
{
	unsigned all = 0;

	for (size_t i = 0; i < soak_operation_count; i++) {
		const struct operation *o = &soak_operations[i];

		printf("# %-18s %8u times, %6u cut off; status", o->name, o->done, o->cuts);
		for (unsigned s = 0; s < 10; s++)
			if (o->by_status[s])
				printf(" %u: %u", s, o->by_status[s]);
		printf("\n");
		all += o->done;
		ok(o->done > 0, "%s was run", o->name);
	}
	printf("# %u commands in %ld seconds; %u killed, %u signalled, %u stopped, %u keepers killed\n",
	       all, seconds, soak_kills, soak_signals, soak_stops, soak_keepers);
}

int main(int argc, char **argv)
{
	char scratch[] = "/tmp/soak.XXXXXX", command[64], self[4096] = "";
	long seconds = rounds("SOAK_SECONDS", 30);

	if (argc == 5 && strcmp(argv[1], "hold") == 0)
		return soak_hold(argv[2], argv[3][0] == 'x', atol(argv[4]));
	if (argc == 2 && strcmp(argv[1], "cleanup") == 0)
		return soak_cleanup();
	if (!getenv("IPC_TEST_NAMESPACE")) {
		printf("1..0 # SKIP needs an IPC namespace of its own: counts objects\n");
		return 0;
	}
	if (!mkdtemp(scratch) || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return EXIT_FAILURE;
	/* A shell's background process and nohup ignore some, and so would the commands. */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	soak_self = self;
	soak_scratch = scratch;
	state = (uint64_t)rounds("SOAK_SEED", (long)time(NULL)) * 88172645463325252u + 1;
	soak_prepare();
	for (unsigned i = 0; i < OWNERS; i++)
		start_owner(i);
	run_for(seconds);
	wait_for_all();
	wait_for_units();
	report(seconds);
	is_number(soak_wrongs, 0, "every command ended as it may");
	soak_check();
	snprintf(command, sizeof(command), "rm -r %s", scratch);
	is_number(system(command), 0, "its own files are gone");
	return done();
}
