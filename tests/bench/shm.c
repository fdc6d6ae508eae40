/* SPDX-License-Identifier: MIT
 * shm.c - shared memory: additions, waking up, bytes in and out
 *
 * Waking up: two processes wait for each other's number in turn, each on a processor of its own. The bare side
 * does the same with an atomic word and futex(2). Bytes come from a file in a tmpfs and go to one there; the segment
 * and the file that is written exist before, so neither side is given new pages; those of load and mv are new.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "ipcutils.h"

#define ADDITIONS 2000000
#define PYTHON_ADDITIONS 100000
#define TURNS 20000
#define MEGABYTES 128

static ipcu_shm *open_values(const char *name, uint64_t count)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I64, .count = count };
	ipcu_shm *shm;

	if (ipcu_shm_open(&shm, name, &layout, NULL) != IPCU_OK)
		die(ipcu_last_error()->message);
	return shm;
}

static void remove_memory(const char *name)
{
	if (ipcu_remove(name, IPCU_KIND_MEMORY, IPCU_REMOVE_FORCE) != IPCU_OK)
		die(ipcu_last_error()->message);
}

/* ---- additions: seconds for one ------------------------------------------------------ */

static double add_ours(ipcu_shm *shm)
{
	union ipcu_value one = { .i = 1 };
	double begun = now();

	for (long i = 0; i < ADDITIONS; i++)
		if (ipcu_shm_add(shm, 0, one, NULL) != IPCU_OK)
			die(ipcu_last_error()->message);
	return (now() - begun) / ADDITIONS;
}

static double add_bare(_Atomic int64_t *value)
{
	double begun = now();

	for (long i = 0; i < ADDITIONS; i++)
		atomic_fetch_add(value, 1);
	return (now() - begun) / ADDITIONS;
}

static double add_python(void)
{
	static const char program[] = "import multiprocessing as m, sys, time\n"
				      "v, n = m.Value('q', 0), int(sys.argv[1])\n"
				      "t = time.monotonic()\n"
				      "for i in range(n):\n"
				      "    with v.get_lock(): v.value += 1\n"
				      "print((time.monotonic() - t) / n)\n";
	char command[128];
	double seconds = 0;
	FILE *out;

	setenv("BENCH_PYTHON", program, 1);
	snprintf(command, sizeof(command), "exec python3 -c \"$BENCH_PYTHON\" %d",
		 PYTHON_ADDITIONS);
	out = popen(command, "r");
	if (!out || fscanf(out, "%lf", &seconds) != 1)
		seconds = 0;
	if (out)
		pclose(out);
	return seconds;
}

static void additions(size_t rounds)
{
	struct samples ours = { 0 }, bare = { 0 }, python = { 0 };
	ipcu_shm *shm = open_values("bench-sum", 1);
	_Atomic int64_t *value =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (value == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < rounds; i++) {
		add(&ours, add_ours(shm));
		add(&bare, add_bare(value));
		if (i < 3)
			add(&python, add_python());
	}
	ipcu_shm_close(shm);
	remove_memory("bench-sum");
	munmap((void *)value, 4096);
	if (median(&python) > 0)
		row("`ipcu_shm_add`, rate", "Python Value with get_lock",
		    median(&python) / median(&ours), false, 20);
	else
		printf("| `ipcu_shm_add` | Python Value with get_lock | skipped: no python3 | | |\n");
	row("the same, time", "a bare atomic addition", median(&ours) / median(&bare), true, 0);
	fprintf(stderr, "# an addition: ours %.1f ns, bare %.1f ns, Python %.0f ns\n",
		median(&ours) * 1e9, median(&bare) * 1e9, median(&python) * 1e9);
}

/* ---- waking up: seconds for one turn ------------------------------------------------- */

struct game {
	ipcu_shm *shm;		/* or NULL */
	_Atomic uint32_t *word; /* of the bare side */
	uint32_t first;
};

