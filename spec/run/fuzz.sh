#!/bin/sh
# fuzz.sh BUILD SECONDS TARGET...: runs each target of spec/fuzz for a while, beginning with the inputs that are kept in
# spec/fuzz/corpus. What it finds on its way goes to BUILD/fuzz/corpus; an input that breaks a rule is named at the end.
set -eu
build=$1
seconds=$2
shift 2
passed=0
failed=0

for target in "$@"; do
    kept=spec/fuzz/corpus/$target
    found=$build/fuzz/corpus/$target
    log=$build/fuzz/$target.log
    mkdir -p "$found"
    case $(cat "$build/fuzz/kind") in
    libfuzzer) set -- -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=20000 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$build/fuzz/$target." "$found" "$kept" ;;
    *) set -- "$seconds" "$kept" "$found" ;;
    esac
    if "$build/fuzz/$target" "$@" >"$log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        echo "  $target: $(sed -n 's/^stat::number_of_executed_units: //p; s/ inputs$//p' "$log") inputs"
    else
        failed=$((failed + 1))
        echo "FAILED $target: the end of $log:"
        tail -n 30 "$log"
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
