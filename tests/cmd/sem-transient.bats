#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# sem-transient.bats - semaphores that are removed when no process uses them

bats_require_minimum_version 1.5.0
load ../helper

value_is() {
	[ "$(ipc-sem get "$1")" = "$2" ]
}

exits() {
	local status=0
	"${@:2}" >/dev/null 2>&1 || status=$?
	[ $status = "$1" ]
}

# Both by its name and in the list.
is_gone() {
	exits 3 ipc-sem get "$1" && exits 3 ipc-ls "$1"
}

@test "status and ipc-ls show that it is transient" {
	ipc-sem create --transient -c 2 m
	[ "$(ipc-sem status -J m | jq .transient)" = true ]
	ipc-sem status m | grep -qx "transient: yes"
	[ "$(field m STATE)" = 2/2free,transient ]
	ipc-sem create normal
	[ "$(ipc-sem status -J normal | jq .transient)" = false ]
	# The option is of no consequence for a semaphore that exists.
	ipc-sem run --transient normal -- true
	[ "$(field normal STATE)" = 1/1free ]
}

@test "release, and the end of a keeper, remove it" {
	ipc-sem acquire --transient -P $$ m
	[ "$(ipc-sem status -J m | jq -c '[.transient, .held]')" = "[true,1]" ]
	ipc-sem release -P $$ m
	fails 3 ipc-sem get m
	background sleep 1000; owner=$!
	ipc-sem acquire --transient -c 2 -P $owner m
	ipc-sem acquire -P $$ m
	kill -KILL $owner
	until_true value_is m 1
	ipc-sem release -P $$ m
	fails 3 ipc-sem get m
	# The keeper itself, without a command after it.
	background sleep 1000; owner=$!
	ipc-sem acquire --transient -P $owner m
	kill -KILL $owner
	until_true is_gone m
}

@test "after run it is removed by the next command that can, by --stale, or to make room" {
	need_root sysctl
	ipc-sem run --transient m -- true
	value_is m 1
	ipc-rm -v --stale --older-than=0 | grep -q 'semaphore m: it is transient, and no process uses it'
	fails 3 ipc-sem get m
	for i in 1 2 3; do ipc-sem run --transient "m$i" -- true; done
	background ipc-sem run m2 -- sleep 1000; holder=$!
	until_true value_is m2 0
	# The registry has a set of its own.
	sysctl -q -w kernel.sem="32000 1024000000 500 $(awk 'END { print NR - 1 }' /proc/sysvipc/sem)"
	ipc-sem create new
	sysctl -q -w kernel.sem="32000 1024000000 500 32000"
	value_is new 1
	value_is m2 0
	fails 3 ipc-sem get m1
	fails 3 ipc-sem get m3
	kill -KILL $holder
}

# The pid of the process in background that strace has stopped at its first call of shmat(2).
stopped_child() {
	grep -q 'stopped by SIGSTOP' "$TMP/trace" && pgrep -P "$1"
}

@test "a process whose semaphore is removed before it takes units creates it again" {
	need strace
	need pgrep
	for verb in run acquire; do
		[ $verb = run ] && set -- run --transient m -- true || set -- acquire --transient -P $$ m
		ipc-sem create --transient m
		background strace -o "$TMP/trace" -e trace=shmat -e inject=shmat:signal=STOP:when=1 ipc-sem "$@"; tracer=$!
		until_true stopped_child $tracer
		ipc-rm --stale --older-than=0
		fails 3 ipc-sem get m
		kill -CONT "$(stopped_child $tracer)"
		finish $tracer
		[ "$(ipc-sem status -J m | jq -c '[.transient, .held]')" = "[true,$([ $verb = run ] && echo 0 || echo 1)]" ]
	done
	ipc-sem release -P $$ m
	is_gone m
}

@test "a semaphore that is not transient stays" {
	ipc-sem create normal
	ipc-sem run normal -- true
	ipc-rm --stale --older-than=0
	value_is normal 1
}

@test "held, waited for, or with consumed units it stays" {
	ipc-sem create --transient -c 2 --value=1 consumed
	ipc-rm --stale --older-than=0
	value_is consumed 1
	ipc-sem post consumed
	ipc-rm --stale --older-than=0
	fails 3 ipc-sem get consumed
	background ipc-sem run --transient m -- sleep 1000; holder=$!
	until_true value_is m 0
	background ipc-sem run m -- sleep 1000; waiter=$!
	until_true blocked $waiter
	ipc-rm --stale --older-than=0
	kill -KILL $holder
	until_true sh -c '[ "$(ipc-sem status -J m | jq .waiters)" = 0 ]'
	ipc-rm --stale --older-than=0
	value_is m 0
	kill -KILL $waiter
}

@test "many users at once: each gets it, none finds it removed" {
	local pids=()
	for _ in {1..20}; do
		background bash -c 'for i in {1..8}; do ipc-sem acquire --transient m && ipc-sem release m || exit; done'
		pids+=($!)
	done
	for pid in "${pids[@]}"; do finish "$pid"; done
	until_true is_gone m
}
