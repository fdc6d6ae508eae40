/* SPDX-License-Identifier: MIT
 * errno-state.c - what there is before a command runs, and after
 */
#include <config.h>

#include <sys/ipc.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sweep.h"
#include "fuzz.h"
#include "queue.h"
#include "sysv.h"

#define BIG_SIZE 20000
#define MEMORY_SIZE 3000

static const struct ipcu_open never = { .create = IPCU_CREATE_NEVER };

/* ---- before ----------------------------------------------------------------- */

static ipcu_queue *send_to(const char *name, const char *const *bodies)
{
	ipcu_queue *queue;

	must(ipcu_queue_open(&queue, name, NULL) == IPCU_OK);
	for (; *bodies; bodies++)
		must(ipcu_queue_send(queue, 1, *bodies, strlen(*bodies), NULL) == IPCU_OK);
	return queue;
}

static void make_queue(const char *name, const char *first, const char *second, const char *third)
{
	ipcu_queue_close(send_to(name, (const char *const[]){ first, second, third, NULL }));
}

static void make_big(void)
{
	static char body[BIG_SIZE];
	ipcu_queue *queue;

	memset(body, 'b', sizeof(body));
	must(ipcu_queue_open(&queue, "q", NULL) == IPCU_OK);
	must(ipcu_queue_send(queue, 1, body, sizeof(body), NULL) == IPCU_OK);
	ipcu_queue_close(queue);
}

static void make_full(void)
{
	ipcu_queue *queue = send_to("q", (const char *const[]){ "one", NULL });
	struct msqid_ds state;

	must(msgctl(queue->object.id, IPC_STAT, &state) == 0);
	state.msg_qbytes = 3;
	must(msgctl(queue->object.id, IPC_SET, &state) == 0);
	ipcu_queue_close(queue);
}

static void make_sem(unsigned count, bool taken)
{
	ipcu_sem *sem;

	must(ipcu_sem_open(&sem, "s", count, count, NULL) == IPCU_OK);
	must(!taken || ipcu_sem_wait(sem, 1, NULL) == IPCU_OK);
	ipcu_sem_close(sem);
}

static void make_barrier(unsigned parties, bool broken)
{
	ipcu_barrier *barrier;

	must(ipcu_barrier_open(&barrier, "b", parties, NULL) == IPCU_OK);
	must(!broken || ipcu_barrier_abort(barrier) == IPCU_OK);
	ipcu_barrier_close(barrier);
}

static void make_event(bool set)
{
	ipcu_event *event;

	must(ipcu_event_open(&event, "e", NULL) == IPCU_OK);
	must(!set || ipcu_event_set(event) == IPCU_OK);
	ipcu_event_close(event);
}

static void make_array(int64_t value)
{
	const struct ipcu_shm_layout layout = { .type = IPCU_I64, .count = 1 };
	ipcu_shm *shm;

	must(ipcu_shm_open(&shm, "a", &layout, NULL) == IPCU_OK);
	must(ipcu_shm_set(shm, 0, (union ipcu_value){ .i = value }) == IPCU_OK);
	ipcu_shm_close(shm);
}

static void make_memory(bool locked)
{
	ipcu_shm_stage *stage;
	ipcu_shm *shm;

	must(ipcu_shm_stage_open(&stage, MEMORY_SIZE) == IPCU_OK);
	memset(ipcu_shm_stage_data(stage), 'm', MEMORY_SIZE);
	must(ipcu_shm_publish(stage, "m", NULL) == IPCU_OK);
	ipcu_shm_stage_close(stage);
	if (!locked)
		return;
	must(ipcu_shm_open(&shm, "m", NULL, NULL) == IPCU_OK);
	must(ipcu_shm_lock(shm, NULL) == IPCU_OK && ipcu_shm_unlock(shm) == IPCU_OK);
	ipcu_shm_close(shm);
}

static void make_stale(void)
{
	ipcu_queue *queue;

	make_big();
	must(ipcu_queue_open(&queue, "n", NULL) == IPCU_OK);
	must(msgctl(queue->object.id, IPC_RMID, NULL) == 0);
	ipcu_queue_close(queue);
	must(ipcu_queue_open(&queue, "q", NULL) == IPCU_OK);
	must(msgctl(queue->object.id, IPC_RMID, NULL) == 0);
	ipcu_queue_close(queue);
}

static void make_pipe(void)
{
	pid_t pid = fork();
	ipcu_pipe *pipe;

	must(pid >= 0);
	if (pid == 0)
		_exit(ipcu_pipe_open(&pipe, "p", IPCU_PIPE_WRITER, 0, NULL, &ipcu_no_wait));
	must(waitpid(pid, NULL, 0) == pid);
}

static void make_raw(void)
{
	struct {
		long type;
		char body[3];
	} message = { 1, { 'o', 'n', 'e' } };
	int queue = msgget(RAW_KEY, IPC_CREAT | 0600);

	must(queue >= 0 && msgsnd(queue, &message, 3, 0) == 0);
	must(semget(RAW_KEY, 2, IPC_CREAT | 0600) >= 0);
	must(shmget(RAW_KEY, 100, IPC_CREAT | 0600) >= 0);
}

