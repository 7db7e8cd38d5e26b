"""Jobs as the ledger has them, for whoever shows them: one by its ID, or a workspace's by tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from penstock_client.ledger import Ledger
from penstock_schemas.errors import InvalidJob, UnknownJob
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.jobs import Envelope
from penstock_schemas.status import JobState, Lane
from penstock_schemas.unkept import unkept

#: What jobs can be chosen by, in the order of the query's parameters.
JOB_FILTERS: Final = (
    "capability",
    "skill",
    "step",
    "agent",
    "task_type",
    "provider",
    "model",
    "session_key",
    "configuration",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeen:
    """A job, wherever it stands; `lane` and `status` by their public names.

    `trace` is the W3C traceparent of its submit, where there was one and it was asked for.
    """

    job_id: JobId
    workspace: WorkspaceId
    status: str
    type: str
    capability: str
    configuration: str
    provider: str
    model: str
    lane: str
    attempts: int
    last_error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    skill: str | None
    step: str | None
    agent: str | None
    task_type: str | None
    session_key: str | None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class JobFound:
    """A job, and its encoded result once it has ended."""

    job: JobSeen
    body: bytes | None


async def read_job(ledger: Ledger, job_id: JobId) -> JobFound:
    """One job; raises UnknownJob, Unavailable."""
    rows = await ledger.fetch_safely("job", UUID(job_id))
    if not rows:
        raise UnknownJob(job_id)
    fields: dict[str, Any] = dict(rows[0].items())
    body: bytes | None = fields.pop("body")
    state = JobState(fields["state"])
    job = seen_job(fields)
    if body is None and state.is_terminal:
        body = unkept(job_id, job.workspace, state)
    return JobFound(job, body)


async def read_request(ledger: Ledger, job_id: JobId) -> Envelope | None:
    """What a job was asked, and the routes that it got; None where that is not kept, or not there.

    Also None for what a newer version wrote. Raises Unavailable.
    """
    rows = await ledger.fetch_safely("job_request", UUID(job_id))
    try:
        return Envelope.decode(rows[0]["body"]) if rows else None
    except ValueError:
        return None


async def find_jobs(
    ledger: Ledger,
    workspace: str,
    *,
    state: JobState | None = None,
    where: Mapping[str, str | None],
    before: str | None = None,
    limit: int = 50,
) -> Sequence[JobSeen]:
    """A workspace's jobs, newest first, that have these values of `JOB_FILTERS`; None is any.

    Page on with `before`, the last ID seen. Raises InvalidJob, Unavailable.
    """
    try:
        last = UUID(before) if before else None
    except ValueError:
        raise InvalidJob("before: is not a job ID", field="before") from None
    chosen = [where.get(name) for name in JOB_FILTERS]
    if any(value is not None and "\0" in value for value in chosen):
        raise InvalidJob("a value with a NUL character cannot be there")
    rows = await ledger.fetch_safely("find_jobs", workspace, last, limit, state, *chosen)
    return [seen_job(dict(row.items())) for row in rows]


def seen_job(fields: dict[str, Any]) -> JobSeen:
    job_id, lane = JobId(str(fields.pop("id"))), Lane(fields.pop("lane")).label
    status = JobState(fields.pop("state")).label
    return JobSeen(job_id=job_id, lane=lane, status=status, **fields)
