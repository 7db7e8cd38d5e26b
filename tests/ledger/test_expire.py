"""Deadlines: what waits ends on time, what runs is left to its worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from penstock_client.ledger import Ledger
from penstock_schemas.status import JobState
from penstock_worker.attempts import open_attempts
from tests.ledger.making import PROVIDER, lease_of, new_job, row

PAST = datetime.now(UTC) - timedelta(seconds=1)
FUTURE = datetime.now(UTC) + timedelta(hours=1)


async def test_expire_ends_what_waits_beyond_its_deadline(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    late, in_time, forever = new_job(deadline=PAST), new_job(deadline=FUTURE), new_job()
    await ledger.submit([late, in_time, forever])
    assert [each["id"] for each in await ledger.fetch("expire", False)] == [late.job_id]
    ended = await row(db, late)
    assert (ended["state"], ended["fence"]) == (JobState.EXPIRED, -1)
    assert ended["finished_at"] is not None
    assert await ledger.fetch("expire", False) == []


@pytest.mark.parametrize("running", [False, True])
async def test_expire_leaves_alone_what_runs(
    ledger: Ledger, db: asyncpg.Connection, running: bool
) -> None:
    job = new_job(deadline=datetime.now(UTC) - timedelta(seconds=5))
    await ledger.submit([job])
    await open_attempts(ledger, [lease_of(job, 1)], provider=PROVIDER, worker="w")
    assert await ledger.fetch("expire", running) == []
    assert (await row(db, job))["state"] == JobState.RUNNING


async def test_expire_ends_what_should_have_ended_long_ago(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    job = new_job(deadline=datetime.now(UTC) - timedelta(minutes=2))
    await ledger.submit([job])
    await open_attempts(ledger, [lease_of(job, 1)], provider=PROVIDER, worker="w")
    assert [row["fence"] for row in await ledger.fetch("expire", True)] == [1]
    assert (await row(db, job))["state"] == JobState.EXPIRED


async def test_expire_skips_what_somebody_opens_at_this_moment(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    job = new_job(deadline=PAST)
    await ledger.submit([job])
    async with db.transaction():
        await db.execute("select from penstock.jobs for update")
        assert await ledger.fetch("expire", False) == []
    assert len(await ledger.fetch("expire", False)) == 1
