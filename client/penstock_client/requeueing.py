"""Requeue: jobs that ended without an answer start again, as a new epoch of the same job.

Its ID, its idempotency key and its attempts stay; what the attempts cost goes on counting. Postgres
decides; the index follows here, or by the steward if this process does not live to do it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from penstock_client.broker import Broker
from penstock_client.connections import POSTGRES_AWAY, REDIS_AWAY
from penstock_client.ledger import Ledger, StandingJob, standing_job
from penstock_client.settings import DATABASE_VARIABLE
from penstock_schemas.errors import InvalidJob, Unavailable, UnknownJob
from penstock_schemas.ids import JobId
from penstock_schemas.keys import ProviderKeys
from penstock_schemas.status import ErrorKind, JobState

logger = logging.getLogger("penstock.client")

#: States from which a job may start again.
REQUEUEABLE = (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED)
#: Jobs of one statement.
REQUEUE_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJobs:
    """Which jobs of a workspace that ended without an answer: at most `limit`, oldest first.

    `state` is failed, cancelled or expired; `error` the kind of their last error; `since` when they
    ended at the earliest. None: any.
    """

    workspace: str
    state: JobState | None = None
    error: ErrorKind | None = None
    since: datetime | None = None
    limit: int = 1000


async def find_ended(ledger: Ledger, which: EndedJobs) -> list[JobId]:
    """Their IDs; raises InvalidJob for a state from which no job starts again."""
    if which.state not in {None, *REQUEUEABLE}:
        names = ", ".join(known.label for known in REQUEUEABLE)
        raise InvalidJob(f"state: only {names} jobs can be requeued", field="state")
    states = REQUEUEABLE if which.state is None else (which.state,)
    args = (which.workspace, states, which.error, which.since, which.limit)
    return [JobId(str(row["id"])) for row in await ledger.fetch_safely("ended_jobs", *args)]


async def requeue(
    ledger: Ledger, broker: Broker, job_ids: Sequence[UUID], *, skip_others: bool
) -> list[StandingJob]:
    """Start jobs again; those of one call all start or, without `skip_others`, none does.

    With `skip_others` jobs that cannot start again are left out. Raises UnknownJob, InvalidJob, and
    Unavailable when it is not known whether they start.
    """
    wanted = list(dict.fromkeys(job_ids))
    try:
        rows = await _start_again(ledger, wanted, skip_others=skip_others)
    except POSTGRES_AWAY as error:
        detail = str(error) or type(error).__name__
        raise Unavailable("Postgres", detail, variable=DATABASE_VARIABLE) from None
    return await enqueue_again(ledger, broker, rows)


async def enqueue_again(ledger: Ledger, broker: Broker, rows: Sequence[Any]) -> list[StandingJob]:
    """Index jobs that start again, from the rows of `requeue`, once that is committed."""
    jobs = [standing_job(row) for row in rows]
    try:
        await _forget_results(broker, rows)
        await broker.push(jobs)
    except REDIS_AWAY as error:  # recorded all the same
        logger.warning("requeue.index_later", extra={"jobs": len(jobs), "reason": str(error)})
        return jobs
    with contextlib.suppress(*POSTGRES_AWAY):  # the steward looks at them, which changes nothing
        await ledger.mark_indexed([job.job_id for job in jobs])
    return jobs


async def _start_again(ledger: Ledger, wanted: list[UUID], *, skip_others: bool) -> list[Any]:
    rows: list[Any] = []
    acquired = ledger.pool.acquire(timeout=ledger.deadline_s)
    async with acquired as connection, connection.transaction():
        for first in range(0, len(wanted), REQUEUE_CHUNK):
            chunk = wanted[first : first + REQUEUE_CHUNK]
            rows += await ledger.fetch("requeue", chunk, connection=connection)
        if len(rows) < len(wanted) and not skip_others:
            started = {row["id"] for row in rows}
            left = [job_id for job_id in wanted if job_id not in started]
            raise _refusal(left, await ledger.results(left[:REQUEUE_CHUNK]))
    return rows


async def _forget_results(broker: Broker, rows: Sequence[Any]) -> None:
    """Forget the cached results of the jobs' earlier ends."""
    names = [
        ProviderKeys(provider).result(str(row["id"]))
        for row in rows
        for provider in {row["was_at"], row["provider"]}
    ]
    pipeline: Any = cast("Any", broker.redis).pipeline(transaction=False)
    async with pipeline:
        for name in names:
            pipeline.unlink(name)
        await pipeline.execute()


def _refusal(left: Sequence[UUID], found: dict[UUID, tuple[JobState, Any, Any]]) -> Exception:
    """Why the first of these jobs cannot start again, and how many there are."""
    job_id = left[0]
    if job_id not in found:
        return UnknownJob(JobId(str(job_id)))
    state = found[job_id][0]
    if state is JobState.SUCCEEDED:
        why = "succeeded and cannot be requeued"
    elif not state.is_terminal:
        why = f"is {state.label}: only a job that has ended can be requeued"
    else:
        why = "cannot be requeued: what was asked is no longer kept"
    more = f" ({len(left) - 1} more cannot either)" if len(left) > 1 else ""
    return InvalidJob(f"job {job_id} {why}{more}; nothing was requeued", field="job_id")
