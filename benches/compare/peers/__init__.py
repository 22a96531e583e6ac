"""The proxies that are compared, by name.

To add one: a file with a subclass of `Peer`, and a line here. `cases.py` says who takes part in which case.
"""

from peers.apache import Apache, ApacheOidc
from peers.base import Bench, Peer, Setup
from peers.caddy import Caddy
from peers.cloakroom import Cloakroom, CloakroomBefore
from peers.envoy import Envoy
from peers.haproxy import Haproxy, HaproxyMap
from peers.nginx import Nginx, NginxLua
from peers.pingora import Pingora, PingoraMoka
from peers.redis import Redis

PEERS: dict[str, type[Peer]] = {
    peer.name: peer
    for peer in [Cloakroom, Nginx, NginxLua, Haproxy, HaproxyMap, Envoy, Caddy, Pingora, PingoraMoka, Apache, ApacheOidc, Redis]
}

# Only where its binary is given: what is here, as it was before a change.
BEFORE = CloakroomBefore.name

# Of the same kind, and not to be had here.
MISSING = {"oauth2-proxy": "not available from the registries of Debian, Python, Node and Rust"}

__all__ = ["BEFORE", "MISSING", "PEERS", "Bench", "CloakroomBefore", "Peer", "Setup"]
