#!/bin/sh
# network.sh: measures moonbox's network against others, in throw-away namespaces from which nothing leads outside. Run by
# spec/bench/run.sh at the top of a checkout, as root or as an ordinary user.
#
#   host namespace        203.0.113.1   the caller's place: direct clients, moonbox, slirp4netns, pasta
#   inet namespace        203.0.113.10  the server, over a veth pair
#   one more for each of  veth + masquerade, slirp4netns, pasta: their clients
set -eu
PATH=$PATH:/usr/sbin:/sbin
if [ "${1:-}" != inside ]; then
    as=
    [ "$(id -u)" = 0 ] || as='--user --map-root-user'
    # Process 1 of its own: whatever is left goes with it.
    # shellcheck disable=SC2086
    exec unshare $as --net --pid --fork --kill-child --mount-proc sh "$0" inside "$([ -z "$as" ] && echo root || echo user)"
fi
mode=$2
work=$(mktemp -d)
trap 'umount "$work/netns" 2>/dev/null; rm -rf "$work"' EXIT

# Starts a process in a new network namespace; its pid is in $pid.
namespace() {
    unshare --net sleep 86400 &
    pid=$!
    while [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
    tune nsenter --target "$pid" --net
}

# The same congestion control everywhere: what the host's default does on a veth is not what is measured.
tune() {
    "$@" ip link set lo up
    "$@" sh -c 'cd /proc/sys/net/ipv4 && echo reno >tcp_congestion_control && echo 1 >tcp_tw_reuse && echo 16384 65535 >ip_local_port_range'
}

tune env
namespace
inet=$pid
ip link add host0 type veth peer name inet0 netns "$inet"
ip address add 203.0.113.1/24 dev host0
ip link set host0 up
nsenter --target "$inet" --net ip address add 203.0.113.10/24 dev inet0
nsenter --target "$inet" --net ip link set inet0 up
# pasta takes its interface from it, and the router's address for this machine itself.
ip route add default via 203.0.113.254
nsenter --target "$inet" --net build/spec/load serve 203.0.113.10 8000 64 >/dev/null &

echo "direct::" >"$work/ways"

namespace
ip link add masq0 type veth peer name eth0 netns "$pid"
ip address add 10.9.0.1/24 dev masq0
ip link set masq0 up
nsenter --target "$pid" --net ip address add 10.9.0.2/24 dev eth0
nsenter --target "$pid" --net ip link set eth0 up
nsenter --target "$pid" --net ip route add default via 10.9.0.1
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'table ip bench { chain post { type nat hook postrouting priority 100; oifname "host0" masquerade; }; }'
echo "veth + masquerade::nsenter --target $pid --net" >>"$work/ways"

# Waits until the server can be reached from namespace $pid by way of NAME, or says that it can't.
reachable() {
    i=0
    while [ $i -lt 50 ]; do
        if nsenter --target "$pid" --net build/spec/load latency 203.0.113.10 8000 1 0.01 >/dev/null 2>&1; then
            echo "$1::nsenter --target $pid --net" >>"$work/ways"
            return
        fi
        sleep 0.1
        i=$((i + 1))
    done
    echo "  $1 is left out: $(tail -1 "$work/$1.log")"
}

namespace
slirp4netns --configure --mtu=65520 "$pid" tap0 >"$work/slirp4netns.log" 2>&1 &
reachable slirp4netns

# It leaves for a mount namespace in which /proc is another.
namespace
: >"$work/netns"
mount --bind "/proc/$pid/ns/net" "$work/netns"
pasta --foreground --runas 0 --netns-only --config-net --mtu 65520 -t none -u none -T none -U none \
    --netns "$work/netns" >"$work/pasta.log" 2>&1 &
reachable pasta

export MOONBOX_STATE="$work/state"
export LUA_PATH="./lua/?.lua;./lua/?/init.lua;;" LUA_CPATH="./build/lib/?.so;;"
luajit spec/bench/network.lua "$mode" "$work"
