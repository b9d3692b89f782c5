"""client.py TRY...: what programs do with sockets, one try after the other, each with one line "LABEL ANSWER".

Runs inside a sandbox and, as the control, outside one. LABEL is the try itself; ANSWER is "ok", the name of an errno, of a
resolver's error (EAI_…), or what is said below. A try is VERB[,ARGUMENT]...:

    connect,HOST,PORT         only connects            talk,HOST,PORT     connects; "ok" once a byte came, or "eof"
    banner,HOST,PORT          the first line           echo,HOST,PORT,N   N bytes there and back, the end handed on
    urgent,HOST,PORT,N        N bytes, an urgent one, N bytes, to an echo and back: "ok", or how many came
    sent,HOST,PORT,N          ends its direction after N bytes, then the server's line
    first,HOST,PORT           reads to the server's end, then sends 3 more bytes; what was read
    reset,HOST,PORT           resets the connection    tls,HOST,PORT,SNI  a handshake with this server name ("-": none)
    host,ADDRESS,PORT,HOST    GET /hello with this Host: the status
    two,ADDRESS,PORT,A,B      two requests on one connection, Host A and then B: both statuses
    udp,HOST,PORT             sends and awaits an error or an answer, 1 s ("silent")
    from,SOURCE,HOST,PORT     connects from this source address
    fastopen,HOST,PORT        data in the SYN, then a byte back        mptcp,HOST,PORT   as talk, with Multipath TCP
    socket,KIND               icmp, raw, packet, vsock                resolve,NAME      the addresses, v4 then v6
    ask,SERVER,NAME,TYPE[,tcp] a DNS question: its code and number of answers
    option,NAME               sets a privileged socket option: transparent, mark, device
    listen,ADDRESS            a server of its own there, reached from inside
    hidden                    connects to every listening port that /proc/net/tcp and tcp6 show: "none", or each answer
"""
import errno
import os
import socket
import ssl
import struct
import sys

SECONDS = 20
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "SVCB": 64, "HTTPS": 65,
         "AXFR": 252, "ANY": 255}


def dial(host, port):
    return socket.create_connection((host, int(port)), SECONDS)


def connect(host, port):
    dial(host, port).close()
    return "ok"


def first_byte(handle):
    return "ok" if handle.recv(1) else "eof"


def talk(host, port):
    handle = dial(host, port)
    handle.sendall(b"x\n")
    return first_byte(handle)


def banner(host, port):
    return dial(host, port).makefile().readline().strip()


def echo(host, port, count):
    handle, left = dial(host, port), int(count)
    data, back = os.urandom(left), bytearray()
    if os.fork() == 0:
        handle.sendall(data)
        handle.shutdown(socket.SHUT_WR)
        os._exit(0)
    while piece := handle.recv(1 << 16):
        back += piece
    os.wait()
    return "ok" if back == data else f"{len(back)} bytes, not what was sent"


def urgent(host, port, count):
    handle, left = dial(host, port), int(count)
    data, back = b"\0" + os.urandom(left - 1), b""
    handle.settimeout(5)
    if os.fork() == 0:
        handle.sendall(data)
        handle.send(b"!", socket.MSG_OOB)
        handle.sendall(data)
        handle.shutdown(socket.SHUT_WR)
        os._exit(0)
    try:
        while piece := handle.recv(1 << 16):
            back += piece
    except TimeoutError:
        pass
    os.wait()
    return "ok" if back == data + b"!" + data else f"{len(back)} bytes"


def sent(host, port, count):
    handle = dial(host, port)
    handle.sendall(bytes(int(count)))
    handle.shutdown(socket.SHUT_WR)
    return handle.makefile().readline().strip()


def first(host, port):
    handle, read = dial(host, port), b""
    while piece := handle.recv(100):
        read += piece
    handle.sendall(b"end")
    handle.close()
    return read.decode().strip()


def reset(host, port):
    handle = dial(host, port)
    handle.sendall(b"x")
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handle.close()
    return "ok"


def tls(host, port, sni):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(dial(host, port), server_hostname=None if sni == "-" else sni):
        return "ok"


def status(reader):
    line, length = reader.readline(), 0
    if not line:
        return "eof"
    while (header := reader.readline().strip()):
        if header.lower().startswith("content-length:"):
            length = int(header.split(":")[1])
    reader.read(length)
    return line.split(" ")[1]


