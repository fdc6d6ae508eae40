# SPDX-License-Identifier: MIT
# input.bats - input that is easily misread: numbers as names, a missing --, options that change nothing

bats_require_minimum_version 1.5.0
load ../helper

# The caller has created nothing.
nothing_created() {
	[ -z "$(ipc-ls --noheadings)" ]
}

# fails_and_hints STATUS TEXT COMMAND...: as fails, and stderr has a hint that contains TEXT.
fails_and_hints() {
	local wanted=$1 text=$2
	shift 2
	fails "$wanted" "$@"
	if [[ $stderr != *"hint: "*"$text"* ]]; then
		echo "no hint with '$text': $*" >&2
		echo "stderr: $stderr" >&2
		return 1
	fi
}

@test "no command creates an object whose name is a number" {
	local name
	for name in 22136 0x1234 0X1F 0 "$(id -u)/15"; do
		fails_and_hints 2 key: ipc-send "$name" x
		fails_and_hints 2 key: ipc-recv -n "$name"
		fails_and_hints 2 key: ipc-sem create "$name"
		fails_and_hints 2 key: ipc-sem run "$name" -- true
		fails_and_hints 2 key: ipc-barrier create "$name" 2
		fails_and_hints 2 key: ipc-event set "$name"
		fails_and_hints 2 key: ipc-shm create "$name" 10
		fails_and_hints 2 key: ipc-shm add -T u8 "$name" 1
		fails_and_hints 2 key: ipc-shm load "$name" <<<x
		fails_and_hints 2 key: ipc-pipe write "$name" <<<x
		fails_and_hints 2 key: ipc-send --create "$name" x
	done
	fails_and_hints 2 id:22136 ipc-send 22136 x
	nothing_created
}

@test "a number that names no object is answered with a hint at key: and id:" {
	fails_and_hints 3 id:15 ipc-ls 15
	fails_and_hints 3 key:0x1234 ipc-ls 0x1234
	fails_and_hints 3 id:15 ipc-rm 15
	ipc-send q1 x
	fails_and_hints 3 id:15 ipc-ls 15
	fails_and_hints 3 id:15 ipc-rm 15
	fails_and_hints 3 id:15 ipc-recv --no-create 15
	fails_and_hints 3 id:15 ipc-barrier wait 15
	fails_and_hints 3 id:15 ipc-shm get 15
	fails_and_hints 3 id:15 ipc-send 54321/15 x
	fails 3 ipc-ls q15
	[[ $stderr != *hint* ]]
}

@test "a key is accepted as the negative number that other languages print" {
	ipc-send --create key:-626102863 x
	[ "$(ipc-recv -n key:0xdaae6db1)" = x ]
	[ "$(ipc-ls --noheadings -o KEY key:-626102863 | tr -d ' ')" = 0xdaae6db1 ]
	ipc-rm key:-626102863
	fails 2 ipc-send key:-2147483649 x
	fails 2 ipc-send key:-0 x
}

@test "every command runs a script without a #! line" {
	printf 'echo "script $1 $(cat)"\n' >"$TMP/script"
	chmod +x "$TMP/script"
	local PATH="$TMP:$PATH"
	ipc-send q1 one two
	[ "$(ipc-recv q1 -- "$TMP/script" a)" = "script a one" ]
	[ "$(ipc-recv q1 -- script a)" = "script a two" ]
	[ "$(ipc-sem run m -- "$TMP/script" b <<<x)" = "script b x" ]
	[ "$(ipc-sem run m -- script b <<<x)" = "script b x" ]
	ipc-shm create s1 8
	[ "$(ipc-shm lock s1 -- script c <<<x)" = "script c x" ]
	[ "$(ipc-barrier wait b 1 -- script d <<<x)" = $'script d x\n0' ]
	ipc-sem create --create key:0x7005
	[ "$(ipc-sem op key:0x7005 0:-1 -- script e <<<x)" = "script e x" ]
	ipc-rm key:0x7005
}

@test "ipc-recv reports in one line that a failing COMMAND ended the run" {
	ipc-send q1 a b c
	fails 7 ipc-recv -a q1 -- sh -c 'read -r m; [ "$m" = a ] || exit 7'
	[ "$stderr" = "ipc-recv: sh: exited with status 7 for message 2; stopping because --keep-going is not given" ]
	[ "$(ipc-recv -a q1)" = c ]
	ipc-send q1 a
	fails 7 ipc-recv -q q1 -- sh -c 'exit 7'
	[ -z "$stderr" ]
	ipc-send q1 a
	fails 7 ipc-recv --keep-going q1 -- sh -c 'exit 7'
	[ -z "$stderr" ]
}

