"""A real Django site with logins, under gunicorn, on whatever database its URL names.

In: a folder, an engine of sessions, a database URL (none: SQLite in the folder). Out: a `Site` that serves on a loopback port, and
commands on the same database (`servers/django_site.py` lists them).
"""

import os
import sys
from pathlib import Path

from rig.process import HERE, Process, command, expect, free_port, listening

PROGRAM = HERE / "servers/django_site.py"
SECRET = "a secret of the test site, long enough for anybody"
USER, PASSWORD = "alice", "wonderland"


class Site:
    """A site; `settings` is what a gateway needs to know of it."""

    def __init__(self, folder: Path, engine="db", database=None, secret=SECRET, fallbacks=()):
        self.folder, self.engine, self.secret, self.fallbacks = folder, engine, secret, list(fallbacks)
        self.database = database or f"sqlite://{folder}/site.sqlite3"
        self.files = folder / "sessions"
        self.files.mkdir(exist_ok=True)
        self.process = None

    @property
    def env(self) -> dict:
        return {
            "PYTHONPATH": str(HERE / "servers"),
            "SITE_DATABASE": self.database,
            "SITE_ENGINE": self.engine,
            "SITE_FALLBACKS": ",".join(self.fallbacks),
            "SITE_FILES": str(self.files),
            "SITE_SECRET": self.secret,
        }

    @property
    def settings(self) -> dict:
        """`session.django:` of a gateway."""
        return {
            "backend": self.engine,
            "database": self.database,
            "secret_key": self.secret,
            "secret_key_fallbacks": self.fallbacks,
            "files": str(self.files),
        }

    async def run(self, *words) -> str:
        """One of the site's commands; returns what it printed."""
        code, out, err = await command(sys.executable, PROGRAM, *words, env=self.env)
        expect(code == 0, f"django_site.py {words[0]}: {out} {err[-600:]}")
        return out.strip()

    async def start(self):
        """Makes the tables, serves, and returns the site; `port` is where."""
        await self.run("prepare")
        self.port = free_port()
        _, out, _ = await command(sys.executable, "-m", "gunicorn", "--help")
        arguments = ["--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "8", "--worker-tmp-dir", self.folder]
        # A newer gunicorn would put a control socket into the home folder.
        arguments += ["--no-control-socket"] if "--no-control-socket" in out else []
        gunicorn = [sys.executable, "-m", "gunicorn", *arguments, "django_site:application"]
        self.process = Process(gunicorn, self.folder, f"site-{self.engine}", env={**os.environ, **self.env})
        await listening(self.process, self.port, 20)
        return self
