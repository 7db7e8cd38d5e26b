"""The services of a stack as child processes: kept running, heard, and stopped in order.

A child starts through the embedded servers' `become.py`, in a session of its own: Ctrl-C in the
terminal reaches only the parent, which stops its children in order, and on Linux the kernel stops
them when the parent dies, however it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from penstock_worker.embedded import become
from penstock_worker.embedded.supervise import backoff_s
from penstock_worker.up.plan import DRAIN_S, Service
from penstock_worker.up.servers import takes_connections

#: What hears a child: the service's name and one line.
Hear = Callable[[str, str], None]

#: The exit code of a service whose settings are wrong: starting it again would not help.
REFUSED = 2
_PENSTOCK = "from penstock_client.cli.main import main; main()"
_STEADY_AFTER_S = 10.0
_PROBE_PAUSE_S = 0.05
_CHUNK_BYTES = 65_536
_LINE_LIMIT_BYTES = 1_000_000


class RunningService:
    """One service, started again with growing pauses whenever it ends by itself."""

    def __init__(
        self, service: Service, *, hear: Hear, note: Hear, death_signal: signal.Signals
    ) -> None:
        self.service = service
        self.ready = asyncio.Event()
        self.refused = asyncio.Event()
        self._hear = hear
        self._note = note
        self._death_signal = death_signal
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._task = asyncio.create_task(self._keep_running(), name=f"service-{service.name}")

    @property
    def pid(self) -> int | None:
        """The process that runs now, or ran last."""
        return self._process.pid if self._process is not None else None

    async def stop(self, *, deadline_s: float, forced: asyncio.Event) -> None:
        """Ask with SIGTERM; kill after `deadline_s`, or as soon as `forced` is set."""
        self._stopping.set()
        self.send(signal.SIGTERM)
        force = asyncio.create_task(forced.wait())
        await asyncio.wait(
            {self._task, force}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED
        )
        force.cancel()
        self.send(signal.SIGKILL)
        await self._task

    async def _keep_running(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            exit_code = await self._run_once()
            if self._stopping.is_set():
                return
            if exit_code == REFUSED:
                self.refused.set()
                self._note(self.service.name, "its settings are wrong (above); not started again")
                return
            steady = time.monotonic() - started_at > _STEADY_AFTER_S
            attempt = 1 if steady else attempt + 1
            pause_s = backoff_s(attempt)
            when = f"in {pause_s:g} s" if pause_s else "at once"
            self._note(self.service.name, f"{_ending(exit_code)}; starting it again {when}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _run_once(self) -> int:
        process = self._process = await _spawn(self.service, self._death_signal)
        if self._stopping.is_set():
            self.send(signal.SIGTERM)
        probing = asyncio.create_task(self._probe())
        try:
            async for line in _lines(process.stdout):
                if self.service.ready_event and self.service.ready_event in line:
                    self.ready.set()
                self._hear(self.service.name, line)
            return await process.wait()
        finally:
            probing.cancel()

    async def _probe(self) -> None:
        while self.service.port is not None and not self.ready.is_set():
            if await takes_connections(self.service.port):
                self.ready.set()
            await asyncio.sleep(_PROBE_PAUSE_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended is left alone."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


@asynccontextmanager
async def running(
    services: Sequence[Service],
    *,
    hear: Hear,
    note: Hear,
    death_signal: signal.Signals,
    forced: asyncio.Event,
) -> AsyncGenerator[list[RunningService]]:
    """Start all services; at the end stop them, those that serve others last."""
    started = [
        RunningService(service, hear=hear, note=note, death_signal=death_signal)
        for service in services
    ]
    try:
        yield started
    finally:
        for serves in (False, True):
            await asyncio.gather(
                *(
                    one.stop(deadline_s=DRAIN_S + 5, forced=forced)
                    for one in started
                    if one.service.serves is serves
                )
            )


async def wait_until_ready(started: Sequence[RunningService], *, within_s: float) -> list[str]:
    """Wait for all of them; returns the names of those that are not ready by then, or refused."""

    async def settled(one: RunningService) -> None:
        waits = {asyncio.create_task(event.wait()) for event in (one.ready, one.refused)}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await asyncio.gather(*(settled(one) for one in started))
    return [one.service.name for one in started if not one.ready.is_set()]


async def _spawn(service: Service, death_signal: signal.Signals) -> asyncio.subprocess.Process:
    """Start it in the calling thread: the kernel ties the child's life to that thread."""
    wrapper = ("-I", "-S", str(Path(become.__file__)), str(os.getpid()), str(int(death_signal)))
    command = (sys.executable, "-P", "-c", _PENSTOCK, *service.arguments)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *wrapper,
        "-",
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **service.variables, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    """The lines of a child's output; one that never ends is cut."""
    rest = b""
    while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_LIMIT_BYTES:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace")


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"
