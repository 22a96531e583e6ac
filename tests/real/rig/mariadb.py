"""MariaDB: a server of its own in a folder, on a free loopback port.

In: a folder. Out: a `MariaDb` that can be stopped, started again, killed and asked. It writes as durably as in earnest:
what it has answered survives `kill`.
"""

import os
import signal
from pathlib import Path

from rig.gateway import needs
from rig.process import Process, command, expect, free_port, until

PASSWORD = "wonderland"


class MariaDb:
    """A MariaDB server with one database, `cloakroom`, and a user of that name."""

    def __init__(self, folder: Path, name="mariadb"):
        self.folder, self.name = folder, name
        self.port = free_port()
        self.data = folder / name
        # The path of a socket must be short.
        self.socket = f"/tmp/cloakroom-{os.getpid()}-{self.port}.sock"
        self.process = None

    @property
    def url(self) -> str:
        return f"mysql://cloakroom:{PASSWORD}@127.0.0.1:{self.port}/cloakroom"

    @classmethod
    async def made(cls, folder: Path, **options) -> "MariaDb":
        """A server that runs and has an empty database."""
        self = cls(folder, **options)
        make = ["--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal", *self.user()]
        code, out, err = await command(needs("mariadb-install-db"), *make, "--skip-test-db")
        expect(code == 0, f"mariadb-install-db: {out} {err}")
        await self.start()
        await self.ask(
            f"CREATE DATABASE cloakroom; CREATE USER cloakroom@'%' IDENTIFIED BY '{PASSWORD}'; "
            "GRANT ALL ON cloakroom.* TO cloakroom@'%'",
            database="mysql",
        )
        return self

    @staticmethod
    def user() -> list[str]:
        """Root says that it means it; others run it as themselves."""
        return ["--user=root"] if os.getuid() == 0 else []

    async def start(self):
        """Starts it, again if need be, and waits until it answers."""
        own = ["--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}", f"--pid-file={self.data}.pid", *self.user()]
        net = [f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-networking=0", "--skip-name-resolve"]
        self.process = Process([needs("mariadbd"), *own, *net], self.folder, self.name)

        async def ready():
            expect(self.process.alive(), f"{self.name} ended at start: {self.process.tail()}")
            code, _, _ = await command(*self.client("mysql"), "-e", "SELECT 1")
            return code == 0

        await until(ready, 30, lambda: f"{self.name} is not ready: {self.process.tail()}")
        return self

    async def stop(self):
        self.process.signal(signal.SIGTERM)
        await self.process.ended(30)
        self.process.kill()

    async def restart(self):
        await self.stop()
        await self.start()

    async def kill(self):
        """Ends it at once, as a power cut would."""
        self.process.signal(signal.SIGKILL)
        await self.process.ended(5)
        self.process.kill()

    def freeze(self, frozen=True):
        """Stops it in its tracks, so that it neither answers nor refuses; or lets it go on."""
        self.process.signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def client(self, database: str) -> list[str]:
        return [needs("mariadb"), "--no-defaults", "-uroot", "-S", self.socket, "-N", "-B", database]

    async def ask(self, statement: str, database="cloakroom") -> list[list[str]]:
        """The rows of a statement, as texts."""
        code, out, err = await command(*self.client(database), "-e", statement)
        expect(code == 0, f"{statement}: {err}")
        return [line.split("\t") for line in out.splitlines()]
