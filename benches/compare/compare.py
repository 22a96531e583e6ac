"""Compares Cloakroom with other proxies: the same work on the same machine in the same minutes.

In: the command line (`--help`). Out: tables on standard output, progress on standard error, with `--json` all figures.
The method is in `../README.md`. `run` has installed and built what this needs.
"""

import argparse
import itertools
import json
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import goals
import table
from cases import CASES, DOUBLES, Case, participants
from generator import Load
from machine import hardware
from peers import BEFORE, MISSING, PEERS, Bench, CloakroomBefore, Peer, Setup
from process import Failed, free_port, stop_all
from table import Round
from verify import verify
from ways import Rig, measure

HERE = Path(__file__).resolve().parent


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/compare/run", description="Compares Cloakroom with other proxies on loopback.")
    names = lambda known: lambda text: [pick(name, known) for name in text.split(",")]
    parser.add_argument("--peers", type=names(list(PEERS)), default=list(PEERS), metavar="A,B", help="only these; nginx is what the others are compared with")
    parser.add_argument("--cases", type=names([case.name for case in CASES]), metavar="A,B", help="only these")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--starts", type=int, default=1, metavar="N", help="how often all peers start anew, with as many rounds each time; default: 1")
    parser.add_argument("--seconds", type=float, default=1.5, metavar="S", help="of one run; default: 1.5")
    parser.add_argument("--sessions", type=int, default=1_000_000, metavar="N", help="live sessions; default: 1000000")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="of a void run; default: 3")
    parser.add_argument("--cores", choices=["one", "both"], default="one", help="one for the proxy and one for the load, or both for all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes every figure there")
    parser.add_argument("--cloakroom", type=Path, metavar="PATH", help="another binary than the release build")
    parser.add_argument("--before", type=Path, metavar="PATH", help="an earlier binary, to be compared with")
    parser.add_argument("--list", action="store_true", help="lists peers and cases")
    return parser.parse_args()


def pick(name: str, known: list[str]) -> str:
    if name not in known:
        raise argparse.ArgumentTypeError(f"no such one: {name}; there are: {', '.join(known)}")
    return name


