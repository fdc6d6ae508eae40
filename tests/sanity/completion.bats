# SPDX-License-Identifier: MIT
# completion.bats - completion in the real shells

bats_require_minimum_version 1.5.0
load ../helper

# complete_bash WORD...: what bash offers for the last word. Readline takes words apart at =, as is done here.
complete_bash() {
	bash -c '
		source "$IPC_SRCDIR/completions/ipcutils.bash"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_ipcutils "$1" "${@: -1}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

# What fish offers that begins with the last word: it also offers what has its letters further on.
complete_fish() {
	fish --no-config -c "source $IPC_SRCDIR/completions/ipcutils.fish; complete -C '$*'" | cut -f 1 |
		awk -v word="${*: -1}" 'index($0, word) == 1'
}

# A zsh in a terminal, without which its completion cannot be asked; what it offers goes through compadd, which writes it down.
start_zsh() {
	cat >"$TMP/.zshrc" <<-'END'
		fpath=($IPC_SRCDIR/completions $fpath)
		autoload -U compinit
		compinit -u -D
		compadd() {
			local -a matches
			# Who asks for an array does not offer yet.
			if [[ -z ${(M)@:#-[OAD]} ]]; then
				builtin compadd -O matches "$@"
				print -rl -- $matches >>$TMP/zsh.offered
			fi
			builtin compadd "$@"
		}
		ask() { zle complete-word; : >$TMP/zsh.done }
		LISTMAX=1000000
		zle -N ask
		bindkey '^I' ask
		again() { BUFFER=; : >$TMP/zsh.ready }
		zle -N again
		bindkey '^U' again
		zle-line-init() { : >$TMP/zsh.ready }
		zle -N zle-line-init
	END
	export TMP ZDOTDIR=$TMP
	tmux -S "$TMP/tmux" -f /dev/null new-session -d -x 200 -y 50 'zsh -d'
	CHILDREN+=("$(tmux -S "$TMP/tmux" display-message -p '#{pid}')")
	until_true test -e "$TMP/zsh.ready"
}

# complete_zsh WORD...: what zsh offers for the last word when Tab is pressed.
complete_zsh() {
	rm -f "$TMP/zsh.done" "$TMP/zsh.ready"
	: >"$TMP/zsh.offered"
	tmux -S "$TMP/tmux" send-keys -l "$*"
	tmux -S "$TMP/tmux" send-keys Tab
	until_true test -e "$TMP/zsh.done"
	tmux -S "$TMP/tmux" send-keys C-u
	until_true test -e "$TMP/zsh.ready"
	grep . "$TMP/zsh.offered" | sort -u
}

# One object of each kind.
one_of_each() {
	ipc-send jobs x
	ipc-sem create lock
	ipc-barrier create meeting 2
	ipc-event clear ready
	ipc-shm create board -T i32 -c 3
}

# offers SHELL WORD... : WANTED...: what SHELL offers is just that, in any order.
offers() {
	local shell=$1 got wanted
	local -a words=()
	shift
	while [ "$1" != : ]; do
		words+=("$1")
		shift
	done
	shift
	wanted=$(printf '%s\n' "$@" | sort -u)
	got=$("complete_$shell" "${words[@]}" | sort -u)
	if [ "$got" != "$wanted" ]; then
		echo "$shell: ${words[*]}: $got" >&2
		return 1
	fi
}

# What must be so in each shell.
completes() {
	local shell=$1
	one_of_each
	# names, by kind, and no more of them than a command takes
	offers "$shell" ipc-recv '' : jobs
	offers "$shell" ipc-recv -t 2s jobs '' : jobs
	offers "$shell" ipc-send jobs '' : ''
	offers "$shell" ipc-sem run '' : lock
	offers "$shell" ipc-barrier wait '' : meeting
	offers "$shell" ipc-event wait -n '' : ready
	offers "$shell" ipc-shm get '' : board
	offers "$shell" ipc-pipe read '' : ''
	offers "$shell" ipc-ls '' : jobs lock meeting ready board
	offers "$shell" ipc-rm -k event '' : ready
	offers "$shell" ipc-ls "$(id -un)/j" : "$(id -un)/jobs"
	# verbs, and the options of each
	offers "$shell" ipc-pipe '' : connect read write
	offers "$shell" ipc-pipe write --si : --size
	offers "$shell" ipc-pipe write --par : ''
	offers "$shell" ipc-send --no-c : --no-create
	# what an option takes
	offers "$shell" ipc-ls -k mem : memory
	offers "$shell" ipc-recv -t '' : ''
	offers "$shell" ipc-shm create new -T i : i8 i16 i32 i64
	offers "$shell" ipc-shm wait board -i 1 g : gt ge
	offers "$shell" ipc-ls --user roo : root
	"complete_$shell" ipc-sem acquire lock -P '' | grep -qx $$
	# a COMMAND
	"complete_$shell" ipc-recv jobs -- trunca | grep -qx truncate
}

# The long options, and the verbs, that COMMAND [VERB] --help lists.
options_in_help() {
	"$@" --help | sed -nE 's/^ +(-., )*(--[a-z-]+).*/\2/p'
}

verbs_in_help() {
	"$1" --help | sed -n '/^ Verbs/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# Every option and every verb of every command, as its --help lists them.
completes_all() {
	local shell=$1 file command verb
	local -a verbs options
	for file in "$IPC_BUILDDIR"/bin/ipc-*; do
		if [ ! -f "$file" ] || [ ! -x "$file" ]; then continue; fi
		command=${file##*/}
		mapfile -t options < <(options_in_help "$command")
		mapfile -t verbs < <(verbs_in_help "$command")
		# At least --help, --usage, --version, --quiet and --verbose.
		[ ${#options[@]} -ge 5 ]
		offers "$shell" "$command" -- : "${options[@]}"
		[ ${#verbs[@]} -eq 0 ] || offers "$shell" "$command" '' : "${verbs[@]}"
		for verb in "${verbs[@]}"; do
			mapfile -t options < <(options_in_help "$command" "$verb")
			offers "$shell" "$command" "$verb" -- : "${options[@]}"
		done
	done
}

@test "bash completes every option and verb that --help lists" {
	completes_all bash
}

@test "fish completes every option and verb that --help lists" {
	need fish
	completes_all fish
}

@test "zsh completes every option and verb that --help lists" {
	need zsh
	need tmux
	start_zsh
	completes_all zsh
}

@test "bash completes names by kind, verbs, options and their values" {
	completes bash
	offers bash ipc-ls --kind = mem : memory
	offers bash ipc-send --progress = a : auto always
	offers bash ipc-ls -o NAME,K : NAME,KEY NAME,KIND
	offers bash ipc-ls -o +W : +WAITERS
}

@test "fish completes names by kind, verbs, options and their values" {
	need fish
	completes fish
	offers fish ipc-ls --kind=mem : --kind=memory
	offers fish ipc-send --progress=a : --progress=auto --progress=always
	offers fish ipc-ls -o NAME,K : NAME,KEY NAME,KIND
	offers fish ipc-ls -o +W : +WAITERS
}

@test "zsh completes names by kind, verbs, options and their values" {
	need zsh
	need tmux
	start_zsh
	completes zsh
	offers zsh ipc-ls --kind=mem : memory
	offers zsh ipc-send --progress=a : auto always
	offers zsh ipc-ls -o NAME,K : KEY KIND
	offers zsh ipc-ls -o +W : WAITERS
}

@test "a name is not run by who completes it" {
	ipc-send '$(touch${IFS}run)' x
	ipc-send '`touch${IFS}run`' x
	cd "$TMP"
	complete_bash ipc-recv '' >offered
	[ "$(wc -l <offered)" -eq 2 ]
	[ "$(eval "printf '%s\n' $(sed -n 1p offered)")" = '$(touch${IFS}run)' ]
	[ ! -e run ]
	need fish
	complete_fish ipc-recv >offered
	[ ! -e run ]
	need zsh
	need tmux
	start_zsh
	offers zsh ipc-recv '' : '$(touch${IFS}run)' '`touch${IFS}run`'
	[ ! -e run ]
}
