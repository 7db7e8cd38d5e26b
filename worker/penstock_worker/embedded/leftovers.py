"""Servers that outlived their owner: found, verified, stopped before a new one starts.

A process counts as ours only if its program's name is right *and* it works in our data directory:
pids are reused, and nothing unrelated may ever be signalled. Both servers change into their data
directory, and so do their children, which matters because a PostgreSQL backend or a Valkey rewrite
can outlive its killed parent and still write to the files. Where there is no `/proc` (macOS) the
pid file names the process and `ps` verifies it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedError

_PROC = Path("/proc")
_AFTER_KILL_S = 5.0
_ORPHAN_GRACE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """How a server's processes are recognised."""

    programs: tuple[str, ...]
    data: Path
    pid_file: Path


def read_pid(pid_file: Path) -> int | None:
    """The pid on the first line of a pid file; None if there is none or it makes no sense."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid > 1 else None


def find_leftovers(traces: Traces) -> list[int]:
    """The pids of all running processes that are verifiably this server or its children."""
    if _PROC.joinpath("self", "cwd").exists():
        numbers = (entry.name for entry in _PROC.iterdir() if entry.name.isdigit())
        return [pid for pid in map(int, numbers) if _works_in(pid, traces)]
    pid = read_pid(traces.pid_file)
    return [pid] if pid is not None and _names_data(pid, traces) else []


def _works_in(pid: int, traces: Traces) -> bool:
    try:
        if Path(f"/proc/{pid}/cwd").readlink() != traces.data:
            return False
        program = Path(f"/proc/{pid}/exe").readlink()
    except OSError:
        return False
    return program.name.removesuffix(" (deleted)") in traces.programs


def _names_data(pid: int, traces: Traces) -> bool:
    command = subprocess.run(
        ["ps", "-ww", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    ).stdout
    return str(traces.data) in command and any(name in command for name in traces.programs)


async def stop_leftovers(
    traces: Traces, *, name: str, ask_with: signal.Signals, deadline_s: float
) -> None:
    """Stops every leftover: the server politely, its orphans and what resists with SIGKILL."""
    found = find_leftovers(traces)
    if not found:
        return
    server = read_pid(traces.pid_file)
    if server in found:
        _send(server, ask_with)
        if await _all_gone(traces, within_s=deadline_s):
            return
    elif await _all_gone(traces, within_s=_ORPHAN_GRACE_S):
        return
    for pid in find_leftovers(traces):
        _send(pid, signal.SIGKILL)
    if not await _all_gone(traces, within_s=_AFTER_KILL_S):
        pids = ", ".join(map(str, find_leftovers(traces)))
        raise EmbeddedError(f"an earlier {name} still runs in {traces.data}: stop process {pids}")


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


async def _all_gone(traces: Traces, *, within_s: float) -> bool:
    give_up_at = time.monotonic() + within_s
    while find_leftovers(traces):
        if time.monotonic() > give_up_at:
            return False
        await asyncio.sleep(0.02)
    return True
