# SPDX-License-Identifier: MIT
# names.bats - names, keys, other users, limits, and what helps when something is wrong

bats_require_minimum_version 1.5.0
load ../helper

@test "names that are none change nothing" {
	local bad
	for bad in '' 'a b' 'a:b' '-x' '.x' $'a\nb' $'a\x7f' $'a\xff' $'a\xc2\x85' "$(printf 'x%.0s' {1..64})" '/x' 'root/' \
		'root/a/b' 'key:' 'key:0' 'key:08' 'key:0x' 'key:4294967296' 'key:-0' 'key:-2147483649' 'key:-0x5' 'key:1x' 'id:' 'id:-1' 'id:x' 'ftok:' 'ftok::Q'; do
		fails 2 ipc-send -- "$bad" x
		[[ $stderr != *$'\x7f'* && $stderr != *$'\xff'* ]]
	done
	[ -z "$(ipc-ls --noheadings)" ]
	ipc-send "$(printf 'x%.0s' {1..63})" ok
	ipc-send größe ok
	[ "$(ipc-recv größe)" = ok ]
}

@test "own namespace by name and number" {
	ipc-send q1 x
	[ "$(ipc-recv -n "$(id -un)/q1")" = x ]
	ipc-send "$(id -u)/q1" y
	[ "$(ipc-recv -n q1)" = y ]
	fails 3 ipc-send no-such-user/q1 x
	[[ $stderr == *"no such user: no-such-user"* ]]
	fails 3 ipc-send 54321/q1 x
	[[ $stderr == *"hint: only user 54321 can create a name there"* ]]
}

@test "raw keys are not created unasked" {
	fails 3 ipc-send key:0x7abc x
	[[ $stderr == *"hint: "*"--create"* ]]
	ipc-send --create key:0x7abc x
	[ "$(ipc-recv key:31420)" = x ]
	ipc-rm key:075274
	fails 3 ipc-recv id:2147483647
	[[ $stderr == *"no queue has this identifier"* ]]
}

@test "ftok gives the key that ftok(3) gives" {
	: >"$TMP/a:file"
	local key
	key=$(perl -MIPC::SysV=ftok -e 'printf "0x%x", ftok($ARGV[0], ord "Q")' "$TMP/a:file")
	ipc-send --create "key:$key" x
	[ "$(ipc-recv -n "ftok:$TMP/a:file:Q")" = x ]
	ipc-rm "key:$key"
	key=$(perl -MIPC::SysV=ftok -e 'printf "0x%x", ftok($ARGV[0], 1)' "$TMP/a:file")
	ipc-send --create "ftok:$TMP/a:file" y
	[ "$(ipc-recv -n "key:$key")" = y ]
	ipc-rm "ftok:$TMP/a:file:1"
	fails 3 ipc-send ftok:/etc/passwd/file x
	fails 3 ipc-send ftok:/no/such/file x
	[[ $stderr == *"/no/such/file: No such file or directory"* ]]
}

@test "another user: by the mode, and no further" {
	need_root "becomes another user"
	as 1000 ipc-send q1 'from 1000'
	fails 4 as 1001 ipc-recv 1000/q1
	[[ $stderr == *"Permission denied"* ]]
	[[ $stderr == *"hint: it belongs to user 1000 and group 1000, mode 600; you are user 1001"* ]]
	as 1000 ipc-send -m 622 in x
	as 1001 ipc-send 1000/in 'from 1001'
	fails 4 as 1001 ipc-recv 1000/in
	[ "$(as 1000 ipc-recv -a in)" = $'x\nfrom 1001' ]
	fails 4 as 1001 ipc-rm 1000/in
	[[ $stderr == *"hint: only user 1000 and root"* ]]
	as 1001 ipc-ls -a --noheadings | grep -q '/in '
	# A big message changes hands, and nothing stays behind.
	head -c 100000 /dev/zero | as 1001 ipc-send -w 1000/in
	[ "$(as 1000 ipc-recv -r in | wc -c)" = 100000 ]
	ipc-rm 1000/in
	as 1000 ipc-rm q1
}