def two(address, port, *hosts):
    handle, answers = dial(address, port), []
    reader = handle.makefile()
    for name in hosts:
        handle.sendall(f"GET /hello HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        try:
            answers.append(status(reader))
        except OSError as why:
            answers.append(errno.errorcode[why.errno])
    return " ".join(answers)


def udp(host, port):
    family, _, _, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0]
    handle = socket.socket(family, socket.SOCK_DGRAM)
    handle.settimeout(1)
    handle.connect(where)
    handle.send(b"x")
    try:
        handle.recv(1)
    except TimeoutError:
        return "silent"
    return "ok"


def source(address, host, port):
    handle = socket.create_connection((host, int(port)), SECONDS, (address, 0))
    handle.sendall(b"x\n")
    return first_byte(handle)


def fastopen(host, port):
    handle = socket.socket(socket.AF_INET)  # blocking: without a cookie yet, it connects as usual
    handle.sendto(b"x\n", 0x20000000, (host, int(port)))  # MSG_FASTOPEN
    return first_byte(handle)


def mptcp(host, port):
    handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    handle.settimeout(SECONDS)
    handle.connect((host, int(port)))
    handle.sendall(b"x\n")
    return first_byte(handle)


def kind_of_socket(kind):
    family, what, number = {"icmp": (2, 2, 1), "raw": (2, 3, 255), "packet": (17, 3, 768), "vsock": (40, 1, 0)}[kind]
    socket.socket(family, what, number).close()
    return "ok"


def resolve(name):
    found = {entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    return " ".join(sorted(found, key=lambda address: (":" in address, address)))


def ask(server, name, kind, transport="udp"):
    encoded = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    query = struct.pack("!HHHHHH", 4711, 0x0100, 1, 0, 0, 0) + encoded + b"\0" + struct.pack("!HH", TYPES[kind], 1)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    handle = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
    handle.settimeout(5)
    handle.connect((server, 53))
    handle.sendall(query if transport == "udp" else struct.pack("!H", len(query)) + query)
    reply = handle.recv(4096) if transport == "udp" else handle.makefile("rb").read(14)[2:]
    codes = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
    return f"{codes[reply[3] & 15]} {struct.unpack('!H', reply[6:8])[0]}"


def option(name):
    level, number, value = {"transparent": (0, 19, 1), "mark": (1, 36, 7), "device": (1, 25, b"lo")}[name]
    socket.socket().setsockopt(level, number, value)
    return "ok"


def listen(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.create_server((address, 0), family=family)
    client = socket.create_connection(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address), server.getsockname()[1]), SECONDS)
    peer, _ = server.accept()
    peer.sendall(b"x")
    return first_byte(client)


def hidden():
    answers = set()
    for table, family, loopback in ("tcp", socket.AF_INET, "127.0.0.1"), ("tcp6", socket.AF_INET6, "::1"):
        with open("/proc/net/" + table, encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        for row in rows:
            if row[3] == "0A":
                where = loopback, int(row[1].rsplit(":", 1)[1], 16)
                answers.add(attempt(lambda where=where: talk(*where)))
    return " ".join(sorted(answers)) or "none"


VERBS = {"connect": connect, "talk": talk, "banner": banner, "echo": echo, "urgent": urgent,
         "sent": sent, "first": first, "reset": reset, "tls": tls,
         "host": two, "two": two, "udp": udp, "from": source, "fastopen": fastopen, "mptcp": mptcp, "socket": kind_of_socket,
         "resolve": resolve, "ask": ask, "option": option, "listen": listen, "hidden": hidden}


def attempt(act):
    try:
        return act()
    except socket.gaierror as why:
        return next(name for name in dir(socket) if name.startswith("EAI_") and getattr(socket, name) == why.errno)
    except ssl.SSLEOFError:
        return "eof"
    except ssl.SSLError as why:
        return why.reason or "SSLError"
    except TimeoutError:
        return "ETIMEDOUT"
    except OSError as why:
        return errno.errorcode.get(why.errno, str(why))


def main(tries):
    for each in tries:
        verb, *arguments = each.split(",")
        print(each, attempt(lambda verb=verb, arguments=arguments: VERBS[verb](*arguments)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
