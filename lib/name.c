/* SPDX-License-Identifier: MIT
 * name.c - reading names, and the function from names to keys
 */
#include <config.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <unistd.h>

#include "error.h"
#include "name.h"
#include "parse.h"
#include "text.h"

uint64_t ipcu_hash(const void *data, size_t size, uint64_t hash)
{
	const unsigned char *at = data;

	while (size--)
		hash = (hash ^ *at++) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t hash_text(const char *text, uint64_t hash)
{
	return ipcu_hash(text, strlen(text), hash);
}

/* The decimal digits of NUMBER. Not snprintf: every command's start would pay for it. */
static uint64_t hash_number(unsigned long number, uint64_t hash)
{
	char digits[24], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	return ipcu_hash(at, (size_t)(digits + sizeof(digits) - at), hash);
}

/*
 * key = high ^ low half of FNV-1a-64 over "ipcutils:UID/NAME#CANDIDATE", without
 * its highest bit: a key_t has a sign, and Perl's msgget takes no key beyond it. What
 * comes out reserved is hashed on until it is not, so every candidate is a key.
 */
key_t ipcu_name_derive(uid_t owner, const char *name, unsigned candidate)
{
	uint64_t hash = hash_text("ipcutils:", IPCU_HASH_START);
	uint32_t key;

	hash = hash_text("/", hash_number(owner, hash));
	hash = hash_text("#", hash_text(name, hash));
	hash = hash_number(candidate, hash);
	for (;;) {
		key = ((uint32_t)(hash >> 32) ^ (uint32_t)hash) & INT32_MAX;
		if (key != (uint32_t)IPC_PRIVATE && (key & IPCU_SPILL_MASK) != IPCU_SPILL_PREFIX)
			return (key_t)key;
		hash = ipcu_hash("+", 1, hash);
	}
}

enum ipcu_result ipcu_name_check(const char *name)
{
	size_t length = strlen(name);

	if (length == 0)
		return ipcu_fail(IPCU_USAGE, "the name is empty");
	if (length > IPCU_NAME_MAX)
		return ipcu_fail(IPCU_USAGE, "the name has %zu bytes, more than %d", length,
				 IPCU_NAME_MAX);
	if (name[0] == '-' || name[0] == '.')
		return ipcu_fail(IPCU_USAGE, "a name cannot start with '%c'", name[0]);
	for (const char *at = name; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return ipcu_fail(IPCU_USAGE, "a name cannot hold control characters");
		if (*at == ' ' || *at == '/' || *at == ':') {
			ipcu_fail(IPCU_USAGE, "a name cannot hold '%c'", *at);
			if (*at == ':')
				ipcu_hint(
					"the forms with a colon are key:KEY, id:ID and ftok:PATH[:P]");
			return IPCU_USAGE;
		}
	}
	/* C1 control characters are two bytes in UTF-8. */
	for (const char *at = name; (at = strchr(at, 0xc2)); at++)
		if ((unsigned char)at[1] < 0xa0)
			return ipcu_fail(IPCU_USAGE, "a name cannot hold control characters");
	if (!ipcu_utf8(name, length))
		return ipcu_fail(IPCU_USAGE, "the name is not UTF-8");
	return IPCU_OK;
}

bool ipcu_name_is_numeric(const char *name)
{
	bool hexadecimal = name[0] == '0' && (name[1] == 'x' || name[1] == 'X');

	return hexadecimal || !name[strspn(name, "0123456789")];
}

static void hint_at_numbers(const char *name)
{
	bool decimal = !name[strspn(name, "0123456789")];

	if (decimal)
		ipcu_hint("write key:%s for the object with this key, id:%s for this identifier",
			  name, name);
	else
		ipcu_hint("write key:%s for the object with this key, id:ID for an identifier",
			  name);
}

enum ipcu_result ipcu_name_not_found(const char *name)
{
	if (ipcu_name_is_numeric(name))
		hint_at_numbers(name);
	return IPCU_NOT_FOUND;
}

/* Users of ipcs(1) type bare numbers. To create an object of that name would make them wait for ever. */
enum ipcu_result ipcu_name_check_new(const char *name)
{
	if (!ipcu_name_is_numeric(name))
		return IPCU_OK;
	ipcu_fail(IPCU_USAGE, "cannot create it: a new name must not be a number");
	hint_at_numbers(name);
	return IPCU_USAGE;
}

#ifdef IPCU_NO_NSS
/* A static glibc has no name service: what /etc/passwd says must do. */
static bool find_user(const char *owner, uid_t *uid)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;
	bool found = false;

	while (file && !found && (entry = fgetpwent(file)))
		if (strcmp(entry->pw_name, owner) == 0) {
			*uid = entry->pw_uid;
			found = true;
		}
	if (file)
		fclose(file);
	return found;
}
#else
static bool find_user(const char *owner, uid_t *uid)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	if (getpwnam_r(owner, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
		return false;
	*uid = entry.pw_uid;
	return true;
}
#endif

enum ipcu_result ipcu_name_user(const char *user, uid_t *uid)
{
	int64_t number;

	if (!*user)
		return ipcu_fail(IPCU_USAGE, "the owner is empty");
	if (ipcu_parse_number(user, 0, (int64_t)UINT32_MAX - 1, &number) == IPCU_OK) {
		*uid = (uid_t)number;
		return IPCU_OK;
	}
	if (find_user(user, uid))
		return IPCU_OK;
	return ipcu_fail(IPCU_NOT_FOUND, "no such user: %s", user);
}

/* ---- users that are not mapped -------------------------------------------------- */

#define USUAL_OVERFLOW 65534

/* Read the number in the first line of PATH; -1 if there is none. */
static int64_t read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[32];
	int64_t number = -1;

	if (file && fgets(line, sizeof(line), file) && line[0] >= '0' && line[0] <= '9')
		number = strtoll(line, NULL, 10);
	if (file)
		fclose(file);
	return number;
}

