"""Whole jobs through one worker process, awaited end to end, and the CPU that each costs."""

from __future__ import annotations

import time

from benchmarks.figures import Figure
from benchmarks.stand import Stand, jobs, run_all, texts

MODEL = "fireworks/deepseek-v3"
#: Slots of the worker, and what kind of job fills them.
RUNS = ((200, "text"), (500, "text"), (500, "label"))
_JOBS, _JOBS_FULL, _WARM_UP = 10_000, 40_000, 2_000
_BATCH = 200
#: Jobs in the hands of the client for each slot: most of them queue, so the worker never waits.
_QUEUED_FACTOR = 10
PARTS = ("worker", "postgres", "valkey", "client", "provider")


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Jobs per second and CPU µs per job, at each number of calls under way."""
    figures: list[Figure] = []
    for concurrency, kind in RUNS:
        figures += await _measure_at(stand, concurrency, kind, _JOBS_FULL if full else _JOBS)
    return figures


async def _measure_at(stand: Stand, concurrency: int, kind: str, count: int) -> list[Figure]:
    under_way = concurrency * _QUEUED_FACTOR
    async with stand.worker(concurrency=concurrency), stand.client() as penstock:
        await run_all(penstock, jobs(_WARM_UP), batch=_BATCH, under_way=under_way)
        work = texts(count, model=MODEL) if kind == "text" else jobs(count, model=MODEL)
        before, began = stand.cpu(), time.perf_counter()
        await run_all(penstock, work, batch=_BATCH, under_way=under_way)
        took_s, after = time.perf_counter() - began, stand.cpu()
    at = f"{concurrency} slots, {kind}"
    figures = [
        Figure(
            bench="throughput",
            name=f"jobs of one worker, {at}",
            value=count / took_s,
            unit="/s",
            goal=2000,
            within="at least",
        )
    ]
    figures += [
        Figure(
            bench="throughput",
            name=f"CPU of the {part}, {at}",
            value=after.us_each(before, part, count),
            unit="µs/job",
            goal=500 if part == "worker" else None,
        )
        for part in PARTS
    ]
    return figures
