#!/usr/bin/env bats
# SPDX-License-Identifier: MIT

bats_require_minimum_version 1.5.0
load ../helper

# Whether PID sleeps in futex(2).
asleep() {
	local number
	read -r number _ </proc/"$1"/syscall || return
	case $(uname -m)/$number in
	*86*/240 | *86*/422 | x86_64/202 | aarch64/98) return 0 ;;
	esac
	return 1
}

# Whether PID, an ipc-shm, sleeps in read(2) of its standard input.
reads() {
	local number
	[ "$(cat /proc/"$1"/comm)" = ipc-shm ] && read -r number first _ </proc/"$1"/syscall || return
	case $(uname -m)/$number/$first in
	*86*/3/0x0 | x86_64/0/0x0 | aarch64/63/0x0) return 0 ;;
	esac
	return 1
}

@test "bytes: create, write and read, at offsets" {
	ipc-shm create m 16
	[ "$(ipc-shm read m | od -An -tx1 | tr -d ' \n')" = 00000000000000000000000000000000 ]
	printf abcdefghijklmnop | ipc-shm write m
	[ "$(ipc-shm read m)" = abcdefghijklmnop ]
	printf XY | ipc-shm write --offset=3 m
	[ "$(ipc-shm read --offset=2 --length=4 m)" = cXYf ]
	[ "$(ipc-shm read --offset=14 m)" = op ]
	[ "$(ipc-shm read --offset=16 m)" = "" ]
	fails 5 ipc-shm read --offset=17 m
	fails 5 ipc-shm read --offset=10 --length=7 m
	fails 2 ipc-shm read --length=-1 m
	fails 2 ipc-shm read m word
}

@test "what does not fit is an error that says how much was written" {
	ipc-shm create m 4
	printf abcd | ipc-shm write m
	run --separate-stderr ipc-shm write --offset=2 m <<<"XYZ"
	[ "$status" -eq 5 ]
	[ "${stderr%%$'\n'*}" = "ipc-shm: m: 2 bytes were written: no more fit, it has 4 bytes" ]
	[ "$(ipc-shm read m)" = abXY ]
	printf ZZ | ipc-shm write -v --offset=2 m 2>"$TMP/err"
	[ "$(cat "$TMP/err")" = "ipc-shm: m: 2 bytes were written" ]
}

@test "create again: the same is no error, another is a conflict" {
	ipc-shm create m 1K
	ipc-shm create m 1024
	fails 7 ipc-shm create m 1025
	[[ $stderr == *"it holds 1024 bytes, not 1025 bytes"*hint:* ]]
	fails 7 ipc-shm create m -T i64 -c 128
	ipc-shm create a -T i64 -c 3
	ipc-shm create -T i64 -c 3 a
	fails 7 ipc-shm create a -T i64
	fails 7 ipc-shm create a -T u64 -c 3
	fails 7 ipc-shm create a 24
	fails 7 ipc-send m x
	ipc-send q x
	fails 7 ipc-shm create q 5
	fails 7 ipc-shm load q </dev/null
	for wrong in 0 -1 x 1Q ''; do fails 2 ipc-shm create n "$wrong"; done
	fails 2 ipc-shm create n
	fails 2 ipc-shm create n 5 -T i8
	fails 2 ipc-shm create n 5 -c 5
	fails 2 ipc-shm create n -T i24
	fails 2 ipc-shm create n -T i8 -c 0
	fails 3 ipc-shm status n
}

