# SPDX-License-Identifier: MIT
# ipc-ls.bats - what ipc-ls promises

bats_require_minimum_version 1.5.0
load ../helper

# shows NAME COLUMNS TEXT
shows() {
	[ "$(ipc-ls --noheadings -o "$2" "$1" | xargs)" = "$3" ]
}

@test "names, columns, headings" {
	[ -z "$(ipc-ls --noheadings)" ]
	ipc-send q1 hello
	ipc-ls | head -1 | grep -Eq '^NAME +KIND +KEY +ID +OWNER +MODE +STATE$'
	[ "$(ipc-ls --noheadings -o name,Kind,MODE,BYTES,MESSAGES | xargs)" = "q1 queue 600 5 1" ]
	ipc-ls -o +GROUP,SENDER | head -1 | grep -q 'STATE.*GROUP.*SENDER'
	shows q1 STATE "1 message, 5 bytes"
	fails 2 ipc-ls -o NO-SUCH
	[[ $stderr == *"'NO-SUCH' is not a column"* ]]
}

@test "who uses it: holders, those who wait, those who have it attached" {
	ipc-sem create s1 -c 2
	shows s1 WAITERS,PIDS,USE,COMMAND 0
	background ipc-sem run s1 -- sleep 1000
	local holder=$! waiter
	until_true shows s1 PIDS "$holder"
	until_true grep -q sleep /proc/$holder/comm
	background ipc-sem run -u 2 s1 -- true
	waiter=$!
	# A waiting command is between two waits for a moment when it reports what it waits for.
	until_true shows s1 PIDS,USE,COMMAND "$holder holds sleep 1000 $waiter waits ipc-sem run -u 2 s1 -- true"
	ipc-ls -o +WAITERS,PIDS,AGE,COMMAND s1 | head -1 | grep -Eq 'STATE +WAITERS +PIDS +AGE +COMMAND$'
	[ "$(ipc-ls -J -o WAITERS,PIDS,USE,COMMAND s1 | jq -c '.objects[0]')" = \
		"{\"waiters\":1,\"pids\":[$holder,$waiter],\"use\":[\"holds\",\"waits\"],\"command\":[\"sleep 1000\",\"ipc-sem run -u 2 s1 -- true\"]}" ]
	# A killed holder is none.
	kill -KILL $holder
	finish $holder 137
	finish $waiter
	[ "$(ipc-ls -J -o WAITERS,PIDS s1 | jq -c '.objects[0]')" = '{"waiters":0,"pids":[null]}' ]
}

@test "a command line that is not UTF-8 does not spoil the JSON" {
	background bash -c 'exec -a $(printf "a\377\042") ipc-recv q1'
	until_true shows q1 WAITERS 1
	ipc-ls -J -o COMMAND q1 >"$TMP/json"
	iconv -f UTF-8 -t UTF-8 "$TMP/json" | jq -r '.objects[0].command[0]' | grep -Fqx 'a\xff" q1'
	ipc-ls --noheadings -o COMMAND q1 | grep -Fqx 'a\xff" q1'
}

@test "who uses it, kind by kind" {
	background ipc-recv q1 q2
	local receiver=$! party listener locker attached
	until_true shows q2 PIDS $receiver
	shows q1 WAITERS,PIDS,USE "1 $receiver receives"
	ipc-send -q -n q3 $(seq 20000) || [ $? -eq 1 ]
	background ipc-send q3 more
	until_true shows q3 PIDS,USE "$! sends"
	background ipc-barrier wait b1 2
	party=$!
	until_true blocked $party
	shows b1 WAITERS,PIDS,USE "1 $party waits"
	background ipc-event wait e1
	listener=$!
	until_true blocked $listener
	shows e1 WAITERS,PIDS,USE "1 $listener waits"
	ipc-shm create m1 -T u32
	shows m1 WAITERS,PIDS,USE 0
	background ipc-shm lock m1 -- sleep 1000
	locker=$!
	until_true shows m1 PIDS,USE "$locker holds"
	background ipc-shm wait m1 eq 5
	attached=$!
	until_true shows m1 USE "holds attached"
	shows m1 PIDS "$locker $attached"
}

@test "who uses another program's set, and that nobody knows its holders" {
	perl -e '$s = semget(0x7999, 2, 01600) // die; semop($s, pack "s3", 1, 1, 0) or die'
	background perl -e '$s = semget(0x7999, 0, 0) // die; semop($s, pack "s3", 0, -1, 0) or die'
	local more=$!
	background perl -e '$s = semget(0x7999, 0, 0) // die; semop($s, pack "s3", 1, 0, 0) or die'
	local zero=$!
	until_true blocked $more
	until_true blocked $zero
	shows key:0x7999 WAITERS 2
	[ "$(ipc-ls --noheadings -o PIDS key:0x7999 | xargs -n 1 | sort -n | xargs)" = "$(printf '%s\n' $more $zero | sort -n | xargs)" ]
	shows key:0x7999 USE "waits waits"
	ipc-rm -f key:0x7999
}

