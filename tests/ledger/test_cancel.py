"""Cancelling in Postgres: who is ended, what becomes of their calls, and late settlements."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from penstock_client.ending import Ended, end_jobs
from penstock_client.ledger import Ledger, NewJob
from penstock_client.spent import Spent
from penstock_schemas.pricing import TokenPrices
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import Usage
from penstock_worker.attempts import open_attempts, settle
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

PRICES = TokenPrices(Decimal("0.01"), Decimal("0.1"))


async def cancel(ledger: Ledger, *jobs: NewJob, running: bool = True) -> list[Ended]:
    return await end_jobs(
        ledger,
        "cancel",
        [job.job_id for job in jobs],
        running,
        state=JobState.CANCELLED,
        kind=ErrorKind.CANCELLED,
        message=lambda _: "it was cancelled",
    )


async def start(ledger: Ledger, job: NewJob, fence: int = 1) -> None:
    (opened,) = (
        await open_attempts(
            ledger, [lease_of(job, fence)], provider=PROVIDER, worker="w", prices={MODEL: PRICES}
        )
    ).attempts
    assert opened.lease.fence == fence


async def test_cancel_ends_what_waits(ledger: Ledger, db: asyncpg.Connection) -> None:
    job = new_job()
    await ledger.submit([job])
    (end,) = await cancel(ledger, job, running=False)
    ended = await row(db, job)
    assert (ended["state"], ended["fence"], ended["answer"]) == (JobState.CANCELLED, -1, 0)
    assert (ended["last_error"], ended["finished_at"] is None) == ("cancelled", False)
    assert end.job.fence is None
    state, _, body = (await ledger.results([job.job_id]))[job.job_id]
    assert (state, body) == (JobState.CANCELLED, end.result.encode())
    assert await cancel(ledger, job) == []


async def test_cancel_leaves_what_runs_unless_that_is_meant(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    waiting, running = new_jobs(2)
    await ledger.submit([waiting, running])
    await start(ledger, running, fence=7)
    assert [end.job.job_id for end in await cancel(ledger, waiting, running, running=False)] == [
        waiting.job_id
    ]
    assert [end.job.fence for end in await cancel(ledger, running)] == [7]
    assert (await row(db, running))["state"] == JobState.CANCELLED


async def test_cancel_leaves_a_result_alone(ledger: Ledger, db: asyncpg.Connection) -> None:
    job = new_job()
    await ledger.submit([job])
    await start(ledger, job)
    await settle(ledger, [settlement_of(job)])
    before = await row(db, job)
    assert await cancel(ledger, job) == []
    assert await row(db, job) == before


async def test_cancel_waits_for_nobody(ledger: Ledger, db: asyncpg.Connection) -> None:
    job, other = new_jobs(2)
    await ledger.submit([job, other])
    async with db.transaction():
        await db.execute("select from penstock.jobs where id = $1 for update", job.job_id)
        assert [end.job.job_id for end in await cancel(ledger, job, other)] == [other.job_id]


async def test_cancelled_jobs_call_counts_as_what_it_held(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    job = new_job()
    await ledger.submit([job])
    await start(ledger, job)
    (end,) = await cancel(ledger, job)
    (call,) = await attempt_rows(db, job)
    assert (call["state"], call["error_kind"], call["estimated"]) == (12, "interrupted", True)
    assert call["finished_at"] is not None
    assert (call["input_tokens"], call["output_tokens"]) == (10, 5)
    assert call["cost_usd"] == call["hold_usd"] == Decimal("0.60")
    assert await tokens_used(db) == 15
    assert end.result.usage == Usage(input_tokens=10, output_tokens=5, estimated=True)
    assert (end.result.cost_usd, end.result.attempts) == (Decimal("0.60"), 1)


@pytest.mark.parametrize(
    ("became", "given", "tokens"),
    [
        (AttemptState.SUCCEEDED, {}, 10),
        (AttemptState.RETURNED, {"usage": Usage(), "result": None, "state": JobState.QUEUED}, 0),
    ],
)
async def test_late_settlement_corrects_the_call_and_not_the_job(
    ledger: Ledger,
    db: asyncpg.Connection,
    became: AttemptState,
    given: dict[str, Any],
    tokens: int,
) -> None:
    job = new_job()
    await ledger.submit([job])
    await start(ledger, job)
    await cancel(ledger, job)
    assert await settle(ledger, [settlement_of(job, attempt_state=became, **given)]) == {}
    assert [call["state"] for call in await attempt_rows(db, job)] == [became]
    assert (await row(db, job))["state"] == JobState.CANCELLED
    assert await tokens_used(db) == tokens


async def test_result_of_a_cancelled_job_has_the_cost_of_all_its_calls(
    ledger: Ledger,
) -> None:
    job = new_job()
    await ledger.submit([job])
    await start(ledger, job)
    failed = settlement_of(
        job,
        attempt_state=AttemptState.FAILED,
        state=JobState.QUEUED,
        error_kind=ErrorKind.SERVER_ERROR,
        spent=Spent()
        .plus(Usage(input_tokens=7, output_tokens=3), Decimal("0.01"))
        .after(1, "openai/gpt-test", "server_error")
        .encode(),
        result=None,
    )
    await settle(ledger, [failed])
    await start(ledger, job, fence=2)
    (end,) = await cancel(ledger, job)
    assert end.result.cost_usd == Decimal("0.61")
    assert (end.result.usage.input_tokens, end.result.usage.output_tokens) == (17, 8)
    assert end.result.error is not None
    assert end.result.error.message == (
        "it was cancelled (attempts: 1 openai/gpt-test server_error)"
    )


async def test_expired_jobs_call_is_closed_too(ledger: Ledger, db: asyncpg.Connection) -> None:
    job = new_job()
    await ledger.submit([job])
    await start(ledger, job)
    await db.execute("update penstock.jobs set deadline = now() - interval '2 minutes'")
    (end,) = await end_jobs(
        ledger,
        "expire",
        True,
        state=JobState.EXPIRED,
        kind=ErrorKind.EXPIRED,
        message=lambda _: "late",
    )
    assert end.result.usage.input_tokens == 10
    assert [call["state"] for call in await attempt_rows(db, job)] == [AttemptState.ABANDONED]
