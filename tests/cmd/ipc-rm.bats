# SPDX-License-Identifier: MIT
# ipc-rm.bats - what ipc-rm promises

bats_require_minimum_version 1.5.0
load ../helper

@test "remove, absent, force, dry run" {
	ipc-send q1 x
	[ "$(ipc-rm --dry-run q1)" = "would remove q1" ]
	[ "$(ipc-rm -v q1)" = "removed q1" ]
	fails 3 ipc-rm q1
	[[ $stderr == "ipc-rm: q1: no such object" ]]
	fails 0 ipc-rm -f q1
	fails 2 ipc-rm
	fails 2 ipc-rm -a q1
	fails 2 ipc-rm --older-than=1s q1
}

@test "what is in use is refused, with who uses it" {
	background ipc-recv q1
	local receiver=$!
	until_true blocked $receiver
	fails 7 ipc-rm q1
	[[ $stderr == *"it is in use: $receiver receives (ipc-recv q1)"* ]]
	[[ $stderr == *"hint: wait until it is no longer in use"* && $stderr != *" -f"* ]]
	fails 7 ipc-rm --dry-run q1
	ipc-rm -f q1
	finish $receiver 3
}

@test "a sender that waits for room wakes up too" {
	ipc-send -q -n q1 $(seq 20000) || [ $? -eq 1 ]
	background ipc-send q1 more
	local sender=$!
	until_true blocked $sender
	fails 7 ipc-rm q1
	[[ $stderr == *"$sender sends"* ]]
	ipc-rm -f q1
	finish $sender 3
}

@test "all of a kind, all, and the question on a terminal" {
	ipc-send q1 x
	ipc-send q2 x
	ipc-rm -a -k memory
	[ "$(ipc-ls --noheadings | wc -l)" = 2 ]
	need script
	run -1 script -qec 'ipc-rm -a' /dev/null <<<no
	[ "$(ipc-ls --noheadings | wc -l)" = 2 ]
	script -qec 'ipc-rm -a' /dev/null <<<yes
	[ "$(ipc-ls --noheadings | wc -l)" = 0 ]
}

@test "another kind, and an identifier that several have" {
	ipc-send q1 x
	fails 7 ipc-rm -k semaphore q1
	[[ $stderr == *"it is a queue, not a semaphore"* ]]
	ipcmk -Q >/dev/null
	# The lock of the registry and a queue: one identifier, two objects.
	local id
	id=$(ipc-ls -a --noheadings -o KIND,ID | awk '$2 == 0 { n++ } END { print n }')
	if [ "$id" -gt 1 ]; then
		fails 7 ipc-rm --dry-run id:0
		[[ $stderr == *"different kinds"*"-k queue"* ]]
	fi
	ipc-ls -a --noheadings -o KEY,ID -k queue | awk '$1 != "'"$(field q1 KEY)"'" { print $2 }' |
		while read -r id; do ipc-rm -k queue "id:$id"; done
}

@test "what another user does not have is absent, not denied" {
	need_root "becomes another user"
	as 1000 ipc-send q1 x
	fails 4 as 1001 ipc-rm -f 1000/q1
	[[ $stderr == *"hint: only user 1000 and root can remove names there" ]]
	fails 3 as 1001 ipc-rm 1000/q2
	fails 0 as 1001 ipc-rm -f 1000/q2
	as 1000 ipc-rm q1
	fails 3 as 1001 ipc-rm 1000/q1
}

@test "no limit of age, and no kind, is ignored" {
	head -c 100000 /dev/zero | ipc-send -w q1
	ipcrm -Q "$(field q1 KEY)"
	fails 2 ipc-rm --stale -k queue --older-than=0
	[[ $stderr == *"--kind goes with"* ]]
	fails 2 ipc-rm --stale -a -k queue --older-than=0
	ipc-rm --stale --older-than=infinity
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 1 ]
	ipc-rm --stale --older-than=0
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 0 ]
}

@test "stale bodies: kept while they can be received, removed when nobody can" {
	head -c 100000 /dev/zero | ipc-send -w q1
	ipc-rm --stale --older-than=0
	[ "$(ipc-recv -r q1 | wc -c)" = 100000 ]
	# A sender killed while it waited for room.
	ipc-send -q -n q1 $(seq 20000) || [ $? -eq 1 ]
	head -c 100000 /dev/zero >"$TMP/big"
	background bash -c 'exec ipc-send -w q1 <"$0"' "$TMP/big"
	local sender=$!
	until_true blocked $sender
	ipc-rm --stale --older-than=0
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 1 ]
	kill -KILL $sender
	finish $sender 137
	ipc-rm --stale
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 1 ]
	ipc-rm --stale --older-than=0 --dry-run | grep -q 'would remove big message of queue'
	ipc-rm --stale --older-than=0 -v | grep -q 'removed big message of queue'
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 0 ]
	# Its queue was removed by another program.
	head -c 100000 /dev/zero | ipc-send -w q2
	ipcrm -Q "$(field q2 KEY)"
	ipc-rm --stale --older-than=0
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 0 ]
}

@test "who waits on the same identifier in another namespace does not use ours" {
	ipc-send q1 x
	background unshare --ipc bash -c 'ipc-send q1 x; ipc-recv q1 >/dev/null; exec ipc-recv q1'
	local other=$!
	until_true blocked $other
	ipc-rm q1
}
