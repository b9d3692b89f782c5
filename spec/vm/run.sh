#!/bin/sh
# run.sh BUILD [FILE...]: runs spec files (those listed in spec/vm/specs without arguments) under a stock Debian kernel with
# pure control groups of version 2, as root and as an ordinary user with a delegated subtree, in a virtual machine. The
# last line is the sum; a machine that fails or takes too long is a failure.
#
# run.sh BUILD -- COMMAND...: runs a command there instead, as root at the top of the checkout. spec/run/as-user.sh in it,
# with MOONBOX_DELEGATE=1, is the way to the other user.
#
# QEMU emulates it, with KVM where the processor has it, and needs no privilege. The machine's root is this one's, read-only
# over 9p. The checkout and its build go onto a disk of their own: binds with the owner mapped, as root makes them, want a
# filesystem that can (ext4; tmpfs from Linux 6.3 on). It is the only partition of its disk, as limits on a disk want to
# know the one from the other (core/block).
set -eu
build=$1
shift
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin

LIMIT_SECONDS=1800
MEMORY_MB=3072
DISK_MB=8192

fail() {
    echo "moonbox: $*" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

[ "$(uname -m)" = x86_64 ] || fail "the virtual machine runs the programs of this one, and that must be x86-64"
! ldd "$(command -v busybox)" >/dev/null 2>&1 || fail "busybox must be the static one: apt-get install busybox-static"
command=
if [ "${1:-}" = -- ]; then
    shift
    command=$*
fi
# shellcheck disable=SC2046 # one word a file
[ $# -gt 0 ] || set -- $(grep -v '^#' spec/vm/specs)
kernel=$(sh spec/vm/kernel.sh "$PWD/$build/vm") || fail "there is no kernel to boot"
version=$(ls "$kernel/lib/modules")

work=$(mktemp -d)
vm=
end() {
    trap - EXIT
    [ -z "$vm" ] || kill "$vm" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Four bytes of a number, the lowest first.
bytes() {
    for shift in 0 8 16 24; do
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf %o $(($1 >> shift & 255)))"
    done
}

# The first sector of a disk of so many sectors: all of it but the first megabyte is one partition for Linux (MBR).
partition_table() {
    head -c 446 /dev/zero
    printf '\0\376\377\377\203\376\377\377'
    bytes 2048
    bytes $(($1 - 2048))
    head -c 48 /dev/zero
    printf '\125\252'
}

LUA_PATH="./spec/?.lua;./lua/?.lua;;" LUA_CPATH="./$build/lib/?.so;;" luajit -e 'require("support.compile").all()'
sh spec/vm/initramfs.sh "$kernel" "$version" "$work/initramfs"
mkdir -p "$work/disk/tmp"
chmod 755 "$work/disk"
chmod 1777 "$work/disk/tmp"
spec/run/copy.sh "$build" "$work/disk/tree"
cat >"$work/disk/run" <<RUN
export MOONBOX_DELEGATE=1 MOONBOX_MUST_RUN=${MOONBOX_MUST_RUN:-} MOONBOX_LONG=${MOONBOX_LONG:-}
${command:-exec sh spec/run/all.sh build $*}
${command:+echo "ended with code \$?"}
RUN
truncate -s "${DISK_MB}M" "$work/image"
mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1,offset=$((1 << 20)) -d "$work/disk" "$work/image" \
    "$((DISK_MB - 1))M"
partition_table $((DISK_MB << 11)) | dd of="$work/image" conv=notrunc status=none

accelerator=tcg
if [ -w /dev/kvm ] && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then
    accelerator=kvm
fi
echo "  vm    $version, $accelerator"
mkfifo "$work/said"
tee "$work/log" <"$work/said" &
tee=$!
# q35 has a clock that emulated machines find on a busy host; microvm has not.
timeout -k 5 "$LIMIT_SECONDS" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
    -M q35 -accel "$accelerator" -cpu max -smp 2 -m "$MEMORY_MB" \
    -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initramfs" \
    -append "console=ttyS0 panic=-1 quiet loglevel=5 nowatchdog random.trust_cpu=on cgroup_no_v1=all" \
    -serial "file:$work/console" -device virtio-rng-pci \
    -device virtio-serial-pci -chardev "file,id=said,path=$work/said" -device virtserialport,chardev=said \
    -drive "file=$work/image,format=raw,if=virtio,cache=unsafe" \
    -fsdev "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on" \
    -device virtio-9p-pci,fsdev=root,mount_tag=root \
    -fsdev "local,id=modules,path=$kernel/lib/modules,security_model=none,multidevs=remap,readonly=on" \
    -device virtio-9p-pci,fsdev=modules,mount_tag=modules </dev/null >"$work/errors" 2>&1 &
vm=$!
code=0
wait "$vm" || code=$?
vm=
wait "$tee" || true

sum=$(tail -n 1 "$work/log")
case $sum in
"ended with code "*) [ "$command" ] && exit "${sum##* }" ;;
*" passed, 0 failed, "*" skipped") [ "${sum%% *}" -gt 0 ] ;;
*" passed, "*" failed, "*" skipped") exit 1 ;;
*)
    tail -n 30 "$work/console" "$work/errors" >&2
    [ "$code" != 124 ] || fail "the virtual machine was not done after $LIMIT_SECONDS s"
    fail "the virtual machine ended without a result; above are the last words of its kernel and of QEMU ($code)"
    ;;
esac
