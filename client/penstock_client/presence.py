"""Which providers have workers, as far as a producer knows. Read by a strategy's choice.

Workers say in their provider's index that they are alive. A producer reads that for all providers
in one round trip, at most every 30 s, and beside its submits as long as it knows something.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from arq.connections import ArqRedis

from penstock_client.background import end
from penstock_client.connections import REDIS_AWAY
from penstock_schemas.keys import ProviderKeys

logger = logging.getLogger("penstock.client")

#: A worker that was seen within so many seconds is alive.
ALIVE_S = 60.0
#: How long what was read is believed without reading it again, in seconds.
FRESH_S = 30.0
#: How long a submit waits for a first answer at most, in seconds.
_PATIENCE_S = 1.0


class Presence:
    """Knows the providers that have a worker; None while nothing is known.

    Each answer is at most `ALIVE_S` old. A Redis that is away is asked again after `FRESH_S`.
    """

    def __init__(
        self,
        redis: ArqRedis,
        providers: Callable[[], Iterable[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._providers = providers
        self._clock = clock
        self._alive: frozenset[str] | None = None
        self._asked_at: float | None = None
        self._read_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def alive(self) -> frozenset[str] | None:
        """The providers with a worker; None if that is not known. Never raises for Redis."""
        asked_at = self._asked_at
        if asked_at is None or self._clock() - asked_at >= FRESH_S:
            self._asked_at = self._clock()
            self._asking = asyncio.create_task(self._ask(), name="penstock-presence")
        known = self._alive is not None and self._clock() - self._read_at < ALIVE_S
        if not known:
            self._alive = None
            if self._asking is not None and not self._asking.done():
                await asyncio.shield(self._asking)
        return self._alive

    async def close(self) -> None:
        """End what is under way."""
        if self._asking is not None:
            await end([self._asking])

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                self._alive = await self._read()
        except REDIS_AWAY as error:
            self._alive = None
            reason = str(error) or type(error).__name__
            logger.warning("presence.unknown", extra={"reason": reason})
        else:
            self._read_at = self._clock()

    async def _read(self) -> frozenset[str]:
        names = list(self._providers())
        pipeline: Any = self._redis.pipeline(transaction=False)
        async with pipeline:
            pipeline.time()
            for name in names:
                pipeline.zrevrange(ProviderKeys(name).workers, 0, 0, withscores=True)
            (seconds, _), *latest = await pipeline.execute()
        since_ms = (seconds - ALIVE_S) * 1000
        return frozenset(
            name for name, seen in zip(names, latest, strict=True) if seen and seen[0][1] > since_ms
        )
