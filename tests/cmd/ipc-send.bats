# SPDX-License-Identifier: MIT
# ipc-send.bats - what ipc-send promises

bats_require_minimum_version 1.5.0
load ../helper

@test "a message given as argument arrives" {
	ipc-send q1 hello
	[ "$(ipc-recv q1)" = hello ]
}

@test "each line of stdin is a message, the last one needs no newline" {
	printf 'one\ntwo\nthree' | ipc-send q1
	[ "$(field q1 MESSAGES)" = 3 ]
	[ "$(ipc-recv -a q1)" = "$(printf 'one\ntwo\nthree')" ]
}

@test "without a name it is a usage error" {
	fails 2 ipc-send
	[[ $stderr == *"give its NAME"* ]]
}

@test "removing a queue removes the bodies of its big messages" {
	head -c 100000 /dev/zero | ipc-send -w q1
	head -c 100000 /dev/zero | ipc-send -w q2
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 2 ]
	ipc-rm q1
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 1 ]
	[ "$(ipc-recv -r q2 | wc -c)" = 100000 ]
}

@test "a signal while a big message waits for room leaves nothing behind" {
	need_namespace "counts all objects"
	ipc-send -n q1 "$(head -c 8000 /dev/zero | tr '\0' x)" "$(head -c 8000 /dev/zero | tr '\0' x)" \
		"$(head -c 380 /dev/zero | tr '\0' x)"
	background ipc-send q1 "$(head -c 20000 /dev/zero | tr '\0' x)"
	local sender=$!
	until_true blocked $sender
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 1 ]
	kill -TERM $sender
	finish $sender 143
	run -1 grep -c 'big message' <(ipc-ls -a --noheadings -o STATE)
}
