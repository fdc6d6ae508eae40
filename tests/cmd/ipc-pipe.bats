#!/usr/bin/env bats
# SPDX-License-Identifier: MIT

bats_require_minimum_version 1.5.0
load ../helper

state_is() {
	[ "$(field "$1" STATE)" = "$2" ]
}

met() {
	[[ $(field "$1" STATE) == *,writerandreader || $(field "$1" STATE) == *,bothends ]]
}

nothing_left() {
	[ "$(cat /proc/sysvipc/sem /proc/sysvipc/shm | grep -cv key)" -eq 0 ]
}

# A writer and a reader that have met and have nothing to do: $writer, $reader. What is written comes
# from file descriptor 8, so that the test decides when it ends.
pair() {
	mkfifo "$TMP/in"
	exec 8<>"$TMP/in"
	background ipc-pipe write p <"$TMP/in" 8>&- 9>&-; writer=$!
	background ipc-pipe read p >"$TMP/out" 2>"$TMP/error" 8>&- 9>&-; reader=$!
	until_true met p
}

out_is() {
	cmp -s "$TMP/out" <(printf %s "$1")
}

# The process ends within a second of now, with status 6.
breaks() {
	local start end
	start=$(date +%s%N)
	finish "$1" 6
	end=$(date +%s%N)
	[ $((end - start)) -lt 1000000000 ]
}

@test "what is written is read, all of it, whoever comes first" {
	seq 300000 >"$TMP/data"
	background ipc-pipe write p <"$TMP/data" 8>&- 9>&-; writer=$!
	until_true state_is p 0bytes,writer,noreader
	ipc-pipe read p >"$TMP/out"
	finish $writer
	cmp "$TMP/data" "$TMP/out"
	background ipc-pipe read p >"$TMP/again" 8>&- 9>&-; reader=$!
	until_true state_is p 0bytes,reader,nowriter
	ipc-pipe write p <"$TMP/data"
	finish $reader
	cmp "$TMP/data" "$TMP/again"
	nothing_left
}

@test "rings of one page and of many, streams of none, one and many bytes" {
	head -c 3000000 /dev/urandom >"$TMP/data"
	for size in 1 4096 5000 64K 32M; do
		for length in 0 1 4095 4096 4097 3000000; do
			head -c $length "$TMP/data" >"$TMP/part"
			background ipc-pipe write --size=$size p <"$TMP/part" 8>&- 9>&-; writer=$!
			background ipc-pipe read --size=$size p >"$TMP/out" 8>&- 9>&-; reader=$!
			finish $reader
			finish $writer
			cmp "$TMP/part" "$TMP/out"
		done
	done
	nothing_left
}

@test "what arrives is passed on at once" {
	pair
	echo one >&8
	until_true out_is $'one\n'
	printf two >&8
	until_true out_is $'one\ntwo'
	kill -0 $writer
	exec 8>&-
}

@test "the writer ends when the reader has written it all, not before" {
	mkfifo "$TMP/slow"
	exec 9<>"$TMP/slow"
	background ipc-pipe read p >"$TMP/slow" 8>&- 9>&-; reader=$!
	background ipc-pipe write p < <(head -c 200000 /dev/zero) 8>&- 9>&-; writer=$!
	until_true met p
	# The FIFO is full and the reader not done: the writer cannot be either.
	kill -0 $writer
	background dd bs=1000 count=200 iflag=fullblock status=none of="$TMP/out" <&9
	finish $reader
	finish $writer
	exec 9>&-
	until_true test "$(stat -c %s "$TMP/out")" -eq 200000
}

@test "a second writer and a second reader are conflicts, and disturb nobody" {
	pair
	fails 7 ipc-pipe write p </dev/null
	[ "${stderr_lines[0]}" = "ipc-pipe: p: it already has a writer: process $writer" ]
	[[ ${stderr_lines[1]} == "hint: a pipe is for two processes"* ]]
	fails 7 ipc-pipe read p
	[ "${stderr_lines[0]}" = "ipc-pipe: p: it already has a reader: process $reader" ]
	echo still >&8
	exec 8>&-
	finish $reader
	finish $writer
	[ "$(cat "$TMP/out")" = still ]
	nothing_left
}

@test "another size, other directions and another kind are conflicts" {
	pair
	fails 7 ipc-pipe read --size=2M p
	[ "${stderr_lines[0]}" = "ipc-pipe: p: it was made with --size=1048576" ]
	fails 7 ipc-pipe connect p
	[ "${stderr_lines[1]}" = "hint: ipc-pipe read and write are for it" ]
	fails 7 ipc-send p x
	[ "${stderr_lines[0]}" = "ipc-send: p: it is a pipe, not a queue" ]
	exec 8>&-
	finish $reader
	ipc-send q x
	fails 7 ipc-pipe read q
	[ "${stderr_lines[0]}" = "ipc-pipe: q: it is a queue, not a pipe" ]
}

