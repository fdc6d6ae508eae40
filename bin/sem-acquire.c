/* SPDX-License-Identifier: MIT
 * sem-acquire.c - acquire and release: units for the rest of a script
 *
 * The kernel gives units back when the process that took them ends, and that must
 * not be the command, which is to end at once. So it forks a keeper, which takes the
 * units itself and ends, and so gives them back, with the process it holds them
 * for. That it watches through a pidfd: no number is ever mistaken for another process.
 *
 *	command				keeper
 *	fork				dies with the command (PR_SET_PDEATHSIG)
 *	wait for answer or owner's end	take units, answer
 *	"go on"				lives on alone, says so
 *	exit 0				wait for the owner's end
 *
 * Killed before "go on", the command leaves nothing behind; the owner's end
 * while it waits ends both. release ends the keeper with SIGKILL, for it may be stopped, and has ended only when the
 * kernel has given the units back.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli-owner.h"
#include "cli-wait.h"
#include "error.h"
#include "deadline.h"
#include "process.h"
#include "sem-verbs.h"
#include "sem.h"

#define RELEASE_MILLISECONDS 5000 /* a release takes microseconds, unless it is stopped */
#define RELEASE_NANOSECONDS INT64_C(5000000000)

/* What the keeper tells of its attempt. */
struct answer {
	enum ipcu_result result;
	struct ipcu_hold hold;
	char message[sizeof(((struct ipcu_error *)0)->message)];
	char hint[sizeof(((struct ipcu_error *)0)->hint)];
};

/* Find the process on whose behalf this command acts: that of -P, or the calling shell. Open it as OWNER. */
static enum ipcu_result find_owner(struct sem_options *options, struct ipcu_process *owner)
{
	struct cli_owner found, again;
	enum ipcu_result result;

	if (options->pid)
		return ipcu_process_open(owner, options->pid);
	result = cli_owner_find(&found);
	if (result != IPCU_OK)
		return result;
	options->pid = cli_owner_pid(&found);
	result = ipcu_process_open(owner, options->pid);
	if (result != IPCU_OK)
		return result;
	/* If it is still the owner, its number was not given to a different process before it was opened. */
	result = cli_owner_find(&again);
	if (result == IPCU_OK && cli_owner_pid(&again) == options->pid)
		return IPCU_OK;
	ipcu_process_close(owner);
	return result == IPCU_OK ? ipcu_fail(IPCU_NOT_FOUND, "the calling shell has ended")
				 : result;
}

/* ---- the keeper --------------------------------------------------------- */

/*
 * What a keeper of SEM calls itself. Others may write the table of holders, so its number there is
 * not believed without this: nothing else is ever ended, and no keeper of another semaphore.
 */
static const char *keeper_name(const ipcu_sem *sem, char name[16])
{
	snprintf(name, 16, "keeper %08x", (unsigned)sem->object.key);
	return name;
}

/* Nothing of the script stays open but the two, of which B may be -1. */
static void close_all_but(int a, int b)
{
	int low = b < 0 || a < b ? a : b, high = b < 0 ? a : a < b ? b : a;
	long end = sysconf(_SC_OPEN_MAX);

#ifdef SYS_close_range
	if ((low == 0 || syscall(SYS_close_range, 0u, (unsigned)low - 1, 0) == 0) &&
	    (high == low + 1 || high == low ||
	     syscall(SYS_close_range, (unsigned)low + 1, (unsigned)high - 1, 0) == 0) &&
	    syscall(SYS_close_range, (unsigned)high + 1, ~0u, 0) == 0)
		return;
#endif
	for (int fd = 0; fd < (end > 0 ? (int)end : 1024); fd++)
		if (fd != low && fd != high)
			close(fd);
}

static void become_keeper(const ipcu_sem *sem, int socket, const struct ipcu_process *owner)
{
	char name[16];
	struct sigaction action;
	sigset_t none;

	/* In a session of its own no terminal's signals reach it; kill(1) still ends it. */
	setsid();
	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	sigaction(SIGTERM, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir("/") < 0)
		_exit(IPCU_SYSTEM);
	prctl(PR_SET_NAME, keeper_name(sem, name));
	close_all_but(socket, owner->fd);
}

/*
 * Wait for the end of the owner. The end of the command confirms the acquire, if the command was killed before it could
 * do so itself. The table of holders stays attached, so that a clean-up of unused segments does not remove it.
 */
static void watch(const ipcu_sem *sem, const struct ipcu_hold *hold, int socket,
		  const struct ipcu_process *owner)
{
	struct holder_table *table = sem->table;

	if (ipcu_process_wait(owner, socket, -1))
		return;
	if (table)
		ipcu_keeper_confirm(table, sem->object.id, hold);
	close(socket);
	ipcu_process_wait(owner, -1, -1);
}

