# SPDX-License-Identifier: MIT
# ipc-recv.bats - what ipc-recv promises

bats_require_minimum_version 1.5.0
load ../helper

@test "order is kept, count and all" {
	seq 5 | ipc-send q1
	[ "$(ipc-recv q1)" = 1 ]
	[ "$(ipc-recv -c 2 q1)" = $'2\n3' ]
	[ "$(ipc-recv -a q1)" = $'4\n5' ]
	fails 1 ipc-recv -a q1
	[ -z "$stderr" ]
	fails 1 ipc-recv -n -v q1
	[ -n "$stderr" ]
}

@test "a timeout takes as long as it says" {
	local begin=${EPOCHREALTIME/./}
	fails 1 ipc-recv -t 300ms q1
	local passed=$((${EPOCHREALTIME/./} - begin))
	[ $passed -ge 300000 ]
	[ $passed -lt 5000000 ]
	fails 9 ipc-recv -n -E 9 q1
	fails 9 ipc-recv -t 10ms -E 9 q1 q2
}

@test "signals that mean nothing do not prolong a timeout" {
	background ipc-recv -t 1s q1
	local receiver=$! begin=$SECONDS
	until_true blocked $receiver
	while kill -ALRM $receiver 2>/dev/null && [ $((SECONDS - begin)) -lt 10 ]; do
		sleep 0.05
		gone $receiver && break
	done
	finish $receiver 1
	[ $((SECONDS - begin)) -lt 10 ]
}

@test "of several queues, whichever has a message" {
	background ipc-recv -F '%q %b\n' q1 q2 q3 >"$TMP/out"
	local receiver=$!
	until_true blocked $receiver
	ipc-send q3 hello
	finish $receiver
	[ "$(cat "$TMP/out")" = "q3 hello" ]
	seq 6 | ipc-send q1
	seq 6 | ipc-send q2
	[ "$(ipc-recv -c 12 -F '%q\n' q1 q2 | sort | uniq -c | xargs)" = "6 q1 6 q2" ]
}

@test "blocked on five queues it uses no CPU" {
	background ipc-recv q1 q2 q3 q4 q5
	local receiver=$! before after
	until_true blocked $receiver
	before=$(cat /proc/$receiver/task/*/schedstat | awk '{ s += $3 } END { print s }')
	local end=$((SECONDS + 2))
	until_true eval "[ \$SECONDS -ge $end ]"
	after=$(cat /proc/$receiver/task/*/schedstat | awk '{ s += $3 } END { print s }')
	[ $((after - before)) -le 2 ]
}

@test "queues of other programs can be waited for together" {
	ipc-send --create key:0x7001 x
	ipc-recv key:0x7001
	background ipc-recv --create key:0x7001 key:0x7002
	local receiver=$!
	until_true blocked $receiver
	ipc-send key:0x7002 y
	finish $receiver
	ipc-rm key:0x7001 key:0x7002
}

@test "messages of zero bytes, alone and among several queues" {
	ipc-send q1 ''
	[ "$(ipc-recv -F '[%b]%s' q1)" = '[]0' ]
	background ipc-recv -J q1 q2
	local receiver=$!
	until_true blocked $receiver
	ipc-send q2 ''
	finish $receiver
	[ "$(field q2 MESSAGES)" = 0 ]
}

@test "messages of zero bytes of two queues in the same instant: one is delivered, the other is not lost silently" {
	ipc-send --create --mode=644 key:0x7003 x
	ipc-send --create --mode=644 key:0x7004 x
	ipc-recv -c 2 key:0x7003 key:0x7004
	# Receive with both messages sent while the receiver is stopped. Its probes then take one each, mostly.
	receive_stopped() {
		background "$@" ipc-recv -J key:0x7003 key:0x7004 >"$TMP/out" 2>"$TMP/errors"
		local receiver=$!
		until_true blocked $receiver
		kill -STOP $receiver
		until_true grep -q '^State:.T' /proc/$receiver/status
		ipc-send key:0x7003 ''
		ipc-send key:0x7004 ''
		kill -CONT $receiver
		until_true gone $receiver
		status=0
		wait $receiver || status=$?
		[ "$(wc -l <"$TMP/out")" = 1 ]
		left=$(ipc-recv -a -F x key:0x7003 key:0x7004 || [ $? -eq 1 ])
	}
	for ((i = 0; i < 20; i++)); do
		receive_stopped env
		[ $status = 0 ]
		[ "$left" = x ]
	done
	if [ "$IPC_TEST_NAMESPACE" = root ]; then
		hit=0
		as 1001 true
		for ((i = 0; i < 200 && hit == 0; i++)); do
			receive_stopped env PATH="$BATS_RUN_TMPDIR/as:$PATH" setpriv --reuid=1001 --regid=1001 --clear-groups --
			if [ "$status" = 8 ]; then
				[ -z "$left" ]
				grep -q '1 message is lost: .*[Pp]ermission denied' "$TMP/errors"
				hit=1
			else
				[ "$status" = 0 ]
				[ "$left" = x ]
			fi
		done
		[ $hit = 1 ]
	fi
	ipc-rm key:0x7003 key:0x7004
}

