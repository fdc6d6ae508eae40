/* SPDX-License-Identifier: MIT
 * undo.h - whether the kernel takes back what a process that ended held
 */
#ifndef UNDO_H
#define UNDO_H

#include <stdbool.h>

#include "ipcutils.h"

/*
 * Return true if SEM_UNDO works on set ID, whose member 0 is zero, or if that cannot be told. Member 0 is zero again
 * afterwards. A child without a signal of its own is created for the trial.
 */
bool ipcu_undo_works(int id);

/* Record that it does not. */
enum ipcu_result ipcu_undo_missing(void);

#endif
