#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# sem-tables.bats - the table of holders that semaphores share: lost, found, not multiplied, and who releases what

bats_require_minimum_version 1.5.0
load ../helper

value_is() {
	[ "$(ipc-sem get "$1")" = "$2" ]
}

member() {
	ipc-sem status -J "$1" | jq -rc "$2"
}

# The identifiers of the tables of holders.
tables() {
	ipc-ls -a --noheadings -o STATE,ID -k memory | sed -n 's/holders of semaphores.* //p'
}

# What a job that cleans up removes: all segments that no process has attached.
clean_up() {
	awk 'NR > 1 && $7 == 0 { print $2 }' /proc/sysvipc/shm | xargs -r -n 1 ipcrm -m
}

@test "many locks need one table" {
	need python3
	local count=${LOCKS:-3000}
	perl -e 'print "m$_\n" for 1 .. shift' "$count" | xargs -n 1 ipc-sem create
	ipc-sem run m1 -- ipc-sem run m2 -- ipc-sem run "m$count" -- true
	[ "$(tables | wc -l)" = 1 ]
	[ "$(awk 'NR > 1' /proc/sysvipc/shm | wc -l)" = 2 ]
	[ "$(ipc-sem run "m$count" -- ipc-sem status -J "m$count" | jq -c '[.holders[0].slot, .unlisted]')" = "[0,0]" ]
}

@test "after a clean-up of segments a lock stays held, and its holder is shown" {
	for option in -u1 -x; do
		background ipc-sem run $option m -- sleep 1000; holder=$!
		until_true value_is m 0
		until_true grep -q sleep /proc/$holder/comm
		clean_up
		fails 1 ipc-sem run -n m -- true
		[ "$(member m '[.holders[0].pid, .holders[0].units == .count, .holders[0].since, .unlisted]')" = "[$holder,true,null,0]" ]
		ipc-sem status m | grep -q "^ *$holder .* sleep 1000"
		kill -KILL $holder
		until_true value_is m "$(member m .count)"
		ipc-rm m
	done
}

@test "status shows mode and time of a holder that only the kernel knows as unknown" {
	need_root "another user"
	local modes=("null -" "null -" '"exclusive" exclusive') mode text option
	# Only the creator of a semaphore creates its table, so that root holds without an entry.
	as 1000 ipc-sem create -c 1 m
	for option in -s -u1 -x; do
		read -r mode text <<<"${modes[0]}"
		modes=("${modes[@]:1}")
		background ipc-sem run $option 1000/m -- sleep 1000; holder=$!
		until_true value_is 1000/m 0
		[ "$(member 1000/m '.holders[0] | [.pid, .units, .mode, .slot, .since]')" = "[$holder,1,$mode,0,null]" ]
		ipc-sem status 1000/m | grep -q "^ *$holder     1 $text *0 - "
		kill -KILL $holder
		until_true value_is 1000/m 1
	done
	as 1000 ipc-rm m
}

@test "release names no keeper that is not listed as the holder" {
	background sleep 1000; owner=$!
	for option in -u1 -x; do
		ipc-sem acquire $option -P $owner m
		keeper=$(member m '.holders[0].keeper')
		# A keeper that has just taken its units is not listed either.
		ipcrm -m "$(tables)"
		fails 3 ipc-sem release -P $$ m
		[[ $stderr == *"process $keeper keeps its units for a process that is not known"*"kill $keeper releases"* ]]
		value_is m 0
		kill "$keeper"
		until_true value_is m "$(member m .count)"
		ipc-rm m
	done
	# The program of a different holder is named.
	background ipc-sem run m -- sleep 1000; holder=$!
	until_true value_is m 0
	ipcrm -m "$(tables)"
	fails 4 ipc-sem release -P $$ m
	[[ $stderr == *"process $holder does"* ]]
}

