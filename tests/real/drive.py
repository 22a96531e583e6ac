"""Runs the scenarios one after the other and says what came of each.

In: names of scenarios (none: all). Out: a line for each, `ok NAME (figure)` or `FAILED NAME: why`, then the sum.
Each scenario has a folder of its own and a time limit; nothing it started is left running.
"""

import asyncio
import importlib
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from rig.process import HERE, Failed, kill_all

# In reading order: what an application sees, what clients send, what the operator does, what goes wrong, what it costs.
MODULES = [
    *["django", "bridge", "upstream_login", "login_pages", "ldap", "oidc", "applications", "files", "nginx"],
    *["forward_auth", "assertion", "clients", "http2", "load", "operation"],
    *["sessions", "stores", "ledger", "upstream_faults", "machine_faults", "attacks", "demo", "budget"],
]
LIMIT = 300


def scenarios():
    """Every function `check_NAME` of every module, by name."""
    found = {}
    for module in MODULES:
        for name, function in vars(importlib.import_module(f"scenarios.{module}")).items():
            if name.startswith("check_"):
                found[name.removeprefix("check_")] = function
    return found


def run(name, function, work: Path) -> bool:
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=work))
    folder.chmod(0o755)
    start = time.monotonic()
    try:
        figure = asyncio.run(asyncio.wait_for(function(folder), LIMIT))
        why = None
    except Failed as failure:
        why = str(failure)
    except Exception as error:
        # A time-out may also come from a step inside.
        late = isinstance(error, asyncio.TimeoutError) and time.monotonic() - start >= LIMIT
        steps = [step for step in traceback.extract_tb(error.__traceback__) if step.filename.startswith(str(HERE))]
        where = f"{Path(steps[-1].filename).name}:{steps[-1].lineno}"
        why = f"not done within {LIMIT} s" if late else f"{type(error).__name__}: {error} ({where})"
        (folder / "traceback.txt").write_text(traceback.format_exc())
    finally:
        kill_all()
    took = f"{time.monotonic() - start:.1f} s"
    if why is None:
        print(f"ok {name} ({figure}; {took})", flush=True)
    else:
        print(f"FAILED {name}: {' '.join(why.split())} [{took}, logs in {folder.relative_to(work.parent.parent)}]", flush=True)
    return why is None


def main():
    # Stopping this program stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = Path(sys.argv[1])
    wanted = sys.argv[2:]
    known = scenarios()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are: {', '.join(known)}")
    passed = failed = 0
    try:
        for name in wanted or known:
            if run(name, known[name], work):
                passed += 1
            else:
                failed += 1
    finally:
        kill_all()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
