#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sem-storm.bats - hundreds of holders, waiters and keepers, killed at random moments

bats_require_minimum_version 1.5.0
load ../helper

ROUNDS=${ROUNDS:-120}

all_back() {
	[ "$(ipc-sem status -J m | jq -c '[.value, .count, .taken, .waiters, (.holders | length)]')" = "[3,3,0,0,0]" ]
}

kill_some() {
	local pid
	for pid in "$@"; do
		if [ $((RANDOM % 3)) -eq 0 ]; then kill -KILL "$pid" 2>/dev/null || continue; fi
	done
}

@test "holders and waiters of ipc-sem run" {
	local round pids=()
	ipc-sem create -c 3 m
	for ((round = 0; round < ROUNDS; round++)); do
		background ipc-sem run -u $((RANDOM % 3 + 1)) m -- sleep 0.0$((RANDOM % 10))
		pids+=($!)
		background ipc-sem run -t 0.$((RANDOM % 10)) -x m -- true
		pids+=($!)
		if [ ${#pids[@]} -gt 20 ]; then
			kill_some "${pids[@]:0:10}"
			pids=("${pids[@]:10}")
		fi
	done
	kill_some "${pids[@]}"
	until_true all_back || { ipc-sem status m; return 1; }
}

@test "owners, callers and keepers of ipc-sem acquire" {
	local round pids=()
	ipc-sem create -c 3 m
	for ((round = 0; round < ROUNDS / 2; round++)); do
		# In a session of its own, as a cron job is: then no orphan can be taken for the script's child.
		background setsid bash -c 'ipc-sem acquire -t 2s -u $((RANDOM % 3 + 1)) m && sleep 0.0$((RANDOM % 10)) && { ipc-sem release m || test $? -eq 3; }'
		pids+=($!)
		if [ $((round % 4)) -eq 0 ]; then
			# shellcheck disable=SC2046 # a list of processes
			kill_some "${pids[@]}" $(ipc-sem status -J m | jq '.holders[].keeper')
			pids=()
		fi
	done
	kill_some "${pids[@]}"
	until_true all_back || { ipc-sem status m; return 1; }
}
