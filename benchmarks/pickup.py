"""How soon a worker picks up a waiting person's job, whatever another workspace has queued.

Whole processes, simulated answers. A pickup is from the job's row to its attempt's: both stand in
the ledger, by the same clock. Between idle and loaded nothing changes but the backlog. Fast calls
show a worker at the most that it can do, longer ones of uneven length what the order is worth.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import asyncpg

from benchmarks.figures import Figure, percentile
from benchmarks.stand import Control, Stand
from penstock_client import Generate, Handle, Penstock
from penstock_schemas.limits import PauseTarget

LaneName = Literal["interactive", "bulk"]

PROVIDER, MODEL = "openai", "openai/gpt-4o-mini"
_FLOOD, _BIG, OTHER = "flood", "big", "other"
_SLOTS, _BULK_SLOTS = 100, 80
_ROWS, _SAMPLES, _SAMPLES_FULL, _SLOW_SAMPLES = 100_000, 200, 1_000, 20
#: Between two of the other workspace's jobs, in seconds: random, so that nothing falls into step.
_PAUSE_S = (0.01, 0.03)
#: So many accepted calls end the careful start at a provider whose limits are not known.
_WARM_UP = 700
_PAUSE = PauseTarget(provider=PROVIDER, scope=f"workspace:{_FLOOD}")
#: What pushes settings to an index looks twice a second.
STEERED_S = 1.5

_STARTED = """
select extract(epoch from a.started_at - j.created_at) * 1000 as ms
from penstock.jobs j join penstock.attempts a on a.job_id = j.id and a.number = 1
where j.id = any($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Calls:
    """How long calls take: `least_ms`, and an even share of `jitter_ms` more."""

    least_ms: int
    jitter_ms: int = 0

    @property
    def name(self) -> str:
        """As figures name it."""
        spread = f" to {self.least_ms + self.jitter_ms}" if self.jitter_ms else ""
        return f"calls of {self.least_ms}{spread} ms"


_FAST, _UNEVEN, _SLOW = Calls(50), Calls(125, 250), Calls(60_000)


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

    async def take(self, calls: Calls) -> None:
        """How long calls take from now on."""
        await self.control.tell(
            "latency",
            provider=PROVIDER,
            latency_ms=calls.least_ms,
            jitter_ms=calls.jitter_ms,
        )

    async def queue(self, count: int, workspace: str, lane: LaneName) -> None:
        """Submit so many jobs of a workspace."""
        await self.penstock.submit_many(_texts(count, workspace, lane))


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Pickups idle, under a backlog of either lane, and beside calls of a minute."""
    samples = _SAMPLES_FULL if full else _SAMPLES
    figures: list[Figure] = []
    async with running_worker(stand, _FLOOD, _BIG, OTHER) as floor:
        idle = {calls: await _waits(floor, calls, samples) for calls in (_FAST, _UNEVEN)}
        await floor.queue(_ROWS, _FLOOD, "interactive")
        figures += await _beside_backlog(floor, idle, f"{_ROWS:,} interactive rows")
        steering = floor.penstock.ledger.steering
        await steering.pause(_PAUSE, reason="measured")
        try:
            await asyncio.sleep(STEERED_S)
            await floor.queue(_ROWS, _BIG, "bulk")
            figures += await _beside_backlog(floor, idle, f"{_ROWS:,} bulk rows")
            figures += await _beside_slow(floor)
        finally:
            await steering.resume(_PAUSE)
    return figures


@asynccontextmanager
async def running_worker(stand: Stand, *workspaces: str) -> AsyncGenerator[Floor]:
    """One worker that knows its provider, and these workspaces."""
    await stand.clear()
    connection = await asyncpg.connect(stand.settings.database_url)
    try:
        async with (
            stand.simulated(PROVIDER, concurrency=_SLOTS) as control,
            stand.client() as penstock,
        ):
            for workspace in workspaces:
                await penstock.workspaces.create(workspace, monthly_tokens=None)
            floor = Floor(control, penstock, connection)
            await floor.take(_FAST)
            await _results(await penstock.submit_many(_texts(_WARM_UP, OTHER, "bulk")))
            yield floor
    finally:
        await connection.close()


async def _beside_backlog(floor: Floor, idle: Mapping[Calls, Waits], backlog: str) -> list[Figure]:
    figures: list[Figure] = []
    for calls, before in idle.items():
        after = await _waits(floor, calls, len(before.start_ms))
        figures += _compared(before, after, f"{backlog}, {calls.name}")
    return figures


async def _beside_slow(floor: Floor) -> list[Figure]:
    """All slots that bulk may have are taken by calls of a minute."""
    await floor.take(_SLOW)
    await floor.until_in_flight(_BULK_SLOTS)
    jobs: list[UUID] = []
    for job in _texts(_SLOW_SAMPLES, OTHER, "interactive"):
        await asyncio.sleep(random.uniform(*_PAUSE_S))
        jobs.append(UUID((await floor.penstock.submit(job)).job_id))
    await floor.until_in_flight(_BULK_SLOTS + _SLOW_SAMPLES)
    start_ms = await _starts(floor, jobs)
    name = f"pickup beside {_BULK_SLOTS} calls of 60 s"
    return [
        _figure(f"{name}, p50", percentile(start_ms, 0.5), "ms"),
        _figure(f"{name}, p99", percentile(start_ms, 0.99), "ms", goal=100),
    ]


async def _waits(floor: Floor, calls: Calls, samples: int) -> Waits:
    """Submit single interactive jobs, whether or not the one before has ended."""
    await floor.take(calls)
    await asyncio.sleep(2 * (calls.least_ms + calls.jitter_ms) / 1000)
    took_ms: list[float] = []
    jobs: list[UUID] = []

    async def run(job: Generate) -> None:
        began = time.perf_counter()
        handle = await floor.penstock.submit(job)
        await _results([handle])
        took_ms.append((time.perf_counter() - began) * 1000)
        jobs.append(UUID(handle.job_id))

    async with asyncio.TaskGroup() as running:
        for job in _texts(samples, OTHER, "interactive"):
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


def _texts(count: int, workspace: str, lane: LaneName) -> list[Generate]:
    return [
        Generate(workspace=workspace, prompt=f"message {n}", model=MODEL, lane=lane)
        for n in range(count)
    ]


def _compared(idle: Waits, loaded: Waits, backlog: str) -> list[Figure]:
    figures: list[Figure] = []
    for what, goal, before, after in (
        ("pickup", 2.0, idle.start_ms, loaded.start_ms),
        ("submit to result", None, idle.result_ms, loaded.result_ms),
    ):
        p99, p99_idle = percentile(after, 0.99), percentile(before, 0.99)
        figures += [
            _figure(f"{what}, p50, {backlog}", percentile(after, 0.5), "ms"),
            _figure("  idle", percentile(before, 0.5), "ms"),
            _figure(f"{what}, p99, {backlog}", p99, "ms"),
            _figure("  idle", p99_idle, "ms"),
            _figure("  p99 / idle", p99 / p99_idle, "x", goal=goal),
        ]
    return figures


def _figure(name: str, value: float, unit: str, *, goal: float | None = None) -> Figure:
    return Figure(bench="pickup", name=name, value=value, unit=unit, goal=goal)