void state_prepare(enum state state)
{
	fuzz_remove_all();
	switch (state) {
	case NOTHING:
		return;
	case QUEUE:
		make_queue("q", "one", NULL, NULL);
		return;
	case QUEUES:
		make_queue("q", "one", "two", "three");
		make_queue("r", "four", NULL, NULL);
		return;
	case EMPTY_QUEUE:
		make_queue("q", NULL, NULL, NULL);
		return;
	case EMPTY_RAW:
		must(msgget(RAW_KEY, IPC_CREAT | 0600) >= 0);
		return;
	case EMPTY_QUEUES:
		make_queue("q", NULL, NULL, NULL);
		make_queue("r", NULL, NULL, NULL);
		return;
	case FULL_QUEUE:
		make_full();
		return;
	case BIG:
		make_big();
		return;
	case SEM:
	case SEM_HELD:
		make_sem(3, false);
		return;
	case MUTEX:
		make_sem(1, false);
		return;
	case SEM_TAKEN:
		make_sem(3, true);
		return;
	case BARRIER:
	case BROKEN:
		make_barrier(2, state == BROKEN);
		return;
	case ALONE:
	case ALONE_BROKEN:
		make_barrier(1, state == ALONE_BROKEN);
		return;
	case EVENT:
	case EVENT_SET:
		make_event(state == EVENT_SET);
		return;
	case ARRAY:
		make_array(7);
		return;
	case ZERO:
		make_array(0);
		return;
	case MEMORY:
	case LOCKED:
		make_memory(state == LOCKED);
		return;
	case STALE:
		make_stale();
		return;
	case PIPE:
		make_pipe();
		return;
	case RAW:
		make_raw();
		return;
	case MIXED:
		make_queue("q", "one", NULL, NULL);
		make_sem(3, true);
		make_barrier(3, false);
		make_event(true);
		make_array(7);
		make_memory(true);
	}
}

/* ---- after ------------------------------------------------------------------- */

