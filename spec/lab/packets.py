"""Writes down what comes out of the cable: the packet log, whose emptiness is what many specs assert.

Every IP packet but TCP segments other than connection attempts (a pure SYN) and the neighbour and listener messages by
which IPv6 finds the next station (RFC 4861, RFC 3810). A UDP packet to MARK_PORT carries a reader's mark: once it is in
the log, all that was sent before it is there as well.
"""
import socket
import struct

from log import Log

MARK_PORT = 65000
_PACKET_OUTGOING = 4  # linux/if_packet.h
_ETH_P_ALL = 3
_NAMES = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp"}


def listen(interface):
    handle = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    handle.bind((interface, _ETH_P_ALL))
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    handle.setblocking(False)
    return handle


def _addresses(data):
    """(protocol number, source, destination, payload), or None when it isn't IP."""
    if len(data) >= 20 and data[0] >> 4 == 4:
        head = (data[0] & 15) * 4
        return data[9], socket.inet_ntop(socket.AF_INET, data[12:16]), socket.inet_ntop(socket.AF_INET, data[16:20]), data[head:]
    if len(data) >= 40 and data[0] >> 4 == 6:
        number, rest = data[6], data[40:]
        if number == 0 and len(rest) >= 8:  # hop-by-hop options, of listener reports
            number, rest = rest[0], rest[8 * (rest[1] + 1):]
        source, target = (socket.inet_ntop(socket.AF_INET6, data[at:at + 16]) for at in (8, 24))
        return number, source, target, rest
    return None


def _noise(number, payload):
    if number == 6:
        return len(payload) >= 14 and payload[13] & 0x12 != 0x02
    return number == 58 and (not payload or payload[0] in (130, 131, 132, 133, 134, 135, 136, 137, 143))


def _describe(data):
    found = _addresses(data)
    if not found or _noise(found[0], found[3]):
        return None
    number, source, target, payload = found
    what = {"protocol": _NAMES.get(number, str(number)), "source": source, "address": target}
    if number in (6, 17) and len(payload) >= 8:
        what["port"] = struct.unpack("!H", payload[2:4])[0]
        if number == 17 and what["port"] == MARK_PORT:
            what = {"mark": payload[8:].decode("ascii", "replace")}
    return what


def start(loop, handle, folder):
    log = Log(folder, "packets.log")

    def readable():
        while True:
            try:
                data, origin = handle.recvfrom(256)
            except BlockingIOError:
                return
            what = None if origin[2] == _PACKET_OUTGOING else _describe(data)
            if what:
                log.write(**what)

    loop.add_reader(handle, readable)
