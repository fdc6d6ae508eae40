/* SPDX-License-Identifier: MIT
 * name.h - what a person typed: a name, a key, an identifier
 */
#ifndef NAME_H
#define NAME_H

#include "ipcutils.h"

#define IPCU_NAME_MAX 63

/*
 * Keys of the library's own segments: this prefix, a bit that says which, and 19 random bits. Those of
 * big messages (spill.c) have 0 there, those of memory that is being filled (shm-load.c) have 1.
 */
#define IPCU_SPILL_PREFIX 0x1bc00000u
#define IPCU_SPILL_MASK 0xfff00000u
#define IPCU_SPILL_RANDOM 0x0007ffffu

/* How many keys a name can have: the first that is free or ours is taken. */
#define IPCU_CANDIDATES 16

struct ipcu_name {
	enum { IPCU_NAME_PLAIN, IPCU_NAME_KEY, IPCU_NAME_ID } form;
	uid_t owner; /* of the namespace */
	key_t key;
	int id;
	char name[IPCU_NAME_MAX + 1];
};

enum ipcu_result ipcu_name_read(struct ipcu_name *name, const char *typed);

/* Whether NAME can be a name in a namespace. IPCU_USAGE: why it cannot. */
enum ipcu_result ipcu_name_check(const char *name);

/* True if NAME consists of digits or begins with 0x, so that it was probably meant as a key or an identifier. */
bool ipcu_name_is_numeric(const char *name);

/* After an IPCU_NOT_FOUND for NAME: if NAME is numeric, hint at key: and id:. Returns IPCU_NOT_FOUND. */
enum ipcu_result ipcu_name_not_found(const char *name);

/* Return IPCU_USAGE, with the same hint, if NAME must not be given to a new object. */
enum ipcu_result ipcu_name_check_new(const char *name);

/* A user by name or number. IPCU_NOT_FOUND: there is none. */
enum ipcu_result ipcu_name_user(const char *user, uid_t *uid);

/*
 * Return IPCU_OK if OWNER is one user. In a user namespace every user without a number there has the same one,
 * kernel.overflowuid, so that the names and objects of one would be those of all: then IPCU_SYSTEM. The usual value of that
 * sysctl costs nothing to compare; if THOROUGH, it is read, as before a registry is made.
 */
enum ipcu_result ipcu_name_mapped(uid_t owner, bool thorough);

/* The published function: ipcutils(7). Never IPC_PRIVATE, never a big message's key. */
key_t ipcu_name_derive(uid_t owner, const char *name, unsigned candidate);

/* Names no user can have, for the keys of the registry and its lock. */
#define IPCU_REGISTRY_NAME ":registry"
#define IPCU_LOCK_NAME ":lock"

/* FNV-1a, 64 bits. */
uint64_t ipcu_hash(const void *data, size_t size, uint64_t start);
#define IPCU_HASH_START UINT64_C(0xcbf29ce484222325)

#endif
