#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# hostile-machine.bats - calls that a sandbox refuses, clocks and users of other namespaces, a kernel without SEM_UNDO

bats_require_minimum_version 1.5.0
load ../helper

value_is() {
	[ "$(ipc-sem get "$1")" = "$2" ]
}

# refused CALLS ERRNO COMMAND...: run it where each of the calls fails with that errno. LeakSanitizer cannot work under strace.
refused() {
	local calls=$1 errno=$2
	shift 2
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e inject="$calls":error="$errno" "$@"
}

@test "acquire and release work without pidfd_open and pidfd_send_signal" {
	need strace
	ipc-sem create m
	local errno owner
	for errno in ENOSYS EPERM; do
		background sleep 1000; owner=$!
		# strace follows the keeper, so it stays until that ends.
		background refused pidfd_open,pidfd_send_signal $errno ipc-sem acquire -P $owner m
		until_true value_is m 0
		refused pidfd_open,pidfd_send_signal $errno ipc-sem release -P $owner m
		value_is m 1
		# The keeper sees the end of its owner.
		background refused pidfd_open $errno ipc-sem acquire -P $owner m
		until_true value_is m 0
		kill -KILL $owner
		until_true value_is m 1
		# One that has ended, or is none.
		fails 3 refused pidfd_open $errno ipc-sem acquire -P $owner m
		[[ $stderr == *"no process $owner"* ]]
		ipc-sem acquire -P $$ m
		refused pidfd_send_signal $errno ipc-sem release -P $$ m
		value_is m 1
	done
}

@test "a process that nothing can watch is refused with a clear error" {
	need strace
	need_root "a mount namespace without /proc"
	"${MOUNT_NAMESPACE[@]}" 'mount -t tmpfs none /proc' || skip "mounts are refused here"
	ipc-sem create m
	background sleep 1000
	# shellcheck disable=SC2016 # expanded there
	fails 8 refused pidfd_open ENOSYS "${MOUNT_NAMESPACE[@]}" 'mount -t tmpfs none /proc && exec "$@"' ipc-sem acquire -P $! m
	[[ $stderr == *"cannot watch process $!: this kernel or a sandbox refuses pidfd_open"*"hint: "* ]]
	[[ $stderr != *"System V"* ]]
	value_is m 1
}

@test "a receive ends at its deadline without timer_create" {
	need strace
	local errno
	ipc-sem create m
	ipc-send q x
	ipc-recv q
	ipc-send q2 x
	ipc-recv q2
	for errno in ENOSYS EPERM; do
		fails 1 refused timer_create $errno timeout -s KILL "$DEADLINE" ipc-recv -t 100ms q
		fails 1 refused timer_create $errno timeout -s KILL "$DEADLINE" ipc-recv -t 100ms q q2
		background refused timer_create $errno ipc-recv -t 60s q; receiver=$!
		ipc-send q there
		finish $receiver
	done
	fails 5 refused timer_create EAGAIN timeout -s KILL "$DEADLINE" ipc-recv -t 100ms q
	[[ $stderr == *"too many timers and pending signals"* ]]
}

@test "without futex a wait sleeps, and sees a change" {
	need strace
	ipc-shm create -T i32 v
	local errno
	for errno in ENOSYS EPERM; do
		ipc-shm set v 0
		strace -f -qq -c -o "$TMP/calls" -e inject=futex:error=$errno ipc-shm wait -t 1s v eq 1 && false
		[ "$(awk '$NF == "futex" { print $4 }' "$TMP/calls")" -le 50 ]
		background refused futex $errno ipc-shm wait -t 60s v eq 1; waiter=$!
		ipc-shm set v 1
		finish $waiter
	done
}

@test "each call that a sandbox refuses is named" {
	need strace
	local errno
	for errno in ENOSYS EPERM; do
		fails 8 refused shmget,semget,msgget $errno ipc-send --create key:0x7eee x
		[[ $stderr == *"System V IPC"*"hint: "*sandbox* ]]
		fails 8 refused eventfd2 $errno ipc-recv -t 1s q1 q2
		[[ $stderr != *"System V"* && $stderr == *"refuses eventfd"* ]]
	done
}

# In a user namespace that maps no user, as user 1000 of outside: unmapped COMMAND...
unmapped() {
	as 1000 unshare --user "$@"
}

