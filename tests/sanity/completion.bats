# SPDX-License-Identifier: MIT
# completion.bats - completion in the real shells

bats_require_minimum_version 1.5.0
load ../helper

# complete_bash WORD...: what bash offers for the last word.
complete_bash() {
	bash -c '
		source "$IPC_SRCDIR/completions/ipcutils.bash"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_ipcutils "$1" "${@: -1}" "${COMP_WORDS[COMP_CWORD - 1]}"
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

complete_fish() {
	fish --no-config -c "source $IPC_SRCDIR/completions/ipcutils.fish; complete -C '$*'"
}

# What zsh's completion function offers, collected by stand-ins of the functions it ends in.
complete_zsh() {
	zsh -f -c '
		compadd() { if [[ $1 == -a ]]; then print -l -- ${(P)2}; else print -l -- $@; fi }
		_describe() { print -l -- ${(P)2} }
		_normal() { print -l -- normal $words }
		source_it() { source $IPC_SRCDIR/completions/_ipcutils }
		words=("$@") CURRENT=$# PREFIX=${@[-1]}
		source_it' zsh "$@"
}

@test "bash completes options and names" {
	ipc-send jobs x
	[ "$(complete_bash ipc-send --time)" = --timeout ]
	[ "$(complete_bash ipc-send --no-c)" = --no-create ]
	[ "$(complete_bash ipc-recv jo)" = jobs ]
	[ "$(complete_bash ipc-ls -k mem)" = memory ]
	complete_bash ipc-recv jobs -- ca | grep -qx cat
}

@test "fish completes options and names" {
	need fish
	ipc-send jobs x
	complete_fish "ipc-send --time" | grep -q '^--timeout'
	complete_fish "ipc-recv jo" | grep -q '^jobs'
	complete_fish "ipc-ls -k mem" | grep -qx memory
}

@test "zsh completes options and names" {
	need zsh
	ipc-send jobs x
	complete_zsh ipc-send --time | grep -q '^--timeout:'
	complete_zsh ipc-recv jo | grep -qx jobs
	complete_zsh ipc-ls -k mem | grep -qx memory
	complete_zsh ipc-recv jobs -- ca | grep -qx normal
}

@test "verbs come first, and each has options of its own" {
	ipc-send jobs x
	[ "$(complete_bash ipc-pipe "" | sort | tr '\n' ' ')" = "connect read write " ]
	[ "$(complete_bash ipc-pipe write --si)" = --size ]
	[ -z "$(complete_bash ipc-pipe write --par)" ]
	[ "$(complete_bash ipc-pipe write jo)" = jobs ]
	need zsh
	[ "$(complete_zsh ipc-pipe "" | sed -n 's/:.*//p' | sort | tr '\n' ' ')" = "connect read write " ]
	complete_zsh ipc-pipe write --si | grep -q '^--size:'
	complete_zsh ipc-pipe write jo | grep -qx jobs
	need fish
	[ "$(complete_fish "ipc-pipe " | cut -f 1 | sort | tr '\n' ' ')" = "connect read write " ]
	complete_fish "ipc-pipe write --si" | grep -q '^--size'
	complete_fish "ipc-pipe write jo" | grep -q '^jobs'
}

@test "the processes of --ipc-namespace are completed" {
	complete_bash ipc-ls --ipc-namespace "" | grep -qx $$
	[ "$(complete_bash ipc-ls --ipc-n)" = --ipc-namespace ]
}
