/* SPDX-License-Identifier: MIT
 * sysv.h - what libcs leave out of the System V headers
 *
 * Linux's *_STAT_ANY (4.17) read an object's state whatever its mode is, which
 * is what lets a sender who may only write verify whose queue it is. They are
 * documented for an index into the kernel's table, but the kernel looks a whole
 * identifier up just as well and returns the identifier it found: comparing the
 * two tells a reused slot.
 */
#ifndef SYSV_H
#define SYSV_H

#include <stdbool.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#ifndef HAVE_UNION_SEMUN
union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
	struct seminfo *__buf;
};
#endif

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif
#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif
#ifndef MSG_EXCEPT
#define MSG_EXCEPT 020000
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#ifndef SHM_DEST
#define SHM_DEST 01000
#endif
#ifndef SHM_NORESERVE
#define SHM_NORESERVE 010000
#endif

/* The key's member has three names. */
#if defined(__GLIBC__)
#define PERM_KEY(perm) ((perm).__key)
#elif defined(__linux__)
#define PERM_KEY(perm) ((perm).__ipc_perm_key)
#else
#define PERM_KEY(perm) ((perm).key)
#endif

/* The state of an object whatever its mode, or -1 with errno (EINVAL, EIDRM: gone). */
int ipcu_stat_queue(int id, struct msqid_ds *state);
int ipcu_stat_set(int id, struct semid_ds *state);
int ipcu_stat_segment(int id, struct shmid_ds *state);

/*
 * Read all values of set ID, which must have MEMBERS members, into VALUES. 0, or -1 with errno: EINVAL if the set has a
 * different number of members, EIDRM if it is gone. *STATE, if not NULL, is its state. These two are the only functions that read
 * members of a set that another user may have made: GETALL writes as many values as the set has.
 */
int ipcu_set_read(int id, unsigned short *values, unsigned members, struct semid_ds *state);

/* The same for a set whose STATE is known: read all its values, which must not be more than CAPACITY. */
int ipcu_set_values(int id, const struct semid_ds *state, unsigned short *values,
		    unsigned capacity);

/* How many members set ID has; -1 with errno EIDRM: it is gone, not just another one. */
long ipcu_set_members(int id);

/*
 * The bits for reading and writing in the mode of a companion of an object with PERM, so that it grants no more than the
 * object does, if the creator of the companion has the group CREATOR. A companion belongs to the group of its creator as
 * well as to the group that it is given.
 */
unsigned ipcu_companion_mode(const struct ipc_perm *perm, gid_t creator);

/* The three families of objects, for what is the same in all. */
enum ipcu_family { IPCU_FAMILY_QUEUE, IPCU_FAMILY_SET, IPCU_FAMILY_SEGMENT };

/* The identifier of an existing object; -1 with errno. No object has key 0, IPC_PRIVATE. */
int ipcu_family_get(enum ipcu_family family, key_t key);
int ipcu_family_stat(enum ipcu_family family, int id, struct ipc_perm *perm);
int ipcu_family_remove(enum ipcu_family family, int id);

#endif
