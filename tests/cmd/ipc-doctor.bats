# SPDX-License-Identifier: MIT
# ipc-doctor.bats - what ipc-doctor promises: each finding, with its message, and that its command mends it

bats_require_minimum_version 1.5.0
load ../helper

# The machine around a test is not to be judged: a namespace of our own, and no systemd.
# shellcheck disable=SC2120 # most need no option
doctor() {
	ipc-doctor --peer=$$ --root="$TMP" --interval=0 "$@"
}

healthy() {
	fails 0 doctor "$@"
	[ -z "$output$stderr" ] || { echo "$output$stderr"; return 1; }
}

# finds SUBJECT MESSAGE [OPTION...]: just this is found, MESSAGE being a pattern; its command is then $FIX.
finds() {
	remedied fix FIX "$@"
}

# The same where the remedy is $ADVICE, which is text and no command.
advises() {
	remedied advice ADVICE "$@"
}

remedied() {
	local how=$1
	local -n remedy=$2
	shift 2
	local subject=$1 message=$2 line
	shift 2
	fails 1 doctor "$@"
	line=$(grep -F "$subject: " <<<"$output") || { echo "no $subject in: $output"; return 1; }
	[ "$(wc -l <<<"$line")" = 1 ]
	# shellcheck disable=SC2027,SC2053 # a pattern
	[[ $line == "$subject: "$message"; $how: "* ]] || { echo "not as expected: $line"; return 1; }
	# shellcheck disable=SC2034 # the caller's variable
	remedy=${line##*; "$how": }
	[ -z "$stderr" ]
}

# Do what the finding says.
mend() {
	bash -c "$FIX" >"$TMP/mend" 2>&1 3>&- || { cat "$TMP/mend"; return 1; }
}

sysctl_is() {
	echo "$2" >"/proc/sys/kernel/$1"
}

@test "nothing is wrong: exit 0 and not a word" {
	healthy
	ipc-send q1 x
	ipc-sem create s1 -c 2
	ipc-barrier create b1 2
	ipc-event set e1
	ipc-shm create m1 -T i64
	head -c 100000 /dev/zero | ipc-send -w q1
	background ipc-sem run s1 -- sleep 1000
	until_true ipc-sem get s1
	healthy
	healthy --interval=40ms
	fails 0 doctor -J
	[ "$(jq -c . <<<"$output")" = '{"findings":[]}' ]
	fails 0 doctor -v
	[ "$(grep -c ': 0 found$' <<<"$stderr")" = 10 ]
}

@test "options are read strictly, and a failed write is an error" {
	fails 2 ipc-doctor word
	fails 2 ipc-doctor --interval=x
	fails 2 ipc-doctor --interval=2d
	fails 2 ipc-doctor --older-than=-1
	fails 2 ipc-doctor --peer=0
	sysctl_is shm_rmid_forced 1
	fails 1 bash -c 'ipc-doctor >/dev/full'
	[[ $stderr == *"write error"* ]]
	sysctl_is shm_rmid_forced 0
}

# ---- the kernel's limits ---------------------------------------------------------

@test "limits that are near full" {
	ipc-send q1 x
	ipc-send q2 x
	ipc-sem create s1
	sysctl_is msgmni 2
	finds kernel.msgmni "2 of 2 queues are used (MSGMNI): new ones will be refused"
	fails 5 ipc-send q3 x
	mend
	healthy
	ipc-send q3 x
	sysctl_is sem "32000 1024000000 500 2"
	finds kernel.sem "2 of 2 semaphore sets are used (SEMMNI): new ones will be refused"
	mend
	healthy
	sysctl_is sem "32000 13 500 32000"
	finds kernel.sem "13 of 13 semaphores in all sets are used (SEMMNS): new ones will be refused"
	mend
	healthy
	sysctl_is sem "32000 13 500 2" # one command for both
	fails 1 doctor
	FIX=${output##*; fix: }
	[ "$(grep -cF "; fix: $FIX" <<<"$output")" = "$(wc -l <<<"$output")" ]
	mend
	healthy
	ipc-shm create m1 10
	sysctl_is shmmni 2
	finds kernel.shmmni "2 of 2 memory segments are used (SHMMNI): new ones will be refused"
	mend
	healthy
	local pages
	pages=$(ipc-ls -l -J | jq -r '.limits[] | select(.limit == "SHMALL") | .used')
	sysctl_is shmall $((pages + 100))
	finds kernel.shmall "$pages of $((pages + 100)) pages are used (SHMALL): new ones will be refused"
	mend
	healthy
	# At four fifths, and not before.
	sysctl_is msgmni 4
	healthy
	ipc-send q4 x
	finds kernel.msgmni "4 of 4 queues*"
}

@test "a limit that is as high as the kernel allows" {
	sysctl_is msgmni 32768
	perl -e 'for (1 .. 26300) { defined msgget(0, 0600) or die $! }'
	finds MSGMNI "26300 of 32768 queues are used, and more the kernel does not allow"
	[[ $FIX == "ipc-rm --stale; ipc-ls -a "* ]]
	mend
	ipcrm --all=msg
	healthy
}

@test "limits that are too small for what is to go through" {
	ipc-send q1 x
	sysctl_is msgmax 10
	finds kernel.msgmax "10 bytes are too few (MSGMAX): at least 64 for the descriptor of a big message"
	mend
	healthy
	sysctl_is msgmnb 20
	finds kernel.msgmnb "20 bytes are too few (MSGMNB): at least 64*"
	mend
	healthy
	sysctl_is sem "20 1024000000 500 32000"
	finds kernel.sem "20 semaphores are too few (SEMMSL): at least 64 for barriers and events"
	mend
	healthy
	sysctl_is sem "32000 1024000000 5 32000"
	finds kernel.sem "5 operations are too few (SEMOPM): at least 24 for the steps of a barrier"
	mend
	healthy
	ipc-rm -a -f
	sysctl_is shmmax 100000
	finds kernel.shmmax "100000 bytes are too few (SHMMAX): at least * for the registry of names"
	mend
	healthy
	sysctl_is shmall 100
	finds kernel.shmall "100 pages are too few (SHMALL): at least * for the registry of names"
	mend
	healthy
	ipc-send q1 x
}

@test "a queue that cannot hold one message as large as is allowed" {
	sysctl_is msgmnb 4096
	finds kernel.msgmnb "a new queue holds 4096 bytes, less than one message may have (kernel.msgmax, 8192): who sends one to it waits for ever"
	mend
	healthy
}

@test "messages that are too big for the queue, in many of the segments there are" {
	sysctl_is shmmni 35
	for _ in 1 2 3; do head -c 10000 /dev/zero | ipc-send -w q1; done
	healthy
	head -c 20000 /dev/zero | ipc-send -w q1
	finds kernel.msgmax "4 queued messages are over its 8192 bytes, or their queue's, and take one of 35 segments each"
	mend
	ipc-recv -a q1 >/dev/null
	ipc-rm q1
	for _ in 1 2 3 4 5; do head -c 20000 /dev/zero | ipc-send -w q1; done
	[ "$(ipc-ls -a --noheadings -o STATE | grep -c 'big message')" = 0 ]
	healthy
}

# Whether the ipc-doctor below PID sleeps for a time.
naps() {
	local child number
	child=$(cat "/proc/$1/task/$1/children")
	read -r number _ <"/proc/${child% }/syscall" || return
	case $(uname -m)/$number in
	x86_64/230 | x86_64/267 | x86_64/407 | aarch64/115 | i*86/267 | i*86/407) return 0 ;;
	esac
	return 1
}

# ---- queues ----------------------------------------------------------------------

empty() {
	[ "$(field q1 MESSAGES)" = 0 ]
}

@test "a queue that is nearly full" {
	local half
	sysctl_is msgmax 8192 # an earlier test has raised them
	sysctl_is msgmnb 16384
	half=$(head -c 6500 /dev/zero | tr '\0' x)
	ipc-send q1 "$half"
	healthy
	ipc-send q1 "$half" "abc"
	healthy
	ipc-send q1 "$(head -c 200 <<<"$half")"
	advises q1 "4 messages with 13203 bytes are in it, and it holds 16384 (kernel.msgmnb, when it was made): senders will wait"
	[[ $ADVICE == "start the program that receives from it"* && $ADVICE != *ipc-recv* ]]
	background ipc-recv -f q1 >/dev/null
	local receiver=$!
	until_true empty
	healthy
	kill $receiver
	finish $receiver 143
	# Many messages without a byte, as a foreign program sends them, fill it as well.
	head -c 14000 /dev/zero | ipc-send -0 "key:$(field q1 KEY)"
	advises q1 "14000 messages with 0 bytes are in it*"
}

@test "a queue that only grows" {
	ipc-send "it's\$q" one
	background bash -c 'while sleep 0.05; do ipc-send "$0" more || exit; done' "it's\$q"
	local sender=$!
	until_true advises "it's\$q" "it only grows: from * to * messages in 0.6s, and nobody received one" --interval=600ms
	[[ $ADVICE != *ipc-recv* ]]
	healthy --interval=0
	# Not so if some are received, though fewer than come.
	background bash -c 'while sleep 0.1; do ipc-recv -n "$0" || exit; done' "it's\$q" >/dev/null
	local slow=$!
	for _ in 1 2 3 4 5; do
		fails 0 doctor --interval=600ms
	done
	kill $slow
	finish $slow 143
	# With somebody who receives all it is well.
	background ipc-recv -f "it's\$q" >/dev/null
	local receiver=$!
	until_true blocked $receiver
	healthy --interval=600ms
	kill $sender $receiver
	finish $sender 143
	finish $receiver 143
}

@test "one message that comes is no growth" {
	ipc-send q1 x
	background doctor --interval=2s
	local pid=$!
	until_true naps $pid
	ipc-send q1 y
	finish $pid
}

@test "a queue that grows while a program takes few of many is no finding" {
	ipc-send q1 one
	# One process, so that only the time tells that it has received another one; and that has whole seconds.
	background ipc-recv -f q1 -- sleep 0.05
	local receiver=$!
	background bash -c 'while sleep 0.01; do ipc-send "$0" more || exit; done' q1
	local sender=$!
	for _ in {1..6}; do
		fails 0 doctor --interval=400ms
	done
	kill $sender $receiver
	finish $sender 143
	finish $receiver 143
}

@test "looking changes nothing" {
	ipc-sem create s1
	ipc-send q1 x
	# There is no table of holders: use creates it, a look does not.
	perl -e 'semget(0x7123, 1, 01600) // die; shmget(0x7124, 10, 01600) // die; msgget(0x7123, 01600) // die'
	awk '{ print $1, $2, $3 }' /proc/sysvipc/* >"$TMP/before" # keys, identifiers, modes
	healthy
	ipc-ls -a -o +PIDS >"$TMP/list"
	awk '{ print $1, $2, $3 }' /proc/sysvipc/* >"$TMP/after"
	diff "$TMP/before" "$TMP/after"
	ipc-rm -k queue key:0x7123
	ipc-rm -k semaphore key:0x7123
	ipc-rm -k memory key:0x7124
}

# ---- systemd ---------------------------------------------------------------------

# The doctor as user 1000, on a machine with systemd whose files are below $TMP. NAME becomes whose objects those are.
normal_user() {
	as 1000 env XDG_SESSION_CLASS="${CLASS-user}" ipc-doctor --peer=$$ --root="$TMP" --interval=0
}

removes() {
	fails 1 normal_user
	[[ $output == "user $USER_NAME: systemd removes all objects of the user when the last session ends, a cron job's included; fix: loginctl enable-linger $USER_NAME" ]] || { echo "$output"; return 1; }
}

removes_not() {
	fails 0 normal_user
	[ -z "$output" ]
}

# settings FILE LINE...
settings() {
	local file=$TMP$1
	shift
	mkdir -p "${file%/*}"
	printf '%s\n' "$@" >"$file"
	chmod -R a+rX "$TMP"
}

@test "systemd's RemoveIPC and a normal user" {
	need_root "becomes another user"
	USER_NAME=$(getent passwd 1000 | cut -d : -f 1)
	USER_NAME=${USER_NAME:-1000}
	chmod 755 "$TMP"
	removes_not # no systemd
	mkdir -p "$TMP/run/systemd/system"
	chmod -R a+rX "$TMP"
	removes
	healthy # root is spared
	CLASS=background fails 1 normal_user
	[[ $output == "user $USER_NAME: this is a cron job's session: if no other is open when it ends, systemd removes all objects of the user; fix: loginctl enable-linger $USER_NAME" ]]
	# What the command does.
	mkdir -p "$TMP/bin"
	printf '#!/bin/sh\n[ "$1" = enable-linger ] && mkdir -p "%s/var/lib/systemd/linger" && touch "%s/var/lib/systemd/linger/$2"\n' "$TMP" "$TMP" >"$TMP/bin/loginctl"
	chmod 755 "$TMP/bin/loginctl"
	FIX=${output##*; fix: }
	PATH="$TMP/bin:$PATH" mend
	removes_not
	rm -r "${TMP:?}/var"
	removes
	# Root is told of others who have objects.
	as 1000 ipc-send -m 600 q1 x
	finds "user $USER_NAME" "systemd removes all objects of the user*"
	as 1000 ipc-rm q1
}

@test "what logind.conf and its folders say" {
	need_root "becomes another user"
	USER_NAME=$(getent passwd 1000 | cut -d : -f 1)
	USER_NAME=${USER_NAME:-1000}
	mkdir -p "$TMP/run/systemd/system"
	settings /etc/systemd/logind.conf '[Login]' 'RemoveIPC=no'
	removes_not
	settings /etc/systemd/logind.conf '[Login]' '#RemoveIPC=yes' ' RemoveIPC = Off '
	removes_not
	settings /etc/systemd/logind.conf '[Login]' '#RemoveIPC=no' # what is built in
	removes_not
	settings /etc/systemd/logind.conf '[Login]' '#RemoveIPC=no' 'RemoveIPC=yes' '; RemoveIPC=no'
	removes
	settings /etc/systemd/logind.conf '[Other]' 'RemoveIPC=no' '[Login]' 'RemoveIPCs=no' 'RemoveIPC=perhaps'
	removes
	settings /usr/lib/systemd/logind.conf '[Login]' 'RemoveIPC=no' # the one in /etc counts
	removes
	rm "$TMP/etc/systemd/logind.conf"
	removes_not
	# Files in folders come later, in the order of their names, and a comment in them says nothing.
	settings /run/systemd/logind.conf.d/10-a.conf '[Login]' 'RemoveIPC=yes'
	removes
	settings /usr/lib/systemd/logind.conf.d/20-b.conf '[Login]' '#RemoveIPC=yes' 'RemoveIPC=false'
	removes_not
	settings /etc/systemd/logind.conf.d/20-b.conf '' # hides the other one
	removes
	settings /etc/systemd/logind.conf.d/30-c.conf '[Login]' 'RemoveIPC=0'
	removes_not
	settings /etc/systemd/logind.conf.d/40-d.txt '[Login]' 'RemoveIPC=1'
	removes_not
}

@test "kernel.shm_rmid_forced" {
	sysctl_is shm_rmid_forced 1
	finds kernel.shm_rmid_forced "it is 1: a segment goes with the last process that has it attached, and so no name can be kept"
	mend
	healthy
	ipc-send q1 x
}

# ---- the IPC namespace -----------------------------------------------------------

@test "another IPC namespace than the caller thinks" {
	fails 1 unshare --ipc ipc-doctor --root="$TMP" --peer=$$
	[[ $output == "IPC namespace: this one ("*") is not that of process $$ ("*"): what is made there is not seen here; fix: nsenter --target $$ --ipc" ]]
	# The command leads to where it is well.
	FIX=${output##*; fix: }
	unshare --ipc bash -c "SHELL=/bin/sh $FIX ipc-doctor --root='$TMP' --peer=$$ --interval=0"
	# unshare(1) becomes the command, so the parent is looked at from a shell between.
	fails 1 bash -c 'unshare --ipc ipc-doctor --root="$0"; exit $?' "$TMP"
	[[ $output == "IPC namespace: this one ("*") is not that of the parent, process "* ]]
	# Who asked for it knows.
	background unshare --ipc sleep 1000
	local other=$!
	until_true differs_from_ours $other
	fails 0 ipc-doctor --root="$TMP" --ipc-namespace=$other --interval=0
	[ -z "$output" ]
}

differs_from_ours() {
	[ "$(readlink /proc/self/ns/ipc)" != "$(readlink "/proc/$1/ns/ipc")" ]
}

@test "a peer that is not there is a mistake" {
	local ended
	true & ended=$!
	wait $ended
	fails 2 ipc-doctor --root="$TMP" --interval=0 --peer=$ended
	[ "$stderr" = "ipc-doctor: namespace: --peer: there is no process $ended" ]
}

@test "a namespace that is process 1's is the machine's as far as anybody can see" {
	need_pid_namespace
	unshare --ipc "${PID_NAMESPACE[@]}" ipc-doctor --root="$TMP"
	fails 1 "${PID_NAMESPACE[@]}" bash -c 'unshare --ipc bash -c "ipc-doctor --root=$0; exit \$?"; exit $?' "$TMP"
	[[ $output == "IPC namespace: this one ("*") is not that of process 1 ("*"fix: nsenter --target 1 --ipc" ]]
}

# ---- what nobody can reach -------------------------------------------------------

@test "names whose objects vanished" {
	ipc-send q1 x
	ipc-shm create m1 10
	ipc-sem create s1
	ipcrm -Q "$(field q1 KEY)"
	finds "queue q1" "the object is gone"
	[ "$FIX" = "ipc-rm --stale" ]
	mend
	healthy
	ipcrm -M "$(field m1 KEY)"
	ipcrm -S "$(field s1 KEY)"
	fails 1 doctor
	[ "$(wc -l <<<"$output")" = 2 ]
	grep -qx 'memory m1: the object is gone; fix: ipc-rm --stale' <<<"$output"
	grep -qx 'semaphore s1: the object is gone; fix: ipc-rm --stale' <<<"$output"
	mend
	healthy
}

@test "names of others whose objects vanished, as root sees them" {
	need_root "becomes another user"
	as 1000 ipc-send 'a;b' x
	ipcrm -Q "$(ipc-ls --user=1000 --noheadings -o KEY | xargs)"
	fails 0 as 1001 ipc-doctor --peer=$$ --root="$TMP" --interval=0
	fails 1 doctor
	[[ $output == *"/a;b: the queue is gone: another program removed it; fix: setpriv --reuid=1000 --clear-groups ipc-rm --stale" ]]
	as 1000 ipc-rm --stale
	healthy
}

@test "a pipe of another user whose ends were killed, as root sees it" {
	need_root "becomes another user"
	background as 1000 bash -c 'exec ipc-pipe write -m 600 p' < <(exec sleep 1000 3>&-)
	local writer
	until_true ipc-ls 1000/p
	healthy --older-than=0
	writer=$(ipc-ls --noheadings -o PIDS 1000/p | tr -d ' ')
	kill -KILL "$writer"
	until_true gone "$writer"
	healthy
	finds "$(id -un 1000 2>/dev/null || echo 1000)/p" "both its ends are gone" --older-than=0
	[ "$FIX" = "setpriv --reuid=1000 --clear-groups ipc-rm --stale" ]
	as 1000 ipc-rm --stale
	healthy --older-than=0
	fails 3 ipc-ls 1000/p
}

@test "bodies, tables and half-made things that nobody can reach" {
	ipc-send q1 x
	head -c 100000 /dev/zero | ipc-send -w q2
	local id
	id=$(field q2 ID)
	ipcrm -Q "$(field q2 KEY)"
	ipc-rm -f q2
	healthy # not yet: a receiver may be about to take it
	finds "big message of queue $id, 100000 bytes" "nobody can reach it any more" --older-than=0
	[ "$FIX" = "ipc-rm --stale --older-than=0s" ]
	mend
	healthy --older-than=0
	# A creator that was killed between its announcement and the end.
	need strace
	strace -f -o /dev/null -e inject=semtimedop:signal=KILL:when=2 ipc-event set e3 || [ $? -eq 137 ]
	finds "event e3" "its creator died before it was ready"
	mend
	healthy
}

@test "what a registry that was removed leaves: objects without a listed name, and its lock" {
	local key registry
	ipc-sem run s1 -- true
	ipc-event set e1
	key=$(field s1 KEY)
	registry=$(ipc-ls -a --noheadings -o KEY,STATE | awk '/ registry of names,/ { print $1 }')
	ipcrm -M "$registry"
	advises "key:$key" "it is a semaphore of ipcutils whose name is not listed any more, because the registry was removed"
	[ "$ADVICE" = "use its name again, which lists it" ]
	advises "key:$(field e1 KEY)" "it is an event of ipcutils whose name is not listed any more*"
	finds "registry of names" "it holds no name"
	[ "$FIX" = "ipc-rm --stale" ]
	# Nothing that is alive is removed.
	mend
	[ "$(ipc-sem get s1)" = 1 ]
	ipc-event wait -n e1
	healthy
	ipcrm -S "$key"
	fails 1 doctor
	[[ $output == *"table of holders "*": no semaphore uses it; fix: ipc-rm --stale"* ]]
	bash -c "$FIX"
	healthy
	ipc-send q1 x
}

@test "segments that were removed but stay attached, and those that nobody has" {
	# What programs do that want no segment to be left behind.
	background perl -MIPC::SysV=shmat -e '$id = shmget(0, 5000, 0600) // die; shmat($id, undef, 0) // die; shmctl($id, 0, 0) // die; print "$id\n"; close STDOUT; fork and exit(<STDIN> && 0); sleep 1000' >"$TMP/id" < <(until test -e "$TMP/end"; do sleep 0.02; done)
	local maker=$! user id
	until_true test -s "$TMP/id"
	id=$(<"$TMP/id")
	until_true pgrep -P $maker
	user=$(pgrep -P $maker)
	healthy --older-than=0
	touch "$TMP/end"
	finish $maker
	healthy
	advises "memory id:$id" "it was removed and who made it has ended, but 5000 bytes stay until it is detached by $user (perl *)" --older-than=0
	[[ $ADVICE == "end the processes that have it attached if "* ]]
	kill "$user"
	until_true gone "$user"
	healthy --older-than=0
	# Without a key, and its maker alive, then not.
	background perl -e '$id = shmget(0, 5000, 0600) // die; print "$id\n"; close STDOUT; sleep 1000' >"$TMP/id"
	user=$!
	until_true test -s "$TMP/id"
	id=$(<"$TMP/id")
	healthy --older-than=0
	kill $user
	finish $user 143
	healthy
	advises "memory id:$id" "it has no key, nobody has its 5000 bytes attached, and who made it has ended" --older-than=0
	[[ $ADVICE == "if no program was given the identifier, ipc-rm -k memory id:$id removes it" ]]
	ipc-rm -k memory "id:$id"
	healthy --older-than=0
}

# ---- keys ------------------------------------------------------------------------

@test "objects of others on our keys" {
	need_root "becomes another user"
	local key
	ipc-send q1 x
	key=$(field q1 KEY)
	ipc-rm q1
	as 1000 ipc-send --create -m 600 "key:$key" squatter
	ipc-send q1 x
	[ "$(field q1 KEY)" != "$key" ]
	advises q1 "a queue of user 1000, made by another program, is on its key $key"
	[[ $ADVICE == "nothing is broken; "*"unless user 1000 removes the queue" ]]
	ipc-rm -k queue "key:$key"
	healthy
	[ "$(ipc-recv q1)" = x ]
	# On the registry's key, before there was one.
	ipc-rm q1
	key=$(perl -Mbigint -e '$h = 0xcbf29ce484222325; $h = (($h ^ ord) * 0x100000001b3) % 2**64 for split //, "ipcutils:0/:registry#0"; printf "0x%08x", (($h >> 32) ^ $h) % 2**31')
	as 1000 perl -e 'shmget(unpack("l", pack "L", hex $ARGV[0]), 10, 01666) // die' "$key"
	advises "registry of names" "a memory of user 1000, made by another program, is on its key $key"
	ipc-send q1 x
	advises "registry of names" "a memory of user 1000, made by another program, is on its key $key"
	ipc-rm -k memory "key:$key"
	healthy
}

@test "an object of the caller's own, on its own key, of another program" {
	local key
	ipc-barrier create b1 2
	key=$(field b1 KEY)
	ipc-rm b1
	perl -e 'semget(unpack("l", pack "L", hex $ARGV[0]), 1, 01600) // die' "$key"
	ipc-barrier create b1 2
	advises b1 "a semaphore of user $(id -u), made by another program, is on its key $key"
	ipc-rm -k semaphore "key:$key"
	healthy
}

@test "what a load is just filling is no stranger" {
	need strace
	# Killed in the middle is as if it took long, but for the finding that it is.
	echo x | strace -o /dev/null -e inject=madvise:signal=KILL:when=1 ipc-shm load m || [ $? -eq 137 ]
	[ "$(ipc-ls -a --noheadings -o KIND,STATE | grep -c '^memory .* 2 bytes')" = 2 ]
	fails 1 doctor
	[[ $output == "memory m: "*"; fix: ipc-rm --stale" ]]
	FIX=${output##*; fix: }
	mend
	healthy
	[ "$(ipc-shm read m)" = x ]
}

@test "two names of ours that begin with the same key are not strangers" {
	[ "$(id -u)" = 0 ] || skip "the names are two whose keys are the same for user 0"
	ipc-send n166015 x
	ipc-send n246524 x
	[ "$(field n166015 KEY)" = 0x401e6ccf ]
	[ "$(field n246524 KEY)" != 0x401e6ccf ]
	healthy
}

# ---- holders ---------------------------------------------------------------------

stopped() {
	[ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat")" = T ]
}

@test "holders that are stopped" {
	ipc-sem create s1 -c 3
	background ipc-sem run -u 2 s1 -- sleep 1000
	local holder=$! keeper locker
	until_true held s1 2
	healthy
	kill -STOP $holder
	until_true stopped $holder
	finds s1 "process $holder (sleep 1000) is stopped and holds 2 of its units: who waits for them waits on"
	[ "$FIX" = "kill -CONT $holder" ]
	mend
	healthy
	# A keeper that is stopped would not give back.
	ipc-sem acquire s1 -P $holder
	keeper=$(ipc-sem status -J s1 | jq '.holders[] | select(.keeper).keeper')
	kill -STOP "$keeper"
	until_true stopped "$keeper"
	finds s1 "process $keeper (*) is stopped and keeps units for $holder: they will not come back when that one ends"
	mend
	healthy
	kill $holder
	finish $holder 143
	ipc-shm create m1 8
	background ipc-shm lock m1 -- sleep 1000
	locker=$!
	until_true locked_by m1 $locker
	kill -STOP $locker
	until_true stopped $locker
	finds m1 "process $locker (sleep 1000) is stopped and holds its lock: who waits for it waits on"
	mend
	healthy
}

held() {
	[ "$(ipc-sem status -J "$1" | jq .held)" = "$2" ]
}

locked_by() {
	[ "$(ipc-ls --noheadings -o PIDS,USE "$1" | xargs)" = "$2 holds" ]
}

@test "an end of a pipe that is stopped" {
	background ipc-pipe read p1 >/dev/null
	local reader=$!
	background bash -c '{ echo x; sleep 1000; } | exec ipc-pipe write p1'
	until_true at_both_ends p1
	healthy
	kill -STOP $reader
	until_true stopped $reader
	finds p1 "process $reader (ipc-pipe read p1) is stopped and is one of its ends: the other one waits on"
	mend
	healthy
}

at_both_ends() {
	[ "$(ipc-ls --noheadings -o PIDS "$1" | wc -w)" = 2 ]
}

@test "who is stopped with the lock of the registry" {
	ipc-send q1 x
	background perl -e '$s = semget(unpack("l", pack "L", hex $ARGV[0]), 0, 0) // die; semop($s, pack "s6", 0, 0, 0, 0, 1, 010000) or die; kill STOP => $$; sleep 1000' \
		"$(ipc-ls -a --noheadings -k semaphore -o KEY | xargs)"
	local holder=$!
	until_true stopped $holder
	finds "registry of names" "process $holder (perl *) is stopped and has it locked: nobody can create or remove a name"
	[ "$FIX" = "kill -CONT $holder" ]
	mend
	kill $holder
	finish $holder 143
	healthy
}

# ---- the registry ------------------------------------------------------------------

# Where the first entry, its two records, and the index are.
ENTRIES=$((4096 + 65536 * 4))
NAME_OF_FIRST=$((ENTRIES + 8))
RECORDS_OF_FIRST=$((ENTRIES + 8 + 64))

registry_key() {
	ipc-ls -a -k memory --noheadings -o KEY,STATE | awk '/ registry of names,/ { print $1 }'
}

# repairs MESSAGE: --repair says so, and then all is well.
repairs() {
	fails 0 doctor --repair
	# shellcheck disable=SC2027 # a pattern
	[[ $output == *"registry of names: "$1"; repaired"* ]] || { echo "$output"; return 1; }
	healthy
}

@test "damage of the registry is found, and mended with --repair" {
	local registry
	ipc-send q1 one
	ipc-send q2 two
	ipc-shm create m1 100
	registry=$(registry_key)
	scribble "$registry" 0 ffffffffffffffff
	finds "registry of names" "its magic is wrong: no name can be used"
	[ "$FIX" = "ipc-doctor --repair" ]
	fails 8 ipc-ls
	fails 0 doctor --repair
	[ "$output" = "registry of names: its magic is wrong: no name can be used; repaired" ]
	healthy
	# names, high, free_head
	scribble "$registry" 16 01000000
	finds "registry of names" "it counts 1 names, but there are 3: it would be removed with names in it"
	repairs "it counts 1 names*"
	scribble "$registry" 16 ffffff00
	finds "registry of names" "it counts 16777215 names, but there are 3: it takes no new ones"
	repairs "it counts*"
	scribble "$registry" 20 01000000
	finds "registry of names" "it says that 1 entries were ever used, but 3 are: names are not listed, and new ones would take their place"
	repairs "it says*"
	scribble "$registry" 24 00000700
	finds "registry of names" "its list of free entries leads astray"
	repairs "its list*"
	[ "$(ipc-ls --noheadings -o NAME | xargs)" = "q1 q2 m1" ]
	# All of the index is gone; then some of it leads nowhere.
	perl -e 'my $id = shmget(unpack("l", pack "L", hex $ARGV[0]), 0, 0) // die; shmwrite($id, "\0" x 262144, 4096, 262144) or die' "$registry"
	[ -z "$(ipc-ls --noheadings)" ]
	fails 1 doctor
	[ "$(grep -c 'cannot be found by its name; fix: ipc-doctor --repair' <<<"$output")" = 3 ]
	repairs "m1 cannot be found by its name"
	scribble "$registry" 5000 10270000ffffff7f
	finds "registry of names" "2 slots of its index lead nowhere"
	repairs "2 slots*"
	[ "$(ipc-ls --noheadings -o NAME | xargs)" = "q1 q2 m1" ]
	[ "$(ipc-recv q1) $(ipc-recv q2)" = "one two" ]
}

@test "damage of a name or a record: its object is kept" {
	local registry key
	ipc-send q1 one
	ipc-send q1 two
	key=$(field q1 KEY)
	registry=$(registry_key)
	# The record in force; the one before it is from the creation and cannot help, but the key can.
	scribble "$registry" "$RECORDS_OF_FIRST" "$(head -c 128 /dev/zero | tr '\0' U | od -An -v -tx1 | tr -d ' \n')"
	finds "registry of names" "the record of q1 is damaged: an object has its key"
	repairs "the record of q1*"
	[ "$(field q1 KEY)" = "$key" ]
	# The name is not the one that the key belongs to, or none at all.
	scribble "$registry" "$NAME_OF_FIRST" "$(printf zz | od -An -tx1 | tr -d ' ')"
	finds "registry of names" "the name of a queue cannot be read: it becomes recovered-$key"
	repairs "the name of a queue*"
	[ "$(ipc-recv "recovered-$key")" = one ]
	scribble "$registry" "$NAME_OF_FIRST" 2f2f
	finds "registry of names" "the name of a queue cannot be read: it becomes recovered-$key"
	repairs "the name of a queue*"
	# Marked as not in use.
	scribble "$registry" "$ENTRIES" 00000000
	finds "registry of names" "recovered-$key is marked as not in use"
	repairs "recovered-$key is marked*"
	[ "$(ipc-recv "recovered-$key")" = two ]
	# A semaphore is proven by its set; an empty record is not believed.
	ipc-sem create s1
	key=$(field s1 KEY)
	scribble "$registry" $((RECORDS_OF_FIRST + 256)) "$(head -c 128 /dev/zero | tr '\0' U | od -An -v -tx1 | tr -d ' \n')"
	finds "registry of names" "the record of s1 is damaged: an object has its key"
	repairs "the record of s1*"
	[ "$(field s1 KEY)" = "$key" ]
	# Nothing leads to an object any more: the name goes.
	ipcrm -S "$key"
	scribble "$registry" $((RECORDS_OF_FIRST + 256)) "$(head -c 128 /dev/zero | tr '\0' U | od -An -v -tx1 | tr -d ' \n')"
	finds "registry of names" "the record of s1 is damaged: it is forgotten, what it led to stays"
	repairs "the record of s1*"
	ipc-rm --stale --older-than=0
	healthy
}

@test "two entries of one name" {
	local registry key
	ipc-send q1 one
	ipc-send q2 two
	key=$(field q2 KEY)
	registry=$(registry_key)
	scribble "$registry" $((NAME_OF_FIRST + 256)) "$(printf q1 | od -An -tx1 | tr -d ' ')"
	finds "registry of names" "the name of a queue cannot be read: it becomes recovered-$key"
	repairs "the name of a queue*"
	[ "$(ipc-recv q1) $(ipc-recv "recovered-$key")" = "one two" ]
	# Twice the same object is once enough.
	ipc-rm q1 "recovered-$key"
	ipc-send q1 one
	ipc-send q2 two
	registry=$(registry_key)
	perl -e 'my $id = shmget(unpack("l", pack "L", hex $ARGV[0]), 0, 0) // die; shmread($id, my $e, $ARGV[1], 200) or die; shmwrite($id, $e, $ARGV[1] + 256, 200) or die' "$registry" "$ENTRIES"
	finds "registry of names" "q1 is there twice"
	repairs "q1 is there twice"
	[ "$(ipc-recv q1)" = one ]
	ipcrm --all=msg
	ipc-rm --stale
}

@test "a registry of a newer version is not touched" {
	local registry
	ipc-send q1 x
	registry=$(registry_key)
	scribble "$registry" 8 03000000
	advises "registry of names" "the registry of names has version 3, this program needs 2"
	[[ $ADVICE == "a newer ipcutils created it: use that version" ]]
	fails 1 doctor --repair
	fails 8 ipc-send q1 x
	scribble "$registry" 8 02000000
	healthy
}

@test "a registry that another user has tangled does not keep root busy" {
	need_root "becomes another user"
	local fix
	as 1000 ipc-send q1 x
	perl -e 'my $id = shmget(unpack("l", pack "L", hex $ARGV[0]), 0, 0) // die; shmwrite($id, pack("L", 1) x 65536, 4096, 262144) or die' "$(registry_key)"
	finds "registry of names of user 1000" "a chain of 65536 names in its index is too long for others to follow"
	[ "$FIX" = "setpriv --reuid=1000 --clear-groups ipc-doctor --repair" ]
	fix=${FIX#*ipc-doctor}
	# shellcheck disable=SC2086 # words
	fails 0 as 1000 ipc-doctor $fix --peer=$$ --root="$TMP" --interval=0
	[ "$output" = "registry of names: 65535 slots of its index lead nowhere; repaired" ]
	healthy
	[ "$(as 1000 ipc-recv q1)" = x ]
	as 1000 ipc-rm q1
}

@test "root mends the registries of others too; nobody else can" {
	need_root "becomes another user"
	local registry
	as 1000 ipc-send -m 644 q1 x
	registry=$(registry_key)
	scribble "$registry" 16 00000000
	fails 0 as 1001 ipc-doctor --repair --peer=$$ --root="$TMP" --interval=0
	finds "registry of names of user 1000" "it counts 0 names, but there are 1: it would be removed with names in it"
	[ "$FIX" = "ipc-doctor --repair" ]
	fails 0 doctor --repair
	[[ $output == "registry of names of user 1000: it counts 0 names"*"; repaired" ]]
	healthy
	[ "$(as 1000 ipc-recv q1)" = x ]
	as 1000 ipc-rm q1
}

@test "the commands for another IPC namespace act there" {
	background unshare --ipc bash -c 'echo 16 >/proc/sys/kernel/msgmni; touch "$0"; exec sleep 1000' "$TMP/ready"
	local inside=$!
	until_true test -e "$TMP/ready"
	ipc-send --ipc-namespace=$inside q1 x
	nsenter --target $inside --ipc ipcrm -Q "$(ipc-ls --ipc-namespace=$inside --noheadings -o KEY q1)"
	finds "queue q1" "the object is gone" --ipc-namespace=$inside --older-than=0
	[ "$FIX" = "ipc-rm --ipc-namespace=$inside --stale --older-than=0s" ]
	mend
	healthy --ipc-namespace=$inside
	for i in {1..13}; do ipc-send --ipc-namespace=$inside "q$i" x; done
	finds kernel.msgmni "13 of 16 queues are used*" --ipc-namespace=$inside
	[ "$FIX" = "nsenter --target $inside --ipc sysctl -w kernel.msgmni=32" ]
	mend
	healthy --ipc-namespace=$inside
}

@test "JSON: a document, and what was repaired is said" {
	ipc-send 'ü"1' x
	ipcrm -Q "$(field 'ü"1' KEY)"
	fails 1 doctor -J
	[ "$(jq -c '.findings' <<<"$output")" = '[{"check":"unreachable","subject":"queue ü\"1","message":"the object is gone","fix":"ipc-rm --stale","repaired":false}]' ]
	ipc-send 'ü"1' x
	scribble "$(registry_key)" 16 00000000
	fails 0 doctor -J --repair
	[ "$(jq -c '.findings[] | [.check, .fix, .repaired]' <<<"$output")" = '["registry","",true]' ]
}

# ---- fixes -----------------------------------------------------------------------

@test "every fix is safe to execute unread" {
	local half line
	sysctl_is msgmax 8192
	sysctl_is msgmnb 16384
	half=$(head -c 6500 /dev/zero | tr '\0' x)
	ipc-send -n live "$half" "$half" "$(head -c 200 <<<"$half")"
	perl -e 'shmget(0, 5000, 0600) // die'
	fails 1 doctor --older-than=0
	[[ $output == *"live: "*"; advice: "* && $output == *"memory id:"*"; advice: "* ]]
	while read -r line; do
		[[ $line != *"; fix: "* ]] || bash -c "${line##*; fix: }" >"$TMP/fix" 2>&1 3>&- </dev/null
	done <<<"$output"
	[ "$(field live MESSAGES)" = 3 ]
	[ "$(grep -c ' 5000 ' /proc/sysvipc/shm)" = 1 ]
	ipc-rm -k memory "$(ipc-ls -a --noheadings -o ID,SIZE | awk '$2 == 5000 { print "id:" $1 }')"
}

@test "no fix and no hint consumes, removes or ends anything that may be in use" {
	# Fixes: string constants of doctor-*.c that begin a command.
	run grep -nE '"(ipc-recv|ipc-rm -f|kill%s|kill %d|ipc-rm -k)' "$IPC_SRCDIR"/bin/doctor-*.c
	[ -z "$output" ]
	# Hints of the library; comments may say what the code removes.
	run bash -c "grep -nE '(or|and|:) remove |remove it with|with -f\"|ipc-rm -f|all the same' '$IPC_SRCDIR'/lib/*.c | grep -vE ':[[:space:]]*(/[*]|[*]) '"
	[ -z "$output" ]
}
