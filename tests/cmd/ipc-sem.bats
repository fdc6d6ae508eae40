#!/usr/bin/env bats
# SPDX-License-Identifier: MIT

bats_require_minimum_version 1.5.0
load ../helper

setup_file() {
	export CALM="exec sleep 1000"
}

# state_is NAME TEXT: what ipc-ls says of it, without blanks.
state_is() {
	[ "$(field "$1" STATE)" = "$2" ]
}

# hold NAME [OPTION...]: a process that holds it for long; its number is $!.
hold() {
	local name=$1
	shift
	background ipc-sem run "$@" "$name" -- sleep 1000
}

value_is() {
	[ "$(ipc-sem get "$1")" = "$2" ]
}

# Whether run -n of it is refused for now.
busy() {
	local status=0
	ipc-sem run -n "$@" -- true || status=$?
	[ $status -eq 1 ]
}

member() {
	ipc-sem status -J "$1" | jq -r "$2"
}

@test "run holds while COMMAND runs, and ends with its status" {
	fails 7 ipc-sem run m -- sh -c 'ipc-sem run -n m -- true; test $? = 1 && exit 7'
	value_is m 1
	[ "$(ipc-sem run m -- sh -c 'echo "$IPC_SEM $IPC_SLOT"; ipc-sem get m')" = "m 0
0" ]
	fails 143 ipc-sem run m -- sh -c 'kill -TERM $$'
	value_is m 1
}

# Calls for memory from the start of ipc-sem to the start of COMMAND.
memory_calls() {
	strace -qq -e trace=brk,mmap,execve -o "$TMP/calls" "$@"
	sed '1d; s/^execve.*/END/; /^END/q' "$TMP/calls" | grep -c '^brk\|^mmap'
}

@test "run without options uses no heap" {
	need strace
	strace -qq -o /dev/null true || skip "strace is not allowed to trace here"
	case $IPC_CFLAGS in *sanitize*) skip "the sanitizers allocate memory themselves" ;; esac
	if grep -q ld-musl "$IPC_BUILDDIR/bin/ipc-sem"; then skip "musl asks for memory before main, which hides the difference"; fi
	ipc-sem create m
	# The parser of options allocates memory, so the first number is smaller if nothing else does.
	[ "$(memory_calls ipc-sem run m -- true)" -lt "$(memory_calls ipc-sem run -n m -- true)" ]
}

@test "run: the environment of COMMAND, with few and with many variables" {
	local large
	large=$(seq -f 'X%.0f=x' 300)
	env -i PATH="$PATH" IPC_SEM=old A=1 IPC_SLOT=old B=2 ipc-sem run m -- env | grep -v ^PATH= >"$TMP/few"
	printf '%s\n' A=1 B=2 IPC_SEM=m IPC_SLOT=0 | diff - "$TMP/few"
	# shellcheck disable=SC2086
	env $large IPC_SEM=old IPC_SLOT=old ipc-sem run m -- env | grep -E '^(X[0-9]|IPC_SEM|IPC_SLOT)' | sort >"$TMP/many"
	# shellcheck disable=SC2086
	printf '%s\n' $large IPC_SEM=m IPC_SLOT=0 | sort | diff - "$TMP/many"
	# A raw set has no table of holders, so its holder has no slot.
	IPC_SLOT=old ipc-sem run --create key:0x77aa -- env | grep -E '^IPC_(SEM|SLOT)' >"$TMP/raw"
	echo IPC_SEM=key:0x77aa | diff - "$TMP/raw"
	ipcrm -S 0x77aa
}

@test "COMMAND takes the place of ipc-sem: no process stays behind" {
	background ipc-sem run m -- sh -c "echo \$\$ >'$TMP/pid'; exec sleep 1000"; holder=$!
	until_true test -s "$TMP/pid"
	[ "$(cat "$TMP/pid")" = $holder ]
	until_true grep -q sleep /proc/$holder/comm
	[ -z "$(pgrep -P $holder)" ]
}

@test "busy is 1 and silent, -E another number, -v says it" {
	hold m; until_true value_is m 0
	fails 1 ipc-sem run -n m -- touch "$TMP/ran"
	[ -z "$output$stderr" ]
	fails 0 ipc-sem run -n -E 0 m -- touch "$TMP/ran"
	fails 1 ipc-sem run -t 20ms m -- touch "$TMP/ran"
	fails 1 ipc-sem run -n -v m -- true
	[ "$stderr" = "ipc-sem: m: not now" ]
	[ ! -e "$TMP/ran" ]
}

