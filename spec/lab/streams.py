"""TCP servers that do one thing each to a connection. FOLDER/streams.log has a line when one begins ("open") and one when it
ended ("end": "eof" or "reset", "bytes": how many came).

      7  echo, each way ends by itself         19  as many bytes as the client asked for in its first line
     22  ssh (dropbear, when it is there)      25  a greeting, as mail servers send
   2001  reset at the first byte             2002  says "first\\n", ends its own direction, reads on
   2003  reads to the end, then "N bytes\\n"   2004  reads, says nothing
   2005  closes at once                      2006  resets at once
   2007  reads nothing for a minute           2022  an ssh greeting, then echo
   5432  FOLDER/postgres/.s.PGSQL.5432, a database that a spec started
   9418  git's own protocol
"""
import asyncio
import os
import shutil
import socket
import struct

from log import Log

GREETING = b"SSH-2.0-lab\r\n"
CHUNK = bytes(range(256)) * 256
BACKLOG = 4096  # a crowd that comes at once is not kept waiting for retransmissions


class Stream:
    """One connection: counts what comes, notes how it ended."""

    def __init__(self, reader, writer, log):
        self.reader, self.writer, self.log, self.bytes, self.end = reader, writer, log, 0, "eof"
        own = writer.get_extra_info("sockname")
        self.where = {"address": own[0].removeprefix("::ffff:"), "port": own[1]}

    async def read(self, most=65536):
        data = await self.reader.read(most)
        self.bytes += len(data)
        return data

    async def drain(self):
        while await self.read():
            pass

    def reset(self):
        handle = self.writer.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def echo(stream):
    while data := await stream.read():
        stream.writer.write(data)
        await stream.writer.drain()
    stream.writer.write_eof()


async def generate(stream):
    left = int(await stream.reader.readline() or 0)
    while left > 0:
        stream.writer.write(CHUNK[:left])
        left -= min(left, len(CHUNK))
        await stream.writer.drain()
    stream.writer.write_eof()
    await stream.drain()


async def greet(stream, text):
    stream.writer.write(text)
    await echo(stream)


async def reset_at_once(stream):
    await stream.read(1)
    stream.reset()


async def refuse(stream):
    stream.reset()


async def stay(_stream):
    await asyncio.sleep(60)


async def half_close(stream):
    stream.writer.write(b"first\n")
    stream.writer.write_eof()
    await stream.drain()


async def count(stream):
    await stream.drain()
    stream.writer.write(b"%d bytes\n" % stream.bytes)


async def close(stream):
    stream.writer.close()


async def pump(source, target):
    """Copies until the end, which it hands on."""
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()
    except (ConnectionError, OSError):
        target.close()


async def join(stream, reader, writer):
    await asyncio.gather(pump(stream.reader, writer), pump(reader, stream.writer))


async def database(stream, folder):
    path = os.path.join(folder, "postgres", ".s.PGSQL.5432")
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return stream.reset()
    return await join(stream, reader, writer)


async def program(stream, command):
    """A server that speaks on its standard input and output, as inetd starts them: it gets the socket itself."""
    handle = stream.writer.get_extra_info("socket")
    stream.writer.transport.pause_reading()
    child = await asyncio.create_subprocess_exec(*command, stdin=handle.fileno(), stdout=handle.fileno(),
                                                 stderr=asyncio.subprocess.DEVNULL)
    await child.wait()


def ssh(folder):
    dropbear = shutil.which("dropbear", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not dropbear:
        return lambda stream: greet(stream, GREETING)
    # No password, no forwarding, only git's commands: whoever holds the lab's key gets nothing else.
    command = [dropbear, "-i", "-s", "-g", "-j", "-k", "-m", "-r", folder + "/ssh/host",
               "-c", 'exec git-shell -c "$SSH_ORIGINAL_COMMAND"']
    return lambda stream: program(stream, command)


async def start(folder):
    log = Log(folder, "streams.log")
    git = ["git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--base-path=" + folder + "/git"]
    servers = {7: echo, 19: generate, 22: ssh(folder), 25: lambda s: greet(s, b"220 lab ESMTP\r\n"), 2001: reset_at_once,
               2002: half_close, 2003: count, 2004: Stream.drain, 2005: close, 2006: refuse, 2007: stay, 2022: lambda s: greet(s, GREETING),
               5432: lambda s: database(s, folder), 9418: lambda s: program(s, git)}
    for port, serve in servers.items():
        await listen(port, serve, log)


async def listen(port, serve, log):
    async def connected(reader, writer):
        stream = Stream(reader, writer, log)
        log.write(event="open", **stream.where)
        try:
            await serve(stream)
        except (OSError, ValueError):  # OSError: ENOTCONN, of a direction that a reset has ended
            stream.end = "reset"
        log.write(event="end", end=stream.end, bytes=stream.bytes, **stream.where)
        writer.close()

    # One socket for both families; dual by default.
    handle = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    await asyncio.start_server(connected, sock=handle, backlog=BACKLOG)
