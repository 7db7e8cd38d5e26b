"""100,000 results awaited in one process: what each costs, and how fast they come when jobs end.

The jobs are recorded ones. The process that awaits them has its core for itself; this one tells it
of their ends as workers do: results into the cache, then their IDs, 200 jobs at a time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import time
import tracemalloc
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import Figure
from benchmarks.stand import IDLE_MODEL, WORKSPACE, Stand, jobs
from penstock_client import JobState, Penstock, Result, Settings, Usage
from penstock_client.connections import close_redis, redis_pool
from penstock_schemas.ids import JobId, WorkspaceId
from penstock_schemas.keys import ProviderKeys, done_channel

_AWAITS = 100_000
_BATCH, _GROUP = 10_000, 200
_PROVIDER = IDLE_MODEL.partition("/")[0]
_NAME = "awaits"
#: What a trial with nothing but futures came to on this kind of machine.
_GOAL_PER_S = 10_000
_GOAL_BYTES = 2_000


async def measure(stand: Stand, *, full: bool) -> list[Figure]:  # noqa: ARG001
    """Bytes of a pending await, and completions per second."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ids"
        async with stand.client() as penstock:
            job_ids: list[str] = []
            for _ in range(_AWAITS // _BATCH):
                handles = await penstock.submit_many(jobs(_BATCH, model=IDLE_MODEL))
                job_ids += [handle.job_id for handle in handles]
            ended = await penstock.submit(jobs(1, model=IDLE_MODEL)[0])
            await ended.cancel()
        path.write_text("\n".join(job_ids))
        async with stand.awaiting(str(path), ended=ended.job_id, name=_NAME) as line:
            waiting = json.loads(await line())
            redis: Any = redis_pool(stand.settings)
            connections = sum(each["name"] == _NAME for each in await redis.client_list())
            began = time.monotonic()
            await _tell(redis, job_ids)
            told_s = time.monotonic() - began
            done = json.loads(await line())
            took_s = done["at"] - began
            await close_redis(redis)
    await stand.clear()
    per_await = "a pending await"
    return [
        _figure(f"{_AWAITS:,} awaits registered in", waiting["seconds"], "s"),
        _figure(f"memory of {per_await}", waiting["rss"] / _AWAITS, "bytes", goal=_GOAL_BYTES),
        _figure(f"Python objects of {per_await}", waiting["traced"], "bytes"),
        _figure("connections to Redis while they wait", connections, ""),
        _figure("completions", _AWAITS / took_s, "/s", goal=_GOAL_PER_S, within="at least"),
        _figure("ends told by the process that tells them", _AWAITS / told_s, "/s"),
        _figure("CPU of a completion", done["cpu_s"] / _AWAITS * 1e6, "µs"),
    ]


def _figure(name: str, value: float, unit: str, **goal: Any) -> Figure:
    return Figure(bench="awaits", name=name, value=value, unit=unit, **goal)


async def _tell(redis: Any, job_ids: Sequence[str]) -> None:
    """What a worker does when jobs have ended, as fast as Redis takes it."""
    keys, channel = ProviderKeys(_PROVIDER), done_channel(WORKSPACE)
    for first in range(0, len(job_ids), _GROUP):
        group = job_ids[first : first + _GROUP]
        async with redis.pipeline(transaction=False) as pipe:
            for job_id in group:
                pipe.set(keys.result(job_id), _body(job_id), ex=600)
            pipe.publish(channel, " ".join([_PROVIDER, *group]))
            await pipe.execute()


def _body(job_id: str) -> bytes:
    result = Result(
        job_id=JobId(job_id),
        workspace=WorkspaceId(WORKSPACE),
        status=JobState.SUCCEEDED,
        output="refund",
        usage=Usage(input_tokens=120, output_tokens=4),
        cost_usd=Decimal("0.000012"),
        provider=_PROVIDER,
        model="deepseek-chat",
        attempts=1,
        duration_ms=812,
    )
    return result.encode()


async def await_all(job_ids: Sequence[str], options: dict[str, Any]) -> None:
    """The process that awaits: prints what the pending awaits weigh, and when all are complete."""
    async with Penstock.connect(settings=Settings(**options["settings"])) as penstock:
        traced = await _traced(penstock, job_ids[:: len(job_ids) // _BATCH])
        gc.collect()
        rss, began = _rss(), time.monotonic()
        pending = asyncio.gather(*(penstock.result(job_id) for job_id in job_ids))
        await asyncio.sleep(0)  # their looks go out together, and the next one after them
        await penstock.result(options["ended"])
        took_s = time.monotonic() - began
        gc.collect()
        told = {"seconds": took_s, "rss": _rss() - rss, "traced": traced}
        print(json.dumps(told), flush=True)
        before = _cpu_s()
        results = await pending
        ended = {"at": time.monotonic(), "cpu_s": _cpu_s() - before}
        if [result.job_id for result in results] != list(job_ids):
            raise RuntimeError("an await got another job's result")
        print(json.dumps(ended), flush=True)


async def _traced(penstock: Penstock, job_ids: Sequence[str]) -> float:
    """Bytes of Python objects that each pending await holds."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    pending = asyncio.gather(*(penstock.result(job_id) for job_id in job_ids))
    await asyncio.sleep(1)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    pending.cancel()
    await asyncio.gather(pending, return_exceptions=True)
    return held / len(job_ids)


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
