"""nginx as an upstream: kept connections, both kinds of body, files put and fetched, a WebSocket."""

import asyncio
import base64
import os
import re
from pathlib import Path

from rig.gateway import http, needs, settings, start
from rig.process import HERE, Failed, Process, application, command, expect, free_port, listening
from rig.wire import Connection, ask

MIB = 1 << 20


async def nginx(folder: Path, app_port: int) -> Process:
    """nginx with `servers/nginx.conf`; its port is `process.port`, its files are in `files`."""
    port = free_port()
    (folder / "files").mkdir()
    # Without root's rights nginx would keep its own user anyway.
    folder.chmod(0o777)
    (folder / "files").chmod(0o777)
    text = (HERE / "servers/nginx.conf").read_text()
    for word, value in {"FOLDER": folder, "PORT": port, "APP": app_port}.items():
        text = text.replace(f"@{word}@", str(value))
    (folder / "nginx.conf").write_text(text)
    process = Process([needs("nginx"), "-c", folder / "nginx.conf", "-p", folder], folder, "nginx")
    process.port = port
    await listening(process, port)
    return process


async def check_nginx(folder: Path) -> str:
    app = await application(folder)
    server = await nginx(folder, app.port)
    gateway = await start(folder, settings(http(server.port)))
    jar = await gateway.logged_in_at("/hello")
    expect((await jar.ask("GET", "/whoami", [("X-Auth-User", "root")])).text() == "alice\n", "nginx did not see alice")

    # Kept connections on both sides: many requests, few connections.
    connection = await Connection(gateway.port).open()
    before = await status(server.port)
    for number in range(1000):
        answer = await connection.ask("GET", "/hello", jar.fields())
        expect((answer.status, answer.body) == (200, b"hello\n"), f"request {number}: {answer}")
    after = await status(server.port)
    expect(connection.used == 1000, "the gateway closed a kept connection")
    opened, asked = after[0] - before[0], after[1] - before[1]
    expect(asked >= 1000 and opened <= 4, f"{asked} requests opened {opened} connections to nginx")

    # Bodies: known length, chunks both ways, empty, none.
    data = os.urandom(5 * MIB)
    for name, headers, body in [
        ("length", [], data),
        ("chunks", [("Transfer-Encoding", "chunked")], b"100000\r\n" + data[:MIB] + b"\r\n0\r\n\r\n"),
        ("empty", [("Content-Length", "0")], b""),
    ]:
        wanted = data[:MIB] if name == "chunks" else body
        answer = await connection.ask("PUT", f"/files/{name}", jar.fields(headers), body)
        expect(answer.status in (201, 204), f"PUT {name}: {answer.status} {answer.text()[:100]}")
        answer = await connection.ask("GET", f"/files/{name}", jar.fields())
        expect(answer.body == wanted, f"GET {name}: {len(answer.body)} bytes of {len(wanted)}")
        expect(answer.header("content-length") == str(len(wanted)), f"GET {name}: {answer.headers}")
        answer = await connection.ask("HEAD", f"/files/{name}", jar.fields())
        expect(answer.status == 200 and not answer.body, f"HEAD {name}: {answer}")
    (folder / "files/text.txt").write_text("FROM here\n" * 50_000)
    answer = await connection.ask("GET", "/chunked/text.txt", jar.fields())
    expect(answer.body == b"TO here\n" * 50_000, f"chunked answer: {len(answer.body)} bytes")
    expect((answer.header("transfer-encoding") or "") == "chunked", f"chunked answer: {answer.headers}")
    answer = await connection.ask("POST", "/app/echo", jar.fields([("Transfer-Encoding", "chunked")]), b"2\r\nhi\r\n0\r\n\r\n")
    expect(answer.body == b"hi", f"POST in chunks through nginx: {answer}")
    answer = await connection.ask("GET", "/files/text.txt", jar.fields([("Range", "bytes=0-3")]))
    expect((answer.status, answer.body) == (206, b"FROM"), f"range: {answer.status}")
    etag = (await connection.ask("GET", "/files/text.txt", jar.fields())).header("etag")
    answer = await connection.ask("GET", "/files/text.txt", jar.fields([("If-None-Match", etag)]))
    expect(answer.status == 304, f"If-None-Match: {answer.status}")
    connection.close()
    return f"{asked} requests over {opened} connections, bodies whole"


async def status(port: int) -> tuple[int, int]:
    """Connections and requests nginx has counted."""
    numbers = re.findall(r"\d+", (await ask(port, "GET", "/status")).text())
    return int(numbers[1]), int(numbers[3])


