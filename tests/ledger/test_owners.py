"""Jobs that belong to a run or a backfill: every end of one is news for its owner."""

from __future__ import annotations

from uuid import UUID, uuid4

import asyncpg

from penstock_client.ending import end_jobs
from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.pricing import TokenPrices
from penstock_schemas.status import ErrorKind, JobState
from penstock_worker.attempts import open_attempts, settle
from tests.ledger.making import MODEL, PROVIDER, lease_of, new_job, new_jobs, settlement_of

OWNER = uuid4()


async def news(db: asyncpg.Connection) -> list[tuple[UUID, UUID]]:
    rows = await db.fetch("select owner, subject from penstock.news order by subject")
    return [(row["owner"], row["subject"]) for row in rows]


async def run(ledger: Ledger, job: NewJob, **ending: object) -> None:
    prices = {MODEL: TokenPrices(None, None)}
    await open_attempts(ledger, [lease_of(job, 1)], provider=PROVIDER, worker="w", prices=prices)
    await settle(ledger, [settlement_of(job, **ending)])


async def test_settlement_tells_the_owner(ledger: Ledger, db: asyncpg.Connection) -> None:
    owned, free = new_job(owner=OWNER), new_job()
    await ledger.submit([owned, free])
    for job in (owned, free):
        await run(ledger, job)
    assert await news(db) == [(OWNER, owned.job_id)]


async def test_retry_is_no_end(ledger: Ledger, db: asyncpg.Connection) -> None:
    job = new_job(owner=OWNER)
    await ledger.submit([job])
    await run(ledger, job, state=JobState.QUEUED, result=None)
    assert await news(db) == []


async def test_cancel_tells_the_owner(ledger: Ledger, db: asyncpg.Connection) -> None:
    jobs = new_jobs(3, owner=OWNER)
    await ledger.submit(jobs)
    await end_jobs(
        ledger,
        "cancel",
        [job.job_id for job in jobs[:2]],
        False,
        state=JobState.CANCELLED,
        kind=ErrorKind.CANCELLED,
        message=lambda _: "it was cancelled",
    )
    assert await news(db) == [(OWNER, job.job_id) for job in jobs[:2]]


async def test_submit_of_a_transaction_is_the_owners_too(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    job = new_job(owner=OWNER)
    async with db.transaction():
        await ledger.submit([job], connection=db)
    assert await db.fetchval("select owner from penstock.jobs where id = $1", job.job_id) == OWNER
