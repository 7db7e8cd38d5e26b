"""What the API shows of jobs; the shape of a result is `penstock_schemas.results.Result`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from penstock_client.explaining import JobExplanation
from penstock_client.gates import GateState
from penstock_client.index_state import LimitState
from penstock_schemas.jobs import Classify, Embed, Extract, Generate, Reason
from penstock_schemas.results import Result

#: Jobs of one request at most.
MOST_JOBS = 10_000
StateLabel = Literal[
    "queued", "deferred", "blocked", "running", "succeeded", "failed", "cancelled", "expired"
]


class View(BaseModel):
    """Something that is shown, read from the attributes of what the client gives."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class _JobFields(View):
    job_id: str
    workspace: str
    type: str
    capability: str
    configuration: str
    provider: str
    model: str
    lane: str
    attempts: int
    last_error: str | None = Field(description="The kind of the last attempt's error.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    skill: str | None
    step: str | None
    agent: str | None
    task_type: str | None
    session_key: str | None


class JobStatus(_JobFields):
    """A job, wherever it stands."""

    status: StateLabel


class Pending(_JobFields):
    """A job that has no result yet."""

    status: Literal["queued", "deferred", "blocked", "running"]


class JobPage(View):
    """Some jobs, and what to give as `before` for those that come after them; null: no more."""

    jobs: list[JobStatus]
    next: str | None


class Submitted(View):
    """A job that was recorded; with an idempotency key it may be the first job of that key."""

    job_id: str
    workspace: str
    status: Literal["queued"] = "queued"
    provider: str | None = Field(
        default=None, description="Where it was placed; null: an earlier submit placed it."
    )


class SubmittedMany(View):
    """Jobs that were recorded, in the order in which they came, and where each was placed.

    A provider of null: an earlier submit placed that job.
    """

    job_ids: list[str]
    providers: list[str | None]


class Jobs(BaseModel):
    """Many jobs; all of them are recorded, or none."""

    model_config = ConfigDict(extra="forbid")

    jobs: list[
        Annotated[Generate | Reason | Extract | Classify | Embed, Field(discriminator="type")]
    ] = Field(min_length=1, max_length=MOST_JOBS)


class JobIds(BaseModel):
    """The jobs that are asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_ids: tuple[str, ...] = Field(min_length=1, max_length=1000)


class Results(View):
    """The results that are there, and the IDs of jobs that have none yet or do not exist."""

    results: list[Result]
    pending: list[str]
    unknown: list[str]


class RequeueBody(JobIds):
    """The jobs to start again; with `skip_others` those that cannot be are left out."""

    skip_others: bool = False


class Requeued(View):
    """Jobs that were started again."""

    jobs: list[Submitted]


class Cancelled(View):
    """How a job has ended: `cancelled`, or as it had ended before."""

    job_id: str
    status: StateLabel


class CancelledMany(View):
    """How jobs have ended."""

    jobs: list[Cancelled]


class Attempt(View):
    """One call of a job; `cost_usd` null is not known, which is not free."""

    number: int
    state: str
    provider: str
    model: str
    worker: str
    started_at: datetime
    duration_ms: int | None
    error: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None


class Attempts(View):
    """The calls of a job, in order."""

    attempts: list[Attempt]


class LimitView(View):
    """A limit that keeps a job, and how it fares."""

    provider: str
    scope: str
    unit: str
    window_s: int
    amount: int
    source: str
    share: float
    used: int | None
    refused: int
    refused_at: datetime | None
    waiting: int


class GateView(View):
    """A breaker or credential that is not closed."""

    provider: str
    name: str
    state: str
    reason: str
    since: datetime | None
    tried_from: datetime
    probes: int
    waiting: int


class Explained(View):
    """Where a job stands and why; `why` is a sentence, `notes` are further ones."""

    job_id: str
    workspace: str
    status: StateLabel
    capability: str
    lane: str
    provider: str
    model: str
    why: str
    credential: str | None
    gate: str | None
    limit: LimitView | None
    shut: GateView | None
    until: datetime | None
    place: int | None
    queued: int | None
    estimated_start: datetime | None
    leased_until: datetime | None
    notes: list[str]
    routes: list[str]
    attempts: list[Attempt]
    cost_usd: Decimal | None


def explained(found: JobExplanation) -> Explained:
    """An explanation as it is shown."""
    names = Explained.model_fields.keys() - {"status", "limit", "shut", "attempts"}
    plain: dict[str, Any] = {name: getattr(found, name) for name in names}
    plain["status"] = found.state.label
    plain["attempts"] = [Attempt.model_validate(attempt) for attempt in found.attempts]
    plain["notes"], plain["routes"] = list(found.notes), list(found.routes)
    plain["limit"], plain["shut"] = _limit(found.limit), _gate(found.shut)
    return Explained(**plain)


def _limit(found: LimitState | None) -> LimitView | None:
    return None if found is None else LimitView.model_validate(found)


def _gate(found: GateState | None) -> GateView | None:
    return None if found is None else GateView.model_validate(found)
