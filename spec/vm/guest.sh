#!/bin/sh
# guest.sh: process 1 of the virtual machine once its root is there: mounts what a Debian system has mounted, with
# control groups of version 2 only, runs /scratch/run, and switches the machine off. What that says leaves by the serial
# port of virtio, which shows nothing of the kernel's own words.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root TMPDIR=/scratch/tmp

off() {
    sync
    echo o >/proc/sysrq-trigger
    sleep 60
}

fail() {
    echo "spec/vm/guest.sh: $*" >/dev/console
    off
}

# have TYPE DIR OPTIONS
have() {
    mkdir -p "$2"
    mount -t "$1" -o "$3" "$1" "$2" || fail "no $1 on $2"
}
have devpts /dev/pts gid=5,mode=620,ptmxmode=666
have mqueue /dev/mqueue nosuid,nodev
have tmpfs /dev/shm mode=1777,nosuid,nodev
have tmpfs /run mode=755,nosuid,nodev
have cgroup2 /sys/fs/cgroup nosuid,nodev,noexec,nsdelegate
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
ip link set lo up || fail "no loopback"

# Device nodes that systemd makes on every Debian system; all other modules load when they are asked for.
modprobe -a loop tun fuse || fail "modules are missing"
chmod 666 /dev/fuse /dev/net/tun

sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control

# shellcheck disable=SC3045 # every shell that may be /bin/sh on Debian knows it
ulimit -Hn 524288
port=$(ls /dev/vport*p1) || fail "no port to write to"
cd /scratch/tree || fail "no checkout"
sh /scratch/run </dev/null >"$port" 2>&1
off
