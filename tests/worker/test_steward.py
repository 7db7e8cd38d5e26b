"""The steward: rebuilds a lost index, indexes what was left behind, ends what is late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from arq.connections import ArqRedis

from penstock_client import Penstock, Settings
from penstock_schemas.errors import ResultTimeout
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_worker import steward as steward_module
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.attempts import Settlement
from penstock_worker.compose import run_steward
from penstock_worker.simulator.server import Simulator
from penstock_worker.stash import encode_settlements
from tests.conftest import in_background
from tests.index.looking import contents, lapse_all, until
from tests.ledger.making import new_job, result_of, settlement_of
from tests.worker.running import (
    PROVIDER,
    Servers,
    attempts_of,
    called,
    shorten_leases,
    start_and_vanish,
    tickets,
)


async def _open(index: ProviderIndex) -> bool:
    return await index.state() == "open"


async def test_rebuild_starts_no_call_twice_and_ends_when_all_leases_are_shown(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, simulator: Simulator, work_for
) -> None:
    simulator.latency.set("*", latency_ms=3000, jitter_ms=0)
    await work_for(PROVIDER, concurrency=30)
    handles = await penstock.submit_many(tickets(50))
    await called(simulator, 30)
    await redis.flushall()
    await until(lambda: _open(index), within_s=8)  # long before a lease is over
    assert simulator.stats()["calls"] == 30
    simulator.latency.set("*", latency_ms=0, jitter_ms=0)
    results = await asyncio.gather(*(handle.result(timeout_s=20) for handle in handles))
    assert [result.attempts for result in results] == [1] * 50
    assert simulator.stats()["calls"] == 50


async def test_rebuild_runs_again_what_a_lost_worker_had_begun(
    penstock: Penstock,
    redis: ArqRedis,
    index: ProviderIndex,
    work_for,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_leases(monkeypatch, lease_s=1.0)
    await until(lambda: _open(index))
    (handle,) = await penstock.submit_many(tickets(1))
    await start_and_vanish(index, penstock.ledger)
    await redis.flushall()
    await work_for(PROVIDER)
    result = await handle.result(timeout_s=15)
    assert (result.ok, result.attempts) == (True, 2)
    lost, good = await attempts_of(penstock, handle.job_id)
    assert (lost["state"], lost["worker"]) == (AttemptState.ABANDONED, "lost")
    assert lost["cost_usd"] > 0
    assert good["state"] == AttemptState.SUCCEEDED


async def test_rebuild_does_not_wait_a_lease_for_what_a_lost_worker_had_begun(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, work_for
) -> None:
    await until(lambda: _open(index))
    (lost,) = await penstock.submit_many(tickets(1))
    await start_and_vanish(index, penstock.ledger)
    await work_for(PROVIDER)
    await redis.flushall()
    other = await penstock.submit(tickets(1)[0])
    assert (await other.result(timeout_s=6)).ok
    with pytest.raises(ResultTimeout):  # its call may still be under way
        await lost.result(timeout_s=0.5)


async def test_rebuild_brings_back_everything_that_waits(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, steward: None
) -> None:
    await until(lambda: _open(index))
    handles = await penstock.submit_many(tickets(2500))
    await redis.flushall()
    await until(lambda: _open(index))
    (queue,) = (await contents(redis, index)).queues.values()
    assert {str(UUID(bytes=entry[:16])) for entry in queue} == {each.job_id for each in handles}


async def test_submissions_left_behind_are_indexed(penstock: Penstock, work_for, empty) -> None:
    await work_for(PROVIDER)
    connection = await asyncpg.connect(empty.require_database())
    async with connection.transaction():
        handle = await penstock.submit(tickets(1)[0], connection=connection)
    assert (await handle.result(timeout_s=10)).ok
    assert await connection.fetchval("select count(*) from penstock.submissions") == 0
    await connection.close()


async def test_deadline_gives_its_result_to_who_awaits_it(
    penstock: Penstock, steward: None
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=0.5)
    (handle,) = await penstock.submit_many(tickets(1, deadline=deadline))
    result = await handle.result(timeout_s=20)
    assert (result.status, result.error.kind) == (JobState.EXPIRED, ErrorKind.EXPIRED)
    async with Penstock.connect(settings=penstock.settings) as other:
        assert (await other.result(handle.job_id, timeout_s=20)).status is JobState.EXPIRED


async def test_expired_job_is_not_started_by_a_worker_that_comes_later(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=0.3)
    (late,) = await penstock.submit_many(tickets(1, deadline=deadline))
    assert (await late.result(timeout_s=20)).status is JobState.EXPIRED
    (marker,) = await penstock.submit_many(tickets(1))
    await work_for(PROVIDER)
    await marker.result(timeout_s=10)
    assert simulator.stats()["calls"] == 1


async def test_answers_that_meet_no_postgres_are_settled_when_it_returns(
    penstock: Penstock,
    redis: ArqRedis,
    index: ProviderIndex,
    servers: Servers,
    simulator: Simulator,
    work_for,
) -> None:
    simulator.latency.set("*", latency_ms=1000, jitter_ms=0)
    await work_for(PROVIDER, concurrency=20)
    handles = await penstock.submit_many(tickets(20))
    await called(simulator, 20)
    await servers.stop_postgres()
    try:
        await until(lambda: redis.xlen(index.keys.unsettled))
    finally:
        await servers.start_postgres()
    results = await asyncio.gather(*(handle.result(timeout_s=20) for handle in handles))
    assert all(result.ok and result.attempts == 1 for result in results)
    assert simulator.stats()["calls"] == 20

    async def settled() -> bool:
        return not await redis.xlen(index.keys.unsettled)

    await until(settled)


async def test_stash_of_a_lost_worker_is_settled_by_the_steward(
    penstock: Penstock,
    empty: Settings,
    redis: ArqRedis,
    index: ProviderIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steward_module, "_STASH_S", 0.1)
    monkeypatch.setattr(steward_module, "_STASH_AGE_MS", 0)
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    (handle,) = await penstock.submit_many(tickets(1))
    (attempt,) = await start_and_vanish(index, penstock.ledger)
    stashed = _success(attempt.lease.fence, handle.job_id)
    await index.stash(encode_settlements([stashed]), [attempt.lease], hold_ms=60_000)
    awaiting = asyncio.create_task(handle.result(timeout_s=10))
    async with in_background(run_steward(empty, handle_signals=False)):
        assert (await awaiting).text == "stashed"

        async def tidy() -> bool:
            left = await contents(redis, index)
            return not left.held and not await redis.xlen(index.keys.unsettled)

        await until(tidy)


async def test_stash_of_a_job_that_was_started_anew_does_not_keep_it_from_its_turn(
    penstock: Penstock,
    empty: Settings,
    index: ProviderIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steward_module, "_STASH_S", 0.1)
    monkeypatch.setattr(steward_module, "_STASH_AGE_MS", 0)
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    (handle,) = await penstock.submit_many(tickets(1))
    (attempt,) = await start_and_vanish(index, penstock.ledger)
    await handle.cancel()
    await penstock.requeue([handle.job_id])
    assert (await index.claim(1)).leases == ()  # its first lease still stands
    failed = replace(
        _success(attempt.lease.fence, handle.job_id),
        attempt_state=AttemptState.FAILED,
        state=JobState.FAILED,
        error_kind=ErrorKind.INVALID_REQUEST,
    )
    await index.stash(encode_settlements([failed]), [attempt.lease], hold_ms=60_000)
    async with in_background(run_steward(empty, handle_signals=False)):

        async def offered() -> bool:
            return bool((await index.claim(1)).leases)

        await until(offered)


async def test_stash_holds_its_leases(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex
) -> None:
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    (handle,) = await penstock.submit_many(tickets(1))
    (attempt,) = await start_and_vanish(index, penstock.ledger)
    await lapse_all(redis, index)
    stashed = _success(attempt.lease.fence, handle.job_id)
    await index.stash(encode_settlements([stashed]), [attempt.lease], hold_ms=60_000)
    assert (await index.claim(1)).leases == ()


def _success(fence: int, job_id: str) -> Settlement:
    job = new_job(job_id=UUID(job_id), provider=PROVIDER)
    return replace(settlement_of(job, fence=fence), result=result_of(job, "stashed"))
