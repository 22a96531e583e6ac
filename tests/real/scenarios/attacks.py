"""Clients that mean no good: slow ones, and floods of HTTP/2 frames. Others are served, memory stays where it was."""

import asyncio
import socket
import struct
import time
from pathlib import Path

from rig.frames import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, Ended, Http2, Stuck, block, frame, integer, request,
)
from rig.gateway import certificate, http, settings, start
from rig.process import Failed, application, expect, until
from rig.wire import Connection, ask, canary, closed_after

MIB = 1 << 20


async def check_slow_clients(folder: Path) -> str:
    """300 clients that never finish their head, and as many more in other ways: closed by 11 s, others served."""
    app = await application(folder)
    more = {"timeouts": {"body": "2s"}}
    gateway = await start(folder, settings(http(app.port), **more))
    secure = await start(folder, settings(http(app.port)), certificates=[await certificate(folder)], name="secure")

    async def drip(port, first: bytes, piece: bytes, every: float, limit=11.0):
        connection = await Connection(port).open(10)
        connection.writer.write(first)
        begin = time.monotonic()
        closing = asyncio.create_task(closed_after(connection.reader, limit))
        try:
            while not closing.done():
                if piece:
                    connection.writer.write(piece)
                await asyncio.wait([closing], timeout=every)
            closing.result()
            return time.monotonic() - begin
        finally:
            closing.cancel()
            connection.close()

    head = b"GET /open/hello HTTP/1.1\r\nHost: x\r\n"
    post = b"POST /open/sink HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    begin = [
        *[("head by drops", drip(gateway.port, head, b"X-A: b\r\n", 1)) for _ in range(300)],
        *[("half a request line", drip(gateway.port, b"GET /op", b"", 1)) for _ in range(50)],
        *[("half a body", drip(gateway.port, post, b"", 1, 5)) for _ in range(50)],
        *[("half a TLS hello", drip(secure.port, hello, b"", 1)) for _ in range(50)],
        *[("half a preface", drip(gateway.port, PREFACE[:20], b"", 1)) for _ in range(50)],
    ]
    before, cpu = gateway.memory(), gateway.cpu()
    async with canary(gateway.port, target="/open/hello") as others:
        results = await asyncio.gather(*(work for _, work in begin), return_exceptions=True)
    wrong = [f"{name}: {result}" for (name, _), result in zip(begin, results) if isinstance(result, Exception)]
    expect(not wrong, f"{len(wrong)} of {len(begin)}: {sorted(set(wrong))[:4]}")
    others.check()
    expect(others.p99() < 1, f"others waited {others.p99():.2f} s")
    grown = (gateway.memory() - before) / MIB
    expect(grown < 50, f"the gateway grew by {grown:.1f} MiB")
    heads = results[:300]
    return (
        f"{len(begin)} closed, heads after {min(heads):.1f} to {max(heads):.1f} s; others served {others.good} times, "
        f"p99 {others.p99() * 1000:.0f} ms; CPU {gateway.cpu() - cpu:.2f} s"
    )


async def check_slow_readers(folder: Path) -> str:
    """500 clients that ask for 50 MB and take nothing: little is held for each, and they are closed in the end."""
    app = await application(folder)
    more = {"timeouts": {"body": "3s"}, "upstream_settings": {"connections": 1000}}
    gateway = await start(folder, settings(http(app.port), **more))
    await ask(gateway.port, "GET", "/open/hello")
    before, open_before = gateway.peak_from_here(), gateway.descriptors()
    clients = []
    async with canary(gateway.port, target="/open/hello") as others:
        for _ in range(500):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(b"GET /open/big/50000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(client)
            await asyncio.sleep(0)
        await until(lambda: gateway.descriptors() > open_before + 500, 10, "the clients were not accepted")
        await until(lambda: gateway.descriptors() < open_before + 40, 15, "still held 15 s after they stopped reading")
    grown = (gateway.peak() - before) / MIB
    for client in clients:
        client.close()
    others.check()
    expect(grown < 50, f"the gateway grew by {grown:.1f} MiB for 500 clients")
    return f"+{grown:.1f} MiB for 500 clients, closed; others served {others.good} times, p99 {others.p99() * 1000:.0f} ms"


async def rapid_reset(link: Http2):
    """CVE-2023-44487: open and cancel, over and over."""
    cancel = struct.pack(">I", 8)
    for stream in range(1, 40_000, 2):
        await link.send(
            frame(HEADERS, END_HEADERS | END_STREAM, stream, block(request()))
            + frame(RST_STREAM, 0, stream, cancel)
        )
        if stream % 50 == 1:
            await asyncio.sleep(0.001)


async def made_you_reset(link: Http2):
    """CVE-2025-8671: open, then a wrong frame so that the server resets."""
    for stream in range(1, 40_000, 2):
        await link.send(
            frame(HEADERS, END_HEADERS | END_STREAM, stream, block(request("/open/slow/500")))
            + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0))
        )
        if stream % 50 == 1:
            await asyncio.sleep(0.001)


