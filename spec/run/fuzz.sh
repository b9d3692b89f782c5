#!/bin/sh
# fuzz.sh BUILD SECONDS TARGET...: runs each target of spec/fuzz for a while, as many at once as there are processors,
# beginning with the inputs that are kept in spec/fuzz/corpus. What it finds on its way goes to BUILD/fuzz/corpus; an input
# that breaks a rule is named at the end.
set -eu
if [ "$1" = one ]; then
    build=$2 seconds=$3 target=$4
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
        echo "  $target: $(sed -n 's/^stat::number_of_executed_units: //p; s/ inputs$//p' "$log") inputs"
        exit 0
    fi
    echo "FAILED $target: the end of $log:
$(tail -n 30 "$log")"
    exit 1
fi

build=$1
seconds=$2
shift 2
results=$build/fuzz/results
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 sh "$0" one "$build" "$seconds" 2>&1 | tee "$results"
failed=$(($# - $(grep -c '^  [a-z_]*: [0-9]* inputs$' "$results")))
echo "$(($# - failed)) passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
