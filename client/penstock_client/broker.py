"""The broker: a producer's side of Redis. Pushes recorded jobs into their providers' indexes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from arq.connections import ArqRedis

from penstock_client.ledger.rows import NewJob, StandingJob
from penstock_client.scripts import Argument, client_script
from penstock_schemas.keys import ProviderKeys

#: Jobs pushed in one script call: 10,000 would stop Redis for more than 10 ms.
PUSH_CHUNK = 1000


class Broker:
    """Writes to the index; reads of results are in `waiting.py`."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self._push = client_script("push")

    async def push(self, jobs: Iterable[NewJob | StandingJob]) -> None:
        """Index recorded jobs and wake their providers' workers. Safe to repeat."""
        by_provider: defaultdict[str, list[NewJob | StandingJob]] = defaultdict(list)
        for job in jobs:
            by_provider[job.provider].append(job)
        for provider, placed in by_provider.items():
            for first in range(0, len(placed), PUSH_CHUNK):
                await self._push_chunk(provider, placed[first : first + PUSH_CHUNK])

    async def _push_chunk(self, provider: str, jobs: Sequence[NewJob | StandingJob]) -> None:
        keys = ProviderKeys(provider)
        by_flow: defaultdict[str, list[bytes]] = defaultdict(list)
        for job in jobs:
            by_flow[job.flow.name].append(job.entry.pack())
        args: list[Argument] = [keys.wake]
        for flow, entries in by_flow.items():
            args += (flow, len(entries), *entries)
        await self._push(self.redis, keys.epoch, args)