# Run a command in which each of the given system calls fails with ERRNO: failing ERRNO CALL,CALL COMMAND...
failing() {
	local errno=$1 calls=$2
	shift 2
	timeout "$DEADLINE" strace -f -o "$TMP/trace" -e "trace=$calls" -e "inject=$calls:error=$errno" "$@"
}

@test "a process or thread that cannot be created is status 5 with a message" {
	need strace
	commands_are_32_bit && skip "strace names the calls of 64 bits"
	local start='?clone,?clone3,?fork,?vfork'
	ipc-send q1 x
	fails_and_hints 5 "ulimit -u" failing EAGAIN "$start" ipc-recv q1 -- true
	[ "$(ipc-recv -n q1)" = x ]
	fails_and_hints 5 "ulimit -u" failing EAGAIN "$start" ipc-recv -t 1m q1 q2
	fails_and_hints 5 "ulimit -u" failing EAGAIN "$start" ipc-sem acquire m -P $$
	fails_and_hints 5 "ulimit -u" failing EAGAIN "$start" ipc-barrier wait b 1 -- true
	background ipc-pipe connect p </dev/null >/dev/null
	fails_and_hints 5 "ulimit -u" failing EAGAIN "$start" ipc-pipe connect p </dev/null
	fails 5 failing ENOMEM "$start" ipc-sem acquire m -P $$
	[[ $stderr == *"not enough memory"* ]]
	fails 5 failing ENOMEM "$start" ipc-barrier wait b2 1 -- true
}

@test "each errno of the calls that look an object up has its own message" {
	need strace
	commands_are_32_bit && skip "strace names the calls of 64 bits"
	local get=msgget,semget,shmget
	fails 8 failing EPERM $get ipc-send q1 x
	[[ $stderr == *"registry of names: a sandbox refuses System V IPC"*"hint: "* ]]
	fails 5 failing ENOMEM $get ipc-send q1 x
	[[ $stderr == *"registry of names: not enough memory"* ]]
	fails 8 failing EINVAL $get ipc-send q1 x
	[[ $stderr == *"registry of names: shmget: Invalid argument"* ]]
	fails 8 failing ENOSYS $get ipc-send q1 x
	[[ $stderr == *"registry of names: this kernel has no System V IPC"* ]]
	local errno
	for errno in EPERM ENOMEM EINVAL ENOSYS; do
		failing $errno $get ipc-recv -n q1 2>"$TMP/err" && false
		run cat "$TMP/err"
		[[ $output != *"must be removed"* ]]
	done
}

@test "on a kernel without System V IPC every command says so in one line" {
	need strace
	commands_are_32_bit && skip "strace names the calls of 64 bits"
	local all=msgget,semget,shmget,msgctl,semctl,shmctl,msgsnd,msgrcv,semop,semtimedop,shmat,shmdt command
	while read -r command; do
		# shellcheck disable=SC2086 # words
		fails 8 failing ENOSYS $all $command
		[ "$(grep -c "this kernel has no System V IPC" <<<"$stderr")" = 1 ]
		[ "$(grep -vc ^hint: <<<"$stderr")" = 1 ]
		[[ -z $output || $command == ipc-doctor* ]]
	done <<-'END'
		ipc-send q1 x
		ipc-recv -n q1
		ipc-sem run m -- true
		ipc-sem get key:5
		ipc-barrier wait b 1
		ipc-event set e
		ipc-shm get s
		ipc-shm add -T u8 s 1
		ipc-pipe write p
		ipc-ls
		ipc-ls -a
		ipc-ls q1
		ipc-ls key:5
		ipc-ls id:5
		ipc-ls -J
		ipc-ls -J q1
		ipc-ls -l
		ipc-rm q1
		ipc-rm key:5
		ipc-rm -a -f
		ipc-rm --stale
		ipc-doctor --interval=0
	END
}

@test "--mode that differs from the mode of an existing object is reported" {
	local command
	ipc-send q1 x
	ipc-sem create m
	ipc-barrier create b 2
	ipc-event set e
	ipc-shm create s 8
	ipc-shm create -T u8 v
	while read -r command; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr $command </dev/null
		[ "$status" -eq 0 ]
		[[ $stderr == *": it already exists with mode 600, not 666"*"hint: --mode applies only to"* ]]
		# shellcheck disable=SC2086 # words
		run --separate-stderr ${command/ -m 666/ -q -m 666} </dev/null
		[ -z "$stderr" ]
		# shellcheck disable=SC2086 # words
		run --separate-stderr ${command/ -m 666/ -m 600} </dev/null
		[ -z "$stderr" ]
	done <<-'END'
		ipc-send -m 666 q1 x
		ipc-recv -m 666 q1
		ipc-sem create -m 666 m
		ipc-sem run -m 666 m -- true
		ipc-barrier create -m 666 b 2
		ipc-event set -m 666 e
		ipc-shm create -m 666 s 8
		ipc-shm add -T u8 -m 666 v 1
		ipc-shm load -m 666 s
	END
	ipc-send -m 640 q2 x
	[ "$(ipc-ls --noheadings -o MODE q2 | tr -d ' ')" = 640 ]
	run --separate-stderr ipc-send -m 640 q3 x
	[ -z "$stderr" ]
	run --separate-stderr ipc-shm load -m 640 s2 </dev/null
	[ -z "$stderr" ]
}

