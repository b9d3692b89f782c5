#!/bin/sh
# delegate.sh USER COMMAND...: as root, runs a command in a control group of version 2 that is delegated to USER as
# systemd delegates that of a session: the group above the command's, with all controllers, is his to divide
# (kernel Documentation/admin-guide/cgroup-v2, "Delegation Containment").
set -eu
user=$1
shift
group=/sys/fs/cgroup/user.slice/delegated-$$

# Gives children of a group the controllers that it has.
pass_on() {
    sed 's/[^ ]*/+&/g' "$1/cgroup.controllers" >"$1/cgroup.subtree_control"
}
mkdir -p "$group/session.scope"
pass_on /sys/fs/cgroup/user.slice
for dir in "$group" "$group/session.scope"; do
    chown "$user:" "$dir" "$dir/cgroup.procs" "$dir/cgroup.threads" "$dir/cgroup.subtree_control"
done
echo $$ >"$group/session.scope/cgroup.procs"
exec "$@"
