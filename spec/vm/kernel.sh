#!/bin/sh
# kernel.sh DIR: makes sure that DIR/PACKAGE holds a stock Debian kernel, the one that linux-image-amd64 depends on, as
# boot/vmlinuz-VERSION and lib/modules/VERSION, and prints that directory. Nothing is installed.
set -eu
dir=$1
PATH=$PATH:/usr/sbin:/sbin

if ! command -v apt-get >/dev/null; then
    echo "moonbox: the kernel for the virtual machine is a Debian package, and there is no apt-get here" >&2
    exit 1
fi
package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
if [ -z "$package" ]; then
    echo "moonbox: this machine's lists of packages have no linux-image-amd64; as root: apt-get update" >&2
    exit 1
fi
if [ ! -d "$dir/$package" ]; then
    mkdir -p "$dir"
    work=$(mktemp -d "$dir/.new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # apt-get would drop its own rights to fetch, and can't then write here.
    if ! (cd "$work" && apt-get -q -o APT::Sandbox::User= download "$package" >log 2>&1); then
        cat "$work/log" >&2
        echo "moonbox: the package $package could not be fetched; are the lists old? As root: apt-get update" >&2
        exit 1
    fi
    mkdir "$work/kernel"
    dpkg-deb -x "$work"/*.deb "$work/kernel"
    for version in "$work"/kernel/lib/modules/*; do
        depmod -b "$work/kernel" "${version##*/}"
    done
    mv "$work/kernel" "$dir/$package"
fi
echo "$dir/$package"
