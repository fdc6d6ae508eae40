#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shm-foreign.bats - memory shared with programs in other languages: they see plain arrays, and so do we

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

# woken_by NAME VALUE COMMAND...: COMMAND sets the first i32 of NAME to VALUE, and who waits for that sees it
# within a second or so.
woken_by() {
	local name=$1 value=$2 waiter before
	shift 2
	background ipc-shm wait -T i32 "$name" eq "$value"; waiter=$!
	until_true asleep $waiter
	"$@"
	before=$EPOCHREALTIME
	finish $waiter
	[ $((${EPOCHREALTIME/./} - ${before/./})) -lt 1500000 ]
}

@test "Python's sysv_ipc" {
	/usr/bin/python3 -c 'import sysv_ipc' || skip "python3-sysv-ipc is not installed"
	cat >"$TMP/m.py" <<-'END'
		import struct, sys, sysv_ipc
		key, verb = int(sys.argv[1], 0), sys.argv[2]
		if verb == "create":
		    m = sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, 0o600, 16)
		else:
		    m = sysv_ipc.SharedMemory(key)
		if verb == "read":
		    print(*struct.unpack(sys.argv[3], m.read(struct.calcsize(sys.argv[3]))))
		else:
		    m.write(struct.pack(sys.argv[3], *[type(1.5)(x) if "d" in sys.argv[3] else int(x) for x in sys.argv[4:]]))
		m.detach()
	END
	m() { /usr/bin/python3 "$TMP/m.py" "$@"; }
	ipc-shm create a -T i32 -c 3
	ipc-shm set a 1 -2 3
	key=$(field a KEY)
	[ "$(m "$key" read iii)" = "1 -2 3" ]
	woken_by a 77 m "$key" write i 77
	[ "$(ipc-shm get a | xargs)" = "77 -2 3" ]
	ipc-shm set -T f64 d 0.1
	[ "$(m "$(field d KEY)" read d)" = 0.1 ]
	m "$(field d KEY)" write d 1e300
	[ "$(ipc-shm get d)" = 1e+300 ]
	printf 'one\ntwo' | ipc-shm load c
	key=$(field c KEY)
	printf three | ipc-shm load c
	[ "$(m "$key" read 5s)" = "b'three'" ]
	m 0x5170 create qq -5 6
	[ "$(ipc-shm get -T i64 key:0x5170 | xargs)" = "-5 6" ]
	[ "$(ipc-shm add -T i64 key:0x5170 -i 1 4)" = 10 ]
	[ "$(m 0x5170 read qq)" = "-5 10" ]
	woken_by key:0x5170 9 m 0x5170 write i 9
	ipc-rm key:0x5170
}

@test "Perl" {
	need perl
	ipc-shm create a -T u16 -c 4
	ipc-shm set a 1 2 65535 4
	key=$(($(field a KEY)))
	[ "$(perl -e '$id = shmget($ARGV[0], 0, 0) // die; shmread($id, $b, 0, 8) or die; print join(" ", unpack("S4", $b))' $key)" = "1 2 65535 4" ]
	perl -e '$id = shmget($ARGV[0], 0, 0) // die; shmwrite($id, pack("S2", 500, 600), 2, 4) or die' $key
	[ "$(ipc-shm get a | xargs)" = "1 500 600 4" ]
	perl -e 'defined shmget(0x5171, 64, 01600) or die'
	fails 3 ipc-shm get -T i32 key:0x5172
	woken_by key:0x5171 -3 perl -e '$id = shmget(0x5171, 0, 0) // die; shmwrite($id, pack("l", -3), 0, 4) or die'
	printf text | ipc-shm write --offset=60 key:0x5171
	[ "$(perl -e '$id = shmget(0x5171, 0, 0) // die; shmread($id, $b, 60, 4) or die; print $b')" = text ]
	fails 5 ipc-shm write --offset=61 key:0x5171 <<<text
	ipc-rm key:0x5171
}

