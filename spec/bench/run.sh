#!/bin/sh
# run.sh BUILD: ratios of moonbox against other tools, as the caller and, when that is root, as an ordinary user too.
# Nothing here passes or fails: a machine's times are its own, and only ratios of one run mean anything.
set -eu
build=$1
cd "$(dirname "$0")/../.."

LUA_PATH="./lua/?.lua;./lua/?/init.lua;;" LUA_CPATH="./build/lib/?.so;;"
network() {
    echo "== network, as $1"
    shift
    "$@" sh spec/bench/network.sh
}
if [ "$(id -u)" = 0 ]; then
    echo "== as root"
    MOONBOX_STATE=$(mktemp -d)
    trap 'rm -rf "$MOONBOX_STATE"' EXIT
    export MOONBOX_STATE LUA_PATH LUA_CPATH
    luajit spec/bench/bench.lua
    echo "== as an ordinary user"
    sh spec/run/as-user.sh "$build" env LUA_PATH="$LUA_PATH" LUA_CPATH="$LUA_CPATH" luajit spec/bench/bench.lua
    network root
    network "an ordinary user" sh spec/run/as-user.sh "$build"
else
    export LUA_PATH LUA_CPATH
    luajit spec/bench/bench.lua
    network "an ordinary user"
fi
