"""An attempt: one call to a provider, from the row that opens it to the settlement that ends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from penstock_client.ledger import Ledger
from penstock_client.spent import Spent
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.pricing import TokenPrices
from penstock_schemas.status import AttemptState, ErrorKind, FinishReason, JobState
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.leases import Lease

_KINDS = frozenset(kind.value for kind in ErrorKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What an attempt reserved: what its call may have used, should its answer be lost.

    `output_cap` bounds its answer where a hard budget counts on it; `is_short` where that is less
    than the job asked for. `cost_usd` is None where no budget is in money, or no price is known.
    """

    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None = None
    output_cap: int | None = None
    is_short: bool = False

    @property
    def usage(self) -> Usage:
        """The same as usage."""
        return Usage(
            input_tokens=self.input_tokens, output_tokens=self.output_tokens, estimated=True
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An opened attempt: its row stands in Postgres, its request has not been sent.

    `tries` counts earlier attempts that were charged, `crashes` those whose worker was lost.
    `lacks` names the budget that has no room for it: then it must not be sent. `sealed_key` is the
    workspace's own key, `credential` names whichever is used.
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
    hold: Hold
    lacks: str | None = None
    configuration: str = "default"
    credential: str = "platform"
    sealed_key: bytes | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a budget had left when a claim was opened, in tokens or USD.

    `configuration` is None for a workspace's tokens. `free` is what is not reserved either; below
    0 where more is used than the budget has. `waits`: jobs without room wait for it.
    """

    workspace: str
    configuration: str | None
    left: Decimal
    free: Decimal
    hard: bool
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What opening a claim came to.

    `postponed` are the leases of jobs that wait for room in a budget; `rooms` are the budgets
    that any of the jobs draw on, as they are with what these jobs reserve taken off.
    """

    attempts: tuple[Attempt, ...]
    postponed: tuple[Lease, ...] = ()
    rooms: tuple[Room, ...] = ()


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
    prices: Mapping[str, TokenPrices] | None = None,
) -> Opened:
    """Open the attempts of one claim in one statement, each with what it reserves.

    `prices` are those of the jobs' models; one that is not among them has none. A lease that is
    neither opened nor postponed is of a job that is not ours to start.
    """
    prices = prices or {}
    rows = await ledger.fetch(
        "open_attempts",
        [lease.job_id for lease in leases],
        [lease.lapsed for lease in leases],
        [lease.entry.placement_version for lease in leases],
        [lease.likely and lease.likely[0] for lease in leases],
        [lease.likely and lease.likely[1] for lease in leases],
        list(prices),
        [price.input_usd for price in prices.values()],
        [price.output_usd for price in prices.values()],
        leases[0].fence,
        provider,
        worker,
    )
    by_id = {lease.job_id: lease for lease in leases}
    return Opened(
        attempts=tuple(_attempt(row, by_id[row["id"]], provider) for row in rows if row["opened"]),
        postponed=tuple(by_id[row["id"]] for row in rows if not row["opened"]),
        rooms=tuple(_rooms(rows)),
    )


def _kind(name: str | None) -> ErrorKind | None:
    """The kind of the last error; a name that a newer version wrote is as good as none."""
    return ErrorKind(name) if name in _KINDS else None


def _spent(row: Any) -> Spent:
    """What earlier attempts used, with the one that was abandoned just now."""
    spent = Spent.decode(row["spent"])
    if not row["lost_one"]:
        return spent
    lost = spent.after(row["number"] - 1, row["model"], "lost with its worker")
    used = Usage(input_tokens=row["lost_input"], output_tokens=row["lost_output"], estimated=True)
    return lost.plus(used, row["lost_usd"])


def _attempt(row: Any, lease: Lease, provider: str) -> Attempt:
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
        spent=_spent(row),
        body=row["body"],
        hold=Hold(
            input_tokens=row["hold_input"],
            output_tokens=row["hold_output"],
            cost_usd=row["hold_usd"],
            output_cap=row["output_cap"],
            is_short=row["is_short"],
        ),
        lacks=row["lacks"],
        configuration=row["configuration"],
        credential=row["credential"],
        sealed_key=row["sealed"],
        trace=row["trace"],
    )


def _rooms(rows: Sequence[Any]) -> Iterator[Room]:
    """The budgets of a claim's jobs, each once, less what its jobs have reserved now."""
    tokens: dict[str, Decimal] = {}
    money: dict[tuple[str, str], Decimal] = {}
    budgets: dict[str, Any] = {}
    accounts: dict[tuple[str, str], Any] = {}
    for row in rows:
        workspace, account = row["workspace"], (row["workspace"], row["configuration"])
        held = row["opened"] and row["lacks"] is None
        if row["tokens_left"] is not None:
            budgets[workspace] = row
            taken = row["hold_input"] + row["hold_output"] if held else 0
            tokens[workspace] = tokens.get(workspace, Decimal()) + taken
        if row["usd_left"] is not None:
            accounts[account] = row
            cost = (row["hold_usd"] or Decimal()) if held else Decimal()
            money[account] = money.get(account, Decimal()) + cost
    for workspace, row in budgets.items():
        left, free = Decimal(row["tokens_left"]), row["tokens_free"] - tokens[workspace]
        yield _room(row, None, left, free)
    for (_, configuration), row in accounts.items():
        free = row["usd_free"] - money[row["workspace"], configuration]
        yield _room(row, configuration, row["usd_left"], free)


def _room(row: Any, configuration: str | None, left: Decimal, free: Decimal) -> Room:
    return Room(
        workspace=row["workspace"],
        configuration=configuration,
        left=left,
        free=free,
        hard=row["hard"],
        waits=row["may_wait"],
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
