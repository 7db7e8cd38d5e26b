"""Recording placed jobs and putting them into the index: one of these stands behind a connection.

The record comes first, and a submit is acknowledged by it alone. What Redis cannot take stays
noted in the record, where the steward finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from penstock_client.background import end, forever
from penstock_client.broker import Broker
from penstock_client.connections import POSTGRES_AWAY, REDIS_AWAY
from penstock_client.ledger import Ledger, NewJob

logger = logging.getLogger("penstock.client")

_MARK_EVERY_S = 0.05


class Submits:
    """Records and enqueues; `listen_to` is told of a workspace before jobs of it are recorded."""

    def __init__(
        self, ledger: Ledger, broker: Broker, *, listen_to: Callable[[str], Awaitable[None]]
    ) -> None:
        self._ledger = ledger
        self._broker = broker
        self._listen_to = listen_to
        self._indexed: list[UUID] = []
        self._index_seen = asyncio.Event()
        marking = forever(
            self._mark, event="submit.mark_failed", logger=logger, every_s=_MARK_EVERY_S
        )
        self._marker = asyncio.create_task(marking, name="penstock-mark")

    async def close(self) -> None:
        """Tell the record what it has not been told yet."""
        await end([self._marker])
        with contextlib.suppress(*POSTGRES_AWAY):
            await self._mark_now()

    async def record(self, jobs: Sequence[NewJob], connection: Any = None) -> dict[UUID, UUID]:
        """Record jobs in one statement and enqueue them; gives, for each whose idempotency key
        was used before, the first job's ID.

        With `connection` they are recorded in the caller's transaction and not enqueued.
        """
        for workspace in {job.workspace for job in jobs}:
            await self._listen_to(workspace)
        if connection is not None:
            return await self._ledger.submit(
                jobs, connection=connection, index_after=timedelta(seconds=0)
            )
        earlier = await self._ledger.submit(jobs)
        await self.enqueue(jobs, earlier)
        return earlier

    async def enqueue(
        self, placed: Sequence[NewJob], earlier: Collection[UUID] = frozenset()
    ) -> None:
        """Put one recorded batch into the index, but for `earlier`; see `Penstock.enqueue`."""
        try:
            await self._broker.push(job for job in placed if job.job_id not in earlier)
        except REDIS_AWAY as error:  # recorded all the same
            logger.warning("submit.index_later", extra={"jobs": len(placed), "reason": str(error)})
        else:
            self._indexed.append(min(job.job_id for job in placed))
            self._index_seen.set()

    async def _mark(self) -> None:
        """Tell the record, off the submit's path, which submits the steward may forget."""
        await self._index_seen.wait()
        self._index_seen.clear()
        await self._mark_now()

    async def _mark_now(self) -> None:
        done, self._indexed = self._indexed, []
        if done:
            await self._ledger.mark_indexed(done)
