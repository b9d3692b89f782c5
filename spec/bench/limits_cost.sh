#!/bin/sh
# limits_cost.sh BUILD [COLD BARE FORK]: what limits by control groups add to a cold start, as root (when the caller is)
# and as an ordinary user. The numbers are another machine's, of which each part's last line is made.
set -eu
build=$1
shift
cd "$(dirname "$0")/../.."

paths='LUA_PATH=./lua/?.lua;./lua/?/init.lua;; LUA_CPATH=./build/lib/?.so;;'
if [ "$(id -u)" = 0 ]; then
    state=$(mktemp -d)
    trap 'rm -rf "$state"' EXIT
    echo "== as root"
    # shellcheck disable=SC2086 # two words
    env MOONBOX_STATE="$state" $paths luajit spec/bench/limits_cost.lua "$@"
    echo "== as an ordinary user"
    # shellcheck disable=SC2086 # two words
    sh spec/run/as-user.sh "$build" env $paths luajit spec/bench/limits_cost.lua "$@"
else
    # shellcheck disable=SC2086 # two words
    env $paths luajit spec/bench/limits_cost.lua "$@"
fi
