"""Opening attempts: which jobs are ours to start, and what became of a lost holder's call."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.pricing import TokenPrices
from penstock_schemas.status import AttemptState, JobState
from penstock_worker.attempts import Attempt, open_attempts, settle
from penstock_worker.leases import Lease
from tests.ledger.making import (
    MODEL,
    PROVIDER,
    attempt_rows,
    lease_of,
    new_job,
    new_jobs,
    row,
    settlement_of,
    tokens_used,
)


async def _open(ledger: Ledger, *leases: Lease, cost: str = "0.25") -> Sequence[Attempt]:
    """Open with prices by which each of these jobs, of 10 and 5 tokens, costs so much."""
    prices = {MODEL: TokenPrices(Decimal(cost) / 10, Decimal(0))}
    opened = await open_attempts(ledger, leases, provider=PROVIDER, worker="w", prices=prices)
    return opened.attempts


@pytest.fixture
async def job(ledger: Ledger) -> NewJob:
    """A recorded job."""
    job = new_job(body=b"payload")
    await ledger.submit([job])
    return job


async def test_open_gives_payloads_and_leaves_a_row_for_each(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    jobs = new_jobs(5, body=b"payload")
    await ledger.submit(jobs)
    opened = await _open(ledger, *(lease_of(job, 1) for job in jobs))
    assert {(a.lease.job_id, a.number, a.body) for a in opened} == {
        (job.job_id, 1, b"payload") for job in jobs
    }
    for job in jobs:
        (attempt,) = await attempt_rows(db, job)
        assert (attempt["state"], attempt["fence"]) == (AttemptState.OPEN, 1)
        assert (await row(db, job))["state"] == JobState.RUNNING


async def test_open_refuses_a_job_that_somebody_holds(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await _open(ledger, lease_of(job, 1))
    before = await row(db, job)
    assert await _open(ledger, lease_of(job, 2)) == ()
    assert await _open(ledger, lease_of(job, 2, lapsed=99)) == ()
    assert await row(db, job) == before
    assert len(await attempt_rows(db, job)) == 1


async def test_open_takes_over_a_lapsed_lease_and_prices_the_lost_call(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await _open(ledger, lease_of(job, 1))
    (attempt,) = await _open(ledger, lease_of(job, 2, lapsed=1), cost="0.25")
    assert (attempt.number, attempt.crashes, attempt.tries) == (2, 1, 0)
    lost, running = await attempt_rows(db, job)
    assert (lost["state"], lost["cost_usd"], lost["estimated"]) == (
        AttemptState.ABANDONED,
        Decimal("0.25"),
        True,
    )
    assert (lost["input_tokens"], lost["output_tokens"]) == (10, 5)
    assert running["state"] == AttemptState.OPEN
    assert await tokens_used(db) == 15


async def test_open_counts_every_call_that_was_lost_not_only_the_last(
    ledger: Ledger, job: NewJob
) -> None:
    await _open(ledger, lease_of(job, 1))
    await _open(ledger, lease_of(job, 2, lapsed=1), cost="0.25")
    (third,) = await _open(ledger, lease_of(job, 3, lapsed=2), cost="0.25")
    assert third.spent.cost_usd == Decimal("0.50")
    assert (third.spent.usage.input_tokens, third.spent.usage.output_tokens) == (20, 10)


async def test_open_does_not_price_a_lapsed_lease_that_was_never_opened(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    (attempt,) = await _open(ledger, lease_of(job, 2, lapsed=1), cost="1")
    assert (attempt.number, attempt.crashes) == (1, 0)
    assert await tokens_used(db) == 0


async def test_open_does_not_price_an_attempt_that_was_settled(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await _open(ledger, lease_of(job, 1))
    retry: dict[str, Any] = {"state": JobState.QUEUED, "result": None}
    await settle(ledger, [settlement_of(job, attempt_state=AttemptState.FAILED, **retry)])
    await _open(ledger, lease_of(job, 2, lapsed=1), cost="9")
    first, _ = await attempt_rows(db, job)
    assert (first["state"], first["cost_usd"]) == (AttemptState.FAILED, Decimal("0.01"))
    assert await tokens_used(db) == 10


@pytest.mark.parametrize("lapsed", [None, 1])
async def test_open_refuses_a_job_that_has_ended(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob, lapsed: int | None
) -> None:
    await _open(ledger, lease_of(job, 1))
    await settle(ledger, [settlement_of(job)])
    before = await row(db, job)
    assert await _open(ledger, lease_of(job, 2, lapsed=lapsed)) == ()
    assert await row(db, job) == before


async def test_open_refuses_a_job_that_has_moved(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await _open(ledger, lease_of(job, 1))
    moved = settlement_of(
        job,
        attempt_state=AttemptState.FAILED,
        state=JobState.QUEUED,
        provider="anthropic",
        result=None,
    )
    assert await settle(ledger, [moved]) == {job.job_id: 1}
    assert await _open(ledger, lease_of(job, 2, placement=0)) == ()
    (attempt,) = await _open(ledger, lease_of(job, 2, placement=1))
    assert attempt.number == 2


async def test_open_gives_only_what_is_ours_of_a_mixed_claim(ledger: Ledger) -> None:
    held, free, unknown = new_job(), new_job(), new_job()
    await ledger.submit([held, free])
    await _open(ledger, lease_of(held, 1))
    opened = await _open(ledger, *(lease_of(each, 2) for each in (held, free, unknown)))
    assert [attempt.lease.job_id for attempt in opened] == [free.job_id]


async def test_open_lets_a_job_of_an_unknown_workspace_run(ledger: Ledger) -> None:
    job = new_job("nobody")
    await ledger.submit([job])
    (attempt,) = await _open(ledger, lease_of(job, 1))
    assert attempt.lacks is None
