# SPDX-License-Identifier: MIT
# header2man.awk - a section-3 page from the public header, which is the one home of the contract
#
#	awk -f header2man.awk -v name=ipcu_queue_send -v version=0.1.0 -v date=2026-11-21 ipcutils.h
#
# A call's page is the comment in front of its declaration, with the types that the declaration
# names. Without a name it is the overview: the header's opening comment and a line for each call.

function escape(text)
{
	gsub(/\\/, "\\e", text)
	gsub(/-/, "\\-", text)
	sub(/^\./, "\\\\\\&.", text)
	sub(/^'/, "\\\\\\&'", text)
	return text
}

# Paragraph breaks in a row, or right behind a heading, are one too many.
function new_paragraph()
{
	if (!broken)
		print ".PP"
	broken = 1
}

# A comment as paragraphs: blank lines part them, indented lines stay as they are.
function paragraphs(text,    lines, count, i, line, verbatim)
{
	count = split(text, lines, "\n")
	broken = 1
	for (i = 1; i <= count; i++) {
		line = lines[i]
		if (line ~ /^ +[^ ]/ && !verbatim) {
			new_paragraph()
			print ".nf"
			verbatim = 1
		} else if (line !~ /^ +[^ ]/ && verbatim) {
			print ".fi"
			verbatim = 0
		}
		if (line == "") {
			new_paragraph()
			continue
		}
		print escape(verbatim ? line : strip(line))
		broken = 0
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

# "ipcu_queue_send" of a declaration, or nothing.
function call_of(declaration,    text)
{
	text = declaration
	sub(/\(.*/, "", text)
	sub(/.*[ *]/, "", text)
	return text ~ /^ipcu_/ ? text : ""
}

function first_sentence(text)
{
	gsub(/\n/, " ", text)
	gsub(/ +/, " ", text)
	text = strip(text)
	if (match(text, /[.;:]( |$)/))
		text = substr(text, 1, RSTART - 1)
	return text
}

function code(text,    lines, count, i)
{
	print ".nf"
	count = split(text, lines, "\n")
	for (i = 1; i <= count; i++) {
		gsub(/\t/, "    ", lines[i])
		print escape(lines[i])
	}
	print ".fi"
}

# ---- reading -------------------------------------------------------------------

/^\/\*/ {
	in_comment = 1
	comment = ""
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
		else if (comment ~ /^-+$/)
			comment = ""
	}
	next
}
/^(struct|enum) [a-z_]+ \{/ {
	type = $1 " " $2
	type_text = ""
	in_type = 1
	types[++type_count] = type
	type_comment[type] = comment
}
in_type {
	type_text = type_text (type_text == "" ? "" : "\n") $0
	if ($0 ~ /^};/) {
		in_type = 0
		type_code[type] = type_text
		comment = ""
	}
	next
}
/^$/ { comment = ""; next }
/^#/ { next }
/^typedef/ {
	declaration = $0
	if (match($0, /\(\*[a-z_]+\)/)) {
		type = substr($0, RSTART + 2, RLENGTH - 3)
		types[++type_count] = type
		type_comment[type] = comment
		type_code[type] = $0
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

function see_also(others)
{
	print ".SH SEE ALSO"
	printf "%s.BR ipcutils (7)\n", others
}

function one_page(    i, type)
{
	if (!(name in declarations)) {
		print "header2man.awk: no such call: " name >"/dev/stderr"
		failed = 1
		exit
	}
	head(name, tolower(substr(first_sentence(comments[name]), 1, 1)) substr(first_sentence(comments[name]), 2))
	print ".PP"
	code(declarations[name])
	print ".SH DESCRIPTION"
	paragraphs(comments[name])
	for (i = 1; i <= type_count; i++) {
		type = types[i]
		if (type == "enum ipcu_result" || !match(declarations[name], type "[^a-z_]"))
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
	print ".SH ERRORS"
	print "Whatever is not"
	print ".B IPCU_OK"
	print "leaves its reason in the thread's last error:"
	print ".BR ipcu_last_error (3)."
	print "What the results mean is in"
	print ".BR ipcutils (3)."
	see_also(".BR ipcutils (3),\n")
}

function overview(    i, call, text)
{
	head("ipcutils", "System V IPC with names, timeouts and big messages")
	print ".SH DESCRIPTION"
	text = opening
	sub(/^[^\n]*\n[^\n]*\n\n?/, "", text)
	paragraphs(text)
	print ".SH RESULTS"
	code(type_code["enum ipcu_result"])
	print ".SH CALLS"
	for (i = 1; i <= call_count; i++) {
		call = calls[i]
		print ".TP"
		printf ".BR %s (3)\n", call
		print escape(first_sentence(comments[call]) ".")
	}
	see_also("")
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
