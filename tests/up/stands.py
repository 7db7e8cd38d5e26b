"""How the tests run `penstock`: in a process of its own, from a bare checkout too."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PENSTOCK = (sys.executable, "-c", "from penstock_client.cli.main import main; main()")
_ENTRY_POINTS = """[penstock.commands]
worker = penstock_worker.cli:register
gateway = penstock_gateway.cli:register
"""


def environment(folder: Path) -> dict[str, str]:
    """An environment without settings and keys, in which `penstock` has all its commands."""
    paths = [str(CHECKOUT / name) for name in ("schemas", "client", "worker", "gateway")]
    if not entry_points(group="penstock.commands"):
        made = folder / "entry-points" / "penstock_checkout-0.dist-info"
        made.mkdir(parents=True)
        (made / "METADATA").write_text("Metadata-Version: 2.1\nName: penstock-checkout\nVersion: 0")
        (made / "entry_points.txt").write_text(_ENTRY_POINTS)
        paths.append(str(made.parent))
    passed = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "HOME", "LANG")
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


class Up:
    """`penstock up` in a folder of its own, heard by a thread."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.folder = folder
        self.environment = environment(folder) | variables | {"PENSTOCK_HOME": str(folder / "home")}
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*PENSTOCK, "up", "--port", "0", *options],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self, pattern: str) -> bool:
        return re.search(pattern, self.text) is not None

    def variables(self) -> dict[str, str]:
        """The two variables that it printed, as a shell would read them."""
        exports = [line for line in self.lines if line.startswith("export PENSTOCK_")]
        return dict(shlex.split(line)[1].split("=", 1) for line in exports)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, *, within_s: float = 30) -> int:
        """Wait for its end; returns the exit code."""
        exit_code = self._process.wait(timeout=within_s)
        self._reader.join(timeout=5)
        return exit_code

    def kill(self) -> None:
        """Whatever happened, leave nothing behind."""
        family = descendants(self.pid)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pid in family:
            if runs(pid):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> dict[int, str]:
    """The command line of every process below `pid`, by pid."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and runs(int(entry.name)):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = list(children.get(pid, []))
    while waiting:
        child = waiting.pop()
        try:
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        waiting += children.get(child, [])
    return found


def runs(pid: int) -> bool:
    """Whether the process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(condition: Callable[[], object], *, within_s: float = 40, told: str = "") -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, f"the condition never came true\n{told}"
        await asyncio.sleep(0.05)
