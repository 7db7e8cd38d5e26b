"""Jobs that are submitted one by one, recorded together: those of one moment share a statement.

Each is placed by its own request, so whatever is wrong with one concerns that one alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from penstock_client.completing import BULK_ABOVE
from penstock_client.connections import AWAY
from penstock_client.ledger import NewJob
from penstock_schemas.errors import Unavailable
from penstock_schemas.ids import JobId

logger = logging.getLogger("penstock.gateway")

#: Statements under way at a time; what comes meanwhile shares the next one.
_UNDER_WAY: Final = 2

#: Errors that no single job is to blame for.
_OF_ALL: Final = (Unavailable, *AWAY)

Record = Callable[[Sequence[NewJob]], Awaitable[list[JobId]]]
_Waiting = tuple[NewJob, "asyncio.Future[JobId]"]


class Submits:
    """Records placed jobs, many at a time."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def record(self, placed: NewJob) -> JobId:
        """Record one job, with others; returns its ID, or that of its key's first job.

        Whoever stops waiting has submitted it all the same. Raises as `Penstock.record`.
        """
        loop = asyncio.get_running_loop()
        recorded: asyncio.Future[JobId] = loop.create_future()
        self._waiting.append((placed, recorded))
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._start)
        return await recorded

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self) -> None:
        self._scheduled = False
        if not self._waiting or len(self._tasks) >= _UNDER_WAY:
            return
        together = [self._waiting.popleft() for _ in range(min(len(self._waiting), BULK_ABOVE))]
        task = asyncio.get_running_loop().create_task(self._flush(together))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if self._waiting:
            self._start()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()

    async def _flush(self, together: Sequence[_Waiting]) -> None:
        try:
            job_ids = await self._record([placed for placed, _ in together])
        except Exception as error:  # noqa: BLE001 - it is told to those who wait
            if len(together) == 1 or isinstance(error, _OF_ALL):
                for _, recorded in together:
                    _tell(recorded, error)
                return
            logger.warning("submits.one_by_one", extra={"reason": type(error).__name__})
            for one in together:
                await self._flush([one])
        else:
            for (_, recorded), job_id in zip(together, job_ids, strict=True):
                if not recorded.done():
                    recorded.set_result(job_id)


def _tell(recorded: asyncio.Future[JobId], error: Exception) -> None:
    if not recorded.done():
        recorded.set_exception(error)