@test "another user's objects on our keys are never used" {
	need_root "becomes another user"
	local key
	ipc-send q1 x
	key=$(field q1 KEY)
	ipc-rm q1
	as 1000 ipc-send --create -m 666 "key:$key" trap
	ipc-send q1 mine
	[ "$(field q1 KEY)" != "$key" ]
	[ "$(ipc-recv q1)" = mine ]
	fails 1 ipc-recv -n q1
	ipc-rm q1
	# On the key of an object that was removed behind our back.
	as 1000 ipc-rm "key:$key"
	ipc-send q1 x
	[ "$(field q1 KEY)" = "$key" ]
	ipcrm -Q "$key"
	as 1000 ipc-send --create -m 666 "key:$key" trap
	fails 3 ipc-recv --no-create -n q1
	ipc-send q1 mine
	[ "$(ipc-recv -a q1)" = mine ]
	as 1000 ipc-rm "key:$key"
}

@test "another user's segment on our registry's key, and semaphore on its lock's" {
	need_root "becomes another user"
	cat >"$TMP/squat.pl" <<-'P'
		use IPC::SysV; for (@ARGV) { $k = unpack "l", pack "L", hex; defined shmget($k, 9000000, 01644) or die; defined semget($k, 1, 01666) or die }
	P
	chmod 755 "$TMP" "$TMP/squat.pl"
	ipc-send q1 x
	local registry lock
	registry=$(ipc-ls -a -k memory --noheadings -o KEY | xargs)
	lock=$(ipc-ls -a -k semaphore --noheadings -o KEY | xargs)
	ipc-rm q1
	setpriv --reuid=1000 --regid=1000 --clear-groups perl -e "$(cat "$TMP/squat.pl")" "$registry" "$lock"
	ipc-send q1 safe
	[ "$(ipc-recv q1)" = safe ]
	ipc-rm q1
	local key
	for key in $registry $lock; do
		ipc-rm -k memory "key:$key"
		ipc-rm -k semaphore "key:$key"
	done
}

@test "each limit is named with what raises it" {
	ipc-send q1 x
	echo 1 >/proc/sys/kernel/msgmni
	fails 5 ipc-send q2 x
	[[ $stderr == *"too many queues"*"hint: kernel.msgmni"* ]]
	[ "$(ipc-ls --noheadings | wc -l)" = 1 ]
	echo 32000 >/proc/sys/kernel/msgmni
	echo 100 >/proc/sys/kernel/msgmax
	[ "$(ipc-send q1 "$(printf 'x%.0s' {1..200})"; ipc-recv -a -F '%s ' q1)" = "1 200 " ]
	fails 5 ipc-send "key:$(field q1 KEY)" "$(printf 'x%.0s' {1..200})"
	[[ $stderr == *"can have 100"*"kernel.msgmax"* ]]
	echo 30 >/proc/sys/kernel/msgmax
	fails 5 ipc-send q1 "$(printf 'x%.0s' {1..200})"
	[[ $stderr == *"can have 30, and it takes 40 to tell of a big one"*"kernel.msgmax=BYTES" ]]
	echo 8192 >/proc/sys/kernel/msgmax
	echo 50 >/proc/sys/kernel/msgmnb
	ipc-send --create key:0x7aaa ''
	fails 5 ipc-send key:0x7aaa "$(printf 'x%.0s' {1..51})"
	[[ $stderr == *"can have 50"*"kernel.msgmnb"* ]]
	ipc-rm key:0x7aaa
	ipc-send q3 "$(printf 'x%.0s' {1..51})"
	[ "$(ipc-recv -F %s q3)" = 51 ]
	echo 1 >/proc/sys/kernel/shmmni
	fails 5 bash -c 'head -c 100000 /dev/zero | ipc-send -w q1'
	[[ $stderr == *"too many memory segments"*"kernel.shmmni"* ]]
	ipc-rm -f -a
	echo 0 >/proc/sys/kernel/shmmni
	fails 5 ipc-send q1 x
	[[ $stderr == *"registry of names: too many memory segments"* ]]
	echo 4096 >/proc/sys/kernel/shmmni
	echo 1000 >/proc/sys/kernel/shmmax
	fails 5 ipc-send q1 x
	[[ $stderr == *"kernel.shmmax"* ]]
	echo 18446744073692774399 >/proc/sys/kernel/shmmax
	echo "32000 1024000000 500 0" >/proc/sys/kernel/sem
	fails 5 ipc-send q1 x
	[[ $stderr == *"too many semaphores"*"kernel.sem"* ]]
	echo "32000 1024000000 500 32000" >/proc/sys/kernel/sem
	ipc-send q1 x
}