@test "values: get, slices, set, add, cas" {
	ipc-shm create a -T i16 -c 5
	ipc-shm set a 1 -2 3 -4 5
	[ "$(ipc-shm get a | tr '\n' ' ')" = "1 -2 3 -4 5 " ]
	[ "$(ipc-shm get -i 1 a)" = -2 ]
	[ "$(ipc-shm get -i 1:3 a | tr '\n' ' ')" = "-2 3 " ]
	[ "$(ipc-shm get -i :2 a | tr '\n' ' ')" = "1 -2 " ]
	[ "$(ipc-shm get -i 3: a | tr '\n' ' ')" = "-4 5 " ]
	[ "$(ipc-shm get -i 5:5 a)" = "" ]
	fails 5 ipc-shm get -i 5 a
	[[ $stderr == *"there is no value 5: it has 5"* ]]
	fails 5 ipc-shm get -i 9223372036854775807 a
	fails 5 ipc-shm get -i 3:2 a
	fails 5 ipc-shm get -i 3:6 a
	fails 2 ipc-shm get -i -1 a
	[[ $stderr == *"--index: '-1' is not"* ]]
	fails 2 ipc-shm get -i 1:x a
	ipc-shm set a -i 3 40 50
	fails 5 ipc-shm set a -i 3 7 8 9
	fails 2 ipc-shm set a -i 3 7 x
	[ "$(ipc-shm get -i 3: a | tr '\n' ' ')" = "40 50 " ]
	[ "$(ipc-shm add a -i 4 -60)" = -10 ]
	[ "$(ipc-shm add a 5 -i 4)" = -5 ]
	fails 5 ipc-shm add a -i 5 1
	ipc-shm cas -i 4 a -5 -6
	fails 1 ipc-shm cas -i 4 a -5 -7
	[ "$output" = -6 ]
	[ -z "$stderr" ]
	fails 9 ipc-shm cas -E 9 -i 4 a -5 -7
	fails 2 ipc-shm add a
	fails 2 ipc-shm cas a 1
	fails 2 ipc-shm add a 1 2
}

@test "signed overflow is an error that changes nothing, unsigned types wrap around" {
	local type low high
	while read -r type low high; do
		ipc-shm set -T "$type" "$type" "$high"
		fails 5 ipc-shm add "$type" 1
		[ "$(ipc-shm get "$type")" = "$high" ]
		ipc-shm set "$type" "$low"
		fails 5 ipc-shm add "$type" -1
		[ "$(ipc-shm get "$type")" = "$low" ]
		fails 5 ipc-shm add "$type" "$low"
	done <<-END
		i8 -128 127
		i16 -32768 32767
		i32 -2147483648 2147483647
		i64 -9223372036854775808 9223372036854775807
	END
	while read -r type high; do
		ipc-shm set -T "$type" "$type" "$high"
		[ "$(ipc-shm add "$type" 2)" = 1 ]
		[ "$(ipc-shm add "$type" -3)" = "${high%?}$((${high: -1} - 1))" ]
	done <<-END
		u8 255
		u16 65535
		u32 4294967295
		u64 18446744073709551615
	END
	for wrong in -256 -300 - --1 -+1 -x; do
		fails 2 ipc-shm add u8 -- "$wrong"
		[[ $stderr == *"'$wrong' is not of type u8"* ]]
	done
}

@test "literals are strict, floats read back exactly" {
	ipc-shm create i -T i8; ipc-shm create u -T u8; ipc-shm create f -T f32; ipc-shm create d -T f64
	for wrong in 128 -129 1.0 0x1 '' ' 1' '1 ' +1 -- - 1e0 inf 99999999999999999999999; do
		fails 2 ipc-shm set i -- "$wrong"
	done
	for wrong in 256 -1 -0x1; do fails 2 ipc-shm set u -- "$wrong"; done
	for wrong in 1e39 0x1p3 infinity NaN 1. .e5 1e 1,5 nan0 +1.5; do fails 2 ipc-shm set f -- "$wrong"; done
	fails 2 ipc-shm set d 1e309
	for value in 0.1 -2.5 1e+20 3.4028235e+38 1.1754944e-38 1e-45 inf -inf nan 16777216; do
		ipc-shm set f "$value"
		[ "$(ipc-shm get f)" = "$value" ]
	done
	for value in 0.1 -0 1e+100 5e-324 1.7976931348623157e+308 0.30000000000000004 9007199254740993; do
		ipc-shm set d "$value"
		[ "$(ipc-shm get d)" = "${value/9007199254740993/9007199254740992}" ]
	done
	[ "$(ipc-shm set d .5; ipc-shm add d -.25)" = 0.25 ]
}