def prepare(options: argparse.Namespace) -> Bench:
    """A new folder with a certificate and the sessions that peers read from a file."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve()
    installed, folder = target / "compare", target / "compare/run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(["openssl", "req", *kind, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    sessions, cookies, users = folder / "sessions.map", folder / "cookies.txt", folder / "users.txt"
    with sessions.open("w") as of_peers, cookies.open("w") as of_load, users.open("w") as whose:
        for number in range(options.sessions):
            cookie, user = secrets.token_urlsafe(24), f"user{number % 1000:06}"
            of_peers.write(f"{cookie} {user}\n")
            of_load.write(f"sid={cookie}\n")
            whose.write(f"{user}\n")
    cloakroom = (options.cloakroom or target / "release/cloakroom").resolve()
    before = options.before and options.before.resolve()
    load = installed / "load/release/load"
    return Bench(folder, installed, cloakroom, before, load, free_port(), cert, key, options.sessions, sessions, cookies, users)


class Comparison:
    """The peers, the load program, and what has been measured so far."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.bench = prepare(options)
        self.cores = [0] if options.cores == "one" else [0, 1]
        load_cores = [1] if options.cores == "one" else [0, 1]
        # What this program does itself shall not be on the proxy's core.
        os.sched_setaffinity(0, load_cores)
        load = Load(self.bench.load, self.bench.upstream, load_cores, self.bench.folder)
        self.rig = Rig(self.bench, load, load_cores, options.seconds, options.repeats)
        self.results = table.Results()
        # Who failed in which case.
        self.failed: set[tuple[str, str]] = set()
        self.versions: dict[str, str] = {}
        self.peers = self.make()

    def make(self) -> dict[str, Peer]:
        """The peers that can be had, and those with two workers."""
        found: dict[str, Peer] = {}
        wanted = {name: PEERS[name] for name in self.options.peers}
        if self.bench.before:
            wanted[BEFORE] = CloakroomBefore
        for name, peer in wanted.items():
            try:
                self.versions[name] = peer.version(self.bench)
                found[name] = peer(self.bench, len(self.cores), self.cores)
            except Failed as failure:
                self.leave_out("all", name, failure)
        for double, name in DOUBLES.items():
            # With both cores the others have two workers already.
            if name in found and self.options.cores == "one":
                found[double] = PEERS[name](self.bench, 2, [0, 1])
        return found

    def run(self):
        """Case by case in groups that need the same configuration."""
        wanted = self.options.cases or [case.name for case in CASES]
        # `half` is half of what nginx does there.
        wanted += ["public"] if "half" in wanted else []
        cases = [case for case in CASES if case.name in wanted and (case.way != "scale" or self.options.cores == "one")]
        for setup, group in itertools.groupby(cases, key=lambda case: (case.setup, case.fresh)):
            self.group(setup[0], list(group))
        return cases

    def group(self, setup: Setup, cases: list[Case]):
        """Who takes part, started as often as asked for; every other time the other way round."""
        names = list(dict.fromkeys(name for case in cases for name in participants(case, list(self.peers))))
        for start in range(self.options.starts):
            self.once(setup, cases, names if start % 2 == 0 else names[::-1], start)

    def once(self, setup: Setup, cases: list[Case], names: list[str], start: int):
        """Starts them, measures round by round, stops them."""
        running = names if cases[0].fresh else [name for name in names if self.started(name, setup)]
        rounds = max(case.rounds or self.options.rounds for case in cases)
        try:
            for number in range(rounds):
                for case in cases:
                    if number < (case.rounds or rounds):
                        taking_part = [name for name in participants(case, list(self.peers)) if name in running]
                        self.round(case, (start, number), taking_part)
        finally:
            for name in running:
                self.peers[name].stop()

    def started(self, name: str, setup: Setup) -> bool:
        """Whether the peer runs and does what it is measured for."""
        peer = self.peers[name]
        began = time.monotonic()
        try:
            peer.start(setup)
            verify(peer, setup)
        except (Failed, OSError, subprocess.SubprocessError) as failure:
            peer.stop()
            self.leave_out(f"at start ({setup})", name, failure)
            return False
        say(f"{name} runs and does the work ({time.monotonic() - began:.1f} s)")
        return True

    def broke(self, case: Case, name: str, failure: Exception):
        """The peer does not take part in this case any more; it starts again, as the load program does, for the others."""
        self.failed.add((case.name, name))
        self.leave_out(case.name, name, failure)
        self.rig.load.restart()
        self.peers[name].stop()
        if not case.fresh:
            self.peers[name].start(case.setup)

    def leave_out(self, what: str, name: str, failure: Exception):
        self.results.leave_out(what, name, str(failure))
        say(f"LEFT OUT: {name}, {what}: {failure}")

    def round(self, case: Case, at: Round, names: list[str]):
        """One run of each, in turn; every other round the other way round."""
        for name in names if sum(at) % 2 == 0 else reversed(names):
            peer = self.peers[name]
            if (case.name, name) in self.failed:
                continue
            try:
                figures = measure(self.rig, peer, case)
            except (Failed, OSError, subprocess.SubprocessError) as failure:
                self.broke(case, name, failure)
                continue
            self.results.add(case.name, name, at, figures)
            if (case.name, name) == ("public", table.BASE):
                self.rig.pace.append(figures["rps"])
            say(f"{case.name} {at[0] + 1}.{at[1] + 1} {name}: {brief(figures)}")


def brief(figures: dict) -> str:
    parts = [f"{figures['cpu']:.2f} µs" if "cpu" in figures else "", f"{figures['rps']:.0f}/s" if "rps" in figures else ""]
    parts += [f"{figures['bytes_each']:.0f} B each" if "bytes_each" in figures else "", *figures["marks"]]
    return ", ".join(part for part in parts if part)


def report(comparison: Comparison, cases: list[Case], took: float):
    """Prints the tables; writes the figures."""
    options, results = comparison.options, comparison.results
    for name, why in MISSING.items():
        results.leave_out("all", name, why)
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    settings = f"{options.starts} × {options.rounds} rounds of {options.seconds:g} s, {options.sessions:,} sessions, cores: {options.cores}; {took / 60:.0f} minutes"
    head = [f"{time.strftime('%Y-%m-%d')}, {hardware()}", "", versions, "", settings, ""]
    print("\n".join([*head, *goals.markdown(results), *table.markdown(results, cases)]))
    if options.json:
        found = {
            case.name: {
                peer: results.summary(case.name, peer, case.figure) | {"rounds": [{"start": at[0], "round": at[1]} | figures for at, figures in rounds.items()]}
                for peer, rounds in results.figures[case.name].items()
            }
            for case in cases
            if case.name in results.figures
        }
        data = {"hardware": hardware(), "versions": comparison.versions, "settings": settings, "goals": goals.rows(results)}
        options.json.write_text(json.dumps(data | {"cases": found, "left_out": results.left_out}, indent=1) + "\n")


def main():
    options = arguments()
    if options.list:
        print("peers:", *PEERS)
        for case in CASES:
            print(f"{case.name}: {case.what} ({', '.join(case.peers)})")
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Stopping this program stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        comparison = Comparison(options)
        cases = comparison.run()
        report(comparison, cases, time.monotonic() - began)
    finally:
        stop_all()


main()
