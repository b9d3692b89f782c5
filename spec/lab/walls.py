"""walls.py ROW: what a tenant does to get through the walls of its network. A line "ATTEMPT ANSWER" for each attempt, where ANSWER
is "done" or the name of an errno.

The rows are those of spec/system/network_walls_spec.lua, which also runs them where they must succeed. `host` takes a TCP port,
an abstract socket's name and a path.
"""
import ctypes
import errno
import os
import socket
import struct
import sys

NEWUSER, NEWNET = 0x10000000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(_libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def syscall(number, *arguments):
    call("syscall", ctypes.c_long(number), *arguments)


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def netlink(protocol, kind, payload, flags=0):
    """Sends a request, takes the answer of the kernel (netlink(7))."""
    handle = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    handle.send(struct.pack("=IHHII", 16 + len(payload), kind, 5 | flags, 1, 0) + payload)
    reply = handle.recv(65536)
    code = -struct.unpack("=i", reply[16:20])[0] if struct.unpack("=H", reply[4:6])[0] == 2 else 0
    if code:
        raise OSError(code, "netlink")


def link(flags):
    netlink(0, 16, struct.pack("=BxHiII", 0, 0, 1, flags, 1))  # RTM_NEWLINK of loopback, IFF_UP


def address():
    netlink(0, 20, struct.pack("=BBBBI", 2, 32, 0, 0, 1) + attribute(2, bytes([10, 9, 8, 7])), 0x400)  # RTM_NEWADDR


def route():
    # RTM_NEWROUTE, 10.9.8.0/24 over loopback
    netlink(0, 24, struct.pack("=BBBBBBBBI", 2, 24, 0, 0, 254, 4, 253, 1, 0) + attribute(1, bytes([10, 9, 8, 0]))
            + attribute(4, struct.pack("=I", 1)), 0x400)


def new_link(kind):
    netlink(0, 16, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(3, b"wall0\0") + attribute(18, attribute(1, kind)), 0x600)


def tables(kind):
    """NFT_MSG_GETTABLE (a dump), or NFT_MSG_DELTABLE of every table, in a batch."""
    header = struct.pack("=BBH", 0, 0, 0)
    if kind == "list":
        return netlink(12, 10 << 8 | 1, header, 0x300)
    handle = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    begin = struct.pack("=IHHII", 20, 16, 1, 1, 0) + struct.pack("=BBH", 0, 0, socket.htons(10))
    delete = struct.pack("=IHHII", 20, 10 << 8 | 2, 5, 2, 0) + header
    end = struct.pack("=IHHII", 20, 17, 1, 3, 0) + struct.pack("=BBH", 0, 0, socket.htons(10))
    handle.send(begin + delete + end)
    code = -struct.unpack("=i", handle.recv(65536)[16:20])[0]
    if code:
        raise OSError(code, "nftables")


def option(family, level, number, value):
    socket.socket(family, socket.SOCK_STREAM).setsockopt(level, number, value)


def enter(path):
    call("setns", os.open(path, os.O_RDONLY), 0)


def write(name, text):
    with open("/proc/sys/net/" + name, "w", encoding="ascii") as file:
        file.write(text)


def inherited():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith("socket:"):
                found.append(name)
        except FileNotFoundError:
            pass
    if not found:
        raise OSError(errno.ENOENT, "no socket")


def bpf():
    syscall(321, 0, ctypes.create_string_buffer(struct.pack("=IIII", 2, 4, 4, 1) + bytes(56)), 72)  # BPF_MAP_CREATE


def connect(family, where):
    socket.socket(family).connect(where)


SYSCTLS = {"ipv4/tcp_syncookies": "1", "ipv4/tcp_congestion_control": "reno", "ipv4/ip_unprivileged_port_start": "80",
           "ipv6/conf/all/disable_ipv6": "1", "core/somaxconn": "128"}
ROWS = {
    "rules": {"list": lambda: tables("list"), "flush": lambda: tables("flush"), "address": address, "route": route,
              "link": lambda: new_link(b"veth"), "loopback down": lambda: link(0)},
    "namespace": {"user": lambda: call("unshare", NEWUSER), "network": lambda: call("unshare", NEWNET),
                  "both": lambda: call("unshare", NEWUSER | NEWNET)},
    "enter": {"own": lambda: enter("/proc/self/ns/net"), "of process 1": lambda: enter("/proc/1/ns/net")},
    "sockets": {"raw": lambda: socket.socket(2, 3, 255), "packet": lambda: socket.socket(17, 3, 768),
                "raw IPv6": lambda: socket.socket(10, 3, 255), "transparent": lambda: option(2, 0, 19, 1),
                "transparent IPv6": lambda: option(10, 41, 75, 1), "mark": lambda: option(2, 1, 36, 7)},
    "bpf": {"map": bpf},
    "host": {"tcp": lambda: connect(2, ("127.0.0.1", int(sys.argv[2]))), "abstract": lambda: connect(1, "\0" + sys.argv[3]),
             "pathname": lambda: connect(1, sys.argv[4])},
    "inherited": {"a socket": inherited},
    "settings": {name: lambda name=name, value=value: write(name, value) for name, value in SYSCTLS.items()},
}


def main(row):
    for name, act in ROWS[row].items():
        # In a process of its own: what one attempt does is not there for the next.
        pid = os.fork()
        if pid == 0:
            try:
                act()
                answer = "done"
            except OSError as why:
                answer = errno.errorcode[why.errno]
            print(name.replace(" ", "-"), answer, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1])