async def settings_flood(link: Http2):
    for _ in range(400):
        await link.send(frame(SETTINGS, payload=struct.pack(">HI", 4, 65535)) * 500)


async def ping_flood(link: Http2):
    for _ in range(400):
        await link.send(frame(PING, payload=b"12345678") * 500)


async def priority_flood(link: Http2):
    for number in range(400):
        await link.send(b"".join(frame(PRIORITY, 0, 2 * n + 1, struct.pack(">IB", 0, 9)) for n in range(500)))


async def continuation_flood(link: Http2):
    """RUSTSEC-2024-0332: a header block without end."""
    await link.send(frame(HEADERS, END_STREAM, 1, block(request())))
    piece = frame(CONTINUATION, 0, 1, block([("x-fill", "a" * 8000)]))
    for _ in range(20_000):
        await link.send(piece)


async def empty_continuations(link: Http2):
    await link.send(frame(HEADERS, END_STREAM, 1, block(request())))
    for _ in range(200):
        await link.send(frame(CONTINUATION, 0, 1) * 1000)


async def empty_data(link: Http2):
    """RUSTSEC-2026-0258: a body of nothing, without end."""
    await link.get(1, request("/open/sink", "POST"), end=False)
    for _ in range(400):
        await link.send(frame(DATA, 0, 1) * 500)


async def hpack_bomb(link: Http2):
    """One long field put into the table, then named thousands of times in each request."""
    name, value = b"x-bomb", b"b" * 3900
    planted = b"\x40" + integer(len(name), 7) + name + integer(len(value), 7) + value
    for stream in range(1, 400, 2):
        fields = block(request()) + (planted if stream == 1 else b"") + b"\xbe" * 12_000
        await link.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, fields))


async def slow_read(link: Http2):
    """Large answers asked for, never taken: the window stays shut."""
    for stream in range(1, 200, 2):
        await link.get(stream, request("/open/big/50000000"))
    await asyncio.sleep(3)


async def check_http2_slow(folder: Path) -> str:
    """The same time-outs as for HTTP/1: for heads, bodies either way, and connections that nobody uses."""
    app = await application(folder)
    timeouts = {"header": "2s", "body": "2s", "idle": "2s"}
    gateway = await start(folder, settings(http(app.port), timeouts=timeouts))

    async def over(link: Http2, name: str, stream=1):
        """Waits for the end of the stream or of the connection."""
        begin = time.monotonic()
        done = (RST_STREAM, GOAWAY)
        came = await link.find(lambda kind, _f, at, payload: kind in done or is_408(kind, at, payload, stream), 6)
        expect(came or link.over.is_set(), f"{name}: nothing happened for 6 s")
        return f"{name} {time.monotonic() - begin:.1f} s"

    def is_408(kind, at, payload, stream) -> bool:
        return kind == HEADERS and at == stream and b"408" in payload

    async def shut_window():
        async with Http2(gateway.port) as link:
            await link.greet(struct.pack(">HI", 4, 0))
            await link.get(1, request("/open/big/50000000"))
            begin = time.monotonic()
            await until(lambda: app.descriptors() > idle, 2, "the request did not arrive")
            # Whatever becomes of the stream: the application must be rid of it.
            await until(lambda: app.descriptors() <= idle, 6, "shut window: the application is held for more than 6 s")
            return f"shut window {time.monotonic() - begin:.1f} s"

    async def half_body():
        async with Http2(gateway.port) as link:
            await link.greet()
            await link.get(1, request("/open/sink", "POST", [("content-length", "1000")]), end=False)
            await link.send(frame(DATA, 0, 1, b"abc"))
            return await over(link, "half a body")

    async def unused():
        async with Http2(gateway.port) as link:
            await link.greet()
            await link.get(1, request())
            return await over(link, "unused")

    async def silent():
        async with Http2(gateway.port) as link:
            await link.greet()
            return await over(link, "nothing asked")

    async def by_drops():
        async with Http2(gateway.port) as link:
            await link.greet()
            begin = time.monotonic()
            data = frame(HEADERS, END_HEADERS | END_STREAM, 1, block(request(more=[("x-fill", "a" * 200)])))
            try:
                for at in range(0, 200, 10):
                    await link.send(data[at : at + 10])
                    await asyncio.sleep(0.5)
            except Ended:
                pass
            took = time.monotonic() - begin
            expect(took < 6, f"HEADERS by drops: still open after {took:.1f} s")
            return f"HEADERS by drops {took:.1f} s"

    idle = app.descriptors()
    first = await asyncio.gather(shut_window(), return_exceptions=True)
    async with canary(gateway.port, target="/open/hello") as others:
        ends = await asyncio.gather(half_body(), unused(), silent(), by_drops(), return_exceptions=True)
    ends = first + ends
    wrong = [str(end) for end in ends if isinstance(end, Exception)]
    expect(not wrong, "; ".join(wrong))
    others.check()
    return "ended after: " + ", ".join(ends)


