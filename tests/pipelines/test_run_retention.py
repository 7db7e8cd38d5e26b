"""What retention leaves of runs, and that it takes nothing from one that is under way."""

from __future__ import annotations

import asyncio

import pytest

from penstock_client import InvalidJob, LLMStep, Penstock, RunResult
from penstock_client.connections import close_redis, redis_pool
from penstock_worker.retention import Retention
from tests.pipelines.declaring import call, skill

ASK = LLMStep(name="ask", type="generate", prompt="{inputs.what}")
AFTER = call("after", "far.away:work", arguments={"of": "{ask.text}"})


async def _retain(penstock: Penstock) -> None:
    """A round of a steward, two days after all that has ended."""
    pool = penstock.ledger.pool
    await pool.execute(
        "update penstock.jobs set finished_at = finished_at - interval '2 days' "
        "where finished_at > now() - interval '1 day'"
    )
    await pool.execute("update penstock.runs set finished_at = finished_at - interval '2 days'")
    await pool.execute("update penstock.runs set created_at = created_at - interval '2 days'")
    await pool.execute("update penstock.retention set due_at = now()")
    redis = redis_pool(penstock.settings)
    await Retention(redis, penstock.ledger).run()
    await close_redis(redis)


async def _waiting_run(penstock: Penstock) -> RunResult:
    """A run of which the first step is done, and the second has no worker."""
    await penstock.workspaces.set("acme", retention_days=1)
    handle = await penstock.runs.start(
        skill(ASK, AFTER, output="{ask.text}"), workspace="acme", inputs={"what": "a secret"}
    )
    async with asyncio.timeout(20):
        while (status := await handle.status()).step("after").begun == 0:
            await asyncio.sleep(0.02)
    return status


async def test_run_under_way_keeps_its_answers(penstock: Penstock, models: None) -> None:
    run = await _waiting_run(penstock)
    await _retain(penstock)
    (item,) = await penstock.runs.items(run.run_id, "ask")
    assert item.text


async def test_run_that_has_ended_keeps_nothing(penstock: Penstock, models: None) -> None:
    run = await _waiting_run(penstock)
    await _retain(penstock)
    await penstock.runs.cancel(run.run_id)
    await _retain(penstock)
    (item,) = await penstock.runs.items(run.run_id, "ask")
    assert item.text is None
    kept = await penstock.ledger.pool.fetchrow("select inputs, output, kept from penstock.runs")
    assert tuple(kept) == (None, None, False)
    inputs = await penstock.ledger.pool.fetch("select input, output from penstock.run_items")
    assert {value for row in inputs for value in row} == {None}
    with pytest.raises(InvalidJob, match="no longer kept"):
        await penstock.runs.resume(run.run_id)