static unsigned sum_of(const unsigned char *bytes, size_t size)
{
	unsigned sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

static unsigned describe_queue(FILE *out, const char *name)
{
	struct ipcu_message message = { 0 };
	ipcu_queue *queue;
	unsigned count = 0;

	if (ipcu_queue_open(&queue, name, &never) != IPCU_OK)
		return 0;
	for (; ipcu_queue_peek(queue, count, &message) == IPCU_OK; count++)
		if (out)
			fprintf(out, " %ld:%zu:%u", message.type, message.size,
				sum_of(message.body, message.size));
	if (out && ipcu_last_error()->result != IPCU_NOT_NOW)
		fprintf(out, " %s", ipcu_last_error()->message);
	ipcu_message_clear(&message);
	ipcu_queue_close(queue);
	return count;
}

static void describe_sem(FILE *out, const char *name)
{
	struct ipcu_sem_info info;
	ipcu_sem *sem;

	if (ipcu_sem_open(&sem, name, 0, 1, &never) != IPCU_OK)
		return;
	if (ipcu_sem_status(sem, &info) == IPCU_OK)
		fprintf(out, " %u of %u, taken %u, held %u, waiters %u", info.value, info.count,
			info.taken, info.held, info.waiters);
	ipcu_sem_close(sem);
}

static void describe_barrier(FILE *out, const char *name)
{
	struct ipcu_barrier_info info;
	ipcu_barrier *barrier;

	if (ipcu_barrier_open(&barrier, name, 0, &never) != IPCU_OK)
		return;
	if (ipcu_barrier_status(barrier, &info) == IPCU_OK)
		fprintf(out, " %u of %u, generation %llu%s%s", info.waiting, info.parties,
			(unsigned long long)info.generation, info.broken ? ", broken" : "",
			info.acting ? ", acting" : "");
	ipcu_barrier_close(barrier);
}

static void describe_memory(FILE *out, const char *name)
{
	ipcu_shm *shm;
	size_t size;
	void *data;

	if (ipcu_shm_open(&shm, name, NULL, &never) != IPCU_OK)
		return;
	data = ipcu_shm_data(shm, &size);
	fprintf(out, " %zu bytes: %u", size, sum_of(data, size));
	ipcu_shm_close(shm);
}

static enum ipcu_result describe_one(const struct ipcu_info *info, void *context)
{
	FILE *out = context;

	if (!info->name && info->key != RAW_KEY)
		return IPCU_OK;
	fprintf(out, "%s %s mode %o%s:", ipcu_kind_name(info->kind),
		info->name ? info->name : "key:0x77", (unsigned)info->mode,
		info->gone ? ", gone" : "");
	switch (info->kind) {
	case IPCU_KIND_QUEUE:
		describe_queue(out, info->name ? info->name : "key:0x77");
		break;
	case IPCU_KIND_SEMAPHORE:
		if (info->name)
			describe_sem(out, info->name);
		else
			fprintf(out, " %d", semctl(info->id, 0, GETVAL));
		break;
	case IPCU_KIND_BARRIER:
		describe_barrier(out, info->name);
		break;
	case IPCU_KIND_EVENT:
		fprintf(out, " %s", info->set ? "set" : "not set");
		break;
	case IPCU_KIND_MEMORY:
		describe_memory(out, info->name ? info->name : "key:0x77");
		break;
	default:
		break;
	}
	fputc('\n', out);
	return IPCU_OK;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines in order, for names come in the order in which they were made. */
static char *sorted(char *text)
{
	char *lines[64] = { NULL }, *result = calloc(1, strlen(text) + 1), *save = NULL;
	size_t count = 0;

	must(result);
	for (char *line = strtok_r(text, "\n", &save); line && count < 64;
	     line = strtok_r(NULL, "\n", &save))
		lines[count++] = line;
	qsort(lines, count, sizeof(*lines), by_text);
	for (size_t i = 0; i < count; i++)
		strcat(strcat(result, lines[i]), "\n");
	free(text);
	return result;
}

char *state_describe(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	must(out);
	if (ipcu_list(geteuid(), IPCU_LIST_ALL, describe_one, out) != IPCU_OK)
		fprintf(out, "cannot list: %s\n", ipcu_last_error()->message);
	fclose(out);
	return sorted(text);
}

static enum ipcu_result count_messages(const struct ipcu_info *info, void *context)
{
	if (info->kind == IPCU_KIND_QUEUE && !info->internal)
		*(unsigned *)context += (unsigned)info->messages;
	return IPCU_OK;
}

unsigned state_messages(void)
{
	unsigned count = 0;

	ipcu_list(geteuid(), IPCU_LIST_ALL, count_messages, &count);
	return count;
}

/* ---- what is left --------------------------------------------------------------- */

struct names {
	char names[16][64];
	size_t count;
};

static enum ipcu_result collect(const struct ipcu_info *info, void *context)
{
	struct names *names = context;

	if (names->count < 16)
		snprintf(names->names[names->count++], 64, "%s", info->name);
	return IPCU_OK;
}

static enum ipcu_result show_left(const struct ipcu_info *info, void *context)
{
	FILE *out = context;

	fprintf(out, "%s%s key 0x%x %s; ", info->name ? info->name : "", ipcu_kind_name(info->kind),
		(unsigned)info->key, info->purpose ? info->purpose : "");
	return IPCU_OK;
}

static unsigned count_objects(void)
{
	struct msginfo queues;
	struct seminfo sets;
	struct shm_info segments;

	must(msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&queues) >= 0);
	must(semctl(0, 0, SEM_INFO, (union semun){ .__buf = &sets }) >= 0);
	must(shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&segments) >= 0);
	return (unsigned)(queues.msgpool + sets.semusz + segments.used_ids);
}

static enum ipcu_result find_removed(const struct ipcu_info *info, void *context)
{
	*(bool *)context |= info->removed;
	return IPCU_OK;
}

/* The kernel keeps a removed segment until the last process has detached it: a keeper that ends does so soon. */
static unsigned count_settled(void)
{
	const struct timespec pause = { 0, 1000000 };
	bool removed = true;

	for (int i = 0; i < 5000 && removed; i++) {
		removed = false;
		ipcu_list(geteuid(), IPCU_LIST_ALL, find_removed, &removed);
		if (removed)
			nanosleep(&pause, NULL);
	}
	return count_objects();
}

unsigned state_clear(char *left, size_t capacity)
{
	struct names names = { .count = 0 };
	unsigned count;
	FILE *out;

	ipcu_list(geteuid(), 0, collect, &names);
	for (size_t i = 0; i < names.count; i++)
		ipcu_remove(names.names[i], IPCU_KIND_ANY, IPCU_REMOVE_FORCE);
	for (int family = IPCU_FAMILY_QUEUE; family <= IPCU_FAMILY_SEGMENT; family++)
		ipcu_family_remove((enum ipcu_family)family,
				   ipcu_family_get((enum ipcu_family)family, RAW_KEY));
	count = count_settled();
	out = fmemopen(left, capacity, "w");
	must(out);
	if (count)
		ipcu_list(geteuid(), IPCU_LIST_ALL, show_left, out);
	fputc('\0', out);
	fclose(out);
	return count;
}

bool state_units_back(void)
{
	const struct timespec pause = { 0, 1000000 };
	struct ipcu_sem_info info;
	ipcu_sem *sem;
	bool back = false;

	if (ipcu_sem_open(&sem, "s", 0, 1, &never) != IPCU_OK)
		return true; /* none to hold anything of */
	for (int i = 0; i < 5000 && !back; i++) {
		back = ipcu_sem_status(sem, &info) != IPCU_OK || info.held == 0;
		if (!back)
			nanosleep(&pause, NULL);
	}
	ipcu_sem_close(sem);
	return back;
}