@test "kill -9 of the holder gives back at once, and the next one runs" {
	hold m; holder=$!
	until_true value_is m 0
	background ipc-sem run m -- touch "$TMP/ran"; waiter=$!
	until_true blocked $waiter
	kill -KILL $holder
	finish $waiter
	[ -e "$TMP/ran" ]
	value_is m 1
}

@test "at most COUNT at once, each with a slot of its own" {
	: >"$TMP/slots"
	for i in 1 2 3; do
		background ipc-sem run -c 3 m -- sh -c "echo \$IPC_SLOT >>'$TMP/slots'; $CALM"
		pids[i]=$!
		until_true sh -c "[ \$(wc -l <'$TMP/slots') = $i ]" # so line 2 is of the second one
		value_is m $((3 - i))
	done
	busy m
	[ "$(sort "$TMP/slots" | xargs)" = "0 1 2" ]
	kill -KILL "${pids[2]}"
	until_true value_is m 1
	[ "$(ipc-sem run m -- sh -c 'echo $IPC_SLOT')" = "$(sed -n 2p "$TMP/slots")" ]
}

@test "the count may follow the processors" {
	cpus=$(getconf _NPROCESSORS_ONLN)
	ipc-sem create -c +1 plus; value_is plus $((cpus + 1))
	ipc-sem create -c 200% percent; value_is percent $((cpus * 2))
	ipc-sem create -c -1000 minus; value_is minus 1
	ipc-sem create -c 1% little; value_is little 1
	for wrong in 0 -c 1.5 +x % 40000 5%% +5% '' ; do fails 2 ipc-sem create -c "$wrong" wrong; done
	fails 3 ipc-sem get wrong
}

@test "another COUNT is a conflict, none is not" {
	ipc-sem create m -c 3
	ipc-sem create m -c 3
	ipc-sem create m
	fails 7 ipc-sem create m -c 2
	[ "${stderr%%$'\n'*}" = "ipc-sem: m: its count is 3, not 2" ]
	[[ $stderr == *"hint: "*--resize* ]]
	fails 7 ipc-sem run -c 4 m -- touch "$TMP/ran"
	[ ! -e "$TMP/ran" ]
	ipc-send q x
	fails 7 ipc-sem run q -- true
	[[ $stderr == *"it is a queue, not a semaphore"* ]]
	fails 7 ipc-send m x
}

@test "units: more than there are is 5, more than are free waits" {
	ipc-sem create m -c 5
	hold m -u 3; until_true value_is m 2
	busy -u 3 m
	ipc-sem run -n -u 2 m -- true
	fails 5 ipc-sem run -n -u 6 m -- true
	[[ $stderr == *"cannot take 6 units: it has 5"*"hint: "*--resize* ]]
}

@test "shared ones hold together, an exclusive one alone" {
	hold l -s; first=$!
	until_true value_is l 32766
	ipc-sem run -n -s l -- true
	busy -x l
	kill -KILL $first
	until_true value_is l 32767
	hold l -x; until_true value_is l 0
	busy -s l
	busy -x l
	[ "$(member l '.holders[0].mode')" = exclusive ]
	fails 2 ipc-sem run -s -x l -- true
	fails 2 ipc-sem run -s -u 2 l -- true
}

@test "an exclusive waiter is not starved: who comes later waits behind it" {
	hold l -s; first=$!
	until_true value_is l 32766
	background ipc-sem run -x l -- sh -c "ipc-sem status l >'$TMP/status'; $CALM"; writer=$!
	until_true state_is l 32766/32767free,1waiting
	busy -s l
	background ipc-sem run -s l -- true; reader=$!
	until_true state_is l 32766/32767free,2waiting
	kill -KILL $first
	until_true grep -q exclusive "$TMP/status"
	until_true blocked $reader
	kill -KILL $writer
	finish $reader
}

@test "first come, first served, whatever each wants" {
	ipc-sem create m -c 3
	hold m; holder=$!
	until_true value_is m 2
	# No two fit together; those who want two could be served at once, if they might pass.
	for units in 3 2 3 2 2; do
		background ipc-sem run -u "$units" m -- sh -c "echo $units >>'$TMP/order'"
		waiters+=($!)
		until_true blocked $!
	done
	busy m
	kill -KILL $holder
	for waiter in "${waiters[@]}"; do finish "$waiter"; done
	[ "$(xargs <"$TMP/order")" = "3 2 3 2 2" ]
}

