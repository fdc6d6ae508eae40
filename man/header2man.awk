# SPDX-License-Identifier: MIT
# header2man.awk - a section-3 page from the public header, which is the one home of the contract
#
#	awk -f header2man.awk -v name=ipcu_queue_send -v version=0.1.0 -v date=2026-11-21 ipcutils.h
#
# A call's page is the comment in front of its declaration, with the types and constants that it needs, and
# with what the header says once for all calls that take a name, or a deadline. A comment that stands alone at the
# beginning of a section of the header is on the page of the section's first call. Without a name it
# is the overview: the opening comment, and each section with a line for each call; with -v example=README.md
# the C program from there, too. What is laid out by hand is folded to fit into 80 columns.

BEGIN {
	WIDTH = 70
}

function escape(text)
{
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	sub(/^\./, "\\\\\\&.", text)
	sub(/^'/, "\\\\\\&'", text)
	return text
}

# A comment as paragraphs: blank lines part them, indented lines stay as they are, but for the items
# of lists, which are folded: "- an item" and "IPCU_RESULT  what it means". Paragraph breaks in a row, or right
# in front of an item or at the end, are one too many.
function paragraphs(text,    lines, count, i, line, verbatim, list, item, blank)
{
	count = split(text, lines, "\n")
	for (i = 1; i <= count; i++) {
		line = lines[i]
		if (line == "") {
			if (verbatim)
				print ".fi"
			verbatim = 0
			blank = i > 1
			continue
		}
		item = ""
		if (!verbatim && line ~ /^ +- /)
			item = ".IP \\(bu 2"
		else if (!verbatim && line ~ /^ +IPCU_[A-Z_]+  /)
			item = ".TP\n.B " first_word(line)
		if (item != "" || (list && line ~ /^ /)) {
			if (item != "") {
				print item
				sub(/^ +[^ ]+/, "", line)
				list = 1
			}
			print escape(strip(line))
			blank = 0
			continue
		}
		list = 0
		if (blank)
			print ".PP"
		blank = 0
		if (line ~ /^ / && !verbatim)
			print ".nf"
		else if (line !~ /^ / && verbatim)
			print ".fi"
		verbatim = line ~ /^ /
		print escape(verbatim ? line : strip(line))
	}
	if (verbatim)
		print ".fi"
}

function strip(text)
{
	sub(/^ +/, "", text)
	sub(/ +$/, "", text)
	return text
}

function first_word(text)
{
	text = strip(text)
	sub(/ .*/, "", text)
	return text
}

# "ipcu_queue_send" of a declaration, or nothing.
function call_of(declaration,    text)
{
	text = declaration
	sub(/\(.*/, "", text)
	sub(/.*[ *]/, "", text)
	return text ~ /^ipcu_/ ? text : ""
}

# All before the first ". ", "; " or ": " that is not in brackets.
function first_sentence(text,    i, c, depth)
{
	gsub(/\n/, " ", text)
	gsub(/ +/, " ", text)
	text = strip(text)
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c == "(")
			depth++
		else if (c == ")")
			depth--
		else if (!depth && c ~ /[.;:]/ && substr(text, i + 1, 1) ~ /^ ?$/)
			break
	}
	return substr(text, 1, i - 1)
}

# Whether WORD is in TEXT, and not as a part of a longer one.
function names(text, word)
{
	return match(" " text " ", "[^A-Za-z_0-9]" word "[^A-Za-z_0-9]")
}

# The parts of TEXT between separators, as many on a line as fit; in front of the first line INDENT, of others MORE too.
function fold(text, separator, indent, more,    parts, count, i, line, end)
{
	count = split(text, parts, separator)
	end = strip(separator)
	line = indent parts[1]
	for (i = 2; i <= count; i++) {
		if (length(line separator parts[i] end) > WIDTH) {
			print escape(line end)
			line = indent more parts[i]
		} else {
			line = line separator parts[i]
		}
	}
	print escape(line)
}

