"""The gateway's own pages as people see them: Chromium and axe look at each, in both languages and schemes, narrow and wide."""

import asyncio
from pathlib import Path

from rig.chromium import look
from rig.gateway import HASH, PASSWORD, USER, http, start
from rig.process import free_port

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 32"><rect width="32" height="32" rx="6" fill="#3b82c4"/>'
    '<path d="M8 22l8-12 8 12z" fill="#fff"/><rect x="42" y="11" width="74" height="10" rx="5" fill="#8a94a3"/></svg>'
)
FORM = """<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,">
<h1>App</h1><form method="post" action="/form/sent?x=1"><label>Note <input name="note"></label><button>Send</button></form>"""


async def answer(reader, writer):
    """A form, and what was sent with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
    sent = (await reader.readexactly(length)).decode().replace("&", "&amp;")
    body = (f'{FORM}<p id="note">{sent}</p>' if sent else FORM).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def check_login_pages(folder: Path) -> str:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    (folder / "logo.svg").write_text(LOGO)
    config = {
        "upstreams": {
            "app": {"servers": [http(server.sockets[0].getsockname()[1])]},
            "gone": {"servers": [http(free_port())]},
        },
        "routes": [
            {"path": "/finance/", "access": {"groups": ["finance"]}, "upstream": "app"},
            {"path": "/gone/", "upstream": "gone"},
            {"path": "/", "upstream": "app"},
        ],
        "login": {
            "title": "Example",
            "logo": {"file": str(folder / "logo.svg"), "alt": "Example Inc."},
            "local": {"users": {USER: {"password": HASH, "groups": ["staff"]}}},
            "throttle": {"per_user": "5/15m", "per_ip": "1000/15m"},
        },
        "access_log": {"format": "off"},
    }
    gateway = await start(folder, config)
    # A cookie for another site than the one it is on: no browser keeps it.
    astray = await start(folder, {**config, "session": {"cookie": {"domain": "example.com"}}}, name="astray")
    return await look("login_pages.mjs", http(gateway.port), http(astray.port), USER, PASSWORD, seconds=280)


async def check_second_factor_pages(folder: Path) -> str:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    (folder / "state").mkdir()
    person = {"password": HASH}
    users = {f"must-{number}": {**person, "groups": ["staff"]} for number in range(8)}
    users |= {f"free-{number}": person for number in range(8)}
    config = {
        "upstream": http(server.sockets[0].getsockname()[1]),
        "state_dir": str(folder / "state"),
        "login": {
            "title": "Example",
            "local": {"users": users, "totp": {"groups": ["staff"]}},
            "throttle": {"per_ip": "1000/15m"},
        },
        "access_log": {"format": "off"},
    }
    gateway = await start(folder, config)
    return await look("second_factor.mjs", http(gateway.port), PASSWORD, seconds=280)