@test "ten waiters for one unit come in their order" {
	hold m; holder=$!
	until_true value_is m 0
	for i in 0 1 2 3 4 5 6 7 8 9; do
		background ipc-sem run m -- sh -c "echo $i >>'$TMP/order'"
		waiters+=($!)
		until_true blocked $!
	done
	kill -KILL $holder
	for waiter in "${waiters[@]}"; do finish "$waiter"; done
	[ "$(xargs <"$TMP/order")" = "0 1 2 3 4 5 6 7 8 9" ]
}

@test "killed at the head of the line, a waiter makes room" {
	hold m; holder=$!
	until_true value_is m 0
	background ipc-sem run m -- true; head=$!
	until_true blocked $head
	background ipc-sem run m -- true; second=$!
	until_true state_is m 0/1free,2waiting
	kill -KILL $head
	until_true state_is m 0/1free,1waiting
	kill -KILL $holder
	finish $second
}

@test "stopped and continued, a waiter is in the line again" {
	hold m; holder=$!
	until_true value_is m 0
	background ipc-sem run m -- touch "$TMP/ran"; waiter=$!
	until_true blocked $waiter
	kill -STOP $waiter
	kill -CONT $waiter
	until_true blocked $waiter
	kill -KILL $holder
	finish $waiter
	[ -e "$TMP/ran" ]
}

@test "waiters and keepers use no CPU" {
	ipc-sem acquire -P $$ m
	background ipc-sem run m -- true; waiter=$!
	background ipc-sem run -t 1h m -- true; timed=$!
	until_true blocked $waiter
	until_true blocked $timed
	keeper=$(member m '.holders[0].keeper')
	until_true grep -q "^State:.S" /proc/"$keeper"/status
	before=$(switches $waiter $timed "$keeper")
	for i in {1..100}; do ipc-sem get m >/dev/null; done
	[ "$(switches $waiter $timed "$keeper")" = "$before" ]
	ipc-sem release -P $$ m
	finish $waiter
	finish $timed
}

@test "a background child of the holder does not hold" {
	ipc-sem run m -- sh -c "sleep 1000 >/dev/null 2>&1 3>&- & echo \$! >'$TMP/child'"
	kill -0 "$(cat "$TMP/child")"
	ipc-sem run -n m -- true
	kill "$(cat "$TMP/child")"
}

@test "a COMMAND that cannot be run gives the units back" {
	fails 127 ipc-sem run m -- "$TMP/nothing"
	fails 126 ipc-sem run m -- "$TMP"
	touch "$TMP/file"
	fails 126 ipc-sem run m -- "$TMP/file"
	printf '#!/no/interpreter\n' >"$TMP/script"; chmod 755 "$TMP/script"
	fails 127 ipc-sem run m -- "$TMP/script"
	fails 2 ipc-sem run m
	fails 2 ipc-sem run m --
	fails 2 ipc-sem run m true
	value_is m 1
}

