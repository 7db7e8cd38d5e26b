"""Ends of jobs by somebody else than their worker: keeps their results, tells who awaits them.

A cancelled job ends so, and one whose deadline passed or that waited for too long. If a call runs
for it all the same, it is counted as what it may have cost, and its worker is told to stop it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from arq.connections import ArqRedis

from penstock_client.entries import pack_fence
from penstock_client.ledger import Ledger, StandingJob, standing_job
from penstock_client.scripts import Argument, client_script
from penstock_client.spent import Spent
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.keys import ProviderKeys, done_channel
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, JobState

#: Results stay in Redis this long; Postgres has them for good.
RESULT_TTL_S = 120
#: Jobs told of in one script call.
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that ended, as it stood before, and its result."""

    job: StandingJob
    result: Result


def ended(
    row: Any, *, state: JobState, kind: ErrorKind, message: str, spent: str | None = None
) -> Ended:
    """The end of a job, from its row, with what its calls cost.

    `spent` is what they used, where that is known better than by the row.
    """
    now = datetime.now(UTC)
    before = Spent.decode(row["spent"])
    used = Spent.decode(spent) if spent is not None else before
    info = ErrorInfo(
        kind=kind, message=before.told(message), provider=row["provider"], model=row["model"]
    )
    result = Result(
        job_id=JobId(str(row["id"])),
        workspace=WorkspaceId(row["workspace"]),
        status=state,
        usage=used.usage,
        cost_usd=used.cost_usd,
        provider=row["provider"],
        model=row["model"],
        attempts=row["attempts"],
        duration_ms=max(0, int((now - row["created_at"]).total_seconds() * 1000)),
        finished_at=now,
        error=info,
    )
    return Ended(standing_job(row), result)


async def keep(ledger: Ledger, ends: Sequence[Ended], *, connection: Any) -> None:
    """Keep the results, in the transaction that ends the jobs."""
    await ledger.fetch(
        "keep_answers",
        [end.job.job_id for end in ends],
        [0] * len(ends),
        [end.result.encode() for end in ends],
        connection=connection,
    )


async def end_jobs(
    ledger: Ledger,
    query: str,
    *args: Any,
    state: JobState,
    kind: ErrorKind,
    message: Callable[[Any], str],
) -> list[Ended]:
    """End the jobs that a query ends, close their calls and keep their results, or nothing of it.

    Raises as asyncpg does.
    """
    acquired = ledger.pool.acquire(timeout=ledger.deadline_s)
    async with acquired as connection, connection.transaction():
        rows = await ledger.fetch(query, *args, connection=connection)
        if not rows:
            return []
        ids = [row["id"] for row in rows]
        used = await ledger.fetch("close_calls", ids, connection=connection)
        spent: dict[Any, str] = {row["job_id"]: row["spent"] for row in used}
        ends = [
            ended(row, state=state, kind=kind, message=message(row), spent=spent.get(row["id"]))
            for row in rows
        ]
        await keep(ledger, ends, connection=connection)
    return ends


async def tell(redis: ArqRedis, ends: Sequence[Ended]) -> None:
    """Take jobs out of the queue, have their calls stopped, cache results, tell who awaits them.

    Safe to repeat. Raises redis errors.
    """
    script = client_script("ended")
    by_provider: defaultdict[str, list[Ended]] = defaultdict(list)
    for end in ends:
        by_provider[end.job.provider].append(end)
    for provider, group in by_provider.items():
        for first in range(0, len(group), _CHUNK):
            args: list[Argument] = [RESULT_TTL_S, provider]
            for end in group[first : first + _CHUNK]:
                args += _told(end)
            await script(redis, ProviderKeys(provider).epoch, args)


def _told(end: Ended) -> tuple[Argument, ...]:
    job, workspace = end.job, end.result.workspace
    token = b"" if job.fence is None else pack_fence(job.fence)
    channel = done_channel(workspace)
    return (job.entry.pack(), job.flow.name, token, str(job.job_id), channel, end.result.encode())
