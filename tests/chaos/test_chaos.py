"""Single faults under load, with real processes: nothing is lost and no call is made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock_schemas.status import AttemptState, ErrorKind
from penstock_worker.leases import LEASE_S
from tests.chaos.stack import ChaosStack, running

pytestmark = pytest.mark.chaos

ROWS = 1500


@pytest.fixture
async def chaos(tmp_path: Path) -> AsyncIterator[ChaosStack]:
    """A running stack without workers."""
    async with ChaosStack(tmp_path) as started:
        yield started


async def _called_once_each(chaos: ChaosStack) -> None:
    stats = await chaos.stats()
    assert (stats["calls"], stats["repeated_calls"]) == (ROWS, 0)
    states = await chaos.query("select state, count(*) from penstock.attempts group by 1")
    counts = dict(tuple(row) for row in states)
    assert counts[AttemptState.SUCCEEDED] == ROWS


async def test_killed_worker_costs_no_row_and_its_calls_are_accounted_for(
    chaos: ChaosStack,
) -> None:
    doomed, _ = await chaos.worker(concurrency=50), await chaos.worker(concurrency=50)
    async with running(chaos, ROWS) as run:
        await run.reach(1 / 3)
        killed_at = datetime.now(UTC)
        doomed.kill()
        await doomed.process.wait()
        lost = await chaos.query(
            "select job_id from penstock.attempts where state = $1 and worker like $2",
            AttemptState.OPEN,
            f"%:{doomed.process.pid}:%",
        )
        assert lost
        await run.results()
    again = await chaos.query(
        "select max(started_at) as last, count(*) as jobs from penstock.attempts "
        "where number = 2 and job_id = any($1)",
        [row["job_id"] for row in lost],
    )
    assert again[0]["jobs"] == len(lost)
    assert (again[0]["last"] - killed_at).total_seconds() <= LEASE_S + 2
    abandoned = await chaos.query(
        "select job_id from penstock.attempts where state = $1 and number = 1 "
        "and cost_usd > 0 and estimated",
        AttemptState.ABANDONED,
    )
    assert {row["job_id"] for row in abandoned} == {row["job_id"] for row in lost}
    usage = (await chaos.query("select count(*) from penstock.usage"))[0][0]
    stats = await chaos.stats()
    assert usage == ROWS + len(lost)
    # A call that was opened and not sent yet is accounted for as if it had been.
    assert usage - 10 <= stats["calls"] <= usage


async def test_flushed_redis_costs_no_row_and_repeats_no_call(chaos: ChaosStack) -> None:
    await chaos.worker(concurrency=100)
    async with running(chaos, ROWS) as run:
        await run.reach(1 / 3)
        async with chaos.redis() as redis:
            await redis.flushall()
        await run.results()
    await _called_once_each(chaos)


async def test_killed_redis_costs_no_row_and_repeats_no_call(chaos: ChaosStack) -> None:
    await chaos.worker(concurrency=100)
    async with running(chaos, ROWS) as run:
        await run.reach(1 / 3)
        await chaos.servers.kill_redis()
        await run.results()
    await _called_once_each(chaos)


async def test_restarted_postgres_costs_no_row_and_repeats_no_call(chaos: ChaosStack) -> None:
    await chaos.worker(concurrency=100)
    async with running(chaos, ROWS) as run:
        await run.reach(1 / 3)
        await chaos.servers.stop_postgres()
        await asyncio.sleep(2)  # how long it is away, not a wait for something
        await chaos.servers.start_postgres()
        await run.results()
    await _called_once_each(chaos)


async def test_killed_postgres_costs_no_row_and_repeats_no_call(chaos: ChaosStack) -> None:
    await chaos.worker(concurrency=100)
    async with running(chaos, ROWS) as run:
        await run.reach(1 / 3)
        await chaos.servers.kill_postgres()
        await run.results()
    await _called_once_each(chaos)


async def test_stopped_worker_loses_nothing_and_charges_nothing(chaos: ChaosStack) -> None:
    first = await chaos.worker(concurrency=100)
    async with running(chaos, ROWS) as run:
        await run.reach(1 / 3)
        assert await first.stop() == 0
        await chaos.worker(concurrency=100)
        await run.results()
    await _called_once_each(chaos)
    abandoned = await chaos.query(
        "select count(*) from penstock.attempts where state = $1", AttemptState.ABANDONED
    )
    assert abandoned[0][0] == 0


async def test_hard_budget_holds_while_workers_are_killed(chaos: ChaosStack) -> None:
    workers = [await chaos.worker(concurrency=100) for _ in range(3)]
    async with running(chaos, ROWS) as run:
        await run.reach(1 / 15)  # the lengths of answers are known
        await chaos.query(
            "update penstock.llm_configs set budget_mode = 'hard', "
            "default_token_budget = 6 * (tokens_used_this_month + tokens_held)"
        )
        for doomed, share in zip(workers, (0.15, 0.25), strict=False):
            await run.reach(share)
            doomed.kill()
            await doomed.process.wait()
        results = await run.ends()
    kinds = {result.error.kind for result in results if result.error is not None}
    assert kinds == {ErrorKind.BUDGET_EXCEEDED}
    row = (await chaos.query("select * from penstock.llm_configs"))[0]
    used, budget = row["tokens_used_this_month"], row["default_token_budget"]
    print(f"used {used / budget:.1%} of the budget, {sum(r.ok for r in results)} of {ROWS} rows")
    assert row["tokens_held"] == 0
    assert 0.9 * budget <= used <= budget
    counted = "select sum(input_tokens + output_tokens) from penstock.usage"
    assert used == (await chaos.query(counted))[0][0]