@test "acquire holds for the rest of a script, release gives back" {
	run bash -c '
		ipc-sem acquire m || exit
		ipc-sem run -n m -- true; echo $?
		ipc-sem release m; echo $?
		ipc-sem run -n m -- true; echo $?
		ipc-sem release m 2>&1; echo $?
		ipc-sem acquire m; exit'
	[ "$output" = "1
0
0
ipc-sem: m: process $(sed -n 's/.*process \([0-9]*\) holds.*/\1/p' <<<"$output") holds nothing of it
3" ]
	until_true value_is m 1
}

@test "what is acquired comes back when the script is killed" {
	background bash -c "ipc-sem acquire -u 2 -c 3 m && touch '$TMP/has'; sleep 1000"; script=$!
	until_true test -e "$TMP/has"
	value_is m 1
	pkill -KILL -P $script sleep || kill -0 $script
	kill -KILL $script
	until_true value_is m 3
	[ "$(member m '.holders | length')" = 0 ]
}

@test "a keeper that is killed gives back; release then says 3" {
	background bash -c "ipc-sem acquire m && touch '$TMP/has'; read -r x <'$TMP/go'; ipc-sem release m"; script=$!
	mkfifo "$TMP/go"
	until_true test -e "$TMP/has"
	[ "$(member m '.holders[0].pid')" = $script ]
	kill -KILL "$(member m '.holders[0].keeper')"
	until_true value_is m 1
	echo >"$TMP/go"
	finish $script 3
}

@test "who does not hold cannot release: 4, 3 when nobody holds, and for what is gone" {
	background sleep 1000; owner=$!
	ipc-sem acquire -P $owner m
	fails 4 ipc-sem release m
	[[ $stderr == *"process $owner does"*"hint: release -P $owner"* ]]
	ipc-sem release -P $owner m
	fails 3 ipc-sem release -P $owner m
	hold m; until_true value_is m 0
	fails 4 ipc-sem release -P $owner m
	[[ $stderr == *"hint: what run holds comes back"* ]]
	fails 3 ipc-sem release nothing
	(exit 0) & ended=$!
	wait $ended
	fails 3 ipc-sem acquire -P $ended m
	[[ $stderr == *"no process $ended"* ]]
	fails 2 ipc-sem acquire -P 0 m
	fails 2 ipc-sem acquire -P x m
}

@test "an acquire waits, times out, and ends with its owner" {
	hold m; holder=$!
	until_true value_is m 0
	fails 1 ipc-sem acquire -n m
	[ -z "$stderr" ]
	fails 9 ipc-sem acquire -E 9 -t 20ms m
	background sleep 1000; owner=$!
	background ipc-sem acquire -P $owner m; waiting=$!
	until_true state_is m 0/1free,1waiting
	kill -KILL $owner
	finish $waiting 3
	until_true state_is m 0/1free
	background ipc-sem acquire -P $$ m; waiting=$!
	until_true state_is m 0/1free,1waiting
	kill -KILL $holder
	finish $waiting
	[ "$(member m '.holders[0].pid')" = $$ ]
	ipc-sem release -P $$ m
}

@test "an acquire that is killed while it waits leaves nobody in the line" {
	hold m; until_true value_is m 0
	background ipc-sem acquire -P $$ m; waiting=$!
	until_true state_is m 0/1free,1waiting
	kill -KILL $waiting
	until_true state_is m 0/1free
}

@test "killed in the instant it called, a script is not taken for who adopts its orphan" {
	ipc-sem create m
	for verb in acquire release; do
		background setsid bash -c '
			{ while [ "$(ps -o ppid= -p $BASHPID)" -eq $$ ]; do :; done; exec ipc-sem "$1" m 2>"$0"; } &
			exec true' "$TMP/err.$verb" "$verb"
		until_true grep -q "cannot determine" "$TMP/err.$verb"
		grep -q "^hint: .*-P" "$TMP/err.$verb"
	done
	[ "$(member m '[.value, (.holders | length)] | @text')" = "[1,0]" ]
	fails 3 setsid -w ipc-sem acquire m
	ipc-sem acquire -P $$ m
	fails 3 setsid -w ipc-sem release m
	ipc-sem release -P $$ m
}

@test "stopped, an owner or a holder goes on holding; killed then, it gives back" {
	background sleep 1000; owner=$!
	ipc-sem acquire -P $owner m
	kill -STOP $owner
	busy m
	kill -KILL $owner
	until_true value_is m 1
	hold m; holder=$!
	until_true value_is m 0
	kill -STOP $holder
	busy m
	kill -KILL $holder
	until_true value_is m 1
}

@test "release ends a keeper that is stopped, too" {
	ipc-sem acquire -P $$ m
	kill -STOP "$(member m '.holders[0].keeper')"
	timeout "$DEADLINE" ipc-sem release -P $$ m
	value_is m 1
}

@test "several acquires: release gives the last one back" {
	ipc-sem create m -c 10
	for units in 1 2 4; do ipc-sem acquire -u $units -P $$ m; done
	value_is m 3
	ipc-sem release -P $$ m; value_is m 7
	ipc-sem release -P $$ m; value_is m 9
	ipc-sem release -P $$ m; value_is m 10
	ipc-sem acquire -x -P $$ m; value_is m 0
	ipc-sem release -P $$ m; value_is m 10
}

@test "the keeper holds no descriptor, directory or terminal of the script, and little memory" {
	(cd "$TMP" && exec 7>"$TMP/open" && ipc-sem acquire -P $$ m)
	keeper=$(member m '.holders[0].keeper')
	[ "$(readlink /proc/"$keeper"/cwd)" = / ]
	for fd in /proc/"$keeper"/fd/*; do
		[[ $(readlink "$fd") == anon_inode:* ]]
	done
	[ "$(ps -o tty= -p "$keeper" | tr -d ' ')" = '?' ]
	private=$(awk '/^Private_Dirty/ { sum += $2 } END { print sum }' /proc/"$keeper"/smaps_rollup)
	# The shadow that AddressSanitizer keeps is not the keeper's own.
	[ "$private" -lt 1024 ] || [ -n "${IPC_TEST_SANITIZED-}" ]
	blocked "$keeper" || grep -q S /proc/"$keeper"/stat
	ipc-sem release -P $$ m
}

@test "tokens: wait takes for good, post gives back, never beyond the count" {
	ipc-sem create m -c 3
	ipc-sem wait -u 2 m
	value_is m 1
	[ "$(member m .taken)" = 2 ]
	fails 1 ipc-sem wait -n -u 2 m
	ipc-sem post m
	value_is m 2
	fails 5 ipc-sem post -u 2 m
	[[ $stderr == *"only 1 of its 3 units are taken"*"hint: "*"ipc-sem set"* ]]
	ipc-sem post m
	fails 5 ipc-sem post m
	value_is m 3
	hold m -u 3; holder=$!
	until_true value_is m 0
	fails 5 ipc-sem post m
	background ipc-sem wait m; waiter=$!
	until_true blocked $waiter
	kill -KILL $holder
	finish $waiter
	value_is m 2
}

@test "set: what is missing counts as taken; who holds loses nothing" {
	ipc-sem create m -c 3
	ipc-sem set m 0
	value_is m 0
	background ipc-sem wait m; waiter=$!
	until_true blocked $waiter
	ipc-sem post m
	finish $waiter
	ipc-sem set m 3
	hold m; holder=$!
	until_true value_is m 2
	fails 5 ipc-sem set m 3
	[[ $stderr == *"of its 3 units 1 are held"*"hint: "* ]]
	ipc-sem set m 0
	kill -KILL $holder
	until_true value_is m 1
	fails 2 ipc-sem set m
	fails 2 ipc-sem set m x
	fails 5 ipc-sem set m 99999
	value_is m 1
}

@test "resize while it is held and waited for" {
	ipc-sem create m
	hold m; first=$!
	until_true value_is m 0
	background ipc-sem run m -- sh -c "echo \$IPC_SLOT >'$TMP/slot'; $CALM"; second=$!
	until_true blocked $second
	background ipc-sem create -c 3 --resize m; resizer=$!
	until_true blocked $resizer
	kill -KILL $first
	finish $resizer
	until_true test -s "$TMP/slot"
	until_true state_is m 2/3free
	ipc-sem create -c 2 --resize m
	state_is m 1/2free
	ipc-sem create -n -c 1 --resize m
	state_is m 0/1free
	kill -KILL $second
	until_true state_is m 1/1free
	fails 2 ipc-sem create --resize m
	ipc-sem create -c 9 --resize new
	state_is new 9/9free
}

@test "fewer units wait until they are free, and nobody else gets any meanwhile" {
	ipc-sem create m -c 3
	hold m -u 3; holder=$!
	until_true value_is m 0
	fails 1 ipc-sem create -c 1 --resize -t 20ms m
	state_is m 0/3free
	background ipc-sem create -c 1 --resize m; resizer=$!
	until_true blocked $resizer
	background ipc-sem run m -- sh -c "ipc-sem status -J m >'$TMP/status'"; waiter=$!
	until_true state_is m 0/3free,2waiting
	kill -KILL $holder
	finish $resizer
	finish $waiter
	[ "$(jq .count "$TMP/status")" = 1 ]
	state_is m 1/1free
}

@test "more units wait until no lock is held exclusively" {
	ipc-sem create m -c 2
	hold m -x; holder=$!
	until_true value_is m 0
	fails 1 ipc-sem create -c 5 --resize -n m
	background ipc-sem create -c 5 --resize m; resizer=$!
	until_true blocked $resizer
	kill -KILL $holder
	finish $resizer
	state_is m 5/5free
}

@test "status: value, count, waiters and every holder; the dead are not shown" {
	ipc-sem create m -c 4
	hold m -u 2; first=$!
	until_true value_is m 2
	ipc-sem acquire -s -P $$ m
	background ipc-sem run -u 2 m -- true; waiter=$!
	until_true blocked $waiter
	run ipc-sem status m
	[ "${lines[0]}" = "value: 1" ]
	[[ $output == *"count: 4"*"held: 3"*"waiters: 1"* ]]
	[[ $output =~ $first\ +2\ units\ +[0-9]\ [0-9T:+-]+\ (ipc-sem|sleep) ]]
	[ "$(member m '[.value, .count, .taken, .held, .waiters, (.holders | length)] | @text')" = "[1,4,0,3,1,2]" ]
	[ "$(member m ".holders[] | select(.pid == $first) | .units")" = 2 ]
	[ "$(member m ".holders[] | select(.pid == $$) | .mode")" = shared ]
	since=$(member m ".holders[] | select(.pid == $first) | .since")
	[ $(($(date +%s) - $(date -d "$since" +%s))) -le 60 ]
	kill -KILL $first
	finish $waiter
	[ "$(member m '.holders | length')" = 1 ]
	ipc-sem release -P $$ m
	fails 3 ipc-sem status nothing
	fails 8 sh -c 'ipc-sem status m >/dev/full'
	fails 8 sh -c 'ipc-sem get m >/dev/full'
}

@test "first use by many at once" {
	for i in {1..12}; do
		background ipc-sem run -c 5 new -- true
		pids[i]=$!
	done
	for i in {1..12}; do finish "${pids[i]}"; done
	state_is new 5/5free
}

@test "ipc-ls shows it, ipc-ls -a its table, ipc-rm says who holds and who waits" {
	hold m; holder=$!
	until_true state_is m 0/1free
	ipc-ls -a --noheadings -o STATE | grep -q 'holders of semaphores'
	fails 7 ipc-rm m
	[[ $stderr == *"$holder holds 1"*"hint: wait until it is no longer in use"* && $stderr != *" -f"* ]]
	background ipc-sem run m -- true; waiter=$!
	until_true blocked $waiter
	fails 7 ipc-rm m
	[[ $stderr == *"$waiter waits"* ]]
	ipc-rm -f m
	finish $waiter 3
	fails 3 ipc-sem run --no-create m -- true
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'holders of semaphores')" = 0 ]
}

# The identifiers of the tables of holders.
tables() {
	ipc-ls -a --noheadings -o STATE,ID -k memory | sed -n 's/holders of semaphores.* //p'
}

@test "removed by ipcrm, a semaphore and the table of holders are created again" {
	ipc-sem create m -c 2
	ipcrm -S "$(ipc-ls --noheadings -o KEY m)"
	[ "$(ipc-sem run m -- sh -c 'echo $IPC_SLOT')" = 0 ]
	state_is m 1/1free
	ipcrm -m "$(tables)"
	[ "$(ipc-sem run m -- sh -c 'echo $IPC_SLOT')" = 0 ]
	[ -n "$(tables)" ]
}

@test "ipc-rm --stale removes a table that no semaphore uses, and no other" {
	ipc-sem run m -- true
	ipc-sem run -m 644 other -- true
	[ "$(tables | wc -l)" = 2 ]
	ipc-rm other
	ipc-rm -v --stale --older-than=0 | grep -q 'table of holders .*no semaphore uses it'
	[ "$(tables | wc -l)" = 1 ]
	ipc-rm -v --stale --older-than=0 | grep -c 'table of holders' && return 1
	ipc-sem run m -- true
	ipc-rm m
	[ -z "$(tables)" ]
}

@test "another user needs permission; with it, holders are seen" {
	need_root "a second user"
	ipc-sem create m
	fails 4 as 1000 ipc-sem run root/m -- true
	[[ $stderr == *"hint: it belongs to user 0"* ]]
	fails 3 as 1000 ipc-sem run root/new -- true
	ipc-sem create -m 666 -c 2 open
	background as 1000 ipc-sem run root/open -- sleep 1000
	until_true value_is open 1
	[ "$(member open '.holders[0].units')" = 1 ]
	[ "$(as 1000 ipc-sem run root/open -- sh -c 'echo $IPC_SLOT')" = 1 ]
	background sleep 1000; owner=$!
	ipc-sem acquire -P $owner open
	fails 4 as 1000 ipc-sem release -P $owner root/open
	ipc-sem release -P $owner open
	kill -KILL "$(member open '.holders[0].pid')"
}

@test "a segment of a different user on the key of the table: the next key is used" {
	need_root "a second user"
	ipc-sem run m -- true
	key=$(ipc-ls -a --noheadings -o STATE,KEY -k memory | sed -n 's/holders of semaphores.* //p')
	ipc-rm m
	as 1000 perl -e 'defined shmget(shift, 100, 0666 | 01000) or die' $((key))
	ipc-sem create m -c 2
	[ "$(ipc-sem run m -- sh -c 'ipc-sem status -J m | jq -c "[.holders[0].slot, .unlisted]"')" = "[0,0]" ]
	[ "$(tables | wc -l)" = 1 ]
	ipc-rm m
	ipcrm -M "$key"
}

@test "sets of other programs: get, set, run, wait, post, op" {
	perl -e '$id = semget(0x5e5, 3, 0600 | 01000) // die; semctl($id, 1, 16, 4)'
	[ "$(ipc-sem get -i 1 key:0x5e5)" = 4 ]
	ipc-sem set -i 1 key:0x5e5 2
	[ "$(ipc-sem run -i 1 -u 2 key:0x5e5 -- ipc-sem get -i 1 key:0x5e5)" = 0 ]
	[ "$(ipc-sem get -i 1 key:0x5e5)" = 2 ]
	ipc-sem wait -i 1 key:0x5e5
	ipc-sem post -i 1 -u 5 key:0x5e5
	[ "$(ipc-sem get -i 1 key:0x5e5)" = 6 ]
	ipc-sem op key:0x5e5 0:+3 1:-6 2:0
	[ "$(for i in 0 1 2; do ipc-sem get -i $i key:0x5e5; done | xargs)" = "3 0 0" ]
	fails 1 ipc-sem op key:0x5e5 0:-1 1:-1n
	fails 1 ipc-sem op -n key:0x5e5 0:-1 1:-1
	fails 1 ipc-sem op -t 20ms key:0x5e5 0:-1 1:-1
	[ "$(ipc-sem get key:0x5e5)" = 3 ]
	[ "$(ipc-sem op key:0x5e5 0:-2u -- ipc-sem get key:0x5e5)" = 1 ]
	[ "$(ipc-sem get key:0x5e5)" = 3 ]
	fails 5 ipc-sem op key:0x5e5 0:+32767
	fails 2 ipc-sem op key:0x5e5 7:1
	for wrong in 0 0: :1 0:1uu 0:1x x:1 0:99999 0:+-1 -1:1; do fails 2 ipc-sem op key:0x5e5 -- "$wrong"; fails 2 ipc-sem op key:0x5e5 0:1 "$wrong"; done
	fails 2 ipc-sem get -i 3 key:0x5e5
	fails 2 ipc-sem run -s key:0x5e5 -- true
	fails 2 ipc-sem acquire key:0x5e5
	fails 3 ipc-sem get key:0x5e6
	[ "$(ipc-sem status -J key:0x5e5 | jq -c '[.semaphore, .value, .semaphores, (.last_pid > 0)]')" = '["key:0x5e5",3,3,true]' ]
	ipc-sem create -c 2 --create key:0x5e7
	[ "$(ipc-sem get key:0x5e7)" = 2 ]
	ipc-rm key:0x5e5 key:0x5e7
	ipc-sem create m
	fails 2 ipc-sem op m 0:1
	fails 2 ipc-sem get -i 1 m
}

@test "usage" {
	fails 2 ipc-sem
	fails 2 ipc-sem nothing
	fails 2 ipc-sem run
	fails 2 ipc-sem get
	fails 2 ipc-sem get a b
	fails 2 ipc-sem wait -u 0 m
	fails 2 ipc-sem wait -u 32768 m
	fails 3 ipc-sem get m
	ipc-sem run --help | grep -q -- --shared
}

# The crontab lines of the page, with stand-ins for what they run.
cron_line() {
	sed 's/\\-/-/g' "$IPC_SRCDIR/man/ipc-sem.x" | grep -E '^[0-9*][^ ]*( +[0-9*,/-]+){4} ' | grep -- "$1" |
		sed -E 's/^([^ ]+ +){5}//'
}

stand_in() {
	mkdir -p "$TMP/bin"
	printf '#!/bin/sh\n%s\n' "$2" >"$TMP/bin/$1"
	chmod 755 "$TMP/bin/$1"
}

@test "crontab: no overlap, and silent" {
	stand_in sync-mail "echo \$\$ >>'$TMP/runs'; $CALM"
	PATH="$TMP/bin:$PATH"
	background sh -c "$(cron_line sync-mail)"
	until_true test -s "$TMP/runs"
	fails 0 sh -c "$(cron_line sync-mail)"
	[ -z "$output$stderr" ]
	[ "$(wc -l <"$TMP/runs")" = 1 ]
	kill -KILL "$(cat "$TMP/runs")"
	background sh -c "$(cron_line sync-mail)"
	until_true sh -c "[ \$(wc -l <'$TMP/runs') = 2 ]"
	kill -KILL "$(tail -1 "$TMP/runs")"
}

@test "crontab: at most three at once" {
	stand_in encode "echo \$\$ >>'$TMP/runs'; $CALM"
	PATH="$TMP/bin:$PATH"
	for i in 1 2 3 4; do background sh -c "$(cron_line encode)"; done
	until_true state_is encoders 0/3free,1waiting
	[ "$(wc -l <"$TMP/runs")" = 3 ]
	kill -KILL "$(head -1 "$TMP/runs")"
	until_true sh -c "[ \$(wc -l <'$TMP/runs') = 4 ]"
	# shellcheck disable=SC2046 # a list of processes
	kill -KILL $(cat "$TMP/runs")
	until_true state_is encoders 3/3free
}

@test "crontab: one when the other is done" {
	stand_in backup "echo backup >>'$TMP/runs'"
	stand_in report "echo report >>'$TMP/runs'"
	PATH="$TMP/bin:$PATH"
	background sh -c "$(cron_line '&& report')"; report=$!
	until_true ipc-event status saved
	[ ! -e "$TMP/runs" ]
	sh -c "$(cron_line 'backup &&')"
	finish $report
	[ "$(xargs <"$TMP/runs")" = "backup report" ]
	# The next night, the event of this one does not count.
	ipc-event wait -n saved
	stand_in backup "echo \$\$ >>'$TMP/runs'; $CALM"
	background sh -c "$(cron_line 'backup &&')"
	until_true sh -c "[ \$(wc -l <'$TMP/runs') = 3 ]"
	background sh -c "$(cron_line '&& report')"; report=$!
	until_true eval '[ "$(ipc-event status -J saved | jq .waiting)" = 1 ]'
	# The backup fails.
	kill -KILL "$(tail -1 "$TMP/runs")"
	[ "$(ipc-event status -J saved | jq .waiting)" = 1 ]
}

@test "crontab: nightly jobs that meet" {
	stand_in rotate "echo first >>'$TMP/runs'"
	stand_in dump-db "echo first >>'$TMP/runs'"
	stand_in copy "echo last >>'$TMP/runs'"
	PATH="$TMP/bin:$PATH"
	background sh -c "$(cron_line rotate)"; first=$!
	until_true state_is night 1/2waiting
	sh -c "$(cron_line dump-db)"
	finish $first
	[ "$(xargs <"$TMP/runs")" = "first first last" ]
}

@test "crontab: a copy that fails breaks the barrier for one night only" {
	stand_in rotate true
	stand_in dump-db true
	stand_in copy "echo copy >>'$TMP/runs'; exit 9"
	PATH="$TMP/bin:$PATH"
	for night in 1 2; do
		sh -c "$(cron_line 'barrier reset')"
		background sh -c "$(cron_line rotate)"; first=$!
		until_true state_is night 1/2waiting
		fails 9 sh -c "$(cron_line dump-db)"
		finish $first 6
		[ "$(wc -l <"$TMP/runs")" = $night ]
	done
}

# In a PID namespace, where who was last can be said: the keeper's number is given to a stranger just before
# release opens it.
@test "release ends no stranger who has the keeper's number" {
	need_pid_namespace
	need strace
	[ -w /proc/sys/kernel/ns_last_pid ] || skip "the kernel has no CONFIG_CHECKPOINT_RESTORE"
	cat >"$TMP/inside" <<-'END'
		in_pidfd_open() {
			for pid in $(pgrep -x ipc-sem); do
				read -r number _ </proc/$pid/syscall && [ "$number" = 434 ] && return
			done
			return 1
		}
		until_true() {
			local tries=0
			until "$@" 2>/dev/null; do
				tries=$((tries + 1))
				[ $tries -lt 500 ] || { echo "deadline: $*"; exit 1; }
				sleep 0.01
			done
		}
		sleep 1000 & owner=$!
		ipc-sem acquire -P $owner m
		keeper=$(ipc-sem status -J m | jq '.holders[0].keeper')
		# LeakSanitizer, if it is built in, cannot work under strace.
		ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null -e inject=pidfd_open:delay_enter=3000000:when=1 ipc-sem release -P $owner m 2>"$1" & release=$!
		until_true in_pidfd_open
		kill -KILL "$keeper"
		until_true sh -c "! kill -0 $keeper"
		echo $((keeper - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 1000 & stranger=$!
		[ $stranger = "$keeper" ] || { echo "the stranger is $stranger, not $keeper"; exit 1; }
		status=0
		wait $release || status=$?
		[ $status -eq 3 ] || { echo "release ended with $status"; exit 1; }
		kill -0 $stranger || { echo "the stranger was killed"; exit 1; }
	END
	"${PID_NAMESPACE[@]}" bash "$TMP/inside" "$TMP/err"
	grep -q "holds nothing of it any more" "$TMP/err"
}
