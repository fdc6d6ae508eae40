# SPDX-License-Identifier: MIT
# cleanup.bats - the registry of names and other unattached segments are removed: no object is lost or created twice

bats_require_minimum_version 1.5.0
load ../helper

# What cleanup jobs do on many hosts: remove each segment that no process has attached.
cleanup() {
	local id
	for id in $(ipcs -m | awk 'NF && $6 == 0 { print $2 }'); do ipcrm -m "$id"; done
}

# Remove segments until no registry of names is left: a process may have it attached for a moment.
forget_names() {
	until_true no_registry
}

no_registry() {
	cleanup
	! ipc-ls -a -k memory --noheadings -o STATE | grep -q 'registry of names'
}

# The named objects: kind, name and identifier.
names() {
	ipc-ls --noheadings -o KIND,NAME,ID | awk '{ print $1, $2, $3 }' | sort
}

@test "a lock that is held is not granted twice" {
	ipc-sem create lock
	background ipc-sem run lock -- sleep 1000
	local holder=$!
	until_true fails 1 ipc-sem run -n lock -- true
	forget_names
	fails 1 ipc-sem run -n lock -- true
	[ "$(ipc-sem get lock)" = 0 ]
	ipc-sem status lock
	kill $holder
	finish $holder 143
	ipc-sem run -n lock -- true
}

@test "a name is listed again when it was used, with the same object" {
	local before
	ipc-sem create -c 3 sem
	ipc-barrier create barrier 3
	ipc-event set event
	ipc-send queue hello
	before=$(names)
	[ "$(wc -l <<<"$before")" = 4 ]
	forget_names
	[ -z "$(names)" ]
	[ "$(ipc-sem get sem)" = 3 ]
	ipc-barrier status barrier
	ipc-event wait -n event
	[ "$(ipc-recv -p queue)" = hello ]
	[ "$(names)" = "$before" ]
}

@test "a definition that does not fit is a conflict without a registry too" {
	ipc-sem create -c 3 sem
	ipc-barrier create barrier 3
	ipc-event set event
	forget_names
	fails 7 ipc-sem create -c 2 sem
	[[ $stderr == *"its count is 3, not 2"* ]]
	forget_names
	fails 7 ipc-barrier create barrier 4
	[[ $stderr == *"it has 3 parties, not 4"* ]]
	forget_names
	fails 7 ipc-send event x
	[[ $stderr == *"it is an event, not a queue"* ]]
	fails 7 ipc-sem create event
	[[ $stderr == *"it is an event, not a semaphore"* ]]
	ipc-rm sem barrier event
}

@test "creating a name whose object exists finds that object" {
	local sem queue
	ipc-sem create sem
	ipc-send queue x
	sem=$(field sem ID)
	queue=$(field queue ID)
	forget_names
	ipc-event set other
	ipc-sem create sem
	ipc-send queue y
	[ "$(field sem ID)" = "$sem" ]
	[ "$(field queue ID)" = "$queue" ]
	[ "$(ipc-recv -a queue | xargs)" = "x y" ]
}

@test "a name that is given explicitly is listed and removed without a registry" {
	ipc-sem create sem
	ipc-barrier create barrier 2
	ipc-event set event
	ipc-send queue x
	local name
	for name in sem barrier event queue; do
		forget_names
		[ "$(field $name NAME)" = $name ]
		ipc-rm $name
		fails 3 ipc-ls $name
	done
	ipc-rm --stale
	[ -z "$(ipc-ls -a --noheadings)" ]
}

@test "a semaphore that is held is not removed without -f, though no registry says so" {
	background ipc-sem run lock -- sleep 1000
	local holder=$!
	until_true fails 1 ipc-sem run -n lock -- true
	forget_names
	fails 7 ipc-rm lock
	[[ $stderr == *"it is in use"* ]]
	fails 1 ipc-sem run -n lock -- true
	ipc-rm -f lock
	kill $holder
	finish $holder 143
}

@test "a pipe whose ends are connected outlives the registry" {
	background bash -c 'ipc-pipe read pipe >"$0"' "$TMP/out"
	local reader=$!
	until_true ipc-ls pipe
	forget_names
	fails 7 ipc-sem create pipe
	[[ $stderr == *"it is a pipe, not a semaphore"* ]]
	echo hello | ipc-pipe write pipe
	finish $reader
	[ "$(cat "$TMP/out")" = hello ]
	ipc-rm --stale
	[ -z "$(ipc-ls -a --noheadings)" ]
}

@test "the objects of a different user are found by their keys" {
	need_root "becomes another user"
	as 1000 ipc-sem create -m 666 -c 2 sem
	as 1000 ipc-event set -m 644 event
	as 1000 ipc-send -m 666 queue hello
	as 1000 ipc-sem create -m 600 private
	forget_names
	[ "$(as 1001 ipc-sem get 1000/sem)" = 2 ]
	as 1001 ipc-sem wait -n 1000/sem
	as 1001 ipc-sem post 1000/sem
	as 1001 ipc-event wait -n 1000/event
	[ "$(as 1001 ipc-recv -n 1000/queue)" = hello ]
	fails 4 as 1001 ipc-sem get 1000/private
	[[ $stderr == *"hint: it belongs to user 1000"* ]]
	fails 4 as 1001 ipc-rm 1000/sem
	[[ $stderr == *"hint: only user 1000 and root"* ]]
	fails 3 as 1001 ipc-rm 1000/none
	# Root can remove them, and leaves no registry or lock.
	for name in sem event queue private; do ipc-rm 1000/$name; done
	ipc-rm --stale
	as 1000 ipc-rm --stale --older-than=0
	[ -z "$(ipc-ls -a --noheadings)" ]
}

