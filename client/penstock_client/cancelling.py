"""Cancel: jobs that have not ended end at once, and calls under way for them are stopped.

Postgres decides, and whoever awaits a job is told as soon as it has. The worker of a running job
learns it from the index within half a second, stops the call and closes its attempt; until then the
call counts as what it reserved. While Redis is away a job is cancelled all the same: who awaits it
finds out within seconds, its worker when it settles the call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from arq.connections import ArqRedis

from penstock_client.connections import POSTGRES_AWAY, REDIS_AWAY, persistently
from penstock_client.ending import Ended, end_jobs, tell
from penstock_client.ledger import Ledger, StandingJob, standing_job
from penstock_client.settings import DATABASE_VARIABLE
from penstock_schemas.errors import Unavailable, UnknownJob
from penstock_schemas.ids import JobId
from penstock_schemas.status import ErrorKind, JobState

logger = logging.getLogger("penstock.client")

#: Waiting jobs of one statement.
_CHUNK = 1000
#: How soon a job that somebody is changing is looked at again, in seconds.
_LOOK_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJobs:
    """Which jobs of a workspace that have not ended: at most `limit`, oldest first. None: any."""

    workspace: str
    state: JobState | None = None
    capability: str | None = None
    skill: str | None = None
    provider: str | None = None
    limit: int = 1000


async def find_live(ledger: Ledger, which: LiveJobs) -> list[JobId]:
    """Their IDs; raises Unavailable."""
    args = (which.workspace, which.state, which.capability, which.skill, which.provider)
    rows = await ledger.fetch_safely("live_of_workspace", *args, which.limit)
    return [JobId(str(row["id"])) for row in rows]


async def cancel(ledger: Ledger, redis: ArqRedis, job_ids: Sequence[UUID]) -> dict[UUID, JobState]:
    """Cancel jobs; returns the state in which each has ended, which it may have done before.

    Each job is cancelled by itself. Raises UnknownJob before anything is cancelled, and Unavailable
    when Postgres stays away. Idempotent.
    """
    wanted = list(dict.fromkeys(job_ids))
    standing = await _standing(ledger, wanted)
    for job_id in wanted:
        if job_id not in standing:
            raise UnknownJob(JobId(str(job_id)))
    states = {job_id: standing[job_id].state for job_id in wanted}
    waiting = [job.job_id for job in standing.values() if job.fence is None]
    for first in range(0, len(waiting), _CHUNK):
        ends = await _end(ledger, redis, waiting[first : first + _CHUNK], running=False)
        states |= {end.job.job_id: JobState.CANCELLED for end in ends}
    for job_id, state in states.items():
        if not state.is_terminal:
            states[job_id] = await _cancel_one(ledger, redis, job_id)
    return states


async def cancel_waiting(ledger: Ledger, redis: ArqRedis, job_ids: Sequence[UUID]) -> None:
    """Cancel those of these jobs that no worker runs; the others go on. Idempotent.

    Raises Unavailable when Postgres stays away.
    """
    for first in range(0, len(job_ids), _CHUNK):
        await _end(ledger, redis, job_ids[first : first + _CHUNK], running=False)


async def _cancel_one(ledger: Ledger, redis: ArqRedis, job_id: UUID) -> JobState:
    """Cancel a job that runs, or that somebody was changing."""
    try:
        async with asyncio.timeout(ledger.deadline_s):
            while True:
                if await _end(ledger, redis, [job_id], running=True):
                    return JobState.CANCELLED
                state = (await _standing(ledger, [job_id]))[job_id].state
                if state.is_terminal:
                    return state
                await asyncio.sleep(_LOOK_AGAIN_S)
    except TimeoutError:
        detail = f"job {job_id} was being changed all the time"
        raise Unavailable("Postgres", detail, variable=DATABASE_VARIABLE) from None


async def _end(
    ledger: Ledger, redis: ArqRedis, job_ids: Sequence[UUID], *, running: bool
) -> list[Ended]:
    """End those that can be ended now, and tell everybody."""

    async def end() -> list[Ended]:
        return await end_jobs(
            ledger,
            "cancel",
            job_ids,
            running,
            state=JobState.CANCELLED,
            kind=ErrorKind.CANCELLED,
            message=lambda _: "it was cancelled",
        )

    try:
        ends = await persistently(end, away=POSTGRES_AWAY, for_s=ledger.deadline_s)
    except POSTGRES_AWAY as error:
        detail = str(error) or type(error).__name__
        raise Unavailable("Postgres", detail, variable=DATABASE_VARIABLE) from None
    try:
        await tell(redis, ends)
    except REDIS_AWAY as error:
        logger.warning("cancel.told_later", extra={"jobs": len(ends), "reason": str(error)})
    return ends


async def _standing(ledger: Ledger, job_ids: Sequence[UUID]) -> dict[UUID, StandingJob]:
    rows = await ledger.fetch_safely("standing", job_ids)
    return {row["id"]: standing_job(row) for row in rows}
