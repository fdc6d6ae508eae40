/* SPDX-License-Identifier: MIT
 * barrier.c - parties that meet again and again, by the library and by Python
 *
 * Each party is a process that waits some hundred times; what counts is the time
 * from the first release to the last, divided by the releases between, so that
 * starting the processes does not count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "ipcutils.h"

#define GENERATIONS 200
#define PARTIES_MAX 256

static const char name[] = "meeting";

static void party(void *unused)
{
	ipcu_barrier *barrier;

	(void)unused;
	if (ipcu_barrier_open(&barrier, name, 0, NULL) != IPCU_OK)
		die(ipcu_last_error()->message);
	for (int i = 0; i <= GENERATIONS; i++)
		if (ipcu_barrier_wait(barrier, NULL, NULL, NULL) != IPCU_OK)
			die(ipcu_last_error()->message);
	ipcu_barrier_close(barrier);
}

/* Seconds a release; this process is one of the parties. */
static double ours(unsigned parties)
{
	pid_t children[PARTIES_MAX];
	ipcu_barrier *barrier;
	double begun = 0, seconds;

	if (ipcu_barrier_open(&barrier, name, parties, NULL) != IPCU_OK)
		die(ipcu_last_error()->message);
	for (unsigned i = 1; i < parties; i++)
		children[i] = start_function(party, NULL, -1, NULL);
	for (int i = 0; i <= GENERATIONS; i++) {
		if (ipcu_barrier_wait(barrier, NULL, NULL, NULL) != IPCU_OK)
			die(ipcu_last_error()->message);
		if (i == 0)
			begun = now();
	}
	seconds = (now() - begun) / GENERATIONS;
	for (unsigned i = 1; i < parties; i++)
		finish(children[i], false);
	ipcu_barrier_close(barrier);
	if (ipcu_remove(name, IPCU_KIND_BARRIER, IPCU_REMOVE_FORCE) != IPCU_OK)
		die(ipcu_last_error()->message);
	return seconds;
}

static double python(unsigned parties)
{
	static const char program[] = "import multiprocessing as m, sys, time\n"
				      "n, g = int(sys.argv[1]), int(sys.argv[2])\n"
				      "b = m.Barrier(n)\n"
				      "def party():\n"
				      "    for i in range(g + 1): b.wait()\n"
				      "children = [m.Process(target=party) for i in range(n - 1)]\n"
				      "for c in children: c.start()\n"
				      "b.wait()\n"
				      "t = time.monotonic()\n"
				      "for i in range(g): b.wait()\n"
				      "print((time.monotonic() - t) / g)\n"
				      "for c in children: c.join()\n";
	char command[256];
	double seconds = 0;
	FILE *out;

	setenv("BENCH_PYTHON", program, 1);
	snprintf(command, sizeof(command), "exec python3 -c \"$BENCH_PYTHON\" %u %d", parties,
		 GENERATIONS);
	out = popen(command, "r");
	if (!out || fscanf(out, "%lf", &seconds) != 1)
		seconds = 0;
	if (out)
		pclose(out);
	return seconds;
}

void barrier_row(unsigned parties, size_t rounds, double target)
{
	struct samples library = { 0 }, other = { 0 };
	char work[128];

	for (size_t i = 0; i < rounds; i++) {
		add(&library, ours(parties));
		add(&other, python(parties));
	}
	snprintf(work, sizeof(work), "barrier release, %u parties (%.0f us), rate", parties,
		 median(&library) * 1e6);
	if (median(&other) > 0)
		row(work, "Python multiprocessing.Barrier", median(&other) / median(&library),
		    false, target);
	else
		printf("| %s | Python multiprocessing.Barrier | skipped: no python3 | | |\n", work);
}
