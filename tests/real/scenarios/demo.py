"""`cloakroom demo`, as somebody who has just built it: no file, no network, everything that it says can be tried."""

import asyncio
import re
import signal
from pathlib import Path

from rig.gateway import BINARY
from rig.process import Process, expect, listening, until
from rig.wire import Connection, Jar
from scenarios.nginx import WebSocket


async def check_demo(folder: Path) -> str:
    process = Process([BINARY, "demo"], folder, "demo")

    def told():
        expect(process.alive(), f"the demo ended: {process.tail()}")
        return re.search(r"(?i)password\W+(\S+)", process.text())

    password = (await until(told, 15, lambda: f"no password was printed: {process.tail()}")).group(1)
    text = process.text()
    url = re.search(r"http://(localhost|127\.0\.0\.1):(\d+)", text)
    user = re.search(r"(?i)user(?:name)?\W+(\S+)", text)
    expect(url and user, f"no URL or no user was printed: {text}")
    port, user = int(url.group(2)), user.group(1)

    await listening(process, port)
    jar = Jar(port)
    expect((await jar.ask("GET", "/")).status == 401, "the demo application is open to everybody")
    answer = await jar.login(user, password, "/")
    expect(answer.header("location", "").endswith("/"), f"login led to {answer.header('location')}")
    _, page = await jar.page("/")
    expect(page.status == 200 and user in page.text(), f"the page does not greet {user}: {page.text()[:200]}")
    expect("X-Auth-User" in page.text() or "x-auth-user" in page.text(), "the page does not show the headers")
    token = next(iter(jar.cookies.values()))
    expect(token not in page.text(), "the application saw the session cookie")

    # A page for everybody, one for a group she is in, one for a group she is not in.
    for path, status in [("/public/", 200), ("/staff/", 200), ("/finance/", 403)]:
        answer = await jar.ask("GET", path)
        expect(answer.status == status, f"GET {path}: {answer.status}")
    socket = await WebSocket.open(port, "/echo", jar.fields())
    for text in ("hello", "안녕"):
        expect(await socket.say(text) == text, f"the WebSocket does not echo {text}")
    stream = await Connection(port).open()
    stream.send("GET", "/events", jar.fields([("Accept", "text/event-stream")]))
    head = await asyncio.wait_for(stream.reader.readuntil(b"\r\n\r\n"), 3)
    expect(b"text/event-stream" in head.lower(), f"GET /events: {head[:200]}")
    for _ in range(2):
        await asyncio.wait_for(stream.reader.readuntil(b"\n\n"), 5)
    await jar.logout()
    await socket.closed(1.5)
    expect((await jar.ask("GET", "/")).status == 401, "still logged in after logout")
    process.signal(signal.SIGINT)
    expect(await process.ended(5) == 0, f"exit {process.child.returncode} after an interrupt")
    return f"{user} greeted at port {port}, WebSocket and events work and end with the session"
