"""An attempt: one call to a provider, from the row that opens it to the settlement that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from penstock_client.ledger import Ledger
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.status import AttemptState, ErrorKind, FinishReason, JobState
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.leases import Lease
from penstock_worker.providers.protocol import Repair

#: Failed attempts of a job that are told of at most.
TRAIL = 20
_KINDS = frozenset(kind.value for kind in ErrorKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What earlier attempts of a job used, how they failed, and what the next one is told.

    `cost_usd` is None once one of them has no known price. `trail` has a few words for each of the
    last attempts that failed.
    """

    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = Decimal(0)
    repair: Repair | None = None
    trail: tuple[str, ...] = ()

    def encode(self) -> str:
        """As JSON, for the job's row."""
        cost = None if self.cost_usd is None else str(self.cost_usd)
        fields: dict[str, Any] = {"usage": self.usage.model_dump(), "cost_usd": cost}
        if self.repair is not None:
            fields["repair"] = self.repair
        if self.trail:
            fields["trail"] = self.trail
        return orjson.dumps(fields).decode()

    @classmethod
    def decode(cls, text: str | None) -> Spent:
        """Read a job's row; None is nothing spent."""
        if text is None:
            return cls()
        data: dict[str, Any] = orjson.loads(text)
        cost = data["cost_usd"]
        return cls(
            usage=Usage.model_validate(data["usage"]),
            cost_usd=None if cost is None else Decimal(cost),
            repair=Repair(**data["repair"]) if "repair" in data else None,
            trail=tuple(data.get("trail", ())),
        )

    def after(self, number: int, route: str, what: str) -> Spent:
        """With how one more attempt failed; only the last ones are kept."""
        return replace(self, trail=(*self.trail, f"{number} {route} {what}")[-TRAIL:])

    def told(self, message: str) -> str:
        """The reason why a job ended, with every attempt that failed before."""
        return f"{message} (attempts: {'; '.join(self.trail)})" if self.trail else message

    def plus(self, usage: Usage, cost_usd: Decimal | None) -> Spent:
        """With one more attempt."""
        if self.usage is NO_USAGE and self.cost_usd is not None:
            known = None if cost_usd is None else self.cost_usd + cost_usd
            return replace(self, usage=usage, cost_usd=known)
        total = None
        if self.cost_usd is not None and cost_usd is not None:
            total = self.cost_usd + cost_usd
        return replace(self, usage=self.usage + usage, cost_usd=total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An opened attempt: its row stands in Postgres, its request has not been sent.

    `tries` counts earlier attempts that were charged, `crashes` those whose worker was lost.
    """

    job_id: JobId
    lease: Lease
    number: int
    workspace: WorkspaceId
    provider: str
    model: str
    tries: int
    crashes: int
    created_at: datetime
    deadline: datetime | None
    last_error: ErrorKind | None
    spent: Spent
    body: bytes | None
    over_budget: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended and where its job goes on; `state` terminal comes with a `result`.

    `provider` and `model` are where the job stands afterwards. A settlement is all that is needed
    to settle: it can wait in Redis and be written by another process.
    """

    job_id: UUID
    number: int
    fence: int
    workspace: str
    attempt_state: AttemptState
    state: JobState
    provider: str
    model: str
    charge: bool = True
    wait_ms: int = 0
    duration_ms: int | None = None
    http_status: int | None = None
    finish_reason: FinishReason | None = None
    error_kind: ErrorKind | None = None
    error_code: str | None = None
    error_message: str | None = None
    usage: Usage = NO_USAGE
    cost_usd: Decimal | None = None
    simulated: bool = False
    spent: str | None = None
    result: bytes | None = None


async def open_attempts(
    ledger: Ledger,
    leases: Sequence[Lease],
    *,
    provider: str,
    worker: str,
    possible_cost: Sequence[Decimal | None],
) -> list[Attempt]:
    """Open the attempts of one claim in one statement; returns those that are ours to start.

    `possible_cost` is what the abandoned call of a lapsed lease may have cost, in USD.
    """
    rows = await ledger.fetch(
        "open_attempts",
        [lease.job_id for lease in leases],
        [lease.lapsed for lease in leases],
        [lease.entry.placement_version for lease in leases],
        possible_cost,
        leases[0].fence,
        provider,
        worker,
    )
    by_id = {lease.job_id: (lease, cost) for lease, cost in zip(leases, possible_cost, strict=True)}
    return [_attempt(row, *by_id[row["id"]], provider) for row in rows]


def estimated_usage(lease: Lease) -> Usage:
    """What a job's call is taken to have used when its answer is lost."""
    return Usage(
        input_tokens=lease.entry.input_tokens,
        output_tokens=lease.entry.output_tokens,
        estimated=True,
    )


def _kind(name: str | None) -> ErrorKind | None:
    """The kind of the last error; a name that a newer version wrote is as good as none."""
    return ErrorKind(name) if name in _KINDS else None


def _spent(row: Any, lease: Lease, possible_cost: Decimal | None) -> Spent:
    """What earlier attempts used, with the one that was abandoned just now."""
    spent = Spent.decode(row["spent"])
    if not row["lost_one"]:
        return spent
    lost = spent.after(row["number"] - 1, row["model"], "lost with its worker")
    return lost.plus(estimated_usage(lease), possible_cost)


def _attempt(row: Any, lease: Lease, possible_cost: Decimal | None, provider: str) -> Attempt:
    return Attempt(
        job_id=JobId(str(row["id"])),
        lease=lease,
        number=row["number"],
        workspace=row["workspace"],
        provider=provider,
        model=row["model"],
        tries=row["tries"],
        crashes=row["crashes"],
        created_at=row["created_at"],
        deadline=row["deadline"],
        last_error=_kind(row["last_error"]),
        spent=_spent(row, lease, possible_cost),
        body=row["body"],
        over_budget=row["over_budget"],
    )


async def settle(ledger: Ledger, group: Sequence[Settlement]) -> dict[UUID, int]:
    """Write a group of settlements of different jobs in one transaction; safe to repeat.

    Returns {job ID: placement version} of the jobs that took the decision.
    """
    rows = await ledger.fetch(
        "settle",
        [s.job_id for s in group],
        [s.number for s in group],
        [s.fence for s in group],
        [s.attempt_state for s in group],
        [s.duration_ms for s in group],
        [s.http_status for s in group],
        [s.finish_reason for s in group],
        [s.error_kind for s in group],
        [s.error_code for s in group],
        [s.error_message for s in group],
        [s.usage.input_tokens for s in group],
        [s.usage.output_tokens for s in group],
        [s.usage.cache_read_tokens for s in group],
        [s.usage.cache_write_tokens for s in group],
        [s.usage.reasoning_tokens for s in group],
        [s.usage.estimated for s in group],
        [s.cost_usd for s in group],
        [s.simulated for s in group],
        [s.state for s in group],
        [int(s.charge) for s in group],
        [s.wait_ms for s in group],
        [s.provider for s in group],
        [s.model for s in group],
        [s.spent for s in group],
        [s.result for s in group],
    )
    return {row["id"]: row["placement_version"] for row in rows}
