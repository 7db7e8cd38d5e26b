"""One child process of the embedded stack: started in the foreground, waited for, stopped by pid.

On Linux a child gets its stop signal from the kernel when its owner dies, however it dies. The
kernel watches the *thread* that started the child, so `spawn` starts it in the calling thread: call
it from the event loop's thread, which outlives everything that runs in the loop. macOS has no such
signal; there the next start stops what was left (`leftovers.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from .errors import EmbeddedError

_BECOME = Path(__file__).with_name("become.py")
_LOG_LIMIT_BYTES = 10_000_000
_PASSED_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_COMPLAINT = re.compile(
    r"fatal|panic|error|can't|could not|cannot|failed|not allowed", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user a child runs as when its owner is root."""

    uid: int
    gid: int


class Child:
    """A running child. Its end is collected by a thread, so it never stays as a zombie."""

    def __init__(self, popen: subprocess.Popen[bytes], *, log: Path, log_start: int) -> None:
        self.pid = popen.pid
        self.log = log
        self._popen = popen
        self._log_start = log_start
        self._exit: Future[int] = Future()
        self._exit.set_running_or_notify_cancel()
        collector = threading.Thread(target=self._collect, name=f"wait-{self.pid}", daemon=True)
        collector.start()

    def _collect(self) -> None:
        self._exit.set_result(self._popen.wait())

    @property
    def exit_code(self) -> int | None:
        """The exit code (minus the signal's number when killed), None while it runs."""
        return self._exit.result() if self._exit.done() else None

    async def wait(self) -> int:
        """Waits for the end of the child, from any event loop; returns its exit code."""
        return await asyncio.shield(asyncio.wrap_future(self._exit))

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; a child that has ended is left alone."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(number)

    async def stop(self, number: signal.Signals, *, deadline_s: float) -> int:
        """Asks with `number`, kills after `deadline_s`; returns the exit code. Idempotent."""
        self.send(number)
        try:
            async with asyncio.timeout(deadline_s):
                return await self.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait()

    def complaint(self) -> str:
        """The line of this run's log that says most about why it ended."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(self._log_start)
            text = file.read(200_000).decode(errors="replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            telling = [line for line in lines if _COMPLAINT.search(line)] or lines[-1:]
            if telling:
                return telling[0][:200]
        return f"exit code {self.exit_code}"


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    death_signal: signal.Signals,
    user: RunAs | None = None,
) -> Child:
    """Starts `argv` in `cwd` with output appended to `log`, in a session of its own.

    A session of its own keeps Ctrl-C in the terminal for the owner, who stops its servers last.
    The environment is reduced to search paths: servers need no provider keys.
    """
    identity = f"{user.uid}:{user.gid}" if user else "-"
    wrapper = [sys.executable, "-I", "-S", str(_BECOME), str(os.getpid()), str(int(death_signal))]
    environment = {name: os.environ[name] for name in _PASSED_ENVIRONMENT if name in os.environ}
    log_fd = _open_log(log)
    try:
        log_start = os.lseek(log_fd, 0, os.SEEK_END)
        popen = subprocess.Popen(
            [*wrapper, identity, *argv],
            cwd=cwd,
            env=environment | {"LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            start_new_session=True,
        )
    except OSError as error:
        raise EmbeddedError(f"cannot start {argv[0]}: {error}") from error
    finally:
        os.close(log_fd)
    return Child(popen, log=log, log_start=log_start)


def _open_log(log: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT_BYTES:
            log.replace(log.with_name(log.name + ".1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


async def wait_until_answering(
    child: Child, probe: Callable[[], Awaitable[bool]], *, name: str, deadline_s: float
) -> None:
    """Returns once `probe` says yes; raises EmbeddedError if the child ends or stays silent.

    A child that is given up on, or whose start is cancelled, is killed: the caller owns it only
    after this returned.
    """
    give_up_at = time.monotonic() + deadline_s
    pause_s = 0.005
    try:
        while not await probe():
            if child.exit_code is not None:
                raise EmbeddedError(
                    f"{name} stopped while starting ({child.complaint()}): read {child.log}"
                )
            if time.monotonic() > give_up_at:
                raise EmbeddedError(
                    f"{name} did not answer within {deadline_s:.0f} s: read {child.log}"
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.1)
    except BaseException:
        child.send(signal.SIGKILL)
        raise
