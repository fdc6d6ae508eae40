# SPDX-License-Identifier: MIT
# bash completion for ipcutils: options come from the programs, with the word for their argument, names from ipc-ls.

# The kind of object that a command's NAME is, or nothing if it can be any.
_ipcutils_kind() {
	case ${1##*/} in
	ipc-send | ipc-recv) echo queue ;;
	ipc-sem) echo semaphore ;;
	ipc-barrier) echo barrier ;;
	ipc-event) echo event ;;
	ipc-shm) echo memory ;;
	ipc-pipe) echo pipe ;;
	esac
}

# Offer those of the words on stdin, one a line, that begin with what was typed. compgen -W would expand
# them first: a name may hold $ and backquotes, and is not to be run.
_ipcutils_offer() {
	local word
	while IFS= read -r word; do
		if [[ $word != "$1"* ]]; then
			continue
		elif [[ $word == *[!A-Za-z0-9_.,:+/-]* ]]; then
			word=$(printf %q "$word")
		fi
		COMPREPLY+=("$word")
	done
}

# Names of KIND that begin with what was typed; with OWNER/ in front those of another user.
_ipcutils_names() {
	local kind=$1 current=$2 owner=
	local -a options=(--noheadings -o NAME)
	if [ -n "$kind" ]; then
		options+=(-k "$kind")
	fi
	if [[ $current == */* ]]; then
		owner=${current%%/*}/
		options+=(--user "${owner%/}")
	fi
	# The caller's own come without an owner.
	_ipcutils_offer "$current" < <(ipc-ls "${options[@]}" 2>/dev/null | awk -v owner="$owner" '{ print /\// ? $0 : owner $0 }')
}

# What an option takes, by the word that --help has for it.
_ipcutils_value() {
	local command=$1 argument=$2 current=$3 before=
	case $argument in
	KIND) _ipcutils_offer "$current" < <(printf '%s\n' queue semaphore barrier event memory pipe) ;;
	USER) _ipcutils_offer "$current" < <(compgen -u) ;;
	PID) _ipcutils_offer "$current" < <(cd /proc && printf '%s\n' [1-9]*) ;;
	DIR) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
	WHEN) _ipcutils_offer "$current" < <(printf '%s\n' auto always never) ;;
	TYPE) _ipcutils_offer "$current" < <(printf '%s\n' i8 u8 i16 u16 i32 u32 i64 u64 f32 f64) ;;
	COLS)
		if [[ $current =~ ^(\+|.*,) ]]; then
			before=${BASH_REMATCH[1]}
		fi
		_ipcutils_offer "$current" < <("$command" --help | awk -v before="$before" '
			/^$/ { on = 0 } on { print before $1 } /^Columns:/ { on = 1 }')
		;;
	esac
}

_ipcutils() {
	local command=$1 current=$2 kind word index first=1 position=0 wanted=''
	local letter option argument
	local -a line=() asked=("$1") verbs=()
	local -A arguments=()
	COMPREPLY=()
	# Readline takes --kind=memory apart.
	for ((index = 0; index <= COMP_CWORD; index++)); do
		word=${COMP_WORDS[index]}
		if [ "$word" = = ] && ((${#line[@]} > 1)); then
			line[${#line[@]} - 1]+='='
		elif ((${#line[@]} > 1)) && [[ ${line[${#line[@]} - 1]} == --*= ]]; then
			line[${#line[@]} - 1]+=$word
		else
			line+=("$word")
		fi
	done
	# A command with verbs: they come first, and each has options of its own.
	mapfile -t verbs < <("$command" --complete-options 2>/dev/null | sed -n 's/^\t\([a-z]*\)\t.*/\1/p')
	if [ ${#verbs[@]} -gt 0 ]; then
		if [ ${#line[@]} -eq 2 ] && [[ $current != -* ]]; then
			_ipcutils_offer "$current" < <(printf '%s\n' "${verbs[@]}")
			return
		fi
		if [ ${#line[@]} -gt 2 ]; then
			asked+=("${line[1]}")
			first=2
		fi
	fi
	# "-t" and "--timeout" to DURATION, "" for what takes none or one behind = only.
	while IFS=@ read -r letter option argument; do
		arguments[$option]=$argument
		if [ -n "$letter" ] && [[ $option != *\[ ]]; then
			arguments[$letter]=$argument
		fi
	done < <("${asked[@]}" --complete-options 2>/dev/null |
		sed -n 's/^\(-.\)\{0,1\}\t\(--[a-z-]*\[\{0,1\}\)=\{0,1\}\([^\t]*\)\t.*/\1@\2@\3/p')
	kind=$(_ipcutils_kind "$command")
	for ((index = first; index < ${#line[@]} - 1; index++)); do
		word=${line[index]}
		if [ "$word" = -- ]; then
			# A COMMAND of its own.
			if ((index + 2 == ${#line[@]})); then
				mapfile -t COMPREPLY < <(compgen -c -- "$current")
			else
				mapfile -t COMPREPLY < <(compgen -f -- "$current")
			fi
			return
		elif [ -n "$wanted" ]; then
			if [ "$wanted" = KIND ]; then
				kind=$word
			fi
			wanted=
		elif [[ $word == --kind=* ]]; then
			kind=${word#*=}
		elif [[ $word == -?* ]]; then
			wanted=${arguments[$word]-}
		else
			position=$((position + 1))
		fi
	done
	word=${line[${#line[@]} - 1]}
	if [ -n "$wanted" ]; then
		_ipcutils_value "$command" "$wanted" "$word"
	elif [[ $word == --*=* ]]; then
		option=${word%%=*}
		argument=${arguments[$option]-${arguments[$option\[]-}}
		_ipcutils_value "$command" "${argument%]}" "${word#*=}"
	elif [[ $word == -* ]]; then
		_ipcutils_offer "$word" < <(printf '%s\n' "${!arguments[@]}" | sed -n 's/^\(--[a-z-]*\).*/\1/p' | sort)
	else
		case ${command##*/}:${asked[1]-}:$position in
		ipc-shm:wait:1) _ipcutils_offer "$word" < <(printf '%s\n' eq ne lt le gt ge) ;;
		ipc-recv:* | ipc-ls:* | ipc-rm:* | *:0) [[ $command == *ipc-doctor ]] || _ipcutils_names "$kind" "$word" ;;
		esac
	fi
}

complete -F _ipcutils ipc-barrier ipc-doctor ipc-event ipc-ls ipc-pipe ipc-recv ipc-rm ipc-sem ipc-send ipc-shm
