"""Sums of usage: by what they can be told apart, whose days they go by, and that they add up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from penstock_client.ledger import Ledger
from penstock_client.usage import UsageReports
from penstock_client.usage_rows import DIMENSIONS
from penstock_schemas.errors import InvalidJob, UnknownWorkspace
from penstock_schemas.status import AttemptState, JobState
from penstock_worker.attempts import open_attempts, settle
from tests.ledger.making import PROVIDER, lease_of, new_job, new_jobs, settlement_of

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

_HOUR = {
    "workspace": "acme",
    "hour": NOON,
    "configuration": "default",
    "capability": "generate",
    "skill": "",
    "step": "",
    "agent": "",
    "task_type": "",
    "provider": "openai",
    "model": "gpt-test",
    "simulated": False,
    "calls": 1,
    "succeeded": 1,
    "failed": 0,
    "abandoned": 0,
    "input_tokens": 100,
    "output_tokens": 10,
    "cache_read_tokens": 40,
    "cache_write_tokens": 0,
    "reasoning_tokens": 0,
    "cost_usd": Decimal("0.5"),
    "unpriced": 0,
    "duration_ms": 1500,
}


class Hours:
    """`await hours(skill="a", calls=3)` adds a row of usage_hours."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self._db = db

    async def __call__(self, **changes: Any) -> None:
        row = {**_HOUR, **changes}
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        await self._db.execute(
            f"insert into penstock.usage_hours ({', '.join(row)}) values ({places})",
            *row.values(),
        )


@pytest.fixture
def hours(db: asyncpg.Connection) -> Hours:
    """Adds rows as settlements would have."""
    return Hours(db)


@pytest.fixture
async def usage(ledger: Ledger) -> UsageReports:
    """The reports of a ledger with the workspaces `acme` and `other`."""
    await ledger.create_workspace("other", routing={}, monthly_tokens=None)
    return UsageReports(ledger)


async def test_summary_without_columns_is_one_row_of_everything(
    usage: UsageReports, hours: Hours
) -> None:
    await hours(skill="a", calls=3, succeeded=2, failed=1)
    await hours(skill="b", abandoned=1, succeeded=0)
    (row,) = await usage.summary("acme")
    assert row.group == {}
    assert (row.calls, row.succeeded, row.failed, row.abandoned) == (4, 2, 1, 1)
    assert (row.input_tokens, row.output_tokens, row.cache_read_tokens) == (200, 20, 80)
    assert (row.cost_usd, row.total_tokens, row.mean_duration_ms) == (Decimal(1), 220, 750)


async def test_summary_of_nothing_has_no_rows(usage: UsageReports) -> None:
    assert await usage.summary("acme", by=("day",)) == []


@pytest.mark.parametrize("name", [name for name in DIMENSIONS if name not in {"day", "hour"}])
async def test_summary_tells_apart_what_was_named(
    usage: UsageReports, hours: Hours, name: str
) -> None:
    await hours(**{name: "this"}, cost_usd=Decimal(1))
    await hours(**{name: "that"}, cost_usd=Decimal(2))
    rows = await usage.summary("acme", by=(name,))
    assert [row.group for row in rows] == [{name: "that"}, {name: "this"}]  # the dearest first


async def test_summary_by_several_columns_is_in_order_of_time(
    usage: UsageReports, hours: Hours
) -> None:
    for day, skill in ((1, "b"), (0, "a"), (1, "a")):
        await hours(hour=NOON + timedelta(days=day), skill=skill)
    rows = await usage.summary("acme", by=("skill", "day"))
    first, second = date(2026, 3, 10), date(2026, 3, 11)
    assert [tuple(row.group.values()) for row in rows] == [
        (first, "a"),
        (second, "a"),
        (second, "b"),
    ]


