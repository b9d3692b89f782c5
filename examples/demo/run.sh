#!/bin/sh
# run.sh [ADDRESS]: the demo, called by `make demo`: the agent's task on a repository that is cloned over the network, and the
# proof that the patch it brings back is right. Everything it makes is in one temporary directory, which goes at the end.
#
# Without an address it needs no internet: it runs in the lab of the specs (spec/lab/lab.py), an internet made of network
# namespaces, in which github.com is a server of our own with the repository made of project/. The pipeline, the policy and
# the gateway are the same as out there. An address is that of a copy of project/ on a server that the policy allows.
set -eu
# What it writes for the lab's servers, another user may have to read.
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
moonbox=${MOONBOX:-$top/build/moonbox}
address=${1:-}
keys=

if [ -z "$address" ] && [ -z "${MOONBOX_LAB:-}" ]; then
    exec /usr/bin/python3 -B "$top/spec/lab/lab.py" sh "$here/run.sh"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# The invoker's own git settings have no part in this.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

say() { printf '\n== %s\n' "$*"; }

# Runs the task on a repository and keeps its record in the folder that is named first; with `keys`, over ssh.
task() {
    MOONBOX_STATE="$work/$1" "$moonbox" run "$top/examples/codex-task.lua" --repo="$2" --tools="$here/agent" \
        ${keys:+"--keys=$keys"} --agent=stand-in-agent --prompt="Make the failing tests pass"
    patch=$(find "$work/$1/tasks" -name workspace.patch)
}

if [ -z "$address" ]; then
    echo '{ "github.com": { "A": ["203.0.113.10"] } }' > "$MOONBOX_LAB/dns.json"
    address=https://github.com/git/month-days.git
fi

say "the task: clone $address, install, agent, verify"
task first "$address"
first=$patch
say "what it reached"
MOONBOX_STATE="$work/first" "$moonbox" flows last

say "the patch it brought back"
cat "$first"

say "applied to a fresh clone with: git apply workspace.patch"
git clone --quiet "$address" "$work/fresh"
git -C "$work/fresh" apply "$first"
git -C "$work/fresh" diff --stat

say "the clone's tests, in a sandbox of their own"
tar -C "$work/fresh" --exclude=.git -cf - . | MOONBOX_STATE="$work/tests" "$moonbox" exec --policy offline -- sh -c \
    'cd /workspace && tar -xf - && npm ci --offline --no-audit --no-fund --loglevel=error && npm test'

if [ -f "${MOONBOX_LAB:-}/ssh/id" ]; then
    keys=$work/keys
    mkdir "$keys"
    (umask 077 && cp "$MOONBOX_LAB/ssh/id" "$keys/id")
    dropbearkey -y -f "$MOONBOX_LAB/ssh/host" | sed -n 's/^ecdsa/github.com ecdsa/p' > "$keys/known_hosts"
    say "the same over ssh: git@github.com:month-days.git, with a key that only the clone sees"
    task second git@github.com:month-days.git
    cmp "$first" "$patch"
fi

say "done: the agent's work came back as a patch; nothing else of it is left on this machine"
