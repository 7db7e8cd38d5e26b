"""How soon a worker picks up a waiting person's job, whatever another workspace has queued.

Whole processes, simulated answers. A pickup is from the job's row to its attempt's: both stand in
the ledger, by the same clock. Between idle and loaded nothing changes but the backlog.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.figures import Figure, percentile
from benchmarks.stand import Control, Stand
from penstock_client import Generate, Handle, Penstock
from penstock_schemas.limits import LimitSetting

PROVIDER, MODEL = "openai", "openai/gpt-4o-mini"
_BIG, _OTHER = "big", "other"
_SLOTS, _BULK_SLOTS = 100, 80
_LATENCY_MS, _SLOW_MS = 50, 60_000
_ROWS, _SAMPLES, _SAMPLES_FULL, _SLOW_SAMPLES = 100_000, 200, 1_000, 20
#: Between two of the other workspace's jobs, in seconds: random, so that nothing falls into step.
_PAUSE_S = (0.01, 0.03)
#: So many accepted calls end the careful start at a provider whose limits are not known.
_WARM_UP = 700
_THROTTLED_ROWS, _THROTTLED_MS, _SPAN_S = 50_000, 100, 8.0
_THROTTLE = LimitSetting(
    provider=PROVIDER, scope=f"workspace:{_BIG}", unit="requests", window_s=60, amount=60
)

_STARTED = """
select extract(epoch from a.started_at - j.created_at) * 1000 as ms
from penstock.jobs j join penstock.attempts a on a.job_id = j.id and a.number = 1
where j.id = any($1::uuid[])
"""
_DONE = "select count(*) from penstock.jobs where workspace = $1 and finished_at is not null"


@dataclass(frozen=True, slots=True)
class Waits:
    """How long single jobs waited, in ms: for their start, and for their result."""

    start_ms: Sequence[float]
    result_ms: Sequence[float]


@dataclass(frozen=True, slots=True)
class Floor:
    """One worker that has found its pace, its provider, and who submits and who looks."""

    control: Control
    penstock: Penstock
    ledger: asyncpg.Connection

    async def until_in_flight(self, calls: int) -> None:
        """Return once the provider has so many calls."""
        while (await self.control.counts(PROVIDER)).get("in_flight", 0) < calls:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def latency(self, latency_ms: int) -> None:
        """How long calls take from now on."""
        await self.control.tell("latency", provider=PROVIDER, latency_ms=latency_ms)


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Pickups idle, under a backlog of either lane; beside slow calls; beside a throttled flow."""
    samples = _SAMPLES_FULL if full else _SAMPLES
    return [
        *await _beside_backlog(stand, "bulk", samples),
        *await _beside_backlog(stand, "interactive", samples),
        *await _beside_throttled(stand),
    ]


@asynccontextmanager
async def _floor(stand: Stand, latency_ms: int) -> AsyncGenerator[Floor]:
    await stand.clear()
    connection = await asyncpg.connect(stand.settings.database_url)
    try:
        async with (
            stand.simulated(PROVIDER, concurrency=_SLOTS) as control,
            stand.client() as penstock,
        ):
            for workspace in (_BIG, _OTHER):
                await penstock.workspaces.create(workspace, monthly_tokens=None)
            floor = Floor(control, penstock, connection)
            await floor.latency(latency_ms)
            await _results(await penstock.submit_many(_texts(_WARM_UP, _OTHER, "bulk")))
            yield floor
    finally:
        await connection.close()


async def _beside_backlog(stand: Stand, lane: str, samples: int) -> list[Figure]:
    """Another workspace's single jobs, before and after one has queued 100,000 rows."""
    async with _floor(stand, _LATENCY_MS) as floor:
        idle = await _waits(floor, samples)
        await floor.penstock.submit_many(_texts(_ROWS, _BIG, lane))
        loaded = await _waits(floor, samples)
        figures = _compared(idle, loaded, f"{_ROWS:,} {lane} rows")
        if lane == "bulk":
            figures += await _beside_slow(floor)
    return figures


async def _beside_slow(floor: Floor) -> list[Figure]:
    """All slots that bulk may have are taken by calls of a minute."""
    await floor.latency(_SLOW_MS)
    await floor.until_in_flight(_BULK_SLOTS)
    jobs: list[UUID] = []
    for job in _texts(_SLOW_SAMPLES, _OTHER, "interactive"):
        await asyncio.sleep(random.uniform(*_PAUSE_S))
        jobs.append(UUID((await floor.penstock.submit(job)).job_id))
    await floor.until_in_flight(_BULK_SLOTS + _SLOW_SAMPLES)
    start_ms = await _starts(floor, jobs)
    name = f"pickup beside {_BULK_SLOTS} calls of 60 s"
    return [
        _figure(f"{name}, p50", percentile(start_ms, 0.5), "ms"),
        _figure(f"{name}, p99", percentile(start_ms, 0.99), "ms", goal=100),
    ]


