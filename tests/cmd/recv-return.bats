#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# ipc-recv returns what it cannot write, although a sender keeps the queue full.

load ../helper
export DEADLINE

# Send the numbers from 1 to $2 to queue $1 in the background, so that it is full until they are received.
keep_full() {
	seq "$2" >"$TMP/numbers"
	background ipc-send -q "$1" <"$TMP/numbers"
	sender=$!
	until_true is_full "$1"
}

is_full() {
	[ "$(ipc-ls --noheadings -o USE "$1" | tr -d ' ')" = sends ]
}

has_returned() {
	ipc-ls -a | grep -q 'messages returned to a full queue'
}

return_some() {
	# Whether the queue is full when messages return depends on how fast the sender is.
	fails 8 bash -c 'exec timeout "$DEADLINE" ipc-recv -f "$0" >/dev/full' "$1"
	[[ $stderr != *lost* ]]
	has_returned
}

# What is received are the numbers from 1 to $2, each once.
all_there() {
	ipc-recv -q -c "$2" -t 20s "$1" >"$TMP/received"
	[ "$(sort -n "$TMP/received" | uniq -c | awk '$1 == 1' | wc -l)" -eq "$2" ]
	finish $sender
	fails 1 ipc-recv -n "$1"
}

@test "a full disk loses nothing, and delays nothing" {
	local sender
	keep_full q1 50000
	fails 8 bash -c 'timeout "$DEADLINE" ipc-recv -f q1 >/dev/full'
	[[ $stderr != *lost* ]]
	[[ $stderr != *"filled up"* ]]
	fails 8 bash -c 'timeout "$DEADLINE" ipc-recv q1 q2 >/dev/full'
	[[ $stderr != *lost* ]]
	all_there q1 50000
}

# The pipe that is file descriptor 9 holds all it can.
pipe_is_full() {
	perl -e 'vec(my $write, 0, 1) = 1; exit(select(undef, $write, undef, 0))' <&9
}

@test "SIGTERM while stdout takes nothing loses nothing" {
	local sender receiver
	mkfifo "$TMP/out"
	exec 9<>"$TMP/out"
	keep_full q1 100000
	background bash -c 'exec ipc-recv -f q1 >"$0" 2>"$1"' "$TMP/out" "$TMP/errors"
	receiver=$!
	until_true pipe_is_full
	until_true is_full q1
	kill -TERM $receiver
	finish $receiver 143
	[ ! -s "$TMP/errors" ]
	# What the pipe took was delivered; the rest comes from the queue.
	perl -MFcntl -e 'fcntl(STDIN, F_SETFL, O_NONBLOCK); print $b while sysread(STDIN, $b, 65536)' <&9 >"$TMP/piped"
	exec 9>&-
	ipc-recv -q -f -t 2s q1 >"$TMP/received" || [ $? -eq 1 ]
	finish $sender
	[ -s "$TMP/piped" ]
	seq 100000 | sort >"$TMP/sent"
	[ -z "$(sort -u "$TMP/piped" "$TMP/received" | comm -13 - "$TMP/sent")" ]
	[ -z "$(uniq -d <(sort "$TMP/received"))" ]
}

@test "messages that have returned are counted, shown, and removed with their queue" {
	local sender
	keep_full q1 50000
	until_true return_some q1
	kill -KILL $sender
	finish $sender 137
	local there
	there=$(ipc-recv -p -a q1 | wc -l)
	[ "$(field q1 MESSAGES)" -eq "$there" ]
	[ "$(ipc-recv -a q1 | wc -l)" -eq "$there" ]
	has_returned
	ipc-rm q1
	[ "$(ipc-ls -a | grep -c 'messages returned')" -eq 0 ]
}

@test "ipc-rm and ipc-doctor know the second queue" {
	local sender id
	keep_full q1 50000
	until_true return_some q1
	id=$(ipc-ls -a -J | jq '.objects[] | select(.state == "messages returned to a full queue") .id' | head -1)
	fails 7 ipc-rm -k queue "id:$id"
	[[ $stderr == *"messages returned to a full queue: they would be lost"* ]]
	ipc-rm --stale --older-than=0
	all_there q1 50000
}

