"""Connections to Redis and Postgres, with a deadline on every await.

tenacity guards these, our own connections; provider calls are retried by `outcome.py` alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError, ResponseError
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from penstock_client.settings import DATABASE_VARIABLE, REDIS_VARIABLE, Settings
from penstock_schemas.errors import ConfigurationError, Unavailable

T = TypeVar("T")

#: Postgres was away, is starting or stopping, or asked us to try again.
POSTGRES_AWAY: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.OperatorInterventionError,  # starting, stopping, cancelled
    asyncpg.InternalServerError,
    asyncpg.ReadOnlySQLTransactionError,  # a failover under way
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InternalClientError,  # the connection broke in the middle of an operation
)
#: Redis was away, is loading, failing over, or out of disk or memory.
REDIS_AWAY: tuple[type[BaseException], ...] = (RedisError, OSError, TimeoutError)
#: Either of them.
AWAY = (*REDIS_AWAY, *POSTGRES_AWAY)


def redis_pool(settings: Settings, *, max_connections: int = 16) -> ArqRedis:
    """A pool of Redis connections; opens none yet."""
    url = settings.require_redis()
    over_tcp = {} if url.startswith("unix://") else {"socket_keepalive": True}
    pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        max_connections=max_connections,
        timeout=settings.deadline_s,
        socket_timeout=settings.deadline_s,
        socket_connect_timeout=min(settings.deadline_s, 5.0),
        **over_tcp,
    )
    return ArqRedis(pool)


async def close_redis(redis: ArqRedis) -> None:
    """Close a pool with its connections; does nothing worse when Redis is away."""
    with contextlib.suppress(*REDIS_AWAY):
        await redis.aclose(close_connection_pool=True)


async def check_redis(redis: ArqRedis) -> None:
    """Refuse a Redis that does not answer, is too old, or may evict the index.

    Raises Unavailable or ConfigurationError, naming the variable.
    """
    try:
        info: dict[str, Any] = await redis.info()  # pyright: ignore[reportUnknownMemberType]
    except ResponseError as error:
        raise ConfigurationError(f"{REDIS_VARIABLE}: {error}") from None
    except (RedisError, OSError) as error:
        raise Unavailable("Redis", _plain(error), variable=REDIS_VARIABLE) from None
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise ConfigurationError(
            f"{REDIS_VARIABLE}: this server has maxmemory-policy {policy}, which drops queued "
            "work; set it to noeviction"
        )
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < (6, 2):
        raise ConfigurationError(f"{REDIS_VARIABLE}: Redis {version} is too old; use 6.2 or later")


async def _keep_session(connection: Any) -> None:
    """No reset between uses: Penstock leaves no session state behind."""


def _session(settings: Settings) -> dict[str, str]:
    """Session settings. Prepared statements are planned once for all, and to use indexes: planning
    over the weekly partitions costs as much as running, and a plan made while the tables were
    small would read all of them once they are large.
    """
    if settings.statement_cache_size == 0:  # a PgBouncer, which refuses what it does not know
        return {"application_name": "penstock"}
    return {
        "application_name": "penstock",
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
    }


async def postgres_pool(settings: Settings, *, max_size: int = 10) -> asyncpg.Pool:
    """A pool of Postgres connections, at least one of them open.

    Raises Unavailable or ConfigurationError, naming the variable.
    """
    url = settings.require_database()
    pool: asyncpg.Pool[asyncpg.Record] | None = None
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=max_size,
            timeout=min(settings.deadline_s, 5.0),
            command_timeout=settings.deadline_s,
            statement_cache_size=settings.statement_cache_size,
            max_inactive_connection_lifetime=0,
            reset=_keep_session,
            server_settings=_session(settings),
        )
        async with pool.acquire():
            return pool
    except (ValueError, asyncpg.InvalidCatalogNameError, asyncpg.InvalidPasswordError) as error:
        raise ConfigurationError(f"{DATABASE_VARIABLE}: {_plain(error)}") from None
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise ConfigurationError(f"{DATABASE_VARIABLE}: {_plain(error)}") from None
    except POSTGRES_AWAY as error:
        raise Unavailable("Postgres", _plain(error), variable=DATABASE_VARIABLE) from None


async def persistently(
    call: Callable[[], Awaitable[T]], *, away: tuple[type[BaseException], ...], for_s: float
) -> T:
    """Call until it works: tries again with jitter while the server is away, for `for_s` seconds.

    `call` must be safe to repeat. Raises the last error.
    """
    try:
        return await call()
    except away:
        pass
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(away),
        stop=stop_after_delay(for_s),
        wait=wait_random_exponential(multiplier=0.05, max=2.0),
        reraise=True,
    ):
        with attempt:
            return await call()
    raise AssertionError("unreachable: the last attempt returns or raises")


async def close_pool(pool: asyncpg.Pool, *, within_s: float = 5.0) -> None:
    """Close a pool, by force when its connections do not answer in time."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(within_s):
            await pool.close()
            return
    pool.terminate()


def _plain(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
