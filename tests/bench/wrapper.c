/* SPDX-License-Identifier: MIT
 * wrapper.c - becomes the command it is given: what ipc-sem run does, without the semaphore
 */
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc > 1)
		execvp(argv[1], argv + 1);
	return 127;
}
