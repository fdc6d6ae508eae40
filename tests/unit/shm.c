/* SPDX-License-Identifier: MIT
 * shm.c - values as text and in memory, and what is not believed of a registry
 */
#include <config.h>

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "queue.h"
#include "shm.h"
#include "tap.h"

/* ---- literals ------------------------------------------------------------- */

static void accepts(enum ipcu_type type, const char *text, const char *wanted)
{
	union ipcu_value value = { .u = 0 };
	char back[IPCU_VALUE_TEXT] = "";

	if (ipcu_value_read(type, text, &value) == IPCU_OK)
		ipcu_value_write(type, value, back);
	ok(strcmp(back, wanted) == 0, "%s: '%s' is '%s' (got '%s')", ipcu_type_name(type), text,
	   wanted, back);
}

static void refuses(enum ipcu_type type, const char *text)
{
	union ipcu_value value;

	ok(ipcu_value_read(type, text, &value) == IPCU_USAGE, "%s: '%s' is refused",
	   ipcu_type_name(type), text);
}

static void literals(void)
{
	static const struct {
		enum ipcu_type type;
		const char *low, *high, *below, *above;
	} ranges[] = {
		{ IPCU_I8, "-128", "127", "-129", "128" },
		{ IPCU_U8, "0", "255", "-1", "256" },
		{ IPCU_I16, "-32768", "32767", "-32769", "32768" },
		{ IPCU_U16, "0", "65535", "-0", "65536" },
		{ IPCU_I32, "-2147483648", "2147483647", "-2147483649", "2147483648" },
		{ IPCU_U32, "0", "4294967295", "-1", "4294967296" },
		{ IPCU_I64, "-9223372036854775808", "9223372036854775807", "-9223372036854775809",
		  "9223372036854775808" },
		{ IPCU_U64, "0", "18446744073709551615", "-1", "18446744073709551616" },
	};
	static const char *const never[] = { "",  " ",	 " 1",	"1 ",  "+1",  "1x", "x",
					     "-", "--1", "0x1", "1e1", "1.0", "nan" };

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		accepts(ranges[i].type, ranges[i].low, ranges[i].low);
		accepts(ranges[i].type, ranges[i].high, ranges[i].high);
		accepts(ranges[i].type, "007", "7");
		refuses(ranges[i].type, ranges[i].below);
		refuses(ranges[i].type, ranges[i].above);
		for (size_t j = 0; j < sizeof(never) / sizeof(never[0]); j++)
			refuses(ranges[i].type, never[j]);
	}
	refuses(IPCU_BYTES, "1");
	accepts(IPCU_F32, "0.1", "0.1");
	accepts(IPCU_F32, "16777217", "16777216");
	accepts(IPCU_F32, "3.4028235e38", "3.4028235e+38");
	accepts(IPCU_F32, "1e-46", "0");
	accepts(IPCU_F64, "-.5E+1", "-5");
	accepts(IPCU_F64, "-0", "-0");
	accepts(IPCU_F64, "4.9406564584124654e-324", "5e-324");
	accepts(IPCU_F64, "inf", "inf");
	accepts(IPCU_F64, "-inf", "-inf");
	accepts(IPCU_F64, "nan", "nan");
	refuses(IPCU_F32, "3.4028236e38");
	refuses(IPCU_F64, "1.8e308");
	refuses(IPCU_F64, "1.");
	refuses(IPCU_F64, ".");
	refuses(IPCU_F64, "e1");
	refuses(IPCU_F64, "1e");
	refuses(IPCU_F64, "1e+");
	refuses(IPCU_F64, "1,5");
	refuses(IPCU_F64, "0x1p0");
	refuses(IPCU_F64, "infinity");
	refuses(IPCU_F64, "nan(1)");
}

/* Any bits that are a number come back exactly. */
static void round_trips(void)
{
	uint64_t state = 88172645463325252u, count = (uint64_t)rounds("ROUNDS", 200000), wrong = 0;

	for (uint64_t i = 0; i < count; i++) {
		enum ipcu_type type = i % 2 ? IPCU_F32 : IPCU_F64;
		union ipcu_value value = { .u = 0 }, back = { .u = 0 };
		char text[IPCU_VALUE_TEXT];
		float single;

		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		memcpy(&value.f, &state, sizeof(value.f));
		memcpy(&single, &state, sizeof(single));
		if (type == IPCU_F32)
			value.f = (double)single;
		if (isnan(value.f))
			continue;
		ipcu_value_write(type, value, text);
		wrong += ipcu_value_read(type, text, &back) != IPCU_OK || back.u != value.u;
	}
	is_number((long long)wrong, 0, "floats come back bit by bit");
}

