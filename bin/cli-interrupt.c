/* SPDX-License-Identifier: MIT
 * cli-interrupt.c - ending at a signal, or when stdout's reader is gone, with nothing lost
 *
 * A signal that comes between the last look at a flag and a blocking call would be
 * forgotten by that call. So whatever wants to end a wait does not signal once: a
 * timer, or the watching thread, goes on until the process has ended.
 */
#include <config.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "cli-interrupt.h"

#define AGAIN_MILLISECONDS 5

static const int ending[] = { SIGHUP, SIGINT, SIGTERM };
static volatile sig_atomic_t caught, count;
static _Atomic bool hung_up;

void cli_tick_start(int milliseconds)
{
	struct itimerval when = { { milliseconds / 1000, milliseconds % 1000 * 1000 },
				  { milliseconds / 1000, milliseconds % 1000 * 1000 } };

	setitimer(ITIMER_REAL, &when, NULL);
}

static void on_ending(int signo)
{
	caught = signo;
	count++;
	cli_tick_start(AGAIN_MILLISECONDS);
}

static void on_tick(int signo)
{
	(void)signo;
}

static void handle(int signo, void (*handler)(int))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handler; /* no SA_RESTART: ending calls is the purpose */
	sigemptyset(&action.sa_mask);
	sigaction(signo, &action, NULL);
}

void cli_interrupts_start(void)
{
	sigset_t tick;

	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		struct sigaction old;

		if (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			handle(ending[i], on_ending);
	}
	handle(SIGALRM, on_tick);
	handle(SIGPIPE, SIG_IGN);
	sigemptyset(&tick);
	sigaddset(&tick, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &tick, NULL);
}

static volatile sig_atomic_t stop_asked;
static bool stops_taken;

static void on_stop(int signo)
{
	(void)signo;
	stop_asked = 1;
}

/* One that comes between two calls only ends the next wait but one: then the user presses the key again. */
void cli_stops_start(void)
{
	struct sigaction old;

	stops_taken = sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler == SIG_DFL;
	if (stops_taken)
		handle(SIGTSTP, on_stop);
}

void cli_stops_obey(void)
{
	if (!stop_asked)
		return;
	stop_asked = 0;
	handle(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	handle(SIGTSTP, on_stop);
}

void cli_stops_finish(void)
{
	cli_stops_obey();
	if (stops_taken)
		handle(SIGTSTP, SIG_DFL);
	stops_taken = false;
}

static void *watch(void *main_thread)
{
	struct pollfd fd = { .fd = STDOUT_FILENO };
	struct timespec pause = { 0, AGAIN_MILLISECONDS * 1000000 };

	do
		poll(&fd, 1, -1);
	while (!(fd.revents & (POLLERR | POLLHUP | POLLNVAL)));
	atomic_store(&hung_up, true);
	for (;;) {
		pthread_kill(*(pthread_t *)main_thread, SIGALRM);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

void cli_watch_stdout(void)
{
	static pthread_t main_thread;
	pthread_t thread;
	pthread_attr_t attributes;
	struct stat status;
	sigset_t all, old;

	/* Only what has another end can lose it. */
	if (fstat(STDOUT_FILENO, &status) < 0 ||
	    !(S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || isatty(STDOUT_FILENO)))
		return;
	main_thread = pthread_self();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 131072);
	/* Without the thread a write still tells, only later. */
	pthread_create(&thread, &attributes, watch, &main_thread);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool cli_interrupted(void)
{
	return caught != 0;
}

int cli_interrupt_count(void)
{
	return count;
}

bool cli_stdout_hung_up(void)
{
	return atomic_load(&hung_up);
}

void cli_interrupts_finish(void)
{
	sigset_t only;

	if (!caught)
		return;
	handle(caught, SIG_DFL);
	sigemptyset(&only);
	sigaddset(&only, caught);
	raise(caught);
	pthread_sigmask(SIG_UNBLOCK, &only, NULL);
}