@test "no more pending signals, or no more threads: it is said, and nobody waits for ever" {
	ipc-send q1 x
	local command
	for command in 'ipc-recv -t 9s q2' 'ipc-recv -t 9s q2 q3' 'ipc-recv q2 q3'; do
		fails 5 bash -c "ulimit -i 0 && exec $command"
		[[ $stderr == *": too many timers and pending signals"*"hint: ulimit -i"* ]]
	done
	need_root "root may have any number of threads"
	# LeakSanitizer, if it is built in, would want a thread of its own.
	fails 5 as 1000 env ASAN_OPTIONS=detect_leaks=0 bash -c 'ulimit -u 1 && exec ipc-recv -t 9s q1 q2'
	[[ $stderr == *": too many processes and threads"*"hint: ulimit -u"* ]]
	as 1000 ipc-rm q1 q2
}

@test "a message that may not be put back is not lost in silence" {
	need_root "becomes another user"
	as 1000 ipc-send -m 644 q1 one
	fails 8 as 1001 sh -c 'ipc-recv 1000/q1 >/dev/full'
	[[ $stderr == *"1 message is lost: it could neither be written nor put back"* ]]
	background as 1001 ipc-recv -p -t 1m -J 1000/q1 >"$TMP/out"
	local receiver=$! key
	until_true bash -c 'ipc-ls --noheadings -o USE 1000/q1 | grep -q receives'
	as 1000 ipc-send q1 ''
	finish $receiver
	grep -q '"size":0' "$TMP/out"
	[ "$(as 1000 ipc-recv -J q1)" = '{"queue":"q1","type":1,"size":0,"body":""}' ]
	# A message of zero bytes from another program is taken by looking, and reported.
	key=$(field 1000/q1 KEY)
	background as 1001 ipc-recv -p -t 1m -J 1000/q1 >"$TMP/out" 2>"$TMP/errors"
	receiver=$!
	until_true bash -c 'ipc-ls --noheadings -o USE 1000/q1 | grep -q receives'
	as 1000 ipc-send "key:$key" ''
	finish $receiver 8
	grep -q '"size":0' "$TMP/out"
	grep -q "1 message is lost: .*: Permission denied" "$TMP/errors"
	as 1000 ipc-rm q1
}

@test "kernel.shm_rmid_forced: names cannot be kept, and it is said" {
	echo 1 >/proc/sys/kernel/shm_rmid_forced
	fails 8 ipc-send q1 x
	[[ $stderr == *"hint: kernel.shm_rmid_forced is 1"* ]]
	ipc-send --create key:0x7bbb x
	[ "$(ipc-recv key:0x7bbb)" = x ]
	ipc-rm key:0x7bbb
	echo 0 >/proc/sys/kernel/shm_rmid_forced
	ipc-send q1 x
}

@test "a key told to another program: who makes the queue first does not matter" {
	ipc-send q1 x
	local key
	key=$(field q1 KEY)
	ipc-rm q1
	perl -e 'msgget(hex $ARGV[0], 01600) // die' "$key"
	ipc-send q1 hello
	[ "$(ipc-recv "key:$key")" = hello ]
}

@test "Python's sysv_ipc and ipcutils read the same bytes" {
	/usr/bin/python3 -c 'import sysv_ipc' || skip "python3-sysv-ipc is not installed"
	ipc-send q1 ''
	ipc-recv q1
	local key
	key=$(field q1 KEY)
	printf 'a\0b\xff' | ipc-send -w -T 9 q1
	[ "$(/usr/bin/python3 -c 'import sys, sysv_ipc; print(*sysv_ipc.MessageQueue(int(sys.argv[1], 16)).receive())' "$key")" = "b'a\\x00b\\xff' 9" ]
	/usr/bin/python3 -c 'import sys, sysv_ipc; sysv_ipc.MessageQueue(int(sys.argv[1], 16)).send(b"c\0d\xfe", type=4)' "$key"
	[ "$(ipc-recv -r q1 | od -An -tx1 | xargs)" = "63 00 64 fe" ]
}

