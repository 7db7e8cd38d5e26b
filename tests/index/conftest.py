"""An open index of one provider on an empty Valkey, seen by a producer and by workers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis import Redis
from redis.exceptions import RedisError

from penstock_client import Settings
from penstock_client.broker import Broker
from penstock_client.connections import close_redis, redis_pool
from penstock_worker.admission import index as index_module
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.embedded.valkey import find_valkey
from tests.ledger.making import PROVIDER


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Valkey in cluster mode, which refuses what reaches over slots."""
    (port, bus), folder = _free_ports(), tmp_path_factory.mktemp("cluster")
    process = subprocess.Popen(
        [
            *(find_valkey(), "--port", str(port), "--bind", "127.0.0.1"),
            *("--cluster-enabled", "yes", "--cluster-port", str(bus)),
            *("--dir", str(folder), "--save", "", "--appendonly", "no"),
        ],
        stdout=subprocess.DEVNULL,
    )
    client: Any = Redis(port=port)
    try:
        _until(client.ping)
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        _until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=10)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for chosen in (one, other):
            chosen.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _until(condition: Callable[[], Any]) -> None:
    for _ in range(500):
        with contextlib.suppress(RedisError):
            if condition():
                return
        time.sleep(0.02)
    raise TimeoutError("the Valkey in cluster mode does not answer")


@pytest.fixture(params=["single", "cluster"])
def settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings that point at a Valkey alone, then at one in cluster mode."""
    if request.param == "single":
        return settings
    return settings.model_copy(update={"redis_url": request.getfixturevalue("cluster")})


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
