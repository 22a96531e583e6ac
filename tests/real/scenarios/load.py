"""Load generators: short bounded runs, not one error. The rates are for information; nothing depends on them."""

import asyncio
import re
from pathlib import Path

from rig.gateway import BINARY, certificate, http, needs, settings, start
from rig.process import application, command, expect
from rig.wire import canary
from scenarios.nginx import nginx


async def check_wrk(folder: Path) -> str:
    app = await application(folder)
    server = await nginx(folder, app.port)
    gateway = await start(folder, settings(http(server.port)))
    jar = await gateway.logged_in_at("/hello")
    figures = []
    for name, target, cookie in [("public", "/open/hello", []), ("logged in", "/hello", ["-H", f"Cookie: {jar.fields()[0][1]}"])]:
        run = ["-t1", "-c64", "-d4s", *cookie, f"http://127.0.0.1:{gateway.port}{target}"]
        code, out, err = await command(needs("wrk"), *run)
        expect(code == 0 and "Socket errors" not in out and "Non-2xx" not in out, f"wrk {name}: {out} {err}")
        figures.append(f"{name} {rate(out)}/s")
    code, out, _ = await command(needs("wrk"), "-t1", "-c64", "-d2s", f"http://127.0.0.1:{server.port}/hello")
    return f"{', '.join(figures)}; nginx itself {rate(out)}/s"


def rate(out: str) -> str:
    return re.search(r"Requests/sec:\s*([\d.]+)", out).group(1).split(".")[0]


async def check_h2load(folder: Path) -> str:
    app = await application(folder)
    server = await nginx(folder, app.port)
    gateway = await start(folder, settings(http(server.port)))
    secure = await start(folder, settings(http(server.port)), certificates=[await certificate(folder)], name="secure")
    figures = []
    for name, gate, scheme, options in [
        ("h2c", gateway, "http", ["-m", "32"]),
        ("h2 over TLS", secure, "https", ["-m", "32"]),
        ("HTTP/1.1", gateway, "http", ["--h1"]),
    ]:
        for target, count in [("/open/hello", 40_000), ("/open/app/big/100000", 400)]:
            url = f"{scheme}://127.0.0.1:{gate.port}{target}"
            code, out, err = await command(needs("h2load"), "-n", count, "-c", "16", *options, url)
            wanted = f"{count} succeeded, 0 failed, 0 errored, 0 timeout"
            expect(code == 0 and wanted in out and f"{count} 2xx" in out, f"h2load {name} {target}: {out[-600:]} {err}")
            if count > 1000:
                figures.append(f"{name} {re.search(r'([0-9.]+) req/s', out).group(1).split('.')[0]}/s")
    return ", ".join(figures)


RANDOM_COOKIES = """
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
function request()
  local id = {}
  for at = 1, %d do
    local pick = math.random(#alphabet)
    id[at] = alphabet:sub(pick, pick)
  end
  return wrk.format("GET", "/hello", { Cookie = "%s=" .. table.concat(id), Accept = "text/html" })
end
"""


async def check_random_cookies(folder: Path) -> str:
    """Cookies that nobody issued, by the ten thousand: no session, no memory, and nobody is pushed out."""
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port)))
    jar = await gateway.logged_in_at("/hello")
    name, value = next(iter(jar.cookies.items()))
    (folder / "random.lua").write_text(RANDOM_COOKIES % (len(value), name))
    run = ["-t1", "-c32", "-s", folder / "random.lua", f"http://127.0.0.1:{gateway.port}"]
    await command(needs("wrk"), "-d1s", *run)
    before = gateway.memory()
    code, out, err = await command(needs("wrk"), "-d5s", *run)
    asked = int(re.search(r"(\d+) requests in", out).group(1))
    refused = int(re.search(r"Non-2xx or 3xx responses: (\d+)", out).group(1)) if "Non-2xx" in out else 0
    grown = (gateway.memory() - before) / (1 << 20)
    expect(code == 0 and "Socket errors" not in out, f"wrk: {out} {err}")
    expect(asked > 20_000, f"only {asked} requests")
    expect(grown < 2, f"{asked} unknown cookies cost {grown:.1f} MiB")
    answer = await jar.ask("GET", "/hello")
    expect(answer.status == 200, f"who was logged in is not any more: {answer.status}")
    return f"{asked} unknown cookies, {refused} refused and the others sent to the login page, +{grown:.1f} MiB"


async def check_login_storm(folder: Path) -> str:
    """As many logins as the machine can check: those who only read still get their pages."""
    app = await application(folder)
    code, out, err = await command(BINARY, "hash-password", stdin=b"wonderland\n")
    digest = next((word for word in out.split() if word.startswith("$argon2id$")), None)
    expect(code == 0 and digest, f"hash-password: exit {code}, {out} {err}")
    config = settings(http(app.port))
    # One for each visitor: attempts for one user at the same time count together in the throttle.
    config["login"]["local"]["users"] = {f"user-{number}": digest for number in range(10)}
    gateway = await start(folder, config)
    async with canary(gateway.port, target="/open/hello") as calm:
        await asyncio.sleep(2)
    stop, logins = asyncio.Event(), 0

    async def log_in(user: str):
        nonlocal logins
        while not stop.is_set():
            await gateway.jar().login(user, "wonderland", "/hello")
            logins += 1

    before = gateway.memory()
    visitors = [asyncio.create_task(log_in(f"user-{number}")) for number in range(10)]
    async with canary(gateway.port, target="/open/hello") as others:
        await asyncio.sleep(4)
    stop.set()
    await asyncio.gather(*visitors)
    others.check()
    grown = (gateway.memory() - before) / (1 << 20)
    expect(logins > 20, f"only {logins} logins in 4 s")
    expect(others.p99() < 0.25, f"others waited {others.p99() * 1000:.0f} ms, before {calm.p99() * 1000:.0f} ms")
    expect(grown < 200, f"the gateway grew by {grown:.0f} MiB")
    return f"{logins / 4:.0f} logins/s; others p99 {others.p99() * 1000:.1f} ms, before {calm.p99() * 1000:.1f} ms"
