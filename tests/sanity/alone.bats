# SPDX-License-Identifier: MIT
# alone.bats - the tests remove nothing outside an IPC namespace of their own

bats_require_minimum_version 1.5.0
load ../helper

# Run a command as on a machine that refuses unshare(1), outside any namespace of the tests.
refused() {
	mkdir -p "$TMP/bin"
	printf '#!/bin/sh\nexit 1\n' >"$TMP/bin/unshare"
	chmod +x "$TMP/bin/unshare"
	env -u IPC_TEST_NAMESPACE -u IPC_TEST_TAP -u BATS_RUN_TMPDIR PATH="$TMP/bin:$PATH" "$@"
}

# The queue of the user is still there, with its message.
untouched() {
	[ "$(ipc-ls --noheadings -o NAME,MESSAGES precious | xargs)" = "precious 1" ]
}

@test "without a namespace of its own no test runs, and the user's objects stay" {
	ipc-send precious x
	fails 0 refused env IPC_TEST_TAP=yes "$IPC_SRCDIR/tests/ns-run" bats --tap "$IPC_SRCDIR/tests/cmd/ipc-event.bats"
	[[ $output == "1..0 # SKIP no IPC namespace of its own"* ]]
	untouched
	fails 1 refused "$IPC_SRCDIR/tests/ns-run" ipc-rm -f -a
	[[ $stderr == *"unshare(1) is refused"*hint* ]]
	untouched
	fails 1 env IPC_TEST_NAMESPACE=none "$IPC_SRCDIR/tests/ns-run" ipc-rm -f -a
	untouched
}

@test "a test file that runs without ns-run removes nothing" {
	ipc-send precious x
	fails 1 refused bats --tap "$IPC_SRCDIR/tests/cmd/ipc-event.bats"
	[[ $output$stderr == *"run this file with tests/ns-run"* ]]
	untouched
	local script
	for script in fault/{queue,errno,sem,shm,pipe,barrier,event} sanity/statuses examples/run portability/mixed; do
		run refused timeout "$DEADLINE" "$IPC_SRCDIR/tests/$script"
		[ "$status" -ne 0 ]
		[[ $output == *"run it with tests/ns-run"* ]]
		untouched
	done
}