@test "--peek creates no queue and waits only with --timeout" {
	fails 3 ipc-recv -p q1
	fails 3 ipc-recv -p -t 1m q1
	fails 3 ipc-recv -p -a q1
	fails 2 ipc-recv -p --create key:0x7006
	nothing_created
	ipc-send q1 x
	[ "$(ipc-recv -p q1)" = x ]
	[ "$(ipc-recv q1)" = x ]
	fails 1 timeout 20 ipc-recv -p q1
	fails 1 ipc-recv -p -t 10ms q1
	background ipc-recv -p -t 1m q1 >"$TMP/out"
	local peeker=$!
	until_true blocked $peeker
	ipc-send q1 y
	finish $peeker
	[ "$(cat "$TMP/out")" = y ]
}

@test "a plain run or acquire of a read-write lock excludes others" {
	local first
	for first in -s -x; do
		ipc-sem run $first m -- true
		background ipc-sem run -s m -- sleep 1000
		until_true sh -c 'ipc-sem status m | grep -q "sleep 1000"'
		fails 1 ipc-sem run -n m -- true
		fails 1 ipc-sem acquire -n -P $$ m
		ipc-sem run -n -s m -- true
		ipc-sem run -n -u 1 m -- true
		kill $!
		finish $! 143
		background ipc-sem run m -- sleep 1000
		until_true sh -c 'ipc-sem status m | grep -q "sleep 1000"'
		fails 1 ipc-sem run -n -s m -- true
		fails 1 ipc-sem run -n m -- true
		kill $!
		finish $! 143
		ipc-sem acquire -P $$ m
		fails 1 ipc-sem run -n -s m -- true
		ipc-sem release -P $$ m
		ipc-rm m
	done
	# A semaphore with a count of its own is none.
	ipc-sem create -c 32767 m
	ipc-sem run m -- ipc-sem run -n m -- true
}

@test "a plain run of another user's read-write lock excludes others" {
	need_root "becomes another user"
	as 1000 ipc-sem run -s -m 666 m -- true
	as 1001 ipc-sem run 1000/m -- sh -c '! ipc-sem run -n -s 1000/m -- true'
	as 1000 ipc-rm m
}

@test "a forgotten -- before COMMAND is a usage error with a hint, and creates nothing" {
	printf 'cat\n' >"$TMP/work.sh"
	chmod +x "$TMP/work.sh"
	cd "$TMP"
	fails_and_hints 2 "put -- before COMMAND" ipc-recv jobs cat
	fails_and_hints 2 "put -- before COMMAND" ipc-recv jobs ./work.sh
	fails_and_hints 2 "put -- before COMMAND" ipc-recv jobs "$TMP/work.sh"
	fails_and_hints 2 "put -- before COMMAND" ipc-recv jobs grep -x foo
	fails_and_hints 2 "put -- before COMMAND" ipc-sem run m -c 'a && b'
	fails_and_hints 2 "put -- before COMMAND" ipc-sem run m ls -l
	fails_and_hints 2 "put -- before COMMAND" ipc-sem run m ls
	fails_and_hints 2 "put -- before COMMAND" ipc-sem op key:0x7007 0:-1 ls
	fails_and_hints 2 "put -- before COMMAND" ipc-shm lock s ls
	fails_and_hints 2 "put -- before COMMAND" ipc-shm lock s ls -l
	fails_and_hints 2 "put -- before COMMAND" ipc-barrier wait b ls
	fails_and_hints 2 "put -- before COMMAND" ipc-barrier wait b 2 ls
	fails_and_hints 2 "-t DURATION" ipc-sem run -w 5 m -- true
	fails_and_hints 2 "-t DURATION" ipc-sem run -w 5 m ls
	fails_and_hints 2 "put -- before a MESSAGE" ipc-send q -5
	nothing_created
	# A queue of that name is a NAME, and so is one that is asked for.
	ipc-send cat x
	[ "$(ipc-recv jobs cat)" = x ]
	ipc-recv -n --create jobs ls || [ $? -eq 1 ]
	ipc-send q -- -5
	[ "$(ipc-recv q)" = -5 ]
}
