#!/bin/sh
# initramfs.sh KERNEL VERSION OUT: the first filesystem of the virtual machine: busybox, the modules that its devices
# and its root need, in the order in which they load, and init.
set -eu
kernel=$1
version=$2
out=$3
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/modules" "$work/dev" "$work/proc" "$work/sys" "$work/lower" "$work/upper" "$work/root"
cp "$(command -v busybox)" "$work/bin/busybox"
cp "$here/init" "$work/init"
chmod 755 "$work/init"

for module in virtio_pci virtio_console virtio_rng virtio_blk ext4 9p 9pnet_virtio overlay; do
    # Debian's kernel has some of them inside, which modprobe lists as such.
    modprobe -d "$kernel" -S "$version" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' >"$work/paths"
while read -r path; do
    name=${path##*/}
    case $name in
    *.xz) xz -dc "$path" >"$work/modules/${name%.xz}" ;;
    *.zst) zstd -dqc "$path" >"$work/modules/${name%.zst}" ;;
    *) cp "$path" "$work/modules/$name" ;;
    esac
    name=${name%.xz}
    echo "${name%.zst}"
done <"$work/paths" >"$work/order"
rm "$work/paths"
(cd "$work" && find . | busybox cpio -o -H newc 2>/dev/null) >"$out"
