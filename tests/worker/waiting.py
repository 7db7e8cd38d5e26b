"""Jobs that wait at one provider with routes to others, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from arq.connections import ArqRedis

from penstock_client import Penstock
from penstock_client.broker import Broker
from penstock_client.ledger import NewJob
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.diversion import Diversion, Mover
from penstock_worker.queue_wait import QueueWaits
from tests.index.looking import contents
from tests.ledger.making import new_job

HERE, THERE = "fireworks/x", "openai/y"
PROVIDERS = ("fireworks", "openai")


class Waiting:
    """A ledger and its indexes with jobs that nobody runs, and a steward's duties one by one."""

    def __init__(self, penstock: Penstock, redis: ArqRedis) -> None:
        self.ledger = penstock.ledger
        self.redis = redis
        mover = Mover(redis, self.ledger, self.index)
        self._diversion = Diversion(redis, self.ledger, mover)
        self._queue_waits = QueueWaits(redis, self.ledger, mover)

    def index(self, provider: str) -> ProviderIndex:
        """A provider's index."""
        return ProviderIndex(self.redis, provider)

    async def add(
        self, count: int = 1, routes: Sequence[str] = (HERE, THERE), **fields: Any
    ) -> list[NewJob]:
        """Record and index jobs on the first of their routes."""
        provider, model = routes[0].split("/")
        body = orjson.dumps({"version": 1, "routes": routes, "job": {}})
        placed = {"provider": provider, "model": model, "body": body, **fields}
        jobs = [new_job(**placed) for _ in range(count)]
        await self.ledger.submit(jobs)
        await Broker(self.redis).push(jobs)
        return jobs

    async def shut(
        self, gate: str = "model:x", *, at: str = "fireworks", for_s: float = 60
    ) -> None:
        """Shut a gate."""
        await self.index(at).shut(gate, state="open", reason="told", for_s=for_s)

    async def staff(self, provider: str) -> None:
        """Let a provider have a worker that was seen just now."""
        seconds, _ = await self.redis.time()
        await self.redis.zadd(self.index(provider).keys.workers, {"w": seconds * 1000})

    async def divert(self) -> int:
        """One turn of the diversion; returns how many jobs it moved."""
        return await self._diversion.run(PROVIDERS)

    async def bound_waits(self) -> None:
        """One turn of the duty that bounds waits."""
        await self._queue_waits.run()

    async def queued(self, provider: str) -> list[UUID]:
        """The jobs in a provider's queues, with repeats."""
        queues = (await contents(self.redis, self.index(provider))).queues.values()
        return [UUID(bytes=entry[:16]) for queue in queues for entry in queue]

    async def placed(self, provider: str) -> set[UUID]:
        """The live jobs that the ledger places at a provider."""
        page = await self.ledger.standing("live_jobs", provider, UUID(int=0), 10_000)
        return {job.job_id for job in page}
