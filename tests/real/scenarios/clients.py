"""curl in every version of HTTP it speaks, with TLS and without, two certificates chosen by name."""

import json
import tempfile
from pathlib import Path

from rig.gateway import certificate, http, needs, settings, start
from rig.process import application, command, expect, free_port
from rig.wire import ask


async def curl(*options, ok=True):
    """Runs curl; returns the body and `version status` as curl saw them."""
    mark = "\n@%{http_version} %{response_code}"
    code, out, err = await command(needs("curl"), "-sS", "--max-time", "10", "-w", mark, *options)
    expect((code == 0) == ok, f"curl {' '.join(map(str, options))}: exit {code}, {err.strip()}")
    body, _, seen = out.rpartition("\n@")
    return body, seen


async def check_curl(folder: Path) -> str:
    app = await application(folder)
    # A Unix socket's path is short: its length is limited.
    with tempfile.TemporaryDirectory(prefix="cloakroom-") as short:
        socket = f"{short}/gateway.sock"
        return await versions(await start(folder, settings(http(app.port)), listeners=[{"address": f"unix:{socket}"}]), socket)


async def versions(gateway, socket: str) -> str:
    """The same requests in every version, and over the Unix socket."""
    url = f"http://localhost:{gateway.port}"
    jar = await gateway.logged_in_at("/hello")
    cookie = ["-H", f"Cookie: {jar.fields()[0][1]}"]
    tried = 0
    for option, version in [("--http1.0", "1.0"), ("--http1.1", "1.1"), ("--http2-prior-knowledge", "2"), ("--http2", "1.1")]:
        # The gateway speaks HTTP/1.1 to everyone who is not HTTP/2, as RFC 9110 section 2.5 wants.
        allowed = {f"{version} 200", "1.1 200"} if version == "1.0" else {f"{version} 200"}
        for what, target, options, wanted in [
            ("public", "/open/hello", [], "hello\n"),
            ("logged in", "/hello", cookie, "hello\n"),
            ("of known length", "/open/big/100000", [], "x" * 100_000),
            ("posted", "/open/echo", ["-d", "a=b"], "a=b"),
            ("posted in chunks", "/open/echo", ["-d", "a=b", "-H", "Transfer-Encoding: chunked"], "a=b"),
        ]:
            if version == "1.0" and what == "posted in chunks":
                continue
            body, seen = await curl(option, *options, url + target)
            expect(body == wanted and seen in allowed, f"{option} {what}: {seen}, {body[:80]!r}")
            tried += 1
        _, seen = await curl(option, url + "/hello")
        expect(seen.endswith(" 401"), f"{option} without a login: {seen}")
        _, seen = await curl(option, "-I", url + "/open/hello")
        expect(seen in allowed, f"{option} HEAD: {seen}")
    body, seen = await curl("--unix-socket", socket, "http://localhost/open/hello")
    expect((body, seen) == ("hello\n", "1.1 200"), f"over the Unix socket: {seen}")
    # The header that says who is asking is ours over every version.
    spoof = ["-H", "X-Auth-User: root", "-H", "x_auth_user: root", "-H", "Connection: X-Auth-User"]
    for option in ("--http1.0", "--http1.1", "--http2-prior-knowledge"):
        body, _ = await curl(option, *cookie, *(spoof[:4] if "2" in option else spoof), url + "/headers")
        users = [value for name, value in json.loads(body)["headers"] if name.lower().replace("_", "-") == "x-auth-user"]
        expect(users == ["alice"], f"{option}: the application saw X-Auth-User {users}")
    return f"{tried} requests in 1.0, 1.1 and 2"


async def check_tls(folder: Path) -> str:
    app = await application(folder)
    first, second = await certificate(folder), await certificate(folder, "second.test")
    plain = free_port()
    redirecting = [{"address": f"127.0.0.1:{plain}", "redirect_to_https": True}]
    gateway = await start(folder, settings(http(app.port)), certificates=[first, second], listeners=redirecting)
    port = gateway.port
    for option, version in [("--http2", "2"), ("--http1.1", "1.1")]:
        for host, (chain, _) in [("localhost", first), ("second.test", second)]:
            resolve = ["--resolve", f"{host}:{port}:127.0.0.1", "--cacert", chain]
            body, seen = await curl(option, *resolve, f"https://{host}:{port}/open/headers")
            expect(seen == f"{version} 200", f"{option} {host}: {seen}")
            headers = {name.lower(): value for name, value in json.loads(body)["headers"]}
            expect(headers.get("x-forwarded-proto") == "https", f"{option} {host}: {headers}")
            expect(headers.get("x-forwarded-host", "").startswith(host), f"{option} {host}: {headers}")
            expect(headers["host"] == f"{host}:{port}", f"{option} {host}: {headers}")
    # The other certificate is not shown for this name; no name gets the first.
    await curl("--resolve", f"second.test:{port}:127.0.0.1", "--cacert", first[0], f"https://second.test:{port}/open/hello", ok=False)
    await curl("--cacert", first[0], f"https://127.0.0.1:{port}/open/hello")
    for option, ok in [("--tls-max 1.2 --tlsv1.2", True), ("--tlsv1.3", True), ("--tls-max 1.1 --tlsv1.1", False)]:
        await curl(*option.split(), "--cacert", first[0], f"https://localhost:{port}/open/hello", ok=ok)

    # The plain listener only sends to the other one, and keeps what was asked for.
    answer = await ask(plain, "GET", "/a?b=c")
    location = answer.header("location", "")
    expect(answer.status in (301, 308) and location.startswith("https://localhost"), f"redirect: {answer.status} {location}")
    expect(location.endswith("/a?b=c"), f"redirect: {location}")

    # Cookies of a gateway with TLS.
    jar = gateway.jar()
    answer = await jar.login("alice", "wonderland", "/hello")
    line = next(line for line in answer.all("set-cookie") if line.startswith("__Host-cloakroom="))
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        expect(attribute in line.split("; "), f"{attribute} is missing: {line}")
    expect("Domain" not in line and "Max-Age" not in line and "Expires" not in line, line)

    # New certificates after HUP, without a restart.
    third = await certificate(folder, "third.test")
    gateway.config["listen"][0]["tls"]["certificates"][1] = {"cert": str(third[0]), "key": str(third[1])}
    gateway.write()
    await gateway.reloads()
    resolve = ["--resolve", f"third.test:{port}:127.0.0.1", "--cacert", third[0]]
    await curl(*resolve, f"https://third.test:{port}/open/hello")

    return "two certificates by name, a third after HUP, TLS 1.2 and 1.3, HTTP/1.1 and 2"
