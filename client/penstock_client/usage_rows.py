"""What `penstock.usage` gives and takes, as frozen values, and how filters reach its queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from penstock_schemas.errors import InvalidJob

#: By what usage can be told apart, from the coarsest on.
TIMES: Final = ("day", "hour")
TAGS: Final = (
    "configuration",
    "capability",
    "skill",
    "step",
    "agent",
    "task_type",
    "provider",
    "model",
)
DIMENSIONS: Final = (*TIMES, *TAGS)
#: What became of a call.
STATUSES: Final = ("success", "error", "timeout", "retry", "abandoned")
#: What calls can be chosen by; the order is that of the queries' parameters.
CALL_FILTERS: Final = (*TAGS, "status", "session")

Where = Mapping[str, str | Sequence[str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """Usage of one group of calls; `group` has the columns that were asked for, '' for no tag.

    `input_tokens` contain those of the cache, `output_tokens` those of reasoning. `cost_usd` sums
    up the calls whose price is known, None where no call's is; `unpriced` counts the others, whose
    cost comes on top. `abandoned` calls were lost and count as what they may have cost, `simulated`
    ones were answered by no real provider.
    """

    group: Mapping[str, str | date | datetime]
    calls: int
    succeeded: int
    failed: int
    abandoned: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal | None
    unpriced: int
    simulated: int
    duration_ms: int

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    @property
    def mean_duration_ms(self) -> float:
        """How long a call took, in ms."""
        return self.duration_ms / self.calls if self.calls else 0.0

    def as_data(self) -> dict[str, Any]:
        """Its group and its figures, flat, for JSON and CSV."""
        figures = {name: value for name, value in asdict(self).items() if name != "group"}
        figures["total_tokens"] = self.total_tokens
        figures["mean_duration_ms"] = round(self.mean_duration_ms, 1)
        return {**self.group, **figures}


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyBudget:
    """What one configuration may spend, and has spent, in dollars; a budget of None is none."""

    configuration: str
    daily_usd: Decimal | None
    monthly_usd: Decimal | None
    used_today_usd: Decimal
    used_this_month_usd: Decimal
    held_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthUsage:
    """A workspace's month, by its own clock.

    `tokens_used` is what the budget counts, calls included that may have been paid; `tokens_held`
    is reserved by calls under way. `token_budget` and `tokens_remaining` are None without bounds.
    `total` and `skills` sum up the calls that began this month.
    """

    workspace: str
    time_zone: str
    began_at: datetime
    resets_at: datetime
    tokens_used: int
    tokens_held: int
    token_budget: int | None
    tokens_remaining: int | None
    budget_mode: str
    on_budget: str
    total: UsageRow
    skills: tuple[UsageRow, ...]
    money: tuple[MoneyBudget, ...]

    def as_data(self) -> dict[str, Any]:
        """All of it, for JSON."""
        plain = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in {"total", "skills", "money"}
        }
        return {
            **plain,
            "total": self.total.as_data(),
            "skills": [row.as_data() for row in self.skills],
            "money": [asdict(budget) for budget in self.money],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One call. `status` is `success`, `timeout`, `abandoned` (its answer was lost, it may have
    been paid), `retry` (it failed and the job went on) or `error` (the job ended with it).

    `cost_usd` None is not known, which is not free. `error` is its meaning, `error_message` what
    was said, as long as the workspace keeps that.
    """

    job_id: str
    number: int
    started_at: datetime
    finished_at: datetime | None
    status: str
    provider: str
    model: str
    configuration: str
    credential: str
    capability: str
    skill: str | None
    step: str | None
    agent: str | None
    task_type: str | None
    task_description: str | None
    session: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_usd: Decimal | None
    simulated: bool
    duration_ms: int | None
    http_status: int | None
    finish_reason: str | None
    error: str | None
    error_code: str | None
    error_message: str | None

    def as_data(self) -> dict[str, Any]:
        """Its fields, for JSON and CSV."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some calls, and what to give as `before` for those that come after them; None: no more."""

    calls: tuple[CallRow, ...]
    next: str | None


def usage_row(record: Any, by: Sequence[str]) -> UsageRow:
    """A row of the query `usage_summary`."""
    fields: dict[str, Any] = dict(record)
    columns = {name: fields.pop(name) for name in DIMENSIONS}
    if fields["unpriced"] == fields["calls"]:
        fields["cost_usd"] = None
    return UsageRow(group={name: columns[name] for name in by}, **fields)


def call_row(record: Any) -> CallRow:
    """A row of the queries of calls."""
    fields: dict[str, Any] = dict(record)
    fields["job_id"] = str(fields["job_id"])
    fields["session"] = fields.pop("session_key")
    fields["error"] = fields.pop("error_kind")
    return CallRow(**fields)


def added_up(rows: Sequence[UsageRow]) -> UsageRow:
    """All rows as one, without a group."""
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    sums = {
        name: sum(getattr(row, name) for row in rows)
        for name in UsageRow.__slots__
        if name not in {"group", "cost_usd"}
    }
    none_known = bool(rows) and not known
    return UsageRow(group={}, cost_usd=None if none_known else sum(known, Decimal(0)), **sums)


def checked_by(by: Sequence[str]) -> tuple[str, ...]:
    """What to tell apart, in the order of `DIMENSIONS`; raises InvalidJob for anything else."""
    unknown = [name for name in by if name not in DIMENSIONS]
    if unknown:
        raise InvalidJob(f"by: {unknown[0]!r} is not one of {', '.join(DIMENSIONS)}", field="by")
    return tuple(name for name in DIMENSIONS if name in by)


def filters(where: Where | None, names: Sequence[str]) -> list[list[str] | None]:
    """A query's arguments for what was asked for, in the order of `names`.

    None and '' stand for calls without that tag, no values for all calls. Raises InvalidJob for a
    name that is not there.
    """
    asked = dict(where or {})
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise InvalidJob(
            f"where: {unknown[0]!r} is not one of {', '.join(names)}", field=str(unknown[0])
        )
    found = {name: _values(value) for name, value in asked.items()}
    strange = [status for status in found.get("status", ()) if status not in STATUSES]
    if strange:
        raise InvalidJob(
            f"status: {strange[0]!r} is not one of {', '.join(STATUSES)}", field="status"
        )
    if any("\0" in value for values in found.values() for value in values):
        raise InvalidJob("where: a value with a NUL character cannot be there", field="where")
    return [found.get(name) or None for name in names]


def _values(value: str | Sequence[str] | None) -> list[str]:
    if value is None or isinstance(value, str):
        return [value or ""]
    return list(value)
