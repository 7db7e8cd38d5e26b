"""What operators and clients read: results, lists, providers with work, usage, partitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from penstock_client.ledger import Ledger
from penstock_schemas.status import AttemptState, JobState
from penstock_worker.attempts import open_attempts, settle
from tests.ledger.making import PROVIDER, lease_of, new_job, new_jobs, settlement_of


async def test_results_tell_ended_waiting_and_unknown_apart(ledger: Ledger) -> None:
    ended, waiting, unknown = new_job(), new_job(), new_job()
    await ledger.submit([ended, waiting])
    await open_attempts(ledger, [lease_of(ended, 1)], provider=PROVIDER, worker="w")
    settlement = settlement_of(ended)
    await settle(ledger, [settlement])
    assert await ledger.results([job.job_id for job in (ended, waiting, unknown)]) == {
        ended.job_id: (JobState.SUCCEEDED, "acme", settlement.result),
        waiting.job_id: (JobState.QUEUED, "acme", None),
    }


async def test_jobs_come_newest_first_and_page_on(ledger: Ledger) -> None:
    jobs = new_jobs(7)
    await ledger.submit([*jobs, *new_jobs(3, "other")])
    newest = [str(job.job_id) for job in reversed(jobs)]
    first = await ledger.jobs("acme", limit=4)
    assert [row.job_id for row in first] == newest[:4]
    rest = await ledger.jobs("acme", limit=4, before=UUID(first[-1].job_id))
    assert [row.job_id for row in rest] == newest[4:]


async def test_jobs_are_found_by_state_and_capability(ledger: Ledger) -> None:
    plain, special = new_job(), new_job(capability="triage")
    await ledger.submit([plain, special])
    assert [row.job_id for row in await ledger.jobs("acme", capability="triage")] == [
        str(special.job_id)
    ]
    assert len(await ledger.jobs("acme", state=JobState.QUEUED)) == 2
    assert await ledger.jobs("acme", state=JobState.FAILED) == []


async def test_live_providers_are_those_with_work_left(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    assert await ledger.fetch("live_providers") == []
    jobs = [new_job(provider=name) for name in ("c", "a", "b", "a", "c")]
    await ledger.submit(jobs)
    assert [row[0] for row in await ledger.fetch("live_providers")] == ["a", "b", "c"]
    await db.execute("update penstock.jobs set finished_at = now() where provider = 'b'")
    assert [row[0] for row in await ledger.fetch("live_providers")] == ["a", "c"]


async def test_usage_counts_calls_and_leaves_out_what_was_never_sent(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    paid, unpriced, returned, _running = jobs = new_jobs(4, skill="reading")
    await ledger.submit(jobs)
    leases = [lease_of(job, 1) for job in jobs]
    await open_attempts(ledger, leases, provider=PROVIDER, worker="w")
    unsent = settlement_of(
        returned, attempt_state=AttemptState.RETURNED, state=JobState.QUEUED, result=None
    )
    await settle(ledger, [settlement_of(paid), settlement_of(unpriced, cost_usd=None), unsent])
    (total,) = await ledger.usage_by_model("acme", datetime.now(UTC) - timedelta(days=1))
    assert (total["calls"], total["succeeded"], total["unpriced"]) == (2, 2, 1)
    assert (total["input_tokens"], total["cost_usd"]) == (14, Decimal("0.01"))
    rows = await db.fetch("select job_id, skill from penstock.usage")
    assert {row["job_id"] for row in rows} == {paid.job_id, unpriced.job_id}
    assert {row["skill"] for row in rows} == {"reading"}
    assert await ledger.usage_by_model("acme", datetime.now(UTC) + timedelta(minutes=1)) == []


@pytest.mark.parametrize(
    "moment",
    [
        "2031-01-06T00:00:00Z",
        "2031-01-05T23:59:59.999Z",
        "2032-12-31T23:59:59Z",
        "2033-01-01T00:00Z",
    ],
)
async def test_partitions_cover_week_and_year_edges_without_gaps(
    ledger: Ledger, db: asyncpg.Connection, moment: str
) -> None:
    transaction = db.transaction()  # rolled back: the tables are the whole suite's
    await transaction.start()
    since = datetime.fromisoformat(moment)
    make = "select penstock.ensure_partitions($1, 3)"
    assert await db.fetchval(make, since) == 9
    assert await db.fetchval(make, since) == 0
    places: list[str] = []
    for at in (since, since + timedelta(days=7), since + timedelta(days=14)):
        place = await db.fetchval(
            "insert into penstock.payloads values (penstock.first_id_at($1), '') "
            "returning tableoid::regclass::text",
            at,
        )
        places.append(place)
    year, week, _ = since.isocalendar()
    assert places[0].removeprefix("penstock.") == f"payloads_{year}w{week:02}"
    assert len(set(places)) == 3
    assert "payloads_other" not in " ".join(places)
    await transaction.rollback()


async def test_first_id_at_is_below_every_id_of_its_moment(
    ledger: Ledger, db: asyncpg.Connection
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    job_id = new_job().job_id
    after = datetime.now(UTC) + timedelta(milliseconds=2)
    assert await db.fetchval("select penstock.first_id_at($1)", before) < job_id
    assert await db.fetchval("select penstock.first_id_at($1)", after) > job_id


async def test_create_workspace_again_changes_nothing(ledger: Ledger) -> None:
    assert not await ledger.create_workspace("acme", routing={"x": "a/b"}, monthly_tokens=1)
    (config,) = await ledger.workspaces("acme")
    assert (config.routing, config.monthly_tokens) == ({}, None)
