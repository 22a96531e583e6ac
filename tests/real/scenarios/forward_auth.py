"""Forward auth: nginx and Caddy ask the gateway about every request, configured as `docs/forward-auth.md` says."""

import re
from pathlib import Path

from rig.gateway import http, needs, settings, start
from rig.process import HERE, ROOT, Process, application, expect, free_port, listening
from rig.wire import Jar
from scenarios.machine_faults import Clock

MINUTE = 60

# What a client might say of itself, and of the request.
LIES = [
    ("X-Auth-User", "root"),
    ("x_auth_user", "root"),
    ("X-Auth-Groups", "staff"),
    ("Session-Id", "root"),
    ("X-Auth-Assertion", "root"),
    ("X-Forwarded-Uri", "/open/"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-Original-URI", "/open/"),
    ("X-Original-Method", "OPTIONS"),
    ("X-Original-URL", "/open/"),
    ("X-Auth-Request-Redirect", "/open/"),
]


def documented(language: str) -> list[str]:
    """The blocks of the document in this language."""
    text = (ROOT / "docs/forward-auth.md").read_text()
    return re.findall(rf"(?s)```{language}\n(.*?)```", text)


def with_ports(text: str, gateway: int, app: int) -> str:
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{gateway}").replace("127.0.0.1:3000", f"127.0.0.1:{app}")


async def nginx(folder: Path, gateway: int, app: int) -> Process:
    port = free_port()
    server = with_ports(documented("nginx")[0], gateway, app)
    server = server.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("server_name app.example.com;", "")
    text = (HERE / "servers/forward_auth_nginx.conf").read_text()
    (folder / "nginx.conf").write_text(text.replace("@SERVER@", server).replace("@FOLDER@", str(folder)))
    process = Process([needs("nginx"), "-c", folder / "nginx.conf", "-p", folder], folder, "nginx")
    process.port = port
    await listening(process, port)
    return process


async def caddy(folder: Path, gateway: int, app: int, block: str, name: str) -> Process:
    port = free_port()
    site = with_ports(block, gateway, app).replace("app.example.com {", f"http://:{port} {{\n\tbind 127.0.0.1")
    file = folder / f"{name}.Caddyfile"
    file.write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{site}")
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}
    command = [needs("caddy"), "run", "--config", file, "--adapter", "caddyfile"]
    process = Process(command, folder, name, env=home)
    process.port = port
    await listening(process, port)
    return process


def values(seen: list, name: str) -> list[str]:
    """Every value the application was given under a name, however it is spelled; empty ones say nothing."""
    fold = lambda text: re.sub("[^a-z0-9]", "_", text.lower())  # noqa: E731
    return [value for key, value in seen if fold(key) == fold(name) and value]


async def through(front: Process, clock: Clock, rotates: bool):
    """One visitor's way through a proxy that asks."""
    what, jar = front.name, Jar(front.port)
    script = [("Accept", "application/json"), ("Sec-Fetch-Mode", "cors")]
    answer = await jar.ask("GET", "/headers", script)
    expect(answer.status == 401, f"{what}: nobody gets {answer.status}")
    page = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")]
    answer = await jar.ask("GET", "/headers?a=1", page)
    where = answer.header("location") or ""
    expect(answer.status == 302 and where.endswith("/_cloakroom/login?return=%2Fheaders%3Fa%3D1"), f"{what}: {answer}")
    answer = await jar.ask("GET", "/_cloakroom/auth", page)
    expect(answer.status == 404, f"{what}: /_cloakroom/auth can be reached from outside: {answer.status}")

    await jar.login("alice", "wonderland", "/headers?a=1")
    first = dict(jar.cookies)
    for lies in ([], LIES[:5], LIES):
        answer = await jar.ask("GET", "/headers", lies)
        if answer.status == 403 and lies is LIES:
            continue
        expect(answer.status == 200, f"{what}: logged in, {answer.status} {answer.text()[:200]}")
        seen = answer.json()["headers"]
        expect(values(seen, "X-Auth-User") == ["alice"], f"{what}: the application saw {seen}")
        expect(values(seen, "X-Auth-Groups") == ["readers"], f"{what}: the application saw {seen}")
        expect("root" not in values(seen, "Session-Id"), f"{what}: the application saw {seen}")
    for path in ("/admin/headers", "/open/../admin/headers", "/open/%2e%2e/admin/headers", "//admin/headers"):
        for lies in ([], LIES):
            answer = await jar.ask("GET", path, lies)
            expect(answer.status == 403, f"{what}: {path} is for others: {answer.status}")
    # Nobody, on a route where that is fine; whatever the client says.
    answer = await Jar(front.port).ask("GET", "/headers/anybody", LIES[:5])
    seen = answer.json()["headers"] if answer.status == 200 else []
    expect(answer.status == 200 and not values(seen, "X-Auth-User"), f"{what}: nobody is {answer.status} {seen}")

    # A new id is due: it reaches the browser where the proxy passes it on, and the login stays.
    clock.set(20 * MINUTE)
    answer = await jar.ask("GET", "/headers")
    expect(answer.status == 200, f"{what}: no longer logged in: {answer.status}")
    expect((jar.cookies != first) == rotates, f"{what}: cookies {first} became {jar.cookies}")
    expect((await jar.ask("GET", "/headers")).status == 200, f"{what}: the new id is not known")
    kept = dict(jar.cookies)
    await jar.logout()
    clock.set(0)
    jar.cookies = kept
    expect((await jar.ask("GET", "/headers", script)).status == 401, f"{what}: logged out, and still known")


async def check_forward_auth(folder: Path) -> str:
    app = await application(folder)
    config = settings(http(app.port))
    config["trusted_proxies"] = ["127.0.0.1"]
    config["login"]["local"]["users"]["alice"]["groups"] = ["readers"]
    config["routes"] = [
        {"path": "/open/", "access": "public"},
        {"path": "/headers/anybody", "access": "optional"},
        {"path": "/admin/", "access": {"groups": ["staff"]}},
        {"path": "/"},
    ]
    clock = Clock(folder)
    gateway = await start(folder, config, env=clock.env)
    await through(await nginx(folder, gateway.port, app.port), clock, True)
    short, whole = documented("caddyfile")
    await through(await caddy(folder, gateway.port, app.port, short, "caddy"), clock, False)
    await through(await caddy(folder, gateway.port, app.port, whole, "caddy-in-full"), clock, True)
    return "nginx and Caddy, as documented: known at the application, lies removed, new ids, logged out"
