#!/bin/sh
# as-user.sh BUILD COMMAND...: as root, runs a command as the ordinary user moonbox-test (made when absent), at the top
# of the checkout or, where he can't read that, of a copy. In it, MOONBOX_RESULTS is his to write. Only the variables
# below are handed on. With MOONBOX_DELEGATE=1, as in spec/vm, it has a delegated control group.
set -eu
user=moonbox-test
build=$1
shift
cd "$(dirname "$0")/../.."

id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$user"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work"
mkdir "$work/home"

as_user() {
    ${MOONBOX_DELEGATE:+sh spec/vm/delegate.sh "$user"} setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all "$@"
}
if [ "$build" = build ] && as_user test -r "$PWD/spec/run/suite.sh" -a -x "$PWD/build/moonbox" 2>/dev/null; then
    top=$PWD
else
    spec/run/copy.sh "$build" "$work/tree"
    chown -R "$user:" "$work/tree"
    top=$work/tree
fi
chown "$user:" "$work/home"
[ -z "${MOONBOX_RESULTS:-}" ] || chown "$user:" "$MOONBOX_RESULTS"

cd "$top"
as_user env -i HOME="$work/home" USER="$user" LOGNAME="$user" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    TERM="${TERM:-dumb}" TMPDIR="$work/home" \
    MOONBOX_RESULTS="${MOONBOX_RESULTS:-}" MOONBOX_MUST_RUN="${MOONBOX_MUST_RUN:-}" \
    MOONBOX_SANITIZER="${MOONBOX_SANITIZER:-}" MOONBOX_LONG="${MOONBOX_LONG:-}" MOONBOX_SOAK="${MOONBOX_SOAK:-}" "$@"
