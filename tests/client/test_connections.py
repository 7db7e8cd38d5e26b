"""Connections to Redis, on a Redis in this process: closing, checking, trying again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq.connections import ArqRedis
from fakeredis import FakeServer
from fakeredis.aioredis import FakeAsyncRedisConnection
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from penstock_client import ConfigurationError, Settings, Unavailable
from penstock_client.connections import (
    REDIS_AWAY,
    check_redis,
    close_redis,
    persistently,
    redis_pool,
)

GOOD = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction"}


@pytest.fixture
def server() -> FakeServer:
    """A Redis in memory; `connected = False` takes it away."""
    return FakeServer()


@pytest.fixture
async def redis(server: FakeServer) -> AsyncIterator[ArqRedis]:
    """A pool on that server, made as `redis_pool` makes them."""
    pool = BlockingConnectionPool(connection_class=FakeAsyncRedisConnection, server=server)
    client = ArqRedis(pool)
    yield client
    await client.aclose(close_connection_pool=True)


def answering(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, answer: Any) -> ArqRedis:
    """The in-memory server knows no INFO: it answers this."""

    async def info() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(redis, "info", info)
    return redis


def connections(redis: ArqRedis) -> list[Any]:
    pool: Any = redis.connection_pool
    opened = [*pool._available_connections, *pool._in_use_connections]
    return [connection for connection in opened if connection.is_connected]


async def test_close_redis_closes_every_connection(redis: ArqRedis) -> None:
    await redis.set("a", "1")
    assert len(connections(redis)) == 1
    await close_redis(redis)
    assert connections(redis) == []


async def test_close_redis_is_quiet_when_redis_is_away(server: FakeServer, redis: ArqRedis) -> None:
    await redis.set("a", "1")
    server.connected = False
    await close_redis(redis)
    assert connections(redis) == []


async def test_close_redis_twice_does_no_harm(redis: ArqRedis) -> None:
    await close_redis(redis)
    await close_redis(redis)


async def test_check_redis_takes_a_server_that_keeps_what_it_has(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check_redis(answering(redis, monkeypatch, GOOD))


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ({**GOOD, "maxmemory_policy": "allkeys-lru"}, ConfigurationError, "noeviction"),
        ({**GOOD, "redis_version": "6.0.16"}, ConfigurationError, "use 6.2 or later"),
        (ResponseError("NOPERM no"), ConfigurationError, "NOPERM"),
        (RedisConnectionError("refused"), Unavailable, "refused"),
        (OSError("no route"), Unavailable, "no route"),
    ],
)
async def test_check_redis_refuses_others_and_names_the_variable(
    redis: ArqRedis,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    error: type[Exception],
    told: str,
) -> None:
    with pytest.raises(error, match=told) as caught:
        await check_redis(answering(redis, monkeypatch, answer))
    assert "PENSTOCK_REDIS_URL" in str(caught.value)


def test_redis_pool_opens_no_connection_yet() -> None:
    pool = redis_pool(Settings(redis_url="redis://127.0.0.1:1/0"))
    assert connections(pool) == []


async def test_persistently_tries_again_once_redis_is_back(
    server: FakeServer, redis: ArqRedis
) -> None:
    server.connected = False
    tries = 0

    async def write() -> Any:
        nonlocal tries
        tries += 1
        server.connected = tries > 2
        return await redis.set("a", "1")

    assert await persistently(write, away=REDIS_AWAY, for_s=5)
    assert tries == 3


async def test_persistently_gives_up_with_the_last_error(
    server: FakeServer, redis: ArqRedis
) -> None:
    server.connected = False
    with pytest.raises(RedisConnectionError):
        await persistently(lambda: redis.get("a"), away=REDIS_AWAY, for_s=0.05)


async def test_persistently_does_not_repeat_other_errors() -> None:
    tries = 0

    async def wrong() -> None:
        nonlocal tries
        tries += 1
        raise LookupError("wrong type")

    with pytest.raises(LookupError):
        await persistently(wrong, away=REDIS_AWAY, for_s=5)
    assert tries == 1
