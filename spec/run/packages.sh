#!/bin/sh
# packages.sh PACKAGE...: installs Debian packages; nothing to do without arguments. An ordinary user who can't is told
# what to install.
set -eu
[ $# -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    become=
elif sudo -n true 2>/dev/null; then
    become=sudo
else
    echo "moonbox: missing here: $*; install them as root: apt-get install $*" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "moonbox: missing here, by their Debian names: $*; install them and try again" >&2
    exit 1
fi

echo "  apt   $*"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    # shellcheck disable=SC2086 # no word at all, or one
    $become env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends "$@" >>"$log" 2>&1
}
# A machine that was never updated knows no packages.
if ! apt install "$@" && ! { apt update && apt install "$@"; }; then
    cat "$log" >&2
    echo "moonbox: these packages could not be installed: $*" >&2
    exit 1
fi
