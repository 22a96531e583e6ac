"""Programs that drive Chromium: started with the browser and axe, and asked what they have seen."""

import json
import sys
from pathlib import Path

from rig.gateway import needs
from rig.process import HERE, command, expect

# Where npm's packages are; screenshots are kept beside them.
MODULES = Path(sys.prefix).parent


async def look(program: str, *arguments, seconds: int) -> str:
    """Has a program of this folder go through its pages: its arguments are those after the folder for screenshots.

    Fails on whatever axe finds, on pages wider than their window, and on errors in the browser's console."""
    shots = MODULES / "screenshots"
    shots.mkdir(exist_ok=True)
    code, out, err = await command(
        *[needs("node"), HERE / program, shots, *arguments],
        env={"CLOAKROOM_MODULES": str(MODULES), "CLOAKROOM_CHROMIUM": needs("chromium")},
        seconds=seconds,
    )
    expect(code == 0 and out.strip(), f"{program} ended with {code}: {err[-600:]}")
    seen = json.loads(out)
    wrong = [seen.get("error"), *seen["axe"], *[f"{name} is too wide" for name in seen["overflow"]], *seen["console"]]
    wrong = [finding for finding in wrong if finding]
    expect(not wrong, "; ".join(wrong[:12]))
    return f"{seen['pages']} pages looked at, axe finds nothing"
