"""What a deep queue costs: bytes per queued job in Valkey, and claims from it.

Entries go straight into the index of a provider of its own, since only Valkey is measured.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from benchmarks.figures import Figure, percentile
from benchmarks.stand import WORKSPACE, Stand
from penstock_client.broker import Broker
from penstock_client.connections import close_redis, redis_pool
from penstock_client.ledger import NewJob
from penstock_schemas.status import Lane
from penstock_worker.admission.index import Drop, ProviderIndex

_DEPTHS, _DEPTHS_FULL = (1_000, 100_000), (1_000, 100_000, 1_000_000)
_CLAIM, _CLAIMS = 100, 40
_CHUNK = 10_000


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Bytes per queued job and server µs per claimed job, at each depth."""
    redis = redis_pool(stand.settings)
    figures: list[Figure] = []
    try:
        for depth in _DEPTHS_FULL if full else _DEPTHS:
            figures += await _measure_at(redis, depth)
    finally:
        await close_redis(redis)
    return figures


async def _measure_at(redis: Any, depth: int) -> list[Figure]:
    index = ProviderIndex(redis, f"bench-{depth}")
    await index.finish_rebuild(await index.begin_rebuild("1"))
    before = await _used_bytes(redis)
    broker = Broker(redis)
    for first in range(0, depth, _CHUNK):
        await broker.push(_new_job(index.provider) for _ in range(min(_CHUNK, depth - first)))
    queued_bytes = (await _used_bytes(redis)) - before
    took_us: list[float] = []
    for _ in range(min(_CLAIMS, depth // _CLAIM - 1)):
        began = time.perf_counter()
        claimed = await index.claim(_CLAIM)
        took_us.append((time.perf_counter() - began) * 1e6 / len(claimed.leases))
        await index.release([Drop(lease) for lease in claimed.leases])
    keys = [key async for key in redis.scan_iter(match=f"{index.keys.base}*", count=1000)]
    await redis.unlink(*keys)
    at = f"{depth:,} queued"
    figures = [
        Figure(
            bench="depth",
            name=f"claim of 100, round trip included, {at}",
            value=percentile(took_us, 0.5),
            unit="µs/job",
        )
    ]
    if depth >= 100_000:
        each = queued_bytes / depth
        figures.insert(
            0,
            Figure(bench="depth", name=f"Valkey, {at}", value=each, unit="bytes/job", goal=150),
        )
    return figures


async def _used_bytes(redis: Any) -> int:
    info: dict[str, Any] = await redis.info("memory")
    return int(info["used_memory_dataset"])


def _new_job(provider: str) -> NewJob:
    return NewJob(
        job_id=UUID(int=uuid7().int),
        workspace=WORKSPACE,
        type="generate",
        capability="generate",
        provider=provider,
        model="one-model",
        lane=Lane.BULK,
        max_attempts=5,
        input_tokens=100,
        output_tokens=100,
        deadline=None,
        idempotency_key=None,
        skill=None,
        step=None,
        agent=None,
        task_type=None,
        body=b"",
    )
