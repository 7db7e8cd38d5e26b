"""Carries backfills: a duty of the steward. Several stewards share the work and do no harm.

A look takes the news of a backfill's jobs under the backfill's lock, notes and counts their ends,
and records the jobs of the next rows, all in one transaction. What a steward did not live to do
after its commit, such as indexing new jobs, the next one finds in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from penstock_client import Penstock
from penstock_client.backfill.service import stop_jobs
from penstock_client.ledger import NewJob
from penstock_schemas.backfills import BackfillState
from penstock_worker.backfills.asking import ask
from penstock_worker.backfills.counting import Noted, count
from penstock_worker.backfills.standing import Standing

logger = logging.getLogger("penstock.steward")

#: How often it looks for news, in seconds.
FEED_S: Final = 0.1
#: Backfills of one turn, and of them at the same time.
_BACKFILLS, _AT_ONCE = 64, 3
#: News of one look, and looks at one backfill in a row while there is more.
_NEWS, _LOOKS = 2000, 10


class Feeder:
    """Carries backfills on, by `turn`, on a client of its own."""

    def __init__(self, penstock: Penstock) -> None:
        self._penstock = penstock
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def turn(self) -> None:
        """One look at all that have news or room for more. Raises as asyncpg and redis do."""
        rows = await self._penstock.ledger.fetch("backfill_due", _BACKFILLS)
        known = [row["id"] for row in rows]
        ends = await asyncio.gather(*map(self._carry, known), return_exceptions=True)
        for backfill, error in zip(known, ends, strict=True):
            if isinstance(error, BaseException):
                told = {"backfill_id": str(backfill)}
                logger.error("backfill.not_fed", extra=told, exc_info=error)

    async def _carry(self, backfill: UUID) -> None:
        async with self._slots:
            for _ in range(_LOOKS):
                placed, state, more = await self._look(backfill)
                if placed:
                    await self._penstock.enqueue(placed)
                if state is BackfillState.CANCELLED:
                    await stop_jobs(self._penstock, backfill)
                if not more:
                    return

    async def _look(self, backfill: UUID) -> tuple[Sequence[NewJob], BackfillState | None, bool]:
        """One look: the jobs it recorded, the state, and whether another look finds more.

        Nothing while another steward has the backfill.
        """
        ledger = self._penstock.ledger
        acquired = ledger.pool.acquire(timeout=ledger.deadline_s)
        async with acquired as connection, connection.transaction():
            rows = await ledger.fetch("backfill_take", backfill, connection=connection)
            if not rows:
                return (), None, False
            standing = Standing.of(rows[0])
            before = standing.columns()
            news = await ledger.fetch("run_take_news", backfill, _NEWS, connection=connection)
            if news:
                await self._count(connection, standing, [row["subject"] for row in news])
                standing.check_errors()
            placed: Sequence[NewJob] = ()
            if standing.state is BackfillState.RUNNING:
                if not standing.recent.marks:
                    standing.recent = standing.recent.plus(time.time(), ended=0, failed=0)
                placed = (await ask(self._penstock, connection, standing)).placed
            standing.check_end()
            if standing.columns() != before:
                columns = standing.columns()
                await ledger.fetch("backfill_counts", *columns, connection=connection)
        if standing.state is not BackfillState(rows[0]["state"]):
            told = {"backfill_id": str(backfill), "state": standing.state.label}
            logger.info("backfill.state", extra=told)
        return placed, standing.state, len(news) == _NEWS or bool(placed)

    async def _count(self, connection: Any, standing: Standing, subjects: Sequence[UUID]) -> None:
        ledger, backfill = self._penstock.ledger, standing.backfill
        rows = await ledger.fetch("backfill_ends", backfill, subjects, connection=connection)
        noted = count(standing, rows, now_s=time.time())
        if noted.rows:
            await ledger.fetch(
                "backfill_note_rows", backfill, *_columns(noted), connection=connection
            )
        if noted.alone:
            await ledger.fetch("backfill_ask_alone", backfill, noted.alone, connection=connection)
        args = (backfill, noted.closed, noted.kept)
        await ledger.fetch("backfill_close_calls", *args, connection=connection)


def _columns(noted: Noted) -> list[list[Any]]:
    return [list(column) for column in zip(*noted.rows, strict=True)]
