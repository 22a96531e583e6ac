"""The results, and how they are shown: medians, ranges, and ratios pair by pair.

In: figures by case, peer, start and round. Out: Markdown, and the same as plain data.
"""

import statistics

from peers import BEFORE

BASE = "nginx"

# Which start of the peers, and which round after it.
Round = tuple[int, int]


def spread(values: list[float]) -> tuple[float, float, float] | None:
    """Median, least and most."""
    return (statistics.median(values), min(values), max(values)) if values else None


class Results:
    """Figures by case, peer, start and round; rounds that could not be measured are absent."""

    def __init__(self):
        self.figures: dict[str, dict[str, dict[Round, dict]]] = {}
        # Why a peer is not there: (what, peer, reason).
        self.left_out: list[tuple[str, str, str]] = []

    def add(self, case: str, peer: str, at: Round, figures: dict):
        self.figures.setdefault(case, {}).setdefault(peer, {})[at] = figures

    def leave_out(self, what: str, peer: str, why: str):
        self.left_out.append((what, peer, why))

    def values(self, case: str, peer: str, figure: str) -> list[float]:
        rounds = self.figures.get(case, {}).get(peer, {})
        return [figures[figure] for figures in rounds.values() if figure in figures]

    def ratio(self, case: str, peer: str, base: str, figure: str) -> tuple[float, float, float] | None:
        """The peer's figure over the base's."""
        return spread(list(self.ratios(case, peer, base, figure).values()))

    def ratios(self, case: str, peer: str, base: str, figure: str) -> dict[Round, float]:
        """The same round by round."""
        ours, theirs = (self.figures.get(case, {}).get(name, {}) for name in (peer, base))
        both = {at: (ours[at].get(figure), theirs[at].get(figure)) for at in ours if at in theirs}
        return {at: one / other for at, (one, other) in both.items() if one is not None and other}

    def summary(self, case: str, peer: str, figure: str) -> dict:
        """What the table says of a peer, as data."""
        names = ["rps", "cpu", "user", "system", "p50_us", "p99_us", "p999_us", "peak", "bytes_each"]
        found = {name: spread(self.values(case, peer, name)) for name in names}
        return {name: value for name, value in found.items() if value} | {"ratio": self.ratio(case, peer, BASE, figure)}

    def marks(self, case: str, peer: str) -> dict[str, int]:
        """What is to be said of a peer's rounds, and of how many."""
        counts: dict[str, int] = {}
        for figures in self.figures[case][peer].values():
            for mark in figures["marks"]:
                counts[mark] = counts.get(mark, 0) + 1
        return counts


def markdown(results: Results, cases: list) -> list[str]:
    """A table for each case."""
    lines = []
    for case in cases:
        if case.name in results.figures:
            lines += one(results, case)
    if results.left_out:
        lines += ["## Left out", "", *[f"- {peer}, {what}: {' '.join(why.split())}" for what, peer, why in results.left_out], ""]
    return lines


def one(results: Results, case) -> list[str]:
    lines = [f"## {case.name}: {case.what}", ""]
    wide = case.figure != "bytes_each"
    if wide:
        compared = {"cpu": "CPU", "p50_us": "p50", "p99_us": "p99"}[case.figure]
        lines += [f"| | requests/s | CPU µs/request | user | system | p50 µs | p99 | p99.9 | peak MiB | {compared} over {BASE}'s | |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    else:
        lines += ["| | bytes each | |", "|---|---|---|"]
    for peer in results.figures[case.name]:
        parts = results.summary(case.name, peer, case.figure)
        count = len(results.figures[case.name][peer])
        marks = "; ".join(mark if number == count else f"{mark} ({number} of {count})" for mark, number in results.marks(case.name, peer).items())
        cells = measured(parts) if wide else [ranged(parts.get("bytes_each"), ".0f")]
        lines.append(f"| {peer} | {' | '.join(cells)} | {marks} |")
    return [*lines, "", *of_before(results, case)]


def of_before(results: Results, case) -> list[str]:
    """What a change has made of it: the median of the starts' medians, each of them, and the rounds' range.

    By start, since processes of the same program differ by several percent for their whole life.
    """
    ratios = results.ratios(case.name, "cloakroom", BEFORE, case.figure)
    if not ratios:
        return []
    starts: dict[int, list[float]] = {}
    for (start, _), ratio in ratios.items():
        starts.setdefault(start, []).append(ratio)
    medians = sorted(statistics.median(of_start) for of_start in starts.values())
    each = ", ".join(f"{median:.3f}" for median in medians)
    said = f"{statistics.median(medians):.3f} (starts: {each}; rounds: {min(ratios.values()):.2f} to {max(ratios.values()):.2f})"
    return [f"cloakroom over {BEFORE}: {case.figure} {said}", ""]


def measured(parts: dict) -> list[str]:
    plain = lambda name, form=".0f", by=1.0: f"{parts[name][0] / by:{form}}" if name in parts else "-"
    latencies = [plain(name) for name in ("p50_us", "p99_us", "p999_us")]
    cost = [ranged(parts.get("cpu"), ".2f"), plain("user", ".2f"), plain("system", ".2f")]
    return [plain("rps"), *cost, *latencies, plain("peak", ".1f", 2**20), ranged(parts["ratio"], ".2f")]


def ranged(values: tuple | None, form: str) -> str:
    """`median [least, most]`."""
    if not values:
        return "-"
    median, least, most = (f"{value:{form}}" for value in values)
    return f"{median} [{least}, {most}]"