async def test_days_are_those_of_the_workspace(
    usage: UsageReports, hours: Hours, db: asyncpg.Connection
) -> None:
    await db.execute(
        "update penstock.llm_configs set time_zone = 'Asia/Kolkata' where workspace_id = 'acme'"
    )
    await hours(hour=datetime(2026, 3, 10, 18, 30, tzinfo=UTC))  # midnight in Kolkata
    await hours(hour=datetime(2026, 3, 10, 17, 30, tzinfo=UTC))
    rows = await usage.summary("acme", by=("day",))
    assert [row.group["day"] for row in rows] == [date(2026, 3, 10), date(2026, 3, 11)]
    (together,) = await usage.summary(None, by=("day",))
    assert (together.group["day"], together.calls) == (date(2026, 3, 10), 2)


async def test_summary_takes_in_the_hours_that_overlap(usage: UsageReports, hours: Hours) -> None:
    for hour in range(4):
        await hours(hour=NOON + timedelta(hours=hour))
    since, until = NOON + timedelta(minutes=70), NOON + timedelta(minutes=130)
    rows = await usage.summary("acme", since, until, by=("hour",))
    assert [row.group["hour"] for row in rows] == [
        NOON + timedelta(hours=1),
        NOON + timedelta(hours=2),
    ]
    (whole,) = await usage.summary("acme", NOON, NOON + timedelta(hours=1))
    assert whole.calls == 1


async def test_summary_names_its_workspace(usage: UsageReports, hours: Hours) -> None:
    await hours(workspace="other", calls=5)
    await hours()
    assert [row.calls for row in await usage.summary("acme")] == [1]
    assert [row.calls for row in await usage.summary(None)] == [6]


async def test_summary_is_of_the_values_that_were_chosen(usage: UsageReports, hours: Hours) -> None:
    await hours(skill="a", provider="openai")
    await hours(skill="b", provider="anthropic", calls=2)
    await hours(skill="", calls=4)

    async def calls(**where: Any) -> int:
        return sum(row.calls for row in await usage.summary("acme", where=where))

    assert await calls(skill="a") == 1
    assert await calls(skill=["a", "b"]) == 3
    assert await calls(skill=None) == 4
    assert await calls(skill=[]) == 7
    assert await calls(model="anthropic/gpt-test") == 2
    assert await calls(model="gpt-test", provider="openai", skill="a") == 1
    assert await calls(skill="' or true --") == 0


async def test_unknown_prices_are_no_part_of_the_cost_and_are_counted(
    usage: UsageReports, hours: Hours
) -> None:
    await hours(skill="free", model="known", cost_usd=Decimal("1.2"))
    await hours(skill="free", calls=3, unpriced=3, cost_usd=Decimal(0))
    (row,) = await usage.summary("acme")
    assert (row.cost_usd, row.unpriced, row.calls) == (Decimal("1.2"), 3, 4)
    (unknown,) = await usage.summary("acme", where={"model": "gpt-test"})
    assert unknown.cost_usd is None


async def test_simulated_calls_are_counted_apart(usage: UsageReports, hours: Hours) -> None:
    await hours(simulated=True, calls=2)
    await hours()
    (row,) = await usage.summary("acme")
    assert (row.simulated, row.calls) == (2, 3)


async def test_settled_calls_are_in_the_sums(usage: UsageReports, ledger: Ledger) -> None:
    paid, unpriced, returned, running = jobs = new_jobs(4, skill="reading")
    await ledger.submit(jobs)
    leases = [lease_of(job, 1) for job in jobs]
    await open_attempts(ledger, leases, provider=PROVIDER, worker="w")
    unsent = settlement_of(
        returned, attempt_state=AttemptState.RETURNED, state=JobState.QUEUED, result=None
    )
    await settle(ledger, [settlement_of(paid), settlement_of(unpriced, cost_usd=None), unsent])
    (row,) = await usage.summary("acme", datetime.now(UTC) - timedelta(hours=1), by=("skill",))
    assert (row.group, row.calls, row.unpriced) == ({"skill": "reading"}, 2, 1)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (14, 6, Decimal("0.01"))
    await settle(ledger, [settlement_of(running)])
    assert [each.calls for each in await usage.summary("acme")] == [3]


