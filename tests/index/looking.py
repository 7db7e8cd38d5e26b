"""What an index holds, read past its scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from arq.connections import ArqRedis

from penstock_worker.admission.index import ProviderIndex


async def contents(redis: ArqRedis, index: ProviderIndex) -> SimpleNamespace:
    """Everything that an index holds of jobs, as plain values."""
    base: Any = index.keys.base
    queues: dict[str, list[bytes]] = {}
    async for key in redis.scan_iter(match=f"{base}q:*"):
        queues[key.decode().removeprefix(f"{base}q:")] = await redis.zrange(key, 0, -1)
    return SimpleNamespace(
        queues=queues,
        leases=dict(await redis.zrange(f"{base}leases", 0, -1, withscores=True)),
        held=await redis.hgetall(f"{base}held"),
        lapsed=await redis.hgetall(f"{base}lapsed"),
        due=await redis.zrange(f"{base}due", 0, -1),
    )


async def lapse_all(redis: ArqRedis, index: ProviderIndex) -> None:
    """Let every lease run out now."""
    base = index.keys.base
    for key in await redis.zrange(f"{base}leases", 0, -1):
        await redis.zadd(f"{base}leases", {key: 1})


async def until(
    condition: Callable[[], Awaitable[Any]], *, within_s: float = 20.0, every_s: float = 0.01
) -> Any:
    """Wait for a condition to give something true, which is returned."""
    async with asyncio.timeout(within_s):
        while not (found := await condition()):
            await asyncio.sleep(every_s)
    return found
