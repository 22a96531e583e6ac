"""Caddy: `reverse_proxy` with as many kept connections as the others have."""

from peers.base import Peer, Setup

CONFIGURATION = """
{{
    admin off
    auto_https off
    default_sni localhost
    log {{
        level ERROR
    }}
}}
(proxy) {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{upstream} {{
        transport http {{
            keepalive_idle_conns_per_host 1024
        }}
    }}
}}
http://:{port} {{
    import proxy
}}
https://:{tls_port} {{
    tls {cert} {key}
    import proxy
}}
"""


class Caddy(Peer):
    name = "caddy"
    version_command = ["caddy", "version"]

    def command(self, setup: Setup):
        text = CONFIGURATION.format(
            port=self.port, tls_port=self.tls_port, cert=self.bench.cert, key=self.bench.key, upstream=self.bench.upstream
        )
        path = self.write("Caddyfile", text)
        env = {"GOMAXPROCS": str(self.workers), "XDG_DATA_HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        return ["caddy", "run", "--adapter", "caddyfile", "--config", path], env