@test "what cannot be named is counted, and no slot is given twice" {
	ipc-sem create -c 3 m
	background ipc-sem run m -- sleep 1000; holder=$!
	until_true value_is m 2
	until_true grep -q sleep /proc/$holder/comm
	clean_up
	[ "$(member m '[(.holders | length), .unlisted]')" = "[0,1]" ]
	ipc-sem status m | grep -qx "1 unit is held by processes that are not listed"
	# The unlisted holder has slot 0, which no process knows any more.
	[ "$(ipc-sem run m -- sh -c 'echo "${IPC_SLOT-none}"')" = none ]
	[ "$(ipc-sem run m -- ipc-sem status -J m | jq -c '[.holders[0].slot, .unlisted]')" = "[null,1]" ]
	kill -KILL $holder
	until_true value_is m 3
	[ "$(ipc-sem run m -- sh -c 'echo $IPC_SLOT')" = 0 ]
	[ "$(ipc-sem run m -- sh -c 'echo $IPC_SLOT')" = 0 ]
}

@test "a keeper keeps the table" {
	ipc-sem create -c 3 m
	ipc-sem acquire -P $$ m
	clean_up
	[ "$(member m '[.holders[0].pid, .unlisted]')" = "[$$,0]" ]
	ipc-sem release -P $$ m
	value_is m 3
}

@test "without a table a semaphore works" {
	need_root "another user"
	ipc-sem create -m 666 -c 2 m
	ipcrm -m "$(tables)"
	[ "$(as 1000 ipc-sem run root/m -- sh -c 'echo "${IPC_SLOT-none}"')" = none ]
	[ "$(as 1000 ipc-sem run -x root/m -- sh -c 'echo "${IPC_SLOT-none}"')" = 0 ]
	ipc-sem run m -- true
	[ "$(as 1000 ipc-sem run root/m -- sh -c 'echo "$IPC_SLOT"')" = 0 ]
}

@test "a table grants what its semaphores grant: by mode, after a chmod, and for a name that is created again" {
	need_root "another user"
	modes() {
		awk 'NR > 1 && $4 > 60000000 { print $3 }' /proc/sysvipc/shm | sort | xargs
	}
	ipc-sem run -m 600 a -- true
	[ "$(modes)" = 600 ]
	ipc-sem run -m 644 b -- true
	[ "$(modes)" = "600 644" ]
	ipc-sem create -m 666 c
	as 1000 ipc-sem run root/c -- true
	[ "$(modes)" = "600 644 666" ]
	# Its mode becomes stricter: the table of the others is of no use for it any more.
	python3 - "$(field c ID)" <<-'END'
		import ctypes, sys
		libc = ctypes.CDLL(None, use_errno=True)
		buf = (ctypes.c_ubyte * 256)()
		assert libc.semctl(int(sys.argv[1]), 0, 2, buf) == 0
		mode = ctypes.cast(ctypes.addressof(buf) + 20, ctypes.POINTER(ctypes.c_ushort))
		assert mode[0] & 0o777 == 0o666, oct(mode[0])
		mode[0] = 0o600
		assert libc.semctl(int(sys.argv[1]), 0, 1, buf) == 0
	END
	[ "$(ipc-sem run c -- sh -c 'ipc-sem status -J c' | jq -c '[.holders[0].units, .unlisted]')" = "[1,0]" ]
	ipc-rm c
	ipc-sem run -m 600 c -- true
	ipc-rm --stale --older-than=0
	[ "$(modes)" = "600 644" ]
}

@test "a process that was delayed while its semaphore was removed leaves the table of a new one alone" {
	need strace
	ipc-sem create m
	# It has just created the table when the semaphore is removed, and its name is given to a new one.
	background strace -o /dev/null -e inject=shmget:delay_exit=700000 ipc-sem run m -- true; delayed=$!
	there_is_one() { [ "$(tables | wc -l)" = 1 ]; }
	until_true there_is_one
	ipc-sem create other
	ipc-rm -f m
	ipc-sem acquire -P $$ m
	finish $delayed 3
	[ "$(tables | wc -l)" = 1 ]
	[ "$(member m '[.holders[0].pid, .unlisted]')" = "[$$,0]" ]
	ipc-sem release -P $$ m
}

@test "two releases at once end two keepers" {
	ipc-sem create -c 8 m
	for _ in {1..10}; do
		ipc-sem acquire -P $$ m; ipc-sem acquire -P $$ m; ipc-sem acquire -P $$ m
		background ipc-sem release -P $$ m; one=$!
		background ipc-sem release -P $$ m; two=$!
		finish $one; finish $two
		value_is m 7
		ipc-sem release -P $$ m
	done
}

