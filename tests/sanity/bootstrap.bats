# SPDX-License-Identifier: MIT
# bootstrap.bats - the first steps: what ./bootstrap says at its end, make in the source directory, what make deb needs

bats_require_minimum_version 1.5.0
load ../helper

# A source tree in which nothing is missing and every program that builds or tests does nothing.
sources() {
	mkdir -p "$TMP/tree/build" "$TMP/tree/tests/demo" "$TMP/bin"
	cp "$IPC_SRCDIR/bootstrap" "$IPC_SRCDIR/GNUmakefile" "$TMP/tree/"
	touch "$TMP/tree/configure.ac" "$TMP/tree/Makefile.am" "$TMP/tree/Makefile.in"
	printf '#!/bin/sh\n' | tee "$TMP/tree/configure" >"$TMP/tree/build/run"
	chmod +x "$TMP/tree/configure" "$TMP/tree/build/run"
	printf 'all check deb:\ninstall: ; @echo installed $(DESTDIR)\n' >"$TMP/tree/build/Makefile"
	local tool
	for tool in cc autoconf automake libtoolize pkg-config help2man sudo apt-get; do
		printf '#!/bin/sh\necho "%s $*" >>"%s"\n' $tool "$TMP/ran" >"$TMP/bin/$tool"
		chmod +x "$TMP/bin/$tool"
	done
}

@test "the last line of demo and check says how to install" {
	sources
	local job
	for job in demo check; do
		run env PATH="$TMP/bin:$PATH" "$TMP/tree/bootstrap" $job </dev/null
		[ "$status" -eq 0 ]
		[[ ${lines[-1]} == "To install it: make install"* ]]
	done
}

@test "make install works in the source directory, or says what to do" {
	sources
	[ "$(make -s --no-print-directory -C "$TMP/tree" install DESTDIR=/there)" = "installed /there" ]
	make -s -C "$TMP/tree"
	rm "$TMP/tree/build/Makefile"
	run make -s -C "$TMP/tree" install
	[ "$status" -ne 0 ]
	[[ $output == *"nothing is built yet: ./bootstrap demo"* ]]
	printf 'install: ; @echo here\n' >"$TMP/tree/Makefile"
	[ "$(make -s -C "$TMP/tree" --no-print-directory install)" = here ]
}

@test "the packages for make deb have a list of their own, with build-essential" {
	sources
	local needs
	needs=$(sed -n "/^deb_needs='/,/^'/p" "$IPC_SRCDIR/bootstrap" | awk -F '|' 'NF == 3 { print $2 }')
	[[ $needs == *build-essential* && $needs == *debhelper* && $needs != *gnulib* && $needs != *multilib* ]]
	# Each program that build-deb asks for is in the list.
	local tool
	for tool in $(sed -n 's/^for tool in \(.*\); do/\1/p' "$IPC_SRCDIR/packaging/build-deb"); do
		grep -q "^$tool|" <(sed -n "/^deb_needs='/,/^'/p" "$IPC_SRCDIR/bootstrap")
	done
	run env PATH="$TMP/bin:$PATH" "$TMP/tree/bootstrap" deb </dev/null
	[ "$status" -eq 0 ]
	[[ $output != *gnulib* && $output != *musl* && $output != *clang* ]]
	[[ ${lines[-1]} == "To install them: apt-get install ./build/deb/ipcutils_"* ]]
}