need_unmapped() {
	need_root "other users"
	as 1000 unshare --user true || skip "user namespaces are refused here"
}

@test "users that a namespace does not map share no names" {
	need_unmapped
	local command overflow
	overflow=$(cat /proc/sys/kernel/overflowuid)
	# One user's name, made where it may be.
	as 1000 ipc-sem create -m 666 mine
	for command in "ipc-send q x" "ipc-sem run m -- true" "ipc-shm create v 9" "ipc-barrier create b 2" "ipc-event set e" \
		"ipc-ls q" "ipc-ls" "ipc-rm q" "ipc-rm --all -f" "ipc-recv -n $overflow/q" "ipc-sem status $overflow/m" "ipc-pipe read -n p"; do
		# shellcheck disable=SC2086 # a list of words
		fails 8 unmapped $command
		[[ $stderr == *"user $overflow is every user that this user namespace does not map"*"hint: "*"key:KEY"* ]]
	done
	# Nothing was made.
	[ "$(ipc-ls -a --noheadings -o OWNER,KIND | grep -c queue)" = 0 ]
	# Keys and lists go on.
	unmapped ipc-send --create key:0x7abc x
	[ "$(unmapped ipc-recv -n key:0x7abc)" = x ]
	unmapped ipc-ls -a | grep -q 0x00007abc
	unmapped ipc-rm key:0x7abc
	as 1000 ipc-rm mine
}

@test "user nobody has names where it is mapped, and none where it stands for all others" {
	need_unmapped
	local overflow
	overflow=$(cat /proc/sys/kernel/overflowuid)
	as "$overflow" ipc-send q x
	[ "$(as "$overflow" ipc-recv "$overflow/q")" = x ]
	# Root of a namespace that maps nothing else.
	fails 8 as 1000 unshare --user --map-root-user ipc-recv -n "$overflow/q"
	as 1000 unshare --user --map-root-user ipc-ls -a
	as "$overflow" ipc-rm q
}

# As user 1000 where that is kernel.overflowuid and the namespace maps user 0 only, as far as /proc says.
overflown() {
	as 0 "${MOUNT_NAMESPACE[@]}" 'mount --bind "$1/overflow" /proc/sys/kernel/overflowuid &&
		mount --bind "$1/map" /proc/$$/uid_map && shift &&
		exec setpriv --reuid=1000 --regid=1000 --clear-groups "$@"' "$TMP" "$@"
}

@test "another kernel.overflowuid is noticed before the first name is made" {
	need_unmapped
	echo 1000 >"$TMP/overflow"
	echo 0 0 1 >"$TMP/map"
	overflown true || skip "mounts are refused here"
	fails 8 overflown ipc-send q x
	[[ $stderr == *"user 1000 is every user"* ]]
	as 0 ipc-send q x
	[ "$(as 0 ipc-recv q)" = x ]
	echo 0 >"$TMP/overflow"
	fails 3 overflown ipc-recv -n root/nothing
	echo 12 >"$TMP/overflow"
	fails 8 overflown ipc-recv -n 12/q
	[[ $stderr == *"user 12 is every user"* ]]
}

@test "a kernel that ignores or refuses SEM_UNDO is noticed before the first name is used" {
	local how command
	$IPC_CC -O1 -shared -fPIC -o "$TMP/no-undo.so" "$IPC_SRCDIR/tests/fault/no-undo.c" -ldl ||
		skip "no library for LD_PRELOAD can be built here"
	without() {
		ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 LD_PRELOAD=$TMP/no-undo.so NO_UNDO=$how "$@"
	}
	how=ignore without ipc-send --version || skip "these commands load no other library"
	file -L "$(command -v ipc-sem)" | grep -q 'statically linked' && skip "these commands are static"
	for how in ignore refuse; do
		for command in "ipc-sem run m -- true" "ipc-sem create m" "ipc-send q x" "ipc-barrier create b 2" "ipc-shm create v 9"; do
			# shellcheck disable=SC2086 # a list of words
			fails 8 without $command
			[[ $stderr == *"this kernel does not release what a process held that has ended"*"hint: "*gVisor* ]]
		done
		# Keys need no registry.
		without ipc-send --create key:0x7abd x
		[ "$(without ipc-recv key:0x7abd)" = x ]
		ipc-rm key:0x7abd
	done
	# The lock was not left locked.
	ipc-sem run -n m -- true
}
