"""Why a job waits, as the ledger and a real index tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_client import Generate, Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_schemas.errors import UnknownJob
from penstock_schemas.status import JobState
from penstock_worker.admission.index import Drop, Limit, ProviderIndex

MODEL = "openai/gpt-4o-mini"
MINUTE_MS = 60_000


@pytest.fixture
async def redis(empty: Settings) -> AsyncIterator[ArqRedis]:
    pool = redis_pool(empty)
    yield pool
    await close_redis(pool)


@pytest.fixture
async def index(redis: ArqRedis) -> ProviderIndex:
    opened = ProviderIndex(redis, "openai")
    await opened.finish_rebuild(await opened.begin_rebuild("e1"))
    return opened


@pytest.fixture
async def worker(redis: ArqRedis, index: ProviderIndex) -> None:
    """A worker was seen a moment ago."""
    client: Any = redis
    seconds, _ = await client.time()
    await client.zadd(index.keys.workers, {"someone": seconds * 1000})


async def submitted(penstock: Penstock, count: int = 1, **fields: Any) -> list[str]:
    job: dict[str, Any] = {"workspace": "acme", "model": MODEL, **fields}
    jobs = [Generate.model_validate({**job, "prompt": f"{n}"}) for n in range(count)]
    return [str(handle.job_id) for handle in await penstock.submit_many(jobs)]


async def claim(index: ProviderIndex, slots: int = 50) -> None:
    await index.release([Drop(lease) for lease in (await index.claim(slots)).leases])


async def test_without_a_worker_it_says_so(penstock: Penstock, index: ProviderIndex) -> None:
    (job_id,) = await submitted(penstock)
    found = await penstock.explain(job_id)
    assert found.why == "no worker of openai is running"
    assert "start a worker: penstock worker --provider openai" in found.notes


async def test_it_waits_for_its_turn_at_its_place(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    ids = await submitted(penstock, 5)
    found = await penstock.explain(ids[3])
    assert found.state is JobState.QUEUED
    assert (found.place, found.queued, found.gate) == (4, 5, None)
    assert found.why.startswith("it waits for its turn")


async def test_a_limit_is_named_with_its_source_and_the_start_is_estimated(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.set_limits([Limit("workspace:acme", "requests", MINUTE_MS, 60)])
    ids = await submitted(penstock, 11)
    await claim(index)
    found = await penstock.explain(ids[-1])
    assert found.why == (
        "its queue is kept by the limit of requests a minute of workspace:acme: 60, configured"
    )
    assert found.place is not None and found.estimated_start is not None
    expected = datetime.now(UTC) + timedelta(seconds=found.place - 1)
    assert abs(found.estimated_start - expected) < timedelta(seconds=3)


async def test_a_shut_credential_tells_why_and_when_it_is_tried(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.shut("credential:platform", state="bad_key", reason="invalid_api_key", for_s=300)
    (job_id,) = await submitted(penstock)
    await claim(index)
    found = await penstock.explain(job_id)
    assert found.why.endswith("credential platform, which is shut: invalid_api_key")
    assert found.until is not None
    assert timedelta(seconds=290) < found.until - datetime.now(UTC) < timedelta(seconds=310)


async def test_a_pause_goes_before_the_limit_at_which_the_queue_waits(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.set_limits([Limit("workspace:acme", "requests", MINUTE_MS, 1)])
    *_, last = await submitted(penstock, 3)
    await claim(index)
    await index.set_pauses({"provider": "maintenance"})
    assert (await penstock.explain(last)).why.endswith("a pause of the provider: maintenance")


async def test_a_pause_tells_its_reason(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.set_pauses({"workspace:acme": "invoice in dispute"})
    (job_id,) = await submitted(penstock)
    await claim(index)
    found = await penstock.explain(job_id)
    assert found.why == "its queue is kept by a pause of workspace:acme: invoice in dispute"
    assert (found.until, found.estimated_start) == (None, None)


async def test_a_closed_index_is_the_first_thing_to_know(
    penstock: Penstock, redis: ArqRedis
) -> None:
    (job_id,) = await submitted(penstock)
    found = await penstock.explain(job_id)
    assert found.why == "the index of openai is empty: a steward opens it again"


async def test_a_spent_budget_is_a_note(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await penstock.workspaces.create("poor", monthly_tokens=0)
    (job_id,) = await submitted(penstock, workspace="poor")
    found = await penstock.explain(job_id)
    assert any("has used 0 of its 0 tokens" in note for note in found.notes)


async def test_an_ended_job_tells_its_attempts_and_cost(
    penstock: Penstock, simulator: Any, work_for: Any
) -> None:
    await work_for("openai")
    handle = await penstock.submit(Generate(workspace="acme", model=MODEL, prompt="hello"))
    result = await handle.result(timeout_s=10)
    found = await penstock.explain(handle.job_id)
    assert found.why.startswith("it succeeded at ") and found.why.endswith("after 1 attempt")
    assert [attempt.state for attempt in found.attempts] == ["succeeded"]
    assert found.cost_usd == result.cost_usd


async def test_an_unknown_job_is_an_error(penstock: Penstock) -> None:
    with pytest.raises(UnknownJob):
        await penstock.explain("0190f0c4-7a10-7d3c-9b1a-5b0d7c2f9e11")


async def test_an_operator_has_a_gate_tried_and_restored(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.shut("credential:platform", state="bad_key", reason="wrong", for_s=300)
    (seen,) = [s for s in await penstock.operations.providers() if s.provider == "openai"]
    (gate,) = seen.gates
    assert (gate.name, gate.state, gate.reason) == ("credential:platform", "bad_key", "wrong")
    await submitted(penstock, 3)
    assert (await index.claim(10)).leases == ()
    assert await penstock.operations.try_gate("openai", gate.name)
    assert len((await index.claim(10)).leases) == 1
    assert await penstock.operations.restore_gate("openai", gate.name)
    assert not await penstock.operations.restore_gate("openai", gate.name)
    assert len((await index.claim(10)).leases) == 2
