"""The examples of docs/applications.md behind the gateway: they keep nothing, and yet they count, remember and greet."""

import re
import sys
import urllib.parse
from html import unescape
from pathlib import Path

from rig.gateway import PASSWORD, USER, http, needs, settings, start
from rig.process import HERE, ROOT, Process, expect, free_port, listening

EXAMPLES = ROOT / "docs/examples"


async def example(folder: Path, name: str):
    """Starts one of the examples and returns its port."""
    port = free_port()
    command = {
        "wsgi": [sys.executable, EXAMPLES / "wsgi_app.py", port],
        "node": [needs("node"), EXAMPLES / "node_app.js", port],
        "cgi": [sys.executable, HERE / "servers/cgi.py", "--port", port, EXAMPLES / "cgi_app.sh"],
        "php": [needs("php"), "-S", f"127.0.0.1:{port}", EXAMPLES / "php_app.php"],
    }[name]
    await listening(Process(command, folder, name), port)
    return port


async def gateway_before(folder: Path, *names: str):
    """A gateway with each example below a path of its own, for visitors who may or may not be logged in."""
    routes = [{"path": f"/{name}/", "access": "optional", "upstream": name} for name in names]
    upstreams = {name: {"servers": [http(await example(folder, name))]} for name in names}
    session = {"preferences": ["shared.theme"]}
    return await start(folder, settings("", upstreams=upstreams, routes=routes, session=session))


class Browser:
    """Somebody who looks at one of the examples."""

    def __init__(self, gateway, name: str, jar=None):
        self.jar, self.path = jar or gateway.jar(), f"/{name}/"

    async def sees(self, headers=(("Sec-Fetch-Dest", "document"),)) -> dict:
        answer = await self.jar.ask("GET", self.path, headers)
        expect(answer.status == 200, f"GET {self.path}: {answer.status} {answer.text()[:200]}")
        leaked = [name for name, _ in answer.headers if name.lower().startswith("session-")]
        expect(not leaked, f"GET {self.path}: {leaked} reached the client")
        text = answer.text()
        message = re.search(r'(?s)<p role="status">(.*?)</p>', text)
        return {
            "user": unescape(re.search("<h1>Hello, (.*?)</h1>", text)[1]),
            "visits": int(re.search(r"Visits: (\d+)<", text)[1]),
            "theme": re.search('data-theme="(.*?)"', text)[1],
            "message": unescape(message[1]) if message else None,
        }

    async def expects(self, **wanted):
        seen = await self.sees()
        expect(seen.items() >= wanted.items(), f"{self.path} shows {seen}, wanted {wanted}")

    async def posts(self, form: str, **values):
        body = urllib.parse.urlencode(values).encode()
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Dest", "document")]
        answer = await self.jar.ask("POST", self.path + form, headers, body)
        expect(answer.status == 303, f"POST {self.path}{form}: {answer.status} {answer.text()[:200]}")
        expect(urllib.parse.urljoin(self.path + form, answer.header("location")) == self.path, f"{answer.headers}")

    async def logs_in(self):
        await self.jar.login(USER, PASSWORD, "/_cloakroom/login?" + urllib.parse.urlencode({"return": self.path}))


async def visit(folder: Path, name: str) -> str:
    gateway = await gateway_before(folder, name)
    browser = Browser(gateway, name)
    await browser.expects(user="stranger", visits=1, theme="light", message=None)
    await browser.expects(visits=2)

    # A choice, and a message that is shown once: to the next page, and to nothing else.
    await browser.posts("theme", theme="dark")
    for words in ("Saved.", '김 철수 <b> & "100%" \\ +', "두 줄\r\n입니다"):
        await browser.posts("message", text=words)
        picture = await browser.sees([("Sec-Fetch-Dest", "image")])
        expect(picture["message"] is None, f"{name}: the message went to a picture")
        seen = await browser.sees()
        expect((seen["message"], seen["theme"]) == (words, "dark"), f"{name} shows {seen}, wanted {words}")
        await browser.expects(message=None, theme="dark")

    # Another browser is somebody else.
    await Browser(gateway, name).expects(user="stranger", visits=1, theme="light")

    # Login keeps what was gathered, logout ends it, and what is a preference stays.
    before = (await browser.sees())["visits"]
    await browser.logs_in()
    await browser.expects(user="Alice Liddell", visits=before + 1, theme="dark")
    await browser.posts("sign-out")
    await browser.expects(user="stranger", visits=1, theme="dark")
    return f"{before + 1} visits counted, Korean text whole, theme beyond logout"


async def check_application_in_python(folder: Path) -> str:
    return await visit(folder, "wsgi")


async def check_application_in_node(folder: Path) -> str:
    return await visit(folder, "node")


async def check_application_in_cgi(folder: Path) -> str:
    return await visit(folder, "cgi")


async def check_application_in_php(folder: Path) -> str:
    return await visit(folder, "php")


async def check_neighbouring_applications(folder: Path) -> str:
    """Two applications behind one gateway: each has its own visits, both have one theme."""
    gateway = await gateway_before(folder, "wsgi", "node")
    one = Browser(gateway, "wsgi")
    other = Browser(gateway, "node", one.jar)
    for visits in (1, 2, 3):
        await one.expects(visits=visits)
    await other.expects(visits=1, theme="light")
    await other.posts("theme", theme="dark")
    await other.posts("message", text="안녕")
    await one.expects(visits=4, theme="dark", message=None)
    await other.expects(visits=2, theme="dark", message="안녕")
    await one.logs_in()
    await other.expects(user="Alice Liddell", visits=3)
    return "own visits and messages, one theme, one login"
