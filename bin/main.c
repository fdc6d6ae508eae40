/* SPDX-License-Identifier: MIT
 * main.c - the main() of every command; COMMAND names its function
 */
#include <config.h>

#include "cli-start.h"

int COMMAND(int argc, char **argv);

int main(int argc, char **argv)
{
	return cli_finish(COMMAND(argc, argv));
}
