"""What the kernel tells of processes and cores: CPU time, memory, versions of the hardware.

In: process ids and core numbers. Out: a `Reading`, and what was used between two. Nothing here starts or measures anything.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def packet_threads(cores: list[int]) -> list[int]:
    """The kernel's threads that finish the network work of the cores' own programs."""
    names = {f"ksoftirqd/{core}" for core in cores}
    found = []
    for entry in os.listdir("/proc"):
        # Processes come and go while they are looked through.
        with suppress(FileNotFoundError, NotADirectoryError, ProcessLookupError):
            if entry.isdigit() and Path(f"/proc/{entry}/comm").read_text().strip() in names:
                found.append(int(entry))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _threads(pid: int) -> dict[int, int]:
    """Nanoseconds each thread has run: exact, unlike the clock ticks of `stat`."""
    found = {}
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found[int(thread)] = int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _idle(cores: list[int]) -> float:
    """Seconds the cores have been idle; the kernel keeps these by the clock, not by sampling."""
    seconds = 0.0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in [f"cpu{core}" for core in cores]:
            seconds += (int(fields[3]) + int(fields[4])) / TICK
    return seconds


@dataclass(frozen=True)
class Reading:
    """The clocks of a set of processes and of the cores they run on, at one moment."""

    at: float
    threads: dict[int, int]
    user: int
    system: int
    idle: float
    cores: int

    @classmethod
    def of(cls, pids: list[int], cores: list[int]) -> "Reading":
        threads, user, system = {}, 0, 0
        for pid in pids:
            threads |= _threads(pid)
            if fields := _stat(pid):
                user, system = user + int(fields[11]), system + int(fields[12])
        return cls(time.monotonic(), threads, user, system, _idle(cores), len(cores))


@dataclass(frozen=True)
class Used:
    """Seconds of CPU between two readings, and what part of the cores somebody else had."""

    cpu: float
    user: float
    system: float
    busy: float
    foreign: float


def used(before: Reading, after: Reading, others: float = 0.0) -> Used:
    """What was used in between; `others` are seconds that known processes had on the same cores.

    Threads count exactly; user and system share that in the proportion of their clock ticks. What a core was busy with and
    was neither these threads nor `others` is foreign: other programs, and interrupts that found the core idle.
    """
    cpu = sum(after.threads[thread] - before.threads.get(thread, 0) for thread in after.threads) / 1e9
    ticks = max(1, after.user + after.system - before.user - before.system)
    user = cpu * (after.user - before.user) / ticks
    available = (after.at - before.at) * after.cores
    busy = available - (after.idle - before.idle)
    return Used(cpu, user, cpu - user, busy / available, max(0.0, busy - cpu - others) / available)


def forget_peaks(pids: list[int]):
    """Starts a new high-water mark of memory."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pids: list[int]) -> int:
    """Most resident bytes since then, summed over the processes: what they share counts once for each."""
    return sum(_memory(pid, "status", "VmHWM:") for pid in pids)


def proportional(pids: list[int]) -> int:
    """Resident bytes, what processes share divided among them."""
    return sum(_memory(pid, "smaps_rollup", "Pss:") for pid in pids)


def _memory(pid: int, file: str, name: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def hardware() -> str:
    """The machine in one line."""
    model = next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {os.uname().release}"