class WebSocket:
    """A client for text messages below 126 bytes."""

    def __init__(self, connection: Connection):
        self.reader, self.writer = connection.reader, connection.writer

    @classmethod
    async def open(cls, port: int, target: str, headers, tls=None):
        connection = await Connection(port, tls).open()
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        answer = await connection.ask("GET", target, [*headers, *upgrade, ("Sec-WebSocket-Key", key)])
        expect(answer.status == 101, f"upgrade of {target}: {answer.status} {answer.text()[:100]}")
        return cls(connection)

    async def say(self, text: str) -> str:
        data, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.writer.write(bytes([0x81, 0x80 | len(data)]) + mask + masked)
        kind, size = await asyncio.wait_for(self.reader.readexactly(2), 5)
        expect(kind == 0x81, f"not a text message: {kind:#x}")
        return (await asyncio.wait_for(self.reader.readexactly(size), 5)).decode()

    async def closed(self, seconds: float):
        """Waits for the end; returns the close code, or None when the connection just ended."""
        try:
            head = await asyncio.wait_for(self.reader.readexactly(2), seconds)
            data = await asyncio.wait_for(self.reader.readexactly(head[1] & 127), 1)
            expect(head[0] == 0x88, f"a message of kind {head[0]:#x} instead of a close")
            return int.from_bytes(data[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except asyncio.TimeoutError:
            raise Failed(f"the WebSocket is still open {seconds} s after the session's end") from None


async def check_websocket(folder: Path) -> str:
    app = await application(folder)
    server = await nginx(folder, app.port)
    config = settings([http(server.port)])
    config["upstreams"]["direct"] = {"servers": [http(app.port)]}
    config["routes"].insert(0, {"path": "/direct/", "access": "login", "upstream": "direct", "strip_prefix": "/direct"})
    gateway = await start(folder, config)
    loop = asyncio.get_running_loop()
    figures = []
    for target in ("/ws", "/direct/ws"):
        jar = await gateway.logged_in_at("/hello")
        socket = await WebSocket.open(gateway.port, target, jar.fields())
        for text in ("hello", "안녕", ""):
            expect(await socket.say(text) == text, f"{target}: no echo of {text!r}")
        await jar.logout()
        start_time = loop.time()
        code = await socket.closed(1.5)
        figures.append(f"{loop.time() - start_time:.2f} s, code {code}")
        expect(code in (1008, None), f"{target}: closed with code {code}")

    # Without a login there is no upgrade.
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    upgrade += [("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode())]
    answer = await ask(gateway.port, "GET", "/ws", upgrade)
    expect(answer.status == 401, f"upgrade without a login: {answer.status}")

    # Event streams: pieces come when they are sent, and end with the session too.
    jar = await gateway.logged_in_at("/hello")
    connection = await Connection(gateway.port).open()
    connection.send("GET", "/direct/events", jar.fields())
    head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 2)
    expect(b" 200 " in head, f"event stream: {head[:80]}")
    first = await asyncio.wait_for(connection.reader.readuntil(b"\n\n"), 2)
    expect(b"data: 0" in first, f"event stream: {first}")
    await jar.logout()
    start_time = loop.time()
    # Its end is a last chunk; the connection itself may live on.
    ended = asyncio.wait_for(connection.reader.readuntil(b"\r\n0\r\n\r\n"), 1.5)
    try:
        await ended
    except asyncio.TimeoutError:
        raise Failed("the event stream goes on 1.5 s after logout") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    return f"echo through nginx and directly, closed after logout in {figures[0]}; events in {loop.time() - start_time:.2f} s"


async def authority(folder: Path) -> tuple[Path, Path, Path]:
    """An authority of our own and a certificate it issued for app.internal: paths of authority, chain and key."""
    ca, ca_key, request, chain, key = (folder / f"{name}.pem" for name in ("ca", "ca-key", "request", "chain", "key"))
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=DNS:app.internal\nbasicConstraints=CA:FALSE\n")
    new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split()
    for arguments in [
        ["req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=Authority"],
        ["req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=app.internal"],
        ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-days", "2", "-out", chain, "-extfile", extensions],
    ]:
        code, _, err = await command(needs("openssl"), *arguments)
        expect(code == 0, f"openssl: {err}")
    return ca, chain, key


async def check_upstream_tls(folder: Path) -> str:
    """https to an upstream: its certificate must come from the authority that is trusted, for the name that is asked for."""
    ca, chain, key = await authority(folder)
    port = free_port()
    answer = 'default_type text/plain; return 200 "$http_host $http_x_auth_user\\n";'
    listen = f"listen 127.0.0.1:{port} ssl; ssl_certificate {chain}; ssl_certificate_key {key};"
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; server {{ {listen} location / {{ {answer} }} }} }}\n"
    )
    await listening(Process([needs("nginx"), "-c", folder / "nginx.conf", "-p", folder], folder, "nginx"), port)
    server = f"https://127.0.0.1:{port}"
    config = settings(server, upstream_settings={"tls": {"ca": str(ca), "server_name": "app.internal"}, "host": "app.internal"})
    config["upstreams"]["stranger"] = {"servers": [server], "tls": {"server_name": "app.internal"}}
    config["upstreams"]["misnamed"] = {"servers": [server], "tls": {"ca": str(ca)}}
    for name in ("stranger", "misnamed"):
        config["routes"].insert(0, {"path": f"/{name}", "access": "public", "upstream": name})
    gateway = await start(folder, config)
    jar = await gateway.logged_in_at("/hello")
    for _ in range(20):
        answer = await jar.ask("GET", "/hello")
        expect(answer.text() == "app.internal alice\n", f"through TLS: {answer.status} {answer.text()[:100]}")
    for name in ("stranger", "misnamed"):
        answer = await ask(gateway.port, "GET", f"/{name}")
        expect(answer.status == 502 and "certificate" not in answer.text(), f"{name}: {answer.status} {answer.text()}")
    return "20 answers by a trusted one; a strange authority and another name are 502"