@test "the other end does not come: silent, in time, with a status of choice, nothing left" {
	start=$(date +%s%N)
	fails 1 ipc-pipe read -t 200ms p
	[ $((($(date +%s%N) - start) / 1000000)) -ge 200 ]
	[ -z "$output$stderr" ]
	fails 1 ipc-pipe write -n p </dev/null
	fails 0 ipc-pipe write -n -E 0 p </dev/null
	fails 1 ipc-pipe connect -v -t 1ms p
	[ "$stderr" = "ipc-pipe: p: timed out" ]
	nothing_left
	background ipc-pipe write p < <(echo there) 8>&- 9>&-; writer=$!
	until_true state_is p 0bytes,writer,noreader
	[ "$(ipc-pipe read -n p)" = there ]
	finish $writer
}

@test "a writer that is killed while it reads cuts the stream, within a second" {
	pair
	echo part >&8
	until_true grep -q part "$TMP/out"
	kill -KILL $writer
	breaks $reader
	[ "$(cat "$TMP/out")" = part ]
	grep -q 'gone before the end of the stream' "$TMP/error"
	nothing_left
}

@test "a reader that is killed is noticed while the writer waits for input" {
	pair
	kill -KILL $reader
	breaks $writer
	nothing_left
}

@test "stopped and then killed: noticed while the writer waits for room" {
	background ipc-pipe write p </dev/zero 8>&- 9>&-; writer=$!
	background ipc-pipe read p >/dev/null 8>&- 9>&-; reader=$!
	until_true met p
	kill -STOP $reader
	until_true state_is p 1048576bytes,writerandreader
	kill -0 $writer
	kill -KILL $reader
	breaks $writer
	nothing_left
}

@test "stopped and then killed: noticed while the reader waits for its own reader" {
	mkfifo "$TMP/slow"
	exec 9<>"$TMP/slow"
	background ipc-pipe write p </dev/zero 8>&- 9>&-; writer=$!
	background ipc-pipe read p >"$TMP/slow" 8>&- 9>&-; reader=$!
	until_true state_is p 1048576bytes,writerandreader
	kill -STOP $writer
	kill -KILL $writer
	breaks $reader
	exec 9>&-
	nothing_left
}

@test "stopped and continued: nothing is lost" {
	background ipc-pipe read p >"$TMP/out" 8>&- 9>&-; reader=$!
	until_true state_is p 0bytes,reader,nowriter
	kill -STOP $reader
	background ipc-pipe write p < <(seq 300000) 8>&- 9>&-; writer=$!
	until_true met p
	# More than the buffer holds: while the reader is stopped the writer cannot have ended.
	kill -STOP $writer
	kill -CONT $reader
	kill -CONT $writer
	finish $reader
	finish $writer
	cmp "$TMP/out" <(seq 300000)
}

@test "both killed: the next session begins anew" {
	pair
	echo old >&8
	until_true grep -q old "$TMP/out"
	kill -STOP $reader
	echo never seen >&8
	until_true state_is p 11bytes,writerandreader
	kill -KILL $writer $reader
	until_true state_is p 0bytes,nobody
	background ipc-pipe write p < <(echo new) 8>&- 9>&-; writer=$!
	[ "$(ipc-pipe read p)" = new ]
	finish $writer
	nothing_left
}

@test "both killed: ipc-rm --stale finds what they left, and nothing that is in use" {
	pair
	[[ $(ipc-rm --stale -v) != *pipe* ]]
	kill -KILL $writer $reader
	until_true state_is p 0bytes,nobody
	[[ $(ipc-rm --stale --dry-run) == *"pipe p: both its ends are gone"* ]]
	state_is p 0bytes,nobody
	[[ $(ipc-rm --stale -v) == *"pipe p: both its ends are gone"* ]]
	nothing_left
}

@test "what the killed left is no conflict, whatever is wanted now" {
	pair
	kill -KILL $writer $reader
	until_true state_is p 0bytes,nobody
	background ipc-pipe connect --size=8192 p < <(echo from a) >"$TMP/a"; a=$!
	# The other one would say the size if it came first, and then wait for ever.
	until_true eval '[[ $(field p STATE) == *,oneend ]]'
	[ "$(echo from b | ipc-pipe connect p)" = "from a" ]
	finish $a
	[ "$(cat "$TMP/a")" = "from b" ]
	nothing_left
}