@test "an option that would be ignored is a usage error" {
	ipc-shm create a -T i32 -c 3
	for verb in "set a 7" "add a 7" "cas a 0 7" "wait -n a eq 0"; do
		# shellcheck disable=SC2086 # words
		fails 2 ipc-shm $verb -i 0:2
		[[ $stderr == *"--index: '0:2' is a slice, which only get takes"* ]]
		# shellcheck disable=SC2086
		fails 2 ipc-shm $verb -c 3
		[[ $stderr == "ipc-shm: a: --count takes a --type, too" ]]
	done
	fails 2 ipc-shm get a -c 3
	[ "$(ipc-shm get a -T i32 -c 3 | tr '\n' ' ')" = "0 0 0 " ]
}

@test "a VALUE that is none creates nothing" {
	for words in "set m 300" "set m 1 2 x" "add m -300" "cas m 1 x" "wait m is 1" "wait m eq 256"; do
		# shellcheck disable=SC2086 # words
		fails 2 ipc-shm $words -T u8
		fails 3 ipc-shm status m
	done
}

@test "with a type, a NAME is created on first use" {
	[ "$(ipc-shm add -T u32 counter 1)" = 1 ]
	[ "$(ipc-shm add -T u32 counter 1)" = 2 ]
	fails 7 ipc-shm add -T i32 counter 1
	fails 7 ipc-shm add -T u32 -c 2 counter 1
	ipc-shm set -T u8 -i 3 bytes 7 8
	[ "$(ipc-shm get bytes | tr '\n' ' ')" = "0 0 0 7 8 " ]
	fails 3 ipc-shm add --no-create -T u32 other 1
	fails 3 ipc-shm add other 1
	[[ $stderr == *hint:* ]]
	ipc-shm create plain 8
	fails 2 ipc-shm get plain
	[[ $stderr == *"it holds bytes"*hint:*--type* ]]
	ipc-shm set -T u16 plain 513
	[ "$(ipc-shm get -T u8 -i :2 plain | tr '\n' ' ')" = "1 2 " ]
}

@test "wait: all comparisons, timeouts, at once by our own writers" {
	ipc-shm set -T i32 v 5
	ipc-shm wait v eq 5; ipc-shm wait v ne 4; ipc-shm wait v lt 6; ipc-shm wait v le 5
	ipc-shm wait v gt -6; ipc-shm wait v ge 5
	fails 1 ipc-shm wait -n v eq 6
	fails 1 ipc-shm wait -t 10ms v lt 5
	fails 4 ipc-shm wait -n -E 4 v gt 5
	fails 2 ipc-shm wait v is 5
	fails 2 ipc-shm wait v eq 5x
	for change in "set v 7" "add v 2" "cas v 5 7"; do
		ipc-shm set v 5
		background ipc-shm wait v eq 7; waiter=$!
		until_true asleep $waiter
		local before=$EPOCHREALTIME
		# shellcheck disable=SC2086 # a list of words
		ipc-shm $change >/dev/null
		finish $waiter
		[ $((${EPOCHREALTIME/./} - ${before/./})) -lt 500000 ]
	done
}

@test "a waiter of any width is woken, in any place of a page" {
	local type
	for type in i8 u16 f32 i64 f64; do
		ipc-shm create "$type" -T "$type" -c 4096
		ipc-shm create "short$type" -T "$type" -c 3
		for name in "$type" "short$type"; do
			background ipc-shm wait -i 1 "$name" ge 100; waiter=$!
			until_true asleep $waiter
			ipc-shm set "$name" -i 0 111
			local before=$EPOCHREALTIME
			ipc-shm add "$name" -i 1 111 >/dev/null
			finish $waiter
			[ $((${EPOCHREALTIME/./} - ${before/./})) -lt 500000 ]
		done
	done
}