# A type, or a program. A comment that does not fit beside its line goes in front of it.
function code(text,    lines, count, i, line, indent, note, at)
{
	print ".nf"
	count = split(text, lines, "\n")
	for (i = 1; i <= count; i++) {
		line = lines[i]
		match(line, /^\t*/)
		indent = sprintf("%" RLENGTH * 4 "s", "")
		line = substr(line, RLENGTH + 1)
		if (line == "/*") { # of several lines
			note = line
			do {
				line = lines[++i]
				sub(/^[\t ]*\*( |$)/, "", line)
				sub(/^[\t ]*/, "", line)
				note = note " " line
			} while (line !~ /\*\/$/)
			fold(note, " ", indent, " * ")
			continue
		}
		if (line ~ /=$/) { # clang-format makes two lines of a constant with a long comment
			note = lines[++i]
			sub(/^\t+/, "", note)
			line = line " " note
		}
		gsub(/[\t ]+\/\* /, " /* ", line)
		at = index(line, " /* ")
		if (at && length(indent line) > WIDTH) {
			fold(substr(line, at + 1), " ", indent, " * ")
			line = substr(line, 1, at - 1)
		}
		if (length(indent line) > WIDTH)
			fold(line, ", ", indent, "        ")
		else
			print escape(indent line)
	}
	print ".fi"
}

# ---- reading -------------------------------------------------------------------

/^\/\*/ {
	in_comment = 1
	comment = ""
	owned = 0
}
in_comment {
	text = $0
	sub(/^\/\* ?/, "", text)
	ends = sub(/ ?\*\/.*$/, "", text)
	sub(/^ \* ?/, "", text)
	sub(/^ \*$/, "", text)
	if (!(text == "" && comment == ""))
		comment = comment (comment == "" ? "" : "\n") text
	if (ends) {
		in_comment = 0
		sub(/\n+$/, "", comment)
		if (opening == "")
			opening = comment
		else if (comment ~ /^-+$/) {
			# A heading has such a line above and one below.
			if (rules++ % 2) {
				section = first_sentence(title)
				sections[++section_count] = section
			}
			comment = ""
		} else if (rules % 2)
			title = comment
	}
	next
}
/^(struct|enum|union) [a-z_]+ \{/ {
	type = $1 " " $2
	type_text = ""
	in_type = 1
	types[++type_count] = type
	type_comment[type] = comment
}
in_type {
	type_text = type_text (type_text == "" ? "" : "\n") $0
	if ($0 ~ /};$/) {
		in_type = 0
		type_code[type] = type_text
		comment = ""
	}
	next
}
/^#define IPCU_/ {
	types[++type_count] = $2
	type_comment[$2] = comment
	type_code[$2] = $0
	comment = ""
	next
}
/^$/ {
	if (comment != "" && !owned && !(section in introduction) && !(section in first_of))
		introduction[section] = comment
	comment = ""
	next
}
/^#/ { next }
/^typedef/ {
	if (match($0, /\(\*[a-z_]+\)/)) {
		type = substr($0, RSTART + 2, RLENGTH - 3)
		types[++type_count] = type
		type_comment[type] = comment
		type_code[type] = $0
		owned = 1
	}
	next
}
/^[a-z]/ || declaring != "" {
	declaring = declaring (declaring == "" ? "" : "\n") $0
	if ($0 !~ /;$/)
		next
	call = call_of(declaring)
	if (call != "") {
		calls[++call_count] = call
		declarations[call] = declaring
		comments[call] = comment
		section_of[call] = section
		if (!(section in first_of))
			first_of[section] = call
	}
	declaring = ""
}

# ---- writing -------------------------------------------------------------------

function head(page, what)
{
	print ".\\\" made from ipcutils.h by header2man.awk"
	printf ".TH %s 3 \"%s\" \"ipcutils %s\" \"Library Functions Manual\"\n", toupper(page), date, version
	print ".SH NAME"
	printf "%s \\- %s\n", page, escape(what)
	print ".SH LIBRARY"
	print "System V IPC for programs and the shell"
	print ".RI ( libipcutils ,\\~ \\-lipcutils )"
	print ".SH SYNOPSIS"
	print ".nf"
	print ".B #include <ipcutils.h>"
	print ".fi"
}

