#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# waiting.bats - waits that are explained, and waits that would never end
bats_require_minimum_version 1.5.0
load ../helper

value_is() {
	[ "$(ipc-sem get "$1")" = "$2" ]
}

stopped() {
	grep -q '^State:.[Tt]' /proc/"$1"/status
}

# reports PATTERN COMMAND...: COMMAND, which has -v, prints within the deadline one line about its wait.
reports() {
	local pattern=$1 waiter
	shift
	: >"$TMP/err"
	background "$@" 2>"$TMP/err" >/dev/null; waiter=$!
	until_true grep -q waiting "$TMP/err"
	kill -KILL $waiter; wait $waiter || true
	echo "$*: $(cat "$TMP/err")"
	# shellcheck disable=SC2053 # a pattern
	[[ "$(grep waiting "$TMP/err")" = $pattern ]]
	[ "$(grep -c waiting "$TMP/err")" = 1 ]
}

hold() {
	background ipc-sem run "$@" -- sleep 1000; holder=$!
	until_true value_is "${1}" 0
}

@test "ipc-sem reports the process that holds the units, and since when" {
	hold m
	local line="ipc-sem: m: waiting for 1 unit; 0 of 1 are free; process $holder (sleep 1000) holds 1 since 20*"
	reports "$line" ipc-sem run -v m -- true
	reports "$line" ipc-sem wait -v m
	reports "$line" ipc-sem acquire -v m -P $$
	ipc-sem create -c 32767 rw; background ipc-sem run -s rw -- sleep 1000
	until_true value_is rw 32766
	reports "*: waiting for an exclusive lock; 32766 of 32767 are free; process $! (sleep 1000) holds 1 since*" \
		ipc-sem acquire -v -x rw -P $$
}

@test "a stopped holder, and a holder that is an ancestor, are reported as such" {
	hold m
	kill -STOP $holder; until_true stopped $holder
	reports "*process $holder (sleep 1000), which is stopped, holds 1*" ipc-sem wait -v m
	kill -KILL $holder; until_true value_is m 1
	background ipc-sem run m -- sh -c 'ipc-sem wait -v m 2>"$1"; true' x "$TMP/nested"
	until_true grep -q "which is an ancestor of this process, holds 1" "$TMP/nested"
}

@test "a stopped process at the head of the wait queue is reported" {
	hold m
	background ipc-sem wait m; first=$!
	until_true blocked $first
	kill -STOP $first; until_true stopped $first
	reports "*; process $first, first in the wait queue, is stopped" ipc-sem wait -v m
	ipc-sem status m | grep -q "^process $first, first in the wait queue, is stopped"
	[ "$(ipc-sem status -J m | jq -c '[.first_waiter, .first_waiter_stopped]')" = "[$first,true]" ]
	fails 1 ipc-doctor --peer=$$ --root="$TMP" --interval=0
	[[ "$output" = *"m: process $first (ipc-sem wait m) is stopped and is first in its wait queue"*"fix: kill -CONT $first" ]]
	kill -CONT $first; until_true blocked $first
	fails 0 ipc-doctor --peer=$$ --root="$TMP" --interval=0
}

@test "ipc-shm, ipc-event, ipc-barrier and ipc-pipe report what they wait for" {
	ipc-shm create v -T i64
	background ipc-shm lock v -- sleep 1000; holder=$!
	until_true eval '[ "$(ipc-shm status v -J | jq .locked_by)" -gt 0 ]'
	reports "ipc-shm: v: waiting for the lock: process $holder (sleep 1000) holds it; 1 process waits for it" \
		ipc-shm lock -v v -- true
	ipc-shm set v 1
	ipc-event clear e; ipc-barrier create b 3
	reports "ipc-event: e: waiting until the event is set; 1 process waits for it" ipc-event wait -v e
	reports "ipc-pipe: p: waiting for a reader (ipc-pipe read)" ipc-pipe write -v p
	reports "ipc-pipe: p: waiting for a writer (ipc-pipe write)" ipc-pipe read -v p
	reports "ipc-shm: v: waiting until the value at index 0 is gt 5; it is 1" ipc-shm wait -v v gt 5
	background ipc-barrier wait b; until_true eval '[ "$(ipc-barrier status -J b | jq .waiting)" = 1 ]'
	reports "ipc-barrier: b: waiting for 1 more of 3 parties; process * (ipc-barrier wait b) has arrived" ipc-barrier wait -v b
}

