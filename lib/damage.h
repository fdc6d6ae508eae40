/* SPDX-License-Identifier: MIT
 * damage.h - what is wrong with a registry of names, and mending it
 */
#ifndef DAMAGE_H
#define DAMAGE_H

#include "ipcutils.h"

/* WHAT is one sentence without a full stop, valid during the call; REPAIRED: it was so, and is no more. */
typedef void (*ipcu_damage_fn)(const char *what, bool repaired, void *context);

/*
 * Examine the registry of OWNER, under its lock, and call FN for each damage. With REPAIR it is mended: no
 * object is ever removed, and no name of one that is alive is lost; where a name itself cannot be read any more, its object gets
 * the name "recovered-KEY".
 *
 * IPCU_OK, also if there is none; IPCU_DENIED: not ours to write; IPCU_SYSTEM: somebody keeps it locked, or, and then
 * the hint says what helps, it has a newer version, or another user has tangled it.
 */
enum ipcu_result ipcu_registry_examine(uid_t owner, bool repair, ipcu_damage_fn fn, void *context);

#endif