/* ---- values in memory ----------------------------------------------------- */

static void each_type(enum ipcu_type type)
{
	const struct ipcu_shm_layout layout = { .type = type, .count = 700, .exact = true };
	bool is_float = type == IPCU_F32 || type == IPCU_F64;
	union ipcu_value one = { .u = 1 }, two = { .u = 2 }, three = { .u = 3 }, value;
	struct timespec past = ipcu_deadline_in(1000000);
	ipcu_shm *shm;

	if (is_float)
		one.f = 1, two.f = 2, three.f = 3;
	is_result(ipcu_shm_open(&shm, "values", &layout, NULL), IPCU_OK, ipcu_type_name(type));
	is_result(ipcu_shm_set(shm, 699, one), IPCU_OK, "set");
	is_result(ipcu_shm_add(shm, 699, one, &value), IPCU_OK, "add");
	ok(value.u == two.u, "1 + 1 = 2");
	is_result(ipcu_shm_compare_set(shm, 699, one, three, &value), IPCU_NOT_NOW, "it is not 1");
	ok(value.u == two.u && ipcu_last_error()->errnum == EAGAIN, "it is 2");
	is_result(ipcu_shm_compare_set(shm, 699, two, three, NULL), IPCU_OK, "2 becomes 3");
	is_result(ipcu_shm_get(shm, 699, &value), IPCU_OK, "get");
	ok(value.u == three.u, "it is 3");
	is_result(ipcu_shm_get(shm, 698, &value), IPCU_OK, "its neighbour");
	ok(value.u == 0, "is untouched");
	is_result(ipcu_shm_get(shm, 700, &value), IPCU_LIMIT, "there is none behind the last");
	is_result(ipcu_shm_set(shm, UINT64_MAX, one), IPCU_LIMIT, "nor far behind");
	is_result(ipcu_shm_add(shm, UINT64_MAX / 8 + 1, one, NULL), IPCU_LIMIT,
		  "nor where the product overflows");
	is_result(ipcu_shm_wait(shm, 699, IPCU_EQUAL, three, &past, &value), IPCU_OK,
		  "wait for what is");
	ok(value.u == three.u, "tells it");
	is_result(ipcu_shm_wait(shm, 699, IPCU_GREATER, three, &past, &value), IPCU_NOT_NOW,
		  "wait for what is not");
	is_number(ipcu_last_error()->errnum, ETIMEDOUT, "it timed out");
	is_result(ipcu_shm_wait(shm, 700, IPCU_EQUAL, three, &past, &value), IPCU_LIMIT,
		  "wait behind the end");
	ipcu_shm_close(shm);
	is_result(ipcu_remove("values", IPCU_KIND_MEMORY, 0), IPCU_OK, "removed");
}

static void nan_and_zero(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_F64, .count = 1 };
	union ipcu_value nan = { .f = (double)NAN }, zero = { .f = 0 }, minus = { .f = -0.0 },
			 value;
	ipcu_shm *shm;

	is_result(ipcu_shm_open(&shm, "float", &layout, NULL), IPCU_OK, "opens");
	is_result(ipcu_shm_compare_set(shm, 0, minus, nan, NULL), IPCU_OK, "-0 is 0");
	is_result(ipcu_shm_wait(shm, 0, IPCU_NOT_EQUAL, nan, &ipcu_no_wait, NULL), IPCU_OK,
		  "a nan equals nothing");
	is_result(ipcu_shm_wait(shm, 0, IPCU_LESS_EQUAL, zero, &ipcu_no_wait, NULL), IPCU_NOT_NOW,
		  "and is not less");
	is_result(ipcu_shm_compare_set(shm, 0, nan, zero, NULL), IPCU_OK,
		  "but can be compared and set");
	is_result(ipcu_shm_get(shm, 0, &value), IPCU_OK, "get");
	ok(value.u == zero.u, "it is 0 again");
	ipcu_shm_close(shm);
	ipcu_remove("float", IPCU_KIND_MEMORY, 0);
}

