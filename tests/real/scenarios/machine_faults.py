"""What can go wrong with the machine: no descriptors left, no room for the log, a clock that jumps."""

import asyncio
import time
from pathlib import Path

from rig.gateway import Gateway, http, needs, settings, start
from rig.process import Failed, application, command, expect, until
from rig.wire import Connection, Load, ask, canary


async def check_descriptors(folder: Path) -> str:
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port)))
    await ask(gateway.port, "GET", "/open/hello")
    # The limit is lowered under the running gateway: 30 more descriptors, then none.
    limit = gateway.descriptors() + 30
    code, _, err = await command(needs("prlimit"), "--pid", gateway.pid, f"--nofile={limit}:{limit}")
    expect(code == 0, f"prlimit: {err}")
    crowd = [await Connection(gateway.port).open() for _ in range(300)]
    await asyncio.sleep(0.5)
    cpu, begin = gateway.cpu(), time.monotonic()
    refused = 0
    while time.monotonic() < begin + 2:
        try:
            await ask(gateway.port, "GET", "/open/hello", seconds=0.3)
        except (OSError, asyncio.TimeoutError):
            refused += 1
    used = (gateway.cpu() - cpu) / (time.monotonic() - begin)
    expect(gateway.alive(), f"the gateway ended: {gateway.tail()}")
    expect(used < 0.2, f"{used:.0%} of a core while there are no descriptors")
    for connection in crowd:
        connection.close()
    begin = time.monotonic()

    async def served():
        try:
            return (await ask(gateway.port, "GET", "/open/hello", seconds=0.5)).status == 200
        except (OSError, asyncio.TimeoutError):
            return False

    await until(served, 5, "no answer 5 s after the descriptors came back")
    took = time.monotonic() - begin
    expect(took < 1, f"answered again only after {took:.2f} s")
    log = gateway.text().lower()
    expect("descriptor" in log or "too many open files" in log or "emfile" in log, f"nothing in the log: {gateway.tail()}")
    expect(len(gateway.text()) < 100_000, "the log was flooded")

    # A budget that cannot hold the configured connections is refused at start, with a word about it.
    small = await refused_at_start(folder, settings(http(app.port)))
    return f"{used:.0%} of a core, served again after {took:.2f} s; a budget of 64: {small}"


async def refused_at_start(folder: Path, config: dict) -> str:
    gateway = Gateway(folder, config, name="small", limits=["--nofile=64:64"])
    code = await gateway.ended(5)
    text = gateway.text().lower()
    expect(code in (1, 78), f"exit {code} with 64 descriptors: {gateway.tail()}")
    expect("descriptor" in text or "nofile" in text or "open files" in text, f"it does not say why: {gateway.tail()}")
    return f"refused with exit {code}"


async def check_log_disk_full(folder: Path) -> str:
    """The disk of the access log is full: every request is answered; when there is room again, lines come again."""
    app = await application(folder)
    disk = folder / "disk"
    disk.mkdir()
    code, _, err = await command("mount", "-t", "tmpfs", "-o", "size=64k", "none", disk)
    expect(code == 0, f"a small disk could not be mounted: {err}")
    try:
        log = disk / "access.log"
        config = settings(http(app.port), access_log={"format": "json", "output": str(log)})
        gateway = await start(folder, config)
        before = gateway.memory()
        async with Load(gateway.port, "/open/hello", connections=4) as load:
            await until(lambda: load.good > 3000, 30, "no load")
        load.check()
        expect(log.stat().st_size >= 60 * 1024, f"the disk is not full: {log.stat().st_size} bytes")
        grown = (gateway.memory() - before) / (1 << 20)
        expect(grown < 20, f"the gateway grew by {grown:.1f} MiB")
        expect("no space" in gateway.text().lower(), f"the program log does not say so: {gateway.tail()}")
        expect(len(gateway.text()) < 100_000, "the program log was flooded")
        log.write_text("")

        async def written():
            await ask(gateway.port, "GET", "/open/hello")
            return log.stat().st_size > 0

        await until(written, 15, "no line 15 s after there was room again", every=0.2)
        await gateway.stop()
    finally:
        await command("umount", "-l", disk)

    # The same with a device that is always full.
    always = await start(folder, settings(http(app.port), access_log={"format": "json", "output": "/dev/full"}), name="always")
    async with canary(always.port, target="/open/hello") as others:
        await until(lambda: others.good > 20, 10, "no answers")
    others.check()
    return f"{load.good} requests answered with a full disk, lines again when there was room"


class Clock:
    """The gateway's wall clock, moved by libfaketime; timers go on as they are."""

    def __init__(self, folder: Path):
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            raise Failed("libfaketime is not installed; tests/real/run installs it")
        self.file = folder / "clock"
        self.set(0)
        self.env = {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int):
        # In one step: the gateway may read at any moment.
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self.file)


HOUR = 3600


async def check_clock_jump(folder: Path) -> str:
    app = await application(folder)
    clock = Clock(folder)
    limits = {"idle_timeout": "30m", "absolute_timeout": "2h"}
    gateway = await start(folder, settings(http(app.port), session=limits), env=clock.env)

    async def alive(jar) -> bool:
        return (await jar.ask("GET", "/hello")).status == 200

    async with canary(gateway.port, target="/open/hello") as others:
        # Idle: alive just before the limit, ended just after.
        clock.set(0)
        jar = await gateway.logged_in_at("/hello")
        clock.set(29 * 60)
        expect(await alive(jar), "ended 29 min after the last request; the idle limit is 30 min")
        clock.set(29 * 60 + 31 * 60)
        expect(not await alive(jar), "alive 31 min after the last request; the idle limit is 30 min")

        # Absolute: however active.
        clock.set(0)
        jar = await gateway.logged_in_at("/hello")
        for minutes in range(20, 120, 20):
            clock.set(minutes * 60)
            expect(await alive(jar), f"ended {minutes} min after login, in use; the absolute limit is 2 h")
        clock.set(2 * HOUR + 60)
        expect(not await alive(jar), "alive 2 h and 1 min after login; the absolute limit is 2 h")

        # Backwards and far away: nothing breaks, and no session becomes immortal.
        clock.set(0)
        jar = await gateway.logged_in_at("/hello")
        clock.set(-HOUR)
        back = await alive(jar)
        clock.set(2 * HOUR + 60)
        expect(not await alive(jar), "a session outlived its absolute limit after the clock went back")
        for jump in (365 * 24 * HOUR, -24 * HOUR, 0):
            clock.set(jump)
            await asyncio.sleep(0.2)
            expect((await ask(gateway.port, "GET", "/open/hello")).status == 200, f"no answer after a jump of {jump} s")
            await gateway.logged_in_at("/hello")
    others.check()
    expect(gateway.alive() and "panic" not in gateway.text().lower(), f"a panic: {gateway.tail()}")
    return f"idle and absolute limits to the minute; an hour back the session {'lives' if back else 'ends'}; others p99 {others.p99() * 1000:.0f} ms"
