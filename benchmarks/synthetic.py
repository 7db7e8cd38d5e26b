"""Jobs in an index alone, of a provider without workers: only admission is measured."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from benchmarks.stand import Stand
from penstock_client.broker import Broker
from penstock_client.connections import close_redis, redis_pool
from penstock_client.ledger import NewJob
from penstock_schemas.status import Lane
from penstock_worker.admission.index import ProviderIndex

_CHUNK = 10_000


class Bench:
    """An open index of its own, and the server that it is on."""

    def __init__(self, redis: Any, index: ProviderIndex) -> None:
        self.redis = redis
        self.index = index
        self._broker = Broker(redis)

    async def push(self, jobs: Iterable[NewJob]) -> None:
        """Queue jobs, in pieces that do not fill the memory."""
        piece: list[NewJob] = []
        for job in jobs:
            piece.append(job)
            if len(piece) == _CHUNK:
                await self._broker.push(piece)
                piece = []
        await self._broker.push(piece)

    async def cpu_us(self) -> float | None:
        """CPU of the thread that runs the server's commands so far; None where it is not told."""
        info: dict[str, Any] = await self.redis.info("cpu")
        user, system = (info.get(f"used_cpu_{kind}_main_thread") for kind in ("user", "sys"))
        return None if user is None or system is None else (user + system) * 1e6


@asynccontextmanager
async def bench(stand: Stand, name: str) -> AsyncGenerator[Bench]:
    """The index of a provider of this name; nothing of it is left afterwards."""
    redis: Any = redis_pool(stand.settings)
    index = ProviderIndex(redis, name)
    try:
        await index.finish_rebuild(await index.begin_rebuild("1"))
        yield Bench(redis, index)
        keys = [key async for key in redis.scan_iter(match=f"{index.keys.base}*", count=1000)]
        await redis.unlink(*keys)
    finally:
        await close_redis(redis)


def new_job(
    provider: str,
    workspace: str,
    *,
    model: str = "one-model",
    lane: Lane = Lane.BULK,
    input_tokens: int = 100,
    output_tokens: int = 100,
) -> NewJob:
    """A job with these estimates."""
    return NewJob(
        job_id=UUID(int=uuid7().int),
        workspace=workspace,
        type="generate",
        capability="generate",
        provider=provider,
        model=model,
        lane=lane,
        max_attempts=5,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        deadline=None,
        idempotency_key=None,
        skill=None,
        step=None,
        agent=None,
        task_type=None,
        body=b"",
    )
