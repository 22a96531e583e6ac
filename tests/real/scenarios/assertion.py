"""Assertions: PyJWT and jose verify them with the published keys, by the code of `docs/assertion.md`."""

import json
import re
import sys
from pathlib import Path

from rig.gateway import TARGET, http, needs, settings, start
from rig.process import ROOT, application, command, expect
from rig.wire import Connection, ask

PUBLIC, AUDIENCE = "https://app.example.com", "https://reports.example.com"


def documented(language: str, keys: str, algorithm: str) -> str:
    """The code of the document, asking for keys where they are."""
    code = re.search(rf"(?s)```{language}\n(.*?)```", (ROOT / "docs/assertion.md").read_text())[1]
    code = code.replace(f"{PUBLIC}/_cloakroom/jwks.json", keys)
    return code.replace('"EdDSA"', f'"{algorithm}"')


async def judged(program: list, folder: Path, file: str, code: str, *arguments) -> dict:
    """What a verifier says: the claims, or why not."""
    (folder / file).write_text(code)
    modules = {"NODE_PATH": str(TARGET / "real/node_modules")}
    code, out, err = await command(*program, folder / file, *arguments, folder=folder, env=modules)
    return json.loads(out) if code == 0 else {"refused": err}


PYTHON = "\nimport json, sys\nprint(json.dumps(verified(*sys.argv[1:])))\n"
NODE = "\nconsole.log(JSON.stringify(await verified(...process.argv.slice(2))));\n"


async def with_algorithm(folder: Path, algorithm: str) -> dict:
    app = await application(folder, name=f"app-{algorithm}")
    config = settings(http(app.port), upstream_settings={"audience": AUDIENCE}, public_url=PUBLIC)
    config["identity"] = {"assertion": {"algorithm": algorithm}}
    config["allow_insecure"] = True
    config["trusted_proxies"] = ["127.0.0.1"]
    config["session"] = {"cookie": {"secure": False, "name": "cloakroom"}}
    gateway = await start(folder, config, name=f"gateway-{algorithm}")
    jar = gateway.jar()
    # The browser speaks to a proxy in front, by https.
    front = [("Host", "app.example.com"), ("X-Forwarded-Proto", "https")]
    page = await jar.ask("GET", "/_cloakroom/login", [*front, ("Accept", "text/html")])
    hidden = dict(re.findall(r'name="(token|return)" value="([^"]*)"', page.text()))
    body = "&".join(f"{name}={value}" for name, value in [*hidden.items(), ("username", "alice"), ("password", "wonderland")])
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", PUBLIC), ("Sec-Fetch-Site", "same-origin")]
    answer = await jar.ask("POST", "/_cloakroom/login", [*front, *form], body.replace("&#x2f;", "%2F").encode())
    expect(answer.status == 303, f"login: {answer.status} {answer.text()[-300:]}")

    target = "/headers/%ED%95%9C?month=7&x=%2F"
    seen = (await jar.ask("GET", target, front)).json()
    told = {name.lower(): value for name, value in seen["headers"]}
    token = told["x-auth-assertion"]
    expect(seen["target"] == target, f"the application saw {seen['target']}")
    keys = f"{http(gateway.port)}/_cloakroom/jwks.json"
    python, node = documented("python", keys, algorithm) + PYTHON, documented("js", keys, algorithm) + NODE
    # An import of a module is looked up beside the file, not by NODE_PATH.
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(TARGET / "real/node_modules")
    verifiers = [("PyJWT", [sys.executable], "verify.py", python), ("jose", [needs("node")], "verify.mjs", node)]
    for name, program, file, code in verifiers:
        claims = await judged(program, folder, file, code, token, "GET", target)
        expect("refused" not in claims, f"{name} refuses an assertion ({algorithm}): {claims}")
        found = [claims[key] for key in ("iss", "aud", "sub", "user", "name", "groups", "sid")]
        expected = [PUBLIC, AUDIENCE, "alice", "alice", "Alice Liddell", ["staff"], told["session-id"]]
        expect(found == expected, f"{name} reads {claims}")
        header, payload, signature = token.split(".")
        other = payload[:-4] + ("AAAA" if payload[-4:] != "AAAA" else "BBBB")
        for what, arguments in {
            "another method": (token, "POST", target),
            "another target": (token, "GET", "/headers"),
            "changed claims": (f"{header}.{other}.{signature}", "GET", target),
            "no signature": (f"{header}.{payload}.", "GET", target),
        }.items():
            claims = await judged(program, folder, file, code, *arguments)
            expect("refused" in claims, f"{name} accepts {what} ({algorithm})")
        code = code.replace(AUDIENCE, "https://elsewhere.example.com")
        claims = await judged(program, folder, file, code, token, "GET", target)
        expect("refused" in claims, f"{name} accepts an assertion for another audience ({algorithm})")

    connection = await Connection(gateway.port).open()
    answer = await connection.ask("GET", "/_cloakroom/jwks.json", front)
    connection.close()
    expect("max-age=300" in answer.header("cache-control"), f"the keys: {answer.headers}")
    nobody = await ask(gateway.port, "GET", "/open/headers", [*front, ("X-Auth-Assertion", token)])
    expect(token not in nobody.text(), "a client's assertion reached the application")
    await gateway.stop()
    return told


async def check_assertion(folder: Path) -> str:
    for algorithm in ("EdDSA", "ES256"):
        await with_algorithm(folder, algorithm)
    return "EdDSA and ES256 verified by PyJWT and jose; six kinds of forgery refused"
