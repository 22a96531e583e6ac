"""An HTTP/1.1 client on raw sockets: nothing is retried, followed or forgiven, so errors can be counted exactly.

In: requests. Out: an `Answer` each, or an exception; `Load` and `Canary` keep count over many.
"""

import asyncio
import contextlib
import html
import json
import re
import ssl
import time
import urllib.parse
from dataclasses import dataclass, field

from rig.process import Failed, expect


@dataclass
class Answer:
    """A response as it came."""

    status: int
    headers: list
    body: bytes
    version: str = "HTTP/1.1"

    def header(self, name: str, default=None):
        """The first field of this name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    def all(self, name: str):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)


class Truncated(Exception):
    """The peer broke off in the middle of a body; holds what had arrived."""

    def __init__(self, got: int):
        super().__init__(f"broken off after {got} bytes of body")
        self.got = got


class Stale(Exception):
    """A kept connection was closed before anything of an answer came."""


class Connection:
    """One connection, used for one request after the other."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, host="127.0.0.1", server_name=None):
        self.port, self.tls, self.host = port, tls, host
        self.server_name = server_name or ("localhost" if tls else None)
        self.reader = self.writer = None
        self.used = 0

    async def open(self, seconds=5):
        self.reader, self.writer = await asyncio.wait_for(
            asyncio.open_connection(self.host, self.port, ssl=self.tls, server_hostname=self.server_name, limit=1 << 20),
            seconds,
        )
        self.used = 0
        return self

    def close(self):
        if self.writer:
            self.writer.close()
            self.writer = None

    async def ask(self, method="GET", target="/", headers=(), body=b"", seconds=30) -> Answer:
        """Sends one request and reads its answer."""
        if not self.writer:
            await self.open()
        self.send(method, target, headers, body)
        return await asyncio.wait_for(self.read(method), seconds)

    def send(self, method="GET", target="/", headers=(), body=b""):
        fields = list(headers)
        names = {name.lower() for name, _ in fields}
        if "host" not in names:
            fields.insert(0, ("Host", f"localhost:{self.port}"))
        if (body or method in ("POST", "PUT")) and not names & {"content-length", "transfer-encoding"}:
            fields.append(("Content-Length", str(len(body))))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.writer.write(head.encode() + b"\r\n" + body)

    async def read(self, method="GET") -> Answer:
        """Reads the final answer; interim ones are passed over."""
        while True:
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                if self.used and not error.partial:
                    raise Stale from None
                raise ConnectionError(f"closed after {len(error.partial)} bytes of a head") from None
            lines = head[:-4].decode("latin-1").split("\r\n")
            version, status = lines[0].split(" ", 2)[:2]
            status = int(status)
            if status >= 200 or status == 101:
                break
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        answer = Answer(status, pairs, b"", version)
        answer.body = await self._body(method, answer)
        self.used += 1
        if version == "HTTP/1.0" or (answer.header("connection") or "").lower() == "close":
            self.close()
        return answer

    async def _body(self, method, answer) -> bytes:
        if method == "HEAD" or answer.status in (101, 204, 304):
            return b""
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            return await self._chunked()
        length = answer.header("content-length")
        if length is None:
            body = await self.reader.read()
            self.close()
            return body
        try:
            return await self.reader.readexactly(int(length))
        except asyncio.IncompleteReadError as error:
            raise Truncated(len(error.partial)) from None

    async def _chunked(self) -> bytes:
        body = bytearray()
        try:
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        except asyncio.IncompleteReadError:
            raise Truncated(len(body)) from None
        return bytes(body)


async def ask(port, method="GET", target="/", headers=(), body=b"", tls=None, seconds=30) -> Answer:
    """One request on a connection of its own."""
    connection = Connection(port, tls)
    try:
        return await connection.ask(method, target, headers, body, seconds)
    finally:
        connection.close()


