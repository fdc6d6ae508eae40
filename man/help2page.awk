# SPDX-License-Identifier: MIT
# help2page.awk - order in what help2man makes of a command's --help
#
#	awk -f help2page.awk -v date=2026-11-21 options page
#
# help2man puts all of it into DESCRIPTION: what the command is for, in one sentence, comes behind all that ipc-x.x says
# about it, and the options below the last heading there. Here the sentence comes first, the options get
# a section with a heading for each group, and what --help says of exit statuses and verbs is left to the page.
# A line of "options" is a verb, nothing for the command as such, and what --complete-options prints, or "usage" and
# how it is called: so the options of verbs are on the page too, with the verbs that have them, and SYNOPSIS has a line for each.

function escape(text)
{
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	return text
}

function lower(text)
{
	text = tolower(text)
	sub(/\.$/, "", text)
	return text
}

# "\fB-t\fR, \fB--timeout\fR=\fIDURATION\fR" of "-t" and "--timeout=DURATION".
function tag(letter, option,    at, argument, optional)
{
	at = match(option, /\[?=/)
	if (at) {
		optional = RLENGTH == 2
		argument = substr(option, at + RLENGTH)
		if (optional)
			sub(/\]$/, "", argument)
		argument = (optional ? "[" : "") "=\\fI" escape(argument) "\\fR" (optional ? "]" : "")
		option = substr(option, 1, at - 1)
	}
	return (letter == "" ? "" : "\\fB" escape(letter) "\\fR, ") "\\fB" escape(option) "\\fR" argument
}

# "ipc-sem run [OPTION...] NAME", with the words that are typed as they are in bold.
function write_synopsis(    i, words, count, j, line)
{
	print ".SH SYNOPSIS"
	for (i = 1; i <= usage_count; i++) {
		count = split(usages[i], words, " ")
		line = ""
		for (j = 1; j <= count; j++)
			line = line (j > 1 ? " " : "") (words[j] ~ /^([a-z-]+|\{.*)$/ ? "\\fB" : "\\fI") escape(words[j]) "\\fR"
		print (i > 1 ? ".br\n" : "") line
	}
}

# Every command that can wait reports long waits alike.
function write_waits()
{
	if (!waits)
		return
	print ".SS Long waits"
	print "If a wait lasts longer than one second, " name " reports once on standard error what it waits for and"
	print "which processes are in the way. It does so if standard error is a terminal, or with"
	print ".BR \\-v ,"
	print "and never with"
	print ".BR \\-q ."
	print "See WAITING in"
	print ".BR ipcutils (7)."
}

function verbs_options(    i, key, parts)
{
	if (!verb_count)
		return
	print "Options stand behind the verb; in brackets are the verbs that take one."
	for (i = 1; i <= option_count; i++) {
		key = keys[i]
		split(key, parts, "\t")
		if (parts[2] in common)
			continue
		print ".TP"
		print tag(parts[1], parts[2])
		print escape(parts[3])
		print "(" having[key] ")"
	}
}

# ---- the options of the verbs ----------------------------------------------------

FNR == 1 {
	file++
}
file == 1 {
	split($0, word, "\t")
	waits = waits || word[3] ~ /^--timeout=/
	if (word[3] == "usage") {
		if (word[1] != "")
			usages[++usage_count] = word[4]
	} else if (word[1] == "" && word[3] ~ /^--/)
		common[word[3]] = 1
	else if (word[1] == "")
		verb_count++
	else {
		key = word[2] "\t" word[3] "\t" word[4]
		if (!(key in having))
			keys[++option_count] = key
		having[key] = having[key] (key in having && having[key] != "" ? ", " : "") word[1]
	}
	next
}

# ---- the page ---------------------------------------------------------------------

/^\.TH / {
	sub(/"1" "[^"]*"/, "\"1\" \"" date "\"")
}
/^\.SH / {
	if (in_description)
		write_description()
	in_description = $0 == ".SH DESCRIPTION"
	in_name = $0 == ".SH NAME"
	in_synopsis = $0 == ".SH SYNOPSIS" && usage_count > 0
	if (in_synopsis)
		write_synopsis()
	if (in_description || in_synopsis)
		next
}
in_name && / \\- / {
	name = $1
	purpose = $0
	sub(/.* \\- /, "", purpose)
}
in_synopsis {
	next
}
in_description {
	lines[++count] = $0
	next
}
{
	print
}
END {
	if (in_description)
		write_description()
}

# A heading of a group of options: ".IP", "Waiting:", ".TP".
function is_heading(i)
{
	return lines[i] == ".IP" && lines[i + 1] ~ /:$/ && lines[i + 2] == ".TP"
}

function write_description(    options, summary, text, i, common_begins, left_out)
{
	for (options = 1; options <= count && !is_heading(options); options++)
		;
	# The command's sentence is the last paragraph in front of the options.
	for (summary = options - 1; summary > 1 && lines[summary] != ".PP"; summary--)
		;
	for (i = summary + 1; i < options; i++)
		text = text (text == "" ? "" : "\n") lines[i]
	print ".SH DESCRIPTION"
	if (lower(text) != lower(purpose))
		print text "\n.PP"
	for (i = 1; i < summary; i++)
		print lines[i]
	print ".SH OPTIONS"
	verbs_options()
	for (i = options; i <= count; i++) {
		if (is_heading(i)) {
			left_out = lines[i + 1] ~ /^Verbs/
			if (!left_out)
				print ".SS " substr(lines[i + 1], 1, length(lines[i + 1]) - 1)
			i++
			continue
		}
		if (lines[i] == ".TP" && lines[i + 1] ~ /ipc\\-namespace/) {
			left_out = 0
			write_waits()
			print ".SS Of all commands"
		}
		if (lines[i] == ".PP" && lines[i + 1] ~ /^(Exit status:|Mandatory or optional)/)
			left_out = 1
		else if (lines[i] ~ /^\.SS /)
			left_out = 0
		if (!left_out)
			print lines[i]
	}
}
