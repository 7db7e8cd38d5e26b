"""Keeps one server running at the same address until it is stopped on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import EmbeddedError
from .process import Child

_LOGGER = logging.getLogger(__name__)
_SHORTEST_BACKOFF_S = 0.2
_LONGEST_BACKOFF_S = 10.0
_STEADY_AFTER_S = 3.0
_START_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """One attempt to bring back a server that ended by itself.

    `exit_code` is minus the signal's number when it was killed; `downtime_s` is counted from its
    end; `error` is None when the server answers again, else the attempt failed and another follows.
    """

    server: str
    exit_code: int
    attempt: int
    downtime_s: float
    error: str | None


class Server(Protocol):
    """What the supervisor needs to know of a server."""

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def stop_signal(self) -> signal.Signals: ...
    @property
    def stop_deadline_s(self) -> float: ...
    async def launch(self) -> Child:
        """Starts the server, returns once it answers; raises EmbeddedError."""
        ...


def backoff_s(attempt: int) -> float:
    """The pause before restart `attempt` (from 1): none at first, then doubling up to 10 s."""
    if attempt <= 1:
        return 0.0
    return min(_SHORTEST_BACKOFF_S * 2.0 ** min(attempt - 2, 10), _LONGEST_BACKOFF_S)


class Supervisor:
    """One server, started, watched and restarted within the event loop that called `start`."""

    def __init__(self, server: Server, *, on_restart: Callable[[Restart], None]) -> None:
        self.server = server
        self._on_restart = on_restart
        self._child: Child | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._changing = asyncio.Lock()
        self._last_error: str | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the running server, None while it is down."""
        running = self._child is not None and self._child.exit_code is None
        return self._child.pid if self._child is not None and running else None

    async def start(self) -> None:
        """Starts the server, or waits for its restart; returns once it answers. Idempotent."""
        async with self._changing:
            if self._watcher is None:
                self._child = await self.server.launch()
                self._up.set()
                self._watcher = asyncio.create_task(self._watch(self._child))
        try:
            async with asyncio.timeout(_START_DEADLINE_S):
                await self._up.wait()
        except TimeoutError:
            reason = self._last_error or f"{self.server.name} is down: read {self.server.log}"
            raise EmbeddedError(reason) from None

    async def stop(self) -> None:
        """Stops the server for good, by force after its deadline. Idempotent."""
        async with self._changing:
            await self._stop_watching()
            if self._child is not None:
                await self._child.stop(
                    self.server.stop_signal, deadline_s=self.server.stop_deadline_s
                )

    async def kill(self, *, restart: bool) -> None:
        """Kills the server with SIGKILL; returns once it is dead. Without `restart` it stays so."""
        async with self._changing:
            if not restart:
                await self._stop_watching()
            if self._child is not None:
                self._up.clear()
                self._child.send(signal.SIGKILL)
                await self._child.wait()

    async def _stop_watching(self) -> None:
        self._up.clear()
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None

    async def _watch(self, child: Child) -> None:
        attempt = 0
        while True:
            up_since = time.monotonic()
            exit_code = await child.wait()
            died_at = time.monotonic()
            self._up.clear()
            attempt = 0 if died_at - up_since > _STEADY_AFTER_S else attempt
            _LOGGER.warning(
                "embedded_server_died",
                extra={"server": self.server.name, "exit_code": exit_code},
            )
            child, attempt = await self._bring_back(exit_code, died_at=died_at, attempt=attempt)

    async def _bring_back(
        self, exit_code: int, *, died_at: float, attempt: int
    ) -> tuple[Child, int]:
        while True:
            attempt += 1
            await asyncio.sleep(backoff_s(attempt))
            try:
                self._child = child = await self.server.launch()
                self._last_error = None
                self._up.set()
            except Exception as error:  # whatever it was, the server has to come back
                child, self._last_error = None, str(error) or repr(error)
            self._report(
                Restart(
                    server=self.server.name,
                    exit_code=exit_code,
                    attempt=attempt,
                    downtime_s=time.monotonic() - died_at,
                    error=self._last_error,
                )
            )
            if child is not None:
                return child, attempt

    def _report(self, restart: Restart) -> None:
        try:
            self._on_restart(restart)
        except Exception:
            _LOGGER.exception("embedded_restart_report_failed")
