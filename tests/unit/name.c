/* SPDX-License-Identifier: MIT
 * name.c - names as typed, and their keys, which must be the same for ever
 */
#include <config.h>

#include <string.h>

#include "name.h"
#include "tap.h"

static void keys(void)
{
	char name[16];
	bool good = true;
	key_t key = 0;

	/* Programs in other languages were told these. */
	is_number((uint32_t)ipcu_name_derive(0, "q", 0), 0x1ae1cfc9, "the key of root/q");
	ok(ipcu_name_derive(0, "q", 0) != ipcu_name_derive(0, "q", 1) &&
		   ipcu_name_derive(0, "q", 0) != ipcu_name_derive(1, "q", 0),
	   "another candidate and another owner have another key");
	for (int i = 0; i < 50000; i++) {
		uint32_t derived;

		snprintf(name, sizeof(name), "n%d", i);
		derived = (uint32_t)ipcu_name_derive(0, name, 0);
		good &= derived != 0 && derived <= INT32_MAX &&
			(derived & IPCU_SPILL_MASK) != IPCU_SPILL_PREFIX;
	}
	ok(good, "no name has the key of a big message, a negative one, or none");
	ok(ipcu_name_key("key:0x4d2", &key) == IPCU_OK && key == 0x4d2, "a key is its own");
	ok(ipcu_name_key("key:-626102863", &key) == IPCU_OK && (uint32_t)key == 0xdaae6db1,
	   "a key may be written as the negative number that C, PHP, Java and Python print");
	ok(ipcu_name_key("key:-2147483648", &key) == IPCU_OK && key == INT32_MIN,
	   "the lowest negative key");
	ok(ipcu_name_key("q", &key) == IPCU_OK && key == ipcu_name_derive(geteuid(), "q", 0),
	   "a name is the caller's");
	is_result(ipcu_name_key("id:5", &key), IPCU_USAGE, "an identifier has none");
}

static void owners(void)
{
	struct ipcu_name name;
	uid_t uid = 77;

	ok(ipcu_name_read(&name, "1000/q") == IPCU_OK && name.owner == 1000 &&
		   strcmp(name.name, "q") == 0,
	   "an owner's number");
	ok(ipcu_name_user("root", &uid) == IPCU_OK && uid == 0, "an owner's name");
	is_result(ipcu_name_user("no-such-user-here", &uid), IPCU_NOT_FOUND,
		  "an owner there is not");
	is_result(ipcu_name_user("", &uid), IPCU_USAGE, "no owner");
	is_result(ipcu_name_user("4294967295", &uid), IPCU_NOT_FOUND, "the number that is none");
}

static void malformed(void)
{
	static const char *const bad[] = { "",	       "/q",
					   "root/",    "a:b",
					   "a b",      "-x",
					   ".x",       "a/b/c",
					   "\x80",     "a\nb",
					   "key:",     "key:0",
					   "key:-0",   "key:-2147483649",
					   "key:-0x1", "key:0x1ffffffff",
					   "id:-1",    "id:x",
					   "ftok:" };
	char longer[6000];
	struct ipcu_name name;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(ipcu_name_read(&name, bad[i]) == IPCU_USAGE, "not a name, number %zu", i);
	memset(longer, 'n', sizeof(longer));
	longer[64] = '\0';
	is_result(ipcu_name_read(&name, longer), IPCU_USAGE, "64 bytes are too many");
	longer[63] = '\0';
	is_result(ipcu_name_read(&name, longer), IPCU_OK, "63 are not");
	memset(longer, 'n', sizeof(longer));
	strcpy(longer + 300, "/q");
	is_result(ipcu_name_read(&name, longer), IPCU_USAGE, "an owner can be too long");
	memset(longer, 'n', sizeof(longer));
	memcpy(longer, "ftok:/", 6);
	longer[5000] = '\0';
	is_result(ipcu_name_read(&name, longer), IPCU_USAGE, "so can a path");
	is_result(ipcu_name_read(&name, "ftok:/no/such/file"), IPCU_NOT_FOUND, "or not be there");
}

int main(void)
{
	deadline_for_all(60);
	keys();
	owners();
	malformed();
	return done();
}
