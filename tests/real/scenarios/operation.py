"""What an operator does: restarts the application, reloads, stops. Nobody outside may notice."""

import asyncio
import json
import signal
import time
from pathlib import Path

from rig.frames import GOAWAY, HEADERS, Http2, request
from rig.gateway import BINARY, http, settings, start
from rig.process import application, command, connects, expect, until
from rig.wire import Connection, Load, ask, canary
from scenarios.nginx import WebSocket


async def check_rolling_restart(folder: Path) -> str:
    servers = [await application(folder, name=f"app-{number}") for number in range(2)]
    config = settings([http(server.port) for server in servers])
    gateway = await start(folder, config)
    async with Load(gateway.port, "/open/hello", connections=16) as load:
        for turn in range(4):
            old = servers[turn % 2]
            await until(lambda: load.good > 300 * (turn + 1), 20, "no load")
            await old.stop()
            await asyncio.sleep(0.5)
            servers[turn % 2] = await application(folder, old.port, f"{old.name}-again")
            await asyncio.sleep(0.3)
    load.check()
    return f"0 of {load.good} GET failed in 4 restarts, slowest {load.worst():.2f} s"


async def check_reload(folder: Path) -> str:
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port)))
    jar = await gateway.logged_in_at("/hello")
    held = await Connection(gateway.port).open()
    slow = await Connection(gateway.port).open()
    await held.ask("GET", "/hello", jar.fields())
    slow.send("GET", "/open/slow/3000")
    async with (
        Load(gateway.port, "/hello", connections=8, headers=jar.fields()) as kept,
        Load(gateway.port, "/open/hello", connections=4, fresh=True) as fresh,
    ):
        for turn in range(5):
            before = kept.good
            await until(lambda: kept.good > before + 100, 20, "no load")
            gateway.config["headers"] = {"response": {"set": {"X-Turn": str(turn)}}}
            gateway.write()
            gateway.signal(signal.SIGHUP)

            async def reloaded():
                return (await ask(gateway.port, "GET", "/open/hello")).header("x-turn") == str(turn)

            await until(reloaded, 5, f"reload {turn} is not to be seen after 5 s: {gateway.tail()}")
    kept.check()
    fresh.check()
    expect(kept.idle_closes + fresh.idle_closes <= 5, f"{kept.idle_closes} kept connections were closed")
    answer = await held.ask("GET", "/hello", jar.fields())
    expect(answer.status == 200 and held.used == 2, "a connection did not live through the reloads")
    expect(answer.header("x-turn") == "4", f"an old connection is served by the old configuration: {answer.headers}")
    expect((await slow.read()).status == 200, "a request that was under way was dropped")

    # A file with errors: reported in full, and everything stays as it was.
    good = gateway.file.read_text()
    for broken, word in [(good.replace('"routes"', '"rotues"'), "rotues"), ("listen: [", "")]:
        gateway.write(broken)
        log = await gateway.reloads()
        expect(word in log and "error" in log.lower(), f"the log does not name the error: {log[-400:]}")
        answer = await ask(gateway.port, "GET", "/hello", jar.fields())
        expect(answer.status == 200 and answer.header("x-turn") == "4", f"after a broken reload: {answer}")
        code, out, err = await command(BINARY, "check", "-c", gateway.file)
        expect(code == 78 and word in out + err, f"check of a broken file: exit {code}: {(out + err)[:300]}")
    gateway.write(good)
    code, out, err = await command(BINARY, "check", "-c", gateway.file)
    expect(code == 0, f"check of a good file: exit {code}: {(out + err)[:300]}")
    total = kept.good + fresh.good
    return f"5 reloads, 0 of {total} failed, {kept.idle_closes} idle closes, slowest {max(kept.worst(), fresh.worst()):.2f} s"