fill_second() {
	return_some q1
	ipcs -q | awk '$4 == 611 && $5 > 14000 { found = 1 } END { exit !found }'
}

@test "ipc-doctor gives no advice about a full second queue" {
	local sender advice
	keep_full q1 50000
	until_true fill_second
	kill -KILL $sender
	finish $sender 137
	advice=$(ipc-doctor --interval=0 || true)
	[[ $advice == *"q1: "*"senders will wait"* ]]
	[[ $advice != *"key:"*"senders will wait"* ]]
	ipc-rm q1
}

@test "what returned to a queue that other programs removed with its registry is not received" {
	local sender
	keep_full q1 50000
	until_true return_some q1
	kill -KILL $sender
	finish $sender 137
	ipcrm -q "$(field q1 ID)" -m "$(ipc-ls -a -J | jq '.objects[] | select(.state | startswith("registry")) .id')"
	fails 1 ipc-recv -n q1
	[ "$(ipc-ls -a | grep -c 'messages returned')" -eq 0 ]
}

@test "another user who may receive and send returns messages, too" {
	need_root "becomes other users"
	local sender
	as 1000 ipc-send -m 666 q1 </dev/null
	keep_full 1000/q1 50000
	fails 8 as 1001 bash -c 'exec timeout "$DEADLINE" ipc-recv -f 1000/q1 >/dev/full'
	[[ $stderr != *lost* ]]
	all_there 1000/q1 50000
	as 1000 ipc-rm q1
}

@test "root returns messages to the queue of a user, who receives them" {
	need_root "becomes another user"
	local sender
	as 1000 ipc-send q1 </dev/null
	keep_full 1000/q1 50000
	until_true return_some 1000/q1
	as 1000 ipc-recv -q -c 50000 -t 20s q1 >"$TMP/received"
	[ "$(sort -n "$TMP/received" | uniq | wc -l)" -eq 50000 ]
	finish $sender
	as 1000 ipc-rm q1
	[ "$(ipc-ls -a | grep -c 'messages returned')" -eq 0 ]
}

# Receive from a queue without a key, with its identifier in $id, and OPTION...: stdout takes nothing until the queue is full
# again, and then fails. The receiver is $receiver; its errors are in $TMP/errors.
receive_private() {
	local reader
	id=$(perl -MIPC::SysV=IPC_PRIVATE -e 'print msgget(IPC_PRIVATE, 0600)')
	keep_full "id:$id" 30000
	mkfifo "$TMP/out"
	background bash -c 'exec sleep 1000 <"$0"' "$TMP/out"
	reader=$!
	head -c 65536 /dev/zero >"$TMP/out"
	background bash -c 'exec ipc-recv "${@:2}" >"$0" 2>"$1"' "$TMP/out" "$TMP/errors" "$@" "id:$id"
	receiver=$!
	until_true received_from_full
	kill -KILL $reader
	finish $reader 137
}

received_from_full() {
	ipcs -q -p | grep -Eq "^$id .* $receiver\$" && is_full "id:$id"
}

@test "a queue without a key: the wait for room ends at the timeout, and the loss is reported" {
	local id receiver sender
	receive_private -t 200ms
	finish $receiver 8
	grep -q "the queue has filled up while a message is to be put back" "$TMP/errors"
	grep -q "1 message is lost" "$TMP/errors"
	ipc-rm -f -k queue "id:$id"
}

@test "a queue without a key: a second signal ends the wait for room" {
	local id receiver sender
	receive_private
	until_true grep -q 'filled up' "$TMP/errors"
	kill -TERM $receiver
	kill -INT $receiver
	finish $receiver 143
	grep -q '1 message is lost' "$TMP/errors"
	ipc-rm -f -k queue "id:$id"
}
