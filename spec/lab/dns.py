"""A DNS server that says what a spec wants (RFC 1035), at 203.0.113.53, UDP and TCP.

FOLDER/dns.json is read at each query:  { NAME: { TYPE: [value, ...], ... }, ... }. Values: addresses of A and AAAA, a name of
CNAME (chains are followed in the answer), text of TXT, "hex:..." of any type. Beside types an entry may have
    "ttl": seconds (60)                "turns": [entry, entry, ...]: one a query, the last for ever; counted per name and type
    "rcode": number                    "silent": true: no reply
    "delay": seconds                   "raw": "hex": bytes after the id, instead of a reply
    "records": "hex": the answer section, said to be one record
    "truncate": true: TC over UDP      "source": "id" | "question": a reply that belongs to another query; "address": from
                                       203.0.113.54, over UDP
A name "*.x" stands for all names below x that have no entry of their own. Anything else is NXDOMAIN, and what an entry doesn't
have is no-data. Without the file, the names of DEFAULT are there.
"""
import asyncio
import json
import os
import socket
import struct

from log import Log

ADDRESS, OTHER_ADDRESS = "203.0.113.53", "203.0.113.54"
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "SVCB": 64, "HTTPS": 65,
         "AXFR": 252, "ANY": 255}
NAMES = {number: name for name, number in TYPES.items()}
_SITE = {"A": ["203.0.113.10"], "AAAA": ["2001:db8:113::10"], "TXT": ["lab"], "HTTPS": ["hex:00010000010003026833"]}
DEFAULT = {name: _SITE for name in ("allowed.test", "*.allowed.test", "evil.test", "evilallowed.test")}
DEFAULT["evil.test"] = {"A": ["203.0.113.66"], "AAAA": ["2001:db8:113::66"]}


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def read_name(data, at):
    labels = []
    while data[at]:
        if data[at] > 63:
            raise ValueError("compressed question")
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(labels), at + 1


def encode(kind, value):
    if value.startswith("hex:"):
        return bytes.fromhex(value[4:])
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind in ("CNAME", "NS", "PTR"):
        return wire_name(value)
    return bytes([len(value)]) + value.encode()


class Zone:
    """What dns.json says now, and how often each name was asked since the file's text changed."""

    def __init__(self, folder):
        self.path, self.text, self.names, self.asked = os.path.join(folder, "dns.json"), None, DEFAULT, {}

    def refresh(self):
        try:
            with open(self.path, encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            text = None
        if text != self.text:
            self.text, self.asked = text, {}
            self.names = json.loads(text) if text else DEFAULT

    def entry(self, name, kind):
        found = self.names.get(name)
        parent = name
        while found is None and "." in parent:
            parent = parent.split(".", 1)[1]
            found = self.names.get("*." + parent)
        if found and "turns" in found:
            turn = self.asked.get((name, kind), 0)
            self.asked[name, kind] = turn + 1
            found = found["turns"][min(turn, len(found["turns"]) - 1)]
        return found


def answers(zone, name, kind, entry):
    """The records of an answer section, following CNAMEs to at most 20."""
    out = []
    for _ in range(20):
        for each in TYPES if kind == "ANY" else [kind]:
            for value in entry.get(each) or []:
                out.append((name, each, value, entry.get("ttl", 60)))
        if kind in entry or "CNAME" not in entry:
            break
        target = entry["CNAME"][0]
        out.append((name, "CNAME", target, entry.get("ttl", 60)))
        name, entry = target, zone.entry(target, kind) or {}
    return out


def reply(zone, query, transport, log):
    """(delay, bytes, source) of the reply; bytes None for none."""
    name, at = read_name(query, 12)
    number, = struct.unpack("!H", query[at:at + 2])
    kind, question = NAMES.get(number, str(number)), query[12:at + 4]
    log.write(name=name, type=kind, transport=transport)
    zone.refresh()
    entry = zone.entry(name.lower(), kind)
    known, entry = entry is not None, entry or {}
    if entry.get("silent"):
        return 0, None, None
    delay = entry.get("delay", 0)
    if "raw" in entry:
        return delay, query[:2] + bytes.fromhex(entry["raw"]), None
    found = answers(zone, name, kind, entry)
    flags, identity = 0x8580 | entry.get("rcode", 0 if known else 3), query[:2]
    if entry.get("truncate") and transport == "udp":
        flags, found = flags | 0x0200, []
    if entry.get("source") == "id":
        identity = bytes([query[0] ^ 0xff, query[1]])
    elif entry.get("source") == "question":
        question = wire_name("other.test") + question[-4:]
    records = b"".join(wire_name(owner) + struct.pack("!HHIH", TYPES[each], 1, ttl, len(encode(each, value))) + encode(each, value)
                       for owner, each, value, ttl in found)
    if "records" in entry:
        found, records = [None], bytes.fromhex(entry["records"])
    return delay, identity + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + records, entry.get("source")


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone, log, other):
        self.zone, self.log, self.other, self.transport = zone, log, other, None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        try:
            delay, message, source = reply(self.zone, data, "udp", self.log)
        except (IndexError, ValueError, struct.error):
            self.log.write(name="", type="malformed", transport="udp")
            return
        if message is not None:
            transport = self.other if source == "address" else self.transport
            asyncio.get_running_loop().call_later(delay, transport.sendto, message, addr)


async def start(loop, folder):
    zone, log = Zone(folder), Log(folder, "dns.log")

    async def stream(reader, writer):
        try:
            while True:
                length, = struct.unpack("!H", await reader.readexactly(2))
                delay, message, _ = reply(zone, await reader.readexactly(length), "tcp", log)
                await asyncio.sleep(delay)
                if message is None:
                    continue
                writer.write(struct.pack("!H", len(message)) + message)
        except (asyncio.IncompleteReadError, ConnectionError, IndexError, ValueError, struct.error):
            writer.close()

    other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(OTHER_ADDRESS, 53))
    await loop.create_datagram_endpoint(lambda: Datagrams(zone, log, other), local_addr=(ADDRESS, 53))
    await asyncio.start_server(stream, ADDRESS, 53)