/* ---- a registry that lies ------------------------------------------------- */

static void lie(uint64_t type, uint64_t length)
{
	struct ipcu_registry registry;
	struct ipcu_record record;

	is_result(ipcu_registry_open_locked(&registry, geteuid(), false), IPCU_OK, "registry");
	is_result(ipcu_registry_find(&registry, "liar", &record), IPCU_OK, "record");
	record.definition[IPCU_SHM_TYPE] = type;
	record.definition[IPCU_SHM_LENGTH] = length;
	is_result(ipcu_registry_put(&registry, "liar", &record), IPCU_OK, "lies");
	ipcu_registry_unlock_close(&registry);
}

static void lies(void)
{
	static const struct {
		uint64_t type, length;
	} all[] = { { 0, 5000 }, { 0, UINT64_MAX },  { 8, 4100 },    { 7, 20 },
		    { 11, 16 },	 { UINT64_MAX, 16 }, { 8, 1u << 31 } };
	const struct ipcu_shm_layout layout = { .type = IPCU_BYTES, .count = 16 };
	ipcu_shm *shm;

	is_result(ipcu_shm_open(&shm, "liar", &layout, NULL), IPCU_OK, "opens");
	ipcu_shm_close(shm);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		enum ipcu_result result;
		size_t size = 0;

		lie(all[i].type, all[i].length);
		result = ipcu_shm_open(&shm, "liar", NULL, NULL);
		if (result == IPCU_OK) {
			ipcu_shm_data(shm, &size);
			ipcu_shm_close(shm);
		}
		/* A record that cannot be is passed over for what the set and the segment prove. */
		ok(result == IPCU_SYSTEM || (result == IPCU_OK && size == 16),
		   "lie %zu is not believed", i);
	}
	lie(0, 16);
	is_result(ipcu_remove("liar", IPCU_KIND_MEMORY, 0), IPCU_OK, "removed");
}

/* A set and a segment of another user's, on KEY; false if we cannot be another user. */
static bool strangers(key_t key, int *set, int *segment, pid_t *maker)
{
	int status;

	fflush(stdout);
	*maker = fork();
	if (*maker == 0)
		_exit(setgid(1000) != 0 || setuid(1000) != 0 ||
		      semget(key, 1, IPC_CREAT | 0666) < 0 ||
		      shmget(key, 100, IPC_CREAT | 0666) < 0);
	waitpid(*maker, &status, 0);
	*set = semget(key, 1, 0);
	*segment = shmget(key, 0, 0);
	return status == 0;
}

static void lie_of(const char *name, uint64_t lock, uint64_t other)
{
	struct ipcu_registry registry;
	struct ipcu_record record;

	is_result(ipcu_registry_open_locked(&registry, geteuid(), false), IPCU_OK, "registry");
	is_result(ipcu_registry_find(&registry, name, &record), IPCU_OK, "record");
	record.definition[IPCU_SHM_LOCK] = lock;
	record.definition[IPCU_SHM_OTHER] = other;
	is_result(ipcu_registry_put(&registry, name, &record), IPCU_OK, "lies");
	ipcu_registry_unlock_close(&registry);
}

/* A record may name what is not its owner's: that is neither locked nor removed, not even by root. */
static void lies_about_others(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_BYTES, .count = 16 };
	key_t key = 0x51714;
	int set, segment;
	ipcu_shm *shm;
	pid_t maker;

	if (geteuid() != 0 || !strangers(key, &set, &segment, &maker)) {
		ok(true, "# SKIP needs another user");
		return;
	}
	/* By its key only; by its identifier; and then locked. */
	for (int step = 0; step < 3; step++) {
		is_result(ipcu_shm_open(&shm, "thief", &layout, NULL), IPCU_OK, "opens");
		ipcu_shm_close(shm);
		lie_of("thief", ipcu_pair((uint32_t)key, step ? (uint32_t)set + 1 : 0),
		       ipcu_pair((uint32_t)key, (uint32_t)maker));
		is_result(ipcu_shm_open(&shm, "thief", NULL, NULL), IPCU_OK, "opens");
		if (step == 2) {
			is_result(ipcu_shm_lock(shm, &ipcu_no_wait), IPCU_OK, "locks");
			is_number(semctl(set, 0, GETVAL), 0, "not the stranger's set");
			ipcu_shm_unlock(shm);
		}
		ipcu_shm_close(shm);
		is_result(ipcu_remove("thief", IPCU_KIND_ANY, IPCU_REMOVE_FORCE), IPCU_OK,
			  "removed");
		is_number(semget(key, 1, 0), set, "the stranger's set is there");
		is_number(shmget(key, 0, 0), segment, "and his segment");
	}
	semctl(set, 0, IPC_RMID);
	shmctl(segment, IPC_RMID, NULL);
}

