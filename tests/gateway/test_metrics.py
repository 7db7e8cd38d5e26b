"""`/metrics`: what it tells of a real stack, what it must not tell, and what it costs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from uuid_utils import uuid7

from penstock_client import Classify, Penstock
from penstock_client.entries import Entry, Flow
from penstock_client.gates import GateState
from penstock_client.index_state import LimitState
from penstock_client.metering import Metered
from penstock_client.pipelines.skill import Skill
from penstock_client.queue_depth import Depths, read_depths
from penstock_client.scripts import client_script
from penstock_client.usage_totals import MODELS, OTHER, Series, UsageTotals
from penstock_gateway.exposition import families
from penstock_gateway.metrics import Readings, metrics_router, page
from penstock_schemas.keys import ProviderKeys
from tests.backfills.doing import started, write_rows

MODEL = "gpt-4o-mini"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def tickets(count: int, **fields: Any) -> list[Classify]:
    return [
        Classify(workspace="acme", text=f"refund {n}", labels=("refund", "praise"), **fields)
        for n in range(count)
    ]


def samples(metrics: Sequence[Metric], name: str) -> dict[tuple[str, ...], float]:
    """The samples of that name by their labels' values."""
    return {
        tuple(sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
        if sample.name == name
    }


async def scraped(penstock: Penstock) -> list[Metric]:
    return list(families(await penstock.metering().read()))


async def push(penstock: Penstock, flow: Flow, count: int, *, provider: str = "openai") -> None:
    """Entries straight into an index, as a submit's push puts them there."""
    keys = ProviderKeys(provider)
    entries = [Entry(UUID(int=uuid7().int), 10, 10).pack() for _ in range(count)]
    args = [keys.wake, flow.name, count, *entries]
    await client_script("push")(penstock._redis, keys.epoch, args)


async def test_metrics_queue_depth_is_counted_by_lane(penstock: Penstock) -> None:
    await penstock.submit_many(tickets(3, model=f"openai/{MODEL}"))
    await penstock.submit_many(tickets(2, model=f"openai/{MODEL}", lane="bulk"))
    depth = samples(await scraped(penstock), "penstock_queue_depth")
    assert depth["openai", "interactive"] == 3
    assert depth["openai", "bulk"] == 2
    assert depth["openai", "background"] == 0


async def test_metrics_oldest_ready_age_is_that_of_the_first_job(penstock: Penstock) -> None:
    before = time.time()
    await penstock.submit_many(tickets(1, model=f"openai/{MODEL}"))
    await asyncio.sleep(0.05)
    await penstock.submit_many(tickets(1, model=f"openai/{MODEL}"))
    ages = samples(await scraped(penstock), "penstock_queue_oldest_ready_seconds")
    assert 0.05 <= ages["openai", "interactive"] <= time.time() - before + 0.01
    assert ages["openai", "bulk"] == 0


async def test_metrics_parked_jobs_are_told_by_what_keeps_them(penstock: Penstock) -> None:
    flow = Flow("acme", 0, MODEL)
    await push(penstock, flow, 4)
    base = ProviderKeys("openai").base
    redis: Any = penstock._redis
    await redis.delete(f"{base}iturns", f"{base}iflows:acme")
    await redis.zadd(f"{base}w:gate:model:{MODEL}", {flow.name: 0})
    await redis.zadd(f"{base}parked", {f"gate:model:{MODEL}": 0})
    metrics = await scraped(penstock)
    assert samples(metrics, "penstock_queue_parked") == {("openai", "breaker"): 4}
    assert samples(metrics, "penstock_queue_depth")["openai", "interactive"] == 4
    assert samples(metrics, "penstock_queue_oldest_ready_seconds")["openai", "interactive"] == 0


async def test_depths_page_through_more_workspaces_than_one_page_holds(penstock: Penstock) -> None:
    for n in range(450):
        await push(penstock, Flow(f"w{n}", 1, MODEL), 2)
    (depth,) = (await read_depths(penstock._redis, ["openai"])).providers
    assert sum(waiting.jobs for waiting in depth.waiting) == 900
    assert depth.complete


async def test_depths_of_a_million_jobs_are_read_without_a_scan(penstock: Penstock) -> None:
    """The index of a long queue is asked for lengths: the same commands as for a short one."""
    await push(penstock, Flow("acme", 1, MODEL), 10)
    redis: Any = penstock._redis

    async def commands_of_a_reading() -> int:
        before = (await redis.info("stats"))["total_commands_processed"]
        await read_depths(penstock._redis, ["openai"])
        return (await redis.info("stats"))["total_commands_processed"] - before

    short = await commands_of_a_reading()
    for _ in range(5):
        await push(penstock, Flow("acme", 1, MODEL), 1_000)
    assert await commands_of_a_reading() == short


async def test_metrics_usage_is_told_as_counters(
    penstock: Penstock, work_for: Callable[..., Any]
) -> None:
    await work_for("openai")
    async for _ in penstock.map(tickets(5, model=f"openai/{MODEL}")):
        pass
    metrics = await scraped(penstock)
    calls = samples(metrics, "penstock_calls_total")
    assert calls["openai", MODEL, "succeeded", "yes"] == 5
    tokens = samples(metrics, "penstock_tokens_total")
    assert tokens["openai", MODEL, "input", "yes"] > 0
    assert samples(metrics, "penstock_cost_usd_total")["openai", MODEL, "yes"] > 0


async def record(penstock: Penstock, *, model: str = MODEL, **columns: Any) -> None:
    """Put hours of usage straight into their table."""
    given = {"calls": 0, "succeeded": 0, "cost_usd": 0} | columns
    await penstock.ledger.pool.execute(
        """
        insert into penstock.usage_hours
        values ('acme', $1, 'default', '', '', '', '', '', 'openai', $2, false, $3, $4, 0, 0,
                0, 0, 0, 0, 0, $5, 0, 0)
        on conflict (workspace, hour, configuration, capability, skill, step, agent, task_type,
                     provider, model, simulated)
        do update set calls = excluded.calls, succeeded = excluded.succeeded,
                      cost_usd = excluded.cost_usd
        """,
        given.get("hour", NOW),
        model,
        given["calls"],
        given["succeeded"],
        given["cost_usd"],
    )


def totals_of(penstock: Penstock, *, now: datetime = NOW) -> UsageTotals:
    return UsageTotals(
        penstock.ledger, penstock._redis, lambda: {("openai", MODEL)}, clock=lambda: now
    )


COST = Series("cost_usd", "openai", MODEL, "", False)


async def test_totals_never_fall_when_an_estimate_is_settled_lower(penstock: Penstock) -> None:
    totals = totals_of(penstock)
    await record(penstock, calls=1, cost_usd=5)
    assert (await totals.read())[COST] == 5
    await record(penstock, calls=1, cost_usd=3)
    assert (await totals.read())[COST] == 5


async def test_totals_never_fall_for_the_next_process(penstock: Penstock) -> None:
    await record(penstock, calls=1, cost_usd=5)
    await totals_of(penstock).read()
    await record(penstock, calls=1, cost_usd=3)
    assert (await totals_of(penstock).read())[COST] == 5


async def test_totals_count_hours_that_have_closed_once(penstock: Penstock) -> None:
    totals = totals_of(penstock, now=NOW)
    await record(penstock, hour=NOW - timedelta(days=30), cost_usd=2)
    await record(penstock, hour=NOW - timedelta(hours=1), cost_usd=3)
    assert (await totals.read())[COST] == 5
    totals._clock = lambda: NOW + timedelta(days=1)
    assert (await totals.read())[COST] == 5


async def test_totals_beyond_the_most_used_models_are_added_up(penstock: Penstock) -> None:
    for n in range(MODELS + 5):
        await record(penstock, model=f"made-up-{n:03}", calls=n + 1, succeeded=n + 1)
    found = await totals_of(penstock).read()
    models = {series.model for series in found if series.measure == "calls"}
    assert len(models) == MODELS + 1 and OTHER in models
    least = sum(range(1, 6))
    assert found[Series("calls", "openai", OTHER, "succeeded", False)] == least


async def test_totals_keep_a_model_that_was_told_once(penstock: Penstock) -> None:
    await record(penstock, model="early", calls=1, succeeded=1)
    totals = totals_of(penstock)
    await totals.read()
    for n in range(MODELS + 5):
        await record(penstock, model=f"made-up-{n:03}", calls=50, succeeded=50)
    assert Series("calls", "openai", "early", "succeeded", False) in await totals.read()


async def test_metrics_tell_of_runs_backfills_and_webhooks(
    penstock: Penstock, tmp_path: Path
) -> None:
    skill = Skill.parse(
        {"name": "ask", "steps": [{"name": "a", "type": "generate", "prompt": "?"}]}
    )
    await penstock.runs.start(skill, workspace="acme")
    await started(penstock, write_rows(tmp_path / "seven.jsonl", 7))
    paused = await started(penstock, write_rows(tmp_path / "two.jsonl", 2))
    await penstock.backfills.pause(paused.backfill_id)
    (handle,) = await penstock.submit_many(tickets(1, webhook="https://example.com/hook"))
    await handle.cancel()
    found = await scraped(penstock)
    assert samples(found, "penstock_runs") == {(): 1}
    states = samples(found, "penstock_backfills")
    assert states == {("loading",): 0, ("running",): 1, ("paused",): 1}
    assert samples(found, "penstock_backfill_rows_left") == {(): 9}
    assert samples(found, "penstock_compute_calls") == {("waiting",): 0, ("running",): 0}
    told = {("waiting",): 1.0, ("late",): 0.0, ("given_up",): 0.0}
    assert samples(found, "penstock_webhooks") == told
    late = "update penstock.deliveries set next_at = now() - interval '2 minutes'"
    await penstock.ledger.pool.execute(late)
    assert samples(await scraped(penstock), "penstock_webhooks") == {**told, ("late",): 1.0}


async def test_metrics_name_no_workspace_tag_or_job(penstock: Penstock) -> None:
    handles = await penstock.submit_many(
        tickets(3, model=f"openai/{MODEL}", limit_tag="planted-tag", skill="planted-skill")
    )
    body, _ = page(await penstock.metering().read(), 0.1, accept="")
    text = body.decode()
    for planted in ("acme", "planted-tag", "planted-skill", *(h.job_id for h in handles)):
        assert planted not in text


async def test_metering_without_redis_still_tells_of_the_ledger(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(penstock, calls=1, cost_usd=5)
    monkeypatch.setattr(penstock, "_redis", _Away())
    found = await penstock.metering().read()
    assert (found.postgres, found.redis, found.depths) == (True, False, None)
    assert found.totals is not None and found.totals[COST] == 5


class _Away:
    """A Redis that is not there."""

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: Any, **__: Any) -> Any:
            raise ConnectionRefusedError

        return refuse


def limit(scope: str, **fields: Any) -> LimitState:
    given = {"share": 1.0, "used": 5, "refused": 0, "refused_at": None, "waiting": 0} | fields
    return LimitState(
        provider="openai",
        scope=scope,
        unit="concurrency",
        window_s=0,
        amount=10,
        source="configured",
        **given,
    )


def told(**fields: Any) -> list[Metric]:
    depths = Depths(int(NOW.timestamp() * 1000), True, ())
    return list(families(Metered(postgres=True, redis=True, depths=depths, **fields)))


def test_families_tell_the_tightest_limit_of_each_kind() -> None:
    limits = (limit("workspace:a", in_use=0.2), limit("workspace:b", in_use=0.9, share=0.5))
    metrics = told(limits=limits)
    place = ("openai", "workspace", "concurrency", "none")
    assert samples(metrics, "penstock_limit_in_use_ratio") == {place: 0.9}
    assert samples(metrics, "penstock_limit_factor_ratio") == {place: 0.5}


def test_families_count_limits_refused_within_the_last_minute() -> None:
    limits = (
        limit("model:a", refused_at=NOW - timedelta(seconds=10)),
        limit("model:b", refused_at=NOW - timedelta(seconds=90)),
    )
    refused = samples(told(limits=limits), "penstock_limits_refused")
    assert refused == {("openai", "model", "concurrency", "none"): 1}


def gate(name: str, state: str = "open") -> GateState:
    return GateState(
        provider="openai",
        name=name,
        state=state,
        reason="",
        since=None,
        tried_from=NOW,
        probes=0,
        waiting=0,
    )


def test_families_tell_each_state_of_a_breaker_as_0_or_1() -> None:
    used = {Series("calls", "openai", "calm", "succeeded", False): 1.0}
    found = samples(told(gates=(gate("model:hot"),), totals=used), "penstock_breaker_state")
    assert found == {
        ("openai", "calm", "closed"): 1,
        ("openai", "calm", "half_open"): 0,
        ("openai", "calm", "open"): 0,
        ("openai", "hot", "closed"): 0,
        ("openai", "hot", "half_open"): 0,
        ("openai", "hot", "open"): 1,
    }


def test_families_count_shut_credentials_without_their_names() -> None:
    gates = (
        gate("credential:platform", "bad_key"),
        gate("credential:4be1", "quota_spent"),
        gate("access:77aa/gpt-4o", "quota_spent"),
    )
    assert samples(told(gates=gates), "penstock_credentials_shut") == {
        ("openai", "yes", "bad_key"): 1,
        ("openai", "no", "quota_spent"): 2,
    }


def test_families_bound_the_models_of_breakers() -> None:
    gates = tuple(gate(f"model:m{n}") for n in range(3 * MODELS))
    found = samples(told(gates=gates), "penstock_breaker_state")
    assert len({model for _, model, _ in found}) == MODELS + 1
    assert found["openai", OTHER, "open"] == 1


class CountedMetering:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self) -> Metered:
        self.reads += 1
        return Metered(postgres=True, redis=False)


async def test_readings_are_shared_by_scrapes_of_a_moment() -> None:
    metering, now = CountedMetering(), 100.0
    readings = Readings(metering, fresh_s=2.0, clock=lambda: now)  # type: ignore[arg-type]
    await asyncio.gather(*(readings.latest() for _ in range(50)))
    assert metering.reads == 1
    now = 102.5
    await readings.latest()
    assert metering.reads == 2


def served(*guards: Any) -> TestClient:
    readings = Readings(CountedMetering())  # type: ignore[arg-type]
    app = FastAPI()
    app.include_router(metrics_router(lambda: readings, guards=guards))
    return TestClient(app)


def test_route_answers_text_that_prometheus_reads() -> None:
    response = served().get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    names = {metric.name for metric in text_string_to_metric_families(response.text)}
    assert "penstock_up" in names
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in names)


def test_route_answers_openmetrics_where_asked() -> None:
    response = served().get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_route_is_shut_to_whom_a_guard_refuses() -> None:
    def nobody() -> None:
        raise HTTPException(403)

    assert served(Depends(nobody)).get("/metrics").status_code == 403