async def _beside_throttled(stand: Stand) -> list[Figure]:
    """A workspace's throughput, before and after another queues much under a small limit."""
    async with _floor(stand, _THROTTLED_MS) as floor:
        steering = floor.penstock.ledger.steering
        await steering.set_limits([_THROTTLE])
        try:
            slots_s = 1000 / _THROTTLED_MS * _SLOTS
            rows = int(slots_s * (3 * _SPAN_S + 10))
            await floor.penstock.submit_many(_texts(rows, _OTHER, "bulk"))
            alone = await _rate(floor)
            await floor.penstock.submit_many(_texts(_THROTTLED_ROWS, _BIG, "bulk"))
            beside = await _rate(floor)
            spent = await floor.ledger.fetchval(_DONE, _BIG)
        finally:
            await steering.unset_limits(PROVIDER, _THROTTLE.scope)
    name = f"{_THROTTLED_ROWS:,} rows under 60 a minute"
    return [
        _figure("throughput, alone", alone, "/s"),
        _figure(f"throughput, beside {name}", beside, "/s"),
        _figure("  beside / alone", beside / alone, "x", goal=0.95, within="at least"),
        _figure("  jobs of the throttled workspace meanwhile", spent, ""),
    ]


async def _rate(floor: Floor) -> float:
    """The other workspace's jobs that end in a second, once things have settled."""
    await asyncio.sleep(1.5)
    before, began = await floor.ledger.fetchval(_DONE, _OTHER), time.perf_counter()
    await asyncio.sleep(_SPAN_S)
    after = await floor.ledger.fetchval(_DONE, _OTHER)
    return (after - before) / (time.perf_counter() - began)


async def _waits(floor: Floor, samples: int) -> Waits:
    """Submit single interactive jobs, whether or not the one before has ended."""
    took_ms: list[float] = []
    jobs: list[UUID] = []

    async def run(job: Generate) -> None:
        began = time.perf_counter()
        handle = await floor.penstock.submit(job)
        await _results([handle])
        took_ms.append((time.perf_counter() - began) * 1000)
        jobs.append(UUID(handle.job_id))

    async with asyncio.TaskGroup() as running:
        for job in _texts(samples, _OTHER, "interactive"):
            running.create_task(run(job))
            await asyncio.sleep(random.uniform(*_PAUSE_S))
    return Waits(await _starts(floor, jobs), took_ms)


async def _starts(floor: Floor, jobs: Sequence[UUID]) -> list[float]:
    rows: list[Any] = await floor.ledger.fetch(_STARTED, jobs)
    if len(rows) != len(jobs):
        raise RuntimeError(f"{len(jobs) - len(rows)} jobs have not started")
    return [float(row["ms"]) for row in rows]


async def _results(handles: Sequence[Handle]) -> None:
    for result in await asyncio.gather(*(handle.result(timeout_s=60) for handle in handles)):
        if not result.ok:
            raise RuntimeError(f"a job failed: {result.error}")


def _texts(count: int, workspace: str, lane: str) -> list[Generate]:
    which = "bulk" if lane == "bulk" else "interactive"
    return [
        Generate(workspace=workspace, prompt=f"message {n}", model=MODEL, lane=which)
        for n in range(count)
    ]


def _compared(idle: Waits, loaded: Waits, backlog: str) -> list[Figure]:
    figures: list[Figure] = []
    for what, before, after in (
        ("pickup", idle.start_ms, loaded.start_ms),
        ("submit to result", idle.result_ms, loaded.result_ms),
    ):
        for share in (0.5, 0.99):
            name = f"{what}, p{share * 100:.0f}"
            figures += [
                _figure(f"{name}, idle", percentile(before, share), "ms"),
                _figure(f"{name}, beside {backlog}", percentile(after, share), "ms"),
            ]
        ratio = percentile(after, 0.99) / percentile(before, 0.99)
        figures.append(_figure(f"  p99 / idle, {what}, {backlog}", ratio, "x", goal=2))
    return figures


def _figure(
    name: str, value: float, unit: str, *, goal: float | None = None, within: str = "at most"
) -> Figure:
    side = "at least" if within == "at least" else "at most"
    return Figure(bench="pickup", name=name, value=value, unit=unit, goal=goal, within=side)