@test "ipc-recv and ipc-send report what they wait for" {
	ipc-send q x
	reports "ipc-recv: q: waiting for a message of the selected type; there is 1 of other types" ipc-recv -v -T 5 q
	ipc-recv q
	reports "ipc-recv: q: waiting for a message" ipc-recv -v q
	while ipc-send -n q "$(printf %01000d 1)"; do :; done
	reports "ipc-send: q: waiting for room in the queue: it holds * messages with * of * bytes" ipc-send -v q "$(printf %01000d 1)"
}

# tmux and the like are terminals; a file and a pipe are none.
@test "a wait is reported on a terminal without -v, and never with -q" {
	hold m
	background script -qfec 'ipc-sem wait m' "$TMP/terminal"
	until_true grep -q "waiting for 1 unit" "$TMP/terminal"
	run -1 script -qfec 'ipc-sem wait -q -t 2s m' "$TMP/quiet"
	run -1 grep -q waiting "$TMP/quiet"
	fails 1 ipc-sem wait -t 2s m
	[[ "$stderr" != *waiting* ]]
}

@test "the party that runs COMMAND reports no wait for itself" {
	background ipc-barrier wait b 2 -- true
	until_true eval '[ "$(ipc-barrier status -J b | jq .waiting)" = 1 ]'
	mkfifo "$TMP/go"
	background ipc-barrier wait -v b 2 -- sh -c 'read -r x <"$0"' "$TMP/go" 2>"$TMP/last"; last=$!
	until_true eval '[ "$(ipc-barrier status -J b | jq .action)" = true ]'
	# The thread would have reported by the time that a party which arrives now has done so.
	ipc-event clear e
	reports "ipc-event: e: waiting until *" ipc-event wait -v e
	echo >"$TMP/go"
	finish $last
	[ "$(grep -c waiting "$TMP/last")" = 0 ]
}

@test "a wait that ends within a second is not reported" {
	hold m
	fails 1 ipc-sem wait -v -t 100ms m
	[[ "$stderr" != *waiting* ]]
}

@test "a process that would wait for itself fails at once with status 7" {
	ipc-sem acquire -P $$ m
	fails 7 timeout 20 ipc-sem acquire -P $$ m
	[[ "$stderr" = *"process $$ holds 1 of its 1 units and would wait for itself"*"hint: "* ]]
	fails 1 ipc-sem acquire -n -P $$ m
	fails 1 ipc-sem acquire -t 0 -P $$ m
	ipc-sem acquire -s -P $$ rw
	fails 7 timeout 20 ipc-sem acquire -x -P $$ rw
	ipc-sem acquire -s -P $$ rw # shared locks do not exclude each other
	ipc-sem create -c 3 some; ipc-sem acquire -u 2 -P $$ some
	fails 7 timeout 20 ipc-sem acquire -u 2 -P $$ some
	ipc-sem acquire -u 1 -P $$ some
	background ipc-sem run other -- sh -c 'exec ipc-sem run other -- true'
	finish $! 7
}

# ---- deadlock -------------------------------------------------------------------

deadlock() {
	ipc-doctor --peer=$$ --root="$TMP" --interval=0 -J | jq -r '.findings[] | select(.check == "deadlock") | .message'
}

# Whether ipc-doctor succeeds and finds $1 deadlocks.
deadlocked() {
	local count
	count=$(ipc-doctor --peer=$$ --root="$TMP" --interval=0 -J >"$TMP/findings" || [ $? = 1 ] || exit
		jq '[.findings[] | select(.check == "deadlock")] | length' "$TMP/findings") && [ "$count" = "$1" ]
}

