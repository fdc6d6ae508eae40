/* SPDX-License-Identifier: MIT
 * bench.c - the table of make bench
 *
 * Each row is a ratio of two medians; the two sides take turns within one run, so what
 * else the machine does meets both. Run by make bench, in an IPC namespace of its own:
 *
 *	bench BINDIR [DIRECTORY-OF-STATIC-COMMANDS]
 *
 * BENCH_ROUNDS (default 7) is how often each pair is measured.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "ipcutils.h"

static const char *bindir, *staticdir;
static size_t rounds = 7;
static char directory[] = "/tmp/ipc-bench-XXXXXX";
static char input[64];

void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(struct samples *samples)
{
	qsort(samples->values, samples->count, sizeof(double), compare);
	return samples->count ? samples->values[samples->count / 2] : 0;
}

void add(struct samples *samples, double value)
{
	if (samples->count < ROUNDS_MAX)
		samples->values[samples->count++] = value;
}

void row(const char *work, const char *against, double ratio, bool at_most, double target)
{
	char wanted[32] = "", met[8] = "";

	if (target > 0) {
		snprintf(wanted, sizeof(wanted), "%s %.2f", at_most ? "<=" : ">=", target);
		strcpy(met, (at_most ? ratio <= target : ratio >= target) ? "yes" : "no");
	}
	printf("| %s | %s | %.2f | %s | %s |\n", work, against, ratio, wanted, met);
	fflush(stdout);
}

/* ---- processes ------------------------------------------------------------------------- */

static void become(int cpu, const char *from)
{
	int in = open(from ? from : "/dev/null", O_RDONLY), out = open("/dev/null", O_WRONLY);
	cpu_set_t set;

	if (cpu >= 0 && sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	if (in < 0 || out < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		die("open");
	close(in);
	close(out);
}

pid_t start_function(void (*function)(void *), void *argument, int cpu, const char *from)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		become(cpu, from);
		function(argument);
		_exit(0);
	}
	return pid;
}

pid_t start(const char *file, const char *const argv[], int cpu, const char *from)
{
	/* vfork: what is measured is the command's start, not the copy of this process. */
	pid_t pid;

	fflush(NULL);
	pid = vfork();
	if (pid < 0)
		die("vfork");
	if (pid == 0) {
		become(cpu, from);
		execv(file, (char *const *)argv);
		_exit(127);
	}
	return pid;
}

void finish(pid_t pid, bool may_be_killed)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (status != 0 && !(may_be_killed && WIFSIGNALED(status))) {
		fprintf(stderr, "bench: a process ended with status 0x%x\n", (unsigned)status);
		exit(EXIT_FAILURE);
	}
}

double once(const char *const argv[])
{
	double begun = now();

	finish(start(argv[0], argv, 1, NULL), false);
	return now() - begun;
}

/* ---- the rows -------------------------------------------------------------------------- */

static void one_shot(const char *from, const char *kind, double target)
{
	char send[4096], receive[4096], empty[4096];
	const char *send_argv[] = { send, "oneshot", "hello", NULL };
	const char *receive_argv[] = { receive, "oneshot", NULL };
	const char *empty_argv[] = { empty, NULL };
	static double times[3][10000];
	size_t count = 200 * rounds < 10000 ? 200 * rounds : 10000;
	char work[128];

	snprintf(send, sizeof(send), "%s/ipc-send", from);
	snprintf(receive, sizeof(receive), "%s/ipc-recv", from);
	snprintf(empty, sizeof(empty), "%s/../tests/bench/empty", bindir);
	for (size_t i = 0; i < count; i++) {
		times[0][i] = once(empty_argv);
		times[1][i] = once(send_argv);
		times[2][i] = once(receive_argv);
	}
	for (int i = 0; i < 3; i++)
		qsort(times[i], count, sizeof(double), compare);
	snprintf(work, sizeof(work), "one `ipc-send q hello`%s, start to exit", kind);
	row(work, "an empty dynamically linked C program",
	    times[1][count / 2] / times[0][count / 2], true, target);
	snprintf(work, sizeof(work), "one `ipc-recv q`%s, start to exit", kind);
	row(work, "the same", times[2][count / 2] / times[0][count / 2], true, 0);
}

/* A redis-server of our own; its pid, or 0 if there is none to start. */
static pid_t start_redis(const char *path)
{
	struct timespec pause = { 0, 10000000 };
	pid_t pid;

	if (system("command -v redis-server >/dev/null 2>&1") != 0)
		return 0;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		become(-1, NULL);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path,
		       "--save", "", "--appendonly", "no", "--dir", directory, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && access(path, F_OK) < 0; i++)
		nanosleep(&pause, NULL);
	return pid;
}

