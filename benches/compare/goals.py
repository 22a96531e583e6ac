"""What Cloakroom is to reach: a row for each, measured in the same run as what it is compared with.

In: the results. Out: the rows, each with what was reached, or nothing where a part of it was not measured.
"""

from dataclasses import dataclass

from table import Results, spread

OURS = "cloakroom"


@dataclass(frozen=True)
class Goal:
    """`figure` of a case over that of `against` (none: as it is), and how much it may be."""

    what: str
    case: str
    against: str | None
    most: float
    figure: str = "cpu"


GOALS = [
    Goal("public, small response, 64 connections", "public", "nginx", 0.90),
    Goal("session, one cookie per connection", "session", "nginx", 0.92),
    Goal("session, random cookie for each request", "session-random", "nginx", 1.00),
    Goal("session, random cookie, over nginx with Lua", "session-random", "nginx-lua", 0.70),
    Goal("64 KiB responses", "kib64", "nginx", 0.42),
    Goal("1 MiB responses", "mib1", "nginx", 0.28),
    Goal("1 MiB uploads", "upload", "nginx", 0.18),
    Goal("TLS, HTTP/1.1 keep-alive, with session", "tls", "nginx", 0.90),
    Goal("HTTP/2 over TLS, 32 streams, with session", "h2", "nginx", 0.60),
    Goal("HTTP/2 over TLS, over HAProxy", "h2", "haproxy", 0.95),
    Goal("full TLS handshake", "handshake", "nginx", 0.55),
    Goal("p50 at 10,000 requests per second", "rate", "nginx", 0.95, "p50_us"),
    Goal("p99 at half load, with a new configuration", "half", "nginx", 1.00, "p99_us"),
    Goal("idle connection, bytes", "idle", None, 10 * 1024, "bytes_each"),
    Goal("session of 200 bytes, bytes", "memory", None, 450, "bytes_each"),
]

# The only one that is to be large.
SCALE = 1.9


def rows(results: Results) -> list[dict]:
    """Every goal: what was asked, and what came of it as (median, least, most)."""
    found = []
    for goal in GOALS:
        if goal.against:
            reached = results.ratio(goal.case, OURS, goal.against, goal.figure)
        else:
            reached = spread(results.values(goal.case, OURS, goal.figure))
        found.append({"what": goal.what, "case": goal.case, "against": goal.against, "figure": goal.figure, "at_most": goal.most, "reached": reached})
    return [*found, scale(results)]


def scale(results: Results) -> dict:
    """Throughput is cores over CPU per request: twice the cores at what a request costs there, over one at what it costs here."""
    halves = results.ratio("scale", OURS, f"{OURS}-x2", "cpu")
    reached = tuple(2 * part for part in halves) if halves else None
    return {"what": "throughput of both cores over one", "case": "scale", "against": f"{OURS}-x2", "figure": "cpu", "at_least": SCALE, "reached": reached}


def markdown(results: Results) -> list[str]:
    lines = ["## Goals", "", "| what | goal | reached: median [least, most] |", "|---|---|---|"]
    for row in rows(results):
        limit = f"at most {row['at_most']:g}" if "at_most" in row else f"at least {row['at_least']:g}"
        median, least, most = row["reached"] or (None, None, None)
        # Fractions as they are spoken of, bytes whole.
        form = ".0f" if median and median >= 100 else ".2f"
        reached = "not measured" if median is None else f"{median:{form}} [{least:{form}}, {most:{form}}]"
        lines.append(f"| {row['what']} | {limit} | {reached} |")
    return [*lines, ""]
