# SPDX-License-Identifier: MIT
# namespace.bats - what --ipc-namespace promises

bats_require_minimum_version 1.5.0
load ../helper

# A process in an IPC namespace of its own, $INSIDE, which has run a command there.
inside() {
	background unshare --ipc bash -c '"$@" && touch "$0" && exec sleep 1000' "$TMP/ready" "$@"
	INSIDE=$!
	until_true test -e "$TMP/ready"
}

@test "every command acts in the namespace of the process" {
	inside ipc-send q1 inside
	[ -z "$(ipc-ls --noheadings)" ]
	[ "$(ipc-ls --ipc-namespace="$INSIDE" --noheadings -o NAME,MESSAGES | xargs)" = "q1 1" ]
	[ "$(ipc-recv -n --ipc-namespace="$INSIDE" q1)" = inside ]
	ipc-send --ipc-namespace="$INSIDE" q1 outside
	[ "$(nsenter --target "$INSIDE" --ipc ipc-recv -n q1)" = outside ]
	ipc-sem create --ipc-namespace="$INSIDE" s1 -c 3
	ipc-barrier create --ipc-namespace="$INSIDE" b1 2
	ipc-event set --ipc-namespace="$INSIDE" e1
	ipc-shm create --ipc-namespace="$INSIDE" m1 100
	[ "$(nsenter --target "$INSIDE" --ipc ipc-ls --noheadings -o NAME | sort | xargs)" = "b1 e1 m1 q1 s1" ]
	ipc-rm --ipc-namespace="$INSIDE" b1 e1 m1 q1 s1
	[ -z "$(nsenter --target "$INSIDE" --ipc ipc-ls -a --noheadings)" ]
	[ -z "$(ipc-ls --noheadings)" ]
}

@test "a COMMAND runs there too, and holds what it holds there" {
	inside true
	[ "$(ipc-sem run --ipc-namespace="$INSIDE" s1 -- ipc-ls --noheadings -o NAME,STATE | xargs)" = "s1 0/1 free" ]
	[ -z "$(ipc-ls --noheadings)" ]
	[ "$(ipc-ls --ipc-namespace="$INSIDE" --noheadings -o STATE | xargs)" = "1/1 free" ]
}

@test "who uses an object there is seen from here" {
	inside ipc-send q1 x
	ipc-recv -n --ipc-namespace="$INSIDE" q1
	background ipc-recv --ipc-namespace="$INSIDE" q1
	local receiver=$!
	until_true blocked $receiver
	fails 7 ipc-rm --ipc-namespace="$INSIDE" q1
	[[ $stderr == *"it is in use: $receiver receives"* ]]
	ipc-send --ipc-namespace="$INSIDE" q1 bye
	finish $receiver
}

@test "the own namespace takes no privilege" {
	need_root "becomes another user"
	as 1000 ipc-send q1 x
	[ "$(as 1000 bash -c 'exec ipc-recv -n --ipc-namespace=$$ q1')" = x ]
	as 1000 ipc-rm q1
}

@test "a process that is none is a usage error" {
	local bad
	for bad in '' 0 -1 x 1x 99999999999 self; do
		fails 2 ipc-ls --ipc-namespace="$bad"
		[[ $stderr == "ipc-ls: --ipc-namespace: "* ]]
	done
	bash -c 'exit 0' &
	wait $!
	fails 2 ipc-sem get s1 --ipc-namespace=$!
	[ "$stderr" = "ipc-sem: --ipc-namespace: there is no process $!" ]
	# --help needs no process.
	fails 0 ipc-ls --ipc-namespace=$! --help
}

@test "without the privilege it is denied, and said what it takes" {
	inside true
	need_root "becomes another user"
	# Another user's process, and one that may be looked at but whose namespace may not be entered.
	fails 4 as 1000 ipc-ls --ipc-namespace="$INSIDE"
	[[ $stderr == *"ipc-ls: cannot enter the IPC namespace of process $INSIDE: "*"hint: it takes root (CAP_SYS_ADMIN over both)"*"nsenter --target $INSIDE"* ]]
	fails 4 setpriv --bounding-set=-sys_admin bash -c 'exec ipc-send --ipc-namespace="$0" q1 x' "$INSIDE"
	[[ $stderr == *"ipc-send: cannot enter the IPC namespace of process $INSIDE: "*"hint: it takes root"* ]]
	[ -z "$(ipc-ls --noheadings)" ]
}
