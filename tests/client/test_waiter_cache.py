"""Results that are told of and cached, on a Redis in this process with a record in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from arq.connections import ArqRedis
from fakeredis import FakeServer
from fakeredis.aioredis import FakeAsyncRedisConnection
from pydantic import BaseModel
from redis.asyncio import BlockingConnectionPool

from penstock_client import Result, UnknownJob
from penstock_client.waiting import Waiter, decode_result
from penstock_schemas.ids import WorkspaceId
from penstock_schemas.keys import ProviderKeys, done_channel
from penstock_schemas.status import JobState

KEYS = ProviderKeys("openai")


class Record:
    """The ledger's answers to one question: how jobs stand."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, tuple[JobState, WorkspaceId, bytes | None]] = {}
        self.asked: list[list[UUID]] = []

    async def results(self, job_ids: Sequence[UUID]) -> dict[UUID, Any]:
        self.asked.append(list(job_ids))
        return {job_id: self.jobs[job_id] for job_id in job_ids if job_id in self.jobs}

    def add(self, job_id: str, body: bytes | None) -> None:
        state = JobState.SUCCEEDED if body else JobState.RUNNING
        self.jobs[UUID(job_id)] = (state, WorkspaceId("acme"), body)


@pytest.fixture
async def redis() -> AsyncIterator[ArqRedis]:
    """A pool on a Redis in memory."""
    server = FakeServer()
    pool = BlockingConnectionPool(connection_class=FakeAsyncRedisConnection, server=server)
    client = ArqRedis(pool)
    yield client
    await client.aclose(close_connection_pool=True)


@pytest.fixture
def record() -> Record:
    """An empty record."""
    return Record()


@pytest.fixture
async def waiter(redis: ArqRedis, record: Record) -> AsyncIterator[Waiter]:
    """A waiter that listens to `acme`."""
    running = Waiter(redis, record)  # type: ignore[arg-type]
    await running.start()
    await running.listen_to("acme")
    yield running
    await running.close()


async def end(redis: ArqRedis, *job_ids: str) -> None:
    """What a worker tells when jobs have ended."""
    await redis.publish(done_channel("acme"), " ".join(["openai", *job_ids]))


async def soon(task: asyncio.Future[bytes]) -> bytes:
    done, _ = await asyncio.wait([task], timeout=2)
    assert done and not task.cancelled()
    return task.result()


async def test_waiter_gives_what_is_cached_without_asking_the_record(
    redis: ArqRedis, record: Record, waiter: Waiter
) -> None:
    job_id = str(uuid4())
    await redis.set(KEYS.result(job_id), b"cached")
    assert await soon(asyncio.ensure_future(waiter.body_of(job_id, "openai"))) == b"cached"
    assert record.asked == []


async def test_waiter_gives_a_result_when_it_is_told_of(redis: ArqRedis, waiter: Waiter) -> None:
    job_ids = [str(uuid4()) for _ in range(3)]
    tasks = [asyncio.ensure_future(waiter.body_of(job_id, "openai")) for job_id in job_ids]
    done, _ = await asyncio.wait(tasks, timeout=0.05)
    assert not done
    for job_id in job_ids:
        await redis.set(KEYS.result(job_id), job_id)
    await end(redis, *job_ids)
    assert [await soon(task) for task in tasks] == [job_id.encode() for job_id in job_ids]


async def test_waiter_asks_the_record_for_an_ended_job_that_is_not_cached(
    redis: ArqRedis, record: Record, waiter: Waiter
) -> None:
    job_id = str(uuid4())
    task = asyncio.ensure_future(waiter.body_of(job_id, "openai"))
    await asyncio.wait([task], timeout=0.05)
    record.add(job_id, b"recorded")
    await end(redis, job_id)
    assert await soon(task) == b"recorded"


async def test_waiter_gives_one_result_to_all_who_await_it(redis: ArqRedis, waiter: Waiter) -> None:
    job_id = str(uuid4())
    await redis.set(KEYS.result(job_id), b"cached")
    both = [asyncio.ensure_future(waiter.body_of(job_id, "openai")) for _ in range(2)]
    assert [await soon(task) for task in both] == [b"cached", b"cached"]


async def test_waiter_given_up_by_one_goes_on_for_the_other(
    redis: ArqRedis, waiter: Waiter
) -> None:
    job_id = str(uuid4())
    gone, stays = (asyncio.ensure_future(waiter.body_of(job_id, "openai")) for _ in range(2))
    await asyncio.wait([gone, stays], timeout=0.05)
    gone.cancel()
    await asyncio.wait([gone])
    await redis.set(KEYS.result(job_id), b"cached")
    await end(redis, job_id)
    assert await soon(stays) == b"cached"


async def test_waiter_by_id_refuses_a_job_that_does_not_exist(waiter: Waiter) -> None:
    with pytest.raises(UnknownJob):
        await soon(asyncio.ensure_future(waiter.body_of(str(uuid4()), None)))


async def test_waiter_by_id_gathers_looks_into_one_query(record: Record, waiter: Waiter) -> None:
    job_ids = [str(uuid4()) for _ in range(20)]
    for job_id in job_ids:
        record.add(job_id, job_id.encode())
    tasks = [asyncio.ensure_future(waiter.body_of(job_id, None)) for job_id in job_ids]
    assert [await soon(task) for task in tasks] == [job_id.encode() for job_id in job_ids]
    assert [len(asked) for asked in record.asked] == [20]


# What a stored result becomes.


class Order(BaseModel):
    """A typed schema."""

    number: str


def stored(output: Any) -> bytes:
    fields = {"job_id": "j", "workspace": "acme", "status": "succeeded", "output": output}
    return Result.model_validate(fields).encode()


def test_decoded_result_has_an_instance_where_a_type_was_given() -> None:
    assert decode_result(stored({"number": "A-1"}), Order).output == Order(number="A-1")


def test_decoded_result_has_plain_json_where_no_type_was_given() -> None:
    assert decode_result(stored({"number": "A-1"}), None).output == {"number": "A-1"}


def test_decoded_result_without_output_needs_no_instance() -> None:
    assert decode_result(stored(None), Order).output is None


def test_decoded_result_keeps_an_output_that_its_model_refuses_with_a_warning() -> None:
    result = decode_result(stored({"number": None}), Order)
    assert result.output == {"number": None}
    assert result.warnings[0].startswith("output: Order refuses it")