@test "one dies before the other comes: the next session begins anew" {
	background ipc-pipe write p < <(echo old) 8>&- 9>&-; writer=$!
	until_true state_is p 0bytes,writer,noreader
	kill -KILL $writer
	until_true state_is p 0bytes,nobody
	fails 1 ipc-pipe read -n p
	background ipc-pipe read p >"$TMP/out" 8>&- 9>&-; reader=$!
	ipc-pipe write p < <(echo new)
	finish $reader
	[ "$(cat "$TMP/out")" = new ]
	nothing_left
}

@test "who comes before the old session is over waits for its end" {
	pair
	kill -STOP $writer
	kill -KILL $reader
	until_true state_is p 0bytes,writer,noreader
	fails 1 ipc-pipe read -t 100ms p
	background ipc-pipe read p >"$TMP/new" 8>&- 9>&-; second=$!
	kill -CONT $writer
	finish $writer 6
	ipc-pipe write p < <(echo new)
	finish $second
	[ "$(cat "$TMP/new")" = new ]
	nothing_left
}

@test "output that cannot be written cuts the stream" {
	background ipc-pipe write p < <(seq 10) 8>&- 9>&-; writer=$!
	fails 8 sh -c 'ipc-pipe read p >/dev/full'
	[ "${stderr_lines[0]}" = "ipc-pipe: p: write error: No space left on device: the stream is cut" ]
	finish $writer 6
	background ipc-pipe write p </dev/zero 8>&- 9>&-; writer=$!
	[ "$(ipc-pipe read p 2>/dev/null | head -c 3 | od -An -tx1)" = " 00 00 00" ]
	finish $writer 6
	nothing_left
}

@test "input that cannot be read cuts the stream" {
	background ipc-pipe read p 2>"$TMP/error" 8>&- 9>&-; reader=$!
	fails 8 sh -c 'ipc-pipe write p </'
	[ "${stderr_lines[0]}" = "ipc-pipe: p: cannot read standard input: Is a directory: the stream is cut" ]
	finish $reader 6
	nothing_left
}

@test "SIGTERM and SIGINT end it, and cut the stream" {
	for signal in TERM INT; do
		mkfifo "$TMP/in.$signal"
		exec 8<>"$TMP/in.$signal"
		background env --default-signal=$signal ipc-pipe write p <"$TMP/in.$signal" 8>&- 9>&-; writer=$!
		background ipc-pipe read -q p 8>&- 9>&-; reader=$!
		until_true met p
		kill -$signal $writer
		finish $reader 6
		finish $writer $((128 + $(kill -l $signal)))
		exec 8>&-
	done
	nothing_left
}

@test "ipc-rm refuses a pipe that is in use; by force both ends exit 3" {
	pair
	fails 7 ipc-rm p
	[[ $stderr == *"in use: $writer attached (ipc-pipe write p), $reader attached (ipc-pipe read p)"* ||
		$stderr == *"in use: $reader attached (ipc-pipe read p), $writer attached (ipc-pipe write p)"* ]]
	ipc-rm -f p
	finish $writer 3
	finish $reader 3
	background ipc-pipe read p 8>&- 9>&-; reader=$!
	until_true state_is p 0bytes,reader,nowriter
	ipc-rm -f p
	finish $reader 3
	nothing_left
}

@test "connect goes both ways, each ends by itself" {
	mkfifo "$TMP/a" "$TMP/b"
	exec 8<>"$TMP/a" 9<>"$TMP/b"
	background ipc-pipe connect p <"$TMP/a" >"$TMP/out.a" 8>&- 9>&-; a=$!
	until_true state_is p 0bytes,oneend
	background ipc-pipe connect p <"$TMP/b" >"$TMP/out.b" 8>&- 9>&-; b=$!
	until_true met p
	fails 7 ipc-pipe connect p </dev/null
	[ "${stderr_lines[0]}" = "ipc-pipe: p: both its ends are taken: processes $a and $b" ]
	fails 7 ipc-pipe read p
	echo from a >&8
	until_true grep -q 'from a' "$TMP/out.b"
	# One direction at its end, the other goes on. (Who else has the FIFO open for writing is this shell.)
	exec 8>&-
	echo from b >&9
	until_true grep -q 'from b' "$TMP/out.a"
	kill -0 $a $b
	exec 9>&-
	finish $a
	finish $b
	nothing_left
}