@test "two releases at once of one keeper: the second one is refused" {
	need strace
	ipc-sem acquire -P $$ m
	background strace -f -o /dev/null -e inject=pidfd_send_signal:delay_enter=1000000 ipc-sem release -P $$ m; one=$!
	in_signal() { local child; child=$(pgrep -P $one) && grep -q '^424 ' /proc/"$child"/syscall; }
	until_true in_signal
	fails 3 ipc-sem release -P $$ m
	finish $one
	value_is m 1
}

@test "a release that died in between does not keep a keeper" {
	need strace
	ipc-sem acquire -P $$ m
	strace -f -o /dev/null -e inject=pidfd_open:signal=KILL ipc-sem release -P $$ m || [ $? -eq 137 ]
	value_is m 0
	ipc-sem release -P $$ m
	value_is m 1
}

@test "an acquire that was not answered yet is not released" {
	need strace
	commands_are_32_bit && skip "strace names the calls of 64 bits"
	ipc-sem create -c 3 m
	# The command waits before it tells its keeper to go on.
	background strace -o /dev/null -e inject=sendto:delay_enter=1000000 ipc-sem acquire -P $$ m; acquire=$!
	until_true value_is m 2
	until_true sh -c '[ "$(ipc-sem status -J m | jq ".holders | length")" = 1 ]'
	fails 3 ipc-sem release -P $$ m
	finish $acquire
	value_is m 2
	ipc-sem release -P $$ m
	value_is m 3
}

@test "the last acquire is found although the clock was set" {
	need cc
	[ -z "${IPC_TEST_SANITIZED-}" ] || skip "the sanitizers cannot be preloaded with"
	cat >"$TMP/clock.c" <<-'END'
		#include <sys/syscall.h>
		#include <time.h>
		#include <unistd.h>
		int clock_gettime(clockid_t id, struct timespec *now)
		{
			int result = (int)syscall(SYS_clock_gettime, id, now);
			if (id == CLOCK_REALTIME)
				now->tv_sec -= 172800;
			return result;
		}
	END
	cc -D_GNU_SOURCE -shared -fPIC -o "$TMP/clock.so" "$TMP/clock.c"
	ipc-sem create -c 10 m
	ipc-sem acquire -u 1 -P $$ m
	LD_PRELOAD=$TMP/clock.so ipc-sem acquire -u 4 -P $$ m
	ipc-sem release -P $$ m
	value_is m 9
	ipc-sem release -P $$ m
}

@test "-v reports a holder that was killed, and no normal end" {
	ipc-sem run -v m -- true 2>"$TMP/err"
	ipc-sem run -v m -- sh -c 'kill -KILL $$' 2>>"$TMP/err" || true
	ipc-sem run -v m -- true 2>>"$TMP/err"
	background sleep 1000; owner=$!
	ipc-sem acquire -v -P $owner m 2>>"$TMP/err"
	ipc-sem release -P $owner m
	ipc-sem acquire -v -P $owner m 2>>"$TMP/err"
	kill -KILL $owner
	until_true value_is m 1
	ipc-sem acquire -v -P $$ m 2>>"$TMP/err"
	run ! grep "without releasing" "$TMP/err"
	kill -KILL "$(member m '.holders[0].keeper')"
	until_true value_is m 1
	ipc-sem run -v m -- true 2>"$TMP/err"
	[ "$(cat "$TMP/err")" = "ipc-sem: m: process $$ ended without releasing it" ]
	ipc-sem run -v m -- true 2>"$TMP/err"
	[ ! -s "$TMP/err" ]
}

@test "created with fewer free units than its count, in one step" {
	ipc-sem create -c 5 --value=2 m
	[ "$(member m '[.value, .count, .taken]')" = "[2,5,3]" ]
	ipc-sem create -c 5 --value=4 m
	value_is m 2
	fails 7 ipc-sem create -c 4 --value=4 m
	ipc-sem post -u 3 m
	fails 5 ipc-sem post m
	fails 2 ipc-sem create -c 5 --value=6 new
	fails 2 ipc-sem create --value=-1 new
	fails 3 ipc-sem get new
	ipc-sem create --value=0 empty
	fails 1 ipc-sem run -n empty -- true
	ipc-sem create --create -c 3 --value=1 key:0x5e5
	[ "$(ipc-sem get key:0x5e5)" = 1 ]
	ipc-rm key:0x5e5
}
