/* SPDX-License-Identifier: MIT
 * name.c - fuzz: NAME, OWNER/NAME, key:, id:, ftok: as typed
 */
#include <config.h>

#include "fuzz.h"
#include "name.h"
#include "parse.h"

static void check_plain(const struct ipcu_name *name)
{
	size_t length = strlen(name->name);

	must(length >= 1 && length <= IPCU_NAME_MAX);
	must(ipcu_utf8(name->name, length));
	must(name->name[0] != '-' && name->name[0] != '.');
	for (size_t i = 0; i < length; i++)
		must((unsigned char)name->name[i] > 0x20 && name->name[i] != 0x7f &&
		     name->name[i] != '/' && name->name[i] != ':');
	for (unsigned i = 0; i < IPCU_CANDIDATES; i++) {
		uint32_t key = (uint32_t)ipcu_name_derive(name->owner, name->name, i);

		must(key != 0 && (key & IPCU_SPILL_MASK) != IPCU_SPILL_PREFIX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct ipcu_name name;
	enum ipcu_result result = fuzz_result(ipcu_name_read(&name, text));
	key_t key = 0;

	if (result == IPCU_OK && name.form == IPCU_NAME_PLAIN)
		check_plain(&name);
	else if (result == IPCU_OK && name.form == IPCU_NAME_ID)
		must(name.id >= 0);
	if (result == IPCU_OK && name.form != IPCU_NAME_ID) {
		must(ipcu_name_key(text, &key) == IPCU_OK && key != 0);
		must(name.form != IPCU_NAME_KEY || key == name.key);
	} else {
		must(ipcu_name_key(text, &key) != IPCU_OK && key == 0);
	}
	free(text);
	return 0;
}
