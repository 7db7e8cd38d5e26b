"""An index whose clock tests set: every script reads a key where it would read Redis' time."""

from __future__ import annotations

from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_client import scripts
from penstock_worker.admission.index import ProviderIndex
from tests.ledger.making import PROVIDER

START_MS = 1_800_000_000_000
_KEY = "test-clock"
_READS_TIME = "local t = redis.call('TIME')"
_SETS_CLOCK = "clock = t[1] * 1000 + math.floor(t[2] / 1000)"


class Clock:
    """The time of an index, in ms."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis: Any = redis
        self.ms = START_MS

    async def set(self, ms: float) -> None:
        """Make it `ms`."""
        self.ms = int(ms)
        await self._redis.set(_KEY, self.ms)

    async def pass_ms(self, ms: float) -> None:
        """Let time go by, or jump back."""
        await self.set(self.ms + ms)


async def clocked_index(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> tuple[ProviderIndex, Clock]:
    """An open index on such a clock."""
    head = scripts.index_head()
    assert _READS_TIME in head and _SETS_CLOCK in head
    changed = head.replace(_READS_TIME, f"local t = redis.call('GET', '{_KEY}')")
    changed = changed.replace(_SETS_CLOCK, "clock = tonumber(t)")
    monkeypatch.setattr(scripts, "index_head", lambda: changed)
    clock = Clock(redis)
    await clock.set(START_MS)
    index = ProviderIndex(redis, PROVIDER)
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    return index, clock
