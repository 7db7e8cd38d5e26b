"""Budgets under load: many jobs at once against a budget that a quarter of them would use up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
import pytest

from penstock_client import Generate, JobState, Penstock
from penstock_schemas.status import ErrorKind
from penstock_worker.simulator.server import Simulator

MODEL = "openai/gpt-4o-mini"
JOBS, FIT = 2000, 500
Ends = Counter[tuple[JobState, ErrorKind | None]]


@dataclass(slots=True)
class Watched:
    """The workspace's budget, looked at all the time."""

    db: asyncpg.Connection
    budget: int = 0
    most: int = 0
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> tuple[int, int]:
        async with self.one_at_a_time:
            row = await self.db.fetchrow(
                "select tokens_used_this_month, tokens_held from penstock.llm_configs "
                "where workspace_id = 'acme'"
            )
        assert row is not None
        self.most = max(self.most, row[0] + row[1])
        return row[0], row[1]

    async def watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.01)


def job(n: int) -> Generate:
    return Generate(workspace="acme", model=MODEL, prompt=f"message {n} " + "and more " * (n % 7))


async def run_all(penstock: Penstock, count: int) -> Ends:
    found: Ends = Counter()
    async for result in penstock.map((job(n) for n in range(count)), window=count):
        found[result.status, result.error.kind if result.error else None] += 1
    return found


@pytest.fixture
async def watched(
    penstock: Penstock, simulator: Simulator, work_for: Callable[..., Awaitable[None]]
) -> AsyncIterator[Watched]:
    """Two workers that know how long answers are, and a budget for 500 more of them."""
    simulator.latency.set(latency_ms=30, jitter_ms=40)
    for _ in range(2):
        await work_for("openai", concurrency=150)
    assert (await run_all(penstock, 50))[JobState.SUCCEEDED, None] == 50
    db = await asyncpg.connect(penstock.settings.require_database())
    watched = Watched(db)
    used, _ = await watched.look()
    watched.budget = used + used // 50 * FIT
    yield watched
    await db.close()


async def _limited(watched: Watched, penstock: Penstock, mode: str) -> Ends:
    await watched.db.execute(
        "update penstock.llm_configs set default_token_budget = $1, budget_mode = $2",
        watched.budget,
        mode,
    )
    watching = asyncio.create_task(watched.watch())
    try:
        return await run_all(penstock, JOBS)
    finally:
        watching.cancel()


async def test_hard_budget_is_never_overshot_and_is_used_up(
    watched: Watched, penstock: Penstock
) -> None:
    ended = await _limited(watched, penstock, "hard")
    used, held = await watched.look()
    print(f"\nused {used / watched.budget:.1%}, most {watched.most / watched.budget:.1%}, {ended}")
    assert held == 0
    assert 0.95 * watched.budget <= used <= watched.most <= watched.budget
    assert set(ended) == {
        (JobState.SUCCEEDED, None),
        (JobState.FAILED, ErrorKind.BUDGET_EXCEEDED),
    }


async def test_soft_budget_is_overshot_by_little(watched: Watched, penstock: Penstock) -> None:
    ended = await _limited(watched, penstock, "soft")
    used, held = await watched.look()
    print(f"\nused {used / watched.budget:.1%}, {ended}")
    assert held == 0
    assert 0.95 * watched.budget <= used <= 1.05 * watched.budget
    assert sum(ended.values()) == JOBS
