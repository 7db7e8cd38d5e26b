"""Retention: what goes after its time, what stays, and that no round works without bounds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from arq.connections import ArqRedis
from uuid_utils import uuid7

from penstock_client import Penstock, Settings
from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.errors import InvalidJob
from penstock_schemas.keys import ProviderKeys, deltas_key
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.unkept import NOT_KEPT
from penstock_worker import retention as retention_module
from penstock_worker import steward as steward_module
from penstock_worker.attempts import open_attempts, settle
from penstock_worker.retention import Retention, drop_old_partitions
from tests.index.looking import until
from tests.ledger.making import PROVIDER, lease_of, new_job, new_jobs, result_of, settlement_of

FAILED: dict[str, Any] = {
    "attempt_state": AttemptState.FAILED,
    "state": JobState.FAILED,
    "error_kind": ErrorKind.INVALID_OUTPUT,
    "error_message": "answered 'secret'",
}
DAY = timedelta(days=1)


@pytest.fixture
async def db(empty: Settings) -> Any:
    """A connection of the test's own, to a ledger whose retention has not begun."""
    connection = await asyncpg.connect(empty.require_database())
    await connection.execute("truncate penstock.retention")
    yield connection
    await connection.close()


@pytest.fixture
def retention(penstock: Penstock, redis: ArqRedis, db: asyncpg.Connection) -> Retention:
    """A steward's duty; what ended a minute ago is no longer there to be fetched."""
    return Retention(redis, penstock.ledger, fetchable_s=60)


async def _keep(db: asyncpg.Connection, days: int | None, workspace: str = "acme") -> None:
    await db.execute(
        "update penstock.llm_configs set retention_days = $1 where workspace_id = $2",
        days,
        workspace,
    )


async def _again(db: asyncpg.Connection) -> None:
    await db.execute("update penstock.retention set due_at = now()")


async def _ran(
    ledger: Ledger, db: asyncpg.Connection, jobs: list[NewJob], ago: timedelta, **changes: Any
) -> None:
    """Let jobs have run and ended so long ago."""
    await ledger.submit(jobs)
    leases = [lease_of(job, 1) for job in jobs]
    await open_attempts(ledger, leases, provider=PROVIDER, worker="w")
    settled = [settlement_of(j, result=result_of(j, "secret"), **changes) for j in jobs]
    await settle(ledger, settled)
    await db.execute(
        "update penstock.jobs set finished_at = now() - $2::interval where id = any($1::uuid[])",
        [job.job_id for job in jobs],
        ago,
    )


async def _kept(db: asyncpg.Connection) -> tuple[int, int]:
    """How many payloads, and answers with something in them, are there."""
    payloads = await db.fetchval("select count(*) from penstock.payloads")
    answers = await db.fetchval(
        "select count(*) from penstock.answers where position('secret'::bytea in body) > 0"
    )
    return payloads, answers


