"""HTTP/2 by hand (RFC 9113): any frame, right or wrong, over plain TCP with prior knowledge.

In: frames to send. Out: frames as they come, and how the connection ended.
"""

import asyncio
import contextlib
import struct
import time

from rig.process import Failed

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, _, STREAM_CLOSED, FRAME_SIZE_ERROR = range(7)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, _, ENHANCE_YOUR_CALM = range(7, 12)


def frame(kind: int, flags=0, stream=0, payload=b"") -> bytes:
    """One frame as bytes (section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(value: int, bits: int, first=0) -> bytes:
    """An integer with a prefix of so many bits (RFC 7541, section 5.1)."""
    top = (1 << bits) - 1
    if value < top:
        return bytes([first | value])
    out, value = [first | top], value - top
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def block(pairs, never_indexed=True) -> bytes:
    """A header block: every field spelled out (RFC 7541, section 6.2.2), or kept in the table (6.2.1)."""
    out = b""
    for name, value in pairs:
        name, value = (part.encode("latin-1") if isinstance(part, str) else part for part in (name, value))
        out += bytes([0x00 if never_indexed else 0x40])
        out += integer(len(name), 7) + name + integer(len(value), 7) + value
    return out


def request(target="/open/hello", method="GET", more=(), authority="localhost") -> list:
    """The fields of a request."""
    return [(":method", method), (":scheme", "http"), (":authority", authority), (":path", target), *more]


class Ended(Exception):
    """The server closed the connection; `code` is what its GOAWAY said, if it sent one."""

    def __init__(self, code):
        super().__init__(f"closed, GOAWAY {code}")
        self.code = code


class Http2:
    """A connection. What the server sends is read in the background, so that it can never block on us."""

    def __init__(self, port: int, reading=True):
        self.port, self.reading = port, reading
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.goaway = None
        self.over = asyncio.Event()
        self.news = asyncio.Event()
        self.began = time.monotonic()
        self.ended_after = None

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        self.began = time.monotonic()
        self._task = asyncio.create_task(self._read()) if self.reading else None
        return self

    async def __aexit__(self, *_):
        if self._task:
            self._task.cancel()
        self.writer.transport.abort()

    async def _read(self):
        try:
            while True:
                head = await self.reader.readexactly(9)
                size = int.from_bytes(head[:3], "big")
                payload = await self.reader.readexactly(size)
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
                if kind == GOAWAY:
                    self.goaway = int.from_bytes(payload[4:8], "big")
                if len(self.frames) < 5000:
                    self.frames.append((kind, flags, stream, payload))
                self.news.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended_after = time.monotonic() - self.began
            self.over.set()
            self.news.set()

    async def greet(self, settings=b""):
        """The preface and our SETTINGS."""
        await self.send(PREFACE + frame(SETTINGS, payload=settings))

    async def send(self, data: bytes):
        """Sends; `Ended` when the server has closed."""
        if self.over.is_set() or self.goaway not in (None, NO_ERROR):
            raise Ended(self.goaway)
        try:
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), 3)
        except ConnectionError:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.over.wait(), 1)
            raise Ended(self.goaway) from None
        except asyncio.TimeoutError:
            raise Stuck from None

    async def get(self, stream: int, pairs, end=True):
        """Opens a stream."""
        await self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(pairs)))

    async def find(self, condition, seconds=3):
        """Waits for a frame; None when it does not come or the connection ends first."""
        deadline = time.monotonic() + seconds
        while True:
            for one in self.frames:
                if condition(*one):
                    return one
            if self.over.is_set() or time.monotonic() > deadline:
                return None
            self.news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.news.wait(), max(0.001, deadline - time.monotonic()))

    async def ends(self, seconds: float) -> float:
        """Waits until the server has closed; returns the seconds since the connection began."""
        try:
            await asyncio.wait_for(self.over.wait(), seconds)
        except asyncio.TimeoutError:
            raise Failed(f"still open after {seconds} s (GOAWAY {self.goaway})") from None
        return self.ended_after


class Stuck(Exception):
    """The server does not read any more: it holds us back instead of storing."""
