#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The command that new ones begin with does all that every command does.

bats_require_minimum_version 1.5.0
load ../helper

@test "it does its work" {
	ipc-send q one two
	[ "$(template q)" = 2 ]
	[ "$(template --bytes q)" = 6 ]
	[ "$(template id:"$(field q ID)")" = 2 ]
}

@test "it fails as all do" {
	fails 2 template
	[ "${stderr_lines[0]}" = "ipc-template: which queue? give its NAME" ]
	fails 2 template q r
	fails 2 template --no-such-option q
	fails 3 template q
	[ "$stderr" = "ipc-template: q: no such queue" ]
	ipc-send q one
	fails 8 sh -c 'template q >/dev/full'
}

@test "it helps as all do" {
	fails 0 template --help
	[[ $output == *"--bytes"*"--quiet"*"Exit status: 0 done"* ]]
	[ "$(template --help | awk 'length > 80' | wc -l)" -eq 0 ]
	[[ $(template --version) == "template (ipcutils) "* || $(template --version) == "ipc-template (ipcutils) "* ]]
}
