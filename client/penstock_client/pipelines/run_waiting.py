"""Awaiting runs: one poller per process asks for all that are awaited, in one statement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from penstock_client.background import forever
from penstock_schemas.runs import RunState

logger = logging.getLogger("penstock.client")

#: How often it asks, in seconds: at first, and once nothing has changed for a while.
_SOONEST_S, _LATEST_S = 0.05, 0.5
_SLOWER = 1.1
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class RunVersion:
    """How far a run has come."""

    state: RunState
    version: int


_Future = asyncio.Future[RunVersion | None]


@dataclass(slots=True)
class _Awaited:
    """Who waits for a run: to come further than `after`, or with None to end."""

    waiting: list[tuple[int | None, _Future]] = field(
        default_factory=list[tuple[int | None, _Future]]
    )


class RunWaiter:
    """Runs by ID, for one process. `ask` gives rows of `run_versions`."""

    def __init__(self, ask: Callable[[Sequence[UUID]], Awaitable[Sequence[Any]]]) -> None:
        self._ask = ask
        self._awaited: dict[UUID, _Awaited] = {}
        self._poller: asyncio.Task[None] | None = None
        self._pause_s = _SOONEST_S

    async def changed(self, run_id: UUID, *, after: int | None) -> RunVersion | None:
        """Wait until a run has come further than `after`, or has ended; None when there is none."""
        future: _Future = asyncio.get_running_loop().create_future()
        entry = (after, future)
        self._awaited.setdefault(run_id, _Awaited()).waiting.append(entry)
        self._pause_s = _SOONEST_S
        if self._poller is None:
            loop = forever(self._turn, event="runs.poll_failed", logger=logger)
            self._poller = asyncio.create_task(loop, name="penstock-runs")
        try:
            return await future
        finally:
            awaited = self._awaited[run_id]
            awaited.waiting.remove(entry)
            if not awaited.waiting:
                del self._awaited[run_id]
            if not self._awaited:
                self._poller.cancel()
                self._poller = None

    async def _turn(self) -> None:
        run_ids = list(self._awaited)
        for first in range(0, len(run_ids), _PAGE):
            page = run_ids[first : first + _PAGE]
            found = {row["id"]: row for row in await self._ask(page)}
            for run_id in page:
                self._tell(run_id, found.get(run_id))
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(_LATEST_S, self._pause_s * _SLOWER)

    def _tell(self, run_id: UUID, row: Any) -> None:
        awaited = self._awaited.get(run_id)
        if awaited is None:
            return
        found = None if row is None else RunVersion(RunState(row["state"]), row["version"])
        for after, future in awaited.waiting:
            moved = found is None or (after is not None and found.version > after)
            if not future.done() and (moved or (found is not None and found.state.is_terminal)):
                future.set_result(found)
                self._pause_s = _SOONEST_S
