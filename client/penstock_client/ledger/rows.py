"""What the ledger takes and gives, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from penstock_client.entries import Entry, Flow
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.status import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job as it is recorded and indexed: placed at the first of its routes."""

    job_id: UUID
    workspace: str
    type: str
    capability: str
    provider: str
    model: str
    lane: int
    max_attempts: int
    input_tokens: int
    output_tokens: int
    deadline: datetime | None
    idempotency_key: str | None
    skill: str | None
    step: str | None
    agent: str | None
    task_type: str | None
    body: bytes

    @property
    def flow(self) -> Flow:
        """The flow that it queues in."""
        return Flow(self.workspace, self.lane, self.model)

    @property
    def entry(self) -> Entry:
        """What the index holds of it."""
        return Entry(self.job_id, self.input_tokens, self.output_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingJob:
    """Where a job stands, as the index needs to know it; `wait_ms` until it may start."""

    job_id: UUID
    provider: str
    state: JobState
    fence: int | None
    flow: Flow
    entry: Entry
    wait_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceConfig:
    """A workspace's configuration. `monthly_tokens` None is unlimited."""

    workspace: WorkspaceId
    routing: dict[str, tuple[str, ...]]
    monthly_tokens: int | None
    tokens_used: int
    budget_resets_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job in a list."""

    job_id: JobId
    workspace: WorkspaceId
    type: str
    capability: str
    provider: str
    model: str
    state: JobState
    lane: int
    attempts: int
    last_error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    skill: str | None
    step: str | None