@test "types: one, the lowest, any but" {
	ipc-send -T 3 q1 three
	ipc-send -T 1 q1 one
	ipc-send -T 2 q1 two
	[ "$(ipc-recv -T 2 -n q1)" = two ]
	[ "$(ipc-recv --not-type=3 -n q1)" = one ]
	fails 1 ipc-recv --max-type=2 -n q1
	[ "$(ipc-recv --max-type=5 -n q1)" = three ]
	fails 2 ipc-recv -T 1 --not-type=2 q1
	ipc-send -T 5 q1 low
	ipc-send -T 4 q1 high
	[ "$(ipc-recv -a --max-type=9 q1)" = $'high\nlow' ]
}

@test "peek shows and does not take" {
	ipc-send -T 3 q1 three
	ipc-send -T 1 q1 one
	[ "$(ipc-recv -p q1)" = three ]
	[ "$(ipc-recv -p -a q1)" = $'three\none' ]
	[ "$(ipc-recv -p --max-type=9 q1)" = one ]
	[ "$(ipc-recv -p -T 1 q1)" = one ]
	fails 1 ipc-recv -p -n -T 9 q1
	[ "$(field q1 MESSAGES)" = 2 ]
	fails 2 ipc-recv -p -f q1
	ipc-recv -a q1
	background ipc-recv -p -t 1m q1 >"$TMP/out"
	local receiver=$!
	until_true blocked $receiver
	ipc-send q1 late
	finish $receiver
	[ "$(cat "$TMP/out")" = late ]
	[ "$(field q1 MESSAGES)" = 1 ]
}

@test "formats, ends and JSON" {
	ipc-send -T 4 q1 'a"b' 'c'
	[ "$(ipc-recv -F '%b|%t|%s|%q|%%\t.\n' q1)" = $'a"b|4|3|q1|%\t.' ]
	[ "$(ipc-recv -0 q1 | od -An -tx1 | xargs)" = '63 00' ]
	printf 'tab\there\x01' | ipc-send -w q1
	printf '\xff\xfe' | ipc-send -w q1
	ipc-recv -a -J q1 >"$TMP/json"
	[ "$(jq -r 'select(.body) | .body' <"$TMP/json" | od -An -tx1 | xargs)" = "74 61 62 09 68 65 72 65 01 0a" ]
	[ "$(jq -r 'select(.body_base64) | .body_base64' <"$TMP/json")" = "//4=" ]
	[ "$(jq -c '[.queue,.type,.size]' <"$TMP/json" | tail -1)" = '["q1",1,2]' ]
	fails 2 ipc-recv -F '%x' q1
	fails 2 ipc-recv -F '\q' q1
	fails 2 ipc-recv -J -F '%b' q1
	fails 2 ipc-recv -0 -r q1
	[[ $stderr == *"only one of --null and --raw"* ]]
}

@test "follow writes before it blocks and ends with its reader, taking nothing more" {
	mkfifo "$TMP/out"
	background bash -c 'exec ipc-recv -f q1 >"$0"' "$TMP/out"
	local receiver=$!
	exec 9<"$TMP/out"
	ipc-send q1 one
	read -r -t 20 line <&9
	[ "$line" = one ]
	until_true blocked $receiver
	exec 9<&-
	finish $receiver 0
	ipc-send q1 two
	[ "$(ipc-recv -a q1)" = two ]
}

@test "follow in a pipeline: head ends it" {
	background bash -c 'ipc-recv -f q1 | head -n 3'
	local pipeline=$!
	seq 3 | ipc-send q1
	finish $pipeline
	until_true bash -c '! pgrep -x ipc-recv -f "ipc-recv -f q1"'
	ipc-send q1 kept
	[ "$(ipc-recv -n q1)" = kept ]
}

@test "what cannot be written goes back" {
	seq 100 | ipc-send -T 6 q1
	fails 8 bash -c 'ipc-recv -a q1 >/dev/full'
	[[ $stderr == *"write error: No space left on device"* ]]
	[ "$(field q1 MESSAGES)" = 100 ]
	[ "$(ipc-recv -T 6 -a q1 | sort -n | xargs)" = "$(seq 100 | xargs)" ]
	head -c 100000 /dev/zero | ipc-send -w q1
	fails 8 bash -c 'ipc-recv q1 >/dev/full'
	[ "$(ipc-recv -r q1 | wc -c)" = 100000 ]
	ipc-send q1 x
	fails 8 bash -c 'ipc-recv q1 >&-'
	fails 8 bash -c 'ipc-recv -J q1 >/dev/full'
	[ "$(ipc-recv -n q1)" = x ]
}

