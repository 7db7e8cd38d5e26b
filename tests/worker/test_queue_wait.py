"""`max_queue_wait_s`: who waited too long takes the next route, or fails with what kept it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from penstock_client import Penstock
from penstock_client.ledger import NewJob
from penstock_schemas.results import Result
from penstock_schemas.status import ErrorKind, JobState
from penstock_worker.admission.index import Limit
from penstock_worker.attempts import open_attempts
from tests.index.looking import until
from tests.ledger.making import lease_of, row
from tests.worker.running import tickets
from tests.worker.waiting import HERE, Waiting


async def _overdue(waiting: Waiting, job: NewJob) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    await waiting.ledger.pool.execute(
        "update penstock.jobs set wait_until = $2 where id = $1", job.job_id, past
    )


async def _answer(waiting: Waiting, job: NewJob) -> Result:
    found = await waiting.ledger.results([job.job_id])
    body = found[job.job_id][2]
    assert body is not None
    return Result.decode(body)


async def test_job_that_waited_too_long_takes_its_next_route(waiting: Waiting) -> None:
    (job,) = await waiting.add(max_queue_wait_s=30)
    await waiting.bound_waits()
    assert await waiting.placed("openai") == set()
    await _overdue(waiting, job)
    await waiting.bound_waits()
    assert await waiting.queued("openai") == [job.job_id]
    assert await waiting.queued("fireworks") == []
    moved = await row(waiting.ledger.pool, job)
    assert moved["wait_until"] > datetime.now(UTC) + timedelta(seconds=20)


async def test_job_does_not_take_a_route_that_is_shut(waiting: Waiting) -> None:
    (job,) = await waiting.add(max_queue_wait_s=30)
    await waiting.shut("model:y", at="openai")
    await _overdue(waiting, job)
    await waiting.bound_waits()
    assert (await row(waiting.ledger.pool, job))["state"] == JobState.FAILED


async def test_job_without_another_route_fails_and_leaves_its_queue(waiting: Waiting) -> None:
    (job,) = await waiting.add(routes=(HERE,), max_queue_wait_s=30)
    await waiting.staff("fireworks")
    await _overdue(waiting, job)
    await waiting.bound_waits()
    ended = await row(waiting.ledger.pool, job)
    assert (ended["state"], ended["fence"], ended["answer"]) == (JobState.FAILED, -1, 0)
    assert ended["last_error"] == ErrorKind.QUEUE_TIMEOUT
    result = await _answer(waiting, job)
    assert result.error is not None
    assert result.error.kind is ErrorKind.QUEUE_TIMEOUT
    assert result.error.message == (
        "it waited longer than its max_queue_wait_s of 30 s for fireworks; "
        "it was kept by: the jobs before it"
    )
    assert await waiting.queued("fireworks") == []


async def test_failure_says_that_nobody_works_there(waiting: Waiting) -> None:
    (job,) = await waiting.add(routes=(HERE,), max_queue_wait_s=30)
    await _overdue(waiting, job)
    await waiting.bound_waits()
    error = (await _answer(waiting, job)).error
    assert error is not None
    assert error.message.endswith("it was kept by: that no worker of this provider runs")


async def test_failure_says_which_limit_kept_the_job(waiting: Waiting) -> None:
    index = waiting.index("fireworks")
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    await index.set_limits([Limit("model:x", "requests", 60_000, 1)])
    first, second = await waiting.add(2, (HERE,), max_queue_wait_s=30)
    assert [lease.job_id for lease in (await index.claim(2)).leases] == [first.job_id]
    await _overdue(waiting, second)
    await waiting.bound_waits()
    error = (await _answer(waiting, second)).error
    assert error is not None
    assert error.message.endswith("it was kept by: the limit of requests a minute of model:x")


async def test_job_that_runs_waits_no_more(waiting: Waiting) -> None:
    (job,) = await waiting.add(routes=(HERE,), max_queue_wait_s=30)
    await open_attempts(waiting.ledger, [lease_of(job, 1)], provider="fireworks", worker="w")
    await _overdue(waiting, job)
    await waiting.bound_waits()
    assert (await row(waiting.ledger.pool, job))["state"] == JobState.RUNNING


async def test_many_jobs_that_waited_too_long_end_in_one_turn(waiting: Waiting) -> None:
    await waiting.add(1100, (HERE,), max_queue_wait_s=0.001)

    async def all_late() -> bool:
        due = "select min(wait_until) > now() from penstock.jobs"
        return not await waiting.ledger.pool.fetchval(due)

    await until(all_late)
    await waiting.bound_waits()
    assert await waiting.placed("fireworks") == set()
    assert await waiting.queued("fireworks") == []


async def test_steward_ends_the_wait_and_whoever_awaits_is_told(
    penstock: Penstock, steward: None
) -> None:
    pinned = tickets(1, model="fireworks/deepseek-v3", max_queue_wait_s=0.5)
    (handle,) = await penstock.submit_many(pinned)
    result = await handle.result(timeout_s=8)
    assert (result.status, result.attempts) == (JobState.FAILED, 0)
    assert result.error is not None
    assert result.error.kind is ErrorKind.QUEUE_TIMEOUT
    assert await penstock.result(handle.job_id, timeout_s=20) == result