@test "C, by ftok, with atomic steps on both sides" {
	cat >"$TMP/count.c" <<-'END'
		#include <stdio.h>
		#include <stdlib.h>
		#include <sys/ipc.h>
		#include <sys/shm.h>

		int main(int argc, char **argv)
		{
			int id = shmget(ftok(argv[1], 'Q'), 4 * sizeof(int), IPC_CREAT | 0600);
			int *values = id < 0 ? (int *)-1 : shmat(id, NULL, 0);

			if (argc != 3 || values == (int *)-1)
				return 1;
			for (int i = 0; i < atoi(argv[2]); i++)
				__atomic_add_fetch(&values[1], 1, __ATOMIC_SEQ_CST);
			printf("%d %d\n", id, values[1]);
			return 0;
		}
	END
	$IPC_CC -o "$TMP/count" "$TMP/count.c"
	touch "$TMP/file"
	name=ftok:$TMP/file:Q
	fails 3 ipc-shm get -T i32 "$name"
	[[ $stderr == *--create* ]]
	read -r id _ < <("$TMP/count" "$TMP/file" 0)
	background "$TMP/count" "$TMP/file" 20000000 >"$TMP/out"; counter=$!
	for _ in {1..50}; do ipc-shm add -T i32 -i 1 "$name" 1 >/dev/null; done
	finish $counter
	[ "$(ipc-shm get -T i32 -i 1 "$name")" = 20000050 ]
	[ "$(ipc-shm get -T i32 -i 1 "id:$id")" = 20000050 ]
	woken_by "$name" 5 perl -e '$id = shift; shmwrite($id, pack("l", 5), 0, 4) or die' "$id"
	ipc-rm "$name"
}

@test "a key is created with the size that is asked for, or it is a conflict" {
	ipc-shm create --create key:0x5171 5K
	ipc-shm create --create key:0x5171 5120
	for size in 4K 6K; do
		fails 7 ipc-shm create --create key:0x5171 "$size"
		[[ $stderr == *"it holds 5120 bytes, not $((${size%K} * 1024)) bytes"* ]]
	done
	ipc-shm create key:0x5171 -T i32 -c 1280
	fails 7 ipc-shm create key:0x5171 -T i32 -c 1279
	ipc-rm key:0x5171
}

@test "who goes by the key while it is loaded is shown all of one or refused" {
	need_root "a user whom permissions bind"
	need perl
	head -c 300000 /dev/zero | tr '\0' a | ipc-shm load -m 644 c
	cat >"$TMP/look.pl" <<-'END'
		alarm($ARGV[1]); # teardown sees only the shell around us
		until ($seen{a} >= 20 && $seen{b} >= 20) {
			defined($id = shmget($ARGV[0], 0, 0)) or next;
			shmread($id, $b, 0, 300000) or next;
			$b =~ /^(a+|b+)$/ or print("a mixture of ", length($b), "\n"), exit(1);
			$seen{substr($b, 0, 1)}++;
		}
		print "seen\n";
	END
	background as 1000 perl "$TMP/look.pl" $(($(field c KEY))) "$DEADLINE" >"$TMP/seen"; looker=$!
	end=$((SECONDS + DEADLINE))
	until gone $looker || [ $SECONDS -ge $end ]; do
		for letter in b a; do head -c 300000 /dev/zero | tr '\0' $letter | ipc-shm load c; done
	done
	finish $looker
	[ "$(cat "$TMP/seen")" = seen ]
}

# Prints the call of madvise(2) that PID is in, if it is: so is memory filled, piece by piece.
filling() {
	local call
	read -r call </proc/"$1"/syscall || return
	case $(uname -m)/$call in
	*86*/219\ * | x86_64/28\ * | aarch64/233\ *) echo "$call" ;;
	*) return 1 ;;
	esac
}

@test "while its new memory is filled, nobody may attach it" {
	need strace
	printf old | ipc-shm load -m 666 c
	key=$(($(field c KEY)))
	head -c 3000000 /dev/zero >"$TMP/new"
	# LeakSanitizer, if it is built in, cannot work under strace.
	background sh -c 'ASAN_OPTIONS=detect_leaks=0 exec strace -f -o /dev/null -e inject=madvise:delay_enter=100000 ipc-shm load c <"$0"' "$TMP/new"; tracer=$!
	end=$((SECONDS + DEADLINE))
	until gone $tracer || [ $SECONDS -ge $end ]; do
		loader=$(pgrep -P $tracer) || continue
		piece=$(filling "$loader" 2>/dev/null) || continue
		mode=$(awk -v key=$key '($1 == key || $1 + 4294967296 == key) && $4 == 3000000 { print $3 }' /proc/sysvipc/shm)
		[ "$(filling "$loader" 2>/dev/null)" = "$piece" ] || continue
		echo "$mode" >>"$TMP/modes"
	done
	finish $tracer
	[ "$(sort -u "$TMP/modes" | xargs)" = 0 ]
	[ "$(field c MODE)" = 666 ]
}