async def check_graceful_stop(folder: Path) -> str:
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port)))
    held = [await Connection(gateway.port).open() for _ in range(20)]
    idle = await Connection(gateway.port).open()
    await idle.ask("GET", "/open/hello")
    for connection in held:
        connection.send("GET", "/open/slow/1000")
    await asyncio.sleep(0.3)
    begin = time.monotonic()
    gateway.signal(signal.SIGTERM)
    await until(lambda: not connects(gateway.port), 1, "new connections are still accepted 1 s after TERM")
    answers = await asyncio.gather(*(connection.read() for connection in held), return_exceptions=True)
    good = sum(getattr(answer, "status", None) == 200 for answer in answers)
    expect(good == 20, f"{good} of 20 answered: {[repr(answer) for answer in answers if not hasattr(answer, 'status')][:2]}")
    code = await gateway.ended(3)
    took = time.monotonic() - begin
    expect(code == 0, f"exit {code} after TERM: {gateway.tail()}")
    expect(took < 2.5, f"ended {took:.2f} s after TERM; the requests took 0.7 s")

    # A second TERM does not wait; and a limit ends what never ends.
    for name, config, terms, limit in [("impatient", {}, 2, 1), ("limited", {"timeouts": {"drain": "1s"}}, 1, 3)]:
        gateway = await start(folder, settings(http(app.port), **config), name=name)
        connection = await Connection(gateway.port).open()
        connection.send("GET", "/open/slow/20000")
        await asyncio.sleep(0.2)
        for _ in range(terms):
            gateway.signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
        await gateway.ended(limit)
        connection.close()
    return f"20 of 20 answered, ended {took:.2f} s after TERM, at once after a second one"


async def check_stop_with_long_lived(folder: Path) -> str:
    """TERM with a WebSocket and an HTTP/2 connection open: both are told (1001, GOAWAY), neither holds up the end."""
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port)))
    socket = await WebSocket.open(gateway.port, "/open/ws", [])
    expect(await socket.say("hello") == "hello", "no echo")
    async with Http2(gateway.port) as link:
        await link.greet()
        await link.get(1, request("/open/slow/800"))
        await asyncio.sleep(0.3)
        begin = time.monotonic()
        gateway.signal(signal.SIGTERM)
        code = await socket.closed(2)
        told = await link.find(lambda kind, *_: kind == GOAWAY)
        answered = await link.find(lambda kind, _f, stream, _p: kind == HEADERS and stream == 1)
        expect(told and answered, f"HTTP/2: GOAWAY {told}, answer {answered}")
    expect(code == 1001, f"the WebSocket was closed with code {code}")
    exit_code = await gateway.ended(4)
    expect(exit_code == 0, f"exit {exit_code}: {gateway.tail()}")
    return f"1001, GOAWAY and the answer; ended after {time.monotonic() - begin:.1f} s"


async def check_access_log(folder: Path) -> str:
    """A line for every request, also for broken ones; USR1 opens the file again."""
    app = await application(folder)
    log = folder / "access.log"
    gateway = await start(folder, settings(http(app.port), access_log={"format": "json", "output": str(log)}))
    jar = await gateway.logged_in_at("/hello")
    async with Load(gateway.port, "/hello?secret=1", connections=4, headers=jar.fields()) as load:
        await until(lambda: load.good >= 500, 20, "no load")
    load.check()
    broken = await Connection(gateway.port).open()
    broken.writer.write(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n")
    expect((await broken.read()).status == 400, "a space before the colon was accepted")

    def lines():
        return [json.loads(line) for line in log.read_text().splitlines()]

    await until(lambda: sum("/hello" in str(line) for line in lines()) >= load.good, 5, "lines are missing")
    found = lines()
    await until(lambda: any("400" in line for line in log.read_text().splitlines()), 2, "no line for the broken request")
    text = log.read_text()
    expect("secret" not in text, "a query string is in the log")
    expect(not any(value in text for value in jar.cookies.values()), "a session id is in the log")
    log.rename(folder / "access.log.1")
    gateway.signal(signal.SIGUSR1)
    await until(log.exists, 3, "USR1 did not make a new file")
    async with canary(gateway.port, target="/open/hello") as after:
        await until(lambda: after.good >= 3, 5, "no answer after USR1")
    await until(lambda: len(log.read_text().splitlines()) >= 3, 3, "nothing is written to the new file")
    return f"{len(found)} lines for {load.good} requests and the login; reopened"