@test "connect moves large streams both ways at once" {
	head -c 5000000 /dev/urandom >"$TMP/a"
	head -c 7000000 /dev/urandom >"$TMP/b"
	background ipc-pipe connect --size=64K p <"$TMP/a" >"$TMP/out.a" 8>&- 9>&-; a=$!
	background ipc-pipe connect --size=64K p <"$TMP/b" >"$TMP/out.b" 8>&- 9>&-; b=$!
	finish $a
	finish $b
	cmp "$TMP/a" "$TMP/out.b"
	cmp "$TMP/b" "$TMP/out.a"
	nothing_left
}

@test "connect: the death of one is seen by the other, also when its own direction is at its end" {
	mkfifo "$TMP/b"
	exec 9<>"$TMP/b"
	background ipc-pipe connect p </dev/null 8>&- 9>&-; a=$!
	background ipc-pipe connect p <"$TMP/b" 8>&- 9>&-; b=$!
	until_true met p
	kill -KILL $b
	breaks $a
	background ipc-pipe connect p </dev/null 8>&- 9>&-; a=$!
	background ipc-pipe connect p <"$TMP/b" 8>&- 9>&-; b=$!
	until_true met p
	kill -KILL $a
	breaks $b
	exec 9>&-
	nothing_left
}

@test "two users" {
	need_root "becomes another user"
	background ipc-pipe write -m 666 p < <(seq 100000) 8>&- 9>&-; writer=$!
	until_true state_is p 0bytes,writer,noreader
	as 1000 ipc-pipe read root/p >"$TMP/out"
	finish $writer
	cmp "$TMP/out" <(seq 100000)
	nothing_left
	background ipc-pipe read -m 666 p >"$TMP/out" 8>&- 9>&-; reader=$!
	until_true state_is p 0bytes,reader,nowriter
	as 1000 ipc-pipe write root/p < <(seq 1000)
	finish $reader
	cmp "$TMP/out" <(seq 1000)
	nothing_left
}

@test "another user's pipe needs its mode, and its owner comes first" {
	need_root "becomes another user"
	fails 3 as 1000 ipc-pipe read root/p
	[[ $stderr == *"hint: only user 0 can create a name there"* ]]
	pair
	fails 4 as 1000 ipc-pipe read root/p
	[[ $stderr == *"mode 600"* ]]
	exec 8>&-
	finish $reader
}

@test "another user who is killed leaves nothing, nor does an owner whose end is last" {
	need_root "becomes another user"
	mkfifo "$TMP/in"
	exec 8<>"$TMP/in"
	as 1000 true
	background env PATH="$BATS_RUN_TMPDIR/as:$PATH" setpriv --reuid=2000 --regid=2000 --clear-groups -- ipc-pipe write -m 666 p <"$TMP/in" 8>&- 9>&-; writer=$!
	until_true state_is 2000/p 0bytes,writer,noreader
	background env PATH="$BATS_RUN_TMPDIR/as:$PATH" setpriv --reuid=1000 --regid=1000 --clear-groups -- ipc-pipe read 2000/p 8>&- 9>&-; reader=$!
	until_true met 2000/p
	kill -KILL $reader
	finish $writer 6
	exec 8>&-
	nothing_left
	# The owner is killed: the other one cannot remove it, so the next session begins anew.
	exec 8<>"$TMP/in"
	background env PATH="$BATS_RUN_TMPDIR/as:$PATH" setpriv --reuid=2000 --regid=2000 --clear-groups -- ipc-pipe write -m 666 p <"$TMP/in" 8>&- 9>&-; writer=$!
	until_true state_is 2000/p 0bytes,writer,noreader
	background env PATH="$BATS_RUN_TMPDIR/as:$PATH" setpriv --reuid=1000 --regid=1000 --clear-groups -- ipc-pipe read 2000/p 8>&- 9>&-; reader=$!
	until_true met 2000/p
	kill -KILL $writer
	finish $reader 6
	exec 8>&-
	until_true state_is 2000/p 0bytes,nobody
	background env PATH="$BATS_RUN_TMPDIR/as:$PATH" setpriv --reuid=1000 --regid=1000 --clear-groups -- ipc-pipe read 2000/p >"$TMP/out" 8>&- 9>&-; reader=$!
	as 2000 ipc-pipe write p < <(echo new)
	finish $reader
	[ "$(cat "$TMP/out")" = new ]
	nothing_left
}

@test "sessions follow each other on one name, in order and whole" {
	mkdir "$TMP/got"
	background bash -c 'for i in $(seq 60); do ipc-pipe read s >"$0/$i" || exit; done' "$TMP/got" 8>&- 9>&-; reader=$!
	for i in $(seq 60); do
		seq $((i * 500)) | ipc-pipe write s
	done
	finish $reader
	for i in $(seq 60); do
		cmp "$TMP/got/$i" <(seq $((i * 500)))
	done
	nothing_left
}

