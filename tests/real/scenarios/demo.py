"""`cloakroom demo`, as somebody who has just built it: no file, no network, everything that it says can be tried."""

import asyncio
import re
import signal
import urllib.parse
from html import unescape
from pathlib import Path

from rig.chromium import look
from rig.gateway import BINARY, http
from rig.process import Process, expect, listening, until
from rig.wire import Connection, Jar
from scenarios.nginx import WebSocket


async def started(folder: Path):
    """The demo, where it listens, and who may sign in: process, port, user, password."""
    process = Process([BINARY, "demo"], folder, "demo")

    def told():
        expect(process.alive(), f"the demo ended: {process.tail()}")
        return re.search(r"(?i)password\W+(\S+)", process.text())

    password = (await until(told, 15, lambda: f"no password was printed: {process.tail()}")).group(1)
    text = process.text()
    url = re.search(r"http://(localhost|127\.0\.0\.1):(\d+)", text)
    user = re.search(r"(?i)user(?:name)?\W+(\S+)", text)
    expect(url and user, f"no URL or no user was printed: {text}")
    port, user = int(url.group(2)), user.group(1)
    await listening(process, port)
    return process, port, user, password


async def check_demo(folder: Path) -> str:
    process, port, user, password = await started(folder)
    jar = Jar(port)
    expect((await jar.ask("GET", "/")).status == 401, "the demo application is open to everybody")
    answer = await jar.login(user, password, "/")
    expect(answer.header("location", "").endswith("/"), f"login led to {answer.header('location')}")
    _, page = await jar.page("/")
    expect(page.status == 200 and user in page.text(), f"the page does not greet {user}: {page.text()[:200]}")
    expect("X-Auth-User" in page.text() or "x-auth-user" in page.text(), "the page does not show the headers")
    token = next(iter(jar.cookies.values()))
    expect(token not in page.text(), "the application saw the session cookie")

    # A page for everybody, one for a group she is in, one for a group she is not in.
    for path, status in [("/public/", 200), ("/staff/", 200), ("/finance/", 403)]:
        answer = await jar.ask("GET", path)
        expect(answer.status == status, f"GET {path}: {answer.status}")
    socket = await WebSocket.open(port, "/echo", jar.fields())
    for text in ("hello", "안녕"):
        expect(await socket.say(text) == text, f"the WebSocket does not echo {text}")
    stream = await Connection(port).open()
    stream.send("GET", "/events", jar.fields([("Accept", "text/event-stream")]))
    head = await asyncio.wait_for(stream.reader.readuntil(b"\r\n\r\n"), 3)
    expect(b"text/event-stream" in head.lower(), f"GET /events: {head[:200]}")
    for _ in range(2):
        await asyncio.wait_for(stream.reader.readuntil(b"\n\n"), 5)
    await jar.logout()
    await socket.closed(1.5)
    expect((await jar.ask("GET", "/")).status == 401, "still logged in after logout")
    process.signal(signal.SIGINT)
    expect(await process.ended(5) == 0, f"exit {process.child.returncode} after an interrupt")
    return f"{user} greeted at port {port}, WebSocket and events work and end with the session"


class Shopper:
    """Somebody in the demo's pages: looks at them and presses their buttons."""

    def __init__(self, port: int):
        self.jar = Jar(port)

    async def sees(self, path: str) -> str:
        _, answer = await self.jar.page(path)
        expect(answer.status == 200, f"GET {path}: {answer.status} {answer.text()[:200]}")
        return answer.text()

    async def sends(self, path: str, **values) -> str:
        """Posts a form and returns the page that it leads to."""
        body = urllib.parse.urlencode(values).encode()
        answer = await self.jar.ask("POST", path, [("Content-Type", "application/x-www-form-urlencoded")], body)
        expect(answer.status == 303, f"POST {path}: {answer.status} {answer.text()[:200]}")
        return await self.sees(answer.header("location"))


def says(page: str, what: str, where: str):
    expect(what in page, f"{where} does not say {what!r}: {unescape(re.sub('<[^>]+>', ' ', page))[-900:]}")


def version(page: str) -> str:
    return re.search('name="version" value="([^"]*)"', page)[1]


async def check_demo_remembers(folder: Path) -> str:
    _, port, user, password = await started(folder)
    one, other = Shopper(port), Shopper(port)
    # Before login: a message once, a cart, theme and language.
    says(await one.sends("/shop/cart", add="cart-tea"), "Green tea is in the cart.", "the shop")
    page = await one.sees("/shop/")
    says(page, "<td>Green tea</td><td>1</td>", "the cart")
    expect("is in the cart." not in page, "a message was shown twice")
    says(await one.sends("/preferences/", theme="dark", language="ko"), "저장했습니다.", "the form")
    says(await one.sees("/shop/"), '<html lang="ko" data-theme="dark">', "the shop")
    says(await one.sends("/preferences/notice", until="midnight", back="/shop/"), "장바구니", "the shop")
    expect("재고 조사" not in await one.sees("/shop/"), "the notice was not hidden")
    # Two tabs with one note: the second is told that it came late.
    tab = version(await one.sees("/shop/"))
    says(await one.sends("/shop/note", note="첫째 글", version=tab), ">첫째 글</textarea>", "the note")
    late = await one.sends("/shop/note", note="둘째 글", version=tab)
    says(late, 'role="alert"', "the late note")
    says(late, ">첫째 글</textarea>", "the late note")
    expect('role="alert"' not in await one.sees("/shop/"), "the conflict was told twice")
    # Login keeps all of it; visits are counted, the welcome comes once.
    for someone in (one, other):
        await someone.jar.login(user, password, "/")
    says(await one.sees("/shop/"), "<td>녹차</td><td>1</td>", "the cart after login")
    says(await one.sees("/"), "<dialog open", "the first page")
    page = await one.sees("/")
    expect("<dialog" not in page, "the welcome came twice")
    says(page, "방문: 2", "the first page")
    # Out in all other browsers, then here; preferences stay.
    says(await one.sends("/account/sign-out", which="others"), "다른 모든 브라우저에서 로그아웃했습니다.", "the account")
    expect((await other.jar.ask("GET", "/account/")).status == 401, "the other browser is still signed in")
    page = await one.sends("/account/sign-out", which="this")
    says(page, '<html lang="ko" data-theme="dark">', "the shop after logout")
    says(page, "<td>녹차</td><td>0</td>", "the cart after logout")
    expect("재고 조사" not in page, "the notice is back after logout")
    expect((await one.jar.ask("GET", "/account/")).status == 401, "still signed in after logout")
    await other.jar.login(user, password, "/")
    says(await other.sends("/account/sign-out", which="all"), "You are signed out everywhere.", "the shop")
    return "cart, note, theme, language, notice, welcome and three ways out"


async def check_demo_pages(folder: Path) -> str:
    """Chromium and axe look at every page, in both languages and schemes, at 360 px and wide."""
    _, port, user, password = await started(folder)
    return await look("demo.mjs", http(port), user, password, seconds=140)
