# SPDX-License-Identifier: MIT
# bash completion for ipcutils: options come from the programs, names from ipc-ls.

_ipcutils_names() {
	ipc-ls --noheadings -o NAME 2>/dev/null
}

_ipcutils() {
	local command=$1 current=$2 previous=$3
	local -a words=()
	COMPREPLY=()
	local word index
	for ((index = 1; index < COMP_CWORD; index++)); do
		if [ "${COMP_WORDS[index]}" = -- ]; then
			# A COMMAND of its own.
			if [ $((index + 1)) -eq "$COMP_CWORD" ]; then
				mapfile -t COMPREPLY < <(compgen -c -- "$current")
			else
				mapfile -t COMPREPLY < <(compgen -f -- "$current")
			fi
			return
		fi
	done
	case $previous in
	-k | --kind)
		mapfile -t COMPREPLY < <(compgen -W "queue semaphore barrier event memory pipe" -- "$current")
		return
		;;
	--user)
		mapfile -t COMPREPLY < <(compgen -u -- "$current")
		return
		;;
	--ipc-namespace | --peer)
		mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [1-9]*)" -- "$current")
		return
		;;
	--root)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
		;;
	-[tcTFEmouPi] | --older-than | --interval) return ;;
	esac
	# A command with verbs: they come first, and each has options of its own.
	local -a verbs=()
	mapfile -t verbs < <("$command" --complete-options 2>/dev/null | sed -n 's/^\t\([a-z]*\)\t.*/\1/p')
	if [ ${#verbs[@]} -gt 0 ] && [ "$COMP_CWORD" -eq 1 ] && [[ $current != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "${verbs[*]}" -- "$current")
		return
	fi
	local -a asked=("$command")
	if [ ${#verbs[@]} -gt 0 ] && [ "$COMP_CWORD" -gt 1 ]; then
		asked+=("${COMP_WORDS[1]}")
	fi
	case $current in
	-*)
		while IFS=$'\t' read -r _ word _; do
			words+=("${word%%[=\[]*}")
		done < <("${asked[@]}" --complete-options 2>/dev/null | sed 's/^\t/ \t/') # read drops a tab in front
		mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$current")
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$(_ipcutils_names)" -- "$current") ;;
	esac
}

complete -F _ipcutils ipc-barrier ipc-doctor ipc-event ipc-ls ipc-pipe ipc-recv ipc-rm ipc-sem ipc-send ipc-shm
