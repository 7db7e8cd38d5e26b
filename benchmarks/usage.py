"""What usage queries cost over a long history: 1,000,000 calls of 60 days, in one workspace.

Each figure is the median of some runs as a caller sees them, beside a count of the same attempts.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from statistics import median

import asyncpg

from benchmarks.figures import Figure
from benchmarks.history import CALLS, DAYS, WORKSPACE, history
from benchmarks.stand import Stand
from penstock_client import Penstock
from penstock_client.usage import UsageReports

_ROUNDS = 7
_GOAL_MS = 200


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Milliseconds of the typical queries, with two more of what exports cost."""
    async with history(stand) as connection, stand.client() as penstock:
        figures = [await _counted(connection), await _size(connection)]
        figures += [
            await _timed(f"{name}, of {CALLS:,} calls", query, goal=_GOAL_MS)
            for name, query in _queries(penstock.usage).items()
        ]
        if full:
            figures.append(await _exported(penstock))
        return figures


def _queries(usage: UsageReports) -> dict[str, Callable[[], Awaitable[object]]]:
    now = datetime.now(UTC)
    month, all_of_it = now - timedelta(days=30), now - timedelta(days=DAYS)
    rare = {"skill": "skill-7", "status": "error"}
    return {
        "this month": lambda: usage.month(WORKSPACE),
        "30 days by day": lambda: usage.summary(WORKSPACE, month, by=("day",)),
        "30 days by skill": lambda: usage.summary(WORKSPACE, month, by=("skill",)),
        "30 days by provider and model": lambda: usage.summary(
            WORKSPACE, month, by=("provider", "model")
        ),
        "60 days by day and skill": lambda: usage.summary(
            WORKSPACE, all_of_it, by=("day", "skill")
        ),
        "60 days of all workspaces by day": lambda: usage.summary(None, all_of_it, by=("day",)),
        "page of calls": lambda: usage.attempts(WORKSPACE),
        "page of calls, 40 days back": lambda: usage.attempts(
            WORKSPACE, until=now - timedelta(days=40)
        ),
        "page of calls of one skill": lambda: usage.attempts(WORKSPACE, where={"skill": "skill-7"}),
        "page of failed calls of one skill": lambda: usage.attempts(WORKSPACE, where=rare),
        "page of calls of a skill that never ran": lambda: usage.attempts(
            WORKSPACE, where={"skill": "nothing"}
        ),
        "page of calls of one session": lambda: usage.attempts(
            WORKSPACE, where={"session": "session-9000"}
        ),
    }


async def _timed(
    name: str, query: Callable[[], Awaitable[object]], *, goal: float | None = None
) -> Figure:
    await query()
    took_ms: list[float] = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await query()
        took_ms.append((time.perf_counter() - began) * 1000)
    return Figure(bench="usage", name=name, value=median(took_ms), unit="ms", goal=goal)


async def _counted(connection: asyncpg.Connection) -> Figure:
    text = "select count(*) from penstock.attempts where workspace = $1"
    return await _timed(
        f"select count(*) of the {CALLS:,} attempts",
        lambda: connection.fetchval(text, WORKSPACE),
    )


async def _size(connection: asyncpg.Connection) -> Figure:
    hours = await connection.fetchval(
        "select count(*) from penstock.usage_hours where workspace = $1", WORKSPACE
    )
    return Figure(bench="usage", name="rows that sum them up by the hour", value=hours, unit="rows")


async def _exported(penstock: Penstock) -> Figure:
    began, calls = time.perf_counter(), 0
    async for _ in penstock.usage.export_calls(WORKSPACE):
        calls += 1
    rate = calls / (time.perf_counter() - began)
    return Figure(bench="usage", name="calls exported", value=rate, unit="/s")
