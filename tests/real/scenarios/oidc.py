"""Logins at a real OpenID provider, by a person who follows its pages and ours: in, refused, with new keys, and out on either side."""

import asyncio
import json
import re
import sys
import urllib.parse
from html import unescape
from pathlib import Path

from rig.chromium import look
from rig.gateway import http, needs, start
from rig.process import HERE, Process, command, expect, free_port, listening, until
from rig.redis import Redis
from rig.wire import Jar, ask, form
from scenarios.ledger import logins

NAVIGATION = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "cross-site")]


async def tokens():
    """An application that says what it was told under `Authorization`."""

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        told = next((line[15:] for line in head.split("\r\n") if line.lower().startswith("authorization: ")), "")
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(told)}\r\n\r\n{told}".encode())
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1")


class Person:
    """A browser that keeps the cookies of two places and follows redirects from one to the other."""

    def __init__(self, gateway: int, provider: int):
        self.jars = {gateway: Jar(gateway), provider: Jar(provider)}
        self.gateway, self.provider = gateway, provider
        self.seen = []

    async def ask(self, url: str, method="GET", values=None):
        """Goes there, and wherever that leads: the address in the end, and the answer."""
        for _ in range(12):
            parts = urllib.parse.urlsplit(url)
            target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
            headers, body = NAVIGATION, b""
            if values is not None:
                body = urllib.parse.urlencode(values).encode()
                origin = f"http://localhost:{parts.port}"
                headers = [
                    ("Content-Type", "application/x-www-form-urlencoded"),
                    *[("Accept", "text/html"), ("Origin", origin), ("Sec-Fetch-Mode", "navigate")],
                    ("Sec-Fetch-Site", "same-origin"),
                ]
            answer = await self.jars[parts.port].ask(method, target, headers, body)
            self.seen.append(url)
            if answer.status not in (301, 302, 303, 307):
                return url, answer
            url, method, values = urllib.parse.urljoin(url, answer.header("location")), "GET", None
        raise AssertionError(f"led round in circles: {self.seen[-12:]}")

    async def fill_in(self, url: str, answer, values: dict):
        action, hidden = form(answer.text())
        return await self.ask(urllib.parse.urljoin(url, action or url), "POST", {**hidden, **values})

    def at_gateway(self, target: str) -> str:
        return f"http://localhost:{self.gateway}{target}"

    async def to_provider(self, target="/"):
        """Asks for a page here and ends up there, on the form to sign in."""
        url, answer = await self.ask(self.at_gateway(target))
        expect(f":{self.provider}/interaction/" in url, f"GET {target} led to {url}: {answer.status} {answer.text()[:300]}")
        return url, answer

    async def sign_in(self, user: str, target="/"):
        """Signs in there, consents, and is back where they wanted to go."""
        url, answer = await self.to_provider(target)
        url, answer = await self.fill_in(url, answer, {"login": user, "password": "any"})
        if "/interaction/" in url:
            url, answer = await self.fill_in(url, answer, {})
        expect(url == self.at_gateway(target), f"after the login at {url}: {answer.status} {answer.text()[:300]}")
        expect(answer.text() == user, f"the application says {answer.text()[:100]}, not {user}")

    async def user(self):
        answer = await self.jars[self.gateway].ask("GET", "/_cloakroom/session")
        return json.loads(answer.text())["user"]


