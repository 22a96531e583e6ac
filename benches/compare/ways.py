"""The ways of measuring: each runs one job at one peer and says what it cost.

In: a case, and a peer that runs (or, for those that want a fresh one, that does not). Out: figures by name; what could not be
had is absent. `measure` repeats what the guard finds void.
"""

import resource
import statistics
import threading
from dataclasses import dataclass, field

from cases import Case
from generator import Load, h2load
from machine import Reading, forget_peaks, packet_threads, peak, proportional, tree, used
from peers import Bench, Peer, Setup
from process import Failed

# The part of the peer's cores that others may have had.
FOREIGN = 0.05
# From here on the load program was at its limit.
LIMIT = 0.98


@dataclass
class Rig:
    """What every run needs: the load program, and how long."""

    bench: Bench
    load: Load
    load_cores: list[int]
    seconds: float
    repeats: int
    warmup: float = 0.3
    # Requests per second of nginx in `public`, one figure a round.
    pace: list[float] = field(default_factory=list)

    def job(self, peer: Peer, case: Case) -> dict:
        """The case's job for a peer: where to, and what must come back."""
        port = peer.tls_port if case.job.get("tls") else peer.port
        job = {"target": f"127.0.0.1:{port}", "seconds": self.seconds, "warmup": self.warmup, **case.job}
        if "cookie_per" in job:
            job["cookies"] = str(peer.cookies)
        if "cookie_per" in job and peer.sessions:
            job |= {"users": str(peer.users), "expect_user": "cookie-line"}
        return job

    def clocks(self, peer: Peer) -> tuple[Reading, float]:
        """The clocks of a peer, and the seconds used by others that belong on its cores."""
        known, others = packet_threads(peer.cores), 0.0
        if set(peer.cores) & set(self.load_cores):
            known += tree(self.load.process.pid)
            # Children of this program that have ended: h2load.
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            others = ended.ru_utime + ended.ru_stime
        others += sum(Reading.of(known, []).threads.values()) / 1e9
        return Reading.of(peer.pids(), peer.cores), others


def result(done: dict, start: tuple[Reading, float], end: tuple[Reading, float], peer: Peer) -> dict:
    """The figures of a run: what load said, and what the peer's processes used, for each request."""
    use = used(start[0], end[0], end[1] - start[1])
    count = max(1, done["requests"])
    figures = {name: done[name] for name in ["requests", "errors", "wrong", "rps", "first_error"]}
    figures |= {name: done[name] for name in ["p50_us", "p99_us", "p999_us", "busy", "handshakes", "resumed"] if name in done}
    figures |= {"cpu": use.cpu / count * 1e6, "user": use.user / count * 1e6, "system": use.system / count * 1e6}
    return figures | {"foreign": use.foreign, "core_busy": use.busy, "peak": peak(peer.pids()), "marks": []}


def by_load(rig: Rig, peer: Peer, case: Case, **more) -> dict:
    """One job of the load program; the clocks run while it measures."""
    reload = more.pop("reload", None)
    job = rig.job(peer, case) | more
    forget_peaks(peer.pids())
    rig.load.send(job)
    rig.load.event("measuring", 60)
    start = rig.clocks(peer)
    if reload:
        threading.Timer(job["seconds"] / 2, reload).start()
    done = rig.load.event("done", job["seconds"] + 60)
    return result(done, start, rig.clocks(peer), peer)


def by_h2load(rig: Rig, peer: Peer, case: Case) -> dict:
    """One run of h2load, after a short one; every connection with the first session's cookie."""
    with peer.cookies.open() as cookies:
        headers = [f"cookie: {next(cookies).strip()}", "x-auth-user: mallory"]
    h2load(peer.tls_port, case.job["path"], 0.5, headers, rig.load_cores)
    forget_peaks(peer.pids())
    start = rig.clocks(peer)
    done = h2load(peer.tls_port, case.job["path"], rig.seconds, headers, rig.load_cores)
    return result(done, start, rig.clocks(peer), peer)


