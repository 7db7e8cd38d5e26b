"""Budgets where they are decided: reserved when attempts are opened, settled to what was used."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.pricing import UNPRICED, TokenPrices
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import Usage
from penstock_worker.attempts import Attempt, Opened, open_attempts, settle
from tests.ledger.making import MODEL, PROVIDER, attempt_rows, lease_of, new_jobs, settlement_of

#: A dollar for a token in, two for a token out.
PRICES = TokenPrices(Decimal(1), Decimal(2))


async def _budget(db: asyncpg.Connection, tokens: int | None, **columns: Any) -> None:
    await db.execute("update penstock.llm_configs set default_token_budget = $1", tokens)
    for name, value in columns.items():
        table = "llm_configurations" if name.endswith(("usd", "unpriced")) else "llm_configs"
        await db.execute(f"update penstock.{table} set {name} = $1", value)


async def _open(
    ledger: Ledger,
    jobs: Sequence[NewJob],
    *,
    fence: int = 1,
    lapsed: int | None = None,
    prices: TokenPrices = PRICES,
    likely: tuple[int, int] | None = None,
) -> Opened:
    leases = [lease_of(job, fence, lapsed=lapsed) for job in jobs]
    for lease in leases:
        lease.likely = likely
    return await open_attempts(
        ledger, leases, provider=PROVIDER, worker="w", prices={MODEL: prices}
    )


async def _jobs(ledger: Ledger, count: int, **changes: Any) -> list[NewJob]:
    jobs = new_jobs(count, **changes)
    await ledger.submit(jobs)
    return jobs


async def _held(db: asyncpg.Connection) -> tuple[int, int, Decimal]:
    """Tokens used and held, and money held."""
    row = await db.fetchrow(
        "select tokens_used_this_month, tokens_held, usd_held from penstock.llm_configs "
        "join penstock.llm_configurations using (workspace_id)"
    )
    assert row is not None
    return row[0], row[1], row[2]


def _lacking(attempts: Sequence[Attempt]) -> list[str | None]:
    return [attempt.lacks for attempt in attempts]


async def test_open_reserves_what_a_job_is_likely_to_use(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 1000)
    jobs = await _jobs(ledger, 2, input_tokens=10, output_tokens=500)
    opened = await _open(ledger, jobs, likely=(20, 30))
    assert _lacking(opened.attempts) == [None, None]
    assert await _held(db) == (0, 100, Decimal(0))
    assert [(room.left, room.free) for room in opened.rooms] == [(1000, 900)]


async def test_open_reserves_at_least_the_estimated_input(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 1000)  # a provider's count may leave out what it read from its cache
    await _open(ledger, await _jobs(ledger, 1, input_tokens=50), likely=(5, 5))
    assert (await _held(db))[1] == 55


async def test_hard_budget_reserves_the_most_that_a_job_can_use(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 100_000, budget_mode="hard")
    jobs = await _jobs(ledger, 1, input_tokens=10, output_tokens=500)
    (attempt,) = (await _open(ledger, jobs, likely=(20, 30))).attempts
    assert (await _held(db))[1] == (4 * 10 + 64) + 500
    assert (attempt.hold.output_cap, attempt.hold.is_short) == (500, False)


async def test_hard_budget_without_room_for_the_most_holds_answers_to_a_likely_length(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 400, budget_mode="hard")
    jobs = await _jobs(ledger, 1, input_tokens=10, output_tokens=500)
    (attempt,) = (await _open(ledger, jobs, likely=(20, 32))).attempts
    assert (attempt.lacks, attempt.hold.output_cap, attempt.hold.is_short) == (None, 56, True)
    assert (await _held(db))[1] == (4 * 10 + 64) + 32 * 5 // 4 + 16


async def test_job_without_room_waits_while_calls_under_way_may_give_some_back(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 100)
    first, second = await _jobs(ledger, 2, input_tokens=30, output_tokens=30)
    opened = await _open(ledger, [first, second])
    assert [attempt.job_id for attempt in opened.attempts] == [str(first.job_id)]
    assert [lease.job_id for lease in opened.postponed] == [second.job_id]
    await settle(ledger, [settlement_of(first)])
    assert await _held(db) == (10, 0, Decimal(0))
    assert len((await _open(ledger, [second], fence=2)).attempts) == 1


async def test_job_that_can_find_no_room_is_refused_without_a_reservation(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 100, tokens_used_this_month=95)
    opened = await _open(ledger, await _jobs(ledger, 1))
    assert _lacking(opened.attempts) == ["tokens"]
    assert await _held(db) == (95, 0, Decimal(0))


async def test_job_that_can_find_no_room_waits_where_the_workspace_says_so(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 100, tokens_used_this_month=95, on_budget="wait")
    opened = await _open(ledger, await _jobs(ledger, 1))
    assert (len(opened.attempts), len(opened.postponed)) == (0, 1)
    assert await db.fetchval("select count(*) from penstock.attempts") == 0


async def test_large_job_without_room_does_not_keep_a_small_one(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 100)
    (large,) = await _jobs(ledger, 1, input_tokens=500)
    (small,) = await _jobs(ledger, 1)
    opened = await _open(ledger, [large, small])
    assert {a.job_id: a.lacks for a in opened.attempts} == {
        str(large.job_id): "tokens",
        str(small.job_id): None,
    }


@pytest.mark.parametrize("budget", ["daily_usd", "monthly_usd"])
async def test_money_is_reserved_and_settled_to_the_actual_cost(
    ledger: Ledger, db: asyncpg.Connection, budget: str
) -> None:
    await _budget(db, None, **{budget: Decimal(30)})  # a job of 10 + 5 tokens costs 20
    first, second, third = await _jobs(ledger, 3)
    opened = await _open(ledger, [first, second])
    assert (len(opened.attempts), len(opened.postponed)) == (1, 1)
    assert (await _held(db))[2] == Decimal(20)
    await settle(ledger, [settlement_of(first, cost_usd=Decimal(12))])
    assert (await _held(db))[2] == Decimal(0)
    spent = await db.fetchrow("select usd_today, usd_this_month from penstock.llm_configurations")
    assert spent is not None and tuple(spent) == (Decimal(12), Decimal(12))
    assert _lacking((await _open(ledger, [third], fence=3)).attempts) == [budget]


async def test_model_without_a_price_is_refused_under_a_money_budget_unless_allowed(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, None, daily_usd=Decimal(30))
    first, second = await _jobs(ledger, 2)
    assert _lacking((await _open(ledger, [first], prices=UNPRICED)).attempts) == ["price"]
    await _budget(db, None, allow_unpriced=True)
    assert _lacking((await _open(ledger, [second], prices=UNPRICED)).attempts) == [None]


@pytest.mark.parametrize(
    "state", [AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.RETURNED]
)
async def test_no_hold_remains_however_an_attempt_ends(
    ledger: Ledger, db: asyncpg.Connection, state: AttemptState
) -> None:
    await _budget(db, 1000, daily_usd=Decimal(1000))
    (job,) = await _jobs(ledger, 1)
    await _open(ledger, [job])
    assert await _held(db) == (0, 15, Decimal(20))
    kept: dict[str, Any] = {"attempt_state": state}
    if state is not AttemptState.SUCCEEDED:
        kept |= {"state": JobState.QUEUED, "result": None}
    await settle(ledger, [settlement_of(job, **kept)])
    await settle(ledger, [settlement_of(job, **kept)])  # again, after a lost connection
    used = 0 if state is AttemptState.RETURNED else 10
    assert await _held(db) == (used, 0, Decimal(0))


async def test_lost_call_counts_as_what_it_reserved_until_shown_otherwise(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 1000, daily_usd=Decimal(1000))
    (job,) = await _jobs(ledger, 1)
    await _open(ledger, [job])
    (second,) = (await _open(ledger, [job], fence=2, lapsed=1)).attempts
    assert second.spent.cost_usd == Decimal(20)
    assert await _held(db) == (15, 15, Decimal(20))
    # The first worker was alive after all and brings the answer.
    await settle(ledger, [settlement_of(job)])
    lost, _ = await attempt_rows(db, job)
    assert (lost["state"], lost["input_tokens"]) == (AttemptState.SUCCEEDED, 7)
    assert await _held(db) == (10, 15, Decimal(20))
    late: dict[str, Any] = {"attempt_state": AttemptState.RETURNED, "state": JobState.QUEUED}
    await settle(ledger, [settlement_of(job, number=2, fence=2, result=None, **late)])
    assert await _held(db) == (10, 0, Decimal(0))


async def test_answer_that_was_cut_off_is_given_room_for_one_twice_as_long(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 10_000)
    (job,) = await _jobs(ledger, 1, output_tokens=100)
    await _open(ledger, [job], likely=(10, 20))
    cut: dict[str, Any] = {"attempt_state": AttemptState.FAILED, "error_kind": ErrorKind.LENGTH}
    await settle(ledger, [settlement_of(job, state=JobState.QUEUED, result=None, **cut)])
    (again,) = (await _open(ledger, [job], fence=2, likely=(10, 20))).attempts
    assert again.hold.output_tokens == 200


async def test_budget_starts_again_when_its_month_is_over(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 100, tokens_used_this_month=100, time_zone="Pacific/Auckland")
    await db.execute("update penstock.llm_configs set budget_reset_at = now() - interval '1 s'")
    (job,) = await _jobs(ledger, 1)
    assert _lacking((await _open(ledger, [job])).attempts) == [None]
    await settle(ledger, [settlement_of(job)])
    row = await db.fetchrow(
        "select tokens_used_this_month, budget_reset_at at time zone time_zone "
        "from penstock.llm_configs"
    )
    assert row is not None
    used, resets = row
    assert used == 10
    assert (resets.day, resets.hour, resets.minute) == (1, 0, 0)


async def test_tests_of_keys_draw_on_no_budget(ledger: Ledger, db: asyncpg.Connection) -> None:
    await _budget(db, 1, daily_usd=Decimal(0))
    jobs = await _jobs(ledger, 1, configuration="key-check")
    assert _lacking((await _open(ledger, jobs)).attempts) == [None]
    assert (await _held(db))[1:] == (0, Decimal(0))


async def test_claims_at_the_same_time_never_reserve_more_than_there_is(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 15 * 30)
    claims = [await _jobs(ledger, 10) for _ in range(8)]
    opened = await asyncio.gather(
        *(_open(ledger, jobs, fence=at) for at, jobs in enumerate(claims, 1))
    )
    assert sum(len(claim.attempts) for claim in opened) == 30
    assert (await _held(db))[1] == 15 * 30


async def test_usage_by_the_hour_adds_up_with_the_attempts(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    jobs = await _jobs(ledger, 3, skill="s")
    await _open(ledger, jobs)
    await settle(ledger, [settlement_of(jobs[0]), settlement_of(jobs[1], cost_usd=None)])
    await _open(ledger, [jobs[2]], fence=2, lapsed=1)
    row = await db.fetchrow("select * from penstock.usage_hours where skill = 's'")
    assert row is not None
    assert (row["calls"], row["succeeded"], row["abandoned"], row["unpriced"]) == (3, 2, 1, 1)
    assert (row["input_tokens"], row["cost_usd"]) == (7 + 7 + 10, Decimal("20.01"))
    used = Usage(input_tokens=70)
    await settle(ledger, [settlement_of(jobs[2], usage=used, cost_usd=Decimal(1))])
    row = await db.fetchrow("select * from penstock.usage_hours where skill = 's'")
    assert row is not None
    assert (row["calls"], row["succeeded"], row["abandoned"]) == (3, 3, 0)
    assert (row["input_tokens"], row["cost_usd"]) == (84, Decimal("1.01"))


async def test_lost_call_of_a_job_that_has_to_wait_gives_its_reservation_back(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await _budget(db, 40, tokens_used_this_month=10)
    lost, other = await _jobs(ledger, 2)
    await _open(ledger, [lost, other])
    # No room for a second try while the other runs: the job waits, free of its lost lease.
    opened = await _open(ledger, [lost], fence=2, lapsed=1)
    assert [lease.job_id for lease in opened.postponed] == [lost.job_id]
    assert await _held(db) == (25, 15, Decimal(0))
    await settle(ledger, [settlement_of(other, usage=Usage())])
    (again,) = (await _open(ledger, [lost], fence=3)).attempts
    assert (again.number, again.crashes, again.lacks) == (2, 1, None)
    assert again.spent.usage.total_tokens == 15
