"""Cloakroom: defaults, but for what the cases turn on, and no limit that a case would reach.

`/app` needs a login, everything else is public. The sessions are made at its login form: there is no other way in.
"""

import signal
import subprocess
from pathlib import Path

from generator import log_in
from peers.base import Bench, Peer, Setup

# argon2id at the least cost of the password below: a million logins shall not take a day.
HASH = "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyaXNvbi1zYWx0IQ$uFHWASi6JhegpHcvztmz/QVd7plmReC5NNClT0i/1vo"
PASSWORD = "cloakroom-compare"

CONFIGURATION = """
listen:
  - 127.0.0.1:{port}
  - address: 127.0.0.1:{tls_port}
    tls: {{ certificates: [{{ cert: {cert}, key: {key} }}] }}
workers: {workers}
admin: off
log: {{ level: warn }}
access_log: {{ format: {log}, output: {folder}/access.log }}
limits: {{ connections: 100000, body: 0 }}
upstreams:
  app: {{ servers: ["http://127.0.0.1:{upstream}"] }}
session:
  idle_timeout: 12h
  cookie: {{ name: cloakroom, secure: false }}
  memory: {{ max_sessions: {most} }}
login:
  local: {{ users_file: users.yaml }}
  throttle: {{ per_user: 10000/1m, per_ip: 10000/1m }}
routes:
{routes}
  - {{ path: /app, access: login }}
  - {{ path: /, access: public }}
"""


class Cloakroom(Peer):
    name = "cloakroom"
    sessions = True
    reload_signal = signal.SIGHUP

    @staticmethod
    def binary(bench: Bench) -> Path:
        return bench.cloakroom

    def __init__(self, bench, workers, cores):
        super().__init__(bench, workers, cores)
        self.cookies, self.users = self.folder / "cookies.txt", self.folder / "users.txt"

    def command(self, setup: Setup):
        names = sorted(set(self.bench.users.read_text().split()))
        self.write("users.yaml", "".join(user(name) for name in names))
        self.write("passwords.txt", "".join(f"{name} {PASSWORD}\n" for name in names))
        routes = "\n".join(f"  - {{ path: /r{number}, access: public }}" for number in range(setup.routes))
        text = CONFIGURATION.format(
            port=self.port,
            tls_port=self.tls_port,
            cert=self.bench.cert,
            key=self.bench.key,
            workers=self.workers,
            folder=self.folder,
            log="json" if setup.log else "off",
            upstream=self.bench.upstream,
            # An eighth is for visitors who have not logged in.
            most=max(1_000_000, self.bench.sessions * 5 // 4),
            routes=routes,
        )
        return [self.binary(self.bench), "serve", "--config", self.write("config.yaml", text)], {}

    def started(self, setup: Setup):
        if setup.sessions:
            log_in(self.bench.load, self.port, self.bench.sessions, self.folder / "passwords.txt", self.cookies, self.users)

    @classmethod
    def version(cls, bench: Bench) -> str:
        return subprocess.run([cls.binary(bench), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


class CloakroomBefore(Cloakroom):
    """The same from another binary, in the same rounds: only so can small differences be seen."""

    name = "cloakroom-before"

    @staticmethod
    def binary(bench: Bench) -> Path:
        return bench.before


def user(name: str) -> str:
    """An entry with about 200 bytes of what is kept for a session."""
    groups = ", ".join(f"department-{number:03}" for number in range(7))
    return f'{name}: {{ password: "{HASH}", email: {name}@example.com, name: Somebody called {name}, groups: [{groups}] }}\n'