@test "Perl and ipcutils read the same bytes" {
	ipc-send -T 3 q1 'for Perl'
	local key
	key=$(field q1 KEY)
	[ "$(perl -e '$q = msgget(hex $ARGV[0], 0); msgrcv($q, $m, 99, 0, 0); ($t, $b) = unpack "l! a*", $m; print "$t $b"' "$key")" = "3 for Perl" ]
	perl -e 'msgsnd(msgget(hex $ARGV[0], 0), pack("l! a*", 8, "from Perl"), 0) or die' "$key"
	[ "$(ipc-recv -F '%t %b' q1)" = "8 from Perl" ]
}

@test "another kind under the name is a conflict that says which" {
	ipc-barrier create b1 2
	fails 7 ipc-send b1 x
	[[ $stderr == *"b1: it is a barrier, not a queue"*"hint: all kinds share one namespace"* ]]
	ipc-send q1 x
	fails 7 ipc-barrier create q1 2
	[[ $stderr == *"q1: it is a queue, not a barrier"* ]]
	[ "$(ipc-recv -n q1)" = x ]
}

@test "a registry of a newer version, or none at all, is refused with what to do" {
	ipc-send q1 x
	local registry
	registry=$(ipc-ls -a -k memory --noheadings -o KEY | xargs)
	scribble "$registry" 8 03000000
	fails 8 ipc-send q1 y
	[[ $stderr == *"has version 3, this program needs 2"*"hint: a newer ipcutils created it"* ]]
	scribble "$registry" 8 01000000
	fails 8 ipc-send q1 y
	[[ $stderr == *"has version 1, this program needs 2"*"hint: an older ipcutils created it: use that version"* ]]
	scribble "$registry" 8 02000000
	scribble "$registry" 0 ffffffffffffffff
	fails 8 ipc-recv q1
	[[ $stderr == *"the registry of names is damaged: bad magic"* ]]
	ipcrm --all
}

@test "a registry full of noise makes nobody crash or hang" {
	need_root "becomes another user"
	as 1000 ipc-send -m 666 q1 x
	local registry round
	registry=$(as 1000 ipc-ls -a -k memory --noheadings -o KEY | xargs)
	for round in 1 2 3; do
		head -c 2000 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$TMP/noise"
		# The fields behind the magic and version, the index, and the first entries.
		scribble "$registry" 12 "$(head -c 40 "$TMP/noise")"
		scribble "$registry" $((4096 + round * 20000)) "$(cat "$TMP/noise")"
		scribble "$registry" $((4096 + 262144)) "$(cat "$TMP/noise")"
		run as 1001 timeout 20 ipc-recv -n 1000/q1
		[ "$status" -le 8 ]
		run timeout 20 ipc-ls -a
		[ "$status" -le 8 ]
		run timeout 20 ipc-ls --user=1000
		[ "$status" -le 8 ]
	done
	ipcrm --all
}

@test "a registry that leads to somebody else's object is not believed" {
	need_root "becomes another user"
	as 1000 ipc-send -m 666 q1 x
	ipc-send --create -m 666 key:0x7ccc 'not yours'
	local registry record
	registry=$(as 1000 ipc-ls -a -k memory --noheadings -o KEY | xargs)
	# Key and identifier of the first entry, in both of its records.
	record=$(perl -e 'print unpack "H*", pack "LL", 0x7ccc, $ARGV[0]' "$(field key:0x7ccc ID)")
	scribble "$registry" $((4096 + 262144 + 72 + 4)) "$record"
	scribble "$registry" $((4096 + 262144 + 72 + 64 + 4)) "$record"
	[ "$(as 1001 ipc-recv -n 1000/q1)" = x ]
	fails 1 as 1001 ipc-recv -n 1000/q1
	[ "$(ipc-recv -n key:0x7ccc)" = 'not yours' ]
	ipcrm --all
}