def at_half(rig: Rig, peer: Peer, case: Case) -> dict:
    """Half of nginx's throughput, and a new configuration in the middle of it.

    Processes may follow one another, so nothing is said of their CPU time.
    """
    if not rig.pace:
        raise Failed("nginx was not measured in `public`")
    figures = by_load(rig, peer, case, rate=round(statistics.median(rig.pace) / 2), reload=peer.reload)
    return {name: value for name, value in figures.items() if name not in ("cpu", "user", "system", "peak")} | {"foreign": 0.0}


def at_scale(rig: Rig, peer: Peer, case: Case) -> dict:
    """The same rate and as many connections for each worker."""
    return by_load(rig, peer, case, rate=case.job["rate"] * peer.workers, connections=case.job["connections"] * peer.workers)


def of_idle(rig: Rig, peer: Peer, case: Case) -> dict:
    """Connections that had a request each and wait: what the processes grew by."""
    peer.start(case.setup)
    warm = Case("warm", "", [], {"connections": 64, "path": "/", "keep_alive": True})
    by_load(rig, peer, warm)
    before = proportional(peer.pids())
    rig.load.send(rig.job(peer, case) | {"idle": True, "connections": min(case.job["connections"], room())})
    held = rig.load.event("idle", 120)
    grown = proportional(peer.pids()) - before
    rig.load.send({"release": True})
    released = rig.load.event("released", 60)
    figures = {"connections": held["connections"], "errors": held["errors"] + released["closed_by_peer"], "wrong": held["wrong"]}
    return figures | {"first_error": held["first_error"], "bytes_each": grown / max(1, held["connections"]), "marks": []}


def room() -> int:
    """As many connections as a proxy can have that may need another one to the upstream for each."""
    return (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200) // 2


def of_sessions(rig: Rig, peer: Peer, case: Case) -> dict:
    """With all sessions and with none: what a session takes."""
    peer.start(Setup())
    before = proportional(peer.pids())
    peer.stop()
    peer.start(case.setup)
    grown = proportional(peer.pids()) - before
    return {"sessions": peer.live, "bytes_each": grown / peer.live, "errors": 0, "wrong": 0, "marks": []}


WAYS = {"load": by_load, "h2": by_h2load, "half": at_half, "scale": at_scale, "idle": of_idle, "memory": of_sessions}


def void(case: Case, figures: dict) -> str | None:
    """Why a run says nothing, if so."""
    if figures["wrong"]:
        return f"{figures['wrong']} wrong responses"
    # A reload may cost a peer connections: that is told, not hidden by a repetition.
    if figures["errors"] and case.way != "half":
        return f"{figures['errors']} errors ({figures.get('first_error')})"
    if other := unlike(case, figures):
        return other
    if figures.get("foreign", 0.0) > FOREIGN:
        return f"others had {figures['foreign']:.0%} of the core"
    return None


def unlike(case: Case, figures: dict) -> str | None:
    """What is wrong with the handshakes, where they are what the case is about."""
    if "resume" not in case.job or not figures.get("handshakes"):
        return None
    part = figures["resumed"] / figures["handshakes"]
    as_asked = part > 0.95 if case.job["resume"] else part == 0
    return None if as_asked else f"{part:.0%} of the handshakes were resumed"


def measure(rig: Rig, peer: Peer, case: Case) -> dict:
    """The figures of one run that counts, or the last try's with what is wrong with it in `marks`."""
    for attempt in range(1 + rig.repeats):
        try:
            figures = WAYS[case.way](rig, peer, case)
        finally:
            if case.fresh:
                peer.stop()
        figures["repeated"] = attempt
        why = void(case, figures)
        if not why:
            break
        figures["marks"].append(why)
    if figures.get("busy", 0.0) > LIMIT and figures.get("core_busy", 1.0) < LIMIT:
        figures["marks"].append("generator-bound")
    if case.way == "half" and figures["errors"]:
        figures["marks"].append(f"{figures['errors']} errors")
    return figures