static void streams(void)
{
	struct samples ours = { 0 }, bare = { 0 }, redis = { 0 }, python = { 0 };
	char send[4096], receive[4096], path[64];
	bool has_python = system("command -v python3 >/dev/null 2>&1") == 0;
	pid_t server;

	snprintf(send, sizeof(send), "%s/ipc-send", bindir);
	snprintf(receive, sizeof(receive), "%s/ipc-recv", bindir);
	snprintf(path, sizeof(path), "%s/redis", directory);
	server = start_redis(path);
	for (size_t i = 0; i < rounds; i++) {
		add(&ours, stream_commands(send, receive, input));
		add(&bare, stream_bare(input));
		if (server && i < 3)
			add(&redis, stream_redis(input, path));
		if (has_python && i < 3)
			add(&python, stream_python(input, 100000));
	}
	if (server) {
		kill(server, SIGTERM);
		waitpid(server, NULL, 0);
	}
	row("`seq 1000000` through `ipc-send` and `ipc-recv -f`, rate",
	    "bare C msgsnd/msgrcv loops", median(&ours) / median(&bare), false, 0.90);
	if (median(&python) > 0)
		row("the same", "Python multiprocessing.Queue", median(&ours) / median(&python),
		    false, 8);
	else
		printf("| the same | Python multiprocessing.Queue | skipped: no python3 | | |\n");
	if (median(&redis) > 0)
		row("the same", "Redis LPUSH/BRPOP, pipelined by the hundred",
		    median(&ours) / median(&redis), false, 1);
	else
		printf("| the same | Redis LPUSH/BRPOP | skipped: no redis-server | | |\n");
	fprintf(stderr, "# messages/s: ipcutils %.0f, bare %.0f, Python %.0f, Redis %.0f\n",
		median(&ours), median(&bare), median(&python), median(&redis));
}

#define TRIPS 20000

struct pair {
	ipcu_queue *there, *back;
	int ids[2];
};

static void echo_bare(void *argument)
{
	struct pair *pair = argument;
	struct {
		long type;
		char body[8];
	} message;

	for (int i = 0; i < TRIPS; i++)
		if (msgrcv(pair->ids[0], &message, 8, 0, 0) < 0 ||
		    msgsnd(pair->ids[1], &message, 8, 0) < 0)
			die("echo");
}

static void echo_ours(void *argument)
{
	struct pair *pair = argument;
	struct ipcu_message message = { 0 };

	for (int i = 0; i < TRIPS; i++)
		if (ipcu_queue_receive(pair->there, &message, NULL, NULL) != IPCU_OK ||
		    ipcu_queue_send(pair->back, 1, message.body, message.size, NULL) != IPCU_OK)
			die("echo");
}

static void round_trips(void)
{
	struct samples ours = { 0 }, bare = { 0 };
	struct pair pair;
	struct {
		long type;
		char body[8];
	} request = { 1, "request" };

	if (ipcu_queue_open(&pair.there, "there", NULL) != IPCU_OK ||
	    ipcu_queue_open(&pair.back, "back", NULL) != IPCU_OK)
		die(ipcu_last_error()->message);
	pair.ids[0] = msgget(IPC_PRIVATE, 0600);
	pair.ids[1] = msgget(IPC_PRIVATE, 0600);
	for (size_t i = 0; i < rounds; i++) {
		struct ipcu_message answer = { 0 };
		pid_t child = start_function(echo_ours, &pair, 1, NULL);
		double begun = now();

		for (int trip = 0; trip < TRIPS; trip++)
			if (ipcu_queue_send(pair.there, 1, request.body, 8, NULL) != IPCU_OK ||
			    ipcu_queue_receive(pair.back, &answer, NULL, NULL) != IPCU_OK)
				die("request");
		add(&ours, now() - begun);
		finish(child, false);
		ipcu_message_clear(&answer);
		child = start_function(echo_bare, &pair, 1, NULL);
		begun = now();
		for (int trip = 0; trip < TRIPS; trip++)
			if (msgsnd(pair.ids[0], &request, 8, 0) < 0 ||
			    msgrcv(pair.ids[1], &request, 8, 0, 0) < 0)
				die("request");
		add(&bare, now() - begun);
		finish(child, false);
	}
	row("request and reply through the library, time", "bare msgsnd/msgrcv",
	    median(&ours) / median(&bare), true, 0);
	ipcu_queue_close(pair.there);
	ipcu_queue_close(pair.back);
	msgctl(pair.ids[0], IPC_RMID, NULL);
	msgctl(pair.ids[1], IPC_RMID, NULL);
}

/* COUNT names in a new IPC namespace, which is returned as a descriptor. */
static int namespace_with(int count)
{
	char name[32];

	if (unshare(CLONE_NEWIPC) < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		ipcu_queue *queue;

		snprintf(name, sizeof(name), "name%d", i);
		if (ipcu_queue_open(&queue, name, NULL) != IPCU_OK)
			die(ipcu_last_error()->message);
		ipcu_queue_close(queue);
	}
	return open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
}

