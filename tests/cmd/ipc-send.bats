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

@test "NUL-separated, whole, and typed messages" {
	printf 'a\nb\0c\0' | ipc-send -0 q1
	printf 'x\ny\n' | ipc-send -w -T 7 q1
	[ "$(ipc-recv -a -F '%t/%s;' q1)" = "1/3;1/1;7/4;" ]
}

@test "nothing on stdin: no message, but with --whole one of zero bytes" {
	ipc-send q1 </dev/null
	[ "$(field q1 MESSAGES)" = 0 ]
	ipc-send -w q1 </dev/null
	[ "$(ipc-recv -F '%s' q1)" = 0 ]
}

@test "a complete line is sent before the next one comes" {
	mkfifo "$TMP/in"
	background bash -c 'exec ipc-send q1 <"$0"' "$TMP/in"
	local sender=$!
	exec 9>"$TMP/in"
	echo first >&9
	printf 'sec' >&9
	[ "$(ipc-recv -t 20s q1)" = first ]
	fails 1 ipc-recv -n q1
	echo ond >&9
	[ "$(ipc-recv -t 20s q1)" = second ]
	exec 9>&-
	finish $sender
}

@test "a line longer than any buffer" {
	head -c 3000000 /dev/zero | tr '\0' x >"$TMP/long"
	ipc-send q1 <"$TMP/long"
	ipc-recv -r q1 | cmp - "$TMP/long"
}

@test "a full queue: not now, with how many were sent and the limit" {
	seq 100000 >"$TMP/lines"
	run --separate-stderr ipc-send -n q1 <"$TMP/lines"
	[ "$status" -eq 1 ]
	[[ $stderr == *"the queue is full ("*" sent before)"* ]]
	[[ $stderr == *"hint: "*"kernel.msgmnb"* ]]
	local sent
	sent=$(field q1 MESSAGES)
	[[ $stderr == *"($sent sent before)"* ]]
	[ "$(ipc-recv -a q1 | sha256sum)" = "$(head -n "$sent" "$TMP/lines" | sha256sum)" ]
}

@test "the timeout of a send, and another status for not now" {
	ipc-send -q -n q1 $(seq 20000) || [ $? -eq 1 ]
	fails 1 ipc-send -t 50ms q1 more
	[[ $stderr == *"timed out"* ]]
	fails 0 ipc-send -t 50ms -E 0 q1 more
	fails 77 ipc-send -n --not-now-status=77 -q q1 more
	[ -z "$stderr" ]
}

@test "verbose says what was sent, progress too" {
	fails 0 ipc-send -v q1 one two
	[[ $stderr == *"sent 2 messages, 6 bytes"* ]]
	fails 0 bash -c 'seq 10 | ipc-send --progress=always q1'
	[[ $stderr == *"10 messages"*"messages/s"* ]]
	fails 0 bash -c 'seq 10 | ipc-send --progress q1'
	[ -z "$stderr" ]
	fails 2 ipc-send --progress=often q1
	fails 0 ipc-send -v q1 x
	[ "$stderr" = "ipc-send: q1: sent 1 message, 1 byte" ]
	fails 0 ipc-send -v -q q1 x
	[ -z "$stderr" ]
	touch "$TMP/"$'a\e[31m'
	fails 0 ipc-send -v --create "ftok:$TMP/"$'a\e[31m' x
	[[ $stderr == *'/a\x1b[31m: sent 1 message'* ]]
	ipc-rm "ftok:$TMP/"$'a\e[31m'
}

@test "progress goes on while nothing comes, and does not end the stream" {
	mkfifo "$TMP/in"
	background bash -c 'exec ipc-send --progress=always q1 <"$0" 2>"$1"' "$TMP/in" "$TMP/errors"
	local sender=$!
	exec 9>"$TMP/in"
	echo one >&9
	until_true eval '[ "$(grep -c "1 message, " "$TMP/errors")" -ge 3 ]'
	echo two >&9
	exec 9>&-
	finish $sender
	tail -n 1 "$TMP/errors" | grep -q '^2 messages, '
	[ "$(ipc-recv -a q1)" = $'one\ntwo' ]
}

@test "a stdin that somebody made non-blocking is waited for" {
	need perl
	{ echo one; until_true bash -c 'ipc-recv -n q1 >/dev/null'; echo two; } | nonblocking 0 ipc-send q1
	[ "$(ipc-recv -n q1)" = two ]
}

@test "what is said after progress on a terminal begins a new line" {
	need script
	ipc-send -q -n q1 $(seq 20000) || [ $? -eq 1 ]
	run -1 script -qec 'seq 10000 10010 | ipc-send -n --progress q1' /dev/null
	[[ $output == *$'messages/s'*$'\n''ipc-send: q1: cannot send: the queue is full'* ]]
}

@test "a signal while arguments wait for room: how many were sent is said" {
	ipc-send -q -n q1 $(seq 20000) || [ $? -eq 1 ]
	local count
	for count in 1 3; do
		ipc-recv -n q1 >/dev/null
		background ipc-send q1 $(seq $((1000001 - count)) 1000000) 2>"$TMP/errors"
		local sender=$!
		until_true blocked $sender
		kill -TERM $sender
		finish $sender 143
		grep -Eq 'ipc-send: q1: interrupted by a signal \([01] sent before\)' "$TMP/errors"
	done
}

@test "how stdin is split, and MESSAGEs, are a contradiction" {
	local option
	for option in -w -0 --lines; do
		fails 2 ipc-send $option q1 x
		[[ $stderr == *"are for stdin"* ]]
	done
	fails 3 ipc-recv --no-create -n q1
}

@test "a message that begins with a dash" {
	fails 2 ipc-send q1 -5
	ipc-send q1 -- -5 --help
	[ "$(ipc-recv -a q1)" = $'-5\n--help' ]
}

@test "usage errors name the option and send nothing" {
	local bad
	for bad in '--timeout=' '--timeout=1x' '--timeout=-1' '--timeout=1h30' '--type=0' '--type=8abc' '--type=' \
		'--type=99999999999999999999' '--mode=8' '--mode=0' '--mode=1000' '-E256' '--no-such'; do
		fails 2 ipc-send "$bad" q1 x
		[[ $stderr == *"${bad%%=*}"* || $bad == -E* || $bad == --no-such ]]
	done
	fails 3 ipc-recv --no-create -n q1
}

@test "stdin that cannot be read" {
	fails 8 bash -c 'ipc-send q1 <&-'
	[[ $stderr == *"cannot read stdin"*"(0 sent before)"* ]]
	fails 8 bash -c 'ipc-send q1 <.'
}

@test "the library takes a mode whatever the umask" {
	(umask 077 && ipc-send -m 622 q1 x)
	[ "$(field q1 MODE)" = 622 ]
}

@test "one byte more than a message can have is a limit" {
	fails 5 bash -c "head -c $(((1 << 30) + 1)) /dev/zero | ipc-send -w q1"
	[[ $stderr == *"over 1073741824 bytes"* ]]
}
