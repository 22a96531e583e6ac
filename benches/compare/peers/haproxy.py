"""HAProxy: plain; and with sessions in a map, read at start."""

import resource
import signal

from peers.base import Peer, Setup

CONFIGURATION = """
global
    nbthread {workers}
    maxconn {most}
    {log_target}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    {log}
frontend front
    bind 127.0.0.1:{port} backlog 4096
    bind 127.0.0.1:{tls_port} ssl crt {pem} alpn h2,http/1.1 backlog 4096
    {sessions}
    {routes}
    default_backend app
backend app
    http-reuse always
    server app 127.0.0.1:{upstream}
"""

SESSIONS = """
    http-request set-var(txn.user) req.cook(sid),map_str({table})
    http-request deny deny_status 401 unless {{ var(txn.user) -m found }}
    http-request set-header X-Auth-User %[var(txn.user)]
"""


class Haproxy(Peer):
    name = "haproxy"
    reload_signal = signal.SIGUSR2
    version_command = ["haproxy", "-v"]

    def command(self, setup: Setup):
        pem = self.write("server.pem", self.bench.cert.read_text() + self.bench.key.read_text())
        table = self.bench.table if setup.sessions else self.write("empty.map", "")
        routes = self.write("routes.map", "".join(f"/r{number}/ app\n" for number in range(setup.routes)))
        text = CONFIGURATION.format(
            workers=self.workers,
            # Each connection may need another one to the upstream.
            most=(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // 2,
            log_target="log stdout format raw local0 info" if setup.log else "",
            log="log global\n    option httplog" if setup.log else "",
            port=self.port,
            tls_port=self.tls_port,
            pem=pem,
            sessions=SESSIONS.format(table=table) if self.sessions else "",
            routes=f"use_backend %[path,map_beg({routes},app)]" if setup.routes else "",
            upstream=self.bench.upstream,
        )
        return ["haproxy", "-W", "-f", self.write("haproxy.cfg", text)], {}


class HaproxyMap(Haproxy):
    name = "haproxy-map"
    sessions = True