@test "write and load wake waiters too" {
	ipc-shm create v -T u8 -c 4
	background ipc-shm wait -i 2 v eq 65; waiter=$!
	until_true asleep $waiter
	local before=$EPOCHREALTIME
	printf A | ipc-shm write --offset=2 v
	finish $waiter
	background ipc-shm wait -i 2 v eq 66; waiter=$!
	until_true asleep $waiter
	printf ABBA12345 | ipc-shm load v
	finish $waiter
	[ $((${EPOCHREALTIME/./} - ${before/./})) -lt 900000 ]
	[ "$(ipc-shm status v)" = "9 bytes, 9 values of type u8, attached 0 times" ]
}

@test "waiting uses no CPU, and ends with 3 when the memory is removed" {
	ipc-shm create v -T i32
	background ipc-shm wait v eq 1; waiter=$!
	until_true asleep $waiter
	fails 7 ipc-rm v
	[[ $stderr == *"$waiter attached"* ]]
	# It looks by itself once a second, and otherwise sleeps.
	local before since=$SECONDS
	before=$(switches $waiter)
	for i in {1..100}; do ipc-shm get v >/dev/null; done
	[ $(($(switches $waiter) - before)) -le $((SECONDS - since + 2)) ]
	ipc-rm -f v
	finish $waiter 3
}

@test "load creates, replaces, grows and shrinks; the key, mode and type stay" {
	printf one | ipc-shm load -m 640 c
	key=$(field c KEY)
	[ "$(ipc-shm read c)" = one ]
	[ "$(field c MODE)" = 640 ]
	seq 10000 >"$TMP/long"
	ipc-shm load c <"$TMP/long"
	ipc-shm read c | cmp - "$TMP/long"
	# shellcheck disable=SC2002 # a pipe is what is tested
	cat "$TMP/long" | ipc-shm load c
	ipc-shm read c | cmp - "$TMP/long"
	(read -r _; ipc-shm load c) <"$TMP/long"
	[ "$(field c KEY)" = "$key" ]
	[ "$(field c MODE)" = 640 ]
	ipc-shm load c </dev/null
	[ "$(ipc-shm status -J c)" = '{"memory":"c","size":0,"type":"bytes","count":0,"attached":0,"locked_by":null,"waiting":0,"locked":false}' ]
	[ -z "$(ipc-shm read c)" ]
	ipc-shm create t -T u16 -c 2
	fails 7 sh -c 'printf abc | ipc-shm load t'
	printf abcdef | ipc-shm load t
	[ "$(ipc-shm get t | wc -l)" = 3 ]
	fails 3 sh -c 'printf x | ipc-shm load --no-create none'
	fails 2 ipc-shm load key:5 </dev/null
	[ "$(ipc-ls -a --noheadings | wc -l)" = 4 ]
}

@test "who has the old one attached keeps it whole" {
	printf old | ipc-shm load c
	mkfifo "$TMP/pipe"
	background ipc-shm wait -T u8 c eq 110; waiter=$!
	until_true asleep $waiter
	printf new | ipc-shm load c
	finish $waiter
	[ "$(ipc-shm read c)" = new ]
}

@test "an interrupted load changes nothing and leaves nothing" {
	printf old | ipc-shm load c
	mkfifo "$TMP/fifo"
	background env --default-signal=INT sh -c 'exec ipc-shm load c <"$0"' "$TMP/fifo"; loader=$!
	background sh -c 'exec 5>"$0"; printf half >&5; exec sleep 1000' "$TMP/fifo"
	until_true reads $loader
	kill -INT $loader
	finish $loader 130
	[ "$(ipc-shm read c)" = old ]
	[ "$(ipc-ls -a --noheadings | wc -l)" = 3 ]
}

