"""Awaiting: many at once on one connection, by any client, whatever is lost meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from arq.connections import ArqRedis

from penstock_client import Classify, Penstock, Settings
from penstock_client.handle import Handle
from penstock_schemas.errors import ResultTimeout, UnknownJob
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.results import Result
from penstock_schemas.status import JobState
from penstock_worker.admission.index import CACHED_RESULT_BYTES, Done, ProviderIndex
from penstock_worker.attempts import open_attempts, settle
from tests.index.looking import until
from tests.ledger.making import new_job, settlement_of

PROVIDER = "fireworks"


@pytest.fixture
async def index(redis: ArqRedis, penstock: Penstock) -> ProviderIndex:
    """The open index of the provider that the jobs here are placed at."""
    opened = ProviderIndex(redis, PROVIDER)
    await opened.finish_rebuild(await opened.begin_rebuild("e1"))
    return opened


async def _submit(penstock: Penstock, count: int = 1) -> list[Handle]:
    jobs = [Classify(workspace="acme", text="refund", labels=("a", "b")) for _ in range(count)]
    return await penstock.submit_many(jobs)


async def _end(
    penstock: Penstock,
    index: ProviderIndex,
    count: int = 1,
    *,
    text: str = "yes",
    tell: bool = True,
) -> None:
    """Do a worker's part for the next jobs; without `tell` only the record knows."""
    leases: Sequence = (await index.claim(count)).leases
    assert len(leases) == count
    opened = (await open_attempts(penstock.ledger, leases, provider=PROVIDER, worker="w")).attempts
    settlements, releases = [], []
    for attempt in opened:
        result = Result(
            job_id=JobId(attempt.job_id),
            workspace=WorkspaceId("acme"),
            status=JobState.SUCCEEDED,
            text=text,
        ).encode()
        job = new_job(job_id=UUID(attempt.job_id), provider=PROVIDER)
        settlements.append(settlement_of(job, fence=attempt.lease.fence, result=result))
        releases.append(Done(attempt.lease, "acme", result))
    await settle(penstock.ledger, settlements)
    if tell:
        await index.release(releases)


async def _awaiting(penstock: Penstock, handles: Sequence[Handle]) -> list[asyncio.Task[Result]]:
    tasks = [asyncio.create_task(handle.result(timeout_s=30)) for handle in handles]

    async def all_wait() -> bool:
        return len(penstock._waiter._awaited) == len(handles)

    await until(all_wait)
    return tasks


@pytest.mark.slow
async def test_20000_awaits_share_one_connection(
    penstock: Penstock, index: ProviderIndex, redis: ArqRedis
) -> None:
    before = len(await redis.client_list())
    handles = await _submit(penstock, 20_000)
    tasks = await _awaiting(penstock, handles)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(20):
        await _end(penstock, index, 1000)
    results = await asyncio.gather(*tasks)
    assert loop.time() - began < 15
    assert {result.job_id for result in results} == {handle.job_id for handle in handles}
    subscribers = [each for each in await redis.client_list() if each["sub"] != "0"]
    assert len(subscribers) == 1
    assert len(await redis.client_list()) - before < 16
    assert penstock._waiter._awaited == {}


@pytest.mark.parametrize("size", [10, CACHED_RESULT_BYTES + 1])
async def test_result_comes_at_once_whether_it_is_cached_or_too_large(
    penstock: Penstock, index: ProviderIndex, redis: ArqRedis, size: int
) -> None:
    (handle,) = await _submit(penstock)
    (task,) = await _awaiting(penstock, [handle])
    await _end(penstock, index, text="x" * size)
    result = await asyncio.wait_for(task, timeout=2)  # sooner than the safety re-check
    assert len(result.text) == size
    cached = await redis.get(index.keys.result(handle.job_id))
    assert (cached is not None) is (size < CACHED_RESULT_BYTES)


async def test_result_that_was_there_before_comes_from_cache_or_record(
    penstock: Penstock, index: ProviderIndex, redis: ArqRedis
) -> None:
    handles = await _submit(penstock, 2)
    await _end(penstock, index, 2)
    assert (await handles[0].result(timeout_s=20)).ok
    await redis.flushall()
    async with Penstock.connect(settings=penstock.settings) as other:
        assert (await other.result(handles[1].job_id, timeout_s=20)).ok


async def test_result_by_id_comes_to_a_client_that_asked_before_the_end(
    penstock: Penstock, index: ProviderIndex, empty: Settings
) -> None:
    (handle,) = await _submit(penstock)
    async with Penstock.connect(settings=empty) as other:
        task = asyncio.create_task(other.result(handle.job_id, timeout_s=10))

        async def listens() -> bool:
            channels = other._waiter._channels.values()
            return bool(channels) and all(confirmed.done() for confirmed in channels)

        await until(listens)
        await _end(penstock, index)
        assert (await asyncio.wait_for(task, timeout=2)).ok


async def test_result_of_an_unknown_id_is_refused(penstock: Penstock) -> None:
    with pytest.raises(UnknownJob):
        await penstock.result(str(new_job().job_id), timeout_s=20)


async def test_result_that_does_not_come_ends_in_a_timeout_and_the_job_goes_on(
    penstock: Penstock, index: ProviderIndex
) -> None:
    (handle,) = await _submit(penstock)
    with pytest.raises(ResultTimeout):
        await handle.result(timeout_s=0.05)
    await _end(penstock, index)
    assert (await handle.result(timeout_s=20)).ok


async def test_two_tasks_may_await_one_job(penstock: Penstock, index: ProviderIndex) -> None:
    (handle,) = await _submit(penstock)
    tasks = await _awaiting(penstock, [handle])
    tasks.append(asyncio.create_task(handle.result(timeout_s=10)))
    impatient = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    impatient.cancel()
    await _end(penstock, index)
    assert [result.ok for result in await asyncio.gather(*tasks)] == [True, True]


async def test_message_lost_with_its_subscription_is_made_up_for(
    penstock: Penstock, index: ProviderIndex, redis: ArqRedis
) -> None:
    handles = await _submit(penstock, 2)
    tasks = await _awaiting(penstock, handles)
    await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await _end(penstock, index)  # told while nobody listens
    done, _ = await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1

    async def listens() -> bool:
        return any(each["sub"] != "0" for each in await redis.client_list())

    await until(listens)
    await _end(penstock, index)
    results = await asyncio.wait_for(asyncio.gather(*tasks), timeout=2.5)
    assert all(result.ok for result in results)


async def test_result_that_nobody_announced_is_found_in_the_record(
    penstock: Penstock, index: ProviderIndex
) -> None:
    (handle,) = await _submit(penstock)
    (task,) = await _awaiting(penstock, [handle])
    await _end(penstock, index, tell=False)
    assert (await asyncio.wait_for(task, timeout=8)).ok
