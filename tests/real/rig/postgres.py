"""PostgreSQL: a server of its own in a folder, on a free loopback port.

In: a folder. Out: a `Postgres` that can be stopped, started again, killed and asked. It writes as durably as in earnest:
what it has answered survives `kill`.
"""

import glob
import os
import pwd
import shutil
import signal
from pathlib import Path

from rig.process import Failed, Process, command, expect, free_port, until

USER = "postgres"


def program(name: str) -> str:
    """A program of the newest PostgreSQL that is installed."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")) or [shutil.which(name)]
    if not found[-1]:
        raise Failed(f"{name} is not installed; tests/real/run installs it")
    return found[-1]


def as_its_user(*parts) -> list:
    """It refuses to run as root."""
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--", *parts] if os.getuid() == 0 else list(parts)


class Postgres:
    """A PostgreSQL server with one database, `cloakroom`."""

    def __init__(self, folder: Path, name="postgres"):
        self.folder, self.name = folder, name
        self.port = free_port()
        self.data = folder / name
        self.process = None

    @property
    def url(self) -> str:
        return f"postgres://{USER}@127.0.0.1:{self.port}/cloakroom"

    @classmethod
    async def made(cls, folder: Path, **options) -> "Postgres":
        """A server that runs and has an empty database."""
        self = cls(folder, **options)
        self.data.mkdir(mode=0o700)
        if os.getuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self.data, user.pw_uid, user.pw_gid)
            # Its user must be able to come this far.
            for above in [folder, *folder.parents]:
                above.chmod(above.stat().st_mode | 0o011)
        make = as_its_user(program("initdb"), "-D", self.data, "-A", "trust", "-U", USER, "-E", "UTF8", "--no-locale")
        code, out, err = await command(*make, folder="/")
        expect(code == 0, f"initdb: {out} {err}")
        await self.start()
        await self.ask("CREATE DATABASE cloakroom", database="postgres")
        return self

    async def start(self):
        """Starts it, again if need be, and waits until it answers."""
        listen = ["-p", self.port, "-k", self.data, "-c", "listen_addresses=127.0.0.1"]
        self.process = Process(as_its_user(program("postgres"), "-D", self.data, *listen), self.folder, self.name)

        async def ready():
            expect(self.process.alive(), f"{self.name} ended at start: {self.process.tail()}")
            code, _, _ = await command(program("pg_isready"), "-h", "127.0.0.1", "-p", self.port, "-q")
            return code == 0

        await until(ready, 20, lambda: f"{self.name} is not ready: {self.process.tail()}")
        return self

    async def stop(self):
        """Stops it without waiting for those who are connected."""
        self.process.signal(signal.SIGINT)
        await self.process.ended(20)
        self.process.kill()

    async def restart(self):
        await self.stop()
        await self.start()

    async def kill(self):
        """Ends it at once, as a power cut would, and all that it started."""
        self.process.signal(signal.SIGKILL)
        await self.process.ended(5)
        self.process.kill()

    def freeze(self, frozen=True):
        """Stops all of it in its tracks, so that it neither answers nor refuses; or lets it go on."""
        number = signal.SIGSTOP if frozen else signal.SIGCONT
        for pid in [self.process.pid, *children(self.process.pid)]:
            os.kill(pid, number)

    async def ask(self, statement: str, database="cloakroom") -> list[list[str]]:
        """The rows of a statement, as texts."""
        server = ["-h", "127.0.0.1", "-p", self.port, "-U", USER, "-d", database]
        code, out, err = await command(program("psql"), *server, "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", statement)
        expect(code == 0, f"{statement}: {err}")
        return [line.split("\t") for line in out.splitlines()]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found