@test "lock: one at a time, its command is the holder, its status is ours" {
	ipc-shm create m 8
	fails 42 ipc-shm lock m -- sh -c 'exit 42'
	[ "$(ipc-shm lock m -- sh -c 'echo $IPC_SHM')" = m ]
	background ipc-shm lock m -- sleep 1000; holder=$!
	until_true sh -c "ipc-shm status m | grep -q 'locked: process $holder (sleep 1000), 0 waiting'"
	ipc-shm status -J m | grep -q "\"locked_by\":$holder,"
	fails 1 ipc-shm lock -n m -- true
	fails 1 ipc-shm lock -t 20ms m -- true
	fails 6 ipc-shm lock -n -E 6 m -- true
	fails 7 ipc-rm m
	[[ $stderr == *"process $holder holds its lock"* ]]
	background ipc-shm lock m -- true; waiter=$!
	until_true blocked $waiter
	kill -KILL $holder
	finish $waiter
	[ "$(ipc-ls -a --noheadings | wc -l)" = 3 ]
	fails 127 ipc-shm lock m -- "$TMP/nothing"
	fails 126 ipc-shm lock m -- "$TMP"
	fails 2 ipc-shm lock m
	fails 2 ipc-shm lock m --
	fails 3 ipc-shm lock none -- true
	fails 3 ipc-shm lock key:5 -- true
}

@test "lock: first come first served, and removal ends the wait with 3" {
	ipc-shm create m 8
	mkfifo "$TMP/gate"
	background ipc-shm lock m -- sh -c "read -r x <'$TMP/gate'"; holder=$!
	until_true sh -c 'ipc-shm status m | grep -q locked'
	for i in 1 2 3; do
		background ipc-shm lock m -- sh -c "echo $i >>'$TMP/order'"; waiters[i]=$!
		until_true sh -c "ipc-shm status m | grep -q '$i waiting'"
	done
	echo >"$TMP/gate"
	for i in 1 2 3; do finish "${waiters[i]}"; done
	[ "$(tr -d '\n' <"$TMP/order")" = 123 ]
	background ipc-shm lock m -- sleep 1000
	until_true sh -c 'ipc-shm status m | grep -q locked'
	background ipc-shm lock m -- true; waiter=$!
	until_true blocked $waiter
	ipc-rm -f m
	finish $waiter 3
}

@test "what is made for others has a lock from the beginning, or is not made" {
	need_root "a second user, and sysctl"
	ipc-shm create -m 660 m1 4
	ipc-shm load -m 660 m2 <<<x
	ipc-shm set -m 660 -T i8 m3 1
	for name in m1 m2 m3; do
		[ "$(setpriv --reuid=1000 --regid="$(id -g)" --clear-groups ipc-shm lock "root/$name" -- echo locked)" = locked ]
	done
	echo "32000 1024000000 500 4" >/proc/sys/kernel/sem
	fails 5 ipc-shm create -m 660 m4 4
	[[ $stderr == *"cannot create its lock: too many semaphores"*hint:* ]]
	fails 5 ipc-shm load -m 660 m4 <<<x
	fails 5 ipc-shm add -m 660 -T i8 m4 1
	fails 3 ipc-shm status m4
	echo "32000 1024000000 500 32000" >/proc/sys/kernel/sem
	ipc-shm create -m 660 m4 4
}

@test "other users: read-only, no lock without permission, load is the owner's" {
	need_root "a second user"
	ipc-shm set -T i32 -m 644 v 5
	[ "$(as 1000 ipc-shm get root/v)" = 5 ]
	fails 4 as 1000 ipc-shm set root/v 6
	[[ $stderr == *"hint: it belongs to user 0"* ]]
	fails 4 as 1000 sh -c 'echo | ipc-shm write root/v'
	fails 4 as 1000 sh -c 'echo | ipc-shm load root/v'
	fails 4 as 1000 ipc-shm lock root/v -- true
	background as 1000 ipc-shm wait root/v eq 6; waiter=$!
	until_true eval 'asleep $(cat /proc/$waiter/task/$waiter/children)'
	local before=$EPOCHREALTIME
	ipc-shm set v 6
	finish $waiter
	[ $((${EPOCHREALTIME/./} - ${before/./})) -lt 500000 ]
	ipc-shm create -m 666 w 8
	as 1000 ipc-shm lock root/w -- true
	ipc-shm create p 8
	fails 4 as 1000 ipc-shm read root/p
}

