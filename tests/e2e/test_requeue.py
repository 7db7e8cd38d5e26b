"""Jobs that failed are requeued and succeed, and what keeps a job at one provider diverts it."""

from __future__ import annotations

import asyncpg
import pytest

from penstock_client import Classify, JobState, Penstock, Settings
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

JOB = Classify(
    workspace="acme",
    text="I want a refund",
    labels=("refund", "praise"),
    model="fireworks/deepseek-v3",
)


@pytest.fixture
async def usage(empty: Settings):
    """`await usage()` gives the states of the calls that were made, in order."""
    connection = await asyncpg.connect(empty.require_database())

    async def states() -> list[int]:
        rows = await connection.fetch("select state from penstock.usage order by attempt")
        return [row["state"] for row in rows]

    yield states
    await connection.close()


async def test_failed_job_succeeds_once_its_cause_is_gone_and_it_is_requeued(
    penstock: Penstock, work_for, simulator: Simulator, usage
) -> None:
    fault = simulator.faults.add(Fault(kind="status", provider="fireworks", status=400))
    await work_for("fireworks")
    first = await penstock.submit(JOB)
    failure = await first.result(timeout_s=10)
    assert (failure.status, failure.attempts) == (JobState.FAILED, 1)
    simulator.faults.clear(fault_id=fault)

    (again,) = await penstock.requeue([first.job_id])
    success = await again.result(timeout_s=10)
    assert (success.ok, success.output, success.attempts) == (True, "refund", 2)
    assert again.job_id == first.job_id
    assert await first.result(timeout_s=20) == success
    assert await penstock.result(first.job_id, timeout_s=20) == success
    async with Penstock.connect(settings=penstock.settings) as other:
        assert await other.result(first.job_id, timeout_s=20) == success
    assert simulator.stats()["calls"] == 2
    assert len(await usage()) == 2


async def test_requeued_job_costs_what_all_its_calls_cost(
    penstock: Penstock, work_for, simulator: Simulator, usage
) -> None:
    fault = simulator.faults.add(Fault(kind="schema_violation", provider="fireworks"))
    await work_for("fireworks")
    first = await penstock.submit(JOB)
    failure = await first.result(timeout_s=10)
    assert not failure.ok
    simulator.faults.clear(fault_id=fault)
    (again,) = await penstock.requeue([first.job_id])
    success = await again.result(timeout_s=10)
    assert success.ok
    assert len(await usage()) == simulator.stats()["calls"] == success.attempts == 3
    assert success.usage.input_tokens > failure.usage.input_tokens > 0
    assert success.cost_usd > failure.cost_usd > 0


async def test_job_that_waits_behind_an_open_breaker_runs_elsewhere(
    penstock: Penstock, work_for, simulator: Simulator
) -> None:
    routing = {"classify": ["fireworks/deepseek-v3", "openai/gpt-4o-mini"]}
    await penstock.ledger.create_workspace("two", routing=routing, monthly_tokens=None)
    simulator.faults.add(Fault(kind="status", provider="fireworks", status=503))
    await work_for("fireworks")
    await work_for("openai")
    jobs = [
        JOB.model_copy(update={"workspace": "two", "model": None, "max_attempts": 50})
        for _ in range(40)
    ]
    results = [result async for result in penstock.map(jobs)]
    assert [result.provider for result in results] == ["openai"] * 40
    assert max(result.duration_ms for result in results) < 15_000
