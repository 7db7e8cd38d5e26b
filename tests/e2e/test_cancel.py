"""Cancelled jobs end at once, and what they held is free again soon after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from penstock_client import Generate, JobState, Penstock
from penstock_client.connections import close_redis, redis_pool
from penstock_client.handle import Handle
from penstock_schemas.errors import UnknownJob
from penstock_schemas.ids import JobId
from penstock_schemas.limits import limit_setting
from penstock_schemas.status import AttemptState, ErrorKind
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

JOB = Generate(workspace="acme", model="openai/gpt-4o-mini", prompt="a long story")


@pytest.fixture
async def db(penstock: Penstock) -> AsyncIterator[asyncpg.Connection]:
    """A connection past the ledger."""
    connection = await asyncpg.connect(penstock.settings.require_database())
    yield connection
    await connection.close()


@pytest.fixture
async def index(penstock: Penstock) -> AsyncIterator[ProviderIndex]:
    """The provider's index."""
    redis = redis_pool(penstock.settings)
    yield ProviderIndex(redis, "openai")
    await close_redis(redis)


@pytest.fixture
async def hanging(
    penstock: Penstock, simulator: Simulator, work_for: Callable[..., Awaitable[None]]
) -> Handle:
    """A job whose call has been sent and is not answered, at the only slot there is."""
    await penstock.workspaces.set("acme", monthly_tokens=100_000)
    await penstock.ledger.steering.set_limits(
        [limit_setting("openai", "model:*", "concurrency", 1)]
    )
    simulator.faults.add(Fault(kind="hang", provider="openai", delay_s=6))
    await work_for("openai", concurrency=1)
    handle = await penstock.submit(JOB)
    await until(lambda: in_flight(simulator) == 1)
    return handle


async def until(condition: Callable[[], Any], *, within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.01)


def in_flight(simulator: Simulator) -> int:
    stats = simulator.stats()["by_provider"].get("openai")
    return stats["in_flight"] if stats else 0


async def attempt(penstock: Penstock, job_id: str, number: int = 1) -> asyncpg.Record:
    return (await penstock.ledger.attempts(UUID(job_id)))[number - 1]


async def test_cancelled_queued_job_ends_at_once(penstock: Penstock) -> None:
    handle = await penstock.submit(JOB)
    awaiting = asyncio.create_task(handle.result(timeout_s=20))
    await asyncio.sleep(0)
    assert await handle.cancel() is JobState.CANCELLED
    result = await awaiting
    assert result.error is not None
    assert (result.status, result.error.kind) == (JobState.CANCELLED, ErrorKind.CANCELLED)
    assert (result.cost_usd, result.attempts) == (0, 0)


async def test_cancelled_queued_job_is_never_called(
    penstock: Penstock, simulator: Simulator, work_for: Callable[..., Awaitable[None]]
) -> None:
    cancelled, other = await penstock.submit_many([JOB, JOB])
    await cancelled.cancel()
    await work_for("openai")
    assert (await other.result(timeout_s=10)).ok
    assert simulator.stats()["calls"] == 1


async def test_cancelled_running_job_ends_at_once_for_who_awaits_it(hanging: Handle) -> None:
    awaiting = asyncio.create_task(hanging.result(timeout_s=10))
    began = time.monotonic()
    assert await hanging.cancel() is JobState.CANCELLED
    result = await awaiting
    assert time.monotonic() - began < 1
    assert result.status is JobState.CANCELLED
    assert result.usage.estimated
    assert result.cost_usd


async def test_cancelled_running_jobs_call_is_stopped_and_counted_as_possibly_paid(
    penstock: Penstock, simulator: Simulator, hanging: Handle, db: asyncpg.Connection
) -> None:
    await hanging.cancel()
    await until(lambda: in_flight(simulator) == 0, within_s=20)

    async def settled() -> bool:
        return (await attempt(penstock, hanging.job_id))["duration_ms"] is not None

    await until(settled, within_s=20)
    call = await attempt(penstock, hanging.job_id)
    assert (call["state"], call["error_kind"]) == (AttemptState.ABANDONED, "interrupted")
    assert call["error_message"] == "the job had ended while the call was under way"
    assert (await hanging.result(timeout_s=20)).cost_usd == call["cost_usd"]
    assert await db.fetchval("select sum(abandoned) from penstock.usage_hours") == 1


