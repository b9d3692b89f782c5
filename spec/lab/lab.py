#!/usr/bin/python3 -B
"""lab.py COMMAND...: runs a command on a machine whose only network is an internet of our own.

Two network namespaces and one cable:

    "host"  lo, host0 198.51.100.2, 2001:db8:51::2, and a LAN address 192.168.77.2     COMMAND runs here
       |    default route
    "inet"  inet0 198.51.100.1, 2001:db8:51::1; answers for every other address of the world (inet.py)

Nothing leads out of them: an address such as 8.8.8.8 or 169.254.169.254 exists because inet answers for it. COMMAND has
the caller's uid and no more privilege than the caller; its own pid and mount namespace; MOONBOX_LAB, a folder
in memory with the servers' logs and scripts; and /etc/resolv.conf, /etc/hosts and the file of certificate authorities of the
lab.

The process that is started here lives in the new namespaces with a child as their process 1. When it ends, by kill -9
too, the kernel ends that child, every process of the namespaces, and the namespaces themselves. The exit code is COMMAND's, 128 + n
after a signal, and 69 with a sentence when the lab can't be made.
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
HOST, INET = HERE + "/host.sh", HERE + "/inet.py"
# The servers may have another id than the caller: his folders, and a Python that is in one, are not theirs.
PYTHON, SYSTEM_PATH = "/usr/bin/python3", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
CANNOT = 69
READY_SECONDS = 30


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter_namespaces():
    """As an ordinary user with a user namespace around it all, in which the uid stays what it is."""
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        kernel.unshare(kernel.NEWUSER)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")
    kernel.unshare(kernel.NEWNET | kernel.NEWPID)


def quiet_ipv6():
    """Interfaces to come have their addresses at once, and ask for no router."""
    for setting in "accept_dad", "accept_ra", "router_solicitations":
        write("/proc/sys/net/ipv6/conf/default/" + setting, "0")


def cover(path, text, folder):
    """Shows other text at a path of /etc, in this mount namespace."""
    own = os.path.join(folder, os.path.basename(path))
    write(own, text)
    os.chmod(own, 0o644)
    if os.path.exists(path):
        kernel.mount(own, os.path.realpath(path), "", kernel.MS_BIND)


def start_inet(folder):
    """Starts the servers in a namespace of their own; returns once the cable is in and they answer."""
    cable, plugged = os.pipe()
    ready, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        kernel.unshare(kernel.NEWNET)
        kernel.die_with_parent(1)
        quiet_ipv6()
        os.set_inheritable(cable, True)
        os.set_inheritable(said, True)
        os.write(said, b"n")
        environment = dict(os.environ, PATH=SYSTEM_PATH, HOME=folder, TMPDIR=folder)
        os.execve(PYTHON, [PYTHON, "-IB", INET, folder, str(cable), str(said)], environment)
    os.close(cable)
    os.close(said)
    if os.read(ready, 1) != b"n":
        raise RuntimeError("the second network namespace could not be made")
    subprocess.run(["/bin/sh", HOST, str(pid)], check=True)
    os.write(plugged, b"p")
    if os.read(ready, 1) != b"r":
        raise RuntimeError("the servers did not start: see above")
    return pid


def refuse_ways_out():
    """Every interface is the lab's, and the only way is the cable. What else there were would lead to real machines."""
    with open("/proc/net/dev", encoding="ascii") as file:
        interfaces = sorted(line.split(":")[0].strip() for line in file.readlines()[2:])
    if [i for i in interfaces if i not in ("lo", "host0", "sit0", "ip6tnl0", "tunl0")] or "host0" not in interfaces:
        raise RuntimeError(f"there are interfaces that aren't the lab's: {' '.join(interfaces)}")
    routes = subprocess.run(["ip", "-o", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    for line in routes.splitlines():
        if " dev " in line and line.split(" dev ")[1].split()[0] not in ("lo", "host0"):
            raise RuntimeError(f"there is a way out of the lab: {line}")


def await_cable():
    """The link comes up behind the kernel's back, IPv6 last."""
    write("/proc/sys/net/ipv6/neigh/host0/retrans_time_ms", "20")
    till = time.monotonic() + READY_SECONDS
    for address in "203.0.113.10", "2001:db8:113::10":
        while True:
            try:
                socket.create_connection((address, 80), 1).close()
                break
            except OSError as why:
                if time.monotonic() > till:
                    raise RuntimeError(f"the cable carries nothing to {address}: {why}") from None


def first_process(folder, command):
    """Process 1 of the namespaces: makes the lab, runs the command as the caller, and ends with it."""
    kernel.die_with_parent(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    ordinary = os.geteuid() != 0
    try:
        # Mounts of its own: the caller's folder can then be removed whatever still holds them.
        kernel.unshare(kernel.NEWNS)
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("proc", "/proc", "proc")
        quiet_ipv6()
        kernel.mount("lab", folder, "tmpfs", 0, "mode=0777,size=1g")
        cover("/etc/resolv.conf", "nameserver 203.0.113.53\nsearch search.test\n", folder)
        cover("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n203.0.113.10 only-in-hosts.test\n", folder)
        if ordinary:
            kernel.hand_on_capabilities()
        start_inet(folder)
        with open(folder + "/tls/ca.pem", encoding="ascii") as authority:
            cover("/etc/ssl/certs/ca-certificates.crt", authority.read(), folder)
        refuse_ways_out()
        await_cable()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as why:
        print(f"lab: {why}", file=sys.stderr)
        return CANNOT
    pid = os.fork()
    if pid == 0:
        if ordinary:
            kernel.drop_capabilities()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.environ["MOONBOX_LAB"] = folder
        try:
            os.execvp(command[0], command)
        except OSError as why:
            print(f"lab: {command[0]}: {why.strerror}", file=sys.stderr)
            os._exit(127)
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def open_to_all(path):
    """The servers of root's lab have another id, which does not get into a TMPDIR of root's own."""
    while path != "/":
        if not os.stat(path).st_mode & 1:
            return False
        path = os.path.dirname(os.path.abspath(path))
    return True


def main(command):
    if not command:
        print("usage: lab.py COMMAND...", file=sys.stderr)
        return 64
    folder = tempfile.mkdtemp(prefix="lab-", dir=None if open_to_all(tempfile.gettempdir()) else "/tmp")
    os.chmod(folder, 0o755)
    try:
        enter_namespaces()
    except OSError as why:
        os.rmdir(folder)
        print(f"lab: no namespaces here: {why.strerror}", file=sys.stderr)
        return CANNOT
    child = os.fork()
    if child == 0:
        code = CANNOT
        try:
            code = first_process(folder, command)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def end(number, _frame):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.rmdir(folder)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, end)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.rmdir(folder)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
