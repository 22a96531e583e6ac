"""The gateway under test: writes its configuration, starts it, waits until it is ready.

In: parts of a configuration as a Python value (YAML is a superset of JSON). Out: a `Process` that knows its ports.
"""

import contextlib
import json
import os
import shutil
import ssl
from pathlib import Path

from rig.process import Failed, Process, ROOT, command, expect, free_port, until
from rig.wire import Jar, ask

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Another build of the program can be tried by naming it.
BINARY = Path(os.environ.get("CLOAKROOM_BINARY", TARGET / "release/cloakroom"))
USER, PASSWORD = "alice", "wonderland"
# bcrypt of "wonderland", as htpasswd writes it.
HASH = "$2y$10$cUiyfE6yVzACDHxLZY579O53/YuSw9.iIb5gnIEaV6QUrwx/HipHK"


def settings(upstream, **more) -> dict:
    """A configuration with a public part (`/open/` goes to the same upstream) and a part that needs a login."""
    servers = [upstream] if isinstance(upstream, str) else upstream
    base = {
        "upstreams": {"app": {"servers": servers, **more.pop("upstream_settings", {})}},
        "routes": [
            {"path": "/open/", "access": "public", "upstream": "app", "strip_prefix": "/open"},
            {"path": "/", "access": "login", "upstream": "app"},
        ],
        "login": {"local": {"users": {USER: {"password": HASH, "name": "Alice Liddell", "groups": ["staff"]}}}},
        "access_log": {"format": "off"},
    }
    return {**base, **more}


def http(port: int) -> str:
    return f"http://127.0.0.1:{port}"


class Gateway(Process):
    """`cloakroom serve` with a configuration, on free loopback ports; `program` may put another in front of it."""

    def __init__(
        self,
        folder: Path,
        config: dict,
        certificates=None,
        name="gateway",
        env=None,
        limits=None,
        listeners=(),
        program=(BINARY,),
    ):
        expect(BINARY.exists(), f"{BINARY.name} is not built: cargo build --release")
        self.port, self.admin = free_port(), free_port()
        self.certificates = certificates
        self.tls = None
        listen = {"address": f"127.0.0.1:{self.port}"}
        if certificates:
            listen["tls"] = {"certificates": [{"cert": str(c), "key": str(k)} for c, k in certificates]}
            self.tls = ssl.create_default_context(cafile=str(certificates[0][0]))
        self.config = {
            "listen": [listen, *listeners],
            "state_dir": str(folder / f"{name}-state"),
            "admin": {"address": f"127.0.0.1:{self.admin}"},
            **config,
        }
        (folder / f"{name}-state").mkdir(mode=0o700, exist_ok=True)
        self.file = folder / f"{name}.yaml"
        self.write()
        self.program = program
        super().__init__([*program, "serve", "-c", self.file], folder, name, env=env, limits=limits)

    def again(self, folder: Path, name: str) -> "Gateway":
        """The same gateway, started anew: same file, same ports, same state."""
        again = object.__new__(Gateway)
        again.port, again.admin, again.tls, again.certificates = self.port, self.admin, self.tls, self.certificates
        again.config, again.file, again.program = self.config, self.file, self.program
        Process.__init__(again, [*self.program, "serve", "-c", self.file], folder, name)
        return again

    def write(self, text: str | None = None):
        """Writes the configuration file anew."""
        self.file.write_text(text if text is not None else json.dumps(self.config, indent=2))

    async def ready(self, seconds=15):
        """Waits for 200 from `/readyz`."""

        async def answers():
            expect(self.alive(), f"the gateway ended at start ({self.child.returncode}): {self.tail()}")
            with contextlib.suppress(OSError):
                return (await ask(self.admin, "GET", "/readyz")).status == 200

        await until(answers, seconds, lambda: f"not ready within {seconds} s: {self.tail()}")
        return self

    def jar(self) -> Jar:
        return Jar(self.port, self.tls)

    async def logged_in_at(self, target="/hello") -> Jar:
        """A visitor who has logged in through the page, to see this target."""
        jar = self.jar()
        await jar.login(USER, PASSWORD, target)
        answer = await jar.ask("GET", target)
        expect(answer.status == 200, f"after login GET {target}: {answer.status}")
        return jar

    async def reloads(self, seconds=5):
        """Sends HUP and waits until the program log says what came of it."""
        import signal

        before = len(self.text())
        self.signal(signal.SIGHUP)
        await until(
            lambda: "reload" in self.text()[before:].lower() or "configuration" in self.text()[before:].lower(),
            seconds,
            "HUP left no line in the log",
        )
        return self.text()[before:]


async def start(folder: Path, config: dict, **options) -> Gateway:
    """A gateway that is ready."""
    return await Gateway(folder, config, **options).ready()


async def certificate(folder: Path, host="localhost"):
    """A self-made certificate for a host and 127.0.0.1: paths of chain and key."""
    chain, key = folder / f"{host}.crt", folder / f"{host}.key"
    names = f"subjectAltName=DNS:{host}" + (",IP:127.0.0.1" if host == "localhost" else "")
    code, _, err = await command(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(),
        *["-keyout", key, "-out", chain, "-subj", f"/CN={host}", "-addext", names],
        # An authority of its own is not what a server shows, and some clients insist on that.
        *["-addext", "basicConstraints=critical,CA:FALSE"],
    )
    expect(code == 0, f"openssl: {err}")
    return chain, key


def needs(program: str) -> str:
    """The path of an installed program."""
    path = shutil.which(program)
    if not path:
        raise Failed(f"{program} is not installed; tests/real/run installs it")
    return path
