#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# hostile-text.bats - text that another user chose gives a terminal no orders

bats_require_minimum_version 1.5.0
load ../helper

# Control characters of C0 and C1, DEL, bidirectional controls, a byte that is not UTF-8, and C1 in one byte. A NUL cannot be in
# an argument; the two arguments joined by a space hold the two halves of a C1 character.
EVIL=$'a\e[31m\x7f\xc2\x80\xc2\x9b31m\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\xd8\x9cz'
BYTES=$'\x9b31m\xff\xc2'

# safe FILE: no byte in it gives orders; \n separates lines.
safe() {
	if grep -aP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xd8\x9c' "$1" ||
		! iconv -f UTF-8 -t UTF-8 "$1" >/dev/null; then
		od -c "$1" | head -n 40 >&2
		return 1
	fi
}

# shows COMMAND...: run it; its output and its errors are safe and not empty.
shows() {
	local status=0
	"$@" >"$TMP/shown" 2>&1 || status=$?
	[ -s "$TMP/shown" ] && [ $status -le 8 ] && safe "$TMP/shown"
}

# named PID WORD: the process runs with that word as an argument.
named() {
	tr '\0' '\n' <"/proc/$1/cmdline" | grep -aqF -- "$2"
}

# A holder of one unit of m with the words of evil in its command line; its process is $!.
hold() {
	background ipc-sem run m -- perl -e 'sleep 1000' "$@"
	until_true grep -q perl /proc/$!/comm
}

@test "the command lines of holders, in every status and error" {
	ipc-sem create -c 9 m
	hold "$EVIL"
	hold "$BYTES" $'\x9b31m'
	shows ipc-sem status m
	grep -q perl "$TMP/shown"
	shows ipc-sem status -J m
	[ "$(jq '.holders | length' "$TMP/shown")" = 2 ]
	fails 7 ipc-rm m
	[[ $stderr == *perl* ]]
	shows ipc-rm m
	shows ipc-ls -o +PIDS,USE,COMMAND m
	grep -q perl "$TMP/shown"
	shows ipc-ls -J -o NAME,COMMAND m
	jq -e '.objects[0].command | length == 2' "$TMP/shown"
}

@test "the command line of the holder of a memory's lock, and of a process that waits" {
	ipc-shm create m 100
	background ipc-shm lock m -- perl -e 'sleep 1000' "$EVIL" "$BYTES"
	until_true grep -q perl /proc/$!/comm
	shows ipc-shm status m
	grep -q perl "$TMP/shown"
	shows ipc-shm status -J m
	shows ipc-rm m
	ipc-sem create q
	background perl -e '$0 = shift; my $id = semget(hex shift, 0, 0) // die; semop($id, pack("s!3", 0, -5, 0))' \
		"waits $EVIL $BYTES" "$(field q KEY)"; waiter=$!
	until_true blocked $waiter
	shows ipc-rm q
	shows ipc-ls -J -a -o +COMMAND
	shows ipc-ls -a -o +COMMAND
}

# shellcheck disable=SC2086 # commands are lists of words
@test "bodies of messages and paths with --json" {
	local text=$EVIL path
	ipc-send q "$text"
	ipc-recv -p -J q >"$TMP/shown"
	safe "$TMP/shown"
	# It is the same text for a program that reads the JSON.
	[ "$(jq -r .body "$TMP/shown")" = "$text" ]
	ipc-recv -J q >"$TMP/shown"
	safe "$TMP/shown"
	# Plain output is data.
	ipc-send q "$text"
	[ "$(ipc-recv q)" = "$text" ]
	path="$TMP/$text"
	touch "$path"
	for command in "ipc-send --create" "ipc-sem create --create" "ipc-shm create --create"; do
		shows $command -v "ftok:$path" 9 || true
	done
	for command in "ipc-sem status" "ipc-sem status -J" "ipc-shm status" "ipc-shm status -J" "ipc-barrier status" \
		"ipc-event status" "ipc-pipe read -n" "ipc-recv -n" "ipc-ls" "ipc-ls -J" "ipc-rm --dry-run"; do
		shows $command "ftok:$path"
		shows $command "$path"
		shows $command "$text" "$text" "$text"
	done
	shows ipc-sem "$text"
	for command in queue semaphore memory; do ipc-rm -qf -k $command "ftok:$path"; done
}

# entry REGISTRY NAME: give the first entry of user 1000 the name, with a key of it, and have the whole index lead there.
entry() {
	local chunk i
	for i in 0 64; do scribble "$1" $((4096 + 262144 + 72 + i + 4)) "$(key_of 1000 "$2")"; done
	scribble "$1" $((4096 + 262144 + 8)) "$(printf '%s\0' "$2" | od -An -tx1 -v | tr -d ' \n')"
	chunk=$(printf '01000000%.0s' {1..8192})
	for i in 0 1 2 3 4 5 6 7; do scribble "$1" $((4096 + i * 32768)) "$chunk"; done
}

@test "names in the registry of another user, and in a damaged one" {
	need_root "becomes another user"
	local registry name
	as 1000 ipc-sem create q1
	ipc-send mine x
	registry=$(ipc-ls --user=1000 -a -k memory --noheadings -o KEY,STATE | sed -n 's/ *registry of names.*//p')
	for name in "$EVIL" "$BYTES"; do
		entry "$registry" "$name"
		shows ipc-ls -a
		shows ipc-ls -J -a
		jq -e . "$TMP/shown"
		shows ipc-ls -J --user=1000
		shows ipc-doctor --interval=0 --older-than=0
		shows ipc-doctor -J --interval=0 --older-than=0
		jq -e . "$TMP/shown"
		shows as 1000 ipc-rm --dry-run --all
		as 1000 ipc-rm --dry-run --stale &>"$TMP/shown" || true
		safe "$TMP/shown"
	done
	ipcrm --all
}
