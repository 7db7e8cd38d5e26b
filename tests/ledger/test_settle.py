"""Settling: usage once for each attempt, the first valid answer wins, an end is final."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import Usage
from penstock_worker.attempts import open_attempts, settle
from tests.ledger.making import (
    PROVIDER,
    attempt_rows,
    lease_of,
    new_job,
    new_jobs,
    result_of,
    row,
    settlement_of,
    tokens_used,
)

FAILED: dict[str, Any] = {
    "attempt_state": AttemptState.FAILED,
    "error_kind": ErrorKind.SERVER_ERROR,
    "result": None,
}
QUEUED: dict[str, Any] = {**FAILED, "state": JobState.QUEUED}


async def _open(ledger: Ledger, *jobs: NewJob, fence: int = 1, lapsed: int | None = None) -> None:
    leases = [lease_of(job, fence, lapsed=lapsed) for job in jobs]
    opened = (await open_attempts(ledger, leases, provider=PROVIDER, worker="w")).attempts
    assert len(opened) == len(jobs)


@pytest.fixture
async def job(ledger: Ledger) -> NewJob:
    """A job with its first attempt open under fence 1."""
    job = new_job()
    await ledger.submit([job])
    await _open(ledger, job)
    return job


async def _answers(db: asyncpg.Connection, job: NewJob) -> dict[int, bytes]:
    rows = await db.fetch("select number, body from penstock.answers where job_id = $1", job.job_id)
    return {row["number"]: row["body"] for row in rows}


async def test_settle_ends_a_job_with_its_result(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    assert await settle(ledger, [settlement_of(job)]) == {job.job_id: 0}
    ended = await row(db, job)
    assert (ended["state"], ended["fence"], ended["answer"]) == (JobState.SUCCEEDED, -1, 1)
    found = await ledger.results([job.job_id])
    assert found == {job.job_id: (JobState.SUCCEEDED, "acme", result_of(job))}


async def test_settle_twice_changes_nothing_more(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await settle(ledger, [settlement_of(job)])
    before = await row(db, job), await attempt_rows(db, job), await tokens_used(db)
    assert await settle(ledger, [settlement_of(job)]) == {}
    assert (await row(db, job), await attempt_rows(db, job), await tokens_used(db)) == before
    assert before[2] == 10


async def test_settle_of_a_retry_twice_charges_one_try(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await settle(ledger, [settlement_of(job, **QUEUED)])
    await settle(ledger, [settlement_of(job, **QUEUED)])
    waiting = await row(db, job)
    assert (waiting["tries"], waiting["fence"], waiting["state"]) == (1, None, JobState.QUEUED)
    assert await tokens_used(db) == 10


async def test_settle_lets_a_late_success_win_over_a_second_call(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await _open(ledger, job, fence=2, lapsed=1)
    late = settlement_of(job, result=result_of(job, "late"))
    assert set(await settle(ledger, [late])) == {job.job_id}
    second = settlement_of(job, number=2, fence=2, result=result_of(job, "second"))
    assert await settle(ledger, [second]) == {}
    assert (await ledger.results([job.job_id]))[job.job_id][2] == result_of(job, "late")
    assert await _answers(db, job) == {1: result_of(job, "late"), 2: result_of(job, "second")}
    states = [attempt["state"] for attempt in await attempt_rows(db, job)]
    assert states == [AttemptState.SUCCEEDED, AttemptState.SUCCEEDED]


async def test_settle_lets_a_late_success_end_a_job_that_waits_again(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await _open(ledger, job, fence=2, lapsed=1)
    await settle(ledger, [settlement_of(job, number=2, fence=2, **QUEUED)])
    assert set(await settle(ledger, [settlement_of(job)])) == {job.job_id}
    assert (await row(db, job))["answer"] == 1


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.DEFERRED, JobState.FAILED])
async def test_settle_lets_no_late_failure_move_a_job(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob, state: JobState
) -> None:
    await _open(ledger, job, fence=2, lapsed=1)
    before = await row(db, job)
    assert await settle(ledger, [settlement_of(job, **FAILED, state=state)]) == {}
    assert await row(db, job) == before
    assert (await attempt_rows(db, job))[0]["error_kind"] == "server_error"


@pytest.mark.parametrize(
    "state", [JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED, JobState.SUCCEEDED]
)
async def test_settle_does_not_reopen_what_has_ended(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob, state: JobState
) -> None:
    await _open(ledger, job, fence=2, lapsed=1)
    end = settlement_of(job, number=2, fence=2, state=state, result=b"end")
    await settle(ledger, [end])
    before = await row(db, job)
    assert before["state"] == state
    assert await settle(ledger, [settlement_of(job)]) == {}
    assert await settle(ledger, [settlement_of(job, **QUEUED)]) == {}
    assert await row(db, job) == before
    assert set(await _answers(db, job)) == {1, 2}


async def test_settle_records_the_cost_of_a_late_answer_to_an_ended_job(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await db.execute("update penstock.jobs set state = 12, fence = -1, finished_at = now()")
    await settle(ledger, [settlement_of(job)])
    (attempt,) = await attempt_rows(db, job)
    assert (attempt["cost_usd"], attempt["input_tokens"]) == (Decimal("0.01"), 7)
    assert await tokens_used(db) == 10


async def test_settle_of_a_retry_says_when_and_what_was_spent(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    before = datetime.now(UTC)
    changes = {
        **QUEUED,
        "state": JobState.DEFERRED,
        "wait_ms": 60_000,
        "spent": '{"cost_usd": "1"}',
    }
    await settle(ledger, [settlement_of(job, **changes)])
    waiting = await row(db, job)
    assert 59 < (waiting["available_at"] - before).total_seconds() < 70
    assert (waiting["state"], waiting["spent"]) == (JobState.DEFERRED, '{"cost_usd": "1"}')
    assert (waiting["finished_at"], waiting["last_error"]) == (None, "server_error")


async def test_settle_of_a_free_retry_charges_no_try(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await settle(ledger, [settlement_of(job, **QUEUED, charge=False)])
    waiting = await row(db, job)
    assert (waiting["tries"], waiting["attempts"]) == (0, 1)


async def test_settle_of_a_reroute_moves_the_job_and_counts_the_move(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    there = settlement_of(job, **QUEUED, provider="anthropic", model="claude-test")
    assert await settle(ledger, [there]) == {job.job_id: 1}
    moved = await row(db, job)
    assert (moved["provider"], moved["model"]) == ("anthropic", "claude-test")
    (attempt,) = await attempt_rows(db, job)
    assert (attempt["provider"], attempt["model"]) == (PROVIDER, "gpt-test")


async def test_settle_of_another_model_at_the_same_provider_is_no_move(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    assert await settle(ledger, [settlement_of(job, **QUEUED, model="gpt-small")]) == {
        job.job_id: 0
    }
    assert (await row(db, job))["model"] == "gpt-small"


async def test_settle_adds_the_usage_of_a_group_by_workspace(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await ledger.create_workspace("other", routing={}, monthly_tokens=None)
    jobs = [*new_jobs(3), *new_jobs(2, "other")]
    await ledger.submit(jobs)
    await _open(ledger, *jobs)
    await settle(ledger, [settlement_of(job) for job in jobs])
    assert (await tokens_used(db, "acme"), await tokens_used(db, "other")) == (30, 20)


async def test_settle_in_a_new_month_starts_the_count_again(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    await db.execute(
        "update penstock.llm_configs set tokens_used_this_month = 999, "
        "budget_reset_at = '2020-02-01T00:00Z'"
    )
    await settle(ledger, [settlement_of(job)])
    assert await tokens_used(db) == 10
    config = (await ledger.workspaces("acme"))[0]
    now = datetime.now(UTC)
    following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    assert (config.budget_resets_at, config.tokens_used) == (following, 10)


async def test_workspaces_read_nothing_used_once_the_month_is_over(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await db.execute(
        "update penstock.llm_configs set tokens_used_this_month = 999, "
        "budget_reset_at = now() - interval '1 second'"
    )
    assert (await ledger.workspaces("acme"))[0].tokens_used == 0


async def test_settle_of_crossing_groups_finds_no_deadlock(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await ledger.create_workspace("other", routing={}, monthly_tokens=None)
    jobs = [new_job(workspace) for _ in range(400) for workspace in ("acme", "other")]
    await ledger.submit(jobs)
    await _open(ledger, *jobs)
    before = await db.fetchval(
        "select deadlocks from pg_stat_database where datname = $1", "penstock"
    )
    groups = [jobs[first : first + 20] for first in range(0, len(jobs), 20)]
    one, two = groups[::2], [group[::-1] for group in groups[1::2]]

    async def all_of(parts: list[list[NewJob]]) -> None:
        for part in parts:
            await settle(ledger, [settlement_of(job) for job in part])

    await asyncio.wait_for(asyncio.gather(all_of(one), all_of(two)), timeout=30)
    after = await db.fetchval(
        "select deadlocks from pg_stat_database where datname = $1", "penstock"
    )
    assert after == before
    assert (await tokens_used(db, "acme"), await tokens_used(db, "other")) == (4000, 4000)


async def test_settle_keeps_every_count_of_an_attempt(
    ledger: Ledger, db: asyncpg.Connection, job: NewJob
) -> None:
    usage = Usage(
        input_tokens=7,
        output_tokens=6,
        cache_read_tokens=5,
        cache_write_tokens=4,
        reasoning_tokens=3,
        estimated=True,
    )
    changes: dict[str, Any] = {"http_status": 200, "duration_ms": 12, "simulated": True}
    await settle(ledger, [settlement_of(job, usage=usage, **changes)])
    (attempt,) = await attempt_rows(db, job)
    assert {name: attempt[name] for name in usage.model_dump()} == usage.model_dump()
    assert {name: attempt[name] for name in changes} == changes
