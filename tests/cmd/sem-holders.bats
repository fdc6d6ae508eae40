#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# sem-holders.bats - the table of holders where its process numbers mean nothing, or are a lie

bats_require_minimum_version 1.5.0
load ../helper

value_is() {
	[ "$(ipc-sem get "$1")" = "$2" ]
}

member() {
	ipc-sem status -J "$1" | jq -r "$2"
}

slots_are() {
	[ "$(member m '.holders | length')" = "$1" ]
}

# A container: processes with numbers of their own, and our objects.
container() {
	"${PID_NAMESPACE[@]}" "$@"
}

# The same in the background: teardown ends the process itself, and with it the container.
background_container() {
	background exec_container "$@"
}

exec_container() {
	exec "${PID_NAMESPACE[@]}" "$@"
}

# The identifier of the table of holders.
table() {
	ipc-ls -a --noheadings -o STATE,ID -k memory | sed -n 's/holders of semaphores.* //p'
}

# forge NAME PID OWNER: make the entry of slot 0 of NAME say that PID holds one unit for OWNER, a keeper that can be released.
forge() {
	perl -e '
		my ($table, $set, $pid, $owner) = @ARGV;
		open my $up, "<", "/proc/uptime" or die;
		my $tag = (($set * 2654435761) & 0xffffffff) >> 26;
		my $word = int((split " ", <$up>)[0] * 100) << 28 | $tag << 22 | $pid;
		my $entry = pack("QQQqlLLLLL", $word, $word, 1 << 2 | 2, 1, $set, 1, $owner, 0, 0, 2);
		shmwrite($table, $entry, 4096 + 64 * ($set % 32768), length $entry) or die' \
		"$(table)" "$(field "$1" ID)" "$2" "$3"
}

@test "a holder that died in another container holds nothing up" {
	need_pid_namespace
	ipc-sem create m
	mkfifo "$TMP/go"
	# Whatever number the one had, there is a living process with it here, and an older one.
	background_container bash -c 'for i in {1..20}; do sleep 1000 <&- & done; echo >"$1/ready"
		read -r x <"$1/go"; ipc-sem run -t 5s m -- sh -c "echo got \$IPC_SLOT"' x "$TMP" >"$TMP/out"
	other=$!
	until_true test -e "$TMP/ready"
	for _ in 1 2 3; do
		[ "$(container ipc-sem run m -- sh -c 'echo $$ $IPC_SLOT')" = "1 0" ]
	done
	# No process of this container is taken for a holder.
	[ "$(member m '.holders | length')" = 0 ]
	echo >"$TMP/go"
	finish $other
	[ "$(cat "$TMP/out")" = "got 0" ]
	ipc-sem run -n m -- true
}

@test "who lives here keeps its slot, whatever died elsewhere" {
	need_pid_namespace
	ipc-sem create -c 3 m
	for free in 2 1; do
		background ipc-sem run m -- sleep 1000
		until_true slots_are $((3 - free))
	done
	[ "$(container ipc-sem run m -- sh -c 'echo $IPC_SLOT')" = 2 ]
	for _ in 1 2 3; do [ "$(ipc-sem run m -- sh -c 'echo $IPC_SLOT')" = 2 ]; done
	[ "$(member m '[.holders[].slot] | @text')" = "[0,1]" ]
}

@test "release in a container ends nobody who has the number of another one's keeper" {
	need_pid_namespace
	ipc-sem create m
	mkfifo "$TMP/go"
	# They must be older than what is written of the keeper.
	background_container bash -c '
		for i in {1..20}; do sleep 1000 <&- & done
		echo >"$1/ready"
		read -r x <"$1/go"
		ipc-sem release -P "$(cat "$1/owner")" m 2>"$1/err"
		status=$?
		[ "$(jobs -rp | wc -l)" = 20 ] || status=99
		exit $status' x "$TMP"
	other=$!
	until_true test -e "$TMP/ready"
	background_container bash -c 'sleep 1000 <&- & ipc-sem acquire -P $! m && echo $! >"$1/owner"; wait' x "$TMP"
	until_true test -s "$TMP/owner"
	echo >"$TMP/go"
	finish $other 3
	grep -q "holds nothing of it" "$TMP/err"
	value_is m 0
}

@test "release believes no table that names another process as keeper" {
	ipc-sem create -m 666 m
	ipc-sem create -m 666 other
	background sleep 1000; owner=$!
	background sleep 1000; victim=$!
	ipc-sem acquire -P $owner other
	keeper=$(member other '.holders[0].keeper')
	for pid in $victim "$keeper"; do
		forge m "$pid" $owner
		[ "$(member m '.holders[0].keeper')" = "$pid" ]
		fails 8 ipc-sem release -P $owner m
		[[ $stderr == *"process $pid, which should keep it for process $owner, is no keeper of it"*"hint: "* ]]
		kill -0 "$pid"
	done
	value_is other 0
	ipc-sem release -P $owner other
	value_is other 1
}

