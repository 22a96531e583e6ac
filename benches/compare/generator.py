"""The load generator, which is also the application behind every proxy: one process, one job at a time.

In: a job, as `load/` describes it. Out: its last event. Also `h2load`, for HTTP/2.
"""

import json
import os
import re
import select
import subprocess
from pathlib import Path

from process import Failed, Process, pinned


class Load:
    """`load LISTEN`: serves as the upstream, and sends what a job says."""

    def __init__(self, binary: Path, port: int, cores: list[int], folder: Path):
        self.command, self.folder = pinned([binary, f"127.0.0.1:{port}"], cores), folder
        self.start()

    def start(self):
        self.process = Process(self.command, self.folder, "load", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest = b""
        self.event("ready", 10)

    def restart(self):
        """Forgets a job that came to nothing."""
        self.process.stop()
        self.start()

    def event(self, name: str, seconds: float) -> dict:
        """The next event called so."""
        while True:
            line, newline, rest = self.rest.partition(b"\n")
            if newline:
                self.rest = rest
                event = json.loads(line)
                if event["event"] == name:
                    return event
                if event["event"] == "failed":
                    raise Failed(f"load: {event['error']}")
                continue
            if not select.select([self.process.child.stdout], [], [], seconds)[0]:
                raise Failed(f"load said no `{name}` within {seconds} s")
            got = os.read(self.process.child.stdout.fileno(), 65536)
            if not got:
                raise Failed(f"load ended: {self.process.tail()}")
            self.rest += got

    def send(self, job: dict):
        self.process.child.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.child.stdin.flush()


def h2load(port: int, path: str, seconds: float, headers: list[str], cores: list[int]) -> dict:
    """HTTP/2 over TLS: 8 connections of 32 streams, for a time. Out: the fields of a `done` event, as far as h2load tells."""
    options = [part for header in headers for part in ("-H", header)]
    command = ["h2load", "-c8", "-m32", "-t1", f"-D{round(seconds * 1000)}ms", *options, f"https://127.0.0.1:{port}{path}"]
    done = subprocess.run([str(part) for part in pinned(command, cores)], capture_output=True, text=True, timeout=seconds + 30)
    return h2load_result(done.stdout, seconds)


def h2load_result(text: str, seconds: float) -> dict:
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    failed = re.search(r"(\d+) failed, (\d+) errored", text)
    if not codes or not failed:
        raise Failed(f"h2load: {text[-300:]}")
    good, *bad = map(int, codes.groups())
    errors = sum(bad) + sum(map(int, failed.groups()))
    return {"requests": good, "errors": errors, "wrong": 0, "seconds": seconds, "rps": good / seconds, "first_error": codes[0] if errors else None}


def log_in(binary: Path, port: int, count: int, users: Path, cookies: Path, names: Path):
    """Makes `count` sessions at a gateway by its login form, and writes their cookies and whose they are."""
    command = [binary, "logins", f"127.0.0.1:{port}", count, cookies, names, "--users", users]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60 + count / 1000)
    if done.returncode != 0:
        raise Failed(f"logins: {done.stderr.strip()[-300:]}")
