"""What every peer is: a configuration, a process, two ports.

In: what all share (`Bench`) and what a case needs (`Setup`). Out: a process that forwards to the load program's upstream.
A peer with `sessions` tells the application the user whom a cookie names, replaces a forged `X-Auth-User`, and lets nobody in
without a cookie; the others pass everything.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import tree
from process import Failed, Process, free_port, pinned


@dataclass(frozen=True)
class Bench:
    """What all peers share."""

    folder: Path
    installed: Path
    cloakroom: Path
    before: Path | None
    load: Path
    upstream: int
    cert: Path
    key: Path
    # Live sessions: how many, a line `cookie user` each, and the same as `Cookie` values and names.
    sessions: int
    table: Path
    cookies: Path
    users: Path


@dataclass(frozen=True)
class Setup:
    """What of a peer's configuration depends on the case."""

    sessions: bool = False
    routes: int = 0
    log: bool = False

    def __str__(self):
        return f"{'all' if self.sessions else 'no'} sessions, {self.routes or 'no'} routes{', access log' if self.log else ''}"


class Peer:
    """One proxy. Subclasses say how it is configured; ports and life are here."""

    name = ""
    # Whether it recognises users by a cookie.
    sessions = False
    # Whether it has a listener with TLS.
    tls = True
    # The signal for a new configuration, sent to the first process.
    reload_signal: int | None = None
    version_command: list = []

    def __init__(self, bench: Bench, workers: int, cores: list[int]):
        self.bench, self.workers, self.cores = bench, workers, cores
        self.folder = bench.folder / f"{self.name}-{workers}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.tls_port = free_port(), free_port()
        # What a client must send to be recognised, and as whom.
        self.cookies, self.users, self.live = bench.cookies, bench.users, bench.sessions
        self.process: Process | None = None

    def command(self, setup: Setup) -> tuple[list, dict]:
        """Writes the configuration; returns the command line and the environment."""
        raise NotImplementedError

    def started(self, setup: Setup):
        """What is left to do when it listens."""

    def start(self, setup: Setup):
        command, env = self.command(setup)
        self.process = Process(pinned(command, self.cores), self.folder, self.name, env)
        self.process.listening(self.port, 120)
        self.started(setup)

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def reload(self):
        if self.reload_signal is not None:
            self.process.child.send_signal(self.reload_signal)

    def pids(self) -> list[int]:
        if not self.process.alive():
            raise Failed(f"{self.name} ended: {self.process.tail()}")
        return tree(self.process.pid)

    @classmethod
    def version(cls, bench: Bench) -> str:
        """As the program tells it."""
        try:
            done = subprocess.run([str(part) for part in cls.version_command], capture_output=True, text=True, timeout=20)
        except OSError as error:
            raise Failed(f"{cls.name}: {error}") from None
        found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
        return found[0] if found else "unknown"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path