async def test_month_tells_tokens_budget_and_skills(
    usage: UsageReports, ledger: Ledger, db: asyncpg.Connection
) -> None:
    await db.execute(
        "update penstock.llm_configs set default_token_budget = 1000, tokens_held = 50 "
        "where workspace_id = 'acme'"
    )
    job = new_job(skill="triage")
    await ledger.submit([job])
    await open_attempts(ledger, [lease_of(job, 1)], provider=PROVIDER, worker="w")
    await settle(ledger, [settlement_of(job)])
    month = await usage.month("acme")
    assert (month.tokens_used, month.token_budget) == (10, 1000)
    assert month.tokens_remaining == 1000 - 10 - month.tokens_held
    assert month.began_at <= datetime.now(UTC) < month.resets_at
    assert [(row.group["skill"], row.total_tokens) for row in month.skills] == [("triage", 10)]
    assert (month.total.calls, month.total.cost_usd) == (1, Decimal("0.01"))


async def test_month_of_an_unlimited_workspace_has_no_bounds(usage: UsageReports) -> None:
    month = await usage.month("acme")
    assert (month.token_budget, month.tokens_remaining) == (None, None)
    assert (month.total.calls, month.total.cost_usd, month.skills) == (0, Decimal(0), ())


async def test_month_leaves_out_what_was_before_it(usage: UsageReports, hours: Hours) -> None:
    began_at = (await usage.month("acme")).began_at
    await hours(hour=began_at - timedelta(hours=1), skill="last")
    await hours(hour=began_at, skill="this")
    month = await usage.month("acme")
    assert [row.group["skill"] for row in month.skills] == ["this"]


async def test_month_counts_anew_once_the_last_one_is_over(
    usage: UsageReports, db: asyncpg.Connection
) -> None:
    await db.execute(
        "update penstock.llm_configs set tokens_used_this_month = 77, default_token_budget = 100, "
        "budget_reset_at = now() - interval '1 second' where workspace_id = 'acme'"
    )
    month = await usage.month("acme")
    assert (month.tokens_used, month.tokens_remaining) == (0, 100)
    assert month.resets_at > datetime.now(UTC)


async def test_month_has_the_money_budgets(usage: UsageReports, db: asyncpg.Connection) -> None:
    await db.execute(
        "update penstock.llm_configurations set monthly_usd = 20, usd_this_month = 3, "
        "usd_held = 0.5 where workspace_id = 'acme'"
    )
    (money,) = (await usage.month("acme")).money
    assert (money.configuration, money.monthly_usd, money.daily_usd) == ("default", 20, None)
    assert (money.used_this_month_usd, money.held_usd) == (3, Decimal("0.5"))


@pytest.mark.parametrize("workspace", ["nowhere", "no such\0thing", ""])
async def test_unknown_workspaces_are_refused(usage: UsageReports, workspace: str) -> None:
    with pytest.raises(UnknownWorkspace):
        await usage.summary(workspace)
    with pytest.raises(UnknownWorkspace):
        await usage.month(workspace)


@pytest.mark.parametrize(
    "asked",
    [
        {"by": ("colour",)},
        {"where": {"day": "1"}},
        {"where": {"skill": "a\0"}},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001 - which is what is refused
        {"since": datetime(1, 1, 1, tzinfo=UTC)},
    ],
)
async def test_strange_questions_are_refused(usage: UsageReports, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob):
        await usage.summary("acme", **asked)


async def test_exported_sums_are_those_of_the_summary(usage: UsageReports, hours: Hours) -> None:
    for n in range(30):
        await hours(hour=NOON + timedelta(hours=n), skill=f"s{n % 3}")
    exported = [row async for row in usage.export_summary("acme", by=("hour", "skill"))]
    assert exported == await usage.summary("acme", by=("hour", "skill"))
    assert len(exported) == 30
