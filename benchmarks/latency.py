"""Submit to result on an idle system, one job at a time, durable; and which stage takes how long.

The stages come from the record: the servers' clock is the client's, since all run on one machine.
Between the jobs goes an empty query: what one hop between two processes costs on this machine at
that time. A job takes about ten such hops and three commits.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.figures import Figure, percentile
from benchmarks.stand import Stand, jobs
from penstock_client import Penstock

SAMPLES = 300
_WARM_UP = 50
#: Idle time between two jobs, in seconds: random, so that no timer falls into step with them.
_PAUSE_S = (0.005, 0.03)

_STAGES = """
select j.id, j.started_at, a.finished_at, a.duration_ms
from penstock.jobs j join penstock.attempts a on a.job_id = j.id
where j.id = any($1::uuid[])
"""
Timeline = tuple[UUID, float, float, float]


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """p50, p95 and p99 in ms, and the median of each stage."""
    samples = SAMPLES * 3 if full else SAMPLES
    async with stand.worker(concurrency=100), stand.client() as penstock:
        connection = await asyncpg.connect(stand.settings.database_url)
        await _run(penstock, connection, _WARM_UP)
        timelines, hops_ms = await _run(penstock, connection, samples)
        stages = await _stages(connection, timelines)
        await connection.close()
    took_ms = [(done - began) * 1000 for _, began, _, done in timelines]
    goals = {0.5: 6.0, 0.95: None, 0.99: 20.0}
    figures = [
        Figure(
            bench="latency",
            name=f"submit to result, idle, p{share * 100:.0f}",
            value=percentile(took_ms, share),
            unit="ms",
            goal=goal,
        )
        for share, goal in goals.items()
    ]
    hop = Figure(
        bench="latency", name="an empty query meanwhile, p50", value=median(hops_ms), unit="ms"
    )
    return [*figures, *stages, hop]


async def _run(
    penstock: Penstock, connection: asyncpg.Connection, count: int
) -> tuple[list[Timeline], list[float]]:
    """Job by job: ID, and when its submit began, its submit returned, its result was there.

    Times are Unix times; with them the ms that an empty query took before each job.
    """
    timelines: list[Timeline] = []
    hops_ms: list[float] = []
    for job in jobs(count):
        await asyncio.sleep(random.uniform(*_PAUSE_S))
        asked = time.perf_counter()
        await connection.fetchval("select 1")
        hops_ms.append((time.perf_counter() - asked) * 1000)
        await asyncio.sleep(random.uniform(*_PAUSE_S))
        began = time.time()
        handle = await penstock.submit(job)
        submitted = time.time()
        result = await handle.result(timeout_s=60)
        done = time.time()
        if not result.ok:
            raise RuntimeError(f"a job failed: {result.error}")
        timelines.append((UUID(handle.job_id), began, submitted, done))
    return timelines, hops_ms


async def _stages(connection: asyncpg.Connection, timelines: list[Timeline]) -> list[Figure]:
    rows = await connection.fetch(_STAGES, [job_id for job_id, *_ in timelines])
    by_id: dict[UUID, Any] = {row["id"]: row for row in rows}
    parts: dict[str, list[float]] = {
        "submit returns": [],
        "picked up (open begins)": [],
        "opened, called, settle begins": [],
        "settled, told, fetched": [],
    }
    for job_id, began, submitted, done in timelines:
        opened, settled = _unix(by_id[job_id]["started_at"]), _unix(by_id[job_id]["finished_at"])
        marks = (began, submitted, opened, settled, done)
        for part, start, end in zip(parts.values(), marks, marks[1:], strict=False):
            part.append((end - start) * 1000)
    return [
        Figure(bench="latency", name=f"  {name}, p50", value=median(part), unit="ms")
        for name, part in parts.items()
    ]


def _unix(moment: datetime) -> float:
    return moment.timestamp()
