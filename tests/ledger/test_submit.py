"""Submitting: one statement, all or nothing, safe to repeat, first job by idempotency key."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from penstock_client.ledger import Ledger
from tests.ledger.making import new_job, new_jobs, row


async def _count(db: asyncpg.Connection, table: str = "jobs") -> int:
    return await db.fetchval(f"select count(*) from penstock.{table}")


async def _waits_for_a_lock(db: asyncpg.Connection) -> None:
    async with asyncio.timeout(10):
        while not await db.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("count", [1, 10_000])
async def test_submit_takes_one_statement(
    ledger: Ledger, db: asyncpg.Connection, count: int
) -> None:
    await ledger.submit([new_job()], connection=db)  # prepares the statement
    statements: list[str] = []
    db.add_query_logger(lambda logged: statements.append(logged.query))
    jobs = new_jobs(count)
    assert await ledger.submit(jobs, connection=db) == {}
    await asyncio.sleep(0)  # loggers are called in the loop's next turn
    assert len(statements) == 1
    assert await _count(db) == await _count(db, "payloads") == count + 1


async def test_submit_records_all_or_nothing(ledger: Ledger, db: asyncpg.Connection) -> None:
    jobs = new_jobs(20)
    jobs[13] = replace(jobs[13], provider=None)
    with pytest.raises(asyncpg.NotNullViolationError):
        await ledger.submit(jobs)
    assert await _count(db) == await _count(db, "payloads") == await _count(db, "submissions") == 0


async def test_submit_of_the_same_ids_changes_nothing(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    job = new_job(body=b"first")
    await ledger.submit([job])
    before = await row(db, job)
    assert await ledger.submit([replace(job, body=b"second", model="other")]) == {}
    assert await row(db, job) == before
    assert await db.fetchval("select body from penstock.payloads") == b"first"


async def test_submit_gives_the_first_job_of_a_key_in_a_later_batch(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    first, again = new_job(idempotency_key="k"), new_job(idempotency_key="k")
    assert await ledger.submit([first]) == {}
    assert await ledger.submit([new_job(), again]) == {again.job_id: first.job_id}
    assert await row(db, again) is None
    assert await _count(db, "payloads") == 2


async def test_submit_gives_the_first_job_of_a_key_in_the_same_batch(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    first, again, third = (new_job(idempotency_key="k") for _ in range(3))
    earlier = await ledger.submit([first, again, third])
    assert earlier == {again.job_id: first.job_id, third.job_id: first.job_id}
    assert await _count(db) == 1


async def test_submit_keeps_keys_of_workspaces_apart(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    await ledger.submit([new_job("acme", idempotency_key="k")])
    assert await ledger.submit([new_job("other", idempotency_key="k")]) == {}
    assert await _count(db) == 2


async def test_submit_waits_for_a_concurrent_submit_of_the_same_key(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    first, again = new_job(idempotency_key="k"), new_job(idempotency_key="k")
    async with ledger.pool.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await ledger.submit([first], connection=other)
        submitting = asyncio.create_task(ledger.submit([again]))
        await _waits_for_a_lock(db)
        await transaction.commit()
        assert await submitting == {again.job_id: first.job_id}


async def test_submit_records_the_second_when_the_first_is_rolled_back(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    first, again = new_job(idempotency_key="k"), new_job(idempotency_key="k")
    async with ledger.pool.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await ledger.submit([first], connection=other)
        submitting = asyncio.create_task(ledger.submit([again]))
        await _waits_for_a_lock(db)
        await transaction.rollback()
        assert await submitting == {}
    assert await row(db, again) is not None


async def test_submit_from_many_at_once_gives_every_one_the_same_job(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    rivals = [new_job(idempotency_key="k") for _ in range(16)]
    earlier = await asyncio.gather(*(ledger.submit([rival]) for rival in rivals))
    recorded = await db.fetchval("select id from penstock.jobs")
    known = {
        (found or {rival.job_id: rival.job_id})[rival.job_id]
        for rival, found in zip(rivals, earlier, strict=True)
    }
    assert known == {recorded}


async def test_submit_leaves_a_submission_until_it_is_indexed(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    jobs = new_jobs(3)
    await ledger.submit(jobs)
    left = await db.fetchrow("select first_id, last_id from penstock.submissions")
    assert tuple(left) == (jobs[0].job_id, jobs[2].job_id)
    await ledger.mark_indexed([jobs[0].job_id])
    assert await _count(db, "submissions") == 0


async def test_submit_on_a_connection_is_rolled_back_with_it(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    transaction = db.transaction()
    await transaction.start()
    await ledger.submit(new_jobs(3), connection=db)
    assert await _count(db) == 3
    await transaction.rollback()
    assert await _count(db) == await _count(db, "submissions") == 0


async def test_submit_on_a_connection_is_seen_after_its_commit(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    job = new_job()
    async with db.transaction():
        await ledger.submit([job], connection=db)
        assert await ledger.results([job.job_id]) == {}
    assert set(await ledger.results([job.job_id])) == {job.job_id}
