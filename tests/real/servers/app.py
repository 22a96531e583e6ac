"""A small HTTP/1.1 application with every behaviour the scenarios need, good and bad.

In: `--port N` or `--socket PATH`, and `--name`. Out: answers by path (see `ANSWERS`). TERM stops it as a careful server
does: no new connections, requests under way finish, idle connections are closed.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import struct

NAME = "app"
COUNTS: dict[str, int] = {}
GONE: list[str] = []
BUSY: set[asyncio.StreamWriter] = set()
OPEN: set[asyncio.StreamWriter] = set()
STOPPING = asyncio.Event()
PIECE = b"x" * 65536


class Request:
    """One request: its head, and its body piece by piece."""

    def __init__(self, head: bytes, reader, writer, number: int):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ", 2)
        self.pairs = [tuple(line.split(":", 1)) for line in lines[1:] if line]
        self.pairs = [(name, value.strip()) for name, value in self.pairs]
        self.headers = {name.lower(): value for name, value in self.pairs}
        self.reader, self.writer, self.number = reader, writer, number
        self.path = self.target.split("?")[0].strip("/").split("/")
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"

    async def body(self):
        """The pieces of the body; asks for it first when the client waits for that."""
        if self.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self.writer.drain()
        if self.chunked:
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while (await self.reader.readline()).strip():
                pass
            return
        left = int(self.headers.get("content-length", 0))
        while left:
            piece = await self.reader.read(min(left, 1 << 20))
            if not piece:
                raise ConnectionError("the client went away")
            left -= len(piece)
            yield piece

    def send(self, body: bytes, status="200 OK", headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", f"X-Served-By: {NAME}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if self.method == "HEAD":
            body = b""
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)

    def send_json(self, value):
        self.send(json.dumps(value).encode(), headers=[("Content-Type", "application/json")])


async def drop_body(request):
    async for _ in request.body():
        pass


async def hello(request):
    await drop_body(request)
    request.send(b"hello\n", headers=[("Content-Type", "text/plain")])


async def headers(request):
    await drop_body(request)
    request.send_json({"method": request.method, "target": request.target, "headers": request.pairs})


async def slow(request):
    await drop_body(request)
    await asyncio.sleep(int(request.path[1]) / 1000)
    request.send(b"slow\n")


async def echo(request):
    pieces = [piece async for piece in request.body()]
    if not request.chunked:
        return request.send(b"".join(pieces))
    request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in pieces:
        request.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    request.writer.write(b"0\r\n\r\n")


async def sink(request):
    size, digest = 0, hashlib.sha256()
    async for piece in request.body():
        size += len(piece)
        digest.update(piece)
    request.send_json({"bytes": size, "sha256": digest.hexdigest(), "chunked": request.chunked})


async def big(request):
    await drop_body(request)
    left = int(request.path[1])
    request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
    while left:
        request.writer.write(PIECE[: min(left, len(PIECE))])
        left -= min(left, len(PIECE))
        await request.writer.drain()


async def events(request):
    request.writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    try:
        for number in range(600):
            event = b"data: %d\n\n" % number
            request.writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await request.writer.drain()
            await asyncio.sleep(0.1)
        request.writer.write(b"0\r\n\r\n")
    except ConnectionError:
        GONE.append(request.target)
        raise


async def gone(request):
    """How many event streams lost their reader."""
    request.send_json({"gone": len(GONE)})


async def count(request):
    """Counts how often a request with this key arrived, body and all."""
    await drop_body(request)
    key = request.path[1]
    COUNTS[key] = COUNTS.get(key, 0) + 1
    request.send_json({"count": COUNTS[key]})


async def counted(request):
    request.send_json({"count": COUNTS.get(request.path[1], 0)})


async def drop(request):
    """Counts, and breaks off without an answer unless this is the connection's first request."""
    await drop_body(request)
    key = request.path[1]
    COUNTS[key] = COUNTS.get(key, 0) + 1
    if request.number:
        raise ConnectionError("as asked")
    request.send_json({"count": COUNTS[key]})


async def silent(request):
    await drop_body(request)
    await asyncio.sleep(120)


async def reset(request):
    """Breaks off with a TCP reset, nothing answered."""
    sock = request.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.writer.transport.abort()
    raise ConnectionError("as asked")


async def raw(request):
    """Sends what the last path segment names, then closes."""
    await drop_body(request)
    request.writer.write(RAW[request.path[1]])
    await request.writer.drain()
    raise ConnectionError("as asked")


RAW = {
    "truncated": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
    "truncated-chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "garbage": b"\x16\x03\x01 this is not HTTP\r\n\r\n",
    "empty": b"",
    "half-head": b"HTTP/1.1 200 OK\r\nContent-",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
    "length-and-chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
    "bad-status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "unasked-101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "huge-head": b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "bare-lf-header": b"HTTP/1.1 200 OK\r\nX-A: b\nX-Auth: c\r\nContent-Length: 0\r\n\r\n",
    "null-in-header": b"HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n",
}


async def websocket(request):
    """Echoes WebSocket messages until either side closes."""
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    key = request.headers["sec-websocket-key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + guid).digest())
    request.writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    while True:
        first, second = await request.reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", await request.reader.readexactly(2))
        mask = await request.reader.readexactly(4)
        data = await request.reader.readexactly(size)
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        head = bytes([first, size]) if size < 126 else bytes([first, 126]) + struct.pack(">H", size)
        request.writer.write(head + data)
        await request.writer.drain()
        if first & 15 == 8:
            raise ConnectionError("closed by the client")


ANSWERS = {
    "hello": hello,
    "headers": headers,
    "slow": slow,
    "echo": echo,
    "sink": sink,
    "big": big,
    "events": events,
    "gone": gone,
    "count": count,
    "counted": counted,
    "drop": drop,
    "silent": silent,
    "reset": reset,
    "raw": raw,
    "ws": websocket,
}


async def converse(reader, writer):
    OPEN.add(writer)
    number = 0
    try:
        while not STOPPING.is_set():
            head = await reader.readuntil(b"\r\n\r\n")
            BUSY.add(writer)
            request = Request(head[:-4], reader, writer, number)
            number += 1
            await ANSWERS.get(request.path[0], hello)(request)
            await writer.drain()
            BUSY.discard(writer)
            if request.version == "HTTP/1.0" or request.headers.get("connection", "").lower() == "close":
                break
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        BUSY.discard(writer)
        OPEN.discard(writer)
        writer.close()


async def main():
    global NAME
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--socket")
    parser.add_argument("--name", default="app")
    options = parser.parse_args()
    NAME = options.name
    if options.socket:
        server = await asyncio.start_unix_server(converse, options.socket)
    else:
        server = await asyncio.start_server(converse, "127.0.0.1", options.port, backlog=4096)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, STOPPING.set)
    await STOPPING.wait()
    server.close()
    while BUSY:
        await asyncio.sleep(0.02)
    for writer in list(OPEN):
        writer.close()
    await asyncio.sleep(0.05)
    os._exit(0)


asyncio.run(main())
