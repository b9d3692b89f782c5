"""inet.py FOLDER CABLE READY: the internet of the lab, in the network namespace that it is started in.

Every address of the world but the host's ends here (AnyIP: a "local" route for all of them), so each server answers at
all addresses unless said otherwise. CABLE is a descriptor that becomes readable when inet0 is there; READY gets "r" when all
servers listen. The servers:

    dns.py      203.0.113.53:53, scripted by FOLDER/dns.json, every query in FOLDER/dns.log
    web.py      80, 443 and 8443: pages, git, package registries, WebSocket; every request in FOLDER/web.log
    streams.py  22, 7, 19 and others: what TCP can do to a connection; every connection in FOLDER/streams.log
    packets.py  FOLDER/packets.log: each packet that comes out of the cable, but those of known connections

A log line is JSON and is written before the answer goes out: what is not in the log did not come. As root the servers run as
nobody, who may not be let into the checkout: all that they need of it is read before, and nothing after.
"""
import asyncio
import os
import resource
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import content  # noqa: E402
import dns  # noqa: E402
import kernel  # noqa: E402
import packets  # noqa: E402
import streams  # noqa: E402
import web  # noqa: E402

NOBODY = 65534
# Silence and a refusal by a router; everything else is answered by us.
NETWORK = """
link set lo up
address add 198.51.100.1/24 dev inet0
address add 2001:db8:51::1/64 dev inet0 nodad
address add 203.0.113.53/32 dev lo
address add 203.0.113.54/32 dev lo
link set inet0 up
route add local 0.0.0.0/0 dev lo table main
route add local ::/0 dev lo table main
route add blackhole 203.0.113.99
route add unreachable 203.0.113.98
route add blackhole 2001:db8:113::99
"""
# A router alone says "unreachable"; each time, and not a second later (ip-sysctl, icmp_ratelimit).
SETTINGS = {"ip_unprivileged_port_start": "0", "ip_forward": "1", "icmp_ratelimit": "0"}


def set_up_network():
    subprocess.run(["ip", "-batch", "-"], input=NETWORK, text=True, check=True)
    for name, value in SETTINGS.items():
        with open("/proc/sys/net/ipv4/" + name, "w", encoding="ascii") as file:
            file.write(value)


def show_ssh_user(folder, uid):
    """Whoever comes as git@ is this process's own user, at home among the repositories."""
    kernel.unshare(kernel.NEWNS)
    path = os.path.join(folder, "passwd")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"git:x:{uid}:{uid}:the lab's:{folder}/git:/bin/sh\n")
    kernel.mount(path, "/etc/passwd", "", kernel.MS_BIND)


async def serve(folder, capture, ready):
    loop = asyncio.get_running_loop()
    packets.start(loop, capture, folder)
    await dns.start(loop, folder)
    await web.start(folder)
    await streams.start(folder)
    os.write(ready, b"r")
    os.close(ready)
    await asyncio.Event().wait()


def main(folder, cable, ready):
    # An interrupt at the terminal is the command's; this ends with process 1.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.read(cable, 1) != b"p":
        return 1
    set_up_network()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    capture = packets.listen("inet0")
    show_ssh_user(folder, os.getuid() or NOBODY)
    project = content.read_project()
    os.umask(0o022)
    os.chdir(folder)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    content.make(folder, project)
    asyncio.run(serve(folder, capture, ready))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
