/* SPDX-License-Identifier: MIT
 * main.c - the main() of every command; COMMAND names its function
 */
#include <config.h>

#include "cli-start.h"

int COMMAND(int argc, char **argv);

int main(int argc, char **argv)
{
	int status = COMMAND(argc, argv);

	return cli_finish(status, argc > 0 && argv[0] ? argv[0] : "ipcutils");
}
