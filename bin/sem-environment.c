/* SPDX-License-Identifier: MIT
 * sem-environment.c - what the COMMAND of ipc-sem run finds in its environment
 *
 * setenv(3) and snprintf(3) would use the heap and parts of libc that the start of a lock needs for nothing else: they
 * cost more than all semaphore calls together. So the environment is copied to the stack and extended there.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sem-verbs.h"
#include "text.h"

#define ENVIRONMENT_MAX 256 /* variables; a larger environment is extended in the heap */
#define NAME_BYTES 512

#define SEM_VARIABLE "IPC_SEM="
#define SLOT_VARIABLE "IPC_SLOT="

/* What COMMAND finds in its environment. */
struct environment {
	char *all[ENVIRONMENT_MAX];
	char sem[NAME_BYTES];
	char slot[sizeof(SLOT_VARIABLE) + 16];
};

static bool is_set_here(const char *variable)
{
	return strncmp(variable, SEM_VARIABLE, strlen(SEM_VARIABLE)) == 0 ||
	       strncmp(variable, SLOT_VARIABLE, strlen(SLOT_VARIABLE)) == 0;
}

/* Write the digits of NUMBER to TEXT. */
static void put_number(char *text, unsigned number)
{
	char digits[16], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	ipcu_text_put(text, at);
}

/* Fill NEW with the variables of this process and those of HOLD. False if there are too many, or NAME is too long. */
static bool fill(struct environment *new, const char *name, const struct ipcu_hold *hold)
{
	size_t count = 0;

	for (char **at = environ; at && *at; at++) {
		if (count >= ENVIRONMENT_MAX - 3)
			return false;
		if (!is_set_here(*at))
			new->all[count++] = *at;
	}
	if (strlen(name) >= sizeof(new->sem) - strlen(SEM_VARIABLE))
		return false;
	ipcu_text_put(ipcu_text_put(new->sem, SEM_VARIABLE), name);
	new->all[count++] = new->sem;
	if (hold->slot >= 0) {
		put_number(ipcu_text_put(new->slot, SLOT_VARIABLE), (unsigned)hold->slot);
		new->all[count++] = new->slot;
	}
	new->all[count] = NULL;
	return true;
}

/* In an environment that is larger than usual. */
static void set_variables(const char *name, const struct ipcu_hold *hold)
{
	char slot[16];

	setenv("IPC_SEM", name, 1);
	snprintf(slot, sizeof(slot), "%d", hold->slot);
	if (hold->slot >= 0)
		setenv("IPC_SLOT", slot, 1);
	else
		unsetenv("IPC_SLOT");
}

int sem_become_holder(const struct sem_options *options, const struct ipcu_hold *hold,
		      const char *path)
{
	struct environment new;
	char **old = environ;
	int status;

	if (!fill(&new, options->words[0], hold)) {
		set_variables(options->words[0], hold);
		return sem_become(options, path);
	}
	environ = new.all;
	status = sem_become(options, path);
	environ = old;
	return status;
}
