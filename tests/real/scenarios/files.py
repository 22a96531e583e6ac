"""Large bodies: Python's `http.server` (HTTP/1.0, no chunks) with a 1 GiB file, and uploads of 1 GiB with curl."""

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from rig.gateway import http, needs, settings, start
from rig.process import Process, application, command, expect, free_port, listening
from rig.wire import ask

GIB = 1 << 30
MIB = 1 << 20


def sparse(path: Path) -> str:
    """A file of 1 GiB that takes no disk, with some bytes at both ends; returns its SHA-256."""
    with path.open("wb") as file:
        file.write(b"first")
        file.seek(GIB - 4)
        file.write(b"last")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(MIB):
            digest.update(piece)
    return digest.hexdigest()


async def download(port: int, target: str, headers) -> tuple[int, str]:
    """Reads a body to the end of the connection; returns its size and SHA-256."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 * MIB)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    expect(b" 200 " in head.split(b"\r\n")[0], f"GET {target}: {head[:100]}")
    expect(b"chunked" not in head.lower(), "a body of known length came in chunks")
    size, digest = 0, hashlib.sha256()
    while piece := await reader.read(4 * MIB):
        size += len(piece)
        digest.update(piece)
    writer.close()
    return size, digest.hexdigest()


async def check_http_server(folder: Path) -> str:
    wanted = sparse(folder / "large.bin")
    port = free_port()
    server = Process([sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"], folder, "http.server")
    await listening(server, port)
    gateway = await start(folder, settings(http(port)))
    jar = await gateway.logged_in_at("/gateway.yaml")
    before = gateway.peak_from_here()
    size, digest = await download(gateway.port, "/large.bin", jar.fields())
    grown = gateway.peak() - before
    (folder / "large.bin").unlink()
    expect((size, digest) == (GIB, wanted), f"{size} bytes arrived, SHA-256 {digest}, wanted {wanted}")
    expect(grown < 20 * MIB, f"the gateway grew by {grown / MIB:.1f} MiB")
    return f"1 GiB through, gateway +{grown / MIB:.1f} MiB"


async def upload(gateway, folder: Path, *options) -> tuple[dict, float]:
    """Uploads the 1 GiB file with curl; returns what the application counted, and the gateway's growth in MiB."""
    before = gateway.peak_from_here()
    code, out, err = await command(
        *[needs("curl"), "-sS", "--max-time", "90", "-T", folder / "large.bin", *options],
        f"http://127.0.0.1:{gateway.port}/open/sink",
        seconds=100,
    )
    grown = (gateway.peak() - before) / MIB
    expect(code == 0 and out.startswith("{"), f"curl {' '.join(options)}: exit {code}, {out[:100]} {err[:200]}")
    return json.loads(out), grown


async def check_uploads(folder: Path) -> str:
    wanted = sparse(folder / "large.bin")
    app = await application(folder)
    gateway = await start(folder, settings(http(app.port), limits={"body": "2GiB"}))
    worst = 0.0
    ways = {
        "Expect: 100-continue": ["-H", "Expect: 100-continue"],
        "no Expect": ["-H", "Expect:"],
        "chunked": ["-H", "Expect:", "-H", "Transfer-Encoding: chunked"],
        "HTTP/2": ["--http2-prior-knowledge"],
    }
    for name, options in ways.items():
        counted, grown = await upload(gateway, folder, *options)
        expect(counted["bytes"] == GIB and counted["sha256"] == wanted, f"{name}: the application got {counted}")
        expect(grown < 20, f"{name}: the gateway grew by {grown:.1f} MiB")
        worst = max(worst, grown)
    (folder / "large.bin").unlink()

    # Beyond the limit: 413 before the body is sent, for one who asks first.
    small = await start(folder, settings(http(app.port), limits={"body": "1MiB"}), name="small")
    headers = [("Expect", "100-continue"), ("Content-Length", str(2 * MIB))]
    answer = await ask(small.port, "PUT", "/open/sink", headers)
    expect(answer.status == 413, f"PUT of 2 MiB with a limit of 1 MiB: {answer.status}")
    return f"4 × 1 GiB through, gateway +{worst:.1f} MiB at most"
