"""HTTP/1.1 servers at 80, 8080 (plain), 443 and 8443 (TLS, one certificate for every name of the lab).

FOLDER/web.log has a line for each request: address and port it came to, scheme, sni, host, method, path, and the number of the
request on its connection. Paths:
    /hello             "hello from ADDRESS"          /count     reads a body, answers with its length and SHA-256
    /bytes/N           N bytes                       /slow      the head at once, the body when FOLDER/go is there
    /redirect?URL      302 to URL                    /chunked   three chunks
    /ws                a WebSocket that echoes (RFC 6455); a plain Upgrade: echo gives back bytes as they are
    /git/…             git http-backend over FOLDER/git
    other paths        files of FOLDER/www
"""
import asyncio
import base64
import hashlib
import os
import socket
import ssl
import struct
import urllib.parse

from log import Log

WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
CHUNK = bytes(65536)
TYPES = {".json": "application/json", ".html": "text/html"}


class Bad(Exception):
    """What the client sent is no request; its connection ends."""


class Request:
    def __init__(self, line, headers):
        try:
            self.method, self.target, self.version = line.split(" ", 2)
        except ValueError:
            raise Bad(line) from None
        self.headers = headers
        # A proxy's form of a request names the host in its target.
        self.path, _, self.query = (self.target if self.target.startswith("/") else "/" + self.target).partition("?")

    def has(self, header, word):
        return word in self.headers.get(header, "").lower()


async def read_request(reader):
    """The next request, or None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as why:
        if why.partial:
            raise Bad(repr(why.partial[:80])) from None
        return None
    except asyncio.LimitOverrunError:
        raise Bad("a long head") from None
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in filter(None, lines[1:]):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Request(lines[0], headers)


async def read_body(reader, writer, request):
    """The pieces of a request's body."""
    if request.has("expect", "100-continue"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if request.has("transfer-encoding", "chunked"):
        while size := int(await reader.readline(), 16):
            yield await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return
    left = int(request.headers.get("content-length", 0))
    while left > 0:
        data = await reader.read(min(left, 65536))
        if not data:
            raise Bad("a short body")
        left -= len(data)
        yield data


def head(status, **headers):
    lines = [f"HTTP/1.1 {status}"] + [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(writer, status, body, kind="text/plain"):
    writer.write(head(status, Content_Type=kind, Content_Length=len(body)) + body)


async def whole_body(connection, request):
    return b"".join([piece async for piece in read_body(connection.reader, connection.writer, request)])


async def hello(connection, _request):
    answer(connection.writer, "200 OK", f"hello from {connection.where['address']}\n".encode())


async def count(connection, request):
    total, digest = 0, hashlib.sha256()
    async for piece in read_body(connection.reader, connection.writer, request):
        total += len(piece)
        digest.update(piece)
    answer(connection.writer, "200 OK", f"{total} {digest.hexdigest()}\n".encode())


async def many_bytes(connection, request):
    left = int(request.path.rsplit("/", 1)[1])
    connection.writer.write(head("200 OK", Content_Type="application/octet-stream", Content_Length=left))
    while left > 0:
        connection.writer.write(CHUNK[:left])
        left -= min(left, len(CHUNK))
        await connection.writer.drain()


async def slow(connection, _request):
    connection.writer.write(head("200 OK", Content_Type="text/plain", Content_Length=5))
    while not os.path.exists(os.path.join(connection.folder, "go")):
        await asyncio.sleep(0.02)
    connection.writer.write(b"late\n")


async def redirect(connection, request):
    connection.writer.write(head("302 Found", Location=urllib.parse.unquote(request.query), Content_Length=0))


async def chunked(connection, _request):
    connection.writer.write(head("200 OK", Content_Type="text/plain", Transfer_Encoding="chunked"))
    for piece in b"one\n", b"two\n", b"three\n":
        connection.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    connection.writer.write(b"0\r\n\r\n")


async def raw_echo(connection):
    connection.writer.write(head("101 Switching Protocols", Connection="Upgrade", Upgrade="echo"))
    while data := await connection.reader.read(65536):
        connection.writer.write(data)
        await connection.writer.drain()


async def websocket(connection, request):
    """Echoes unfragmented text and binary messages until the client closes."""
    if not request.has("upgrade", "websocket"):
        return await raw_echo(connection)
    key = request.headers.get("sec-websocket-key", "").encode()
    accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET).digest()).decode()
    connection.writer.write(head("101 Switching Protocols", Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Accept=accept))
    while True:
        first, length = await connection.reader.readexactly(2)
        length &= 127
        if length == 126:
            length, = struct.unpack("!H", await connection.reader.readexactly(2))
        elif length == 127:
            length, = struct.unpack("!Q", await connection.reader.readexactly(8))
        mask = await connection.reader.readexactly(4)
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await connection.reader.readexactly(length)))
        size = bytes([length]) if length < 126 else b"\x7e" + struct.pack("!H", length)
        connection.writer.write(bytes([first]) + size + data)
        if first & 15 == 8:
            return