static double look_up(int namespace)
{
	double begun;

	if (setns(namespace, CLONE_NEWIPC) < 0)
		die("setns");
	begun = now();
	for (int i = 0; i < 20000; i++) {
		char name[32];
		ipcu_queue *queue;

		snprintf(name, sizeof(name), "name%d", i % 10);
		if (ipcu_queue_open(&queue, name, NULL) != IPCU_OK)
			die(ipcu_last_error()->message);
		ipcu_queue_close(queue);
	}
	return now() - begun;
}

static void lookups(void)
{
	int home = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	struct samples few = { 0 }, many = { 0 };
	int ten = namespace_with(10), thousands = ten < 0 ? -1 : namespace_with(30000);

	if (thousands < 0) {
		printf("| opening by name among 30,000 names | among 10 | skipped: no IPC namespaces | | |\n");
		goto out;
	}
	for (size_t i = 0; i < rounds; i++) {
		add(&few, look_up(ten));
		add(&many, look_up(thousands));
	}
	row("opening by name in the library, 30,000 names", "10 names",
	    median(&many) / median(&few), true, 1.2);
	if (setns(home, CLONE_NEWIPC) < 0)
		die("setns");
	close(thousands);
out:
	if (ten >= 0)
		close(ten);
	close(home);
}

/* Whether PID sleeps in msgrcv or, with several queues, in the poll for its probes. */
static bool sleeps(pid_t pid)
{
	char path[64], text[512] = "", *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return false;
	close(fd);
	end = strrchr(text, ')');
	return end && end[2] == 'S';
}

static double resident(pid_t pid, const char *field)
{
	char path[64], line[256];
	double kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = atof(line + strlen(field));
	if (file)
		fclose(file);
	return kib;
}

static void memory(int queues)
{
	char receive[4096], names[8][16], work[64];
	const char *argv[12] = { receive, "-f" };
	struct timespec pause = { 0, 20000000 };
	double total, own;
	pid_t pid;

	snprintf(receive, sizeof(receive), "%s/ipc-recv", bindir);
	for (int i = 0; i < queues; i++) {
		snprintf(names[i], sizeof(names[i]), "blocked%d", i);
		argv[2 + i] = names[i];
	}
	pid = start(receive, argv, -1, NULL);
	for (int calm = 0; calm < 10; calm = sleeps(pid) ? calm + 1 : 0)
		nanosleep(&pause, NULL);
	total = resident(pid, "VmRSS:");
	own = resident(pid, "RssAnon:");
	kill(pid, SIGTERM);
	finish(pid, true);
	snprintf(work, sizeof(work), "memory of an `ipc-recv` blocked on %d queue%s", queues,
		 queues > 1 ? "s" : "");
	printf("| %s | | %.1f MiB, %.1f of it private | <= 4 MiB | %s |\n", work, total / 1024,
	       own / 1024, total <= 4096 ? "yes" : "no");
	fflush(stdout);
}

static void remove_names(void)
{
	static const char *const names[] = { "oneshot",	 "there",    "back",	 "blocked0",
					     "blocked1", "blocked2", "blocked3", "blocked4",
					     "blocked5", "blocked6", "blocked7" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ipcu_remove(names[i], IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE);
}

int main(int argc, char **argv)
{
	const char *wanted = getenv("BENCH_ROUNDS");
	char command[256];

	if (argc < 2) {
		fprintf(stderr, "usage: bench BINDIR [STATIC-BINDIR]\n");
		return EXIT_FAILURE;
	}
	bindir = argv[1];
	staticdir = argc > 2 ? argv[2] : NULL;
	if (wanted && atoi(wanted) > 0)
		rounds = (size_t)atoi(wanted) < ROUNDS_MAX ? (size_t)atoi(wanted) : ROUNDS_MAX;
	if (!mkdtemp(directory))
		die("mkdtemp");
	snprintf(input, sizeof(input), "%s/lines", directory);
	snprintf(command, sizeof(command), "seq %d >%s", MESSAGES, input);
	if (system(command) != 0)
		die("seq");

	printf("| work | against | ratio | target | met |\n| --- | --- | --- | --- | --- |\n");
	one_shot(bindir, "", 1.15);
	if (staticdir)
		one_shot(staticdir, " (static)", 0.90);
	streams();
	round_trips();
	lookups();
	sem_rows(bindir, staticdir, directory, rounds);
	event_row(100, rounds);
	shm_rows(bindir, rounds);
	pipe_rows(bindir, rounds);
	for (unsigned parties = 2; parties <= 256; parties *= parties == 2 ? 2 : 4)
		barrier_row(parties, rounds < 3 ? rounds : 3, parties <= 64 ? 6 : 0);
	memory(1);
	memory(8);
	remove_names();
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
