"""The bridge: whoever is logged in to a real Django site is known to the applications behind the gateway."""

import time
from pathlib import Path

from rig.django import PASSWORD, USER, Site
from rig.gateway import http, start
from rig.postgres import Postgres
from rig.process import expect, until
from rig.wire import Connection
from scenarios.ledger import logins

ENGINES = ["db", "cached_db", "file", "signed_cookies"]
LOCAL_CACHE = 2


async def crossing(folder: Path, site: Site, engine: str) -> float:
    """Log in at the site, be known behind the gateway; log out there, or get another password, and be nobody."""
    server = await logins()
    config = {
        "upstreams": {"app": {"servers": [http(server.sockets[0].getsockname()[1])]}},
        "routes": [{"path": "/open", "access": "optional", "upstream": "app"}, {"path": "/", "upstream": "app"}],
        "login": {},
        "session": {"store": "django", "django": {**site.settings, "local_cache": f"{LOCAL_CACHE}s"}},
        "access_log": {"format": "off"},
    }
    gateway = await start(folder, config, name=f"gateway-{engine}")

    async def who(cookie: str) -> str:
        connection = Connection(gateway.port)
        answer = await connection.ask("GET", "/open", [("Cookie", f"a=1; sessionid={cookie}")])
        connection.close()
        expect(answer.status == 200, f"{engine}: {answer.status} {answer.text()[:200]}")
        return answer.text()

    async def nobody_within(cookie: str, what: str) -> float:
        begun = time.monotonic()

        async def gone():
            return await who(cookie) == ""

        await until(gone, LOCAL_CACHE + 3, f"{engine}: {what}, and still known after {LOCAL_CACHE + 3} s")
        return time.monotonic() - begun

    first, second = await site.run("login", USER, PASSWORD), await site.run("login", USER, PASSWORD)
    expect(await who(first) == USER, f"{engine}: logged in at the site, unknown behind the gateway")
    expect(await who(second) == USER, f"{engine}: a second session is not known")
    expect(await who(first[:-1] + ("a" if first[-1] != "a" else "b")) == "", f"{engine}: another key is somebody")
    slowest = 0.0
    if engine != "signed_cookies":
        await site.run("logout", first)
        slowest = await nobody_within(first, "logged out")
        expect(await who(second) == USER, f"{engine}: the other session ended, too")
    await site.run("password", second, PASSWORD, "another wonder")
    slowest = max(slowest, await nobody_within(second, "another password"))
    await site.run("prepare")
    connection = Connection(gateway.port)
    answer = await connection.ask("GET", "/", [("Accept", "application/json")])
    connection.close()
    expect(answer.status == 401, f"{engine}: without a session {answer.status}")
    await gateway.stop()
    return slowest


async def over(folder: Path, database: str | None) -> float:
    slowest = 0.0
    for engine in ENGINES:
        own = folder / engine
        own.mkdir()
        site = Site(own, engine, database)
        await site.run("prepare")
        slowest = max(slowest, await crossing(own, site, engine))
    return slowest


async def check_bridge_sqlite(folder: Path) -> str:
    return f"4 backends, no longer known after {await over(folder, None):.1f} s (local_cache {LOCAL_CACHE} s)"


async def check_bridge_postgres(folder: Path) -> str:
    postgres = await Postgres.made(folder)
    return f"4 backends, no longer known after {await over(folder, postgres.url):.1f} s (local_cache {LOCAL_CACHE} s)"