__attribute__((noreturn)) static void keep(ipcu_sem *sem, const struct sem_options *options,
					   const struct timespec *deadline, pid_t parent,
					   int socket, const struct ipcu_process *owner)
{
	struct answer answer = { 0 };
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(IPCU_SYSTEM);
	become_keeper(sem, socket, owner);
	answer.result = sem_hold(sem, options, deadline, &answer.hold);
	if (answer.result != IPCU_OK) {
		strcpy(answer.message, ipcu_last_error()->message);
		strcpy(answer.hint, ipcu_last_error()->hint);
	}
	if (send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer) ||
	    answer.result != IPCU_OK || recv(socket, &go, 1, 0) != 1)
		_exit(answer.result);
	prctl(PR_SET_PDEATHSIG, 0);
	if (send(socket, &go, 1, MSG_NOSIGNAL) != 1)
		_exit(IPCU_SYSTEM);
	watch(sem, &answer.hold, socket, owner);
	/* The owner ended without a release: that is the normal end of a script. */
	ipcu_sem_release(sem, &answer.hold);
	ipcu_sem_close(sem);
	_exit(0);
}

/* ---- acquire ------------------------------------------------------------ */

static const struct argp_option acquire_table[] = {
	{ NULL, 0, NULL, 0, "What is held:", 1 },
	SEM_COUNT_OPTION,
	SEM_UNITS,
	SEM_SHARED,
	SEM_EXCLUSIVE_OPTION,
	SEM_PID,
	SEM_TRANSIENT,
	{ 0 },
};

static const struct argp_child acquire_children[] = {
	{ &cli_waiting, 0, NULL, 0 },
	{ &cli_creating, 0, NULL, 0 },
	{ &cli_standard, 0, NULL, 0 },
	{ 0 },
};

static const struct argp acquire_argp = {
	.options = acquire_table,
	.parser = sem_parse,
	.args_doc = "NAME",
	.doc = "Hold units of NAME on behalf of PID, by default the calling shell, until it ends or releases "
	       "them. A small process of its own keeps them meanwhile." CLI_EXIT_STATUSES,
	.children = acquire_children,
};

/* Wait for the answer of the keeper. IPCU_NOT_FOUND: the owner ended first. */
static enum ipcu_result wait_answer(ipcu_sem *sem, int socket, const struct ipcu_process *owner,
				    struct ipcu_hold *hold)
{
	struct holder_table *table = sem->table;
	struct answer answer;
	char go = 'g';

	if (ipcu_process_wait(owner, socket, -1))
		return ipcu_fail(IPCU_NOT_FOUND, "process %d, for which to acquire, has ended",
				 (int)owner->pid);
	if (recv(socket, &answer, sizeof(answer), 0) != sizeof(answer))
		return ipcu_fail(IPCU_SYSTEM, "its keeper has died");
	if (answer.result == IPCU_NOT_NOW)
		return ipcu_not_now(ETIMEDOUT);
	if (answer.result != IPCU_OK) {
		answer.message[sizeof(answer.message) - 1] = answer.hint[sizeof(answer.hint) - 1] =
			'\0';
		ipcu_fail(answer.result, "%s", answer.message);
		ipcu_hint("%s", answer.hint);
		return answer.result;
	}
	if (send(socket, &go, 1, MSG_NOSIGNAL) != 1 || recv(socket, &go, 1, 0) != 1)
		return ipcu_fail(IPCU_SYSTEM, "its keeper has died");
	/* Not earlier: a release that ends the keeper before this command reports success would make it fail. */
	if (table)
		ipcu_keeper_confirm(table, sem->object.id, &answer.hold);
	*hold = answer.hold;
	return IPCU_OK;
}

