"""An open index of one provider on an empty Valkey, seen by a producer and by workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from arq.connections import ArqRedis

from penstock_client import Settings
from penstock_client.broker import Broker
from penstock_client.connections import close_redis, redis_pool
from penstock_worker.admission import index as index_module
from penstock_worker.admission.index import ProviderIndex
from tests.ledger.making import PROVIDER


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[ArqRedis]:
    """A pool on an empty Valkey."""
    pool = redis_pool(settings)
    await pool.flushall()
    yield pool
    await close_redis(pool)


@pytest.fixture
async def index(redis: ArqRedis) -> ProviderIndex:
    """The provider's index, open."""
    opened = ProviderIndex(redis, PROVIDER)
    await opened.finish_rebuild(await opened.begin_rebuild("e1"))
    return opened


@pytest.fixture
def broker(redis: ArqRedis) -> Broker:
    """A producer."""
    return Broker(redis)


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`short_lease(0.05)`: claims from now on lease for that many seconds."""

    def shorten(lease_s: float) -> None:
        monkeypatch.setattr(index_module, "LEASE_S", lease_s)

    return shorten