@test "segments of other programs: every verb that makes sense" {
	fails 3 ipc-shm get -T i32 key:0x77
	[[ $stderr == *"--create"* ]]
	ipc-shm create --create key:0x77 64
	ipc-shm set -T i32 key:0x77 1 2
	[ "$(ipc-shm add -T i32 key:0x77 -i 1 5)" = 7 ]
	fails 2 ipc-shm get key:0x77
	[ "$(ipc-shm get -T i32 key:0x77 | wc -l)" = 16 ]
	ipc-shm cas -T i32 key:0x77 1 3
	background ipc-shm wait -T i64 key:0x77 eq 9; waiter=$!
	until_true asleep $waiter
	ipc-shm set -T i64 key:0x77 9
	finish $waiter
	printf abc | ipc-shm write key:0x77
	[ "$(ipc-shm read --length=3 key:0x77)" = abc ]
	fails 2 ipc-shm lock key:0x77 -- true
	[[ $stderr == *hint:*ipc-sem* ]]
	id=$(field key:0x77 ID)
	[ "$(ipc-shm status "id:$id")" = "64 bytes, attached 0 times" ]
	background ipc-shm wait -T i64 key:0x77 eq 9; waiter=$!
	until_true asleep $waiter
	ipc-rm -f key:0x77
	finish $waiter 3
}

@test "as large as half of the memory, without using any, and whole to its last byte" {
	local size=$(($(awk '/^MemTotal:/ { print $2 }' /proc/meminfo) * 512))
	# 32-bit commands have no addresses for more.
	if commands_are_32_bit && [ $size -gt $((1 << 30)) ]; then size=$((1 << 30)); fi
	ipc-shm create m $size
	printf end | ipc-shm write --offset=$((size - 3)) m
	[ "$(ipc-shm read --offset=$((size - 3)) m)" = end ]
	fails 5 ipc-shm write --offset=$((size - 1)) m <<<xy
	ipc-shm set -T i64 -i $((size / 8 - 1)) m -7
	[ "$(ipc-shm get -T i64 -i $((size / 8 - 1)) m)" = -7 ]
}

@test "larger than the machine allows exits 5 with a hint" {
	fails 5 ipc-shm create m 8000000T
	fails 5 ipc-shm create m -T f64 -c 9223372036854775807
	old=$(sysctl -n kernel.shmmax)
	sysctl -qw kernel.shmmax=1000000000
	run --separate-stderr ipc-shm create m 1T
	sysctl -qw kernel.shmmax="$old"
	[ "$status" -eq 5 ]
	[[ $stderr == *hint:*kernel.shmmax* ]]
}

@test "a closed stdout is an error" {
	ipc-shm create -T i32 m
	fails 8 sh -c 'ipc-shm get m >/dev/full'
	fails 8 sh -c 'ipc-shm read m >/dev/full'
	fails 8 sh -c 'ipc-shm status m >/dev/full'
	fails 8 sh -c 'ipc-shm add m 1 >/dev/full'
	fails 8 sh -c 'ipc-shm write m <&-'
	fails 8 sh -c 'ipc-shm load m <&-'
}

@test "a held lock stays held when a clean-up job removes the segment and the name is made again" {
	need ipcrm
	ipc-shm create m 8
	background ipc-shm lock m -- sleep 1000; holder=$!
	until_true eval '[[ $(ipc-shm status m) == *"locked: process $holder"* ]]'
	ipcrm -m "$(field m ID)"
	ipc-shm create m 16
	fails 1 ipc-shm lock -n m -- true
	[[ $(ipc-shm status m) == *"locked: process $holder"* ]]
	kill -KILL $holder
	until_true ipc-shm lock -n m -- true
}

