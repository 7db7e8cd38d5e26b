"""Ends of jobs that nobody runs: the result that is kept for them, and telling who awaits it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from penstock_client.entries import Entry, Flow
from penstock_client.ledger import Ledger
from penstock_schemas.ids import Fence, JobId, WorkspaceId
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import ErrorKind, JobState
from penstock_worker.admission.index import Done
from penstock_worker.attempts import Spent
from penstock_worker.leases import Lease
from penstock_worker.reconcile import IndexOf

#: Jobs told of in one script call.
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that ended where it waited, and its result."""

    job_id: UUID
    provider: str
    model: str
    result: Result


def ended(row: Any, *, state: JobState, kind: ErrorKind, message: str) -> Ended:
    """The end of a job, from its row, with the cost of its earlier attempts."""
    now = datetime.now(UTC)
    spent = Spent.decode(row["spent"])
    info = ErrorInfo(
        kind=kind, message=spent.told(message), provider=row["provider"], model=row["model"]
    )
    result = Result(
        job_id=JobId(str(row["id"])),
        workspace=WorkspaceId(row["workspace"]),
        status=state,
        usage=spent.usage,
        cost_usd=spent.cost_usd,
        provider=row["provider"],
        model=row["model"],
        attempts=row["attempts"],
        duration_ms=max(0, int((now - row["created_at"]).total_seconds() * 1000)),
        finished_at=now,
        error=info,
    )
    return Ended(row["id"], row["provider"], row["model"], result)


async def keep(ledger: Ledger, ends: Sequence[Ended], *, connection: Any) -> None:
    """Keep the results, in the transaction that ends the jobs."""
    await ledger.fetch(
        "keep_answers",
        [end.job_id for end in ends],
        [0] * len(ends),
        [end.result.encode() for end in ends],
        connection=connection,
    )


async def tell(index_of: IndexOf, ends: Sequence[Ended]) -> None:
    """Cache the results and tell who awaits them."""
    by_provider: defaultdict[str, list[Done]] = defaultdict(list)
    for end in ends:
        workspace = end.result.workspace
        lease = nominal_lease(end.job_id, 0, workspace, end.model)
        by_provider[end.provider].append(Done(lease, workspace, end.result.encode()))
    for provider, releases in by_provider.items():
        for first in range(0, len(releases), _CHUNK):
            await index_of(provider).release(releases[first : first + _CHUNK])


def nominal_lease(job_id: UUID, fence: int, workspace: str, model: str) -> Lease:
    """A lease to give back in somebody else's name; only its ID and token count."""
    entry = Entry(job_id, 0, 0)
    return Lease(job_id, Fence(fence), entry, Flow(workspace, 0, model), None, "", 0.0)
