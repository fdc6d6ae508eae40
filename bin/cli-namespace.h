/* SPDX-License-Identifier: MIT
 * cli-namespace.h - acting in the IPC namespace of another process
 */
#ifndef CLI_NAMESPACE_H
#define CLI_NAMESPACE_H

#include "ipcutils.h"

/*
 * Go, with all that is done from here on, into the IPC namespace of process PID; nothing
 * happens if it has ours.
 *
 * IPCU_OK; IPCU_USAGE: there is no such process; IPCU_DENIED; IPCU_SYSTEM.
 */
enum ipcu_result cli_enter_namespace(pid_t pid);

#endif
