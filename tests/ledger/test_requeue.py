"""Requeue: a job that ended without an answer begins a new epoch, and keeps what it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from penstock_client import Generate, InvalidJob, Penstock, ResultTimeout, UnknownJob
from penstock_client.connections import close_redis, redis_pool
from penstock_client.ledger import NewJob
from penstock_client.requeueing import EndedJobs
from penstock_client.spent import Spent
from penstock_schemas.keys import ProviderKeys
from penstock_schemas.results import ErrorInfo, Result
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.attempts import open_attempts, settle
from tests.ledger.making import (
    MODEL,
    PROVIDER,
    attempt_rows,
    lease_of,
    new_job,
    result_of,
    row,
    settlement_of,
)

ROUTES = (f"{PROVIDER}/{MODEL}", "anthropic/other")
PAST = datetime.now(UTC) - timedelta(seconds=1)
FUTURE = datetime.now(UTC) + timedelta(hours=1)


async def _submitted(penstock: Penstock, **fields: Any) -> NewJob:
    body = orjson.dumps({"version": 1, "routes": ROUTES, "job": {}})
    job = new_job(**{"body": body, **fields})
    await penstock.ledger.submit([job])
    return job


def _result(job: NewJob, kind: ErrorKind, state: JobState = JobState.FAILED) -> bytes:
    error = ErrorInfo(kind=kind, message="told")
    fields: dict[str, Any] = {"job_id": str(job.job_id), "workspace": job.workspace}
    return Result(**fields, status=state, error=error).encode()


async def _tried(
    penstock: Penstock, job: NewJob, *, number: int = 1, placement: int = 0, **settled: Any
) -> None:
    """Open an attempt of the job and settle it: as a failure, unless told otherwise."""
    lease = lease_of(job, number, placement=placement)
    opened = (
        await open_attempts(penstock.ledger, [lease], provider=job.provider, worker="w")
    ).attempts
    assert len(opened) == 1
    given = {
        "attempt_state": AttemptState.FAILED,
        "state": JobState.FAILED,
        "error_kind": ErrorKind.INVALID_REQUEST,
        "result": _result(job, ErrorKind.INVALID_REQUEST),
        **settled,
    }
    await settle(penstock.ledger, [settlement_of(job, number=number, fence=number, **given)])


async def _failed(penstock: Penstock, **fields: Any) -> NewJob:
    job = await _submitted(penstock, **fields)
    await _tried(penstock, job)
    return job


async def _expired(penstock: Penstock) -> NewJob:
    """A job that ended without an attempt, with its result."""
    job = await _submitted(penstock, deadline=PAST)
    await _expire_again(penstock, job)
    return job


async def _expire_again(penstock: Penstock, job: NewJob) -> None:
    assert [each["id"] for each in await penstock.ledger.fetch("expire", False)] == [job.job_id]
    body = _result(job, ErrorKind.EXPIRED, JobState.EXPIRED)
    await penstock.ledger.fetch("keep_answers", [job.job_id], [0], [body])


async def test_requeue_makes_a_failed_job_wait_as_if_it_were_new(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _failed(penstock, max_queue_wait_s=60, deadline=PAST)
    (handle,) = await penstock.requeue([str(job.job_id)])
    assert handle.job_id == str(job.job_id)
    now = await row(db, job)
    assert (now["state"], now["fence"], now["answer"]) == (JobState.QUEUED, None, None)
    assert (now["tries"], now["crashes"], now["last_error"]) == (0, 0, None)
    assert (now["finished_at"], now["started_at"], now["deadline"]) == (None, None, None)
    assert now["wait_until"] > datetime.now(UTC) + timedelta(seconds=50)
    assert now["placement_version"] == 1


async def test_requeue_keeps_a_deadline_that_is_still_ahead(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _failed(penstock, deadline=FUTURE)
    await penstock.requeue([str(job.job_id)])
    assert (await row(db, job))["deadline"] == FUTURE


async def test_requeue_begins_at_the_first_route_again(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _submitted(penstock, provider="anthropic", model="other")
    await _tried(penstock, job)
    await penstock.requeue([str(job.job_id)])
    now = await row(db, job)
    assert (now["provider"], now["model"]) == (PROVIDER, MODEL)


async def test_requeued_job_goes_on_counting_attempts_tokens_and_cost(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _failed(penstock)
    await penstock.requeue([str(job.job_id)])
    spent = Spent.decode((await row(db, job))["spent"])
    assert (spent.usage.input_tokens, spent.usage.output_tokens) == (7, 3)
    assert (spent.cost_usd, spent.repair) == (Decimal("0.01"), None)
    await _tried(penstock, job, number=2, placement=1)
    await penstock.requeue([str(job.job_id)])
    assert Spent.decode((await row(db, job))["spent"]).cost_usd == Decimal("0.02")
    numbers = [attempt["number"] for attempt in await attempt_rows(db, job)]
    assert numbers == [1, 2]


async def test_requeue_does_not_take_an_unknown_cost_for_free(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _submitted(penstock)
    await _tried(penstock, job, cost_usd=None)
    await penstock.requeue([str(job.job_id)])
    assert Spent.decode((await row(db, job))["spent"]).cost_usd is None


async def test_requeued_job_is_awaited_until_its_new_result(penstock: Penstock) -> None:
    job = await _failed(penstock)
    first = await penstock.result(str(job.job_id), timeout_s=20)
    assert first.error is not None
    (handle,) = await penstock.requeue([str(job.job_id)])
    with pytest.raises(ResultTimeout):
        await handle.result(timeout_s=0.2)
    await _tried(
        penstock,
        job,
        number=2,
        placement=1,
        attempt_state=AttemptState.SUCCEEDED,
        state=JobState.SUCCEEDED,
        error_kind=None,
        result=result_of(job),
    )
    assert (await handle.result(timeout_s=10)).text == "yes"


async def test_requeue_forgets_the_cached_failure(penstock: Penstock) -> None:
    job = await _failed(penstock)
    redis = redis_pool(penstock.settings)
    name = ProviderKeys(PROVIDER).result(str(job.job_id))
    await redis.set(name, b"the old failure")
    await penstock.requeue([str(job.job_id)])
    assert await redis.get(name) is None
    await close_redis(redis)


async def test_requeued_job_is_offered_and_opened_once(penstock: Penstock) -> None:
    job = await _failed(penstock)
    await penstock.requeue([str(job.job_id)])
    redis = redis_pool(penstock.settings)
    index = ProviderIndex(redis, PROVIDER)
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    leases = (await index.claim(5)).leases
    opened = (await open_attempts(penstock.ledger, leases, provider=PROVIDER, worker="w")).attempts
    assert [(attempt.job_id, attempt.number) for attempt in opened] == [(str(job.job_id), 2)]
    await close_redis(redis)


async def test_old_entry_of_a_requeued_job_is_refused(penstock: Penstock) -> None:
    job = await _failed(penstock)
    await penstock.requeue([str(job.job_id)])
    stale = lease_of(job, 9)
    opened = await open_attempts(penstock.ledger, [stale], provider=PROVIDER, worker="w")
    assert opened.attempts == opened.postponed == ()


async def test_requeue_leaves_a_trace_for_the_steward_until_the_job_is_indexed(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _failed(penstock)
    await penstock.ledger.mark_indexed([job.job_id])
    await penstock.ledger.fetch("requeue", [job.job_id])  # and the process is killed
    left = await db.fetchrow("select first_id, last_id from penstock.submissions")
    assert left is not None
    assert set(left) == {job.job_id}
    await _tried(penstock, job, number=2, placement=1)
    await penstock.requeue([str(job.job_id)])
    assert await db.fetchval("select count(*) from penstock.submissions") == 0


async def test_requeue_lets_a_job_end_without_an_attempt_again(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _expired(penstock)
    for end in (2, 3):
        await penstock.requeue([str(job.job_id)])
        assert (await penstock.ledger.results([job.job_id]))[job.job_id][2] is None
        await db.execute("update penstock.jobs set deadline = $1", PAST)
        await _expire_again(penstock, job)
        numbers = "select array_agg(number order by number) from penstock.answers"
        assert await db.fetchval(numbers) == list(range(1 - end, 1))
    assert (await penstock.result(str(job.job_id), timeout_s=20)).status is JobState.EXPIRED


async def test_requeue_keeps_the_idempotency_key(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job = await _failed(penstock, idempotency_key="k")
    await penstock.requeue([str(job.job_id)])
    again = new_job(idempotency_key="k")
    assert await penstock.ledger.submit([again]) == {again.job_id: job.job_id}


async def test_requeue_of_a_success_is_refused_by_name_and_moves_nothing(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    job, good = await _failed(penstock), await _submitted(penstock)
    await _tried(
        penstock, good, attempt_state=AttemptState.SUCCEEDED, state=JobState.SUCCEEDED, result=b"{}"
    )
    both = [str(job.job_id), str(good.job_id)]
    with pytest.raises(InvalidJob, match=f"{good.job_id} succeeded"):
        await penstock.requeue(both)
    assert (await row(db, job))["state"] == JobState.FAILED
    (only,) = await penstock.requeue(both, skip_others=True)
    assert only.job_id == str(job.job_id)


async def test_requeue_of_a_living_job_is_refused(penstock: Penstock) -> None:
    job = await _submitted(penstock)
    with pytest.raises(InvalidJob, match="is queued"):
        await penstock.requeue([str(job.job_id)])


async def test_requeue_of_a_job_that_is_not_there_is_refused(penstock: Penstock) -> None:
    with pytest.raises(UnknownJob):
        await penstock.requeue([str(uuid4())])


async def test_ended_jobs_are_found_by_state_error_and_time(
    penstock: Penstock, db: asyncpg.Connection
) -> None:
    expired = str((await _expired(penstock)).job_id)
    failed = str((await _failed(penstock)).job_id)
    old = str((await _failed(penstock)).job_id)
    await db.execute(
        "update penstock.jobs set finished_at = now() - interval '2 hours' where id = $1", UUID(old)
    )

    async def found(**which: Any) -> list[str]:
        return list(await penstock.ended_jobs(EndedJobs(workspace="acme", **which)))

    assert await found() == [expired, failed, old]
    assert await found(state=JobState.FAILED) == [failed, old]
    assert await found(error=ErrorKind.EXPIRED) == [expired]
    assert await found(since=datetime.now(UTC) - timedelta(hours=1)) == [expired, failed]
    assert await found(limit=1) == [expired]
    with pytest.raises(InvalidJob, match="only failed"):
        await found(state=JobState.SUCCEEDED)


async def test_prompt_with_a_nul_does_not_hide_the_routes(penstock: Penstock) -> None:
    asked = Generate(workspace="acme", prompt="a\x00b", model="openai/gpt-4o-mini")
    handle = await penstock.submit(asked)
    assert (await penstock.explain(handle.job_id)).routes == ("openai/gpt-4o-mini",)
    (waiting,) = await penstock.ledger.fetch("waiting_routes", "openai", [UUID(handle.job_id)])
    assert waiting["routes"] == ["openai/gpt-4o-mini"]
    await handle.cancel()
    (again,) = await penstock.requeue([handle.job_id])
    assert again.job_id == handle.job_id
