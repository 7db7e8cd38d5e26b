"""What tests of running workers need beside the common fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from arq.connections import ArqRedis

from penstock_client import Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_worker import steering
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.embedded import EmbeddedStack
from tests.worker.running import PROVIDER, Servers
from tests.worker.waiting import Waiting


@pytest.fixture
def servers(stack: EmbeddedStack) -> Servers:
    """The servers, to be stopped and killed."""
    return Servers(stack)


@pytest.fixture
async def redis(empty: Settings) -> AsyncIterator[ArqRedis]:
    """A pool on an empty Valkey."""
    pool = redis_pool(empty)
    yield pool
    await close_redis(pool)


@pytest.fixture
def index(redis: ArqRedis) -> ProviderIndex:
    """The provider's index, as a steward or a rival worker sees it."""
    return ProviderIndex(redis, PROVIDER)


@pytest.fixture
def waiting(penstock: Penstock, redis: ArqRedis) -> Waiting:
    """Jobs that wait, with nobody to run them."""
    return Waiting(penstock, redis)


@pytest.fixture(autouse=True)
def all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers fill their slots at once, though nothing is known of the provider's limits."""
    monkeypatch.setattr(steering, "START_CALLS", 0)