@test "the first lock of memory that became open to others later is not its owner's" {
	need_root "a second user"
	need python3
	ipc-shm create m 8
	python3 - "$(field m ID)" <<-'END'
		import ctypes, sys
		libc, state = ctypes.CDLL(None), (ctypes.c_char * 256)()
		identifier = int(sys.argv[1])
		assert libc.shmctl(identifier, 2, state) == 0
		assert libc.shmctl(identifier, 2, state) == 0
		mode = ctypes.cast(ctypes.addressof(state) + 20, ctypes.POINTER(ctypes.c_ushort))
		mode[0] = 0o666
		assert libc.shmctl(identifier, 1, state) == 0
	END
	[ "$(field m MODE)" = 666 ]
	ipc-shm status m
	as 1000 ipc-shm lock root/m -- true
}

# Whether a process that strace runs has been stopped.
is_stopped() {
	local pid
	for pid in $(pgrep -P "$1"); do
		case $(sed 's/.*) //; s/ .*//' /proc/"$pid"/stat) in T | t) return 0 ;; esac
	done
	return 1
}

@test "a loader that is stopped at any call delays nobody, and takes nothing back" {
	need strace
	local call number tracer sum last
	ipc-shm set -T i64 a 7
	perl -e 'print pack("q", 1000) x 1000' >"$TMP/new"
	for call in shmget:1 shmget:4 shmat:1 shmat:2 shmat:3 shmctl:1 shmctl:4 shmctl:8 shmctl:12 semop:1 semtimedop:2 semtimedop:4 madvise:2 shmdt:1 shmdt:2; do
		background env ASAN_OPTIONS=detect_leaks=0 strace -o /dev/null -e "inject=${call%:*}:signal=STOP:when=${call#*:}" ipc-shm load a <"$TMP/new"; tracer=$!
		until_true eval 'gone $tracer || is_stopped $tracer'
		sum=$(timeout 10 ipc-shm add a 1)
		[ "$(timeout 10 ipc-shm get -i 0 a)" = "$sum" ]
		pkill -CONT -P $tracer || true
		finish $tracer
		last=$(ipc-shm get -i 0 a)
		echo "$call: $sum, $last"
		[ "$last" = "$sum" ] || [ "$last" = 1000 ]
		[ "$sum" -ne 1001 ] || [ "$last" = 1001 ]
		ipc-shm set -i 0 a 7
	done
}

@test "a lock holder of another PID namespace is reported as unknown" {
	unshare --pid --fork --kill-child true || skip "PID namespaces are not allowed here"
	ipc-shm create m 8
	background ipc-shm lock m -- sleep 1000
	until_true eval "ipc-shm status m | grep -q '^locked: process $!'"
	[[ $(unshare --pid --fork ipc-shm status m) == *$'\n''locked: unknown process of another PID namespace, 0 waiting' ]]
	[[ $(unshare --pid --fork ipc-shm status -J m) == *'"locked_by":null,"waiting":0,"locked":true}' ]]
	fails 7 unshare --pid --fork ipc-rm m
	[[ $stderr == *"a process of another PID namespace holds its lock"* ]]
}

@test "a load after a cleanup job removed the registry replaces the memory, and makes no second one" {
	local key registry
	printf old | ipc-shm load l
	key=$(field l KEY)
	registry=$(ipc-ls -a -k memory --noheadings -o KEY,STATE | sed -n 's/ *registry of names.*//p')
	ipcrm -M "$registry"
	printf new | ipc-shm load l
	[ "$(field l KEY)" = "$key" ]
	[ "$(ipc-shm read l)" = new ]
	[ "$(ipc-ls -a -k memory --noheadings -o KEY | wc -l)" = 2 ]
}