@test "the age of a name" {
	ipc-send q1 x
	ipc-ls --noheadings -o AGE q1 | grep -Eqx ' *[0-9]s'
	[ "$(ipc-ls -J -o AGE q1 | jq '.objects[0].age < 10')" = true ]
	local registry made
	registry=$(ipc-ls -a -k memory --noheadings -o KEY | xargs)
	# "created" in both records of the first entry: two days, three hours and a minute ago.
	made=$(perl -e 'print unpack "H*", pack "q", time - 2 * 86400 - 3 * 3600 - 60')
	scribble "$registry" $((4096 + 262144 + 72 + 48)) "$made"
	scribble "$registry" $((4096 + 262144 + 72 + 64 + 48)) "$made"
	[ "$(field q1 AGE)" = 2d3h ]
	made=$(perl -e 'print unpack "H*", pack "q", time + 1000')
	scribble "$registry" $((4096 + 262144 + 72 + 48)) "$made"
	scribble "$registry" $((4096 + 262144 + 72 + 64 + 48)) "$made"
	[ "$(field q1 AGE)" = 0s ]
}

@test "JSON is valid and typed" {
	ipc-send 'ümläut"x' hello
	[ "$(ipc-ls -J -o NAME,BYTES,SIZE | jq -c '.objects[0]')" = '{"name":"ümläut\"x","bytes":5,"size":null}' ]
	[ "$(ipc-ls -l -J | jq '.limits | length')" -ge 11 ]
	[ "$(ipc-ls -l -J | jq -r '.limits[] | select(.limit == "MSGMNI") | .used')" -ge 1 ]
	[ "$(ipc-rm -a -f && ipc-ls -J | jq '.objects | length')" = 0 ]
}

@test "a name that another user forged does not spoil the JSON" {
	need_root "becomes another user"
	as 1000 ipc-send q1 x
	local registry chunk i
	registry=$(as 1000 ipc-ls -a -k memory --noheadings -o KEY | xargs)
	# The name of the first entry, with a key of that name, and an index that leads there from everywhere.
	scribble "$registry" $((4096 + 262144 + 8)) 61ff1b2200
	for i in 0 64; do scribble "$registry" $((4096 + 262144 + 72 + i + 4)) "$(key_of 1000 $'a\xff\x1b"')"; done
	chunk=$(printf '01000000%.0s' {1..8192})
	for i in 0 1 2 3 4 5 6 7; do scribble "$registry" $((4096 + i * 32768)) "$chunk"; done
	ipc-ls -J -a >"$TMP/json"
	iconv -f UTF-8 -t UTF-8 "$TMP/json" | jq -r '.objects[0].name' | grep -Fq '/a\xff'
	ipc-ls -a -o NAME --noheadings | grep -Fq '/a\xff\x1b"'
	ipcrm --all
}

@test "watching on a terminal shows what fits" {
	need script
	ipc-send q1 x
	local i
	for i in 2 3 4 5 6 7 8 9; do ipc-send q$i x; done
	watched() { run script -qec "stty rows $1 cols 80; exec timeout --foreground 1 ipc-ls --watch=0.1 -o NAME $2" /dev/null; }
	watched 6 ''
	# Each is on the screen of its own, which it does not scroll.
	[ "$(tr -d '\r' <<<"$output" | sed 's/\x1b\[H\x1b\[2J//' | sed -n 1,6p | xargs)" = "NAME q1 q2 q3 ... 6 more lines NAME" ]
	watched 20 ''
	[ "$(tr -d '\r' <<<"$output" | sed 's/\x1b\[H\x1b\[2J//' | sed -n 1,11p | xargs)" = "NAME q1 q2 q3 q4 q5 q6 q7 q8 q9 NAME" ]
	watched 6 q5
	[ "$(tr -d '\r' <<<"$output" | sed 's/\x1b\[H\x1b\[2J//' | sed -n 1,3p | xargs)" = "NAME q5 NAME" ]
}

@test "one object by name, key or identifier" {
	ipc-send q1 x
	[ "$(ipc-ls --noheadings -o KIND "key:$(field q1 KEY)" | xargs)" = queue ]
	[ "$(ipc-ls --noheadings -o KEY "id:$(field q1 ID)" | head -1 | xargs)" = "$(field q1 KEY)" ]
	# An object of a name is shown as such.
	ipc-shm create v -T u64
	ipc-barrier create b 3
	ipc-ls --noheadings -o NAME,KIND,STATE "id:$(field v ID)" | grep -Eq '^v +memory +8 bytes, 0 attached'
	ipc-ls --noheadings -o NAME,KIND,STATE "key:$(field b KEY)" | grep -Eq '^b +barrier +0/3 waiting'
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
