"""Pingora: the minimal proxy in `../pingora`; plain, and with sessions in moka, read at start."""

import re
from pathlib import Path

from peers.base import Bench, Peer, Setup

LOCK = Path(__file__).resolve().parent.parent / "pingora/Cargo.lock"


class Pingora(Peer):
    name = "pingora"

    def command(self, setup: Setup):
        limits = f"threads: {self.workers}\nupstream_keepalive_pool_size: 1024\n"
        text = f"---\nversion: 1\nwork_stealing: true\npid_file: {self.folder}/pid\nupgrade_sock: {self.folder}/upgrade\n{limits}"
        env = {
            "LISTEN": f"127.0.0.1:{self.port}",
            "LISTEN_TLS": f"127.0.0.1:{self.tls_port}",
            "UPSTREAM": f"127.0.0.1:{self.bench.upstream}",
            "CERT": str(self.bench.cert),
            "KEY": str(self.bench.key),
            "RUST_LOG": "off",
        }
        if self.sessions:
            env["SESSIONS"] = str(self.bench.table) if setup.sessions else "/dev/null"
        return [self.bench.installed / "pingora/release/compare-pingora", "-c", self.write("pingora.yaml", text)], env

    @classmethod
    def version(cls, bench: Bench) -> str:
        return re.search(r'name = "pingora"\nversion = "([^"]+)"', LOCK.read_text())[1]


class PingoraMoka(Pingora):
    name = "pingora-moka"
    sessions = True