@test "a COMMAND that goes to another IPC namespace gives back, and keeps no slot" {
	unshare --ipc true || skip "no IPC namespaces here"
	background ipc-sem run m -- unshare --ipc sleep 1000; holder=$!
	until_true grep -q sleep /proc/$holder/comm
	value_is m 1
	[ "$(member m '.holders | length')" = 0 ]
	[ "$(ipc-sem run -n m -- sh -c 'echo $IPC_SLOT')" = 0 ]
	kill -0 $holder
}

@test "who holds all is held up by no entry that it cannot judge" {
	need_root "another user"
	ipc-sem create -m 666 m
	ipc-sem create -m 666 -c 3 many
	for name in m many; do
		background ipc-sem run $name -- unshare --ipc sleep 1000; holder=$!
		until_true grep -q sleep /proc/$holder/comm
	done
	# Where root's processes are one may not see. An entry of the same hundredth of a second is not older.
	until_true as 1000 ipc-sem run -n root/m -- true
	[ "$(as 1000 ipc-sem run -n root/m -- sh -c 'echo $IPC_SLOT')" = 0 ]
	as 1000 ipc-sem run -n -x root/many -- true
	# Nor by one that somebody forged.
	forge m $$ 0
	until_true as 1000 ipc-sem run -n root/m -- true
}

@test "a /proc of other numbers is not believed" {
	need_pid_namespace
	[ -w /proc/sys/kernel/ns_last_pid ] || skip "the kernel has no CONFIG_CHECKPOINT_RESTORE"
	ipc-sem create m
	mkfifo "$TMP/go"
	# Inside, without --mount-proc, /proc/500 is a process of outside, which began after our 500.
	# LeakSanitizer, if it is built in, cannot do with such a /proc.
	ASAN_OPTIONS=detect_leaks=0 container bash -c '
		unshare --pid --fork --kill-child bash -c "
			echo 499 >/proc/sys/kernel/ns_last_pid
			ipc-sem run m -- sleep 1000 & holder=\$!
			until [ \$(ipc-sem get m) = 0 ]; do sleep 0.02; done
			echo \$holder >$1/holder
			read -r x <$1/go
			ipc-sem status -J m >$1/status" &
		inside=$!
		until [ -s "$1/holder" ]; do sleep 0.02; done
		[ "$(cat "$1/holder")" = 500 ] || exit 11
		began=$(cut -d" " -f1 /proc/uptime)
		until [ "$(cut -d" " -f1 /proc/uptime)" != "$began" ]; do :; done
		echo 499 >/proc/sys/kernel/ns_last_pid
		sleep 1000 &
		[ $! = 500 ] || exit 12
		echo >"$1/go"
		wait $inside' x "$TMP"
	[ "$(jq '.holders[0].pid' "$TMP/status")" = 500 ]
}

@test "release in place of the shell that acquired releases" {
	# A shell may become its last command, whose parent is then another one, perhaps of another session.
	bash -c 'ipc-sem acquire m; exec ipc-sem release m'
	value_is m 1
	setsid -w bash -c 'ipc-sem acquire m; exec ipc-sem release m'
	value_is m 1
	# It is not taken for one that holds when it does not.
	ipc-sem acquire -P $$ m
	fails 4 bash -c 'exec ipc-sem release -P $$ m'
	ipc-sem release -P $$ m
	value_is m 1
}

stopped() {
	grep -q '^State:.T' /proc/"$1"/status
}

waiters_are() {
	[ "$(member m .waiters)" = "$1" ]
}

@test "stopped from the terminal, who waits leaves the line" {
	ipc-sem create -c 2 m
	background ipc-sem run -u 2 m -- sleep 1000; holder=$!
	until_true value_is m 0
	# As a shell does: a group of its own, whose parent is of the session. Others the kernel does not stop.
	for verb in run wait create; do
		case $verb in
		run) set -- run m -- touch "$TMP/ran" ;;
		wait) set -- wait m ;;
		create) set -- create --resize -c 1 m ;;
		esac
		background setsid perl -e '
			$file = shift; $pid = fork;
			if (!$pid) { setpgrp 0, 0; exec @ARGV }
			open $out, ">", $file; print $out "$pid\n"; close $out; wait' "$TMP/$verb" ipc-sem "$@"
		until_true test -s "$TMP/$verb"
		waiter=$(cat "$TMP/$verb")
		until_true blocked "$waiter"
		waiters_are 1
		kill -TSTP "$waiter"
		until_true stopped "$waiter"
		waiters_are 0
	done
	background ipc-sem run m -- true; second=$!
	until_true waiters_are 1
	kill -KILL $holder
	finish $second
	kill -CONT "$(cat "$TMP/run")"
	until_true test -e "$TMP/ran"
	kill -CONT "$(cat "$TMP/wait")"
	until_true value_is m 1
	kill -CONT "$(cat "$TMP/create")"
	until_true value_is m 0
	[ "$(member m .count)" = 1 ]
}
