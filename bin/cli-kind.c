/* SPDX-License-Identifier: MIT
 * cli-kind.c - the KIND of -k
 */
#include <config.h>

#include <string.h>

#include "cli-kind.h"
#include "error.h"

enum ipcu_result cli_parse_kind(const char *text, enum ipcu_kind *kind)
{
	for (int i = IPCU_KIND_QUEUE; i <= IPCU_KIND_PIPE; i++)
		if (strcmp(text, ipcu_kind_name((enum ipcu_kind)i)) == 0) {
			*kind = (enum ipcu_kind)i;
			return IPCU_OK;
		}
	return ipcu_fail(IPCU_USAGE,
			 "'%s' is not a kind: queue, semaphore, barrier, event, memory or pipe",
			 text);
}
