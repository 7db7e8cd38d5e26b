"""Carries runs on: a duty of the steward. Several stewards share the work and do no harm.

Whatever ends a job of a run, or a call of a COMPUTE function, leaves news of it; a look takes them
under the run's lock and does all that follows in the same transaction. What a steward did not live
to do after its commit, such as indexing new jobs, the next one finds in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

from penstock_client import Penstock
from penstock_client.broker import Broker
from penstock_client.pipelines.options import RunOptions
from penstock_client.pipelines.rows import skill_of
from penstock_client.pipelines.stopping import stop_run
from penstock_client.requeueing import enqueue_again
from penstock_schemas.runs import RunState
from penstock_worker.pipelines.call_queue import CallQueue
from penstock_worker.pipelines.run_begin import Followed, LockedRun, Values
from penstock_worker.pipelines.run_look import Look

logger = logging.getLogger("penstock.steward")

#: How often it looks for news, in seconds.
ADVANCE_S = 0.05
#: Runs of one turn, and of them at the same time.
_RUNS = 64
_AT_ONCE = 4
#: Looks at one run in a row, while it has more to begin.
_LOOKS = 10
#: How often what waits is looked at without news, in seconds.
_SWEEP_S = 0.25
#: How long a run is left alone that could not be looked at, in seconds.
_REST_S = 5.0


class Advancer:
    """Carries runs on, by `turn`, on a client of its own."""

    def __init__(self, penstock: Penstock) -> None:
        self._penstock = penstock
        self._calls = CallQueue(penstock)
        self._values: dict[UUID, Values] = {}
        self._resting: dict[UUID, float] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._swept_at = 0.0

    async def turn(self) -> None:
        """One look at all that has news. Raises as asyncpg and redis do."""
        rows = await self._penstock.ledger.fetch("run_due", _RUNS)
        now = time.monotonic()
        self._resting = {run: until for run, until in self._resting.items() if until > now}
        runs = [row["id"] for row in rows if row["id"] not in self._resting]
        ends = await asyncio.gather(*map(self._advance, runs), return_exceptions=True)
        for run_id, error in zip(runs, ends, strict=True):
            if isinstance(error, BaseException):
                self._resting[run_id] = now + _REST_S
                logger.error("run.not_advanced", extra={"run_id": str(run_id)}, exc_info=error)
        if time.monotonic() >= self._swept_at + _SWEEP_S:
            self._swept_at = time.monotonic()
            await self._calls.offer_due()
            await self._stop_ended()

    async def _advance(self, run_id: UUID) -> None:
        async with self._slots:
            for _ in range(_LOOKS):
                followed = await self._look(run_id)
                if followed is None:
                    return
                await self._start(followed)
                if followed.ended is not None:
                    state = followed.ended.label
                    logger.info("run.ended", extra={"run_id": str(run_id), "state": state})
                if not followed.more:
                    return

    async def _look(self, run_id: UUID) -> Followed | None:
        """One look; None while another steward has the run."""
        ledger = self._penstock.ledger
        acquired = ledger.pool.acquire(timeout=ledger.deadline_s)
        async with acquired as connection, connection.transaction():
            rows = await ledger.fetch("run_lock", run_id, connection=connection)
            if not rows:
                return None
            run = _locked(rows[0])
            look = Look(self._penstock, connection, run, self._values.pop(run_id, None))
            followed = await look.follow()
            if followed.more:
                await ledger.fetch("run_tell", run_id, connection=connection)
        if followed.values is not None:
            self._values[run_id] = followed.values
        return followed

    async def _start(self, followed: Followed) -> None:
        """Start what was recorded; whatever is not done here the ledger still says."""
        if followed.started:
            await self._penstock.enqueue(followed.started)
        if followed.requeued:
            broker = Broker(self._penstock.redis)
            await enqueue_again(self._penstock.ledger, broker, followed.requeued)
        if followed.calls:
            await self._calls.offer_due()

    async def _stop_ended(self) -> None:
        """Cancel what runs had begun that have ended without it."""
        for row in await self._penstock.ledger.fetch("run_stopping", _RUNS):
            cancelled = RunState(row["state"]) is RunState.CANCELLED
            await stop_run(self._penstock, row["id"], running=cancelled)


def _locked(row: Any) -> LockedRun:
    return LockedRun(
        run_id=row["id"],
        workspace=row["workspace"],
        state=RunState(row["state"]),
        epoch=row["epoch"],
        options=RunOptions.model_validate_json(row["options"]),
        inputs=row["inputs"],
        trace=row["trace"],
        skill=skill_of(row["definition"]),
    )