async def test_prompts_and_answers_go_after_their_days(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await _keep(db, 30)
    old, young = new_job(), new_job()
    await _ran(penstock.ledger, db, [old], 31 * DAY)
    await _ran(penstock.ledger, db, [young], 29 * DAY)
    await retention.run()
    assert await _kept(db) == (1, 1)
    left = await penstock.result(str(old.job_id), timeout_s=20)
    assert (left.ok, left.text, left.warnings) == (True, None, (NOT_KEPT,))
    assert (await penstock.result(str(young.job_id), timeout_s=20)).text == "secret"


async def test_without_a_time_everything_is_kept(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await _ran(penstock.ledger, db, new_jobs(2), 1000 * DAY)
    assert await retention.run() == 0
    assert await _kept(db) == (2, 2)


async def test_other_workspaces_are_left_alone(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    await _keep(db, 1)
    await _ran(penstock.ledger, db, new_jobs(2, "other"), 10 * DAY)
    await _ran(penstock.ledger, db, new_jobs(1), 10 * DAY)
    await retention.run()
    assert await _kept(db) == (2, 2)


async def test_what_is_never_stored_can_be_fetched_for_a_while(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await _keep(db, 0)
    await _ran(penstock.ledger, db, new_jobs(1), timedelta(seconds=50))
    await retention.run()
    assert await _kept(db) == (1, 1)
    await db.execute("update penstock.jobs set finished_at = now() - interval '61 seconds'")
    await _again(db)
    await retention.run()
    assert await _kept(db) == (0, 0)


async def test_live_jobs_are_never_touched(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await _keep(db, 0)
    _waiting, running, again = jobs = new_jobs(3)
    await penstock.ledger.submit(jobs)
    leases = [lease_of(job, 1) for job in (running, again)]
    await open_attempts(penstock.ledger, leases, provider=PROVIDER, worker="w")
    failure: dict[str, Any] = {**FAILED, "state": JobState.QUEUED, "result": None}
    repair = '{"usage": {}, "cost_usd": "0", "repair": {"answer": "x", "problem": "y"}}'
    await settle(penstock.ledger, [settlement_of(again, **failure, spent=repair)])
    await db.execute("update penstock.jobs set created_at = now() - interval '90 days'")
    assert await retention.run() == 0
    assert (await _kept(db))[0] == 3
    told = await db.fetchval("select spent from penstock.jobs where id = $1", again.job_id)
    assert "repair" in told


async def test_what_quotes_an_answer_goes_and_figures_stay(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await _keep(db, 1)
    wrong, late = new_job(skill="a"), new_job(skill="a")
    await _ran(penstock.ledger, db, [wrong], 2 * DAY, **FAILED)
    own = {**FAILED, "error_kind": ErrorKind.EXPIRED, "error_message": "its deadline passed"}
    await _ran(penstock.ledger, db, [late], 2 * DAY, **own)
    await db.execute("""update penstock.jobs set spent = '{"repair": {}, "cost_usd": "1"}'""")
    before = await penstock.usage.summary("acme", by=("skill", "hour", "model"))
    used = await db.fetchval("select tokens_used_this_month from penstock.llm_configs")
    await retention.run()
    messages = await db.fetch("select error_message from penstock.attempts order by 1")
    assert [row[0] for row in messages] == ["its deadline passed", None]
    spent = await db.fetch("select spent from penstock.jobs")
    assert [row[0] for row in spent] == ['{"cost_usd": "1"}'] * 2
    assert await penstock.usage.summary("acme", by=("skill", "hour", "model")) == before
    assert await db.fetchval("select tokens_used_this_month from penstock.llm_configs") == used
    rows = await db.fetch("select state, input_tokens from penstock.attempts")
    assert [tuple(row) for row in rows] == [(AttemptState.FAILED, 7)] * 2


async def test_failed_jobs_cannot_be_requeued_once_their_payload_is_gone(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await _keep(db, 1)
    job = new_job()
    await _ran(penstock.ledger, db, [job], 2 * DAY, **FAILED)
    await retention.run()
    with pytest.raises(InvalidJob, match="no longer kept"):
        await penstock.requeue([str(job.job_id)])


async def test_a_round_is_bounded_and_the_next_goes_on(
    penstock: Penstock,
    retention: Retention,
    db: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention_module, "PAGE", 3)
    monkeypatch.setattr(retention_module, "PAGES", 2)
    await _keep(db, 1)
    await db.execute(
        "insert into penstock.retention values ('acme', 2, now(), default, 'infinity')"
    )
    jobs = new_jobs(10)
    await _ran(penstock.ledger, db, jobs, 3 * DAY)  # all of them ended at the same time
    assert [await retention.run() for _ in range(3)] == [6, 4, 0]
    assert await _kept(db) == (0, 0)
    await _again(db)
    assert await retention.run() == 0  # what was done is not looked at again
    await _ran(penstock.ledger, db, new_jobs(2), 2 * DAY)
    await db.execute("update penstock.retention set due_at = now() where pass = 1")
    assert await retention.run() == 2


async def test_answers_that_came_late_go_too(
    penstock: Penstock, redis: ArqRedis, db: asyncpg.Connection
) -> None:
    retention = Retention(redis, penstock.ledger, fetchable_s=60, late_s=3600)
    await _keep(db, 0)
    job = new_job()
    await _ran(penstock.ledger, db, [job], timedelta(minutes=30), **FAILED)
    await retention.run()
    await db.execute(
        "insert into penstock.answers values ($1, 9, $2)", job.job_id, result_of(job, "secret")
    )
    await _again(db)
    await retention.run()
    assert await _kept(db) == (0, 1)
    await db.execute("update penstock.jobs set finished_at = now() - interval '2 hours'")
    await _again(db)
    await retention.run()
    assert await _kept(db) == (0, 0)


async def test_several_stewards_share_the_work(
    penstock: Penstock, redis: ArqRedis, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_module, "PAGE", 5)
    await _keep(db, 1)
    await _ran(penstock.ledger, db, new_jobs(40), 3 * DAY)
    stewards = [Retention(redis, penstock.ledger) for _ in range(4)]
    await asyncio.gather(*(steward.run() for steward in stewards))
    await stewards[0].run()
    assert await _kept(db) == (0, 0)


async def test_an_answer_that_nobody_can_read_goes_whole(
    penstock: Penstock, retention: Retention, db: asyncpg.Connection
) -> None:
    await _keep(db, 1)
    job = new_job()
    await _ran(penstock.ledger, db, [job], 2 * DAY)
    await db.execute("update penstock.answers set body = 'secret {'::bytea")
    await retention.run()
    assert await _kept(db) == (0, 0)
    left = await penstock.result(str(job.job_id), timeout_s=20)
    assert (left.ok, left.warnings) == (True, (NOT_KEPT,))


async def test_pieces_and_cached_results_leave_redis(
    penstock: Penstock, redis: ArqRedis, retention: Retention, db: asyncpg.Connection
) -> None:
    await _keep(db, 0)
    job = new_job()
    await _ran(penstock.ledger, db, [job], DAY)
    keys = ProviderKeys(PROVIDER)
    await redis.set(deltas_key(str(job.job_id)), "secret")
    await redis.set(keys.result(str(job.job_id)), "secret")
    await retention.run()
    assert await redis.exists(deltas_key(str(job.job_id)), keys.result(str(job.job_id))) == 0


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stewards look for what is due all the time."""
    monkeypatch.setattr(steward_module, "_RETAIN_S", 0.1)


async def test_a_steward_does_it_by_itself(
    often: None, penstock: Penstock, db: asyncpg.Connection, steward: None
) -> None:
    await _ran(penstock.ledger, db, new_jobs(1), 31 * DAY)
    await _keep(db, 30)

    async def gone() -> bool:
        return await _kept(db) == (0, 0)

    await until(gone, within_s=10)


def _of_week(ago: timedelta) -> UUID:
    """A job ID of that time."""
    ms = int((datetime.now(UTC) - ago).timestamp() * 1000)
    return UUID(int=(ms << 80) | (uuid7().int & ((1 << 80) - 1)))


async def _weeks(db: asyncpg.Connection) -> int:
    return await db.fetchval(
        "select count(*) from pg_class c where relispartition and relkind = 'r' "
        r"and relname ~ '^(attempts|answers|payloads)_\d{4}w\d\d$'"
    )


@pytest.fixture
async def old(penstock: Penstock, db: asyncpg.Connection) -> Any:
    """A job of ten weeks ago that has ended, in partitions of its own."""
    await db.fetchval("select penstock.ensure_partitions(now() - interval '10 weeks', 1)")
    job = new_job(job_id=_of_week(timedelta(weeks=10)), skill="old")
    await _ran(penstock.ledger, db, [job], timedelta(weeks=9))
    yield job
    await db.fetchval("update penstock.jobs set finished_at = coalesce(finished_at, now())")
    await db.execute("update penstock.attempts set state = 11 where state = 1")
    await drop_old_partitions({"ledger": penstock.ledger, "keep_weeks": 8})


async def test_weeks_beyond_the_horizon_are_dropped(
    penstock: Penstock, db: asyncpg.Connection, old: NewJob
) -> None:
    young = new_job()
    await _ran(penstock.ledger, db, [young], DAY)
    before = await _weeks(db)
    context: dict[str, Any] = {"ledger": penstock.ledger, "keep_weeks": 8}
    assert await drop_old_partitions(context) == 3
    assert await _weeks(db) == before - 3
    assert await drop_old_partitions(context) == 0
    assert await _kept(db) == (1, 1)
    (row,) = await penstock.usage.summary("acme", where={"skill": "old"})
    assert row.calls == 1
    left = await penstock.result(str(old.job_id), timeout_s=20)
    assert (left.ok, left.warnings) == (True, (NOT_KEPT,))


@pytest.mark.parametrize("weeks", [None, 52])
async def test_weeks_within_the_horizon_stay(
    penstock: Penstock, db: asyncpg.Connection, old: NewJob, weeks: int | None
) -> None:
    context: dict[str, Any] = {"ledger": penstock.ledger, "keep_weeks": weeks}
    assert await drop_old_partitions(context) == 0
    assert await _kept(db) == (1, 1)


@pytest.mark.parametrize(
    "live",
    [
        "update penstock.jobs set finished_at = null, state = 1",
        "update penstock.attempts set state = 1",
    ],
)
async def test_a_week_with_something_live_in_it_stays(
    penstock: Penstock, db: asyncpg.Connection, old: NewJob, live: str
) -> None:
    await db.execute(live)
    context: dict[str, Any] = {"ledger": penstock.ledger, "keep_weeks": 8}
    assert await drop_old_partitions(context) == 0
    assert old.skill == "old"
