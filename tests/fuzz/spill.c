/* SPDX-License-Identifier: MIT
 * spill.c - fuzz: descriptors of big messages, and the segments they speak of
 *
 * One big message is sent, and its descriptor received as it is. The input changes the descriptor, then the head of
 * its segment, then says what is done with them. Whoever forges a descriptor must not make a receiver read or remove
 * a segment that is not such a message's.
 */
#include <config.h>

#include <unistd.h>

#include "fuzz.h"
#include "queue.h"
#include "spill.h"

#define BODY 200
#define FOREIGN_KEY 0x77

/* What was received: bytes of the descriptor, and where they lie. */
struct forged {
	struct ipcu_spill_descriptor descriptor;
	char more[16];
};

static void read_all(const unsigned char *body, size_t size)
{
	volatile unsigned char sum = 0;

	for (size_t i = 0; i < size; i += 16)
		sum = (unsigned char)(sum + body[i]);
	if (size)
		sum = (unsigned char)(sum + body[size - 1]);
}

static void attach(const struct ipcu_object *queue, const struct forged *forged, size_t message,
		   bool take)
{
	struct shmid_ds state;
	const void *body = NULL;
	void *mapping = NULL;
	size_t size = 0;

	if (fuzz_result(ipcu_spill_attach(queue, forged, message, take, &mapping, &body, &size)) !=
	    IPCU_OK) {
		must(!mapping && !body && ipcu_last_error()->result == IPCU_BROKEN);
		return;
	}
	must(message == sizeof(forged->descriptor) && size == forged->descriptor.size);
	must(ipcu_stat_segment(forged->descriptor.id, &state) == 0 || take);
	must(size <= BODY); /* the segment has no more */
	read_all(body, size);
	shmdt(mapping);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, data + size };
	struct {
		long type;
		struct forged forged;
	} message = { 0 };
	char body[BODY] = "\x1bipcu\x01\xf5", what[128], *head;
	struct ipcu_message received = { 0 };
	struct shmid_ds state;
	struct msqid_ds queue_state;
	ipcu_queue *queue;
	int foreign, id;
	ssize_t got;

	fuzz_remove_all();
	foreign = shmget(FOREIGN_KEY, 4096, IPC_CREAT | IPC_EXCL | 0600);
	must(foreign >= 0 && ipcu_queue_open(&queue, "q", NULL) == IPCU_OK);
	must(ipcu_queue_send(queue, 1, body, sizeof(body), NULL) == IPCU_OK);
	got = msgrcv(queue->object.id, &message, sizeof(message.forged), 0, 0);
	must(got == sizeof(message.forged.descriptor));
	id = message.forged.descriptor.id;
	head = shmat(id, NULL, 0);
	must(head != (void *)-1);

	for (uint64_t i = fuzz_take(&input, 1) % 4; i > 0; i--)
		fuzz_patch(&input, &message.forged, sizeof(message.forged));
	if (fuzz_take(&input, 1) % 8 == 1)
		message.forged.descriptor.id = foreign;
	for (uint64_t i = fuzz_take(&input, 1) % 4; i > 0; i--)
		fuzz_patch(&input, head, 64);
	got = (ssize_t)(fuzz_take(&input, 1) % 4
				? sizeof(message.forged.descriptor)
				: fuzz_take(&input, 1) % (sizeof(message.forged) + 1));
	shmdt(head);

	switch (fuzz_take(&input, 1) % 4) {
	case 0:
		attach(&queue->object, &message.forged, (size_t)got, false);
		attach(&queue->object, &message.forged, (size_t)got, true);
		attach(&queue->object, &message.forged, (size_t)got, true);
		break;
	case 1:
		message.type = 1;
		must(msgsnd(queue->object.id, &message, (size_t)got, IPC_NOWAIT) == 0);
		fuzz_result(ipcu_queue_peek(queue, 0, &received));
		if (fuzz_result(ipcu_queue_receive(queue, &received, NULL, &ipcu_no_wait)) ==
		    IPCU_OK)
			read_all(received.body, received.size);
		ipcu_message_clear(&received);
		break;
	case 2:
		if (ipcu_spill_stale(id, 0, what, sizeof(what)))
			must(strstr(what, "big message"));
		must(!ipcu_spill_stale(foreign, 0, what, sizeof(what)));
		must(ipcu_stat_queue(queue->object.id, &queue_state) == 0);
		queue_state.msg_perm.mode = (unsigned short)fuzz_take(&input, 2);
		ipcu_spill_narrow(queue->object.id, &queue_state);
		ipcu_spill_sweep(&queue_state, 0);
		break;
	default:
		must(ipcu_remove("q", IPCU_KIND_QUEUE, IPCU_REMOVE_FORCE) == IPCU_OK);
	}
	ipcu_queue_close(queue);
	must(ipcu_stat_segment(foreign, &state) == 0 && !(state.shm_perm.mode & SHM_DEST));
	fuzz_remove_all();
	return 0;
}
