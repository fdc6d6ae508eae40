# SPDX-License-Identifier: MIT
# ipc-rm.bats - what ipc-rm promises

bats_require_minimum_version 1.5.0
load ../helper

@test "remove, absent, force, dry run" {
	ipc-send q1 x
	[ "$(ipc-rm --dry-run q1)" = "would remove q1: queue of $(id -un), mode 600, 1 message, 1 byte" ]
	[[ $(ipc-rm -v q1) == "removed q1: queue of "* ]]
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
	[[ $output == *"q1: queue of $(id -un), mode 600, 1 message, 1 byte"*"ipc-rm: remove 2 objects?"* ]]
	[ "$(ipc-ls --noheadings | wc -l)" = 2 ]
	script -qec 'ipc-rm -a' /dev/null <<<yes
	[ "$(ipc-ls --noheadings | wc -l)" = 0 ]
}

@test "a queue with messages asks on a terminal, and only there" {
	need script
	ipc-send -m 640 q1 one two
	run -1 script -qec 'ipc-rm q1' /dev/null <<<no
	[[ $output == *"ipc-rm: remove q1: queue of $(id -un), mode 640, 2 messages, 6 bytes?"* ]]
	[ "$(field q1 MESSAGES)" = 2 ]
	run -1 script -qec "ipc-rm id:$(field q1 ID) -f -k semaphore; ipc-rm q1" /dev/null </dev/null
	[ "$(field q1 MESSAGES)" = 2 ]
	script -qec 'ipc-rm q1' /dev/null <<<yes
	# Not with -f, not without messages, not without a terminal, and not without a change.
	ipc-send q1 one
	script -qec 'ipc-rm --dry-run q1' /dev/null </dev/null
	script -qec 'ipc-rm -f q1' /dev/null </dev/null
	ipc-send q1 </dev/null
	script -qec 'ipc-rm q1' /dev/null </dev/null
	ipc-send q1 one
	ipc-rm q1
	[ -z "$(ipc-ls --noheadings)" ]
}

# Run ipc-rm with ARGUMENTS on a terminal, with ANSWER after COMMAND, which runs while the question waits: answer COMMAND ANSWER ARGUMENT...
answer() {
	local command=$1 answer=$2
	shift 2
	mkfifo "$TMP/keys"
	exec 9<>"$TMP/keys"
	background script -qfec "ipc-rm $*" "$TMP/screen" <"$TMP/keys" >/dev/null
	local terminal=$!
	until_true grep -q '? $' "$TMP/screen"
	eval "$command"
	echo "$answer" >&9
	until_true asked_again_or_gone $terminal
	echo no >&9
	finish $terminal "${STATUS:-1}"
	exec 9>&-
	rm "$TMP/keys" "$TMP/screen"
}

asked_again_or_gone() {
	gone "$1" || [ "$(grep -o 'ipc-rm: remove [^?]*?' "$TMP/screen" | wc -l)" -ge 2 ]
}

@test "an answer is for what the question showed" {
	need script
	ipc-send q1 one
	# Removed and created again meanwhile; then more messages in the same queue; then with --all.
	answer 'ipc-rm q1; ipc-send q1 a b c d' yes q1
	[ "$(ipc-recv -a q1 | wc -l)" = 4 ]
	ipc-send q1 one
	answer 'ipc-send q1 two' yes q1
	[ "$(field q1 MESSAGES)" = 2 ]
	answer 'ipc-send q1 three' yes -a
	[ "$(field q1 MESSAGES)" = 3 ]
	STATUS=0 answer 'ipc-recv q1' yes q1
	fails 3 ipc-rm q1
}

@test "no question about what is refused, and none that cannot be seen" {
	need script
	ipc-send q1 one
	background ipc-recv -T 5 q1
	until_true blocked $!
	run -7 script -qec 'ipc-rm q1' /dev/null </dev/null
	[[ $output != *"?"* ]]
	kill -KILL "${CHILDREN[-1]}"
	finish "${CHILDREN[-1]}" 137
	run -7 script -qec "ipc-rm key:$(field q1 KEY)" /dev/null </dev/null
	[[ $output != *"?"* ]]
	run -1 script -qec 'ipc-rm q1 2>/dev/null' /dev/null <<<no
	[[ $output == *"ipc-rm: remove q1: queue of "*"?"* ]]
}

@test "kind, owner, mode, contents and processes of each kind are shown" {
	local user holder
	user=$(id -un)
	background ipc-sem run -c 2 m -- sleep 60
	holder=$!
	until_true grep -q sleep /proc/$holder/comm
	ipc-shm create -m 644 v -T u64
	ipc-event clear e
	ipc-barrier create -m 600 b 3
	background ipc-shm lock v -- sleep 61
	local locker=$!
	until_true grep -q sleep /proc/$locker/comm
	background bash -c 'sleep 62 | ipc-pipe write p'
	until_true bash -c 'ipc-ls --noheadings -o STATE p | grep -q "writer, no reader"'
	fails 7 ipc-rm --dry-run m
	[ "$(ipc-rm --dry-run -f m)" = "would remove m: semaphore of $user, mode 600, 1/2 free; $holder holds (sleep 60)" ]
	[ "$(ipc-rm --dry-run -f v)" = "would remove v: memory of $user, mode 644, 8 bytes, 0 attached; $locker holds (sleep 61)" ]
	[[ $(ipc-rm --dry-run -f p) == "would remove p: pipe of $user, mode 600, 0 bytes, writer, no reader; "*" (ipc-pipe write p)" ]]
	[ "$(ipc-rm --dry-run e)" = "would remove e: event of $user, mode 600, not set" ]
	[ "$(ipc-rm --dry-run b)" = "would remove b: barrier of $user, mode 600, 0/3 waiting" ]
	[ "$(ipc-rm --dry-run "id:$(field v ID)" -k memory -f)" = "would remove id:$(field v ID): memory of $user, mode 644, 8 bytes, 0 attached; $locker holds (sleep 61)" ]
	[[ $(ipc-rm -v -a -f) == *"removed m: semaphore of $user, mode 600, 1/2 free; $holder holds (sleep 60)"* ]]
}

@test "no more than three processes are named, and nothing of another user's reaches a terminal raw" {
	local name=$'evil\033[31m'
	for _ in 1 2 3 4 5; do background ipc-recv q1; done
	until_true shows_five
	background bash -c 'exec -a "$0" ipc-recv q2' "$name"
	until_true bash -c '[ -n "$(ipc-ls --noheadings -o PIDS q2)" ]'
	[[ $(ipc-rm --dry-run -f q1) == *" receives (ipc-recv q1) and 2 more" ]]
	[[ $(ipc-rm --dry-run -f q2) == *'(evil [31m q2)' ]]
}

shows_five() {
	[ "$(ipc-ls --noheadings -o PIDS q1 | wc -l)" = 5 ]
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