# The command with each call of CALL failing with ERRNO: injected CALL ERRNO COMMAND...
injected() {
	local call=$1 errno=$2
	shift 2
	# LeakSanitizer, if it is built in, cannot work under strace.
	fails "$wanted" env ASAN_OPTIONS=detect_leaks=0 strace -f -o /dev/null -e inject="$call":error="$errno" "$@"
}

@test "what a kernel cannot do, and memory that is not there, are said as such" {
	need strace
	ipc-send q1 x
	local wanted
	wanted=8 injected msgrcv ENOSYS ipc-recv -p q1
	[[ $stderr == *"cannot show a message without taking it"*"hint: "*"CONFIG_CHECKPOINT_RESTORE"* ]]
	wanted=8 injected shmget,msgget,semget ENOSYS ipc-send key:0x7eee --create x
	[[ $stderr == *"this kernel has no System V IPC"*"hint: "*"CONFIG_SYSVIPC"* ]]
	wanted=5 injected msgsnd ENOMEM ipc-send q1 x
	[[ $stderr == *"cannot send: not enough memory"* ]]
	wanted=5 injected shmat ENOMEM ipc-recv -n q1
	[[ $stderr == *"not enough memory or address space"* ]]
	wanted=5 injected msgget ENOMEM ipc-send q2 x
	[[ $stderr == *"cannot create it: not enough memory"* ]]
	wanted=5 injected semtimedop ENOSPC ipc-send q2 x
	[[ $stderr == *"too many undo entries"* ]]
	[ "$(ipc-ls --noheadings -o NAME | xargs)" = q1 ]
}

@test "other users on all our keys: it is said whose they are" {
	need_root "becomes another user"
	local keys='use bigint; for my $n (0 .. 15) { my $h = 0xcbf29ce484222325;
		$h = (($h ^ ord) * 0x100000001b3) % 2**64 for split //, "ipcutils:0/$ARGV[0]#$n";
		printf "%d\n", ((($h >> 32) ^ $h) % 2**31)->numify }'
	perl -e "$keys" q1 >"$TMP/q1"
	perl -e "$keys" :registry >"$TMP/registry"
	chmod 755 "$TMP"
	chmod 644 "$TMP/q1" "$TMP/registry"
	setpriv --reuid=1000 --regid=1000 --clear-groups perl -ne 'defined msgget($_, 01666) or die' <"$TMP/q1"
	fails 7 ipc-send q1 x
	[[ $stderr == *"other objects hold all its keys"*"hint: user 1000 owns"* ]]
	setpriv --reuid=1000 --regid=1000 --clear-groups perl -ne 'defined shmget($_, 10, 01600) or die' <"$TMP/registry"
	fails 7 ipc-send q2 x
	[[ $stderr == *"user 1000 has segments on all its keys"*"hint: ipc-ls -a --user=1000"* ]]
	ipcrm --all
}

@test "who is stopped while it makes a name is named, after a moment or when the time is up" {
	need perl
	ipc-send q x
	lock=$(ipc-ls -a --noheadings -o STATE,ID -k semaphore | sed -n 's/^lock of.* //p')
	background perl -e 'semop(shift, pack("s!3", 0, 1, 0x1000)) or die; kill STOP => $$' "$lock"; holder=$!
	until_true grep -q '^State:.T' /proc/$holder/status
	# What is there already needs no lock.
	[ "$(ipc-recv -p q)" = x ]
	for command in "ipc-send -n new x" "ipc-sem run -t 10ms new -- true" "ipc-barrier wait -t 1ms new 1" "ipc-event wait -t 1500ms new"; do
		before=$SECONDS
		# shellcheck disable=SC2086 # a list of words
		fails 8 $command
		[[ $stderr == *"the registry of names is locked by process $holder, "*"hint: "*"kill -CONT"* ]]
		[ $((SECONDS - before)) -le 5 ]
	done
	background ipc-send new x; sender=$!
	until_true blocked $sender
	kill -CONT $holder
	finish $holder
	finish $sender
	[ "$(ipc-recv new)" = x ]
}