static enum ipcu_result start_keeper(ipcu_sem *sem, const struct sem_options *options,
				     const struct timespec *deadline,
				     const struct ipcu_process *owner)
{
	struct ipcu_hold hold = { .units = 0 };
	enum ipcu_result result;
	struct cli_wait wait = { .prepared = false };
	pid_t keeper, self = getpid();
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return ipcu_fail_call("socketpair", errno, "cannot start a keeper");
	ipcu_sem_table(sem); /* attached by both processes */
	fflush(NULL);
	keeper = fork();
	if (keeper == 0)
		keep(sem, options, deadline, self, ends[1], owner);
	close(ends[1]);
	if (keeper < 0) {
		close(ends[0]);
		return ipcu_fail_call("fork", errno, "cannot start a keeper");
	}
	cli_wait_begin(&wait, &options->common, options->words[0], sem_describe_wait,
		       (void *)options);
	result = wait_answer(sem, ends[0], owner, &hold);
	cli_wait_end(&wait);
	close(ends[0]);
	if (result == IPCU_OK) {
		sem_report_previous(options, &hold);
	} else {
		kill(keeper, SIGKILL);
		while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return result;
}

int sem_acquire(int argc, char **argv)
{
	struct sem_options options = { .needs_name = true };
	struct timespec storage;
	const struct timespec *deadline;
	ipcu_sem *sem;
	struct ipcu_process owner = { .fd = -1 };
	enum ipcu_result result;
	int status = sem_start(&acquire_argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	deadline = cli_deadline(&options.common, &storage);
	status = cli_status(&options.common, options.words[0], find_owner(&options, &owner));
	if (status)
		return status;
	status = sem_open(&sem, &options);
	if (status)
		goto out;
	sem->owner = options.pid;
	if (ipcu_process_wait(&owner, -1, 0))
		result = ipcu_fail(IPCU_NOT_FOUND, "no process %d: it has ended", (int)owner.pid);
	else
		do
			result = start_keeper(sem, &options, deadline, &owner);
		while (sem_reopened(&sem, &options, result));
	status = cli_status(&options.common, options.words[0], result);
	ipcu_sem_close(sem);
out:
	ipcu_process_close(&owner);
	return status;
}

/* ---- release ------------------------------------------------------------ */

static const struct argp_option release_table[] = {
	{ NULL, 0, NULL, 0, "Whose:", 1 },
	SEM_PID,
	{ 0 },
};
static const struct argp_child release_children[] = { { &cli_standard, 0, NULL, 0 }, { 0 } };

static const struct argp release_argp = {
	.options = release_table,
	.parser = sem_parse,
	.args_doc = "NAME",
	.doc = "Give back what acquire holds of NAME on behalf of PID, by default the calling shell: of several "
	       "acquires the last one." CLI_EXIT_STATUSES,
	.children = release_children,
};

/* The hold that a release looks for, and a different holder. */
struct search {
	pid_t pid;
	struct keeper found;	  /* pid 0: none */
	struct ipcu_holder other; /* one that holds for a different process, or itself */
};

static void match(const struct ipcu_holder *holder, void *context)
{
	struct search *search = context;

	if (!holder->keeper || holder->pid != search->pid)
		search->other = *holder;
}

/* Return true if HOLDER, which only the kernel knows, is a keeper. */
static bool is_keeper(const ipcu_sem *sem, const struct ipcu_holder *holder)
{
	struct ipcu_process process;
	char name[16];
	bool is;

	if (holder->keeper || ipcu_process_open(&process, holder->pid) != IPCU_OK)
		return false;
	is = ipcu_process_named(&process, keeper_name(sem, name));
	ipcu_process_close(&process);
	return is;
}

/*
 * A keeper enters itself after it has taken the units. Until then, and after its table was removed, no process knows for
 * which process it keeps them. An acquire that is not yet entered has not succeeded either, so there is nothing to release.
 */
static enum ipcu_result keeper_unknown(const struct search *search)
{
	ipcu_fail(IPCU_NOT_FOUND,
		  "process %d holds nothing of it that is listed: process %d keeps its units for a "
		  "process that is not known",
		  (int)search->pid, (int)search->other.pid);
	ipcu_hint("if no acquire is under way, its table of holders was removed: kill %d releases "
		  "the units",
		  (int)search->other.pid);
	return IPCU_NOT_FOUND;
}

static enum ipcu_result nothing_held(const ipcu_sem *sem, const struct search *search)
{
	const struct ipcu_holder *other = &search->other;

	if (!other->pid)
		return ipcu_fail(IPCU_NOT_FOUND, "process %d holds nothing of it",
				 (int)search->pid);
	if (is_keeper(sem, other))
		return keeper_unknown(search);
	ipcu_fail(IPCU_DENIED, "process %d does not hold it: process %d does", (int)search->pid,
		  (int)other->pid);
	if (other->keeper)
		ipcu_hint("release -P %d releases what that process holds", (int)other->pid);
	else
		ipcu_hint("what run holds comes back when its command ends");
	return IPCU_DENIED;
}

static enum ipcu_result no_keeper(const struct search *search)
{
	ipcu_fail(IPCU_SYSTEM,
		  "process %d, which should keep it for process %d, is no keeper of it",
		  (int)search->found.pid, (int)search->pid);
	ipcu_hint(
		"somebody who may write the semaphore has damaged its table of holders, or /proc cannot be read; nothing was ended");
	return IPCU_SYSTEM;
}

static enum ipcu_result end_keeper(const ipcu_sem *sem, const struct search *search)
{
	const struct keeper *found = &search->found;
	struct ipcu_process keeper;
	enum ipcu_result result = ipcu_process_open(&keeper, found->pid);
	bool opened = result == IPCU_OK;
	char name[16];

	/* The table again, now that its number cannot become the number of a different process. */
	if (result == IPCU_NOT_FOUND || (opened && !ipcu_keeper_holds(found)))
		result = ipcu_fail(IPCU_NOT_FOUND, "process %d holds nothing of it any more",
				   (int)search->pid);
	else if (opened && !ipcu_process_named(&keeper, keeper_name(sem, name)))
		result = no_keeper(search);
	else if (opened)
		result = ipcu_process_kill(&keeper);
	if (result == IPCU_OK) {
		ipcu_process_wait(&keeper, -1, -1);
		ipcu_sem_remove_idle(sem);
	} else {
		ipcu_keeper_unclaim(found);
	}
	if (opened)
		ipcu_process_close(&keeper);
	return result;
}

/*
 * Claim a keeper for SEARCH->pid. If a different release has claimed the only one, it may still fail, or be killed: then
 * the units are still held. So wait until that process has ended, for a limited time in total.
 */
static enum ipcu_result claim(struct holder_table *table, const ipcu_sem *sem,
			      struct search *search)
{
	struct timespec last = ipcu_deadline_in(RELEASE_NANOSECONDS);
	pid_t release = 0;

	while (!ipcu_keeper_claim(table, sem->object.id, search->pid, &search->found)) {
		struct ipcu_process process;

		release = ipcu_keeper_release(table, sem->object.id, search->pid);
		if (!release)
			return IPCU_NOT_FOUND;
		if (ipcu_deadline_passed(&last)) {
			ipcu_fail(IPCU_SYSTEM, "process %d is releasing it, and does not finish",
				  (int)release);
			ipcu_hint("continue that process if it is stopped (kill -CONT)");
			return IPCU_SYSTEM;
		}
		if (ipcu_process_open(&process, release) != IPCU_OK)
			continue;
		ipcu_process_wait(&process, -1, RELEASE_MILLISECONDS);
		ipcu_process_close(&process);
	}
	return IPCU_OK;
}

/* Claim what is held for SEARCH->pid, or find the process that holds instead. */
static enum ipcu_result look_for(ipcu_sem *sem, struct search *search)
{
	struct holder_table *table;

	if (!sem->object.named)
		return IPCU_OK;
	table = ipcu_sem_table(sem);
	if (!table && ipcu_last_error()->result == IPCU_DENIED)
		return ipcu_object_denied(&sem->object, "shmat", "cannot release");
	if (table) {
		enum ipcu_result result = claim(table, sem, search);

		if (result != IPCU_NOT_FOUND)
			return result;
	}
	search->found.pid = 0;
	return ipcu_sem_holders(sem, match, search, NULL);
}

/*
 * Find what is held for -P's process, or for the calling shell; the status. A shell may replace itself by this process or
 * by a wrapper of it, as bash does for the last command of bash -c. So the search begins with this process.
 */
static int find_held(ipcu_sem *sem, struct sem_options *options, struct search *search)
{
	struct cli_owner owner = { .count = 0 };
	enum ipcu_result result = IPCU_OK, found;

	*search = (struct search){ .pid = options->pid ? options->pid : getpid() };
	result = look_for(sem, search);
	if (options->pid || result != IPCU_OK || search->found.pid)
		return cli_status(&options->common, options->words[0], result);
	found = cli_owner_find(&owner);
	for (size_t i = 0; i < owner.count && result == IPCU_OK && !search->found.pid; i++) {
		*search = (struct search){ .pid = owner.chain[i] };
		result = look_for(sem, search);
	}
	if (result == IPCU_OK && !search->found.pid && found != IPCU_OK)
		result = cli_owner_find(&owner); /* its message, again */
	return cli_status(&options->common, options->words[0], result);
}

int sem_release(int argc, char **argv)
{
	struct sem_options options = { .pid = 0 };
	struct search search;
	ipcu_sem *sem;
	int status = sem_start(&release_argp, argc, argv, &options);

	if (status || options.common.finished)
		return status;
	options.common.open.create = IPCU_CREATE_NEVER;
	status = sem_open(&sem, &options);
	if (status)
		return status;
	status = find_held(sem, &options, &search);
	if (!status)
		status = cli_status(&options.common, options.words[0],
				    search.found.pid ? end_keeper(sem, &search)
						     : nothing_held(sem, &search));
	ipcu_sem_close(sem);
	return status;
}
