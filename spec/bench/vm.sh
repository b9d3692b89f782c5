#!/bin/sh
# vm.sh BUILD: what limits by control groups add to a cold start on this machine, and under a stock kernel with version 2
# only. That one is emulated (spec/vm), so its times are no real machine's; beside each ratio to what is measured there too
# stands what it would come to here. A wait for the kernel's own clock, such as an RCU grace period, lasts as long anywhere.
set -eu
build=$1
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "=== here"
sh spec/bench/limits_cost.sh "$build" >"$work/here"
cat "$work/here"
numbers=$(sed -n 's/^ *cold, bare, fork: //p' "$work/here" | head -n 1)
echo "=== in the virtual machine"
sh spec/vm/run.sh "$build" -- MOONBOX_DELEGATE=1 sh spec/bench/limits_cost.sh build "$numbers"
