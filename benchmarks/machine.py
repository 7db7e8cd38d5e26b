"""The machine: which cores there are, who runs on which, and what CPU a process has used.

CPU comes from `/proc`, in ticks of 10 ms: runs of seconds are exact enough. Where there is no
`/proc` it is not told.
"""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
#: More work than this share of the cores makes figures doubtful.
BUSY_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the worker, and those of everything else; None where they cannot be chosen."""

    worker: frozenset[int] | None
    others: frozenset[int] | None


def choose_cores() -> Cores:
    """The last usable core for the worker, the others for the rest."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None)
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        return Cores(frozenset(usable), frozenset(usable))
    return Cores(frozenset(usable[-1:]), frozenset(usable[:-1]))


@contextmanager
def on_cores(cores: frozenset[int] | None) -> Generator[None]:
    """Start processes in the block on these cores; children inherit them."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(pid: int, cores: frozenset[int]) -> None:
    """Put a process and all its descendants on these cores."""
    for each in _family(pid, _stat_rows()):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(each, cores)


def cpu_s(pid: int) -> float | None:
    """CPU that a process, with all its descendants, has used so far, in seconds."""
    if not _PROC.joinpath("self", "stat").exists():
        return None
    rows = _stat_rows()
    return sum(rows[each][1] for each in _family(pid, rows))


def _family(pid: int, rows: dict[int, tuple[int, float]]) -> list[int]:
    """A process that runs, and all its descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for child, (parent, _) in rows.items():
        children[parent].append(child)
    family = [pid] if pid in rows else []
    for each in family:
        family += children[each]
    return family


def _stat_rows() -> dict[int, tuple[int, float]]:
    """Every process: its parent and its CPU in seconds, with that of children it has reaped."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    rows: dict[int, tuple[int, float]] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        rows[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) * tick_s)
    return rows


def facts() -> dict[str, str | int | float]:
    """What one needs to know of the machine to read the figures."""
    return {
        "cores": os.cpu_count() or 1,
        "load_average": round(load_average(), 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def load_average() -> float:
    """Processes that wanted to run during the last minute."""
    return os.getloadavg()[0]


def warning_when_busy() -> str | None:
    """What to tell when other work shares the machine."""
    load, cores = load_average(), os.cpu_count() or 1
    if load <= BUSY_SHARE * cores:
        return None
    return (
        f"the load average is {load:.1f} on {cores} cores before anything was started: other work "
        "shares this machine, so read ratios rather than figures, or run this again later"
    )