@test "a stdout that somebody made non-blocking is waited for" {
	need perl
	seq 100000 | ipc-send -w q1
	seq 20 | ipc-send q1
	nonblocking 1 ipc-recv -a q1 | (until_true eval '[ "$(field q1 MESSAGES)" -lt 21 ]' && cat >"$TMP/out")
	[ "$(head -n -21 "$TMP/out" | sha256sum)" = "$(seq 100000 | sha256sum)" ]
	[ "$(tail -n 20 "$TMP/out" | xargs)" = "$(seq 20 | xargs)" ]
	[ "$(field q1 MESSAGES)" = 0 ]
}

@test "a signal loses nothing and ends it as a signal does" {
	local signal
	printf 'a\nb\nc\n' >"$TMP/wanted"
	for signal in TERM INT HUP; do
		background env --default-signal=INT,HUP ipc-recv -f q1 >"$TMP/out"
		local receiver=$!
		ipc-send q1 a b c
		until_true cmp -s "$TMP/out" "$TMP/wanted"
		kill -$signal $receiver
		finish $receiver $((128 + $(kill -l $signal)))
		ipc-send q1 later
		[ "$(ipc-recv -a q1)" = later ]
	done
}

@test "a command for each message" {
	ipc-send -T 2 q1 one two
	[ "$(ipc-recv -c 2 q1 -- sh -c 'cat; echo " $IPC_QUEUE $IPC_TYPE $IPC_SIZE"')" = $'one q1 2 3\ntwo q1 2 3' ]
	ipc-send q1 1 2 3
	fails 5 ipc-recv -a q1 -- sh -c 'exit 5'
	[ "$(field q1 MESSAGES)" = 2 ]
	fails 5 ipc-recv -a --keep-going q1 -- sh -c 'exit 5'
	[ "$(field q1 MESSAGES)" = 0 ]
	ipc-send q1 x
	fails 137 ipc-recv q1 -- sh -c 'kill -9 $$'
	seq 200000 | ipc-send -w q1
	fails 0 ipc-recv q1 -- true
	seq 200000 | ipc-send -w q1
	[ "$(ipc-recv q1 -- sha256sum)" = "$(seq 200000 | sha256sum)" ]
}

@test "all that is there now: not what a command sends meanwhile" {
	ipc-send q1 a b
	[ "$(timeout 20 ipc-recv -a q1 -- sh -c 'cat; ipc-send q1 c d')" = ab ]
	[ "$(ipc-recv -a q1 | xargs)" = "c d c d" ]
	fails 1 ipc-recv -a q1 -- true
}

@test "a refused message is one of those that are counted, for a command too" {
	ipc-send q1 a
	printf '\x1bipcu\x01\xf5\0' | ipc-send -w key:"$(field q1 KEY)"
	ipc-send q1 b c
	fails 6 ipc-recv -c 3 q1 -- cat
	[ "$output" = ab ]
	printf '\x1bipcu\x01\xf5\0' | ipc-send -w key:"$(field q1 KEY)"
	ipc-send q1 d
	fails 6 ipc-recv -c 3 q1
	[ "$output" = $'c\nd' ]
}

@test "peek at a refused message: only if it is wanted, and not as if all were well" {
	ipc-send q1 ''
	printf '\x1bipcu\x01\xf5\0' | ipc-send -w -T 2 key:"$(field q1 KEY)"
	ipc-send -T 3 q1 good
	[ "$(ipc-recv -p -T 3 q1)" = good ]
	[ "$(ipc-recv -p -a -T 3 q1)" = good ]
	[ "$(ipc-recv -p --max-type=9 -F %s q1)" = 0 ]
	fails 6 ipc-recv -p -T 2 q1
	[[ $stderr == *"refused: its descriptor is malformed"* ]]
	ipc-send q2 x
	ipc-recv q2 >"$TMP/emptied"
	fails 6 ipc-recv -p -a q1 q2
	[ "$output" = $'\ngood' ]
	fails 6 ipc-recv -p -a -T 2 q1
	ipc-recv q1
	fails 6 ipc-recv -p --max-type=9 q1
	[[ $stderr == *"refused: its descriptor is malformed"* ]]
	fails 6 ipc-recv -a q1
}

