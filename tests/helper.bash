# SPDX-License-Identifier: MIT
# helper.bash - what the bats tests share. Load it with: load ../helper
#
# A test may use any names: teardown removes all that the user has, so that no file runs without tests/ns-run, which
# gives it an IPC namespace of its own. Objects it makes on keys it must remove by itself. Nothing here waits for a fixed time: until_true polls
# for what is waited for, with a deadline.

DEADLINE=${DEADLINE:-20} # seconds until anything that should happen must have happened

in_own_namespace() {
	[ "${IPC_TEST_NAMESPACE-}" = root ] || [ "${IPC_TEST_NAMESPACE-}" = user ]
}

setup() {
	if ! in_own_namespace; then
		echo "run this file with tests/ns-run: it removes every object in its IPC namespace" >&2
		return 1
	fi
	export LC_ALL=C.UTF-8
	# shellcheck disable=SC2034 # for the tests
	TMP=$BATS_TEST_TMPDIR
	CHILDREN=()
}

teardown() {
	local pid
	for pid in "${CHILDREN[@]}"; do
		if kill -KILL "$pid" 2>/dev/null; then
			wait "$pid" 2>/dev/null
		fi
	done
	in_own_namespace || return 0
	ipc-rm --quiet --force --all
	ipc-rm --quiet --stale --older-than=0
}

# Run in the background; its process is $! and is ended by teardown. File descriptor 3
# is bats' own and would keep it waiting. Without "<&0" its stdin were /dev/null.
background() {
	"$@" <&0 3>&- &
	CHILDREN+=($!)
}

# until_true COMMAND...: poll until it succeeds; fail after DEADLINE seconds.
until_true() {
	local end=$((SECONDS + DEADLINE))
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "deadline: $*" >&2
			return 1
		fi
		sleep 0.02
	done
}

# finish PID [STATUS]: wait for a background process and compare its status.
finish() {
	local pid=$1 wanted=${2:-0} status=0
	until_true gone "$pid" || kill -KILL "$pid"
	wait "$pid" || status=$?
	if [ $status -ne "$wanted" ]; then
		echo "process $pid ended with $status, not $wanted" >&2
		return 1
	fi
}

# Whether PID has ended, waited for or not.
gone() {
	local state
	state=$(sed 's/.*) //; s/ .*//' /proc/"$1"/stat 2>/dev/null) || return 0
	[ -z "$state" ] || [ "$state" = Z ]
}

# Whether the commands are 32-bit ones: the fifth byte of such a file is 1.
commands_are_32_bit() {
	[ "$(od -An -tu1 -j4 -N1 "$IPC_BUILDDIR/bin/ipc-send" | tr -d ' ')" = 1 ]
}

# Whether a thread of PID sleeps in a System V call.
blocked() {
	local file number
	for file in /proc/"$1"/task/*/syscall; do
		read -r number _ <"$file" || continue
		case $(uname -m)/$number in
		x86_64/65 | x86_64/69 | x86_64/70 | x86_64/220) return 0 ;;
		aarch64/188 | aarch64/189 | aarch64/192 | aarch64/193) return 0 ;;
		# 32-bit processes, also on a 64-bit kernel, where no such number is a call that blocks.
		*86*/117 | *86*/400 | *86*/401 | *86*/420) return 0 ;;
		esac
	done
	return 1
}

# How often the threads of PID... have given up the processor: one who sleeps on does not, one who polls does.
switches() {
	local pid
	for pid in "$@"; do cat /proc/"$pid"/task/*/status; done | awk '/ctxt_switches/ { sum += $2 } END { print sum }'
}

# The value of a column of ipc-ls: field NAME COLUMN.
field() {
	ipc-ls --noheadings -o "$2" "$1" | tr -d ' '
}

# Write bytes into a segment: scribble KEY OFFSET HEXADECIMAL.
scribble() {
	perl -e 'my $id = shmget(unpack("l", pack "L", hex $ARGV[0]), 0, 0) // die; shmwrite($id, pack("H*", $ARGV[2]), $ARGV[1], length($ARGV[2]) / 2) or die' "$@"
}

# The bytes of the first key of a name, in hexadecimal, as a registry has them: key_of UID NAME.
key_of() {
	perl -Mbigint -e 'my $h = 0xcbf29ce484222325;
		$h = (($h ^ ord) * 0x100000001b3) % 2**64 for split //, "ipcutils:$ARGV[0]/$ARGV[1]#0";
		print unpack "H*", pack "L", ((($h >> 32) ^ $h) % 2**31)->numify' "$@"
}

# Run a command whose file descriptor FD somebody has made non-blocking: nonblocking FD COMMAND...
nonblocking() {
	perl -MFcntl -e 'open my $f, "+<&=", shift or die; fcntl($f, F_SETFL, O_NONBLOCK | fcntl($f, F_GETFL, 0)) or die;
		exec @ARGV' "$@"
}

need_root() {
	[ "$IPC_TEST_NAMESPACE" = root ] || skip "needs root: $1"
}

# Followed by a shell script and its arguments: run the script where it may mount over /proc. In a chroot whose root is no
# mount point, unshare(1) cannot change the propagation of all mounts, so that only those of /proc are made private.
# shellcheck disable=SC2016 # expanded there
MOUNT_NAMESPACE=(unshare --mount --propagation unchanged sh -c 'mount --make-rprivate /proc && script=$1 && shift && eval "$script"' mount-namespace)

# Followed by a command: run it as process 1 of a PID namespace with a /proc of its own.
# shellcheck disable=SC2016,SC2034 # expanded there; for the tests
PID_NAMESPACE=(unshare --pid --fork --kill-child "${MOUNT_NAMESPACE[@]}" 'mount -t proc proc /proc && exec "$@"')

need_pid_namespace() {
	need_root "makes a PID namespace"
	"${PID_NAMESPACE[@]}" true 2>/dev/null || skip "no PID namespace with a /proc of its own is allowed here"
}

need() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# Run as another user: as 1000 ipc-send root/q1 x. The commands are copied to where any user
# can read them, for a build tree may be closed to others.
as() {
	local uid=$1 program=$2
	shift 2
	if [ ! -d "$BATS_RUN_TMPDIR/as" ]; then
		mkdir -m 755 "$BATS_RUN_TMPDIR/as"
		chmod 755 "$BATS_RUN_TMPDIR"
		cp "$IPC_BUILDDIR"/bin/ipc-* "$BATS_RUN_TMPDIR/as/" 2>/dev/null
	fi
	PATH="$BATS_RUN_TMPDIR/as:$PATH" setpriv --reuid="$uid" --regid="$uid" --clear-groups -- "$program" "$@"
}

# fails STATUS COMMAND...: run it, expect that exit status; its stderr is in $stderr, stdout in $output.
fails() {
	local wanted=$1
	shift
	run --separate-stderr "$@"
	if [ "$status" -ne "$wanted" ]; then
		echo "status $status, not $wanted: $*" >&2
		echo "stdout: $output" >&2
		echo "stderr: $stderr" >&2
		return 1
	fi
}
