#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# sem-refused.bats - what ipc-sem refuses, and that it changes nothing then

bats_require_minimum_version 1.5.0
load ../helper

# Sets on keys are no names, which the teardown of all tests removes.
teardown_sets() {
	ipc-rm -qf key:70 key:71
}

# How many sets there are.
sets() {
	awk 'END { print NR - 1 }' /proc/sysvipc/sem
}

@test "what does not go with such a NAME creates nothing" {
	local before
	before=$(sets)
	fails 2 ipc-sem op new 0:-1
	[[ $stderr == *"its members belong together"*"hint: "* ]]
	fails 2 ipc-sem run -i 3 new -- true
	[[ $stderr == *"index 0 only"* ]]
	fails 2 ipc-sem wait -i 3 new
	fails 2 ipc-sem acquire -P $$ --create key:70
	[[ $stderr == *"acquire needs a name"* ]]
	fails 2 ipc-sem run -x --create key:70 -- true
	fails 2 ipc-sem run -s --create key:70 -- true
	fails 2 ipc-sem create --resize -c 3 --create key:70
	[ "$(sets)" = "$before" ]
}

@test "a key: is created with --create only, by create too" {
	fails 3 ipc-sem create key:71
	[[ $stderr == *"hint: "*--create* ]]
	ipc-sem create --create -c 3 key:71
	ipc-sem create key:71
	[ "$(ipc-sem get key:71)" = 3 ]
	# It has no count to be compared with.
	fails 2 ipc-sem create -c 4 key:71
	[[ $stderr == *"has no count"*"hint: "*--create* ]]
	fails 2 ipc-sem run -c 3 key:71 -- true
	teardown_sets
}

@test "op does nothing for a COMMAND that is not there" {
	ipc-sem create --create -c 3 key:70
	run -127 ipc-sem op key:70 0:-1 -- "$TMP/nothing"
	touch "$TMP/file"
	fails 126 ipc-sem op key:70 0:-1 -- "$TMP/file"
	# Nor does it wait for its turn to say so.
	run -127 timeout "$DEADLINE" ipc-sem op key:70 0:-9 -- nothing-of-this-name
	[ "$(ipc-sem get key:70)" = 3 ]
	[ "$(ipc-sem op key:70 0:-1u -- ipc-sem get key:70)" = 2 ]
	teardown_sets
}

@test "without a PATH a COMMAND is looked for where the system has its own" {
	local sem barrier
	sem=$(command -v ipc-sem)
	barrier=$(command -v ipc-barrier)
	env -i "$sem" run m -- true
	[ "$(env -i "$barrier" wait b 1 -- true)" = 0 ]
	run -127 env -i "$sem" run m -- ipc-nothing-of-this-name
	run -127 env -i PATH="$TMP" "$sem" run m -- true
}

@test "the number of a thread is no process" {
	need python3
	background python3 -c '
import sys, threading, time
t = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
t.start()
open(sys.argv[1], "w").write(str(t.native_id))
time.sleep(1000)' "$TMP/thread"
	until_true test -s "$TMP/thread"
	fails 3 ipc-sem acquire -P "$(cat "$TMP/thread")" m
	[[ $stderr == *"no process $(cat "$TMP/thread")"* ]]
}

@test "a kernel that allows few operations in one call: 5, and which limit" {
	need_root sysctl
	ipc-sem create m; ipc-barrier create b 2; ipc-event set e
	sysctl -q -w kernel.sem="32000 1024000000 2 32000"
	fails 5 ipc-sem run m -- true
	[[ $stderr == *"more operations than the kernel allows in one call"*"hint: "*SEMOPM* ]]
	fails 5 ipc-sem run -x m -- true
	fails 5 ipc-barrier wait b
	fails 5 ipc-event clear e
	sysctl -q -w kernel.sem="32000 1024000000 500 32000"
	ipc-sem run m -- true
}

@test "status is JSON, and no terminal's orders, whatever a COMMAND is called" {
	ipc-sem create -c 9 m
	long=$(printf 'é%.0s' {1..5000})
	for word in $'a"b\\c\n\t\e[31m' $'\xc2\x9b31m' "$long" "x$long" "xx$long" $'\xff\xfe'; do
		background ipc-sem run m -- perl -e 'sleep 1000' "$word"
		until_true grep -q perl /proc/$!/comm
	done
	ipc-sem status -J m >"$TMP/status"
	[ "$(jq '.holders | length' "$TMP/status")" = 6 ]
	# Only what is no text comes as base64, not what is cut.
	[ "$(jq '[.holders[] | select(.command_base64)] | length' "$TMP/status")" = 1 ]
	[ "$(jq '[.holders[] | select(.command | values | test("é{2000}$"))] | length' "$TMP/status")" = 3 ]
	run ! grep -aP '\x1b|\xc2[\x80-\x9f]' "$TMP/status"
	ipc-sem status m >"$TMP/text"
	run ! grep -aP '\x1b|\xc2[\x80-\x9f]' "$TMP/text"
}

@test "status is JSON, whatever a path is called" {
	local path
	path=$(printf '%s/\377"\n' "$TMP")
	touch "$path"
	ipc-sem create --create "ftok:$path"
	ipc-sem status -J "ftok:$path" >"$TMP/status"
	perl -MEncode -e 'local $/; decode("UTF-8", <>, Encode::FB_CROAK)' "$TMP/status"
	jq -e '.value == 1 and (.semaphore | test("\ufffd"))' "$TMP/status"
	ipc-rm "ftok:$path"
}
