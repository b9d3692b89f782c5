#!/bin/sh
# all.sh BUILD [FILE...]: the suite as the caller and, when that is root, again as an ordinary user. The last line is the
# sum. A BUILD with sanitizers is recognised by its name.
set -eu
build=$1
shift
cd "$(dirname "$0")/../.."

# A TMPDIR of root's own, as libpam-tmpdir makes them, is closed to the ordinary user.
[ "$(id -u)" != 0 ] || setpriv --reuid 65534 --clear-groups test -x "${TMPDIR:-/tmp}/." || unset TMPDIR
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work"

case $build in
*asan) MOONBOX_SANITIZER=$(${CC:-cc} -print-file-name=libasan.so) ;;
*) MOONBOX_SANITIZER= ;;
esac
export MOONBOX_SANITIZER

# Runs the suite in one mode: NAME COMMAND...
mode() {
    echo "== $1"
    MOONBOX_RESULTS=$work/$1
    export MOONBOX_RESULTS
    : >"$MOONBOX_RESULTS"
    shift
    # A suite that dies is a failure like any other.
    "$@" || echo "(suite) 0 1 0 0" >>"$MOONBOX_RESULTS"
}

# Prints "N passed, N failed, N skipped" of result files.
total() {
    cat "$@" | awk '{ p += $2; f += $3; s += $4 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }'
}

if [ "$build" != build ]; then
    spec/run/copy.sh "$build" "$work/tree"
    top=$work/tree
else
    top=$PWD
fi
here() {
    (cd "$top" && sh spec/run/suite.sh "$@")
}
if [ "$(id -u)" = 0 ]; then
    mode root here "$@"
    mode user sh spec/run/as-user.sh "$build" sh spec/run/suite.sh "$@"
    echo "root: $(total "$work/root")"
    echo "user: $(total "$work/user")"
    set -- "$work/root" "$work/user"
else
    mode user here "$@"
    set -- "$work/user"
fi
sum=$(total "$@")
echo "$sum"
case $sum in
*", 0 failed, "*) [ "${sum%% *}" -gt 0 ] ;;
*) exit 1 ;;
esac