/* Return true if our user namespace has UID. Each line of the map is: first number inside, first outside, how many. */
static bool is_mapped(uid_t uid)
{
	FILE *file = fopen("/proc/self/uid_map", "re");
	char line[96];
	bool mapped = false;

	while (file && !mapped && fgets(line, sizeof(line), file)) {
		char *at = line;
		uint64_t first = strtoull(at, &at, 10), count;

		strtoull(at, &at, 10);
		count = strtoull(at, NULL, 10);
		mapped = uid >= first && uid - first < count;
	}
	if (file)
		fclose(file);
	return mapped;
}

enum ipcu_result ipcu_name_mapped(uid_t owner, bool thorough)
{
	int64_t overflow;

	if (owner != USUAL_OVERFLOW && !thorough)
		return IPCU_OK;
	overflow = read_number("/proc/sys/kernel/overflowuid");
	if (overflow < 0)
		overflow = USUAL_OVERFLOW;
	if ((int64_t)owner != overflow || is_mapped(owner))
		return IPCU_OK;
	ipcu_fail(
		IPCU_SYSTEM,
		"names cannot be used: user %lu is every user that this user namespace does not map",
		(unsigned long)owner);
	ipcu_hint("map the user into the namespace (unshare --map-current-user), or use key:KEY");
	return IPCU_SYSTEM;
}

/* ---- what was typed --------------------------------------------------------------- */

/* PATH[:P]; P is a number from 1 to 255 or one character that is not a digit. */
static enum ipcu_result read_ftok(struct ipcu_name *name, const char *text)
{
	const char *colon = strrchr(text, ':');
	char path[4096];
	size_t length = strlen(text);
	int64_t project = 1;

