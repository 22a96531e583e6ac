"""Child processes: each in its own process group, ended by its id, never left behind; and what they cost.

In: a command line. Out: a `Process` with its log, memory, CPU time and descriptors as the kernel counts them.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
RUNNING: list["Process"] = []


class Failed(Exception):
    """A scenario did not see what it must see; the text says what was sent and what came."""


def expect(condition, why: str):
    """Fails the scenario unless the condition holds."""
    if not condition:
        raise Failed(why)


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A running child. `log` holds what it wrote to standard output and standard error."""

    def __init__(self, command, folder: Path, name: str, env=None, limits=None):
        self.name = name
        self.log = folder / f"{name}.log"
        self._file = self.log.open("ab")
        # `prlimit` and not `preexec_fn`: the limits hold for the program alone, not for this one.
        if limits:
            command = ["prlimit", *limits, "--", *command]
        self.child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self.pid = self.child.pid
        RUNNING.append(self)

    def text(self) -> str:
        """Everything written so far."""
        return self.log.read_text(errors="replace")

    def tail(self) -> str:
        """The last words, for an error message."""
        return " | ".join(self.text().splitlines()[-6:])

    def alive(self) -> bool:
        return self.child.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    async def ended(self, seconds: float) -> int:
        """Waits for the end and returns the exit code; negative for a signal."""
        await until(lambda: not self.alive(), seconds, f"{self.name} did not end within {seconds} s")
        return self.child.returncode

    async def stop(self):
        """Asks it to end, then insists."""
        if self.alive():
            self.signal(signal.SIGTERM)
            with contextlib.suppress(Failed):
                await self.ended(5)
        self.kill()

    def kill(self):
        """Ends it and what it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()
        self._file.close()
        if self in RUNNING:
            RUNNING.remove(self)

    def memory(self) -> int:
        """Resident bytes now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE

    def peak_from_here(self):
        """Starts a new high-water mark of memory and returns the present size."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.memory()

    def peak(self) -> int:
        """Most resident bytes since `peak_from_here`."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise Failed("the kernel tells no VmHWM")

    def cpu(self) -> float:
        """Seconds of CPU used so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def kill_all():
    """Ends every process that is still there."""
    for process in list(RUNNING):
        process.kill()


async def until(condition, seconds: float, why: str, every=0.02):
    """Waits for a condition (a plain or an async function); `Failed(why)` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failed(why() if callable(why) else why)
        await asyncio.sleep(every)


def connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


async def listening(process: Process, port: int, seconds=10):
    """Waits until the process accepts connections on the port."""

    def ready():
        expect(process.alive(), f"{process.name} ended at start: {process.tail()}")
        return connects(port)

    await until(ready, seconds, f"{process.name} does not listen on {port}")


async def application(folder: Path, port=None, name="app") -> Process:
    """Starts `servers/app.py` and waits until it listens; its port is `process.port`."""
    port = port or free_port()
    process = Process([sys.executable, HERE / "servers/app.py", "--port", port, "--name", name], folder, name)
    process.port = port
    await listening(process, port)
    return process


async def command(*parts, seconds=60, env=None, folder=None, stdin=None):
    """Runs a command to its end; returns exit code, standard output and standard error."""
    child = await asyncio.create_subprocess_exec(
        *[str(part) for part in parts],
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env={**os.environ, **(env or {})},
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(stdin), seconds)
    except asyncio.TimeoutError:
        child.kill()
        await child.wait()
        raise Failed(f"`{parts[0]}` did not end within {seconds} s") from None
    return child.returncode, out.decode(errors="replace"), err.decode(errors="replace")
