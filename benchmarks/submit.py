"""How fast jobs are recorded and indexed, 10,000 at a time, and what the limit is.

One client, alone: each batch waits for the one before. And the same client with two batches under
way, so that it prepares one while the servers take the other.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

from benchmarks.figures import Figure
from benchmarks.stand import IDLE_MODEL, Stand, jobs

_BATCH = 10_000
_ROUNDS, _ROUNDS_FULL = 4, 12


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Jobs per second of `submit_many`: the median round, and the CPU of each part."""
    rounds = _ROUNDS_FULL if full else _ROUNDS
    work = jobs(_BATCH, model=IDLE_MODEL)
    with stand.servers_on_worker_core():
        async with stand.client() as penstock:
            await penstock.submit_many(work)
            before = stand.cpu()
            alone_s: list[float] = []
            for _ in range(rounds):
                began = time.perf_counter()
                await penstock.submit_many(work)
                alone_s.append(time.perf_counter() - began)
            after, began = stand.cpu(), time.perf_counter()

            async def submit() -> None:
                for _ in range(rounds // 2):
                    await penstock.submit_many(work)

            await asyncio.gather(submit(), submit())
            both_s = time.perf_counter() - began
    figures = [
        Figure(
            bench="submit",
            name="batches of 10,000, two under way",
            value=_BATCH * (rounds // 2) * 2 / both_s,
            unit="/s",
            goal=40_000,
            within="at least",
        ),
        Figure(
            bench="submit",
            name="batches of 10,000, one after another",
            value=_BATCH / median(alone_s),
            unit="/s",
        ),
    ]
    return figures + [
        Figure(
            bench="submit",
            name=f"CPU of the {part}",
            value=after.us_each(before, part, _BATCH * rounds),
            unit="µs/job",
        )
        for part in ("client", "postgres", "valkey")
    ]
