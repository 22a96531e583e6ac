"""Shared stores with real servers: the contract, two gateways on one store, stores that die, hang or move."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

from rig.gateway import certificate, start
from rig.mariadb import MariaDb
from rig.postgres import Postgres
from rig.process import ROOT, command, expect, until
from rig.redis import Redis, cluster, sentinels
from rig.wire import Connection, Load
from scenarios.ledger import configuration, logins


async def check_store_contract(folder: Path) -> str:
    """The contract of stores, as `cargo test` has it, with every server that needs one."""
    chain, key = await certificate(folder)
    single = await Redis.made(folder)
    secure = await Redis.made(folder, name="secure", tls=(chain, key))
    _, _, sentinel = await sentinels(folder)
    nodes = await cluster(folder)
    postgres, mariadb = await Postgres.made(folder), await MariaDb.made(folder)
    env = {
        "CLOAKROOM_TEST_REDIS": single.url,
        "CLOAKROOM_TEST_REDIS_TLS": secure.url,
        "CLOAKROOM_TEST_REDIS_CA": str(chain),
        "CLOAKROOM_TEST_REDIS_SENTINEL": f"redis://127.0.0.1:{sentinel.port}",
        "CLOAKROOM_TEST_REDIS_CLUSTER": ",".join(node.url for node in nodes[:3]),
        "CLOAKROOM_TEST_POSTGRES": postgres.url,
        "CLOAKROOM_TEST_MYSQL": mariadb.url,
    }
    test = ["cargo", "test", "--quiet", "--lib", "keeps_the_contract", "--", "--include-ignored"]
    code, out, err = await command(*test, folder=ROOT, env=env, seconds=240)
    expect(code == 0, f"{out[-800:]} {err[-300:]}")
    passed = next(line for line in out.splitlines() if line.startswith("test result: ok"))
    return f"SQLite, Redis alone, with TLS, Sentinel and Cluster, PostgreSQL, MariaDB: {passed.split(';')[0][17:]}"


class Visitor:
    """Somebody with a cookie."""

    def __init__(self, cookie=None):
        self.cookie = cookie

    async def ask(self, gateway, target="/who"):
        connection = Connection(gateway.port)
        answer = await connection.ask("GET", target, [("Cookie", self.cookie)] if self.cookie else [])
        connection.close()
        if cookie := answer.header("set-cookie"):
            self.cookie = cookie.split(";")[0]
        return answer

    async def login(self, gateway, user: str):
        answer = await self.ask(gateway, f"/in/{user}")
        expect(answer.status == 200 and self.cookie, f"login as {user}: {answer.status} {answer.text()[:200]}")
        return self

    async def is_known(self, gateway, user: str) -> bool:
        answer = await self.ask(gateway)
        return answer.status == 200 and answer.text() == user


async def two(folder: Path, session: dict):
    """Two gateways with the same key on one store."""
    server = await logins()
    config = configuration(server, session)
    config["keys"] = [{"id": "k", "secret": "0123456789abcdef0123456789abcdef"}]
    return [await start(folder, config, name=name) for name in ("here", "there")]


async def together(folder: Path, session: dict) -> str:
    """A login on one gateway counts on the other, and so does a logout, within a second."""
    here, there = await two(folder, session)
    slowest = 0.0
    for turn in range(5):
        visitor = await Visitor().login(here, f"alice{turn}")
        expect(await visitor.is_known(there, f"alice{turn}"), "logged in here, unknown there")
        stolen = Visitor(visitor.cookie)
        expect(await stolen.is_known(there, f"alice{turn}"), "known once, and not again")
        await visitor.ask(here, "/out")
        begun = time.monotonic()

        async def gone():
            return not await stolen.is_known(there, f"alice{turn}")

        await until(gone, 3, "logged out here, and still known there after 3 s", every=0.005)
        slowest = max(slowest, time.monotonic() - begun)
    expect(slowest < 1.2, f"a logout was obeyed after {slowest:.2f} s")
    return f"slowest logout {slowest * 1000:.0f} ms"


async def check_two_gateways(folder: Path) -> str:
    (folder / "sqlite").mkdir()
    redis, postgres, mariadb = await Redis.made(folder), await Postgres.made(folder), await MariaDb.made(folder)
    stores = {
        "Redis": {"store": "redis", "redis": {"servers": [redis.url]}},
        "PostgreSQL": {"store": "sql", "sql": {"url": postgres.url}},
        "MariaDB": {"store": "sql", "sql": {"url": mariadb.url}},
        "SQLite": {"store": "sql", "sql": {"url": f"sqlite://{folder}/sqlite/sessions.db"}},
    }
    figures = []
    for name, session in stores.items():
        (folder / name).mkdir()
        figures.append(f"{name}: {await together(folder / name, session)}")
    return ", ".join(figures)


async def away(folder: Path, session: dict, store, stop, resume) -> str:
    """While the store is away sessions in use go on, others are told to come back, and nobody loses a cookie."""
    server = await logins()
    gateway = await start(folder, configuration(server, session))
    known = await Visitor().login(gateway, "alice")
    # In the store, and not in this gateway's memory.
    other = await Visitor().login(gateway, "bob")
    await gateway.stop()
    gateway = await gateway.again(folder, "again").ready()
    expect(await known.is_known(gateway, "alice"), "the session is not in the store")
    async with Load(gateway.port, "/who", connections=4, headers=[("Cookie", known.cookie)], pause=0.002) as load:
        await until(lambda: load.good > 50, 10, "no load")
        result = stop()
        if asyncio.iscoroutine(result):
            await result
        slowest, refused = 0.0, 0
        for _ in range(40):
            begun = time.monotonic()
            answer = await other.ask(gateway)
            slowest = max(slowest, time.monotonic() - begun)
            expect(answer.status == 503, f"a session that is not in memory: {answer.status} {answer.text()[:200]}")
            expect(answer.header("retry-after"), "503 without Retry-After")
            expect(not answer.header("set-cookie"), "a cookie was changed though the store is away")
            refused += 1
            await asyncio.sleep(0.02)
        answer = await Visitor().ask(gateway)
        expect(answer.status == 200, f"a visitor without a cookie: {answer.status}")
        begun = time.monotonic()
        result = resume()
        if asyncio.iscoroutine(result):
            await result

        async def back():
            return await other.is_known(gateway, "bob")

        await until(back, 15, lambda: f"the store is back, and nobody notices: {gateway.tail()}")
        recovered = time.monotonic() - begun
    load.check()
    expect(slowest < 2.5, f"a request waited {slowest:.2f} s for a store that is away")
    return f"0 of {load.good} with a session in memory failed, {refused} others 503 within {slowest:.2f} s, back after {recovered:.2f} s"


async def check_redis_killed(folder: Path) -> str:
    redis = await Redis.made(folder)
    session = {"store": "redis", "redis": {"servers": [redis.url]}}
    return await away(folder, session, redis, redis.kill, redis.start)


async def check_redis_hangs(folder: Path) -> str:
    redis = await Redis.made(folder)
    session = {"store": "redis", "redis": {"servers": [redis.url]}}
    return await away(folder, session, redis, redis.freeze, lambda: redis.freeze(False))


async def check_postgres_restarts(folder: Path) -> str:
    postgres = await Postgres.made(folder)
    session = {"store": "sql", "sql": {"url": postgres.url, "timeout": "1s"}}
    return await away(folder, session, postgres, postgres.stop, postgres.start)


async def moves(folder: Path, session: dict, kill) -> str:
    """A primary dies, another takes its place: sessions are known again, and new ones can be made."""
    server = await logins()
    gateway = await start(folder, configuration(server, session))
    visitors = [await Visitor().login(gateway, f"user{n}") for n in range(30)]
    # What was written a moment ago must have reached the replica.
    await asyncio.sleep(1)
    await gateway.stop()
    gateway = await gateway.again(folder, "again").ready()
    await kill()
    begun = time.monotonic()

    async def all_known():
        known = [await visitor.is_known(gateway, f"user{n}") for n, visitor in enumerate(visitors)]
        return all(known)

    await until(all_known, 40, lambda: f"sessions are not known after the fail-over: {gateway.tail()}", every=0.2)
    took = time.monotonic() - begun
    newcomer = await Visitor().login(gateway, "newcomer")
    expect(await newcomer.is_known(gateway, "newcomer"), "no new session after the fail-over")
    return f"all of {len(visitors)} known {took:.1f} s after the primary went away"


async def check_sentinel_failover(folder: Path) -> str:
    primary, _, sentinel = await sentinels(folder)
    redis = {"servers": [f"redis://127.0.0.1:{sentinel.port}"], "mode": "sentinel", "sentinel_name": "mymaster"}

    async def kill():
        primary.kill()

    return await moves(folder, {"store": "redis", "redis": redis}, kill)


async def check_cluster_failover(folder: Path) -> str:
    nodes = await cluster(folder)
    redis = {"servers": [node.url for node in nodes], "mode": "cluster"}

    async def kill():
        nodes[0].kill()

    return await moves(folder, {"store": "redis", "redis": redis}, kill)


async def check_sentinel_hangs(folder: Path) -> str:
    """A primary that hangs keeps its connections open: nothing is refused, nothing is answered."""
    primary, _, sentinel = await sentinels(folder)
    redis = {"servers": [f"redis://127.0.0.1:{sentinel.port}"], "mode": "sentinel", "sentinel_name": "mymaster"}

    async def hang():
        primary.freeze()

    return await moves(folder, {"store": "redis", "redis": redis}, hang)


async def check_cluster_hangs(folder: Path) -> str:
    """The same with one of the nodes of a Cluster, while the others go on."""
    nodes = await cluster(folder)
    redis = {"servers": [node.url for node in nodes], "mode": "cluster"}

    async def hang():
        nodes[0].freeze()

    return await moves(folder, {"store": "redis", "redis": redis}, hang)


async def check_database_disk_full(folder: Path) -> str:
    """A full disk: who is known stays known, logins are told to come back, and go on once there is room."""
    disk = folder / "disk"
    disk.mkdir()
    code, _, err = await command("mount", "-t", "tmpfs", "-o", "size=1m", "none", disk)
    expect(code == 0, f"a small disk could not be mounted: {err}")
    try:
        server = await logins()
        session = {"store": "sql", "sql": {"url": f"sqlite://{disk}/sessions.db"}}
        gateway = await start(folder, configuration(server, session))
        alice = await Visitor().login(gateway, "alice")
        filler = disk / "filler"
        file = os.open(filler, os.O_CREAT | os.O_WRONLY)
        with contextlib.suppress(OSError):
            while os.write(file, b"x" * 4096):
                pass
        os.close(file)
        statuses = [(await Visitor().ask(gateway, f"/in/user{n}")).status for n in range(300)]
        expect(503 in statuses, "logins go on although nothing can be written")
        expect(await alice.is_known(gateway, "alice"), "a session in memory does not go on")
        expect(gateway.alive(), "the gateway ended")
        filler.unlink()

        async def goes_on():
            return (await Visitor().ask(gateway, "/in/bob")).status == 200

        await until(goes_on, 10, "there is room, and logins are still refused")
        return f"{statuses.count(503)} of 300 logins 503, the session in memory went on, logins again with room"
    finally:
        await gateway.stop()
        await command("umount", disk)