# The types that TEXT names, those that they name, and constants.
function used_types(text,    i, type, used, more, any)
{
	do {
		more = 0
		for (i = 1; i <= type_count; i++) {
			type = types[i]
			if (type == "enum ipcu_result" || (type in used) || !names(text, type))
				continue
			used[type] = more = 1
			text = text "\n" type_comment[type] "\n" type_code[type]
		}
	} while (more)
	for (i = 1; i <= type_count; i++) {
		type = types[i]
		if (!(type in used))
			continue
		if (!any++)
			print ".SH TYPES"
		else
			print ".PP"
		if (type_comment[type] != "") {
			paragraphs(type_comment[type])
			print ".PP"
		}
		code(type_code[type])
	}
}

function see_also(    i)
{
	print ".SH SEE ALSO"
	if (name != "") {
		for (i = 1; i <= call_count; i++)
			if (calls[i] != name && section_of[calls[i]] == section_of[name])
				printf ".BR %s (3),\n", calls[i]
		print ".BR ipcutils (3),"
	}
	print ".BR ipcutils (7)"
}

function one_page(    what, declaration, section)
{
	if (!(name in declarations)) {
		print "header2man.awk: no such call: " name >"/dev/stderr"
		failed = 1
		exit
	}
	section = section_of[name]
	what = first_sentence(comments[name])
	head(name, tolower(substr(what, 1, 1)) substr(what, 2))
	print ".PP"
	print ".nf"
	declaration = declarations[name]
	gsub(/[\n\t ]+/, " ", declaration)
	fold(declaration, ", ", "", "        ")
	print ".fi"
	print ".SH DESCRIPTION"
	paragraphs(comments[name])
	if (first_of[section] == name && introduction[section] != "") {
		print ".SS " escape(section)
		paragraphs(introduction[section])
	}
	used_types(declarations[name] "\n" comments[name])
	print ".SH ERRORS"
	print "Whatever is not"
	print ".B IPCU_OK"
	print "leaves its reason in the thread's last error:"
	print ".BR ipcu_last_error (3)."
	print "What the results mean is in"
	print ".BR ipcutils (3)."
	if (comments[name] ~ /(of|for) names/) {
		print ".SS Names"
		paragraphs(introduction["Names"])
	}
	if (declarations[name] ~ /struct timespec \*deadline/) {
		print ".SS Deadlines"
		paragraphs(introduction["Waiting"])
	}
	see_also()
}

# The C program in a Markdown file.
function program(file,    line, text, on)
{
	while ((getline line <file) > 0) {
		if (line == "```")
			on = 0
		if (on)
			text = text (text == "" ? "" : "\n") line
		if (line == "```c")
			on = 1
	}
	close(file)
	return text
}

function overview(    i, j, call, text)
{
	head("ipcutils", "System V IPC with names, timeouts and big messages")
	print ".SH DESCRIPTION"
	text = opening
	sub(/^[^\n]*\n[^\n]*\n\n?/, "", text)
	paragraphs(text)
	print ".SH RESULTS"
	code(type_code["enum ipcu_result"])
	print ".SH CALLS"
	for (i = 1; i <= section_count; i++) {
		print ".SS " escape(sections[i])
		if (introduction[sections[i]] != "")
			paragraphs(introduction[sections[i]])
		for (j = 1; j <= call_count; j++) {
			call = calls[j]
			if (section_of[call] != sections[i])
				continue
			print ".TP"
			printf ".BR %s (3)\n", call
			print escape(first_sentence(comments[call]) ".")
		}
	}
	if (example != "") {
		print ".SH EXAMPLES"
		code(program(example))
		print ".PP"
		print "Compile it with"
		print ".IP"
		print "cc example.c $(pkg\\-config \\-\\-cflags \\-\\-libs ipcutils)"
	}
	see_also()
}

END {
	if (!failed) {
		if (name == "")
			overview()
		else
			one_page()
	}
	exit failed
}
