/* SPDX-License-Identifier: MIT
 * purpose.h - what an object without a listed name is for
 */
#ifndef PURPOSE_H
#define PURPOSE_H

#include "object.h"

enum ipcu_family ipcu_family_of_kind(enum ipcu_kind kind);

/*
 * Recognise the object of FAMILY that INFO describes without a name: one of ipcutils whose name is lost, which then is
 * described as what it is, or bookkeeping.
 */
void ipcu_recognise(struct ipcu_info *info, enum ipcu_family family);

/*
 * Return true if a registry lists the object of FAMILY that INFO describes, or the object whose companion it is: its NAME and
 * RECORD.
 */
bool ipcu_listed_name(const struct ipcu_info *info, enum ipcu_family family,
		      char name[IPCU_NAME_MAX + 1], struct ipcu_record *record);

/*
 * Refuse, with a recorded IPCU_CONFLICT, to remove by key or identifier what INFO describes if it has a name, had one or is
 * bookkeeping: the error states what depends on it.
 */
enum ipcu_result ipcu_check_dependents(const struct ipcu_info *info, enum ipcu_family family);

/* Call FN for the objects that the key or identifier in NAME leads to. IPCU_NOT_FOUND: none. */
enum ipcu_result ipcu_list_raw(const struct ipcu_name *name, ipcu_list_fn fn, void *context);

#endif
