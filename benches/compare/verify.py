"""Does a peer do the work it is measured for? Asked of each before each group of cases.

In: a running peer. Out: nothing, or `Failed` with what it did instead.
"""

import http.client
import ssl

from peers import Peer, Setup
from process import Failed

FORGED = "mallory"
# How the upstream says that it was told no user.
NOBODY = "-"


def verify(peer: Peer, setup: Setup):
    """Asks with a forged user, with and without a cookie, by plain HTTP and by TLS."""
    path = f"/r{setup.routes - 1}/" if setup.routes else "/app" if setup.sessions else "/"
    for secure in (False, True) if peer.tls else (False,):
        if peer.sessions and setup.sessions:
            for cookie, user in some(peer):
                expect(peer, secure, path, cookie, user)
            refused(peer, secure, path)
        else:
            expect(peer, secure, path, None, None)


def some(peer: Peer):
    """The first sessions, each with its user."""
    with peer.cookies.open() as cookies, peer.users.open() as users:
        return [(next(cookies).strip(), next(users).strip()) for _ in range(min(3, peer.live))]


def expect(peer: Peer, secure: bool, path: str, cookie: str | None, user: str | None):
    status, seen, size = ask(peer, secure, path, cookie)
    if status != 200 or size != 100:
        raise Failed(f"{path} got {status} with {size} bytes")
    if user is not None and seen != user:
        raise Failed(f"{path} with the cookie of {user}: the application was told {seen!r}")
    # Who has no notion of users passes the header on; who has must not.
    if peer.sessions and user is None and seen:
        raise Failed(f"{path} without a cookie: the application was told {seen!r}")


def refused(peer: Peer, secure: bool, path: str):
    status, seen, _ = ask(peer, secure, path, None)
    if status == 200 or seen:
        raise Failed(f"{path} without a cookie got {status}, user {seen!r}")


def ask(peer: Peer, secure: bool, path: str, cookie: str | None) -> tuple[int, str, int]:
    """Status, whom the application saw, and the size of the body."""
    if secure:
        connection = http.client.HTTPSConnection("127.0.0.1", peer.tls_port, timeout=10, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=10)
    headers = {"Host": "localhost", "X-Auth-User": FORGED} | ({"Cookie": cookie} if cookie else {})
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        seen = response.getheader("X-Seen-User") or NOBODY
        return response.status, "" if seen == NOBODY else seen, len(response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{path}: {type(error).__name__}: {error}") from None
    finally:
        connection.close()