/* ---- publishing, and the lock --------------------------------------------- */

static void publish(const char *text)
{
	ipcu_shm_stage *stage;

	is_result(ipcu_shm_stage_open(&stage, strlen(text)), IPCU_OK, "staged");
	memcpy(ipcu_shm_stage_data(stage), text, strlen(text));
	is_result(ipcu_shm_publish(stage, "page", NULL), IPCU_OK, "published");
	ipcu_shm_stage_close(stage);
}

static bool holds(ipcu_shm *shm, const char *text)
{
	size_t size;
	const char *data = ipcu_shm_data(shm, &size);

	return size == strlen(text) && memcmp(data, text, size) == 0;
}

static void publishing(void)
{
	ipcu_shm *old, *new;
	ipcu_shm_stage *stage;
	struct ipcu_shm_info info;

	publish("first");
	is_result(ipcu_shm_open(&old, "page", NULL, NULL), IPCU_OK, "opens");
	is_result(ipcu_shm_lock(old, NULL), IPCU_OK, "locks");
	publish("second edition");
	ok(holds(old, "first"), "the old handle has the old");
	is_result(ipcu_shm_open(&new, "page", NULL, NULL), IPCU_OK, "opens");
	ok(holds(new, "second edition"), "a new one the new");
	is_result(ipcu_shm_status(new, &info), IPCU_OK, "status");
	is_number(info.locked_by, getpid(), "the lock stays");
	is_result(ipcu_shm_lock(new, &ipcu_no_wait), IPCU_NOT_NOW, "it is one lock");
	is_result(ipcu_shm_unlock(new), IPCU_OK, "unlocked");
	is_result(ipcu_shm_lock(new, &ipcu_no_wait), IPCU_OK, "and taken again");
	ipcu_shm_close(old);
	ipcu_shm_close(new);
	is_result(ipcu_shm_stage_open(&stage, 100), IPCU_OK, "staged and given up");
	ipcu_shm_stage_close(stage);
	is_result(ipcu_remove("page", IPCU_KIND_MEMORY, 0), IPCU_CONFLICT, "locked: not removed");
	is_result(ipcu_remove("page", IPCU_KIND_MEMORY, IPCU_REMOVE_FORCE), IPCU_OK,
		  "removed by force");
}

/* ---- the set --------------------------------------------------------------- */

static int set_of(const char *name, struct semid_ds *set)
{
	struct ipcu_registry registry;
	struct ipcu_record record;
	int id = -1;

	if (ipcu_registry_open(&registry, geteuid()) == IPCU_OK &&
	    ipcu_registry_find(&registry, name, &record) == IPCU_OK)
		id = ipcu_shm_lock_set(record.definition[IPCU_SHM_LOCK], geteuid());
	ipcu_registry_close(&registry);
	return id >= 0 && ipcu_stat_set(id, set) == 0 ? id : -1;
}

static void change_mode(const char *name, unsigned mode)
{
	ipcu_shm *shm;
	struct shmid_ds state;

	is_result(ipcu_shm_open(&shm, name, NULL, NULL), IPCU_OK, "opens");
	ok(ipcu_stat_segment(shm->object.id, &state) == 0 &&
		   ipcu_segment_set_perm(shm->object.id, &state.shm_perm, mode),
	   "a different program sets mode %03o", mode);
	ipcu_shm_close(shm);
	is_result(ipcu_shm_open(&shm, name, NULL, NULL), IPCU_OK, "opens again");
	ipcu_shm_close(shm);
}

