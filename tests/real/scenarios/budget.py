"""Instructions per request: a budget that is counted and never timed.

In: the release build under callgrind, runs that differ in nothing but 2,000 requests. Out: their difference, without what the
kernel does. Requests come strictly one after the other, so that each wake-up of the worker brings one event:
how many come together depends on timing, and a count must not.

The counts belong to the release profile, to a version of Rust and of the dependencies, and a little to the processor:
`memchr` picks its code by what the processor can do (valgrind 3.19 knows up to AVX2), and glibc would too, but is told not to.
"""

import asyncio
import platform
import re
import signal
from pathlib import Path

from rig.gateway import BINARY, Gateway, http, needs, settings
from rig.process import Failed, command, expect, free_port
from rig.redis import Redis
from rig.wire import Connection, Jar

# Instructions per request. `tests/real/run instructions` prints the present ones.
BUDGET = {"public": 24_850, "session": 29_120, "change": 37_350}
TOLERANCE = 0.03
REQUESTS = 2000
WARM_UP = 200

# bcrypt of "wonderland" at the lowest cost: a login is in every run and ought to be short.
HASH = "$2b$04$abcdefghijklmnopqrstuujZkTwHUiJ9XdZPwKfcfDo7dMp5DjlTu"
# As a browser sends them. The name is always the same, since the port is not.
FIELDS = [
    ("Host", "app.example.com"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("X-Auth-User", "mallory"),
]
RESPONSE = b"HTTP/1.1 200 OK\r\nServer: app\r\nContent-Type: text/plain\r\n%sContent-Length: 100\r\n\r\n" + b"x" * 100
# A request of each kind. The session has data from the warm-up on, which is told with every request.
TARGETS = {"public": "/open/hello", "session": "/hello", "change": "/change"}
# A request that changes the session's data costs at most so much of one that does not.
CHANGE = 1.3
# What a request may cost with these settings, of one without them. A store is asked for nothing while a session is in use here.
MOST = {"redis": 1.03, "sqlite": 1.03, "assertion": 1.15}
# glibc copies and searches with the code that every x86-64 has.
GLIBC = "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-SSSE3"


async def stripped(folder: Path) -> Path:
    """The binary as callgrind can read it: not the debug information of a new compiler; the names of functions stay."""
    binary = folder / "cloakroom"
    code, _, err = await command(needs("objcopy"), "-g", BINARY, binary)
    expect(code == 0, f"objcopy: {err}")
    return binary


async def check_instructions(folder: Path) -> str:
    if platform.machine() != "x86_64":
        return "not counted: the budget is for x86-64"
    binary = await stripped(folder)
    server = await asyncio.start_server(application, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        without = await total(folder, binary, port, None)
        found = {name: round((await total(folder, binary, port, name) - without) / REQUESTS) for name in BUDGET}
    figures = ", ".join(f"{name} {count:,}" for name, count in found.items())
    ratio = found["change"] / found["session"]
    expect(ratio <= CHANGE, f"{figures} per request: a change costs {ratio:.2f} of a request without, not {CHANGE}")
    drift = {name: count / BUDGET[name] - 1 for name, count in found.items()}
    if all(abs(change) <= TOLERANCE for change in drift.values()):
        return f"{figures} per request; a change costs {ratio:.2f} of a request without"
    changes = ", ".join(f"{name} {change:+.1%}" for name, change in drift.items())
    raise Failed(
        f"{figures} per request, {changes}: where fewer suffice, or a new compiler or dependency counts differently, write "
        f"it down as BUDGET in {Path(__file__).name}; where more are needed, `callgrind_annotate` shows for what "
        f"(callgrind.* in this folder). A processor without AVX2 counts differently too; {processor()}"
    )


async def check_instructions_of_settings(folder: Path) -> str:
    """What a request with a session costs that is kept elsewhere and in use here, or of which an assertion tells, beside one in memory."""
    binary, store = await stripped(folder), await Redis.made(folder)
    redis = {"session": {"store": "redis", "redis": {"servers": [store.url]}}}
    sqlite = {"session": {"store": "sql", "sql": {"url": f"sqlite:{folder}/sessions.sqlite3"}}}
    kinds = {"memory": {}, "redis": redis, "sqlite": sqlite, "assertion": {"identity": {"assertion": {}}}}
    server = await asyncio.start_server(application, "127.0.0.1")
    found = {}
    async with server:
        port = server.sockets[0].getsockname()[1]
        for kind, more in kinds.items():
            both = [await total(folder, binary, port, what, kind, more) for what in (None, "session")]
            found[kind] = round((both[1] - both[0]) / REQUESTS)
    ratios = {kind: count / found["memory"] for kind, count in found.items()}
    figures = ", ".join(f"{kind} {found[kind]:,} ({ratio:.3f})" for kind, ratio in ratios.items())
    for kind, most in MOST.items():
        expect(ratios[kind] <= most, f"{figures}: {kind} costs more than {most} of what memory does")
    return f"{figures} per request"


async def total(folder: Path, binary: Path, upstream: int, more: str | None, kind="memory", changes=None) -> int:
    """Instructions of a whole life: start, login, warm-up, then the requests to be counted, if any."""
    # Assertions are made out in the name of an address that must be known.
    port = free_port()
    config = {**settings(http(upstream), workers=1), "public_url": f"http://localhost:{port}", **(changes or {})}
    config["login"]["local"]["users"]["alice"]["password"] = HASH
    run = f"{kind}-{more or 'none'}"
    out = folder / f"callgrind.{run}"
    under = [needs("valgrind"), "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
    gateway = Gateway(folder, config, name=run, env={"GLIBC_TUNABLES": GLIBC}, program=[*under, binary], listeners=[{"address": f"127.0.0.1:{port}"}])
    await gateway.ready(60)
    jar = Jar(port)
    await jar.login("alice", "wonderland", "/hello")
    client = Connection(port)
    for name in ["change"] + ["public", "session"] * WARM_UP + ([more] * REQUESTS if more else []):
        target, fields = TARGETS[name], FIELDS if name == "public" else jar.fields(FIELDS)
        answer = await client.ask("GET", target, fields)
        expect(answer.status == 200, f"GET {target}: {answer.status}")
    client.close()
    # The count is written at the end, however long that takes.
    gateway.signal(signal.SIGTERM)
    await gateway.ended(60)
    expect(out.exists(), f"no count: {gateway.tail()}")
    return int(re.search(r"(?m)^totals: (\d+)", out.read_text()).group(1))


async def application(reader, writer):
    """Answers every request for a target with the same bytes, in one piece."""
    plain, change = RESPONSE % b"", RESPONSE % b"Session-Add: n=1\r\n"
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            writer.write(change if head.startswith(b"GET /change ") else plain)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def processor() -> str:
    flags = Path("/proc/cpuinfo").read_text().split()
    return f"this one has it{'' if 'avx2' in flags else ' not'}"
