#!/bin/sh
# host.sh PID: gives the namespace that it runs in the host's end of the cable to PID's namespace.
set -eu
ip -batch - <<END
link set lo up
link add host0 type veth peer name inet0 netns $1
address add 198.51.100.2/24 dev host0
address add 192.168.77.2/24 dev host0
address add 2001:db8:51::2/64 dev host0 nodad
link set host0 up
route add default via 198.51.100.1
route add default via 2001:db8:51::1
END
