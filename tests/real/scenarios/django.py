"""A real Django 5.2 site behind the gateway, used with Chromium."""

import os
import sys
import tempfile
from pathlib import Path

from rig.chromium import look
from rig.gateway import PASSWORD, USER, certificate, settings, start
from rig.process import HERE, Process, command, expect, until
from rig.wire import ask


async def site(folder: Path) -> Path:
    """Django under gunicorn on a Unix socket; returns the socket's path."""
    env = {"GREETER_DATABASE": str(folder / "greeter.sqlite3"), "PYTHONPATH": str(HERE / "servers")}
    code, out, err = await command(sys.executable, "-c", "import greeter; greeter.prepare()", env=env)
    expect(code == 0, f"migrate: {out} {err}")
    # A socket's path is short: its length is limited.
    socket = Path(tempfile.mkdtemp(prefix="cloakroom-", dir=os.environ.get("TMPDIR", "/tmp"))) / "site.sock"
    arguments = ["-m", "gunicorn", "--bind", f"unix:{socket}", "--workers", "1", "--threads", "8"]
    arguments += ["--worker-tmp-dir", folder, "--no-control-socket"] if await control_socket() else []
    process = Process([sys.executable, *arguments, "greeter:application"], folder, "gunicorn", env=env)
    await until(socket.exists, 15, lambda: f"gunicorn: {process.tail()}")
    return socket


async def control_socket() -> bool:
    """Whether this gunicorn has a control socket that must be told not to appear in the home folder."""
    _, out, _ = await command(sys.executable, "-m", "gunicorn", "--help")
    return "--no-control-socket" in out


async def check_django(folder: Path) -> str:
    socket = await site(folder)
    certificates = [await certificate(folder)]
    gateway = await start(folder, settings(f"unix:{socket}"), certificates=certificates)

    # Django sees a secure request for the host the browser asked for, and only our user.
    jar = await gateway.logged_in_at("/seen")
    spoofed = [("X-Auth-User", "root"), ("X_Auth_User", "root"), ("X-Forwarded-Proto", "http"), ("Remote-User", "root")]
    seen = (await jar.ask("GET", "/seen", spoofed)).json()
    expect(seen["user"] == USER and seen["meta"].get("HTTP_X_AUTH_USER") == USER, f"Django saw {seen}")
    expect(seen["secure"] and seen["host"] == f"localhost:{gateway.port}", f"Django saw {seen}")
    expect("cloakroom" not in seen["meta"].get("HTTP_COOKIE", ""), f"our cookie reached Django: {seen}")

    # Django's own CSRF check still refuses a form without its token.
    answer = await jar.ask("POST", "/", [("Origin", f"https://localhost:{gateway.port}")], b"note=x")
    expect(answer.status == 403, f"POST without Django's token: {answer.status}")

    # Somebody who is not logged in gets nothing of Django's.
    answer = await ask(gateway.port, "GET", "/seen", tls=gateway.tls)
    expect(answer.status == 401, f"GET /seen without a cookie: {answer.status}")

    return await look("browser.mjs", f"https://localhost:{gateway.port}", USER, PASSWORD, seconds=110)
