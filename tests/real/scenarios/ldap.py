"""People of a real OpenLDAP directory log in: found by search or bound directly, by TLS, with groups, and nobody else."""

import asyncio
from pathlib import Path

from rig.gateway import HASH, PASSWORD, certificate, http, start
from rig.process import application, expect, free_port
from rig.slapd import BASE, SEARCHER, SEARCHER_PASSWORD, Slapd, person

SEARCH = {"base": f"ou=people,{BASE}", "bind_dn": SEARCHER, "bind_password": SEARCHER_PASSWORD}
BY_SEARCH = {"group_base": f"ou=groups,{BASE}", "group_filter": "(&(objectClass=groupOfNames)(member={dn}))"}
DIRECT = {"user_dn": f"uid={{user}},ou=people,{BASE}"}

# What people type who try to be somebody by the letters of a filter or of a name.
INJECTED = ["*", "a*", "*)(uid=*", ")(uid=*", "*)(objectClass=*", "alice)(&", "\\00", "\\61lice", "alice,ou=people", "alice+cn=x"]
INJECTED += ["a" * 300, "|", "(", "&", "!", "alice\\", "#alice", "uid=alice", "", " "]


async def gateway(folder: Path, app, name: str, ldap: dict, **local):
    login = {"ldap": {"timeout": "2s", **ldap}, "throttle": {"per_user": "5/15m", "per_ip": "100000/15m"}, **local}
    config = {
        "upstreams": {"app": {"servers": [http(app.port)]}},
        "routes": [{"path": "/", "access": "login", "upstream": "app"}],
        "login": login,
        "access_log": {"format": "off"},
    }
    return await start(folder, config, name=name)


async def attempt(gateway, user: str, password: str):
    """A fresh browser tries; the answer, and who it is then."""
    jar = gateway.jar()
    page, answer = await jar.page("/_cloakroom/login")
    answer = await jar.submit(page, answer, {"username": user, "password": password})
    return answer, (await jar.ask("GET", "/_cloakroom/session")).json()


async def comes_in(gateway, typed: str, password: str, user: str, groups: list, what: str):
    answer, who = await attempt(gateway, typed, password)
    expect(answer.status == 303, f"{what}: {typed!r} got {answer.status}: {gateway.tail()}")
    expect((who["user"], who["groups"]) == (user, groups), f"{what}: {typed!r} is {who['user']!r} in {who['groups']}")


async def stays_out(gateway, typed: str, password: str, status: int, what: str):
    answer, who = await attempt(gateway, typed, password)
    expect((answer.status, who["user"]) == (status, None), f"{what}: {typed!r} got {answer.status}, is {who['user']!r}")


async def check_ldap(folder: Path) -> str:
    tls, other = await certificate(folder), await certificate(folder, "elsewhere")
    slapd, app = await Slapd.made(folder, tls), await application(folder)
    ca = str(tls[0])
    nested = {"nested_groups": True}
    ways = {
        "search": ({"servers": [slapd.secure], "ca": ca, **SEARCH}, ["staff"]),
        "start-tls": ({"servers": [slapd.plain], "start_tls": True, "ca": ca, **SEARCH, **nested}, ["everybody", "round", "staff"]),
        "by-search": ({"servers": [slapd.secure], "ca": ca, **SEARCH, **BY_SEARCH, **nested}, ["everybody", "round", "staff"]),
        "direct": ({"servers": [slapd.plain], **DIRECT}, ["staff"]),
        "direct-by-search": ({"servers": [slapd.secure], "ca": ca, **DIRECT, **BY_SEARCH}, ["staff"]),
        "next-server": ({"servers": [f"ldaps://localhost:{free_port()}", slapd.secure], "ca": ca, **SEARCH}, ["staff"]),
    }
    refused = 0
    for name, (ldap, groups) in ways.items():
        door = await gateway(folder, app, name, ldap)
        await comes_in(door, "alice", "alice secret", "alice", groups, name)
        await comes_in(door, " ALICE ", "alice secret", "alice", groups, name)
        await comes_in(door, "김철수", "김철수 secret", "김철수", [], name)
        await stays_out(door, "alice", "bob secret", 401, name)
        await stays_out(door, "alice", "", 401, f"{name}, without a password")
        await stays_out(door, "nobody", "alice secret", 401, name)
        await stays_out(door, "dora", "Dora secret", 401, f"{name}, with a password that must be changed")
        expect("must be changed" in door.text(), f"{name}: the log does not say why: {door.tail()}")
        tried = [(typed, password) for typed in INJECTED for password in ("alice secret", "x")]
        tried = tried if name in ("search", "direct") else tried[:8]
        for at in range(0, len(tried), 8):
            await asyncio.gather(*[stays_out(door, typed, password, 401, name) for typed, password in tried[at : at + 8]])
        refused += len(tried)
        log = door.text()
        expect("secret" not in log and "panicked" not in log, f"{name}: the log says too much: {door.tail()}")
        await door.stop()

    await names_count_together(folder, app, slapd, ca)
    await only_one_entry(folder, app, slapd, ca)
    await wrong_authority(folder, app, slapd, str(other[0]))
    back = await server_gone(folder, app, slapd, ca)
    return f"{len(ways)} ways in, {refused} injections refused, back {back:.1f} s after the server"


