"""Calls of COMPUTE functions: who may make one, and what becomes of those of a lost worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix

from penstock_client import Penstock, RunHandle, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_schemas.keys import ComputeKeys
from penstock_worker.pipelines.call_ledger import CallLedger, Place
from penstock_worker.pipelines.call_queue import MOST_CRASHES
from penstock_worker.pipelines.compute_process import run_compute
from tests.conftest import in_background
from tests.pipelines import functions
from tests.pipelines.declaring import MODULE, call, skill

QUEUE = ComputeKeys(MODULE).queue


@pytest.fixture
async def redis(empty: Settings) -> AsyncIterator[ArqRedis]:
    pool = redis_pool(empty)
    yield pool
    await close_redis(pool)


@pytest.fixture
async def handle(penstock: Penstock, steward: None, redis: ArqRedis) -> RunHandle:
    """A run whose call stands in its queue; no worker is there."""
    functions.CALLS.clear()
    functions.GATE.clear()
    declared = skill(call("held", "held", arguments={"of": "x"}))
    started = await penstock.runs.start(declared, workspace="acme")
    await _until(redis, 1)
    return started


async def _until(redis: ArqRedis, entries: int) -> None:
    async with asyncio.timeout(10):
        while await redis.zcard(QUEUE) != entries:
            await asyncio.sleep(0.01)


async def _lapse(penstock: Penstock) -> None:
    """Let the time come at which a steward looks at the call again."""
    await penstock.ledger.pool.execute(
        "update penstock.run_items set due_at = now() where due_at is not null"
    )


def worker(settings: Settings) -> Any:
    """A worker of the functions of these tests, until the block ends."""
    return in_background(run_compute(settings, [MODULE], drain_s=0.1, handle_signals=False))


def place(handle: RunHandle, starts: int = 0) -> Place:
    return Place(UUID(handle.run_id), 0, 0, starts)


async def test_call_is_claimed_by_one_worker_only(handle: RunHandle, penstock: Penstock) -> None:
    ledgers = [CallLedger(penstock.ledger) for _ in range(8)]
    claims = await asyncio.gather(*(ledger.claim(place(handle)) for ledger in ledgers))
    assert len([claim for claim in claims if claim is not None]) == 1


async def test_call_of_a_lost_worker_runs_again(
    handle: RunHandle, penstock: Penstock, empty: Settings
) -> None:
    assert await CallLedger(penstock.ledger).claim(place(handle)) is not None
    await _lapse(penstock)
    functions.GATE.set()
    async with worker(empty):
        assert (await handle.result(timeout_s=10)).output == "x"
    (item,) = await penstock.runs.items(handle.run_id, "held")
    assert item.starts == 2


async def test_call_that_a_lost_worker_had_taken_from_the_queue_is_not_stuck(
    handle: RunHandle, penstock: Penstock, empty: Settings, redis: ArqRedis
) -> None:
    (entry,) = await redis.zrange(QUEUE, 0, -1)
    await redis.set(in_progress_key_prefix + entry.decode(), b"1")
    await _lapse(penstock)
    functions.GATE.set()
    async with worker(empty):
        assert (await handle.result(timeout_s=10)).output == "x"


async def test_late_end_counts_while_nobody_else_has_started_it(
    handle: RunHandle, penstock: Penstock
) -> None:
    ledger = CallLedger(penstock.ledger)
    call_of_ours = await ledger.claim(place(handle))
    assert call_of_ours is not None
    await penstock.ledger.fetch("call_due", 10)
    await _lapse(penstock)
    await penstock.ledger.fetch("call_due", 10)
    assert await ledger.done(call_of_ours, b'"late"')
    assert (await handle.result(timeout_s=10)).output == "late"


async def test_late_end_does_not_count_once_another_has_started_it(
    handle: RunHandle, penstock: Penstock
) -> None:
    ledger = CallLedger(penstock.ledger)
    first = await ledger.claim(place(handle))
    assert first is not None
    await _lapse(penstock)
    async with asyncio.timeout(10):
        while (second := await ledger.claim(place(handle, 1))) is None:
            await asyncio.sleep(0.01)
    assert not await ledger.done(first, b'"late"')
    assert await ledger.renew([first, second]) == {second.fence}
    assert await ledger.done(second, b'"in time"')
    assert not await ledger.done(second, b'"twice"')
    assert (await handle.result(timeout_s=10)).output == "in time"


async def test_call_that_loses_its_workers_fails(handle: RunHandle, penstock: Penstock) -> None:
    ledger = CallLedger(penstock.ledger)
    for start in range(MOST_CRASHES):
        async with asyncio.timeout(10):
            while await ledger.claim(place(handle, start)) is None:
                await asyncio.sleep(0.01)
        await _lapse(penstock)
    result = await handle.result(timeout_s=10)
    assert result.error == (
        f"step held failed: its worker was lost 3 times while it ran {MODULE}:held"
    )


async def test_stopped_worker_gives_its_call_back(
    handle: RunHandle, penstock: Penstock, empty: Settings
) -> None:
    async with worker(empty):
        async with asyncio.timeout(10):
            while ("held", "x") not in functions.CALLS:
                await asyncio.sleep(0.01)
    row = await penstock.ledger.pool.fetchrow(
        "select fence, tries, crashes from penstock.run_items"
    )
    assert tuple(row) == (None, 0, 0)
    functions.GATE.set()
    async with worker(empty):
        assert (await handle.result(timeout_s=10)).output == "x"


async def test_calls_wait_while_redis_has_forgotten_them_and_come_back(
    handle: RunHandle, penstock: Penstock, redis: ArqRedis
) -> None:
    await redis.flushall()
    await _lapse(penstock)
    await _until(redis, 1)
