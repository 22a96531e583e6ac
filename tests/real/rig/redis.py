"""Redis: a server, a primary with a replica and a Sentinel, or a Cluster, on free loopback ports in a folder.

In: a folder. Out: a `Redis` that can be killed, started again and asked; `sentinels` and `cluster` put several together. What a
server has answered survives `kill`: it writes to its append-only file before it answers.
"""

import asyncio
import signal
from pathlib import Path

from rig.gateway import needs
from rig.process import Process, command, expect, free_port, listening, until


class Redis:
    """One server. `tls` is a pair of certificate and key: then it speaks TLS only."""

    def __init__(self, folder: Path, name="redis", tls=None, options=()):
        self.folder, self.name, self.tls = folder, name, tls
        self.port = free_port()
        self.data = folder / name
        self.data.mkdir()
        # The usual port for the nodes among themselves is beyond the last one for many free ports.
        self.options = [*options, "--cluster-port", free_port()] if "--cluster-enabled" in options else list(options)
        self.process = None

    @property
    def url(self) -> str:
        return f"{'rediss' if self.tls else 'redis'}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}"

    @classmethod
    async def made(cls, folder: Path, **options) -> "Redis":
        self = cls(folder, **options)
        await self.start()
        return self

    async def start(self):
        where = ["--port", self.port]
        if self.tls:
            chain, key = self.tls
            where = ["--port", 0, "--tls-port", self.port, "--tls-cert-file", chain, "--tls-key-file", key]
            where += ["--tls-ca-cert-file", chain, "--tls-auth-clients", "no"]
        safe = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay", 0]
        parts = [needs("redis-server"), *where, "--bind", "127.0.0.1", "--dir", self.data, *safe, *self.options]
        self.process = Process(parts, self.folder, self.name)
        await listening(self.process, self.port)
        if not self.tls:
            await until(self._answers, 10, f"{self.name} does not answer")

    async def _answers(self):
        _, out, _ = await command(needs("redis-cli"), "-p", self.port, "PING")
        return out.strip() == "PONG"

    async def ask(self, *words) -> str:
        code, out, err = await command(needs("redis-cli"), "-p", self.port, *words)
        expect(code == 0, f"redis-cli {words}: {out} {err}")
        return out.strip()

    def kill(self):
        self.process.kill()

    def freeze(self, frozen=True):
        self.process.signal(signal.SIGSTOP if frozen else signal.SIGCONT)


class Sentinel(Process):
    """Watches one primary, called `mymaster`, and puts its replica in its place when it is gone for half a second."""

    def __init__(self, folder: Path, primary: Redis):
        self.port = free_port()
        file = folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor mymaster 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n"
        )
        super().__init__([needs("redis-server"), file, "--sentinel"], folder, "sentinel")

    async def primary(self) -> int:
        """The port of the one that it takes for the primary now."""
        _, out, _ = await command(needs("redis-cli"), "-p", self.port, "SENTINEL", "get-master-addr-by-name", "mymaster")
        return int(out.split()[1])


async def sentinels(folder: Path):
    """A primary, its replica, and a Sentinel that knows both."""
    primary = await Redis.made(folder, name="primary")
    replica = await Redis.made(folder, name="replica", options=["--replicaof", "127.0.0.1", primary.port])
    sentinel = Sentinel(folder, primary)
    await listening(sentinel, sentinel.port)

    async def known():
        _, out, _ = await command(needs("redis-cli"), "-p", sentinel.port, "SENTINEL", "replicas", "mymaster")
        return str(replica.port) in out and "master_link_status:up" in await replica.ask("INFO", "replication")

    await until(known, 30, "the Sentinel does not know the replica")
    return primary, replica, sentinel


async def cluster(folder: Path) -> list[Redis]:
    """Three primaries with a replica each."""
    options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
    nodes = [Redis(folder, name=f"node-{number}", options=options) for number in range(6)]
    await asyncio.gather(*[node.start() for node in nodes])
    places = [f"127.0.0.1:{node.port}" for node in nodes]
    make = ["--cluster", "create", *places, "--cluster-replicas", "1", "--cluster-yes"]
    code, out, err = await command(needs("redis-cli"), *make)
    expect(code == 0, f"redis-cli --cluster create: {out[-300:]} {err}")

    async def whole():
        states = [await node.ask("CLUSTER", "INFO") for node in nodes]
        roles = [await node.ask("INFO", "replication") for node in nodes]
        # A replica that never had its primary's data does not take its place.
        followed = sum("master_link_status:up" in role for role in roles)
        return all("cluster_state:ok" in state for state in states) and followed == 3

    await until(whole, 30, "the Cluster does not come together")
    return nodes
