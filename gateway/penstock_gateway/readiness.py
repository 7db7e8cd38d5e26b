"""Whether the stack behind the gateway answers: one probe each for Postgres and Redis.

Every probe opens a connection of its own and closes it again, because a pool that was healthy a
second ago says nothing about a server that has just gone. Probes run side by side and never raise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
from redis.asyncio import Redis

PROBE_DEADLINE_S = 2.0

Probe = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What one probe found; `problem` is None when the server answered, and never an address."""

    name: str
    duration_ms: float
    problem: str | None

    @property
    def ok(self) -> bool:
        return self.problem is None


async def check_stack(*, database_url: str | None, redis_url: str | None) -> list[ProbeResult]:
    """Probes both servers at once; returns within `PROBE_DEADLINE_S`, plus what closing takes."""
    return list(
        await asyncio.gather(
            _run("postgres", _ask_postgres, database_url),
            _run("redis", _ask_redis, redis_url),
        )
    )


async def _run(name: str, probe: Probe, url: str | None) -> ProbeResult:
    started = time.perf_counter()
    problem = await _problem_of(probe, url) if url else "not configured"
    duration_ms = round((time.perf_counter() - started) * 1000, 1)
    return ProbeResult(name=name, duration_ms=duration_ms, problem=problem)


async def _problem_of(probe: Probe, url: str) -> str | None:
    try:
        async with asyncio.timeout(PROBE_DEADLINE_S):
            await probe(url)
    except TimeoutError:
        return f"no answer within {PROBE_DEADLINE_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is "not ready"
        # The message may quote the address and with it a password; its type says enough here.
        return type(error).__name__
    return None


async def _ask_postgres(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("select 1")
    finally:
        connection.terminate()


async def _ask_redis(url: str) -> None:
    connection = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType] - untyped options
    try:
        await connection.ping()  # pyright: ignore[reportUnknownMemberType] - as above
    finally:
        await connection.aclose()
