#!/bin/sh
# suite.sh [FILE...]: runs spec files (all of them without arguments) as the caller, at the top of a checkout with its
# build in build/. Each file has a process of its own, so that a crash costs one file. Adds one line
# "FILE PASSED FAILED SKIPPED SECONDS" a file to $MOONBOX_RESULTS.
set -eu
# The caller's own would be that of every file that a spec makes for somebody else.
umask 022
[ $# -gt 0 ] || set -- spec/unit/*_spec.lua spec/system/*_spec.lua

TMPDIR=$(mktemp -d)
trap 'chmod -R u+rwX "$TMPDIR" 2>/dev/null || true; rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# Others may pass through, so that what a box can't reach is held by the box and not by this folder's mode.
chmod 755 "$TMPDIR"
export TMPDIR MOONBOX_STATE="$TMPDIR/state" MOONBOX_RESULTS
# LuaJIT runs busted itself: its --lua option would start a shell, which takes the ';' of a path for its own.
export LUA_PATH="./?.lua;./spec/?.lua;./lua/?.lua;./lua/?/init.lua;;" LUA_CPATH="./build/lib/?.so;;"
unset MOONBOX_POLICIES LUA_INIT

# Leaks: what LuaJIT's memory points to looks lost to LeakSanitizer, which can't look into it; and a sandbox's processes
# can't be traced.
if [ -n "${MOONBOX_SANITIZER:-}" ]; then
    export UBSAN_OPTIONS="print_stacktrace=1:log_path=$TMPDIR/report"
    ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=4:allocator_may_return_null=1:abort_on_error=1:handle_abort=0
    export ASAN_OPTIONS="$ASAN_OPTIONS:log_path=$TMPDIR/report"
fi

# Adds a failure to the results: FILE SENTENCE
failure() {
    echo "FAILED $1: $2"
    echo "$1 0 1 0 0" >>"$MOONBOX_RESULTS"
}

# Whether a report is of LuaJIT's own stack at its end, none of our functions on it: policies that exhaust it are meant to
# cost their process (spec/unit/loader_spec.lua). The innermost frame may be any function that LuaJIT calls.
meant() {
    grep -q "^==.*ERROR: AddressSanitizer: stack-overflow " "$1" && grep -q "^ *#[0-9].*luajit" "$1" &&
        ! grep -q "^ *#[0-9].*[ /]core[./]" "$1"
}

# What a sanitizer reported of any process that FILE started, whether or not the spec noticed.
reports() {
    for report in "$TMPDIR"/report.*; do
        [ -e "$report" ] || continue
        if ! meant "$report"; then
            failure "$1" "a sanitizer's report"
            cat "$report"
        fi
        rm -f "$report"
    done
}

# Specs that use a network run in the lab: nothing that they or a box does wrong leaves it.
place() {
    if grep -q 'require "support.lab"' "$1"; then
        echo "/usr/bin/python3 -B spec/lab/lab.py"
    fi
}

for file in "$@"; do
    before=$(wc -l <"$MOONBOX_RESULTS")
    code=0
    # shellcheck disable=SC2046 # no word at all, or several
    $(place "$file") env LD_PRELOAD="${MOONBOX_SANITIZER:-}" luajit /usr/bin/busted --helper=spec/run/helper.lua \
        -o spec/run/output.lua -Xoutput "$file" "$file" </dev/null || code=$?
    [ "$(wc -l <"$MOONBOX_RESULTS")" != "$before" ] || failure "$file" "it ended with code $code and no result"
    reports "$file"
done