async def provided(folder: Path, lasting=3600, **session):
    """The provider, whose access tokens are good for so many seconds, and a gateway that knows no other way to log in."""
    modules = Path(sys.prefix).parent / "node_modules"
    port, gateway_port = free_port(), free_port()
    origin = f"http://localhost:{gateway_port}"
    program = [needs("node"), HERE / "servers/oidc_provider.mjs", port, origin, "real", lasting]
    provider = Process(program, folder, "provider", env={"CLOAKROOM_MODULES": str(modules)})
    await listening(provider, port)
    application, knocking = await logins(), await tokens()
    config = {
        "upstreams": {
            "app": {"servers": [http(application.sockets[0].getsockname()[1])]},
            "api": {"servers": [http(knocking.sockets[0].getsockname()[1])], "credentials": {"bearer": "access_token"}},
        },
        "routes": [{"path": "/api/", "upstream": "api"}, {"path": "/", "upstream": "app"}],
        "public_url": origin,
        "keys": [{"id": "k", "secret": "0123456789abcdef0123456789abcdef"}],
        "session": session,
        "login": {
            "oidc": [
                {
                    "name": "real",
                    "issuer": f"http://localhost:{port}",
                    "client_id": "cloakroom",
                    "client_secret": "a secret: of % both + sides",
                    "scopes": ["openid", "profile", "email", "groups"],
                    "allow": {"email_domains": ["example.com"]},
                    "refresh": True,
                }
            ]
        },
        "access_log": {"format": "off"},
    }
    # The provider knows the gateway's address beforehand.
    gateway = await start(folder, config, listeners=[{"address": f"127.0.0.1:{gateway_port}"}])
    return provider, port, gateway, gateway_port


async def check_oidc(folder: Path) -> str:
    provider, port, gateway, ours = await provided(folder)
    alice, bob, carol = (Person(ours, port) for _ in range(3))

    await alice.sign_in("alice", "/reports?a=%ED%95%9C")
    session = json.loads((await alice.jars[ours].ask("GET", "/_cloakroom/session")).text())
    expect(session["email"] == "alice@example.com" and session["groups"] == ["staff"], f"{session}")
    expect(session["name"] == "alice 앨리스", f"{session}")
    callback = next(url for url in alice.seen if "/_cloakroom/callback/" in url)
    expect("iss=" in callback, "the provider does not name itself in its answer")
    _, again = await alice.ask(callback)
    expect(again.status == 403, f"its answer counts twice: {again.status}")
    _, stolen = await carol.ask(callback)
    expect(stolen.status == 403 and await carol.user() is None, f"its answer counts in another browser: {stolen.status}")

    # Other keys: whoever logs in next makes the gateway ask for them.
    expect((await bob.jars[port].ask("POST", "/test/rotate")).status == 200, "the keys were not changed")
    await bob.sign_in("bob")
    expect("key-2" in (await bob.jars[port].ask("GET", "/jwks")).text(), "there is no second key")

    # Somebody who changes her mind.
    url, answer = await carol.to_provider()
    abort = re.search(r'href="([^"]*/abort)"', answer.text())
    expect(abort, f"there is no way to refuse: {answer.text()[-400:]}")
    url, answer = await carol.ask(urllib.parse.urljoin(url, unescape(abort.group(1))))
    expect(answer.status == 403 and "refused there" in answer.text(), f"{url}: {answer.status} {answer.text()[-400:]}")
    expect("access_denied" in gateway.text(), "the log does not say why")

    # Out here, and there: the next login asks for the password again.
    url, answer = await alice.ask(alice.at_gateway("/_cloakroom/logout"))
    url, answer = await alice.fill_in(url, answer, {})
    expect(f":{port}/session/end" in url, f"signing out led to {url}: {answer.status}")
    url, answer = await alice.fill_in(url, answer, {"logout": "yes"})
    expect(url.startswith(alice.at_gateway("/_cloakroom/logout")), f"after signing out there at {url}: {answer.status}")
    expect("You are signed out." in answer.text(), answer.text()[-300:])
    url, answer = await alice.to_provider()
    expect('name="login"' in answer.text(), "there she is still signed in")

    # Out there, and here.
    expect(await bob.user() == "bob", "bob is out already")
    url, answer = await bob.ask(f"http://localhost:{port}/session/end")
    await bob.fill_in(url, answer, {"logout": "yes"})

    async def is_out():
        return await bob.user() is None

    await until(is_out, 5, lambda: f"the provider has signed him out, and he is still in: {gateway.tail()} {provider.tail()}")
    url, answer = await bob.ask(bob.at_gateway("/"))
    expect(url.startswith(bob.at_gateway("/_cloakroom/login")), f"and leads straight back in: {url}")

    # Away: who is signed in stays so, and others are told.
    await carol.sign_in("carol")
    await provider.stop()
    expect(await carol.user() == "carol", "the provider went away, and so did she")
    url, answer = await Person(ours, port).ask(bob.at_gateway("/_cloakroom/callback/real?code=a&state=b"))
    expect(answer.status == 400, f"{answer.status}")
    expect(not re.search(r"eyJ[A-Za-z0-9_-]{8,}", gateway.text()), "a token is in the log")
    return "in, refused, other keys, out here, out there"


