"""What can go wrong behind the gateway: killed, silent, reset, truncated, garbage. Each has one answer."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path

from rig.gateway import http, settings, start
from rig.process import application, expect, free_port, until
from rig.wire import Connection, Load, Truncated, ask


async def check_upstream_killed(folder: Path) -> str:
    """kill -9 for a second, twice: no GET fails; a POST fails with 502 and never happens twice."""
    app = await application(folder)
    port = app.port
    gateway = await start(folder, settings(http(port)))
    recovery = []
    async with (
        Load(gateway.port, "/open/hello", connections=8) as gets,
        Load(gateway.port, "/open/hello", connections=2, method="POST", body=b"x", pause=0.01) as posts,
    ):
        for turn in range(2):
            before = gets.good
            await until(lambda: gets.good > before + 200, 20, "no load")
            app.kill()
            await asyncio.sleep(1)
            app = await application(folder, port, f"app-{turn}")
            begin, before = time.monotonic(), gets.good
            await until(lambda: gets.good > before, 5, "no GET answered after the upstream is back")
            recovery.append(time.monotonic() - begin)
            await asyncio.sleep(0.3)
    odd = [failure for failure in posts.failures if not failure.startswith(("502", "503"))]
    expect(not odd, f"POST: {odd[:3]}")
    expect(not gets.failures, f"{len(gets.failures)} of {gets.good} GET failed: {gets.failures[:3]}")
    expect(gets.worst() < 3, f"a GET took {gets.worst():.2f} s")
    return (
        f"0 of {gets.good} GET failed, slowest {gets.worst():.2f} s, {len(posts.failures)} of {posts.good} POST refused, "
        f"back after {max(recovery) * 1000:.0f} ms"
    )


async def check_post_never_doubled(folder: Path) -> str:
    """A kept connection that the upstream closes instead of answering: a GET is sent again, a POST never."""
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port), workers=1))

    async def dropped(method: str, key: str):
        """Sends a request over a connection that was used before, which the upstream then drops."""
        await ask(gateway.port, "GET", "/open/hello")
        answer = await ask(gateway.port, method, f"/open/drop/{key}", body=b"" if method == "GET" else b"order")
        return answer, (await ask(app.port, "GET", f"/counted/{key}")).json()["count"]

    for number in range(20):
        answer, count = await dropped("POST", f"post-{number}")
        expect((answer.status, count) == (502, 1), f"POST {number}: {answer.status}, arrived {count} times")
        answer, count = await dropped("GET", f"get-{number}")
        expect((answer.status, count) == (200, 2), f"GET {number}: {answer.status}, arrived {count} times")
    return "20 POST dropped: each arrived once and is 502; 20 GET dropped: each sent again, 200"


async def check_upstream_silent(folder: Path) -> str:
    """An upstream that accepts and never answers: 504 at the configured time, the others are served meanwhile."""
    app = await application(folder)
    stuck, mute = free_port(), []

    async def swallow(reader, writer):
        mute.append(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass

    server = await asyncio.start_server(swallow, "127.0.0.1", stuck)
    config = settings(http(app.port))
    config["upstreams"]["stuck"] = {"servers": [http(stuck)], "timeouts": {"response": "1s"}}
    # A listener whose queue is full drops further connections: here even the connection does not come.
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(8)]
    for client in waiting:
        client.setblocking(False)
        client.connect_ex(full.getsockname())
    config["upstreams"]["full"] = {"servers": [http(full.getsockname()[1])], "timeouts": {"connect": "1s"}}
    config["upstreams"]["away"] = {"servers": [http(free_port())]}
    for name in ("stuck", "full", "away"):
        config["routes"].insert(0, {"path": f"/{name}", "access": "public", "upstream": name})
    gateway = await start(folder, config)
    async with Load(gateway.port, "/open/hello", connections=2) as others:
        begin = time.monotonic()
        answers = await asyncio.gather(*(ask(gateway.port, "GET", "/stuck") for _ in range(10)))
        took = time.monotonic() - begin
        statuses = {answer.status for answer in answers}
        expect(statuses == {504}, f"a silent upstream gives {statuses}")
        expect(0.9 < took < 3, f"504 after {took:.2f} s, configured is 1 s")
        posted = await ask(gateway.port, "POST", "/stuck", body=b"x")
        expect(posted.status == 504, f"POST to a silent upstream: {posted.status}")
        begin = time.monotonic()
        late = await ask(gateway.port, "POST", "/full", body=b"x")
        connect = time.monotonic() - begin
        expect(late.status == 504 and 0.9 < connect < 3, f"no connection: {late.status} after {connect:.2f} s")
        refused = await ask(gateway.port, "POST", "/away", body=b"x")
        expect(refused.status in (502, 503), f"an upstream that refuses: {refused.status}")
    others.check()
    text = " ".join(answer.text() for answer in [*answers, late, refused])
    expect("127.0.0.1" not in text and str(stuck) not in text, f"the page tells an address: {text[:200]}")
    for client in [*waiting, full, server]:
        client.close()
    return f"504 after {took:.2f} s, without a connection after {connect:.2f} s, others served {others.good} times, slowest {others.worst():.2f} s"


async def check_upstream_broken(folder: Path) -> str:
    """Answers that are not HTTP are 502; a body that breaks off is visibly broken; nothing of it is used again."""
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port)))
    bad = ["garbage", "empty", "half-head", "two-lengths", "length-and-chunked", "bad-status", "unasked-101", "huge-head"]
    bad += ["null-in-header"]
    for name in bad:
        for method in ("GET", "POST"):
            answer = await ask(gateway.port, method, f"/open/raw/{name}")
            expect(answer.status == 502, f"{method} with upstream answer {name}: {answer.status} {answer.headers}")
            after = await ask(gateway.port, "GET", "/open/hello")
            expect(after.body == b"hello\n", f"after {name}: {after}")
    answer = await ask(gateway.port, "GET", "/open/reset")
    expect(answer.status == 502, f"upstream reset: {answer.status}")
    for name in ("truncated", "truncated-chunked", "bad-chunk"):
        try:
            answer = await ask(gateway.port, "GET", f"/open/raw/{name}")
            expect(answer.status == 502, f"{name}: a clean end: {answer}")
        except (Truncated, ConnectionError):
            pass
        after = await ask(gateway.port, "GET", "/open/hello")
        expect(after.body == b"hello\n", f"after {name}: {after}")
    return f"{len(bad) + 1} kinds of bad answer are 502, 3 kinds of truncation visible"


async def check_client_gone(folder: Path) -> str:
    """A client that goes away frees its upstream connection."""
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port)))
    streams = [await Connection(gateway.port).open() for _ in range(20)]
    for stream in streams:
        stream.send("GET", "/open/events")
    for stream in streams:
        await asyncio.wait_for(stream.reader.readuntil(b"data: 0\n\n"), 5)
    begin = time.monotonic()
    for stream in streams:
        stream.close()

    async def all_gone():
        return (await ask(app.port, "GET", "/gone")).json()["gone"] == len(streams)

    await until(all_gone, 3, "the upstream still writes 3 s after the clients went away")
    took = time.monotonic() - begin
    expect(took < 1.5, f"noticed after {took:.2f} s")
    return f"20 streams ended upstream after {took:.2f} s"