async def names_count_together(folder: Path, app, slapd, ca):
    """Somebody who may be named in several ways has one count of failures."""
    ldap = {"servers": [slapd.secure], "ca": ca, **SEARCH, "user_filter": "(|(uid={user})(mail={user}))"}
    door = await gateway(folder, app, "names", ldap)
    await comes_in(door, "Alice@Example.COM", "alice secret", "alice", ["staff"], "by e-mail")
    for typed in ["alice", "alice@example.com", "ALICE", "Alice@example.com", "ａｌｉｃｅ"]:
        await stays_out(door, typed, "wrong", 401, "a count for each name")
    await stays_out(door, "alice@example.com", "alice secret", 429, "another name gives another count")
    await comes_in(door, "bob", "bob secret", "bob", ["everybody"], "somebody else")
    await door.stop()


async def only_one_entry(folder: Path, app, slapd, ca):
    """A filter that fits several entries lets nobody in, and a user of ours is nobody else."""
    await slapd.add(person("root", "Root"))
    ldap = {"servers": [slapd.secure], "ca": ca, **SEARCH, "user_filter": "(|(uid={user})(cn={user}))"}
    local = {"local": {"users": {"root": HASH}}}
    door = await gateway(folder, app, "several", ldap, **local)
    await slapd.add(person("second", "bob"))
    await stays_out(door, "bob", "bob secret", 401, "two entries")
    expect("several entries" in door.text(), f"the log does not say that there are two: {door.tail()}")
    await comes_in(door, "root", PASSWORD, "root", [], "a user of ours")
    await stays_out(door, "root", "root secret", 401, "the directory's password for a user of ours")
    await stays_out(door, "ROOT", "root secret", 401, "another spelling of a user of ours")
    expect("both have this user" in door.text(), f"the log does not say who is there twice: {door.tail()}")
    await door.stop()


async def wrong_authority(folder: Path, app, slapd, ca):
    """A server with a certificate of somebody else's is not told a password."""
    for name, ldap in {
        "wrong-ca": {"servers": [slapd.secure], "ca": ca, **SEARCH},
        "wrong-ca-start-tls": {"servers": [slapd.plain], "start_tls": True, "ca": ca, **SEARCH},
    }.items():
        door = await gateway(folder, app, name, ldap)
        await stays_out(door, "alice", "alice secret", 503, name)
        expect("certificate" in door.text(), f"{name}: the log does not say why: {door.tail()}")
        await door.stop()


async def server_gone(folder: Path, app, slapd, ca) -> float:
    """While the directory is away its people get 503, which does not count, and users of ours come in."""
    ldap = {"servers": [slapd.secure], "ca": ca, **SEARCH}
    door = await gateway(folder, app, "gone", ldap, local={"users": {"root": HASH}})
    await comes_in(door, "alice", "alice secret", "alice", ["staff"], "before")
    slapd.kill()
    for _ in range(8):
        answer, _ = await attempt(door, "alice", "alice secret")
        expect(answer.status == 503 and answer.header("retry-after"), f"the directory is gone: {answer.status}")
        expect("directory does not answer" in answer.text(), f"the page does not say so: {answer.text()[:300]}")
    await comes_in(door, "root", PASSWORD, "root", [], "while the directory is gone")
    await slapd.start()
    begun = asyncio.get_running_loop().time()
    await comes_in(door, "alice", "alice secret", "alice", ["staff"], "the directory is back")
    return asyncio.get_running_loop().time() - begun