async def check_oidc_in_chromium(folder: Path) -> str:
    provider, port, gateway, ours = await provided(folder)
    seen = await look("oidc.mjs", f"http://localhost:{ours}", f"http://localhost:{port}", seconds=200)
    expect("access_denied" in gateway.text(), "the log does not say why")
    expect(not re.search(r"eyJ[A-Za-z0-9_-]{8,}", gateway.text()), "a token is in the log")
    return f"in, refused, other keys, out here, out there, ten tabs; {seen}"


async def check_oidc_follows_the_provider(folder: Path) -> str:
    """Tokens, and what becomes of sessions there, with two gateways on one Redis."""
    store = await Redis.made(folder)
    provider, port, here, ours = await provided(folder, lasting=40, store="redis", redis={"servers": [store.url]})
    own = ("listen", "state_dir", "admin")
    there = await start(folder, {key: value for key, value in here.config.items() if key not in own}, name="there")
    alice, bob = Person(ours, port), Person(ours, port)
    elsewhere = {person: Jar(there.port) for person in (alice, bob)}
    for person, name in [(alice, "alice"), (bob, "bob")]:
        await person.sign_in(name)
        elsewhere[person].cookies = person.jars[ours].cookies

    async def told(person) -> str:
        answer = await person.jars[ours].ask("GET", "/api/")
        expect(answer.status == 200, f"/api/: {answer.status} {answer.text()[:200]}")
        return answer.text()

    async def opens(token: str) -> int:
        return (await ask(port, "GET", "/me", [("Authorization", token)])).status

    first = await told(alice)
    expect(first.startswith("Bearer ") and await opens(first) == 200, f"the provider does not know {first[:20]}")
    expect((await elsewhere[alice].ask("GET", "/api/")).text() == first, "another gateway tells another token")
    _, kept, _ = await command("sh", "-c", f"cat {store.data}/appendonlydir/* | strings")
    expect(first[7:] not in kept and "alice" in kept, "the token lies in clear in Redis")

    # Meanwhile somebody leaves the company.
    expect((await bob.jars[port].ask("POST", "/test/disable/bob")).status == 200, "bob was not disabled")
    await asyncio.sleep(31)
    answers = await asyncio.gather(*(jar.ask("GET", "/api/") for jar in (alice.jars[ours], elsewhere[alice]) for _ in range(4)))
    expect(all(answer.status == 200 for answer in answers), f"{[answer.status for answer in answers]}")
    second = await told(alice)
    expect(second != first and await opens(second) == 200, "there is no other token, or it opens nothing")
    answer = await bob.jars[ours].ask("GET", "/api/")
    expect(answer.status == 401 and await bob.user() is None, f"bob is still in: {answer.status}")
    expect("invalid_grant" in here.text(), f"the log does not say why: {here.tail()}")
    expect((await elsewhere[bob].ask("GET", "/")).status == 401, "bob is still in at the other gateway")

    # Out there, and out at both.
    url, answer = await alice.ask(f"http://localhost:{port}/session/end")
    await alice.fill_in(url, answer, {"logout": "yes"})

    async def is_out():
        return [(await jar.ask("GET", "/")).status for jar in (alice.jars[ours], elsewhere[alice])] == [401, 401]

    await until(is_out, 5, lambda: f"the provider has signed her out, and she is still in: {here.tail()} {provider.tail()}")
    log = here.text() + there.text()
    expect(first[7:] not in log and second[7:] not in log, "a token is in the log")
    return "another token in time, told to its application at both gateways; disabled there, out at both; out there, out at both"