async def test_cancelled_running_job_makes_room_for_the_next(
    penstock: Penstock, simulator: Simulator, hanging: Handle, index: ProviderIndex
) -> None:
    simulator.faults.clear()
    await hanging.cancel()
    began = time.monotonic()
    result = await (await penstock.submit(JOB)).result(timeout_s=10)
    assert result.ok
    assert time.monotonic() - began < 3
    redis: Any = index._redis
    assert await redis.hgetall(f"{index.keys.base}held") == {}
    assert await redis.exists(index.keys.stopping) == 0
    assert await redis.hget(f"{index.keys.base}b:model:gpt-4o-mini|concurrency/0", "used") == b"0"


async def test_cancelled_running_job_gives_back_what_it_held_of_the_budget(
    penstock: Penstock, hanging: Handle, db: asyncpg.Connection
) -> None:
    query = "select tokens_held, tokens_used_this_month from penstock.llm_configs"
    held, used = await db.fetchrow(query)
    assert (held > 0, used) == (True, 0)
    await hanging.cancel()
    assert tuple(await db.fetchrow(query)) == (0, held)


async def test_job_is_cancelled_once(hanging: Handle) -> None:
    assert await hanging.cancel() is JobState.CANCELLED
    first = await hanging.result(timeout_s=20)
    assert await hanging.cancel() is JobState.CANCELLED
    assert await hanging.result(timeout_s=20) == first


async def test_job_that_succeeded_says_so_when_it_is_cancelled(
    penstock: Penstock, work_for: Callable[..., Awaitable[None]]
) -> None:
    await work_for("openai")
    handle = await penstock.submit(JOB)
    result = await handle.result(timeout_s=10)
    assert await handle.cancel() is JobState.SUCCEEDED
    assert await handle.result(timeout_s=20) == result


async def test_unknown_job_is_not_cancelled_and_nothing_else_either(penstock: Penstock) -> None:
    handle = await penstock.submit(JOB)
    unknown = JobId("0197c1b2-9d3e-7f00-8a52-1c0de5a7b9e4")
    with pytest.raises(UnknownJob):
        await penstock.cancel_many([handle.job_id, unknown])
    (row,) = await penstock.jobs("acme")
    assert row.state is JobState.QUEUED


async def test_job_that_was_cancelled_while_it_ran_runs_again_when_it_is_requeued(
    penstock: Penstock, simulator: Simulator, hanging: Handle
) -> None:
    await hanging.cancel()
    simulator.faults.clear()
    await penstock.requeue([hanging.job_id])  # its first call may still be under way
    result = await hanging.result(timeout_s=20)
    assert (result.ok, result.attempts) == (True, 2)
    assert (await attempt(penstock, hanging.job_id))["state"] == AttemptState.ABANDONED


async def test_stream_of_a_cancelled_job_ends(penstock: Penstock) -> None:
    handle = await penstock.submit(JOB.model_copy(update={"stream": True}))

    async def read() -> list[object]:
        return [delta async for delta in handle.stream()]

    reading = asyncio.create_task(read())
    await handle.cancel()
    assert await asyncio.wait_for(reading, 5) == []


async def test_many_jobs_are_cancelled_whether_they_wait_or_run(
    penstock: Penstock, simulator: Simulator, hanging: Handle
) -> None:
    waiting = await penstock.submit_many([JOB] * 20)
    states = await penstock.cancel_many([handle.job_id for handle in (*waiting, hanging)])
    assert set(states.values()) == {JobState.CANCELLED}
    assert len(states) == 21
    await until(lambda: in_flight(simulator) == 0, within_s=20)
    assert simulator.stats()["calls"] == 1


async def test_worker_that_is_not_told_finds_out_when_it_settles(
    penstock: Penstock, hanging: Handle, db: asyncpg.Connection
) -> None:
    away = redis_pool(penstock.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    there, penstock._redis = penstock._redis, away
    try:
        assert await hanging.cancel() is JobState.CANCELLED
    finally:
        penstock._redis = there
        await close_redis(away)
    result = await hanging.result(timeout_s=10)
    assert result.status is JobState.CANCELLED
    assert (await attempt(penstock, hanging.job_id))["state"] == AttemptState.ABANDONED

    async def settled() -> bool:
        return (await attempt(penstock, hanging.job_id))["state"] == AttemptState.SUCCEEDED

    await until(settled)
    assert await penstock.result(hanging.job_id, timeout_s=20) == result
    call = await attempt(penstock, hanging.job_id)
    used = "select tokens_used_this_month from penstock.llm_configs"
    assert await db.fetchval(used) == call["input_tokens"] + call["output_tokens"]
