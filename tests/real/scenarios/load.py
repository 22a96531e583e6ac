"""Load generators: short bounded runs, not one error. The rates are for information; nothing depends on them."""

import re
from pathlib import Path

from rig.gateway import certificate, http, needs, settings, start
from rig.process import application, command, expect
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
