"""Bounds waits: a job that waited longer than `max_queue_wait_s` takes its next route, or fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

from arq.connections import ArqRedis

from penstock_client.ending import Ended, ended, keep, tell
from penstock_client.gates import described
from penstock_client.ledger import Ledger, StandingJob
from penstock_schemas.keys import ProviderKeys
from penstock_schemas.status import ErrorKind, JobState
from penstock_worker.diversion import Mover, Waiting, learn_routes
from penstock_worker.gates import Gates

logger = logging.getLogger("penstock.steward")

_PAGE = 500


class QueueWaits:
    """Looks for jobs that waited too long. Several may run: Postgres lets each job end once."""

    def __init__(self, redis: ArqRedis, ledger: Ledger, mover: Mover) -> None:
        self._redis = redis
        self._ledger = ledger
        self._mover = mover

    async def run(self) -> None:
        """One turn: all jobs whose wait is too long by now."""
        while rows := await self._ledger.fetch("overdue_waits", _PAGE):
            changed = await self._decide(Gates(self._redis), rows)
            if changed < len(rows):
                return  # the others were started or moved meanwhile, or there are no more

    async def _decide(self, gates: Gates, rows: Sequence[Any]) -> int:
        overdue = [(row, Waiting.read(row)) for row in rows]
        await learn_routes(gates, [waiting for _, waiting in overdue])
        moves: list[tuple[StandingJob, str]] = []
        late: list[tuple[Any, StandingJob]] = []
        for row, waiting in overdue:
            job = waiting.job
            route = gates.next_open(waiting.routes, job.provider, job.flow)
            if route is not None:
                moves.append((job, route))
            else:
                late.append((row, job))
        moved = await self._mover.move(moves)
        return len(moved) + await self._end(gates, late)

    async def _end(self, gates: Gates, late: Sequence[tuple[Any, StandingJob]]) -> int:
        if not late:
            return 0
        reasons = await self._reasons(gates, [job for _, job in late])
        async with self._ledger.pool.acquire() as connection, connection.transaction():
            taken = await self._ledger.fetch(
                "end_waiting",
                [job.job_id for _, job in late],
                [job.entry.placement_version for _, job in late],
                connection=connection,
            )
            ids = {row["id"] for row in taken}
            ends = [
                _too_late(row, reason)
                for (row, _), reason in zip(late, reasons, strict=True)
                if row["id"] in ids
            ]
            await keep(self._ledger, ends, connection=connection)
        await tell(self._redis, ends)
        await self._mover.forget([job for _, job in late if job.job_id in ids])
        logger.info("jobs.waited_too_long", extra={"jobs": len(ends)})
        return len(ends)

    async def _reasons(self, gates: Gates, jobs: Sequence[StandingJob]) -> list[str]:
        """What kept each job, as far as can be told."""
        pipeline: Any = cast("Any", self._redis).pipeline(transaction=False)
        async with pipeline:
            for job in jobs:
                pipeline.hget(f"{ProviderKeys(job.provider).base}at", job.flow.name)
            found: list[bytes | None] = await pipeline.execute()
        return [
            _reason(gate.decode() if gate else None, staffed=gates.staffed(job.provider))
            for job, gate in zip(jobs, found, strict=True)
        ]


def _reason(gate: str | None, *, staffed: bool) -> str:
    if gate is not None:
        return described(gate)
    return "the jobs before it" if staffed else "that no worker of this provider runs"


def _too_late(row: Any, reason: str) -> Ended:
    message = (
        f"it waited longer than its max_queue_wait_s of {row['max_queue_wait_s']:g} s for "
        f"{row['provider']}; it was kept by: {reason}"
    )
    return ended(row, state=JobState.FAILED, kind=ErrorKind.QUEUE_TIMEOUT, message=message)
