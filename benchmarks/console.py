"""How long the console's pages take where 1,000,000 jobs stand in the table, and 5,000 wait.

One gateway process, started as the command starts it; each page is asked for alone, and timed until
it is there whole. The overview shares its readings for a moment: its pages are asked for when those
are stale, so that what it reads is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import aiohttp
import asyncpg

from benchmarks.figures import Figure
from benchmarks.history import CALLS, WORKSPACE, history
from benchmarks.stand import IDLE_MODEL, Stand
from penstock_client import Generate, Penstock
from penstock_gateway.console.pulse import FRESH_S
from penstock_gateway.console.session import COOKIE

_WAITING = 5000
_ROUNDS, _ROUNDS_FULL = 9, 50
_GOAL_MS = 50
#: By then the overview reads anew.
_STALE_S = FRESH_S + 0.1


@dataclass(frozen=True, slots=True)
class _Ids:
    failed: str
    old: str
    waiting: str


async def measure(stand: Stand, *, full: bool) -> list[Figure]:
    """Milliseconds of each page: the median, and the slowest of all rounds."""
    async with history(stand) as connection, stand.client() as penstock:
        ids = await _ids(connection, penstock)
        everything = (await penstock.tokens.create("bench")).secret
        token = (await penstock.tokens.create("bench", workspace=WORKSPACE)).secret
        rounds = _ROUNDS_FULL if full else _ROUNDS
        figures: list[Figure] = []
        async with stand.listening("gateway") as url:
            async with _session(url, everything) as session:
                name = "overview of all workspaces"
                figures += await _timed(session, "/", name, rounds, apart_s=_STALE_S)
            async with _session(url, token) as session:
                name = "overview of a workspace"
                figures += await _timed(session, "/", name, rounds, apart_s=_STALE_S)
                for name, path in _pages(ids).items():
                    figures += await _timed(session, path, name, rounds)
        return figures


def _session(url: str, token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(url, cookies={COOKIE: token})


def _pages(ids: _Ids) -> Mapping[str, str]:
    """Pages of a workspace by what they are called."""
    return {
        "jobs": "/jobs",
        "jobs of one state": "/jobs?state=failed",
        "jobs that wait": "/jobs?state=live",
        "jobs of one skill and model": "/jobs?skill=skill-7&model=openai/model-1",
        "jobs of a skill that never ran": "/jobs?skill=nothing",
        "jobs that failed for one reason": "/jobs?error=server_error",
        "jobs, half of the history back": f"/jobs?before={ids.old}",
        "a job": f"/jobs/{ids.old}",
        "a failed job": f"/jobs/{ids.failed}",
        "a job that waits": f"/jobs/{ids.waiting}",
        "failed": "/failed",
        "failed, of a day": "/failed?within=24h",
        "backfills": "/backfills",
        "runs": "/runs",
        "playground": "/playground",
        "usage": "/usage",
        "settings": "/settings",
    }


async def _timed(
    session: aiohttp.ClientSession, path: str, name: str, rounds: int, *, apart_s: float = 0
) -> list[Figure]:
    took_ms: list[float] = []
    for number in range(rounds + 1):
        await asyncio.sleep(apart_s)
        began = time.perf_counter()
        async with session.get(path, allow_redirects=False) as answer:
            await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} was answered with {answer.status}")
        if number:  # the first one loads templates
            took_ms.append((time.perf_counter() - began) * 1000)
    title = f"{name}, of {CALLS:,} jobs"
    return [
        Figure(bench="console", name=title, value=median(took_ms), unit="ms", goal=_GOAL_MS),
        Figure(bench="console", name=f"{name}: slowest", value=max(took_ms), unit="ms"),
    ]


async def _ids(connection: asyncpg.Connection, penstock: Penstock) -> _Ids:
    """Give the history its reasons of failure and some jobs that wait; returns some of its jobs."""
    await connection.execute(
        "update penstock.jobs set last_error = 'server_error' where workspace = $1 and state = 11",
        WORKSPACE,
        timeout=600,
    )
    await connection.execute("vacuum analyze penstock.jobs", timeout=600)
    work = [
        Generate(workspace=WORKSPACE, prompt=f"message {n}", model=IDLE_MODEL)
        for n in range(_WAITING)
    ]
    waiting = await penstock.submit_many(work)
    nth = (
        "select id from penstock.jobs where workspace = $1 and state = $2 "
        "order by id offset $3 limit 1"
    )
    old = await connection.fetchval(nth, WORKSPACE, 10, CALLS // 2)
    failed = await connection.fetchval(nth, WORKSPACE, 11, CALLS // 1000)
    return _Ids(failed=str(failed), old=str(old), waiting=waiting[_WAITING // 2].job_id)