@test "an object of a different user on a key of the name is never the object" {
	need_root "becomes another user"
	local key
	ipc-sem create sem
	key=$(field sem KEY)
	ipc-rm sem
	as 1000 perl -e 'defined semget(hex $ARGV[0], 12, 01666) or die' "$key"
	forget_names
	fails 3 ipc-sem get sem
	ipc-sem create sem
	[ "$(field sem KEY)" != "$key" ]
	ipc-sem run -n sem -- true
	as 1000 ipcrm -S "$key"
}

@test "memory whose segment was removed keeps its lock while it is held, and no longer" {
	ipc-shm create -T i64 memory
	background ipc-shm lock memory -- sleep 1000
	local holder=$!
	until_true sh -c 'ipc-shm status memory | grep -q "locked: process"'
	forget_names
	[ "$(ipc-ls -a -k semaphore --noheadings -o STATE | grep -c '^lock of memory')" = 1 ]
	ipc-rm --stale --older-than=0
	[ "$(ipc-ls -a -k semaphore --noheadings -o STATE | grep -c '^lock of memory')" = 1 ]
	ipc-shm create -T i64 memory
	ipc-shm status memory | grep -q "locked: process"
	fails 1 ipc-shm lock -n memory -- true
	kill $holder
	finish $holder 143
	ipc-shm lock -n memory -- true
	forget_names
	ipc-rm --stale --older-than=0
	[ -z "$(ipc-ls -a --noheadings)" ]
}

@test "objects whose name is lost are listed as what they are" {
	ipc-sem create -c 3 sem
	ipc-barrier create barrier 2
	ipc-event set event
	forget_names
	# shellcheck disable=SC2016 # not for this shell
	[ "$(ipc-ls -a --noheadings -o KIND,STATE | grep 'name lost' | sed 's/  */ /g' | sort)" = "barrier barrier (name lost), 0/2 waiting
event event (name lost), set
semaphore semaphore (name lost), 3/3 free" ]
	[ "$(ipc-ls -a -J -k event -o KIND,STATE | jq -r '.objects[].kind')" = event ]
	ipc-rm --stale --older-than=0
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'name lost')" = 3 ]
	local id
	id=$(ipc-ls -a -k event --noheadings -o ID | xargs)
	fails 7 ipc-rm "id:$id" -k event
	[[ $stderr == *"it is an event of ipcutils whose name is not listed any more"*"hint: "*"use of its name"* ]]
	ipc-event wait -n event
	ipc-rm -f -k event "id:$id"
	fails 3 ipc-event wait -n --no-create event || fails 1 ipc-event wait -n event
	ipc-rm -f sem barrier event
}

@test "bookkeeping is removed by key or identifier only with -f, and what depends on it is stated" {
	local id
	ipc-send queue x
	ipc-shm create -T i64 memory
	ipc-sem create sem
	head -c 100000 /dev/zero | ipc-send -w queue
	refused() {
		fails 7 ipc-rm -k "$1" "id:$2"
		# shellcheck disable=SC2053 # a pattern
		[[ $stderr == *": it "$3*"hint: "* ]] || { echo "$stderr"; return 1; }
	}
	of() {
		ipc-ls -a -k "$1" --noheadings -o ID,STATE | awk -v what="$2" 'index($0, what) { print $1; exit }'
	}
	refused memory "$(of memory ' registry of names')" "is the registry of user $(id -u), which lists 3 names"
	refused semaphore "$(of semaphore 'lock of a registry')" "is the lock of a registry of names: *"
	refused memory "$(of memory 'body of a big message')" "is the body of a big message: its receiver would lose the message"
	refused queue "$(field queue ID)" "is the queue queue"
	refused memory "$(field memory ID)" "is the memory memory"
	refused semaphore "$(field sem ID)" "is the semaphore sem"
	# The set of the memory has its key.
	fails 7 ipc-rm -k semaphore "key:$(field memory KEY)"
	[[ $stderr == *"it belongs to the memory memory"*"hint: remove it by its name: ipc-rm $(id -u)/memory" ]]
	[ "$(ipc-ls --noheadings | wc -l)" = 3 ]
	# A foreign object is removed as ever.
	ipc-send --create key:0x7abd x
	ipc-rm key:0x7abd
	ipc-rm -f -k semaphore "id:$(field sem ID)"
	ipc-ls --noheadings -o STATE sem | grep -q gone
}

@test "what a killed sender left is removed although a later process has its number" {
	need_pid_namespace
	[ -w /proc/sys/kernel/ns_last_pid ] || skip "the kernel has no CONFIG_CHECKPOINT_RESTORE"
	cat >"$TMP/inside" <<-'END'
		# The body of a big message whose sender was killed before it had written anything.
		creator=$(perl -e 'shmget(0x1bc00001, 20000, 01600) // die; print $$')
		[ -z "$(ipc-rm -v --stale --older-than=1h)" ] || exit 2
		# The kernel dates objects in whole seconds.
		later=$(($(date +%s) + 4))
		until [ "$(date +%s)" -ge $later ]; do sleep 0.1; done
		echo $((creator - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 1000 &
		[ $! = "$creator" ] || { echo "$! is not $creator"; exit 3; }
		ipc-rm -v --stale --older-than=0 | grep -q '^removed big message' || exit 4
	END
	"${PID_NAMESPACE[@]}" bash "$TMP/inside"
}
