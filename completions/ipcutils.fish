# SPDX-License-Identifier: MIT
# fish completion for ipcutils: options come from the programs, with the word for their argument, names from ipc-ls.

function __ipcutils_verbs
    set -l command (commandline -opc)[1]
    $command --complete-options 2>/dev/null | string replace -f -r '^\t([a-z]+)\t' '$1\t'
end

# Names of a kind, or all; with OWNER/ in front those of another user. The caller's own come without an owner.
function __ipcutils_names --argument-names kind current
    set -l ask ipc-ls --noheadings -o NAME,KIND
    set -l owner (string match -r '^[^/]*/' -- $current)
    test -n "$kind"; and set -a ask -k $kind
    test -n "$owner"; and set -a ask --user (string trim -r -c / -- $owner)
    $ask 2>/dev/null | string replace -r '^(\S+)\s+(\S+)$' '$1\t$2' |
        string replace -r '^([^/\t]*)(\t|$)' (string escape --style=regex -- "$owner" | string replace -a '$' '$$')'$1$2'
end

# What an option takes, by the word that --help has for it.
function __ipcutils_values --argument-names command argument current
    switch $argument
        case KIND
            printf '%s\n' queue semaphore barrier event memory pipe
        case USER
            __fish_complete_users
        case PID
            __fish_complete_pids
        case DIR
            __fish_complete_directories $current
        case WHEN
            printf '%s\n' auto always never
        case TYPE
            printf '%s\n' i8 u8 i16 u16 i32 u32 i64 u64 f32 f64
        case COLS
            set -l before (string match -r '^(?:\+|.*,)' -- $current)
            $command --help | awk -v before="$before" '/^$/ { on = 0 } on { print before $1 } /^Columns:/ { on = 1 }'
    end
end

function __ipcutils_in_command
    contains -- -- (commandline -opc)
end

# What stands behind -- is a command line of its own.
function __ipcutils_command
    set -l words (commandline -opc)
    set -e words[1..(contains -i -- -- $words)]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

function __ipcutils_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l command (string replace -r '.*/' '' -- $words[1])
    set -l asked $words[1]
    set -l verb
    set -l verbs (__ipcutils_verbs)
    set -l first 2
    set -l kind
    switch $command
        case ipc-send ipc-recv
            set kind queue
        case ipc-sem
            set kind semaphore
        case ipc-barrier ipc-event ipc-pipe
            set kind (string replace ipc- '' -- $command)
        case ipc-shm
            set kind memory
    end
    # Verbs come first, and each has options of its own.
    if test (count $verbs) -gt 0
        if test (count $words) -eq 1; and not string match -q -- '-*' $current
            printf '%s\n' $verbs
            return
        end
        set verb $words[2]
        set -a asked $verb
        set first 3
    end
    # LETTER, --option, and the word for its argument, which stands behind = if it is optional.
    set -l options ($asked --complete-options 2>/dev/null | string match -r '^(?:-.)?\t--.*')
    set -l wanted
    set -l position 0
    for word in $words[$first..-1]
        if test -n "$wanted"
            test $wanted = KIND; and set kind $word
            set wanted
        else if string match -q -- '--kind=*' $word
            set kind (string replace -- --kind= '' $word)
        else if string match -q -- '-?*' $word
            set -l pattern (string escape --style=regex -- $word)
            set wanted (printf '%s\n' $options | string match -r '^(?:'$pattern'\t--[a-z-]+|(?:-.)?\t'$pattern')=([A-Z]+)')[2]
        else
            set position (math $position + 1)
        end
    end
    if test -n "$wanted"
        __ipcutils_values $words[1] $wanted $current
    else if string match -q -- '--*=*' $current
        set -l option (string replace -r '=.*' '' -- $current)
        set -l pattern (string escape --style=regex -- $option)
        set wanted (printf '%s\n' $options | string match -r '\t'$pattern'\[?=([A-Z]+)')[2]
        test -n "$wanted"; and printf "$option=%s\n" (__ipcutils_values $words[1] $wanted (string replace -r '^[^=]*=' '' -- $current))
    else if string match -q -- '-*' $current
        printf '%s\n' $options | string replace -r '^[^\t]*\t(--[a-z-]+)[^\t]*\t' '$1\t'
    else
        switch "$command:$verb:$position"
            case ipc-shm:wait:1
                printf '%s\n' eq ne lt le gt ge
            case 'ipc-doctor:*'
            case 'ipc-recv:*' 'ipc-ls:*' 'ipc-rm:*' '*:0'
                __ipcutils_names "$kind" $current
        end
    end
end

for command in ipc-barrier ipc-doctor ipc-event ipc-ls ipc-pipe ipc-recv ipc-rm ipc-sem ipc-send ipc-shm
    complete -c $command -f -n 'not __ipcutils_in_command' -a '(__ipcutils_complete)'
    complete -c $command -n __ipcutils_in_command -a '(__ipcutils_command)'
end
