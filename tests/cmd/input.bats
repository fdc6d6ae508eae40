# SPDX-License-Identifier: MIT
# input.bats - input that is easily misread: numbers as names, a missing --, options that change nothing

bats_require_minimum_version 1.5.0
load ../helper

# The caller has created nothing.
nothing_created() {
	[ -z "$(ipc-ls --noheadings)" ]
}

# fails_and_hints STATUS TEXT COMMAND...: as fails, and stderr has a hint that contains TEXT.
fails_and_hints() {
	local wanted=$1 text=$2
	shift 2
	fails "$wanted" "$@"
	if [[ $stderr != *"hint: "*"$text"* ]]; then
		echo "no hint with '$text': $*" >&2
		echo "stderr: $stderr" >&2
		return 1
	fi
}

@test "no command creates an object whose name is a number" {
	local name
	for name in 22136 0x1234 0X1F 0 "$(id -u)/15"; do
		fails_and_hints 2 key: ipc-send "$name" x
		fails_and_hints 2 key: ipc-recv -n "$name"
		fails_and_hints 2 key: ipc-sem create "$name"
		fails_and_hints 2 key: ipc-sem run "$name" -- true
		fails_and_hints 2 key: ipc-barrier create "$name" 2
		fails_and_hints 2 key: ipc-event set "$name"
		fails_and_hints 2 key: ipc-shm create "$name" 10
		fails_and_hints 2 key: ipc-shm add -T u8 "$name" 1
		fails_and_hints 2 key: ipc-shm load "$name" <<<x
		fails_and_hints 2 key: ipc-pipe write "$name" <<<x
		fails_and_hints 2 key: ipc-send --create "$name" x
	done
	fails_and_hints 2 id:22136 ipc-send 22136 x
	nothing_created
}

@test "a number that names no object is answered with a hint at key: and id:" {
	fails_and_hints 3 id:15 ipc-ls 15
	fails_and_hints 3 key:0x1234 ipc-ls 0x1234
	fails_and_hints 3 id:15 ipc-rm 15
	ipc-send q1 x
	fails_and_hints 3 id:15 ipc-ls 15
	fails_and_hints 3 id:15 ipc-rm 15
	fails_and_hints 3 id:15 ipc-recv --no-create 15
	fails_and_hints 3 id:15 ipc-barrier wait 15
	fails_and_hints 3 id:15 ipc-shm get 15
	fails_and_hints 3 id:15 ipc-send 54321/15 x
	fails 3 ipc-ls q15
	[[ $stderr != *hint* ]]
}

@test "a key is accepted as the negative number that other languages print" {
	ipc-send --create key:-626102863 x
	[ "$(ipc-recv -n key:0xdaae6db1)" = x ]
	[ "$(ipc-ls --noheadings -o KEY key:-626102863 | tr -d ' ')" = 0xdaae6db1 ]
	ipc-rm key:-626102863
	fails 2 ipc-send key:-2147483649 x
	fails 2 ipc-send key:-0 x
}
