# SPDX-License-Identifier: MIT
# fish completion for ipcutils: options come from the programs, names from ipc-ls.

# The command, and its verb if it has one: who is asked for options.
function __ipcutils_options
    set -l asked (commandline -opc)[1]
    set -l verb (commandline -opc)[2]
    if test -n "$verb"; and __ipcutils_verbs | string match -q -- "$verb"\t'*'
        set asked $asked $verb
    end
    $asked --complete-options 2>/dev/null | string replace -f -r '^[^\t]*\t(--[a-z-]+)[^\t]*\t' '$1\t'
end

function __ipcutils_verbs
    set -l command (commandline -opc)[1]
    $command --complete-options 2>/dev/null | string replace -f -r '^\t([a-z]+)\t' '$1\t'
end

function __ipcutils_wants_verb
    test (count (commandline -opc)) -eq 1; and __ipcutils_verbs | string length -q
end

function __ipcutils_names
    ipc-ls --noheadings -o NAME,KIND 2>/dev/null | string replace -r '^(\S+)\s+(\S+)$' '$1\t$2'
end

function __ipcutils_wants_option
    string match -q -- '-*' (commandline -ct)
end

function __ipcutils_in_command
    contains -- -- (commandline -opc)
end

for command in ipc-barrier ipc-doctor ipc-event ipc-ls ipc-pipe ipc-recv ipc-rm ipc-sem ipc-send ipc-shm
    complete -c $command -f
    complete -c $command -n 'not __ipcutils_in_command; and __ipcutils_wants_option' -a '(__ipcutils_options)'
    complete -c $command -n 'not __ipcutils_wants_option; and __ipcutils_wants_verb' -a '(__ipcutils_verbs)'
    complete -c $command -n 'not __ipcutils_in_command; and not __ipcutils_wants_option; and not __ipcutils_wants_verb' -a '(__ipcutils_names)'
    complete -c $command -l ipc-namespace -x -a '(__fish_complete_pids)'
    complete -c $command -n __ipcutils_in_command -a '(__fish_complete_subcommand --commandline)'
end
complete -c ipc-ls -c ipc-rm -s k -l kind -x -a 'queue semaphore barrier event memory pipe'
complete -c ipc-ls -l user -x -a '(__fish_complete_users)'
complete -c ipc-doctor -l peer -x -a '(__fish_complete_pids)'
complete -c ipc-doctor -l root -x -a '(__fish_complete_directories)'
