# SPDX-License-Identifier: MIT
# ipc-ls.bats - what ipc-ls promises

bats_require_minimum_version 1.5.0
load ../helper

@test "names, columns, headings" {
	[ -z "$(ipc-ls --noheadings)" ]
	ipc-send q1 hello
	ipc-ls | head -1 | grep -Eq '^NAME +KIND +KEY +ID +OWNER +MODE +STATE$'
	[ "$(ipc-ls --noheadings -o name,Kind,MODE,BYTES,MESSAGES | xargs)" = "q1 queue 600 5 1" ]
	ipc-ls -o +GROUP,SENDER | head -1 | grep -q 'STATE.*GROUP.*SENDER'
	[ "$(ipc-ls --noheadings -o STATE q1 | xargs)" = "1 messages, 5 bytes" ]
	fails 2 ipc-ls -o NO-SUCH
	[[ $stderr == *"'NO-SUCH' is not a column"* ]]
}

@test "JSON is valid and typed" {
	ipc-send 'ümläut"x' hello
	[ "$(ipc-ls -J -o NAME,BYTES,SIZE | jq -c '.objects[0]')" = '{"name":"ümläut\"x","bytes":5,"size":null}' ]
	[ "$(ipc-ls -l -J | jq '.limits | length')" -ge 11 ]
	[ "$(ipc-ls -l -J | jq -r '.limits[] | select(.limit == "MSGMNI") | .used')" -ge 1 ]
	[ "$(ipc-rm -a -f && ipc-ls -J | jq '.objects | length')" = 0 ]
}

@test "one object by name, key or identifier" {
	ipc-send q1 x
	[ "$(ipc-ls --noheadings -o KIND "key:$(field q1 KEY)" | xargs)" = queue ]
	[ "$(ipc-ls --noheadings -o KEY "id:$(field q1 ID)" | head -1 | xargs)" = "$(field q1 KEY)" ]
	fails 3 ipc-ls nope q1
	[[ $output == *q1* ]]
	[[ $stderr == "ipc-ls: nope: no such object" ]]
	fails 2 ipc-ls --user=no-such-user
	fails 2 ipc-ls -a q1
	fails 2 ipc-ls -l q1
}

@test "all: objects without a name, and what is ours inside" {
	ipc-send --create key:0x7777 x
	ipc-send q1 x
	ipc-ls -a --noheadings | grep -q 'queue *0x00007777'
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'registry of names')" -ge 2 ]
	[ "$(ipc-ls -a -k memory --noheadings -o KIND | sort -u | xargs)" = memory ]
	ipc-rm key:0x7777
	fails 2 ipc-ls -k quark
}

@test "an object that was removed behind our back is shown as gone, and made anew" {
	ipc-send q1 x
	ipcrm -Q "$(field q1 KEY)"
	[[ $(ipc-ls --noheadings -o STATE q1) == gone* ]]
	fails 3 ipc-recv --no-create -n q1
	ipc-send q1 new
	[ "$(ipc-recv q1)" = new ]
	ipcrm -Q "$(field q1 KEY)"
	ipc-rm --stale --older-than=0 -v | grep -q 'queue q1: the object is gone'
	[ -z "$(ipc-ls --noheadings)" ]
}

@test "watch shows it again until a signal" {
	ipc-send q1 x
	background ipc-ls --watch=100ms --noheadings -o MESSAGES >"$TMP/out"
	local watcher=$!
	until_true grep -q 1 "$TMP/out"
	ipc-send q1 y
	until_true grep -q 2 "$TMP/out"
	kill $watcher
	finish $watcher 143
	fails 2 ipc-ls --watch=0
}

@test "a failed write is an error" {
	ipc-send q1 x
	fails 8 bash -c 'ipc-ls >/dev/full'
	[[ $stderr == *"write error"* ]]
}