/* Changing a set needs write permission, and writing a segment read and write permission. */
static void permissions(void)
{
	static const struct {
		unsigned segment, set;
	} modes[] = {
		{ 0600, 0600 }, { 0644, 0644 }, { 0622, 0600 }, { 0666, 0666 }, { 0460, 0460 }
	};
	const struct ipcu_shm_layout layout = { .type = IPCU_I32, .count = 4 };
	struct ipcu_open how = { .mode = 0622 };
	struct semid_ds set;
	ipcu_shm *shm;

	is_result(ipcu_shm_open(&shm, "perm", &layout, &how), IPCU_OK, "memory of mode 622");
	ok(set_of("perm", &set) >= 0, "has a set from the start");
	is_number(set.sem_perm.mode & 0777, 0600, "which only the owner can change");
	ipcu_shm_close(shm);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		change_mode("perm", modes[i].segment);
		ok(set_of("perm", &set) >= 0 && (set.sem_perm.mode & 0777) == modes[i].set,
		   "the set has mode %03o", modes[i].set);
	}
	is_result(ipcu_remove("perm", IPCU_KIND_MEMORY, 0), IPCU_OK, "removed");
	ok(set_of("perm", &set) < 0, "with its set");
}

/* Run in a child: seal NAME, then try in a second process to lock it; both end. */
static int sealed(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I32 };
	struct ipcu_record record = { .kind = IPCU_KIND_MEMORY };
	ipcu_shm *shm;
	pid_t pid;
	int status;

	if (ipcu_shm_open(&shm, "sealed", &layout, NULL) != IPCU_OK)
		return 1;
	memcpy(record.definition, shm->object.definition, sizeof(record.definition));
	/* Attached: in use, and the lock is free afterwards. */
	if (ipcu_shm_ops.seal(shm->object.id, &record) != IPCU_CONFLICT ||
	    ipcu_shm_lock(shm, &ipcu_no_wait) != IPCU_OK || ipcu_shm_unlock(shm) != IPCU_OK)
		return 2;
	record.id = shm->object.id;
	ipcu_shm_close(shm);
	if (ipcu_shm_ops.seal(record.id, &record) != IPCU_OK)
		return 3;
	pid = fork();
	if (pid == 0)
		_exit(ipcu_shm_open(&shm, "sealed", &layout, NULL) == IPCU_OK
			      ? (int)ipcu_shm_lock(shm, &ipcu_no_wait)
			      : 99);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status) == IPCU_NOT_NOW ? 0 : 4;
}

static void sealing(void)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I32, .count = 4 };
	ipcu_shm *shm;
	pid_t pid;
	int status;

	is_result(ipcu_shm_open(&shm, "sealed", &layout, NULL), IPCU_OK, "memory");
	ipcu_shm_close(shm);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(sealed());
	waitpid(pid, &status, 0);
	is_number(WEXITSTATUS(status), 0,
		  "a sealed lock cannot be taken, one in use not be sealed");
	is_result(ipcu_shm_open(&shm, "sealed", NULL, NULL), IPCU_OK, "it is still there");
	is_result(ipcu_shm_lock(shm, &ipcu_no_wait), IPCU_OK,
		  "and the end of the remover has released it");
	ipcu_shm_close(shm);
	is_result(ipcu_remove("sealed", IPCU_KIND_MEMORY, IPCU_REMOVE_FORCE), IPCU_OK, "removed");
}

/* A staged segment whose creator the kernel does not name is of a process that may live. */
static void foreign_makers(void)
{
	struct ipcu_info info = { .kind = IPCU_KIND_MEMORY,
				  .key = (key_t)IPCU_STAGE_PREFIX,
				  .creator = geteuid(),
				  .changed = time(NULL),
				  .id = -1 };

	ok(!ipcu_stage_stale(&info), "process 0 is not taken for a dead one");
	info.creator_pid = getpid();
	ok(!ipcu_stage_stale(&info), "nor is this one");
	info.changed -= 3600;
	ok(ipcu_stage_stale(&info), "but one that had the number of this one before it started");
	info.changed += 3600;
	info.creator_pid = 0x3ffffff; /* above any that the kernel gives */
	ok(ipcu_stage_stale(&info), "and one that cannot exist");
}

int main(void)
{
	deadline_for_all(60);
	literals();
	round_trips();
	for (int type = IPCU_I8; type <= IPCU_F64; type++)
		each_type((enum ipcu_type)type);
	nan_and_zero();
	lies();
	lies_about_others();
	publishing();
	permissions();
	sealing();
	foreign_makers();
	return done();
}
