"""Sessions in memory: across restarts, in a flood, and as an operator sees them."""

import asyncio
import re
import time
from pathlib import Path

from rig.gateway import BINARY, needs, start
from rig.process import Process, command, expect, listening, until
from rig.wire import Connection
from scenarios.ledger import configuration, logins
from scenarios.stores import Visitor


async def many(gateway, count: int) -> list[str]:
    """So many people log in; their cookies."""
    cookies, numbers = [], iter(range(count))

    async def client():
        connection = Connection(gateway.port)
        for number in numbers:
            answer = await connection.ask("GET", f"/in/user{number}")
            cookies.append((answer.header("set-cookie").split(";")[0], f"user{number}"))
        connection.close()

    await asyncio.gather(*[client() for _ in range(8)])
    return cookies


async def known(gateway, cookies) -> int:
    """How many of them the gateway still knows."""
    found, position = 0, iter(cookies)

    async def client():
        nonlocal found
        connection = Connection(gateway.port)
        for cookie, user in position:
            answer = await connection.ask("GET", "/who", [("Cookie", cookie)])
            found += answer.status == 200 and answer.text() == user
        connection.close()

    await asyncio.gather(*[client() for _ in range(8)])
    return found


async def check_snapshot(folder: Path) -> str:
    server = await logins()
    file = folder / "sessions.snapshot"
    config = configuration(server, {"memory": {"snapshot": str(file)}})
    gateway = await start(folder, config)
    cookies = await many(gateway, 3000)
    out = Visitor(cookies.pop()[0])
    await out.ask(gateway, "/out")
    await gateway.stop()
    expect(file.exists() and file.stat().st_mode & 0o777 == 0o600, "no snapshot that only its owner can read")
    sealed = file.read_bytes()
    expect(all(cookie.split("=")[1].encode() not in sealed for cookie, _ in cookies[:100]), "an id stands in the file")
    expect(b"user17" not in sealed, "a user stands in the file")
    gateway = await gateway.again(folder, "again").ready()
    # At once: whoever comes before everything is read waits for it.
    expect(await known(gateway, cookies) == len(cookies), "somebody was signed out by the restart")
    expect((await out.ask(gateway)).text() == "", "a logout was undone by the restart")
    await gateway.stop()

    whole = file.read_bytes()
    for what, spoiled in {"torn": whole[: len(whole) // 2], "changed": whole[:99] + b"x" + whole[100:], "foreign": b"PNG"}.items():
        file.write_bytes(spoiled)
        gateway = await gateway.again(folder, what).ready()
        await until(lambda: "refused" in gateway.text(), 5, f"a {what} snapshot is not complained of: {gateway.tail()}")
        expect((await Visitor(cookies[0][0]).ask(gateway)).text() == "", f"a {what} snapshot let somebody in")
        aside = file.with_name(file.name + ".refused")
        expect(aside.read_bytes() == spoiled, "what was refused is not kept")
        await gateway.stop()
    return f"{len(cookies)} sessions in {len(whole) >> 10} KiB: nobody signed out by a restart, 3 kinds of bad files refused and kept"


async def check_flood(folder: Path) -> str:
    """Two million requests of visitors who get a session each push out nobody who is logged in."""
    server = await logins()
    config = configuration(server, {"create": "always"})
    config["workers"] = 1
    gateway = await start(folder, config)
    cookies = await many(gateway, 10_000)
    before = gateway.memory()
    port = server.sockets[0].getsockname()[1]
    server.close()
    nginx = folder / "nginx.conf"
    nginx.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;\n"
        "events { worker_connections 1024; }\nhttp { access_log off; keepalive_requests 10000000;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }} }} }}\n"
    )
    await listening(Process([needs("nginx"), "-c", nginx, "-p", folder], folder, "nginx"), port)
    sent = 0
    begun = time.monotonic()
    while sent < 2_000_000 and time.monotonic() - begun < 110:
        _, out, err = await command(needs("wrk"), "-t1", "-c32", "-d10s", f"http://127.0.0.1:{gateway.port}/")
        sent += int(re.search(r"(\d+) requests in", out)[1])
        expect("Non-2xx" not in out, f"some were refused: {out} {err}")
    grown = (gateway.memory() - before) / (1 << 20)
    # The application is another one now, which says nothing: what counts is that no cookie is taken for nobody's.
    left, position = 0, iter(cookies)

    async def client():
        nonlocal left
        connection = Connection(gateway.port)
        for cookie, _ in position:
            answer = await connection.ask("GET", "/_cloakroom/session", [("Cookie", cookie)])
            left += b'"user":"user' in answer.body
        connection.close()

    await asyncio.gather(*[client() for _ in range(8)])
    expect(left == len(cookies), f"{len(cookies) - left} of {len(cookies)} people were pushed out")
    expect(grown < 128, f"the gateway grew by {grown:.0f} MiB")
    expect(sent > 1_000_000, f"only {sent} requests")
    return f"{sent:,} anonymous sessions made, 10,000 people stayed, +{grown:.0f} MiB"


async def check_operator(folder: Path) -> str:
    """`cloakroom sessions`: list, show, revoke by id, by user, all; obeyed at once."""
    server = await logins()
    gateway = await start(folder, configuration(server, {}))
    alice, bob = await Visitor().login(gateway, "alice"), await Visitor().login(gateway, "bob")

    async def cloakroom(*words, code=0):
        got, out, err = await command(BINARY, "sessions", *words, "-c", gateway.file)
        expect(got == code, f"sessions {words}: exit code {got}: {out} {err}")
        return out if code == 0 else err

    listed = await cloakroom("list")
    expect("alice" in listed and "bob" in listed and len(listed.splitlines()) == 3, listed)
    expect(alice.cookie.split("=")[1] not in listed, "an id is shown")
    short = next(line.split()[0] for line in listed.splitlines() if "alice" in line)
    expect("user        alice" in await cloakroom("show", short), "a session is not shown by the id of the logs")
    expect("ended 1" in await cloakroom("revoke", short), "not ended")
    expect((await alice.ask(gateway)).text() == "", "a revoked session goes on")
    expect(await bob.is_known(gateway, "bob"), "somebody else was ended")
    expect("ended 1" in await cloakroom("revoke", "--user", "bob"), "not ended by user")
    expect((await bob.ask(gateway)).text() == "", "a revoked session goes on")
    await Visitor().login(gateway, "carol")
    expect("ended 1" in await cloakroom("revoke", "--all"), "not all ended")
    expect("no such session" in await cloakroom("show", "00000000", code=1), "no error for an unknown session")
    await gateway.stop()
    expect("no gateway answers" in await cloakroom("list", code=1), "no error without a gateway")
    return "listed, shown, revoked by id, user and all"
