"""The cases: what is asked of whom, and which figure counts.

To add one: a line in `CASES`; a way of measuring that is not here yet is a function in `ways.py`.
"""

from dataclasses import dataclass, field

from peers import BEFORE, Setup

PLAIN = ["cloakroom", "nginx", "haproxy", "envoy", "caddy", "pingora", "apache"]
# nginx stays plain among them: it is what the others are compared with.
SESSION = ["cloakroom", "nginx", "nginx-lua", "haproxy-map", "pingora-moka"]
TLS = ["cloakroom", "nginx", "haproxy", "envoy", "caddy", "pingora", "apache"]
CORE = ["cloakroom", "nginx", "haproxy"]

# Names of peers that are another one with two workers, free to use both cores.
DOUBLES = {f"{name}-x2": name for name in CORE}


@dataclass(frozen=True)
class Case:
    """`what` is for people; `job` goes to the load program; `way` says how it is measured; `figure` is what is compared."""

    name: str
    what: str
    peers: list[str]
    job: dict = field(default_factory=dict)
    setup: Setup = Setup()
    way: str = "load"
    figure: str = "cpu"
    # How many rounds; none: as many as asked for.
    rounds: int | None = None
    # Whether a new process is started for each measurement.
    fresh: bool = False


def keep(connections: int, path="/", **more) -> dict:
    """Connections that are kept, each with its next request as soon as it has its response."""
    return {"connections": connections, "path": path, "keep_alive": True, **more}


SESSIONS = Setup(sessions=True)

# A client keeps eight tickets of a server: no more handshakes than that at a time, so that all can be resumed.
CASES = [
    Case("public", "100 bytes, 64 connections", PLAIN, keep(64)),
    Case("kib64", "64 KiB responses, 16 connections", PLAIN, keep(16, "/bytes/65536")),
    Case("mib1", "1 MiB responses, 16 connections", PLAIN, keep(16, "/bytes/1048576")),
    Case("upload", "1 MiB uploads, 16 connections", PLAIN, keep(16, method="POST", body=1 << 20)),
    Case("connect", "a new connection for each request, 64 at a time", PLAIN, keep(64) | {"keep_alive": False}),
    Case("websocket", "WebSocket messages of 100 bytes, 64 connections", PLAIN, keep(64, "/websocket", websocket=True, body=100)),
    Case("c1", "1 connection", CORE, keep(1)),
    Case("c2", "2 connections", CORE, keep(2)),
    Case("c16", "16 connections", CORE, keep(16)),
    Case("c256", "256 connections", CORE, keep(256)),
    Case("c4096", "4,096 connections", CORE, keep(4096)),
    Case("rate", "10,000 requests per second, 64 connections", PLAIN, keep(64, rate=10_000), figure="p50_us"),
    Case("half", "half of nginx's throughput, new configuration in the middle", CORE, keep(64), way="half", figure="p99_us"),
    Case("routes", "the last of 1,000 routes, 64 connections", CORE, keep(64, "/r999/"), Setup(routes=1000)),
    Case("access-log", "as public, with an access log", CORE, keep(64), Setup(log=True)),
    Case("session", "a cookie per connection, 64 connections", [*SESSION, "apache-oidc"], keep(64, "/app", cookie_per="connection"), SESSIONS),
    Case("session-random", "a random cookie for each request, 64 connections", SESSION, keep(64, "/app", cookie_per="request"), SESSIONS),
    Case("tls", "TLS, HTTP/1.1, with session where there is one", [*TLS, "nginx-lua", "haproxy-map", "pingora-moka"], keep(64, "/app", tls=True, cookie_per="connection"), SESSIONS),
    Case("h2", "HTTP/2 over TLS, 8 connections of 32 streams, with session where there is one", [*TLS, "nginx-lua", "haproxy-map"], keep(8, "/app", tls=True), SESSIONS, way="h2"),
    Case("handshake", "full TLS handshake (ECDSA P-256), one request each, 8 at a time", TLS, keep(8, tls=True, resume=False) | {"keep_alive": False}, SESSIONS),
    Case("resumed", "resumed TLS handshake, one request each, 8 at a time", TLS, keep(8, tls=True, resume=True) | {"keep_alive": False}, SESSIONS),
    Case("scale", "the same load for each worker: one on one core, two on both", [*CORE, *DOUBLES], keep(64, rate=12_000), figure="cpu", way="scale"),
    Case("idle", "memory of a kept connection without a request", PLAIN, keep(10_000), way="idle", figure="bytes_each", rounds=1, fresh=True),
    Case("memory", "memory of a session", ["cloakroom", "nginx-lua", "haproxy-map", "pingora-moka", "redis"], setup=SESSIONS, way="memory", figure="bytes_each", rounds=1, fresh=True),
]


def participants(case: Case, wanted: list[str]) -> list[str]:
    """Who of those wanted takes part; a double comes with its single, an earlier Cloakroom where the present one would."""
    known = [*case.peers, BEFORE] if "cloakroom" in case.peers else case.peers
    return [name for name in known if DOUBLES.get(name, name) in wanted]
