# SPDX-License-Identifier: MIT
# storm.bats - signals in the middle of it all, again and again

bats_require_minimum_version 1.5.0
load ../helper

# Three receivers follow a queue; whoever ends is followed by another one, until no more is wanted.
receivers() {
	local number=$1 round=0
	while [ ! -e "$TMP/enough" ]; do
		round=$((round + 1))
		ipc-recv -f -t 200ms q1 >"$TMP/out.$number.$round" &
		echo $! "$TMP/out.$number.$round" >"$TMP/pid.$number"
		if ! wait $!; then continue; fi # ended by the storm
	done
}

# SIGNAL to each receiver as soon as it has written something, until all is sent and received.
storm() {
	local sender=$1 signal=$2 end=$((SECONDS + DEADLINE)) number pid out
	while [ $SECONDS -lt $end ]; do
		for number in 1 2 3; do
			read -r pid out 2>/dev/null <"$TMP/pid.$number" || continue
			if [ -s "$out" ] && kill -"$signal" "$pid" 2>/dev/null; then
				echo "$pid" >>"$TMP/signalled"
			fi
		done
		if gone "$sender" && [ "$(field q1 MESSAGES)" = 0 ]; then
			return 0
		fi
	done
	echo "deadline" >&2
	return 1
}

@test "receivers ended by SIGTERM lose and double nothing" {
	local number sent=0
	ipc-send q1 0
	: >"$TMP/signalled"
	for number in 1 2 3; do background receivers $number; done
	# A busy machine may be done with the lines before the storm has begun: then there are more.
	while [ "$(wc -l <"$TMP/signalled")" -lt 3 ] && [ $sent -lt 1000000 ]; do
		seq $((sent + 1)) $((sent += 100000)) >"$TMP/lines"
		background bash -c 'exec ipc-send q1 <"$0"' "$TMP/lines"
		storm $! TERM
	done
	touch "$TMP/enough"
	for number in 0 1 2; do finish "${CHILDREN[number]}"; done
	[ "$(wc -l <"$TMP/signalled")" -ge 3 ]
	cat "$TMP"/out.* | sort -n | cmp - <(seq 0 $sent)
}

@test "a sender killed with kill -9 has sent a part of the lines, each once" {
	local round
	for round in 1 2 3 4 5; do
		seq 1000000 >"$TMP/lines"
		background bash -c 'exec ipc-send q1 <"$0"' "$TMP/lines"
		local sender=$!
		ipc-recv -c $((round * 500)) q1 >"$TMP/got"
		kill -KILL $sender
		finish $sender 137
		ipc-recv -a q1 >>"$TMP/got" || [ $? -eq 1 ]
		cmp "$TMP/got" <(seq "$(wc -l <"$TMP/got")")
	done
}
