"""slapd: an OpenLDAP directory on free loopback ports in a folder, with people and groups.

In: a folder, a certificate. Out: a `Slapd` that answers `ldap://` (StartTLS, too) and `ldaps://`, can be killed and started again.
`memberOf` is kept by the server; binds without a password succeed, as some servers allow; `dora` must change her password.
"""

from pathlib import Path

from rig.gateway import needs
from rig.process import Process, command, expect, free_port, listening

BASE = "dc=example,dc=com"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "admin secret"
SEARCHER, SEARCHER_PASSWORD = f"cn=searcher,{BASE}", "searcher secret"

CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
allow bind_anon_cred
TLSCertificateFile {chain}
TLSCertificateKeyFile {key}
pidfile {data}/slapd.pid
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw "{admin_password}"
directory {data}
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,{base}"
"""

PEOPLE = """\
dn: {base}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,{base}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{base}
objectClass: organizationalUnit
ou: groups

dn: cn=policy,{base}
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMustChange: TRUE

dn: {searcher}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: searcher
userPassword: {searcher_password}
"""

GROUP = """\
dn: cn={name},ou=groups,{base}
objectClass: groupOfNames
cn: {name}
"""


def person(uid: str, name: str, *more: str) -> str:
    lines = [f"dn: uid={uid},ou=people,{BASE}", "objectClass: inetOrgPerson", f"uid: {uid}", f"cn: {name}", f"sn: {name}"]
    # Addresses are ASCII here.
    mail = [f"mail: {uid}@example.com"] if uid.isascii() else []
    return "\n".join([*lines, *mail, f"userPassword: {uid} secret", *more]) + "\n"


def group(name: str, *members: str) -> str:
    return GROUP.format(name=name, base=BASE) + "".join(f"member: {member},{BASE}\n" for member in members)


class Slapd:
    """A directory with alice, bob, 김철수 and dora; `uid secret` is everybody's password."""

    def __init__(self, folder: Path, tls):
        self.folder = folder
        self.port, self.secure_port = free_port(), free_port()
        self.data = folder / "directory"
        self.data.mkdir()
        self.conf = folder / "slapd.conf"
        chain, key = tls
        names = {"base": BASE, "admin": ADMIN, "admin_password": ADMIN_PASSWORD}
        self.conf.write_text(CONF.format(chain=chain, key=key, data=self.data, **names))
        self.process = None

    @property
    def plain(self) -> str:
        return f"ldap://localhost:{self.port}"

    @property
    def secure(self) -> str:
        return f"ldaps://localhost:{self.secure_port}"

    @classmethod
    async def made(cls, folder: Path, tls) -> "Slapd":
        self = cls(folder, tls)
        await self.start()
        names = {"base": BASE, "searcher": SEARCHER, "searcher_password": SEARCHER_PASSWORD}
        people = [person("alice", "Alice Liddell"), person("bob", "Bob"), person("김철수", "김 철수"), person("Dora", "Dora")]
        # Groups come after their members, or memberOf is not filled in.
        groups = [
            group("staff", "uid=alice,ou=people"),
            group("everybody", "cn=staff,ou=groups", "uid=bob,ou=people"),
            group("round", "cn=everybody,ou=groups"),
        ]
        await self.add("\n".join([PEOPLE.format(**names), *people, *groups]))
        # In a circle: staff belongs to what it has in it.
        await self.modify(f"dn: cn=staff,ou=groups,{BASE}\nadd: member\nmember: cn=round,ou=groups,{BASE}\n")
        await self.modify(f"dn: uid=Dora,ou=people,{BASE}\nreplace: pwdReset\npwdReset: TRUE\n")
        return self

    async def start(self):
        urls = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.secure_port}"
        self.process = Process([needs("slapd"), "-f", self.conf, "-h", urls, "-d", "0"], self.folder, "slapd")
        await listening(self.process, self.port)

    def kill(self):
        self.process.kill()

    async def add(self, ldif: str):
        await self._run("ldapadd", ldif)

    async def modify(self, ldif: str):
        await self._run("ldapmodify", ldif)

    async def _run(self, program: str, ldif: str):
        where = ["-x", "-H", f"ldap://127.0.0.1:{self.port}", "-D", ADMIN, "-w", ADMIN_PASSWORD]
        code, out, err = await command(needs(program), *where, stdin=ldif.encode())
        expect(code == 0, f"{program}: {out[-200:]} {err}")
