/* SPDX-License-Identifier: MIT
 * shm-verbs.h - the verbs of ipc-shm
 */
#ifndef SHM_VERBS_H
#define SHM_VERBS_H

#include "cli-verbs.h"

struct shm_options {
	struct cli_options common;
	const char *name;
	char **words;	  /* what follows NAME */
	int count;	  /* of them */
	int least, most;  /* how many there must be; -1: any number */
	const char *what; /* the words, for messages */
	bool adds;	  /* the words are a DELTA and no VALUEs */
	bool compares;	  /* the first word is a comparison */
	bool slices;	  /* --index may have an END */

	enum ipcu_type type;
	uint64_t values; /* -c, 0: not given */
	bool has_index, has_end;
	uint64_t index, end;
	uint64_t offset, length;
	bool has_length;
	char **command; /* of lock */
};

typedef int (*shm_verb_fn)(ipcu_shm *shm, struct shm_options *options);

/* shm-bytes.c: the verbs for plain bytes. */
int shm_read(ipcu_shm *shm, struct shm_options *options);
int shm_write(ipcu_shm *shm, struct shm_options *options);
int shm_load(struct shm_options *options);

/* shm-value.c: the verbs for values. */

/* Whether the words are what the verb takes, for values of TYPE. */
enum ipcu_result shm_check_words(const struct shm_options *options, enum ipcu_type type);

int shm_get(ipcu_shm *shm, struct shm_options *options);
int shm_set(ipcu_shm *shm, struct shm_options *options);
int shm_add(ipcu_shm *shm, struct shm_options *options);
int shm_cas(ipcu_shm *shm, struct shm_options *options);
int shm_wait(ipcu_shm *shm, struct shm_options *options);

#endif