FLOODS = {
    "rapid reset": (rapid_reset, 2000),
    "made you reset": (made_you_reset, 2000),
    "SETTINGS": (settings_flood, None),
    "PING": (ping_flood, None),
    "PRIORITY": (priority_flood, None),
    "CONTINUATION": (continuation_flood, None),
    "empty CONTINUATION": (empty_continuations, None),
    "empty DATA": (empty_data, None),
    "HPACK bomb": (hpack_bomb, None),
    "slow read": (slow_read, None),
}
# What never may go on: the server must close.
MUST_CLOSE = {"rapid reset", "made you reset", "CONTINUATION", "empty CONTINUATION"}


async def check_http2_floods(folder: Path) -> str:
    app = await application(folder)
    # Slow readers each hold a connection to the application: there must be more of those than slow readers.
    gateway = await start(folder, settings(http(app.port), upstream_settings={"connections": 1000}))
    async with canary(gateway.port, target="/open/hello") as others:
        await asyncio.sleep(0.5)
        before = gateway.peak_from_here()
        outcomes, half = [], asyncio.create_task(half_headers(gateway.port))
        for name, (flood, limit) in FLOODS.items():
            outcomes.append(f"{name}: {await outcome(gateway, name, flood, limit)}")
            alone = max(others.times[-20:], default=0)
            expect(alone < 2, f"during {name} others waited {alone:.2f} s")
        grown = (gateway.peak() - before) / MIB
        waited = await half
    others.check()
    expect(grown < 50, f"the gateway grew by {grown:.1f} MiB")
    return f"+{grown:.1f} MiB at most, others {others.good} times, p99 {others.p99() * 1000:.0f} ms; half HEADERS closed after {waited:.1f} s; {'; '.join(outcomes)}"


async def outcome(gateway, name, flood, limit) -> str:
    """Runs one flood on four connections; says how the first ended."""

    async def one():
        sent = 0
        async with Http2(gateway.port, reading=name != "slow read") as link:
            send = link.send

            async def counting(data):
                nonlocal sent
                await send(data)
                sent += 1

            await link.greet(struct.pack(">HI", 4, 0) if name == "slow read" else b"")
            link.send = counting
            try:
                await asyncio.wait_for(flood(link), 8)
                # What was sent may still be on its way: the end may come a moment later.
                await asyncio.wait([asyncio.ensure_future(link.over.wait())], timeout=1)
                if link.over.is_set():
                    raise Ended(link.goaway)
            except Ended as end:
                if limit:
                    expect(end.code in (ENHANCE_YOUR_CALM, 1, None), f"{name}: GOAWAY {end.code}")
                    expect(sent <= limit * 1.2, f"{name}: closed only after {sent} resets")
                return f"closed after {sent}, GOAWAY {end.code}"
            except Stuck:
                return f"held back after {sent}"
            except asyncio.TimeoutError:
                pass
            expect(name not in MUST_CLOSE, f"{name}: still open after {sent}")
            return f"borne, {sent}"

    results = await asyncio.gather(*(one() for _ in range(4)), return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results[0]


async def half_headers(port: int) -> float:
    """A HEADERS frame without END_HEADERS, and nothing more."""
    async with Http2(port) as link:
        await link.greet()
        await asyncio.sleep(0.1)
        await link.send(frame(HEADERS, END_STREAM, 1, block(request())))
        try:
            return await link.ends(11.5)
        except Failed as failure:
            raise Failed(f"half-sent HEADERS: {failure}") from None
