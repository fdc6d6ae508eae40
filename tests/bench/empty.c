/* SPDX-License-Identifier: MIT
 * empty.c - the least a C program can be, to compare starting with
 */
int main(void)
{
	return 0;
}
