"""Redis: no proxy, but what many keep sessions in. Takes part where the memory of a session is measured."""

import subprocess

from peers.base import Peer, Setup
from process import Failed

VALUE = "v" * 200


class Redis(Peer):
    name = "redis"
    version_command = ["redis-server", "--version"]

    def command(self, setup: Setup):
        return ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.folder], {}

    def started(self, setup: Setup):
        if not setup.sessions:
            return
        with self.bench.table.open() as table:
            keys = (line.split()[0] for line in table)
            commands = "".join(f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n${len(VALUE)}\r\n{VALUE}\r\n" for key in keys)
        done = subprocess.run(["redis-cli", "-p", str(self.port), "--pipe"], input=commands, capture_output=True, text=True, timeout=120)
        if done.returncode != 0 or "errors: 0" not in done.stdout:
            raise Failed(f"redis-cli: {done.stdout} {done.stderr}")
