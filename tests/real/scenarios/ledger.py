"""The ledger: every login and logout that was acknowledged holds, whatever is killed in between.

A client writes down each login and each logout once the answer has arrived. Then everything is played back: acknowledged
logins must still be known, acknowledged logouts must not, and nobody may be somebody else.
"""

import asyncio
import random
import signal
from pathlib import Path

from rig.gateway import Gateway, http, settings
from rig.postgres import Postgres
from rig.process import expect, until
from rig.redis import Redis
from rig.wire import Connection

KILLS = 20
CLIENTS = 8


async def logins():
    """An application that logs people in and out and says who they are; answers with its server."""

    async def answer(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                target = head.split(" ", 2)[1]
                user = next((line[13:] for line in head.split("\r\n") if line.lower().startswith("x-auth-user: ")), "")
                extra = ""
                if target.startswith("/in/"):
                    extra = f'Session-Login: "{target[4:]}"\r\n'
                elif target == "/out":
                    extra = "Session-Logout: this\r\n"
                writer.write(f"HTTP/1.1 200 OK\r\n{extra}Content-Length: {len(user)}\r\n\r\n{user}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1")


def configuration(server, session: dict) -> dict:
    """A gateway in front of it which keeps sessions as `session` says."""
    port = server.sockets[0].getsockname()[1]
    routes = [{"path": "/", "access": "optional", "upstream": "app", "session": {"login": True}}]
    return settings(http(port), routes=routes, session=session, workers=1)


class Ledger:
    """What was acknowledged."""

    def __init__(self, port: int):
        self.port = port
        self.live, self.out, self.count = {}, [], 0
        self.running, self.rest = True, 0.0

    async def client(self):
        connection = Connection(self.port)
        while self.running:
            self.count += 1
            user = f"user{self.count}"
            try:
                answer = await connection.ask("GET", f"/in/{user}", seconds=3)
                cookie = answer.header("set-cookie") if answer.status == 200 else None
                if not cookie:
                    await asyncio.sleep(0.01)
                    continue
                pair = cookie.split(";")[0]
                self.live[pair] = user
                if random.random() < 0.3:
                    del self.live[pair]
                    answer = await connection.ask("GET", "/out", [("Cookie", pair)], seconds=3)
                    # A logout that was not acknowledged may hold or not.
                    if answer.status == 200:
                        self.out.append(pair)
            except Exception:
                connection.close()
                connection = Connection(self.port)
                await asyncio.sleep(0.02)
        connection.close()

    async def play_back(self) -> str:
        lost = resurrected = others = 0
        work = [(pair, user) for pair, user in self.live.items()] + [(pair, None) for pair in self.out]
        position = iter(work)

        async def reader():
            nonlocal lost, resurrected, others
            connection = Connection(self.port)
            for pair, user in position:
                answer = await connection.ask("GET", "/who", [("Cookie", pair)])
                expect(answer.status == 200, f"GET /who: {answer.status} {answer.text()[:100]}")
                seen = answer.text()
                lost += user is not None and seen == ""
                resurrected += user is None and seen != ""
                others += user is not None and seen not in ("", user)
            connection.close()

        await asyncio.gather(*[reader() for _ in range(CLIENTS)])
        expect(
            lost == resurrected == others == 0,
            f"{lost} logins of {len(self.live)} lost, {resurrected} logouts of {len(self.out)} undone, {others} mixed up",
        )
        return f"{len(self.live)} logins, {len(self.out)} logouts: lost 0, resurrected 0, another user's 0"


async def kills(folder: Path, session: dict, store=None) -> str:
    """Kills the gateway and the store at random moments while people come and go."""
    server = await logins()
    gateway = await Gateway(folder, configuration(server, session)).ready()
    ledger = Ledger(gateway.port)
    clients = [asyncio.create_task(ledger.client()) for _ in range(CLIENTS)]
    rng = random.Random(7)
    for turn in range(KILLS):
        await asyncio.sleep(0.5 + rng.random())
        if store and turn % 2:
            result = store.kill()
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(0.3 * rng.random())
            await store.start()
        else:
            gateway.signal(signal.SIGKILL)
            await gateway.ended(5)
            gateway = await gateway.again(folder, f"gateway-{turn}").ready()
    ledger.running = False
    await asyncio.gather(*clients)
    expect(len(ledger.live) > 1000, f"only {len(ledger.live)} logins were acknowledged: {gateway.tail()}")

    async def works():
        connection = Connection(gateway.port)
        pair = next(iter(ledger.live))
        answer = await connection.ask("GET", "/who", [("Cookie", pair)])
        connection.close()
        return answer.status == 200

    await until(works, 20, lambda: f"the gateway does not come back: {gateway.tail()}")
    return await ledger.play_back()


async def check_ledger_sqlite(folder: Path) -> str:
    return await kills(folder, {"store": "sql", "sql": {"url": f"sqlite://{folder}/sessions.db"}})


async def check_ledger_redis(folder: Path) -> str:
    redis = await Redis.made(folder)
    return await kills(folder, {"store": "redis", "redis": {"servers": [redis.url]}}, redis)


async def check_ledger_postgres(folder: Path) -> str:
    postgres = await Postgres.made(folder)
    return await kills(folder, {"store": "sql", "sql": {"url": postgres.url}}, postgres)
