"""The few system calls that the lab needs and Python 3.11 lacks. Each raises OSError."""
import ctypes
import os

NEWNS, NEWUSER, NEWPID, NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000  # linux/sched.h
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 1 << 18, 0x1000  # sys/mount.h
_PDEATHSIG, _CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR = 1, 47, 2, 4  # linux/prctl.h
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *arguments):
    if getattr(_libc, name)(*arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def unshare(flags):
    _call("unshare", ctypes.c_int(flags))


def mount(source, target, kind, flags=0, data=""):
    _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())


def die_with_parent(parent):
    """Signal 9 to the calling process when `parent`, a pid as this process sees it (0: outside), ends."""
    _call("prctl", _PDEATHSIG, ctypes.c_ulong(9), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def hand_on_capabilities():
    """What the process may do, the programs that it starts may do too, whatever their uid (ambient set)."""
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    _call("capget", ctypes.byref(header), sets)
    for half in sets:
        half.inheritable = half.permitted
    _call("capset", ctypes.byref(header), sets)
    for bit in range(64):
        if sets[bit // 32].permitted & (1 << bit % 32):
            _call("prctl", _CAP_AMBIENT, ctypes.c_ulong(_AMBIENT_RAISE), ctypes.c_ulong(bit), 0, 0)


def drop_capabilities():
    """Empties every set but the bounding one, as an ordinary user's are."""
    _call("prctl", _CAP_AMBIENT, ctypes.c_ulong(_AMBIENT_CLEAR), 0, 0, 0)
    _call("capset", ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), (_Sets * 2)())
