"""CPU of a job when calls are slow: about 500 jobs/s over 1,000 calls under way.

Batches are small then, which makes each job dearer than under saturation.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.figures import Figure
from benchmarks.stand import Stand, jobs
from penstock_client import Classify, Handle, Penstock

_LATENCY_S = 2.0
_UNDER_WAY = 1000
_SECONDS, _SECONDS_FULL = 6, 20
#: Jobs are submitted in small batches at a steady rate.
_BATCH, _PER_S = 10, 500


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """CPU µs per job in the worker, and the rate that was reached."""
    seconds = _SECONDS_FULL if full else _SECONDS
    async with (
        stand.worker(concurrency=_UNDER_WAY + 100, latency_s=_LATENCY_S),
        stand.client() as penstock,
    ):
        feed = _Feed(penstock)
        settled_s = 2 * _LATENCY_S + 1
        feeding = asyncio.create_task(feed.run(for_s=settled_s + seconds))
        await asyncio.sleep(settled_s)
        done_before, before, began = feed.done, stand.cpu(), time.perf_counter()
        await asyncio.sleep(seconds)
        count = feed.done - done_before
        took_s, after = time.perf_counter() - began, stand.cpu()
        await feeding
    return [
        Figure(
            bench="sparse",
            name=f"rate with {_LATENCY_S:.0f} s calls",
            value=count / took_s,
            unit="/s",
        ),
        Figure(
            bench="sparse",
            name="CPU of the worker, 500/s over 1,000 under way",
            value=after.us_each(before, "worker", max(count, 1)),
            unit="µs/job",
            goal=500,
        ),
    ]


class _Feed:
    """Submits at a steady rate and counts what came back."""

    def __init__(self, penstock: Penstock) -> None:
        self._penstock = penstock
        self._awaiting: set[asyncio.Task[None]] = set()
        self.done = 0

    async def run(self, *, for_s: float) -> None:
        """Submit for so long, then await the rest."""
        began = time.perf_counter()
        for number, batch in enumerate(self._batches(for_s)):
            await asyncio.sleep(began + number * _BATCH / _PER_S - time.perf_counter())
            for handle in await self._penstock.submit_many(batch):
                task = asyncio.create_task(self._await(handle))
                self._awaiting.add(task)
                task.add_done_callback(self._awaiting.discard)
        await asyncio.gather(*self._awaiting)

    def _batches(self, for_s: float) -> list[list[Classify]]:
        work = jobs(int(for_s * _PER_S))
        return [work[first : first + _BATCH] for first in range(0, len(work), _BATCH)]

    async def _await(self, handle: Handle) -> None:
        result = await handle.result(timeout_s=60)
        if not result.ok:
            raise RuntimeError(f"a job failed: {result.error}")
        self.done += 1
