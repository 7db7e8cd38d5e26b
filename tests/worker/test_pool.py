"""A running worker: drains when stopped, outlives its servers, gives up on poison."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import asyncpg
import pytest
from arq.connections import ArqRedis

from penstock_client import Penstock
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.execute import Executor
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from tests.index.looking import contents, lapse_all, until
from tests.worker.running import (
    PROVIDER,
    Servers,
    attempts_of,
    called,
    catch_worker,
    shorten_leases,
    start_and_vanish,
    tickets,
)


async def _jobs(penstock: Penstock) -> list[asyncpg.Record]:
    async with penstock.ledger.pool.acquire() as connection:
        return await connection.fetch("select * from penstock.jobs")


async def test_stopped_worker_ends_what_it_sent_and_leaves_the_rest(
    penstock: Penstock, simulator: Simulator, work_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = catch_worker(monkeypatch)
    simulator.latency.set("*", latency_ms=400, jitter_ms=0)
    await work_for(PROVIDER, concurrency=20)
    handles = await penstock.submit_many(tickets(50))
    await called(simulator, 20)
    workers[0].handle_sig_wait_for_completion(signal.SIGTERM)
    await asyncio.wait_for(asyncio.wait([workers[0].main_task]), timeout=5)
    jobs = await _jobs(penstock)
    assert (
        sorted(job["state"] for job in jobs) == [JobState.QUEUED] * 30 + [JobState.SUCCEEDED] * 20
    )
    assert simulator.stats()["calls"] == 20
    await work_for(PROVIDER, concurrency=50)
    results = await asyncio.gather(*(handle.result(timeout_s=10) for handle in handles))
    assert {result.attempts for result in results} == {1}


async def test_stopped_worker_returns_what_it_had_not_sent_without_a_charge(
    penstock: Penstock,
    index: ProviderIndex,
    redis: ArqRedis,
    simulator: Simulator,
    work_for,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers = catch_worker(monkeypatch)
    go, opened = asyncio.Event(), []
    run = Executor._run

    async def held_back(self: Executor, attempt: Any, *rest: Any) -> Any:
        opened.append(attempt)
        await go.wait()
        return await run(self, attempt, *rest)

    monkeypatch.setattr(Executor, "_run", held_back)
    await work_for(PROVIDER, concurrency=10)
    handles = await penstock.submit_many(tickets(10))

    async def all_opened() -> bool:
        return len(opened) == 10

    await until(all_opened)
    workers[0].handle_sig_wait_for_completion(signal.SIGTERM)
    go.set()
    await asyncio.wait_for(asyncio.wait([workers[0].main_task]), timeout=5)
    for job in await _jobs(penstock):
        assert (job["state"], job["tries"], job["fence"]) == (JobState.QUEUED, 0, None)
    for handle in handles:
        (attempt,) = await attempts_of(penstock, handle.job_id)
        assert attempt["state"] == AttemptState.RETURNED
    assert simulator.stats()["calls"] == 0
    left = await contents(redis, index)
    assert (left.held, [len(queue) for queue in left.queues.values()]) == ({}, [10])


async def test_cut_off_calls_are_recorded_as_possibly_paid(
    penstock: Penstock, simulator: Simulator, work_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = catch_worker(monkeypatch)
    simulator.latency.set("*", latency_ms=60_000, jitter_ms=0)
    await work_for(PROVIDER, concurrency=5)
    handles = await penstock.submit_many(tickets(5))
    await called(simulator, 5)
    workers[0].handle_sig(signal.SIGTERM)
    await asyncio.wait_for(asyncio.wait([workers[0].main_task]), timeout=5)
    for handle in handles:
        (attempt,) = await attempts_of(penstock, handle.job_id)
        assert (attempt["state"], attempt["estimated"]) == (AttemptState.ABANDONED, True)
        assert attempt["cost_usd"] > 0
    assert {(job["state"], job["tries"]) for job in await _jobs(penstock)} == {(JobState.QUEUED, 0)}


@pytest.mark.parametrize("server", ["redis", "postgres"])
async def test_worker_outlives_a_killed_server(
    penstock: Penstock,
    servers: Servers,
    simulator: Simulator,
    work_for,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
) -> None:
    shorten_leases(monkeypatch)
    simulator.latency.set("*", latency_ms=50, jitter_ms=20)
    await work_for(PROVIDER, concurrency=20)
    await penstock.ledger.pool.execute("checkpoint")  # other tests' writes are not to be replayed
    handles = await penstock.submit_many(tickets(400))
    async with asyncio.timeout(10):
        while simulator.stats()["calls"] < 100:
            await asyncio.sleep(0.01)
    servers.kill(server)
    results = await asyncio.gather(*(handle.result(timeout_s=30) for handle in handles))
    assert all(result.ok for result in results)
    assert simulator.stats()["repeated_calls"] == 0
    assert simulator.stats()["calls"] == 400


async def test_job_whose_worker_was_lost_three_times_is_not_started_again(
    penstock: Penstock,
    redis: ArqRedis,
    index: ProviderIndex,
    simulator: Simulator,
    work_for,
) -> None:
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    (handle,) = await penstock.submit_many(tickets(1))
    for _ in range(3):
        await start_and_vanish(index, penstock.ledger)
        await lapse_all(redis, index)
    await work_for(PROVIDER)
    result = await handle.result(timeout_s=10)
    assert (result.status, result.error.kind) == (JobState.FAILED, ErrorKind.POISON)
    assert simulator.stats()["calls"] == 0
    states = [attempt["state"] for attempt in await attempts_of(penstock, handle.job_id)]
    assert states == [AttemptState.ABANDONED] * 3 + [AttemptState.RETURNED]


async def test_job_whose_worker_was_lost_twice_is_started_again(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, work_for
) -> None:
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    (handle,) = await penstock.submit_many(tickets(1))
    for _ in range(2):
        await start_and_vanish(index, penstock.ledger)
        await lapse_all(redis, index)
    await work_for(PROVIDER)
    result = await handle.result(timeout_s=10)
    assert (result.ok, result.attempts) == (True, 3)


async def test_failed_call_is_tried_again_by_the_same_worker(
    penstock: Penstock, simulator: Simulator, work_for
) -> None:
    simulator.faults.add(Fault(kind="status", status=500, count=3))
    await work_for(PROVIDER)
    handles = await penstock.submit_many(tickets(10))
    results = await asyncio.gather(*(handle.result(timeout_s=10) for handle in handles))
    assert all(result.ok for result in results)
    assert simulator.stats()["calls"] == 13
