"""Why a job waits, as the ledger and a real index tell it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from arq.connections import ArqRedis

from penstock_client import Generate, Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_schemas.errors import UnknownJob
from penstock_schemas.status import JobState
from penstock_worker.admission.index import Drop, Limit, ProviderIndex, Used, Verdict

MODEL = "openai/gpt-4o-mini"
MINUTE_MS = 60_000
DAY_MS = 86_400_000


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


async def test_a_limit_for_each_workspace_tells_its_amount_and_gives_an_estimate(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.set_limits([Limit("workspace:*", "requests", MINUTE_MS, 60)])
    *_, last = await submitted(penstock, 31)
    await claim(index)
    found = await penstock.explain(last)
    assert found.why.endswith("of workspace:acme: 60, configured")
    assert found.place is not None and found.estimated_start is not None
    expected = datetime.now(UTC) + timedelta(seconds=found.place - 1)
    assert abs(found.estimated_start - expected) < timedelta(seconds=3)


async def test_a_spent_day_begins_anew_for_all_that_wait(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, worker: None
) -> None:
    await index.set_limits([Limit("provider", "requests", DAY_MS, 2)])
    *_, last = await submitted(penstock, 4)
    await claim(index)
    found = await penstock.explain(last)
    client: Any = redis
    seconds, _ = await client.time()
    midnight = datetime.fromtimestamp((seconds * 1000 // DAY_MS + 1) * DAY_MS / 1000, UTC)
    assert found.why.endswith("2, configured, 2 are used up")
    assert (found.place, found.estimated_start) == (2, midnight)


async def test_a_limit_of_calls_at_the_same_time_tells_how_many_run(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.set_limits([Limit("model:gpt-4o-mini", "concurrency", 0, 2)])
    *_, last = await submitted(penstock, 3)
    await index.claim(10)
    found = await penstock.explain(last)
    assert found.why.endswith("at the same time of model:gpt-4o-mini: 2, configured, 2 run now")
    assert found.limit is not None and found.limit.used == 2
    assert found.estimated_start is None


async def test_a_slow_start_is_told_also_when_it_is_about_to_be_looked_at_again(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.set_all("tuning", {"start": 2})
    ids = await submitted(penstock, 5)
    first, _ = (await index.claim(10)).leases
    assert (await penstock.explain(ids[-1])).until is None
    await index.release([Drop(first, Used(1, 1, Verdict.WORKS))])
    found = await penstock.explain(ids[-1])
    assert found.why == "its queue is kept by the slow start of platform/gpt-4o-mini"
    assert found.until is not None and found.estimated_start is None


async def test_an_open_breaker_tells_its_times_and_the_command_before_anybody_waits_at_it(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.shut("model:gpt-4o-mini", state="open", reason="5 failures in a row", for_s=60)
    (job_id,) = await submitted(penstock)
    found = await penstock.explain(job_id)
    assert found.shut is not None and found.until == found.shut.tried_from
    (note,) = found.notes
    assert note.startswith("shut since ")
    assert note.endswith("penstock providers check openai --model gpt-4o-mini")


async def test_a_probe_under_way_is_told(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await index.shut("credential:platform", state="bad_key", reason="wrong", for_s=0)
    ids = await submitted(penstock, 3)
    assert len((await index.claim(10)).leases) == 1
    found = await penstock.explain(ids[-1])
    assert found.shut is not None and found.shut.probes == 1
    assert any(", 1 call is trying it" in note for note in found.notes)


async def test_a_workspace_tells_its_place_among_those_in_turn(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    await penstock.workspaces.create("other", monthly_tokens=None)
    await submitted(penstock)
    (job_id,) = await submitted(penstock, workspace="other")
    found = await penstock.explain(job_id)
    assert found.why.endswith("with 1 other workspace in turn")
    assert found.notes == ("other is number 2 of 2 workspaces in turn; 0 jobs run at openai",)


async def test_a_worker_that_is_gone_tells_when_it_was_last_seen(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex
) -> None:
    client: Any = redis
    seen = datetime.now(UTC) - timedelta(minutes=10)
    await client.zadd(index.keys.workers, {"someone": seen.timestamp() * 1000})
    (job_id,) = await submitted(penstock)
    assert f"the last worker was seen at {seen:%Y-%m-%d %H:%M:%S}" in (
        (await penstock.explain(job_id)).notes
    )


async def test_a_claimed_job_tells_until_when_it_is_leased(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    (job_id,) = await submitted(penstock)
    await index.claim(1)
    found = await penstock.explain(job_id)
    assert found.why == "a worker has claimed it and is about to start it"
    assert found.leased_until is not None
    assert timedelta(0) < found.leased_until - datetime.now(UTC) <= timedelta(seconds=15)


async def test_a_lease_that_ran_out_is_no_claim(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, worker: None
) -> None:
    (job_id,) = await submitted(penstock)
    await index.claim(1)
    client: Any = redis
    await client.zadd(index.keys.leases, {UUID(job_id).bytes: 1})
    assert (await penstock.explain(job_id)).why == (
        "its worker is gone: the next claim takes it back"
    )


async def test_a_job_between_two_tries_tells_when_and_after_what(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    (job_id,) = await submitted(penstock)
    at = datetime.now(UTC) + timedelta(seconds=40)
    statement = "update penstock.jobs set state = 2, available_at = $2, last_error = $3"
    async with penstock.ledger.pool.acquire() as connection:
        await connection.execute(f"{statement} where id = $1", UUID(job_id), at, "overloaded")
    found = await penstock.explain(job_id)
    assert found.why == "it waits to be tried again after overloaded"
    assert (found.until, found.estimated_start) == (at, at)


async def test_a_running_job_tells_its_worker_and_its_lease(
    penstock: Penstock, index: ProviderIndex, worker: None
) -> None:
    (job_id,) = await submitted(penstock)
    await index.claim(1)
    async with penstock.ledger.pool.acquire() as connection:
        await connection.execute("update penstock.jobs set state = 4 where id = $1", UUID(job_id))
        await connection.execute(
            "insert into penstock.attempts (job_id, number, workspace, provider, model, worker, "
            "fence, state) values ($1, 1, 'acme', 'openai', 'gpt-4o-mini', 'host-7', 1, 1)",
            UUID(job_id),
        )
    found = await penstock.explain(job_id)
    assert found.state is JobState.RUNNING
    assert found.why.startswith(f"attempt 1 runs at {MODEL}, by worker host-7, for ")
    assert found.leased_until is not None and found.leased_until > datetime.now(UTC)
    (attempt,) = found.attempts
    assert (attempt.state, found.cost_usd) == ("open", None)


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
