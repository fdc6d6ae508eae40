# SPDX-License-Identifier: MIT
# tour.bats - the tour of ./bootstrap demo works, says so if it does not, and cleans up

bats_require_minimum_version 1.5.0
load ../helper

@test "the tour gets to its end and leaves nothing behind" {
	run "$IPC_SRCDIR/tests/demo/tour" 3>&-
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"every line came once"* ]]
	[[ $output == *"All of it worked"* ]]
	[[ $output != *FAILED* ]]
}

@test "the tour does not wait for ever where a queue has little room" {
	[ "$IPC_TEST_NAMESPACE" = root ] || skip "only root may change kernel.msgmnb in a namespace of its own"
	local room
	room=$(cat /proc/sys/kernel/msgmnb)
	echo 512 >/proc/sys/kernel/msgmnb
	IPC_TOUR=own run timeout 300 "$IPC_SRCDIR/tests/demo/tour" 3>&-
	echo "$room" >/proc/sys/kernel/msgmnb
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"All of it worked"* ]]
}

@test "without a namespace of its own it touches no name that was there" {
	ipc-send mail 'not yours'
	IPC_TOUR=shared run "$IPC_SRCDIR/tests/demo/tour" 3>&-
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(ipc-ls --noheadings -o NAME | tr -d ' ')" = mail ]
	[ "$(ipc-recv mail)" = 'not yours' ]
}

@test "a step that fails ends the tour with a failure" {
	mkdir "$TMP/bin"
	printf '#!/bin/sh\n%s "$@" | sed 1s,^,x,\n' "$IPC_BUILDDIR/bin/ipc-recv" >"$TMP/bin/ipc-recv"
	chmod +x "$TMP/bin/ipc-recv"
	PATH="$TMP/bin:$PATH" run "$IPC_SRCDIR/tests/demo/tour" 3>&-
	[ "$status" -ne 0 ]
}
