#!/usr/bin/env bats
# SPDX-License-Identifier: MIT

bats_require_minimum_version 1.5.0
load ../helper

state_is() {
	[ "$(field "$1" STATE)" = "$2" ]
}

@test "all come, and each has its own index" {
	background ipc-barrier wait b 3 >"$TMP/1"; first=$!
	until_true state_is b 1/3waiting
	background ipc-barrier wait b >"$TMP/2"; second=$!
	until_true state_is b 2/3waiting
	[ "$(ipc-barrier wait b 3)" = 2 ]
	finish $first
	finish $second
	[ "$(cat "$TMP/1" "$TMP/2")" = "0
1" ]
	[ "$(ipc-barrier status b)" = "parties 3, waiting 0, generation 1" ]
}

@test "a killed waiter's place is open again, with its index" {
	background ipc-barrier wait b 2; first=$!
	until_true state_is b 1/2waiting
	kill -KILL $first
	until_true state_is b 0/2waiting
	background ipc-barrier wait b 2 >"$TMP/out"; second=$!
	until_true state_is b 1/2waiting
	[ "$(ipc-barrier wait b)" = 1 ]
	finish $second
	[ "$(cat "$TMP/out")" = 0 ]
}

@test "a timeout exits 1, silent, and takes the arrival back" {
	fails 1 ipc-barrier wait -t 20ms b 2
	[ -z "$output$stderr" ]
	fails 9 ipc-barrier wait -n -E 9 b
	fails 1 ipc-barrier wait -n -v b
	[ "$stderr" = "ipc-barrier: b: not now" ]
	[ "$(ipc-barrier status -J b)" = '{"barrier":"b","parties":2,"waiting":0,"generation":0,"broken":false,"action":false,"waiters":[]}' ]
}

@test "--break-on-timeout breaks it for all; reset makes it whole" {
	background ipc-barrier wait b 3 2>"$TMP/err"; first=$!
	until_true state_is b 1/3waiting
	fails 1 ipc-barrier wait -t 20ms --break-on-timeout b
	finish $first 6
	[ "$(head -1 "$TMP/err")" = "ipc-barrier: b: the barrier is broken" ]
	grep -q '^hint: .*ipc-barrier reset' "$TMP/err"
	fails 6 ipc-barrier wait b
	state_is b "0/3waiting,broken"
	ipc-barrier reset b
	state_is b 0/3waiting
}

@test "abort: waiters and comers exit 6; reset of a whole one sends its waiters away" {
	background ipc-barrier wait b 3; first=$!
	background ipc-barrier wait b 3; second=$!
	until_true state_is b 2/3waiting
	ipc-barrier abort b
	finish $first 6
	finish $second 6
	fails 6 ipc-barrier wait b 3
	ipc-barrier abort b
	ipc-barrier reset b
	background ipc-barrier wait b 3; first=$!
	until_true state_is b 1/3waiting
	ipc-barrier reset b
	finish $first 6
	background ipc-barrier wait b 3; first=$!
	background ipc-barrier wait b 3; second=$!
	until_true state_is b 2/3waiting
	[ "$(ipc-barrier wait b)" = 2 ]
	finish $first
	finish $second
}

@test "the last runs its COMMAND before anyone is released" {
	background ipc-barrier wait b 2 -- touch "$TMP/first"; first=$!
	until_true state_is b 1/2waiting
	mkfifo "$TMP/gate"
	background ipc-barrier wait b -- sh -c "touch '$TMP/runs'; read -r x <'$TMP/gate'"; second=$!
	until_true test -e "$TMP/runs"
	state_is b 1/2waiting
	ipc-barrier status b | grep -q 'action runs'
	fails 1 ipc-barrier wait -t 20ms b
	echo >"$TMP/gate"
	finish $first
	finish $second
	[ ! -e "$TMP/first" ]
}

@test "a COMMAND that fails breaks it, and its status is ours" {
	background ipc-barrier wait b 2; first=$!
	until_true state_is b 1/2waiting
	fails 42 ipc-barrier wait b -- sh -c 'exit 42'
	finish $first 6
	fails 6 ipc-barrier wait b -- true
	ipc-barrier reset b
	fails 127 ipc-barrier wait b -- "$TMP/nothing"
	fails 126 ipc-barrier wait b -- "$TMP"
	fails 2 ipc-barrier wait b --
	state_is b 0/2waiting
}

@test "a last one killed while its COMMAND runs gives its place back and ends COMMAND" {
	background ipc-barrier wait b 2; first=$!
	until_true state_is b 1/2waiting
	background ipc-barrier wait b -- sh -c "echo \$\$ >'$TMP/pid'; exec sleep 1000"; second=$!
	until_true test -s "$TMP/pid"
	kill -KILL $second
	until_true gone "$(cat "$TMP/pid")"
	state_is b 1/2waiting
	[ "$(ipc-barrier wait b)" = 1 ]
	finish $first
}

@test "a waiter that dies during COMMAND has not arrived" {
	mkfifo "$TMP/gate"
	background ipc-barrier wait b 2; first=$!
	until_true state_is b 1/2waiting
	background ipc-barrier wait b -- sh -c "touch '$TMP/runs'; read -r x <'$TMP/gate'"; second=$!
	until_true test -e "$TMP/runs"
	kill -KILL $first
	until_true state_is b 0/2waiting
	echo >"$TMP/gate"
	until_true state_is b 1/2waiting
	[ "$(ipc-barrier wait b)" = 1 ]
	finish $second
}

@test "abort reaches who waits while COMMAND runs, and the one who runs it" {
	mkfifo "$TMP/gate"
	background ipc-barrier wait b 2; first=$!
	until_true state_is b 1/2waiting
	background ipc-barrier wait b -- sh -c "touch '$TMP/runs'; read -r x <'$TMP/gate'"; second=$!
	until_true test -e "$TMP/runs"
	ipc-barrier abort b
	finish $first 6
	echo >"$TMP/gate"
	finish $second 6
}

@test "stopped and continued, a waiter is still there; released meanwhile, it passes" {
	background ipc-barrier wait b 2; first=$!
	until_true blocked $first
	kill -STOP $first
	[ "$(ipc-barrier wait b)" = 1 ]
	for _ in 1 2 3; do fails 1 ipc-barrier wait -n b; done
	kill -CONT $first
	finish $first
}

@test "stopped and then killed, a waiter has not arrived" {
	background ipc-barrier wait b 2; first=$!
	until_true blocked $first
	kill -STOP $first
	state_is b 1/2waiting
	kill -KILL $first
	until_true state_is b 0/2waiting
	fails 1 ipc-barrier wait -n b
}

@test "a waiter uses no CPU" {
	background ipc-barrier wait b 3; first=$!
	background ipc-barrier wait -t 1h b 3; second=$!
	until_true state_is b 2/3waiting
	until_true blocked $first
	until_true blocked $second
	before=$(switches $first $second)
	for _ in {1..100}; do ipc-barrier status b >/dev/null; done
	[ "$(switches $first $second)" = "$before" ]
}

@test "other PARTIES, other kinds, no PARTIES, raw keys" {
	ipc-barrier create b 2
	ipc-barrier create b 2
	fails 7 ipc-barrier create b 3
	[ "${stderr%%$'\n'*}" = "ipc-barrier: b: it has 2 parties, not 3" ]
	[[ $stderr == *"hint: use another name"* ]]
	fails 7 ipc-barrier wait b 3
	fails 7 ipc-send b x
	fails 3 ipc-barrier wait c
	[[ $stderr == *"hint: the first to use a barrier says how many PARTIES"* ]]
	fails 3 ipc-barrier wait --no-create c 2
	fails 3 ipc-barrier abort c
	fails 3 ipc-barrier status c
	fails 2 ipc-barrier wait key:5 2
	[[ $stderr == *"hint: key:, id: and ftok: reach"* ]]
	for wrong in 0 -1 x 31001 ''; do fails 2 ipc-barrier create c "$wrong"; done
	fails 2 ipc-barrier create c
	fails 2 ipc-barrier status b 2
	fails 2 ipc-barrier wait
}

@test "removal wakes waiters with 3; in use is refused with who" {
	background ipc-barrier wait b 2; first=$!
	until_true state_is b 1/2waiting
	fails 7 ipc-rm b
	[[ $stderr == *"$first waits"* ]]
	ipc-barrier status b | grep -q "process $first, index 0"
	ipc-rm -f b
	finish $first 3
}

@test "another user needs permission" {
	need_root "a second user"
	ipc-barrier create b 2
	fails 4 as 1000 ipc-barrier wait root/b
	[[ $stderr == *"hint: it belongs to user 0"* ]]
	ipc-barrier create -m 666 c 2
	background as 1000 ipc-barrier wait root/c
	until_true state_is c 1/2waiting
	[ "$(ipc-barrier wait c)" = 1 ]
}

@test "a set over the kernel's limit exits 5 and names the sysctl" {
	old=$(sysctl -n kernel.sem)
	sysctl -qw kernel.sem="40 32000 500 128"
	run --separate-stderr ipc-barrier create b 100
	sysctl -qw kernel.sem="$old"
	[ "$status" -eq 5 ]
	[[ $stderr == *"hint: "*SEMMSL* ]]
}

@test "a closed stdout is an error" {
	fails 8 sh -c 'ipc-barrier wait b 1 >/dev/full'
}

@test "COMMAND's status is known where SIGCHLD is ignored" {
	[ "$(env --ignore-signal=CHLD ipc-barrier wait b 1 -- true)" = 0 ]
	fails 3 env --ignore-signal=CHLD ipc-barrier wait b 1 -- sh -c 'exit 3'
}