static void play(void *argument)
{
	struct game *game = argument;
	union ipcu_value one = { .i = 1 };

	for (uint32_t turn = game->first; turn < TURNS; turn += 2) {
		union ipcu_value wanted = { .i = turn };
		uint32_t seen;

		if (game->shm) {
			if (ipcu_shm_wait(game->shm, 0, IPCU_EQUAL, wanted, NULL, NULL) !=
				    IPCU_OK ||
			    ipcu_shm_add(game->shm, 0, one, NULL) != IPCU_OK)
				die(ipcu_last_error()->message);
			continue;
		}
		while ((seen = atomic_load(game->word)) != turn)
			syscall(SYS_futex, game->word, FUTEX_WAIT, seen, NULL, NULL, 0);
		atomic_fetch_add(game->word, 1);
		syscall(SYS_futex, game->word, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

static double turns(ipcu_shm *shm, _Atomic uint32_t *word)
{
	struct game mine = { shm, word, 0 }, theirs = { shm, word, 1 };
	union ipcu_value zero = { .i = 0 };
	pid_t child, other;
	double begun;

	if (shm)
		ipcu_shm_set(shm, 0, zero);
	atomic_store(word, 0);
	begun = now();
	child = start_function(play, &theirs, 1, NULL);
	other = start_function(play, &mine, 0, NULL);
	finish(child, false);
	finish(other, false);
	return (now() - begun) / TURNS;
}

static void wake_ups(size_t rounds)
{
	struct samples ours = { 0 }, bare = { 0 };
	ipcu_shm *shm = open_values("bench-turn", 1);
	_Atomic uint32_t *word =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (word == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < rounds; i++) {
		add(&ours, turns(shm, word));
		add(&bare, turns(NULL, word));
	}
	ipcu_shm_close(shm);
	remove_memory("bench-turn");
	munmap((void *)word, 4096);
	row("`ipcu_shm_wait` until woken, time", "a bare futex", median(&ours) / median(&bare),
	    true, 0);
	fprintf(stderr, "# a wake-up: ours %.1f us, bare %.1f us\n", median(&ours) * 1e6,
		median(&bare) * 1e6);
}

/* ---- bytes --------------------------------------------------------------------------- */

static double shell(const char *command)
{
	const char *argv[] = { "/bin/sh", "-c", command, NULL };

	return once(argv);
}

static void bytes(const char *bindir, size_t rounds)
{
	char directory[] = "/dev/shm/ipc-bench-XXXXXX", prepare[4096], write_ours[4096],
	     write_cat[4096], read_ours[4096], load_ours[4096], load_cat[4096];
	struct samples samples[5] = { { { 0 }, 0 } };

	if (!mkdtemp(directory))
		die(directory);
	snprintf(
		prepare, sizeof(prepare),
		"head -c %dM /dev/urandom >%s/in && cp %s/in %s/out && %s/ipc-shm create bench-bytes %dM && "
		"%s/ipc-shm write bench-bytes <%s/in",
		MEGABYTES, directory, directory, directory, bindir, MEGABYTES, bindir, directory);
	if (system(prepare) != 0)
		die("prepare");
	snprintf(write_ours, sizeof(write_ours), "exec %s/ipc-shm write bench-bytes <%s/in", bindir,
		 directory);
	snprintf(write_cat, sizeof(write_cat), "exec cat <%s/in 1<>%s/out", directory, directory);
	snprintf(read_ours, sizeof(read_ours), "exec %s/ipc-shm read bench-bytes 1<>%s/out", bindir,
		 directory);
	snprintf(load_ours, sizeof(load_ours), "exec %s/ipc-shm load bench-bytes <%s/in", bindir,
		 directory);
	snprintf(load_cat, sizeof(load_cat), "cat <%s/in >%s/new && mv %s/new %s/out", directory,
		 directory, directory, directory);
	for (size_t i = 0; i < rounds; i++) {
		add(&samples[0], shell(write_ours));
		add(&samples[1], shell(write_cat));
		add(&samples[2], shell(read_ours));
		add(&samples[3], shell(load_ours));
		add(&samples[4], shell(load_cat));
	}
	row("`ipc-shm write` of 128 MiB, rate", "cat from tmpfs into tmpfs",
	    median(&samples[1]) / median(&samples[0]), false, 0);
	row("`ipc-shm read` of 128 MiB, rate", "the same",
	    median(&samples[1]) / median(&samples[2]), false, 0);
	row("`ipc-shm load` of 128 MiB, rate", "cat into a new file there, and mv",
	    median(&samples[4]) / median(&samples[3]), false, 0);
	remove_memory("bench-bytes");
	snprintf(prepare, sizeof(prepare), "rm -rf %s", directory);
	if (system(prepare) != 0)
		die("rm");
}

void shm_rows(const char *bindir, size_t rounds)
{
	additions(rounds);
	wake_ups(rounds);
	bytes(bindir, rounds);
}
