"""Flow control from submit to result: limits are kept, trouble is waited out or gone around."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import asyncpg
import orjson

from penstock_client import Generate, Penstock, Settings
from penstock_client.handle import Handle
from penstock_schemas.results import Result
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator

MODEL, FALLBACK = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5-20251001"


def texts(count: int, **fields: object) -> list[Generate]:
    given: dict[str, object] = {"workspace": "acme", "model": MODEL, **fields}
    return [Generate.model_validate({**given, "prompt": f"message {n}"}) for n in range(count)]


async def ended(handles: Sequence[Handle]) -> list[Result]:
    return await asyncio.gather(*(handle.result(timeout_s=30) for handle in handles))


async def route(settings: Settings, capability: str, *routes: str) -> None:
    connection = await asyncpg.connect(settings.require_database())
    await connection.execute(
        "update penstock.llm_configs set routing = routing || $1::jsonb",
        orjson.dumps({capability: routes}).decode(),
    )
    await connection.close()


def by_status(simulator: Simulator, provider: str) -> dict[str, int]:
    return simulator.stats()["by_provider"][provider]["by_status"]


async def test_a_learned_limit_is_used_without_refusals(
    penstock: Penstock, simulator: Simulator, work_for
) -> None:
    simulator.limits.set("openai", requests_per_minute=1200)
    await work_for("openai", concurrency=100)
    began = time.monotonic()
    results = await ended(await penstock.submit_many(texts(100)))
    assert all(result.ok for result in results)
    assert by_status(simulator, "openai") == {"200": 100}
    assert 4 <= time.monotonic() - began <= 8  # 20 a second


async def test_a_spent_quota_fails_no_row_and_costs_few_calls(
    penstock: Penstock, simulator: Simulator, work_for
) -> None:
    simulator.faults.add(Fault(kind="insufficient_quota", provider="openai"))
    await work_for("openai", concurrency=50)
    handles = await penstock.submit_many(texts(100))
    async with asyncio.timeout(10):
        while not simulator.stats()["calls"]:
            await asyncio.sleep(0.01)
    await asyncio.sleep(1)  # whatever would follow the first refusals has come by now
    most_in_flight = simulator.stats()["by_provider"]["openai"]["max_in_flight"]
    assert simulator.stats()["calls"] <= max(8, most_in_flight)
    simulator.faults.clear()
    await penstock.operations.try_gate("openai", "credential:platform")
    results = await ended(handles)
    assert all(result.ok for result in results)


async def test_jobs_of_a_provider_that_is_down_finish_elsewhere(
    penstock: Penstock, empty: Settings, simulator: Simulator, work_for
) -> None:
    await route(empty, "summarise", MODEL, FALLBACK)
    simulator.faults.add(Fault(kind="status", status=503, provider="openai"))
    await work_for("openai", concurrency=20)
    await work_for("anthropic", concurrency=20)
    jobs = texts(100, model=None, capability="summarise")
    results = await ended(await penstock.submit_many(jobs))
    assert Counter(result.provider for result in results) == {"anthropic": 100}
    assert all(result.ok for result in results)
    assert by_status(simulator, "openai")["503"] <= 5 + 8


async def test_a_job_that_waits_too_long_says_what_kept_it(
    penstock: Penstock, simulator: Simulator, work_for
) -> None:
    simulator.faults.add(Fault(kind="insufficient_quota", provider="openai"))
    await work_for("openai")
    (handle,) = await penstock.submit_many(texts(1, max_queue_wait_s=3))
    result = await handle.result(timeout_s=15)
    assert result.error is not None
    assert result.error.kind == "queue_timeout" and "credential" in result.error.message


async def test_a_cut_off_structured_answer_is_paid_twice_at_most(
    penstock: Penstock, simulator: Simulator, work_for
) -> None:
    await work_for("openai")
    schema = {
        "type": "object",
        "properties": {f"field_{n}": {"type": "string"} for n in range(40)},
        "required": [f"field_{n}" for n in range(40)],
    }
    handles = await penstock.submit_many(texts(5, schema=schema, max_tokens=8))
    results = await ended(handles)
    assert {result.attempts for result in results} == {2}
    assert simulator.stats()["calls"] == 10
