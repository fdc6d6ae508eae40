# SPDX-License-Identifier: MIT
# services.bats - the units in ipcutils(7)

bats_require_minimum_version 1.5.0
load ../helper

# Write the units of the page into $TMP/units.
extract() {
	mkdir -p "$TMP/units"
	awk -v dir="$TMP/units/" '/^\.\\" unit / { file = dir $3; next } /^\.\\" end/ { close(file); file = "" } file { gsub(/\\-/, "-"); print >file }' \
		"$IPC_SRCDIR/man/ipcutils.7"
	[ -s "$TMP/units/jobs.service" ]
	[ -s "$TMP/units/nightly.service" ]
	[ -s "$TMP/units/nightly.timer" ]
}

# The command line of ExecStart of a unit, with commands that exist here.
command_of() {
	sed -n 's/^ExecStart=//p' "$TMP/units/$1" | sed "s#/usr/bin/ipc-#ipc-#; s#/usr/local/bin/[a-z]*#$TMP/job#"
}

@test "each line of the units is a section or an assignment, and the page explains the directives" {
	extract
	run grep -hvE '^(\[(Unit|Service|Install|Timer)\]|[A-Z][A-Za-z]+=.+|)$' "$TMP"/units/*
	[ -z "$output" ]
	grep -qx KillMode=mixed "$TMP/units/jobs.service"
	local directive
	for directive in KillMode= RemoveIPC= DynamicUser= PrivateIPC=; do
		grep -q "^\.B $directive" "$IPC_SRCDIR/man/ipcutils.7"
	done
}

@test "systemd accepts the units" {
	need systemd-analyze
	extract
	# Neither the user nor the programs exist here.
	sed -i 's/^User=worker/User=root/; s#^\(ExecStart=\)[^ ]*#\1/bin/sh#' "$TMP"/units/*
	run systemd-analyze verify "$TMP"/units/*
	[ "$status" -eq 0 ]
	[[ $output != *"$TMP/units/"* ]]
}

@test "after SIGTERM to ipc-recv alone, as of KillMode=mixed, the job is finished and no message is lost" {
	extract
	printf '#!/bin/sh\ntouch "%s/begun"\nuntil test -e "%s/go"; do sleep 0.02; done\ncat >>"%s/done"\n' "$TMP" "$TMP" "$TMP" >"$TMP/job"
	chmod +x "$TMP/job"
	ipc-send jobs one two
	local words
	read -ra words <<<"$(command_of jobs.service)"
	background "${words[@]}"
	local worker=$!
	until_true test -e "$TMP/begun"
	kill -TERM $worker
	touch "$TMP/go"
	finish $worker 143
	[ "$(cat "$TMP/done")" = one ]
	[ "$(ipc-recv -a jobs)" = two ]
}

@test "the nightly job does not run twice, and that is a success" {
	extract
	printf '#!/bin/sh\necho ran >>"%s/ran"\n' "$TMP" >"$TMP/job"
	chmod +x "$TMP/job"
	local words
	read -ra words <<<"$(command_of nightly.service)"
	ipc-sem run nightly -- "${words[@]}"
	[ ! -e "$TMP/ran" ]
	"${words[@]}"
	[ "$(cat "$TMP/ran")" = ran ]
}

@test "the same NAME of two users is two locks, OWNER/NAME is one" {
	need_root "becomes another user"
	as 1000 ipc-sem create -m 666 nightly
	as 1000 ipc-sem run nightly -- true
	ipc-sem run nightly -- sh -c "true"
	background as 1000 ipc-sem run nightly -- sleep 1000
	until_true sh -c 'ipc-sem status 1000/nightly | grep -q "sleep 1000"'
	ipc-sem run -n nightly -- true
	fails 1 ipc-sem run -n 1000/nightly -- true
	kill "$(ipc-sem status -J 1000/nightly | jq '.holders[0].pid')"
	finish $! 143
	as 1000 ipc-rm nightly
}
