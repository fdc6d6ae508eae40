#!/usr/bin/env bats
# SPDX-License-Identifier: MIT

bats_require_minimum_version 1.5.0
load ../helper

state_is() {
	[ "$(field "$1" STATE)" = "$2" ]
}

@test "wait until it is set, and never after" {
	background ipc-event wait e; first=$!
	background ipc-event wait e; second=$!
	until_true state_is e notset,2waiting
	[ "$(ipc-event status e)" = "not set, 2 waiting" ]
	ipc-event set e
	finish $first
	finish $second
	ipc-event wait -n e
	state_is e set
	[ "$(ipc-event status -J e)" = '{"event":"e","set":true,"waiting":0}' ]
	ipc-event clear e
	ipc-event clear e
	fails 1 ipc-event wait -n e
	state_is e notset
}

@test "pulse lets those through who wait, and nobody else" {
	background ipc-event wait e; first=$!
	until_true state_is e notset,1waiting
	ipc-event pulse e
	finish $first
	fails 1 ipc-event wait -n e
	ipc-event set e
	ipc-event pulse e
	ipc-event wait -n e
}

@test "a pulse while a waiter is stopped is not missed" {
	background ipc-event wait e; first=$!
	until_true state_is e notset,1waiting
	kill -STOP $first
	until_true state_is e notset
	ipc-event pulse e
	kill -CONT $first
	finish $first
}

@test "timeouts are silent and exact, with a status of choice" {
	start=$(date +%s%N)
	fails 1 ipc-event wait -t 200ms e
	took=$((($(date +%s%N) - start) / 1000000))
	[ -z "$output$stderr" ]
	[ $took -ge 200 ]
	fails 0 ipc-event wait -n -E 0 e
	fails 1 ipc-event wait -v -t 1ms e
	[ "$stderr" = "ipc-event: e: timed out" ]
}

@test "a waiter uses no CPU" {
	background ipc-event wait e; first=$!
	background ipc-event wait -t 1h e; second=$!
	until_true state_is e notset,2waiting
	before=$(switches $first $second)
	for _ in {1..100}; do ipc-event status e >/dev/null; done
	# It looks by itself every half minute.
	[ $(($(switches $first $second) - before)) -le 2 ]
}

@test "killed waiters leave nothing behind" {
	for _ in 1 2 3; do background ipc-event wait e; done
	until_true state_is e notset,3waiting
	kill -KILL "${CHILDREN[@]}"
	until_true state_is e notset
	fails 1 ipc-event wait -n e
}

@test "who may read may wait, but not set" {
	need_root "a second user"
	ipc-event clear -m 644 e
	fails 1 as 1000 ipc-event wait -n root/e
	fails 4 as 1000 ipc-event set root/e
	[[ $stderr == *"hint: it belongs to user 0"* ]]
	ipc-event set e
	as 1000 ipc-event wait root/e
	ipc-event clear f
	fails 4 as 1000 ipc-event wait root/f
}

@test "usage, absence, conflict, removal" {
	fails 2 ipc-event
	fails 2 ipc-event jump e
	fails 2 ipc-event set
	fails 2 ipc-event set e f
	fails 2 ipc-event wait -t '' e
	fails 2 ipc-event set id:5
	fails 3 ipc-event wait --no-create e
	fails 3 ipc-event status e
	ipc-send q x
	fails 7 ipc-event set q
	[[ $stderr == *"it is a queue, not an event"* ]]
	background ipc-event wait e; first=$!
	until_true state_is e notset,1waiting
	fails 7 ipc-rm e
	[[ $stderr == *"$first waits"* ]]
	ipc-rm -f e
	finish $first 3
	ipc-event set e
	fails 8 sh -c 'ipc-event status e >/dev/full'
}
