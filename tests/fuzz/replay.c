/* SPDX-License-Identifier: MIT
 * replay.c - a fuzz target without libFuzzer: seeds, what was found, and some random changes of them
 *
 * Every file of tests/fuzz/seeds/TARGET is an input; what fuzzing has found is kept among them as
 * found-*. FUZZ_ROUNDS random changes are tried of each (the same ones in every run, unless FUZZ_SEED says otherwise).
 * With arguments, these files are the inputs. The first failure ends the test, which says by what input.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>

#include "fuzz.h"
#include "tap.h"

#define INPUT_MAX 4096

static const char *current = "no input";
static const uint8_t *tried;
static size_t tried_size;

/* The program ends here, so nothing it may have broken matters any more. */
static void say_which(int signo)
{
	printf("# signal %d at %s or a change of it; the input in hexadecimal:\n# ", signo,
	       current);
	for (size_t i = 0; i < tried_size; i++)
		printf("%02x", tried[i]);
	printf("\nBail out! ended in the middle of an input\n");
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

static void end_loudly(void)
{
	static const int signals[] = { SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGSEGV };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], say_which);
}

static size_t read_input(const char *path, uint8_t *data)
{
	FILE *file = fopen(path, "rb");
	size_t size = 0;

	if (file) {
		size = fread(data, 1, INPUT_MAX, file);
		fclose(file);
	} else {
		ok(false, "%s: %s", path, strerror(errno));
	}
	return size;
}

/* An exact copy, so that a read behind it is seen where memory is watched. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	must(copy);
	memcpy(copy, data, size);
	tried = data;
	tried_size = size;
	must(LLVMFuzzerTestOneInput(copy, size) == 0);
	free(copy);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Change, drop or double a few bytes. */
static size_t change(uint8_t *data, size_t size, uint64_t *state)
{
	for (uint64_t steps = next_random(state) % 4 + 1; steps > 0 && size > 0; steps--) {
		size_t at = (size_t)(next_random(state) % size);

		switch (next_random(state) % 4) {
		case 0:
			data[at] = (uint8_t)next_random(state);
			break;
		case 1:
			data[at] ^= (uint8_t)(1u << next_random(state) % 8);
			break;
		case 2:
			memmove(data + at, data + at + 1, size - at - 1);
			size--;
			break;
		default:
			if (size == INPUT_MAX)
				break;
			memmove(data + at + 1, data + at, size - at);
			size++;
		}
	}
	return size;
}

static void replay(const char *path, long times, uint64_t *state)
{
	static uint8_t seed[INPUT_MAX], data[INPUT_MAX];
	size_t size = read_input(path, seed);

	current = path;
	run(seed, size);
	for (long i = 0; i < times; i++) {
		memcpy(data, seed, size);
		run(data, change(data, size, state));
	}
	ok(true, "%s and %ld changes of it", strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
	   times);
}

static void replay_seeds(const char *target, uint64_t *state)
{
	const char *source = getenv("IPC_SRCDIR");
	char directory[3000], path[4096];
	struct dirent **files;
	int count;

	snprintf(directory, sizeof(directory), "%s/tests/fuzz/seeds/%s", source ? source : ".",
		 target);
	count = scandir(directory, &files, NULL, alphasort);
	ok(count > 2, "there are seeds in tests/fuzz/seeds/%s", target);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, files[i]->d_name);
		if (files[i]->d_name[0] != '.')
			replay(path, rounds("FUZZ_ROUNDS", 200), state);
		free(files[i]);
	}
	if (count >= 0)
		free(files);
}

int main(int argc, char **argv)
{
	const char *target = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	const char *namespace = getenv("IPC_TEST_NAMESPACE");
	uint64_t state = (uint64_t)rounds("FUZZ_SEED", 1) * 88172645463325252u;

	if (!namespace) {
		printf("1..0 # SKIP needs an IPC namespace of its own: removes every object around it\n");
		return 0;
	}
	deadline_for_all(120);
	end_loudly();
	if (strncmp(target, "lt-", 3) == 0)
		target += 3;
	for (int i = 1; i < argc; i++)
		replay(argv[i], 0, &state);
	if (argc < 2)
		replay_seeds(target, &state);
	return done();
}