@test "one that waits uses no CPU" {
	pair
	before=$(awk '{ print $14 + $15 }' /proc/$reader/stat)
	used=0
	end=$((SECONDS + 3))
	while [ $SECONDS -lt $end ]; do
		used=$(($(awk '{ print $14 + $15 }' /proc/$reader/stat) - before))
		sleep 0.2
	done
	[ $used -le 1 ]
	exec 8>&-
}

@test "--progress and -v say how much" {
	background ipc-pipe read p >/dev/null 8>&- 9>&-; reader=$!
	run --separate-stderr ipc-pipe write --progress=always -v p < <(head -c 3M /dev/zero)
	finish $reader
	[[ ${stderr_lines[-2]} =~ ^3\.0\ MiB,\ [0-9]+\.[0-9]\ MiB/s$ ]]
	[ "${stderr_lines[-1]}" = "ipc-pipe: p: 3145728 bytes" ]
	background ipc-pipe read p >/dev/null 8>&- 9>&-; reader=$!
	run --separate-stderr ipc-pipe write --progress p < <(head -c 3M /dev/zero)
	[ -z "$stderr" ]
	fails 2 ipc-pipe write --progress=sometimes p
}

@test "usage" {
	fails 2 ipc-pipe
	fails 2 ipc-pipe write
	fails 2 ipc-pipe write p q
	fails 2 ipc-pipe splice p
	for size in 0 -1 1x 2G ''; do
		fails 2 ipc-pipe write "--size=$size" p </dev/null
	done
	fails 2 ipc-pipe read key:17
	[[ $stderr == *"a pipe has a NAME, not a key"* ]]
	fails 3 ipc-pipe read --no-create p
	nothing_left
}

@test "ipc-ls -a lists a pipe once, and shows its columns" {
	pair
	kill -STOP $reader
	echo twelve bytes >&8
	until_true state_is p 13bytes,writerandreader
	[ "$(ipc-ls -a --noheadings -o NAME,KIND,STATE | grep -v registry)" = "p pipe 13 bytes, writer and reader" ] ||
		[ "$(ipc-ls -a --noheadings -o NAME,KIND,STATE | grep -vc registry)" -eq 1 ]
	[ "$(field p BYTES)" = 13 ]
	[ "$(field p BYTES-MAX)" = 1048576 ]
	[ "$(ipc-ls -J p | jq -r '.objects[0].state')" = "13 bytes, writer and reader" ]
	kill -CONT $reader
	exec 8>&-
	finish $reader
}

# The set of semaphores on the key of a pipe: on_key KEY SEMAPHORES FLAGS OPERATION.
set_on_key() {
	perl -e '$key = unpack("l", pack("L", hex(shift))); defined($id = semget($key, shift, shift)) or die "$!";
		@ARGV and (semctl($id, 0, 0, 0) or die "$!")' "$@"
}

@test "a set of semaphores on its key: another program's is left alone" {
	need perl
	background ipc-pipe write p </dev/null; writer=$!
	until_true state_is p 0bytes,writer,noreader
	key=$(field p KEY)
	ipc-pipe read p
	finish $writer
	set_on_key "$key" 1 $((0600 | 01000))
	background ipc-pipe write p < <(echo elsewhere); writer=$!
	until_true state_is p 0bytes,writer,noreader
	[ "$(field p KEY)" != "$key" ]
	[ "$(ipc-pipe read p)" = elsewhere ]
	finish $writer
	set_on_key "$key" 1 0 remove
	nothing_left
}

@test "a set of semaphores on its key: its own that is gone is said" {
	need perl
	pair
	kill -KILL $writer $reader
	until_true state_is p 0bytes,nobody
	set_on_key "$(field p KEY)" 0 0 remove
	fails 8 ipc-pipe read p
	[ "${stderr_lines[1]}" = "hint: ipc-rm --stale removes what is left of it" ]
	ipc-rm --stale
	nothing_left
}

@test "two that come while one removes what the killed left need not fit that" {
	need strace
	background ipc-pipe connect p; first=$!
	until_true blocked $first
	kill -KILL $first
	until_true gone $first
	key=$(field p KEY)
	# The first one sleeps between closing the old pipe and removing it.
	background strace -qq -o /dev/null -e inject=shmctl:delay_enter=800000:when=5..7 ipc-pipe write p <<<text; writer=$!
	until_true eval '[ "$(ipc-sem get -i 4 key:$key)" = 1 ]'
	[ "$(ipc-pipe read -t 19s p)" = text ]
	finish $writer
}
