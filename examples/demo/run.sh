#!/bin/sh
# The demo, called by `make demo`: a real git repository made from project/, a task on it, and the proof that the
# patch it brings back is right. Everything it makes is in one temporary directory, which goes at the end.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
moonbox=${MOONBOX:-$top/build/moonbox}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export MOONBOX_STATE="$work/state"
# The invoker's own git settings have no part in this.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

say() { printf '\n== %s\n' "$*"; }

say "a git repository with a failing test"
cp -R "$here/project" "$work/month-days"
git -C "$work/month-days" init --quiet --initial-branch=main
git -C "$work/month-days" add --all
git -C "$work/month-days" -c user.name="Demo Author" -c user.email=demo@moonbox.invalid \
    commit --quiet --message="Days of a month"
git -C "$work/month-days" log --oneline

say "the task: clone, install, agent, verify"
"$moonbox" run "$top/examples/codex-task.lua" --repo="$work/month-days" --tools="$here/agent" \
    --agent=stand-in-agent --prompt="Make the failing tests pass"

patch=$(find "$work/state/tasks" -name workspace.patch)
say "the patch it brought back"
cat "$patch"

say "applied to a fresh clone with: git apply workspace.patch"
git clone --quiet "$work/month-days" "$work/fresh"
git -C "$work/fresh" apply "$patch"
git -C "$work/fresh" diff --stat

say "the clone's tests, in a sandbox of their own"
tar -C "$work/fresh" --exclude=.git -cf - . | "$moonbox" exec --policy offline -- sh -c \
    'cd /workspace && tar -xf - && npm ci --offline --no-audit --no-fund --loglevel=error && npm test'

say "done: the agent's work came back as a patch; nothing else of it is left on this machine"
