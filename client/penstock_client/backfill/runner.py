"""Running: jobs in batches, never more than a window of them unfinished, answers as they come."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from penstock_client.backfill.source import Row
from penstock_client.client import Handle, Penstock
from penstock_client.routing import AnyJob
from penstock_schemas.errors import Unavailable
from penstock_schemas.results import Result

#: How long a submit is tried again while Postgres is away.
PATIENCE_S = 600.0
_PAUSE_S = 1.0
_TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A row and its job. `generation` counts the tries that failed in earlier runs."""

    row: Row
    job: AnyJob
    generation: int = 0


class Runner:
    """Runs any number of jobs; `window` bounds the unfinished ones and with them the memory.

    `ended` gets each row with its result, in no order. `remade` makes a row's job anew: where an
    earlier run's job has failed, the row is asked again under the next generation.
    `tick` is called about twice a second, `say` with what somebody who watches should know.
    """

    def __init__(
        self,
        penstock: Penstock,
        *,
        window: int,
        remade: Callable[[Row, int], AnyJob],
        ended: Callable[[Row, Result], None],
        tick: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._penstock = penstock
        self._window = window
        self._batch = max(1, window // 4)
        self._remade = remade
        self._ended = ended
        self._tick = tick
        self._say = say
        self._running: set[asyncio.Task[None]] = set()
        self._again: deque[Asked] = deque()
        self._woken = asyncio.Event()
        self._error: BaseException | None = None
        self._ticked = 0.0

    async def run(self, source: AsyncIterator[Asked]) -> None:
        """Run all of `source`. Raises what `ended` or a submit raised; jobs under way go on."""
        more = True
        try:
            while more or self._again or self._running:
                while (more or self._again) and len(self._running) + self._batch <= self._window:
                    batch = await self._next(source)
                    more = len(batch) == self._batch
                    await self._submit(batch)
                await self._wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _next(self, source: AsyncIterator[Asked]) -> list[Asked]:
        batch: list[Asked] = []
        while self._again and len(batch) < self._batch:
            batch.append(self._again.popleft())
        while len(batch) < self._batch:
            asked = await anext(source, None)
            if asked is None:
                break
            batch.append(asked)
        return batch

    async def _submit(self, batch: list[Asked]) -> None:
        jobs = [asked.job for asked in batch]
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                handles = await self._penstock.submit_many(jobs)
                break
            except Unavailable as error:  # the keys make a second submit of a batch harmless
                if time.monotonic() >= give_up_at:
                    raise
                self._say(f"waiting: {error}")
                await asyncio.sleep(_PAUSE_S)
        for asked, handle in zip(batch, handles, strict=True):
            task = asyncio.create_task(self._await(asked, handle))
            self._running.add(task)
            task.add_done_callback(self._end)

    async def _await(self, asked: Asked, handle: Handle) -> None:
        result = await handle.result()
        if result.ok or handle.provider is not None:
            self._ended(asked.row, result)
            return
        # An earlier run submitted this job, and it failed: this run's try is a new job.
        generation = asked.generation + 1
        self._again.append(Asked(asked.row, self._remade(asked.row, generation), generation))

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._error = self._error or task.exception()
        self._woken.set()

    async def _wait(self) -> None:
        """Until something has ended, or for a tick."""
        if self._running and not self._error:
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
        self._woken.clear()
        if self._error is not None:
            raise self._error
        if time.monotonic() - self._ticked >= _TICK_S:
            self._ticked = time.monotonic()
            self._tick()