class Jar:
    """A browser without a screen: keeps cookies, fills in forms."""

    def __init__(self, port: int, tls=None):
        self.port, self.tls, self.cookies = port, tls, {}
        self.scheme = "https" if tls else "http"

    def fields(self, more=()):
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return ([("Cookie", pairs)] if pairs else []) + list(more)

    async def ask(self, method="GET", target="/", headers=(), body=b"") -> Answer:
        answer = await ask(self.port, method, target, self.fields(headers), body, self.tls)
        for line in answer.all("set-cookie"):
            name, _, value = line.split(";")[0].partition("=")
            ended = re.search(r"(?i)max-age=0\b", line)
            self.cookies.pop(name, None) if ended else self.cookies.__setitem__(name, value)
        return answer

    async def page(self, target="/"):
        """Goes to a page as a browser does, following redirections; returns the final target and the answer."""
        navigation = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none")]
        for _ in range(5):
            answer = await self.ask("GET", target, navigation)
            if answer.status not in (301, 302, 303, 307):
                return target, answer
            target = urllib.parse.urljoin(target, local(answer.header("location")))
        raise Failed(f"redirected more than 5 times, last to {target}")

    async def submit(self, page: str, answer: Answer, values: dict) -> Answer:
        """Fills in the form of a page and sends it."""
        action, data = form(answer.text())
        body = urllib.parse.urlencode({**data, **values}).encode()
        headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "text/html"),
            ("Origin", f"{self.scheme}://localhost:{self.port}"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Site", "same-origin"),
        ]
        return await self.ask("POST", urllib.parse.urljoin(page, local(action) if action else page), headers, body)

    async def login(self, user: str, password: str, target="/"):
        """Asks for a page, is sent to the login page, logs in."""
        page, answer = await self.page(target)
        expect(answer.status == 200 and "password" in answer.text(), f"GET {target} led to {page}: {answer.status}")
        names = re.findall(r"<input[^>]*>", answer.text())
        named = {kind: attribute(tag, "name") for tag in names if (kind := attribute(tag, "type")) in ("text", "password")}
        answer = await self.submit(page, answer, {named.get("text", "username"): user, named["password"]: password})
        expect(answer.status in (302, 303), f"login as {user}: {answer.status} {answer.text()[:200]}")
        return answer

    async def logout(self):
        page, answer = await self.page("/_cloakroom/logout")
        expect(answer.status == 200, f"GET {page}: {answer.status}")
        answer = await self.submit(page, answer, {})
        expect(answer.status in (200, 302, 303), f"POST logout: {answer.status} {answer.text()[:200]}")


def attribute(tag: str, name: str):
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", tag)
    return html.unescape(next(group for group in found.groups() if group is not None)) if found else None


def form(text: str):
    """Action and hidden fields of the first form that is sent by POST."""
    for tag, inside in re.findall(r"(?s)(<form[^>]*>)(.*?)</form>", text):
        if (attribute(tag, "method") or "").lower() == "post":
            inputs = re.findall(r"<input[^>]*>", inside)
            hidden = [tag for tag in inputs if attribute(tag, "type") == "hidden"]
            return attribute(tag, "action"), {attribute(tag, "name"): attribute(tag, "value") or "" for tag in hidden}
    raise Failed(f"no form on the page: {text[:200]}")


def local(url: str) -> str:
    """Path and query of a URL."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))


@dataclass
class Load:
    """Asks the same thing over and over on several kept connections, until told to stop."""

    port: int
    target: str = "/hello"
    connections: int = 8
    method: str = "GET"
    headers: list = field(default_factory=list)
    body: bytes = b""
    pause: float = 0.0
    fresh: bool = False
    tls: ssl.SSLContext | None = None
    good: int = 0
    idle_closes: int = 0
    failures: list = field(default_factory=list)
    times: list = field(default_factory=list)

    async def __aenter__(self):
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self.connections)]
        return self

    async def __aexit__(self, *_):
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _run(self):
        connection = Connection(self.port, self.tls)
        while not self._stop.is_set():
            start = time.monotonic()
            try:
                answer = await connection.ask(self.method, self.target, self.headers, self.body, 10)
            except Stale:
                self.idle_closes += 1
                connection.close()
                continue
            except (OSError, Truncated, ValueError, asyncio.TimeoutError, asyncio.LimitOverrunError) as error:
                self.failures.append(f"{type(error).__name__}: {error} after {time.monotonic() - start:.2f} s")
                connection.close()
                await asyncio.sleep(0.02)
                continue
            self.times.append(time.monotonic() - start)
            if answer.status == 200:
                self.good += 1
            else:
                self.failures.append(f"{answer.status} after {self.times[-1]:.2f} s: {answer.text()[:80]}")
                await asyncio.sleep(0.01)
            if self.fresh:
                connection.close()
            if self.pause:
                await asyncio.sleep(self.pause)
        connection.close()

    def worst(self) -> float:
        return max(self.times, default=0.0)

    def p99(self) -> float:
        return sorted(self.times)[int(len(self.times) * 0.99)] if self.times else 0.0

    def check(self):
        """Every request was answered with 200."""
        expect(not self.failures, f"{len(self.failures)} of {len(self.failures) + self.good} failed: {self.failures[:3]}")
        expect(self.good > 0, "no request was made")


def canary(port, tls=None, target="/hello", headers=()) -> Load:
    """A well-behaved client on new connections, who must not notice what the others do."""
    return Load(port, target, connections=2, headers=list(headers), pause=0.05, fresh=True, tls=tls)


async def closed_after(reader, seconds: float) -> float:
    """Reads until the peer closes; returns how long that took. Fails when it does not."""
    start = time.monotonic()
    with contextlib.suppress(ConnectionError):
        try:
            while await asyncio.wait_for(reader.read(65536), max(0.01, start + seconds - time.monotonic())):
                pass
        except asyncio.TimeoutError:
            raise Failed(f"still open after {seconds} s") from None
    return time.monotonic() - start
