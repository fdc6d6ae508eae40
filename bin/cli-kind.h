/* SPDX-License-Identifier: MIT
 * cli-kind.h - the KIND of -k
 */
#ifndef CLI_KIND_H
#define CLI_KIND_H

#include "ipcutils.h"

/* "queue", "semaphore", ... IPCU_USAGE with a sentence. */
enum ipcu_result cli_parse_kind(const char *text, enum ipcu_kind *kind);

#endif