# party HELD WANTED: a script that acquires HELD and, when $TMP/go exists, acquires WANTED too.
party() {
	background bash -c "ipc-sem acquire $1 && touch '$TMP/has.$1'; until [ -e '$TMP/go' ]; do sleep 0.02; done; ipc-sem acquire $2; exit"
	party=$!
	until_true test -e "$TMP/has.$1"
}

@test "ipc-doctor reports two processes that wait for each other" {
	party m n; first=$party
	party n m; second=$party
	deadlocked 0
	touch "$TMP/go"
	until_true deadlocked 1
	message=$(deadlock)
	[[ "$message" = *"process $first (bash -c "*" holds m and waits for n"* ]]
	[[ "$message" = *"process $second (bash -c "*" holds n and waits for m"* ]]
	fails 1 ipc-doctor --peer=$$ --root="$TMP" --interval=0
	[[ "$output" = *"; advice: end one of these processes" ]]
	kill -KILL $second; until_true deadlocked 0
}

@test "ipc-doctor reports a deadlock of three, once, and of nested runs" {
	background ipc-sem run m -- sh -c 'until [ -e "$0/go" ]; do sleep 0.02; done; ipc-sem run n -- true; true' "$TMP"
	background ipc-sem run n -- sh -c 'until [ -e "$0/go" ]; do sleep 0.02; done; ipc-sem run o -- true; true' "$TMP"
	background ipc-sem run o -- sh -c 'until [ -e "$0/go" ]; do sleep 0.02; done; ipc-sem run m -- true; true' "$TMP"
	until_true value_is o 0; until_true value_is n 0; until_true value_is m 0
	touch "$TMP/go"
	until_true deadlocked 1
}

@test "ipc-doctor reports a deadlock although a wait in it has a timeout" {
	background ipc-sem run m -- sh -c 'ipc-sem run -t 1h m -- true; true'
	until_true deadlocked 1
}

@test "ipc-doctor reports a process that waits for its own waiting parent" {
	background ipc-sem run m -- sh -c 'ipc-sem run m -- true; true'
	until_true deadlocked 1
	[[ "$(deadlock)" = *"holds m and waits for m" ]]
}

@test "ipc-doctor reports two shared holders that both want the lock exclusively" {
	for _ in a b; do
		background ipc-sem run -s rw -- sh -c 'until [ -e "$0/go" ]; do sleep 0.02; done; ipc-sem run -x rw -- true; true' "$TMP"
	done
	until_true value_is rw 32765
	touch "$TMP/go"
	until_true deadlocked 1
	[ "$(deadlock | grep -o 'holds rw and waits for rw' | wc -l)" = 2 ]
}

@test "ipc-doctor reports a deadlock between a semaphore and the lock of a memory" {
	ipc-shm create v -T i64
	background ipc-sem run m -- sh -c 'until [ -e "$0/go" ]; do sleep 0.02; done; ipc-shm lock v -- true; true' "$TMP"
	background ipc-shm lock v -- sh -c 'until [ -e "$0/go" ]; do sleep 0.02; done; ipc-sem run m -- true; true' "$TMP"
	until_true value_is m 0; until_true eval '[ "$(ipc-shm status v -J | jq .locked_by)" -gt 0 ]'
	touch "$TMP/go"
	until_true deadlocked 1
}

@test "no deadlock is reported where a holder goes on, a unit is free or consumed" {
	hold m
	background ipc-sem run n -- sh -c 'ipc-sem run m -- true; true'
	until_true value_is n 0
	background ipc-sem run n -- true; waiter=$!; until_true blocked $waiter
	deadlocked 0
	# The shell waits for sleep too, so that it goes on when sleep ends.
	ipc-sem create -c 2 two; ipc-sem wait two
	background ipc-sem run two -- sh -c 'ipc-sem run two -- true; true'
	until_true value_is two 0
	until_true eval '[ "$(ipc-sem status two -J | jq .waiters)" = 1 ]'
	deadlocked 0
	background ipc-sem run o -- sh -c 'ipc-sem run o -- true & sleep 1000; true'
	until_true eval '[ "$(ipc-sem status o -J | jq .waiters)" = 1 ]'
	deadlocked 0
}