@test "a command that cannot be run takes nothing" {
	ipc-send q1 kept
	fails 127 ipc-recv q1 -- no-such-command
	[[ $stderr == *"no-such-command: cannot run it: No such file"* ]]
	fails 126 ipc-recv q1 -- /etc/passwd
	fails 2 ipc-recv q1 --
	fails 2 ipc-recv -J q1 -- cat
	fails 2 ipc-recv -0 q1 -- cat
	mkdir "$TMP/path"
	: >"$TMP/path/plain-file"
	fails 126 env PATH="$TMP/path:$PATH" ipc-recv q1 -- plain-file
	if [ "$(id -u)" -eq 0 ] && [ "$IPC_TEST_NAMESPACE" = root ]; then
		chmod 700 "$TMP/path"
		as 1000 ipc-send q1 x
		PATH="$PATH:$TMP/path" fails 127 as 1000 ipc-recv q1 -- plain-file
		as 1000 ipc-rm q1
	fi
	printf '#!/no/such/interpreter\n' >"$TMP/bad"
	chmod +x "$TMP/bad"
	fails 127 ipc-recv q1 -- "$TMP/bad"
	[ "$(ipc-recv -n q1)" = kept ]
}

@test "removed while waiting" {
	background ipc-recv q1
	local one=$!
	background ipc-recv q1 q2
	local several=$!
	until_true blocked $one
	until_true blocked $several
	ipc-rm -f q1
	finish $one 3
	finish $several 3
}

@test "a 64 MiB message" {
	head -c 64M /dev/urandom >"$TMP/big"
	ipc-send -w q1 <"$TMP/big"
	[ "$(ipc-recv -p -F %s q1)" = $((64 << 20)) ]
	ipc-recv -r q1 | cmp - "$TMP/big"
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 0 ]
}

@test "what others took goes with the next big message, and what waits stays" {
	need_root "becomes another user"
	bodies() { ipc-ls -a --noheadings -o STATE | grep -c 'big message'; }
	head -c 100000 /dev/zero >"$TMP/big"
	chmod 755 "$TMP"
	as 1000 ipc-send -m 644 q1 first
	as 1000 ipc-send -w q1 <"$TMP/big"
	as 1000 ipc-send -w q1 <"$TMP/big"
	[ "$(as 1001 ipc-recv -r -c 2 1000/q1 | wc -c)" = 100005 ]
	[ "$(as 1001 ipc-recv -r -p 1000/q1 | wc -c)" = 100000 ]
	[ "$(bodies)" = 2 ]
	as 1000 ipc-send -w q1 <"$TMP/big"
	[ "$(bodies)" = 2 ]
	[ "$(as 1001 ipc-recv -r -a 1000/q1 | wc -c)" = 200000 ]
	as 1000 ipc-rm q1
	run -1 bodies
}

@test "a body that begins like a descriptor arrives, a forged descriptor is refused" {
	printf '\x1bipcu\x01\xf5\0and more' >"$TMP/body"
	ipc-send -w q1 <"$TMP/body"
	ipc-recv -r q1 | cmp - "$TMP/body"
	local key
	key=$(field q1 KEY)
	printf '\x1bipcu\x01\xf5\0' | ipc-send -w key:"$key"
	fails 6 ipc-recv q1
	[[ $stderr == *"refused: its descriptor is malformed"* ]]
	# A descriptor taken from one queue and put into another.
	head -c 100000 /dev/zero | ipc-send -w q1
	ipc-recv -r key:"$key" >"$TMP/descriptor"
	[ "$(wc -c <"$TMP/descriptor")" = 40 ]
	ipc-send -n q2 x
	ipc-send -w key:"$(field q2 KEY)" <"$TMP/descriptor"
	ipc-send q2 good
	fails 6 ipc-recv -a q2
	[ "$output" = $'x\ngood' ]
	# It still works where it belongs, once.
	ipc-send -w key:"$key" <"$TMP/descriptor"
	[ "$(ipc-recv -r q1 | wc -c)" = 100000 ]
	ipc-send -w key:"$key" <"$TMP/descriptor"
	fails 6 ipc-recv q1
	[[ $stderr == *"its body does not exist"* ]]
}

@test "a big message that there is no memory to map is not lost" {
	case $IPC_CFLAGS in *-fsanitize*) skip "a sanitizer needs more memory than is given here" ;; esac
	head -c 100000000 /dev/zero | ipc-send -w q1
	fails 5 bash -c 'ulimit -v 60000 && exec ipc-recv -n q1'
	[[ $stderr == *"not enough memory"* ]]
	fails 5 bash -c 'ulimit -v 60000 && exec ipc-recv -n q1 q2'
	[ "$(ipc-recv -n q1 | wc -c)" -eq 100000001 ]
}

@test "COMMAND's status is known where SIGCHLD is ignored" {
	ipc-send q one two three
	[ "$(env --ignore-signal=CHLD ipc-recv -c 2 q -- cat)" = onetwo ]
	fails 3 env --ignore-signal=CHLD ipc-recv q -- sh -c 'exit 3'
}