async def git(connection, request):
    environment = {
        "PATH": "/usr/bin:/bin", "GIT_PROJECT_ROOT": connection.folder + "/git", "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        "PATH_INFO": request.path.removeprefix("/git"), "QUERY_STRING": request.query, "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""), "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""), "REMOTE_USER": "lab",
    }
    body = await whole_body(connection, request)
    environment["CONTENT_LENGTH"] = str(len(body))
    child = await asyncio.create_subprocess_exec("git", "http-backend", env=environment, stdin=asyncio.subprocess.PIPE,
                                                 stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate(body)
    if child.returncode != 0:
        return answer(connection.writer, "500 Internal Server Error", b"git http-backend failed\n")
    headers, _, content = out.partition(b"\r\n\r\n")
    status, kept = b"200 OK", []
    for line in headers.split(b"\r\n"):
        if line.lower().startswith(b"status:"):
            status = line.split(b":", 1)[1].strip()
        else:
            kept.append(line)
    kept.append(b"Content-Length: %d" % len(content))
    connection.writer.write(b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(kept) + b"\r\n\r\n" + content)


async def files(connection, request):
    top = os.path.realpath(connection.folder + "/www")
    path = os.path.realpath(top + urllib.parse.unquote(request.path))
    if os.path.isdir(path):
        path += "/index.html"
    if not path.startswith(top + "/") or not os.path.isfile(path):
        return answer(connection.writer, "404 Not Found", b"not here\n")
    with open(path, "rb") as file:
        body = file.read()
    kind = TYPES.get(os.path.splitext(path)[1], "application/octet-stream")
    if request.method == "HEAD":
        return connection.writer.write(head("200 OK", Content_Type=kind, Content_Length=len(body)))
    return answer(connection.writer, "200 OK", body, kind)


PATHS = {"/hello": hello, "/count": count, "/bytes": many_bytes, "/slow": slow, "/redirect": redirect, "/chunked": chunked,
         "/ws": websocket, "/git": git}


class Connection:
    def __init__(self, reader, writer, folder, log):
        self.reader, self.writer, self.folder, self.log = reader, writer, folder, log
        own, tls = writer.get_extra_info("sockname"), writer.get_extra_info("ssl_object")
        self.where = {"address": own[0].removeprefix("::ffff:"), "port": own[1], "scheme": "https" if tls else "http"}
        if tls:
            self.where["sni"] = getattr(tls, "asked_for", None)

    async def serve(self):
        number = 0
        while request := await read_request(self.reader):
            number += 1
            self.log.write(event="request", method=request.method, path=request.path, host=request.headers.get("host"), number=number,
                           **self.where)
            handle = PATHS.get("/" + request.path.split("/")[1], files)
            await handle(self, request)
            await self.writer.drain()
            if handle is websocket or request.has("connection", "close") or request.version == "HTTP/1.0":
                return


def tls_context(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/tls/site.pem", folder + "/tls/site.key")

    def note(tls, name, _context):
        tls.asked_for = name

    context.sni_callback = note
    context.set_alpn_protocols(["http/1.1"])
    return context


async def start(folder):
    log = Log(folder, "web.log")

    async def connected(reader, writer):
        connection = Connection(reader, writer, folder, log)
        log.write(event="open", **connection.where)
        try:
            await connection.serve()
        except (Bad, ValueError) as why:
            log.write(event="bad", what=str(why), **connection.where)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:  # whatever went wrong here, the client is not left waiting
            writer.close()

    for port, context in (80, None), (8080, None), (443, tls_context(folder)), (8443, tls_context(folder)):
        handle = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        await asyncio.start_server(connected, sock=handle, ssl=context, limit=1 << 20, backlog=4096)
