#!/bin/sh
# copy.sh BUILD DEST: a copy of the checkout in DEST, with BUILD as its build/.
set -eu
build=$(cd "$1" && pwd)
dest=$2
cd "$(dirname "$0")/../.."

mkdir -p "$dest/build"
tar --exclude=./.git --exclude=./build -cf - . | tar -C "$dest" -xf -
tar -C "$build" --exclude=./asan --exclude=./tidy --exclude=./fuzz --exclude=./vm -cf - . | tar -C "$dest/build" -xf -
chmod -R a+rX,go-w "$dest"