	if (colon) {
		bool character = colon[1] && !colon[2] && !(colon[1] >= '0' && colon[1] <= '9');

		if (character)
			project = (unsigned char)colon[1];
		if (character || ipcu_parse_number(colon + 1, 1, 255, &project) == IPCU_OK)
			length = (size_t)(colon - text);
	}
	if (length == 0 || length >= sizeof(path))
		return ipcu_fail(IPCU_USAGE, "the path is %s", length ? "too long" : "empty");
	memcpy(path, text, length);
	path[length] = '\0';
	name->key = ftok(path, (int)project);
	if (name->key == -1)
		return ipcu_fail_call("ftok", errno, "no key for the file %s", path);
	return IPCU_OK;
}

/* A key in any base, or a negative decimal: a key_t has a sign, and C, PHP, Java and Python print it. */
static enum ipcu_result read_key(const char *text, uint64_t *number)
{
	int64_t negative;

	if (text[0] != '-')
		return ipcu_parse_any_base(text, UINT32_MAX, number);
	if (ipcu_parse_number(text, INT32_MIN, -1, &negative) != IPCU_OK)
		return IPCU_USAGE;
	*number = (uint32_t)negative;
	return IPCU_OK;
}

static enum ipcu_result read_raw(struct ipcu_name *name, const char *typed)
{
	uint64_t number;
	int64_t id;

	if (strncmp(typed, "id:", 3) == 0) {
		name->form = IPCU_NAME_ID;
		if (ipcu_parse_number(typed + 3, 0, INT32_MAX, &id) != IPCU_OK)
			return IPCU_USAGE;
		name->id = (int)id;
		return IPCU_OK;
	}
	name->form = IPCU_NAME_KEY;
	if (strncmp(typed, "ftok:", 5) == 0)
		return read_ftok(name, typed + 5);
	if (read_key(typed + 4, &number) != IPCU_OK)
		return IPCU_USAGE;
	if (number == (uint64_t)IPC_PRIVATE) {
		ipcu_fail(IPCU_USAGE, "key 0 is IPC_PRIVATE, which names no object");
		ipcu_hint("a private object is reached by its identifier: id:ID (ipc-ls -a)");
		return IPCU_USAGE;
	}
	name->key = (key_t)(uint32_t)number;
	return IPCU_OK;
}

enum ipcu_result ipcu_name_read(struct ipcu_name *name, const char *typed)
{
	const char *slash, *plain = typed;
	enum ipcu_result result;

	memset(name, 0, sizeof(*name));
	name->owner = geteuid();
	if (strncmp(typed, "key:", 4) == 0 || strncmp(typed, "id:", 3) == 0 ||
	    strncmp(typed, "ftok:", 5) == 0)
		return read_raw(name, typed);

	slash = strchr(typed, '/');
	if (slash)
		plain = slash + 1;
	result = ipcu_name_check(plain);
	if (result == IPCU_OK && slash) {
		char owner[256];

		if ((size_t)(slash - typed) >= sizeof(owner))
			return ipcu_fail(IPCU_USAGE, "the owner is too long");
		memcpy(owner, typed, (size_t)(slash - typed));
		owner[slash - typed] = '\0';
		result = ipcu_name_user(owner, &name->owner);
	}
	/* The names of other users are rarer: there is time to read which number stands for those without one. */
	if (result == IPCU_OK)
		result = ipcu_name_mapped(name->owner, name->owner != geteuid());
	if (result == IPCU_OK)
		ipcu_text_put(name->name, plain);
	return result;
}

enum ipcu_result ipcu_name_key(const char *typed, key_t *key)
{
	struct ipcu_name name;
	enum ipcu_result result = ipcu_name_read(&name, typed);

	if (result != IPCU_OK)
		return result;
	if (name.form == IPCU_NAME_ID)
		return ipcu_fail(IPCU_USAGE, "an identifier has no key of its own");
	*key = name.form == IPCU_NAME_KEY ? name.key : ipcu_name_derive(name.owner, name.name, 0);
	return IPCU_OK;
}
