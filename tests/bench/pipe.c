/* SPDX-License-Identifier: MIT
 * pipe.c - a stream of bytes: a whole file, and eight bytes there and back
 *
 * The file lies in a tmpfs and goes to one that exists, so no side waits for a disk or is given new pages. Both
 * sides of a stream are started by one shell, which waits for both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "ipcutils.h"

#define MEGABYTES 1024
#define TURNS 20000
#define SMALL 8

/* Both ends may have a processor each. */
static double shell(const char *command)
{
	const char *argv[] = { "/bin/sh", "-c", command, NULL };
	double begun = now();

	finish(start(argv[0], argv, -1, NULL), false);
	return now() - begun;
}

static void streams(const char *bindir, size_t rounds)
{
	char directory[] = "/dev/shm/ipc-bench-XXXXXX", command[4096], ours[2][4096], fifo[2][4096],
	     shells[2][4096];
	static const char *const to[] = { "1<>out", ">/dev/null" };
	struct samples samples[2][3] = { 0 };

	if (!mkdtemp(directory))
		die(directory);
	snprintf(command, sizeof(command),
		 "cd %s && head -c %dM /dev/urandom >in && cp in out && mkfifo fifo", directory,
		 MEGABYTES);
	if (system(command) != 0)
		die("prepare");
	for (int i = 0; i < 2; i++) {
		snprintf(
			ours[i], sizeof(ours[i]),
			"bin=$(cd %s && pwd) && cd %s && { $bin/ipc-pipe write bench <in & $bin/ipc-pipe read bench %s; wait; }",
			bindir, directory, to[i]);
		snprintf(fifo[i], sizeof(fifo[i]), "cd %s && { cat in >fifo & cat fifo %s; wait; }",
			 directory, to[i]);
		snprintf(shells[i], sizeof(shells[i]), "cd %s && cat in | cat %s", directory,
			 to[i]);
	}
	for (size_t round = 0; round < rounds; round++)
		for (int i = 0; i < 2; i++) {
			add(&samples[i][0], shell(ours[i]));
			add(&samples[i][1], shell(fifo[i]));
			add(&samples[i][2], shell(shells[i]));
		}
	row("1 GiB through `ipc-pipe`, file to file, rate", "mkfifo and cat",
	    median(&samples[0][1]) / median(&samples[0][0]), false, 1.5);
	row("the same", "`cat | cat` in a shell", median(&samples[0][2]) / median(&samples[0][0]),
	    false, 0);
	row("1 GiB through `ipc-pipe`, file to /dev/null, rate", "mkfifo and cat",
	    median(&samples[1][1]) / median(&samples[1][0]), false, 0);
	row("the same", "`cat | cat` in a shell", median(&samples[1][2]) / median(&samples[1][0]),
	    false, 0);
	fprintf(stderr, "# 1 GiB: ours %.2f s, FIFO %.2f s; to /dev/null %.2f s, %.2f s\n",
		median(&samples[0][0]), median(&samples[0][1]), median(&samples[1][0]),
		median(&samples[1][1]));
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		die("rm");
}

/* ---- eight bytes there and back --------------------------------------------------- */

struct end {
	bool ours, first;
	int in, out; /* of the bare side */
};

static void check(enum ipcu_result result)
{
	if (result != IPCU_OK)
		die(ipcu_last_error()->message);
}

static void play(void *argument)
{
	struct end *end = argument;
	char bytes[SMALL] = "12345678";
	ipcu_pipe *pipe = NULL;
	size_t done;

	if (end->ours) {
		check(ipcu_pipe_open(&pipe, "bench", IPCU_PIPE_CONNECT, 0, NULL, NULL));
		check(ipcu_pipe_meet(pipe, NULL));
	}
	for (int turn = 0; turn < TURNS; turn++) {
		bool write_now = (turn % 2 == 0) == end->first;

		if (end->ours && write_now)
			check(ipcu_pipe_write(pipe, bytes, SMALL, &done, NULL));
		else if (end->ours)
			check(ipcu_pipe_read(pipe, bytes, SMALL, &done, NULL));
		else if ((write_now ? write(end->out, bytes, SMALL)
				    : read(end->in, bytes, SMALL)) != SMALL)
			die("pipe");
	}
	if (pipe) {
		ipcu_pipe_end(pipe);
		check(ipcu_pipe_read(pipe, bytes, SMALL, &done, NULL));
		check(ipcu_pipe_finish(pipe, NULL));
		ipcu_pipe_close(pipe);
	}
}

static double turns(bool ours)
{
	int there[2], back[2];
	struct end first = { ours, true, 0, 0 }, second = { ours, false, 0, 0 };
	pid_t children[2];
	double begun;

	if (pipe(there) < 0 || pipe(back) < 0)
		die("pipe");
	first.out = there[1];
	first.in = back[0];
	second.out = back[1];
	second.in = there[0];
	begun = now();
	children[0] = start_function(play, &first, 0, NULL);
	children[1] = start_function(play, &second, 1, NULL);
	finish(children[0], false);
	finish(children[1], false);
	begun = now() - begun;
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
	return begun / TURNS;
}

void pipe_rows(const char *bindir, size_t rounds)
{
	struct samples ours = { 0 }, bare = { 0 };
	char work[128];

	streams(bindir, rounds);
	for (size_t i = 0; i < rounds; i++) {
		add(&ours, turns(true));
		add(&bare, turns(false));
	}
	snprintf(work, sizeof(work), "8 bytes through `ipcu_pipe` (%.1f us), time",
		 median(&ours) * 1e6);
	row(work, "bare pipe(2)", median(&ours) / median(&bare), true, 0);
}
