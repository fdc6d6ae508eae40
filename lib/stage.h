/* SPDX-License-Identifier: MIT
 * stage.h - a segment that is being filled, for the files that stage, publish and return it
 */
#ifndef STAGE_H
#define STAGE_H

#include "shm.h"

struct ipcu_shm_stage {
	int id;
	key_t key;
	size_t size;  /* of the data */
	size_t whole; /* of the segment */
	void *data;
	struct ipcu_shm_control *control;
	bool published;
};

/* Now, CLOCK_MONOTONIC in nanoseconds. */
int64_t ipcu_stage_clock(void);

#endif
