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
	-[tcTFEmo] | --older-than) return ;;
	esac
	case $current in
	-*)
		while IFS=$'\t' read -r _ word _; do
			words+=("${word%%[=\[]*}")
		done < <("$command" --complete-options 2>/dev/null)
		mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$current")
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$(_ipcutils_names)" -- "$current") ;;
	esac
}

complete -F _ipcutils ipc-ls ipc-recv ipc-rm ipc-send
