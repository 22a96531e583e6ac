"""Child processes: each in its own process group, ended by its id, never left behind.

In: a command line. Out: a `Process` with its log. What they cost is `machine`'s to say.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

RUNNING: list["Process"] = []

# Below the ports the kernel gives to outgoing connections: none of those can take one of ours.
PORTS = iter(range(21_000, 32_000))


class Failed(Exception):
    """Something did not do what it must; the text says what."""


def pinned(command: list, cores: list[int]) -> list:
    """The command, kept on these cores."""
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def free_port() -> int:
    """A loopback port that nobody uses."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise Failed("no port is free")


class Process:
    """A running child; what it writes and nobody reads is in `log`."""

    def __init__(self, command: list, folder: Path, name: str, env=None, stdin=subprocess.DEVNULL, stdout=None):
        self.name = name
        self.log = folder / f"{name}.log"
        self._file = self.log.open("wb")
        self.child = subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin,
            stdout=stdout or self._file,
            stderr=self._file,
            cwd=folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self.pid = self.child.pid
        RUNNING.append(self)

    def tail(self) -> str:
        """The last words, for an error message."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-4:])[-600:]

    def alive(self) -> bool:
        return self.child.poll() is None

    def listening(self, port: int, seconds=60):
        """Waits until it accepts connections on the port."""

        def ready():
            if not self.alive():
                raise Failed(f"{self.name} ended at start: {self.tail()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
                return True
            return False

        until(ready, seconds, f"{self.name} does not listen: {self.tail()}")

    def stop(self):
        """Asks it to end, then insists; what it started goes with it."""
        if self.alive():
            self.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()
        self._file.close()
        if self in RUNNING:
            RUNNING.remove(self)


def stop_all():
    """Ends every process that is still there."""
    for process in list(RUNNING):
        process.stop()


def until(condition, seconds: float, why: str):
    """Waits for a condition; `Failed(why)` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(why)
        time.sleep(0.02)
