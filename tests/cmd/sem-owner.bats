#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The process on whose behalf ipc-sem acquire and release act.
bats_require_minimum_version 1.5.0
load ../helper

# The process for which m is held.
owner_of_m() {
	ipc-sem status -J m | jq '.holders[0].pid'
}

# A script that acquires m with the command line $1, writes the owner to a file and waits for its end.
script() {
	printf '%s\n' "#!/usr/bin/env $2" "$1 || exit" 'echo $$ >"$0.pid"' 'read -r x <"$0.go"' 'exit 0' >"$TMP/script"
	chmod 755 "$TMP/script"
	[ -p "$TMP/script.go" ] || mkfifo "$TMP/script.go"
	rm -f "$TMP/script.pid"
	background "$TMP/script"; script=$!
	until_true test -s "$TMP/script.pid"
	[ "$(owner_of_m)" = "$(cat "$TMP/script.pid")" ]
	echo >"$TMP/script.go"
	finish $script
	until_true value_is m 1
}

value_is() {
	[ "$(ipc-sem get "$1")" = "$2" ]
}

each_shell() {
	local shell
	for shell in sh dash bash zsh ksh mksh yash busybox\ sh; do
		command -v "${shell%% *}" >/dev/null || continue
		[ "$shell" != "busybox sh" ] || shell='-S busybox sh'
		script "$1" "$shell"
	done
}

@test "acquire holds for the script that calls it" {
	each_shell 'ipc-sem acquire m'
}

@test "acquire below timeout, env, nice and nohup holds for the script" {
	each_shell 'timeout 20 ipc-sem acquire m'
	script 'env A=b nice timeout 20 ipc-sem acquire m' sh
	script 'nohup timeout 20 ipc-sem acquire m 2>/dev/null' sh
}

@test "acquire in a subshell, a pipeline and a substitution holds for the script" {
	each_shell '( ipc-sem acquire m; true )'
	each_shell '( ( ipc-sem acquire m; true ); true )'
	each_shell 'ipc-sem acquire m | cat'
	each_shell 'true | ipc-sem acquire m'
	each_shell 'x=$(ipc-sem acquire m; true)'
}

@test "release in a subshell and below timeout releases what the script holds" {
	script 'ipc-sem acquire m; ( timeout 20 ipc-sem release m; true ); ipc-sem acquire -n m' sh
	script 'ipc-sem acquire m; timeout 20 ipc-sem release m | cat; ipc-sem acquire -n m' bash
}

@test "a script that calls itself with the same arguments is no subshell of itself" {
	printf '%s\n' '#!/bin/sh' 'if [ "$INNER" ]; then ipc-sem acquire m; ipc-sem status -J m >"$0.status"; echo $$ >"$0.pid"
		exit 0; fi' 'INNER=1 "$0"; true' >"$TMP/script"
	chmod 755 "$TMP/script"
	"$TMP/script"
	[ "$(jq '.holders[0].pid' "$TMP/script.status")" = "$(cat "$TMP/script.pid")" ]
	until_true value_is m 1
}

@test "a caller that is not a shell is refused with a hint" {
	ipc-sem create m
	fails 2 perl -e 'system("ipc-sem", "acquire", "m"); exit $? >> 8'
	[[ "$stderr" = *"(perl)"*"hint: "*'-P $$'* ]]
	fails 2 perl -e 'system("ipc-sem", "release", "m"); exit $? >> 8'
	[[ "$stderr" = *'-P $$'* ]]
	printf 'all:\n\t@ipc-sem acquire m\n' >"$TMP/makefile"
	need make
	run make -s -f "$TMP/makefile"
	[[ "$output" = *"(make)"*'-P $$'* ]]
	run xargs ipc-sem acquire <<<m
	[[ "$output" = *"(xargs)"*'-P $$'* ]]
	value_is m 1
}

@test "a shell that system(3) starts and that becomes ipc-sem is refused" {
	ipc-sem create m
	# dash and bash replace themselves by the last command of -c, so that the parent is perl.
	fails 2 perl -e 'system("bash", "-c", "ipc-sem acquire m"); exit $? >> 8'
	[[ "$stderr" = *'-P $$'* ]]
	value_is m 1
}

@test "a job in the background holds units of its own with -P, and the script's without" {
	ipc-sem create -c 2 jobs
	mkfifo "$TMP/go"
	cat >"$TMP/script" <<-'END'
		for job in a b; do
			( ipc-sem acquire -P $BASHPID jobs && echo $BASHPID >>"$1.pids"; read -r x <"$1" ) &
		done
		wait
	END
	background bash "$TMP/script" "$TMP/go"; script=$!
	until_true value_is jobs 0
	until_true eval '[ "$(wc -l <"$TMP/go.pids")" = 2 ]'
	[ "$(ipc-sem status -J jobs | jq '.holders[].pid' | sort)" = "$(sort "$TMP/go.pids")" ]
	exec 9<>"$TMP/go"; printf 'x\nx\n' >&9; exec 9>&-
	finish $script
	until_true value_is jobs 2
	printf '%s\n' 'ipc-sem create m; ( ipc-sem acquire m ) && ( ipc-sem acquire m ); echo $?' >"$TMP/script"
	run bash "$TMP/script"
	[[ "$output" = *"would wait for itself"*7 ]]
}

@test "acquire names its owner with -P where it would be refused" {
	perl -e 'system("ipc-sem acquire -P $$ m") == 0 or exit 9; exit 3 unless `ipc-sem get m` == 0;
		system("ipc-sem release -P $$ m") == 0 or exit 8; exit 4 unless `ipc-sem get m` == 1'
}
