/* SPDX-License-Identifier: MIT
 * hostile.c - every command against the objects of a hostile user
 *
 * A hostile user makes an object of each kind, and forges one thing: a field of a record, the size of a set, a word of a
 * segment, a descriptor (hostile-forge.c). Then root and another user run every command on them.
 *
 * HOSTILE_STEP	run one of so many cases, by default 150; 1: all
 * HOSTILE_FIRST	begin with this case
 * HOSTILE_CASE	run only this case
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "hostile.h"
#include "tap.h"

#define STEP 150

/* The hostile user stays until it is killed: a pipe is there only as long as an end of it. */
static pid_t start_forger(struct hostile_case *one)
{
	int status;
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0) {
		must(setgid(HOSTILE_UID) == 0 && setuid(HOSTILE_UID) == 0);
		hostile_forge(one);
		raise(SIGSTOP);
		_exit(1);
	}
	must(waitpid(pid, &status, WUNTRACED) == pid);
	if (!WIFSTOPPED(status)) {
		printf("Bail out! the hostile user failed in case %ld, %s\n", one->wanted,
		       one->what);
		exit(EXIT_FAILURE);
	}
	kill(pid, SIGCONT);
	return pid;
}

/* Run case NUMBER; false if there is none. */
static bool run_case(struct hostile_case *one, long number, long *wrong)
{
	pid_t forger;

	memset(one, 0, sizeof(*one));
	one->wanted = number;
	fuzz_remove_all();
	hostile_make_witnesses(one);
	forger = start_forger(one);
	if (one->done) {
		*wrong += hostile_run(one);
		if (!hostile_check_witnesses()) {
			printf("# in case %ld, %s\n", number, one->what);
			++*wrong;
		}
	}
	kill(forger, SIGKILL);
	waitpid(forger, NULL, 0);
	return one->done;
}

static void run_all(struct hostile_case *one)
{
	long step = rounds("HOSTILE_STEP", STEP), cases = 0, wrong = 0, bad = 0;

	for (long number = rounds("HOSTILE_FIRST", 0) % step; bad < 10; number += step) {
		long before = wrong;

		if (!run_case(one, number, &wrong))
			break;
		cases++;
		bad += wrong > before;
	}
	printf("# %ld of %ld cases\n", cases, one->count);
	is_number(wrong, 0, "every command ends as documented, and changes nothing of others");
	ok(cases >= one->count / step, "all chosen cases were run");
}

static int run(struct hostile_case *one)
{
	const char *directory = getenv("IPC_BUILDDIR");
	char path[4096];
	long only = rounds("HOSTILE_CASE", -1), wrong = 0;

	snprintf(path, sizeof(path), "%s/bin", directory ? directory : ".");
	if (!hostile_open_commands(path)) {
		printf("Bail out! no commands in %s: %s\n", path, strerror(errno));
		return EXIT_FAILURE;
	}
	if (only >= 0) {
		ok(run_case(one, only, &wrong), "case %ld: %s", only, one->what);
		is_number(wrong, 0, "it ends well");
	} else {
		run_all(one);
	}
	fuzz_remove_all();
	return done();
}

int main(void)
{
	const char *namespace = getenv("IPC_TEST_NAMESPACE");
	struct hostile_case *one;
	int status;

	if (!namespace || strcmp(namespace, "root") != 0) {
		printf("1..0 # SKIP needs root: three users\n");
		return 0;
	}
	one = mmap(NULL, sizeof(*one), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(one != MAP_FAILED);
	status = run(one);
	munmap(one, sizeof(*one));
	return status;
}
