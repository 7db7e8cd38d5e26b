"""Which providers have workers, as a producer knows it, and what a strategy makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_client import Penstock, Settings
from penstock_client.connections import close_redis, redis_pool
from penstock_client.presence import ALIVE_S, FRESH_S, Presence
from penstock_client.routing import NO_WORKER, Candidate, explain_route, routes_for
from penstock_schemas.catalog import Catalog
from penstock_schemas.errors import InvalidJob
from penstock_schemas.jobs import Generate
from penstock_schemas.keys import ProviderKeys
from tests.client.routed import config, made_of, model

TODAY = date(2026, 11, 21)


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def redis(empty: Settings) -> AsyncIterator[ArqRedis]:
    """A connection to an empty index."""
    pool = redis_pool(empty)
    yield pool
    await close_redis(pool)


@pytest.fixture
def clock() -> Clock:
    """The clock of a presence."""
    return Clock()


@pytest.fixture
async def presence(redis: ArqRedis, clock: Clock) -> AsyncIterator[Presence]:
    """Knows of the providers `a` and `b`."""
    opened = Presence(redis, lambda: ("a", "b"), clock=clock)
    yield opened
    await opened.close()


async def seen(redis: ArqRedis, provider: str, *, ago_s: float = 0) -> None:
    """A worker of a provider said so long ago that it is alive."""
    seconds, _ = await redis.time()
    await redis.zadd(ProviderKeys(provider).workers, {f"w{ago_s}": (seconds - ago_s) * 1000})


async def read_again(presence: Presence) -> frozenset[str] | None:
    """What is known once a reading that goes on beside has ended."""
    await presence.alive()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*(t for t in others if t.get_name() == "penstock-presence"))
    return await presence.alive()


# What is known.


async def test_alive_is_whoever_has_a_worker_seen_lately(
    presence: Presence, redis: ArqRedis
) -> None:
    await seen(redis, "a", ago_s=ALIVE_S + 5)
    await seen(redis, "b", ago_s=ALIVE_S + 5)
    await seen(redis, "b", ago_s=ALIVE_S - 5)
    assert await presence.alive() == {"b"}


async def test_alive_is_nobody_where_no_worker_runs(presence: Presence) -> None:
    assert await presence.alive() == frozenset()


async def test_alive_is_read_again_once_it_is_stale(
    presence: Presence, redis: ArqRedis, clock: Clock
) -> None:
    assert await presence.alive() == frozenset()
    await seen(redis, "a")
    clock.now_s += FRESH_S - 1
    assert await read_again(presence) == frozenset()
    clock.now_s += 2
    assert await read_again(presence) == {"a"}


async def test_alive_does_not_wait_for_a_reading_while_something_is_known(
    presence: Presence, redis: ArqRedis, clock: Clock
) -> None:
    await seen(redis, "a")
    await presence.alive()
    await redis.flushall()
    clock.now_s += FRESH_S + 1
    assert await presence.alive() == {"a"}
    assert await read_again(presence) == frozenset()


async def test_alive_is_asked_for_once_by_many_at_a_time(
    presence: Presence, redis: ArqRedis
) -> None:
    await seen(redis, "a")
    before = (await redis.info("stats"))["total_reads_processed"]
    assert set(await asyncio.gather(*(presence.alive() for _ in range(100)))) == {frozenset("a")}
    assert (await redis.info("stats"))["total_reads_processed"] - before < 10


async def test_alive_is_unknown_while_redis_is_away_and_not_asked_at_each_call(
    settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    away = redis_pool(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"}))
    presence = Presence(away, lambda: ("a",), clock=clock)
    assert [await presence.alive() for _ in range(5)] == [None] * 5
    assert [record.message for record in caplog.records] == ["presence.unknown"]
    await close_redis(away)


# What a strategy makes of it.


KNOWN = made_of(model("a/dear", "9"), model("b/cheap", "1"), model("c/free", "0"))
EVERYWHERE = {"providers": {"a", "b", "c"}, "today": TODAY}


def generate(strategy: Any = "cost", **fields: Any) -> Generate:
    return Generate(workspace="acme", prompt="hi", strategy=strategy, **fields)


def explained(alive: set[str] | None, known: Catalog = KNOWN) -> dict[str, Candidate]:
    found = explain_route(generate(), config(), known, alive=alive, **EVERYWHERE)
    return {candidate.ref: candidate for candidate in found.candidates}


def routed(alive: set[str] | None, job: Generate | None = None) -> tuple[str, ...]:
    return routes_for(job or generate(), config(), KNOWN, alive=alive, **EVERYWHERE)


def test_strategy_chooses_among_models_that_have_a_worker() -> None:
    assert routed({"a", "b"}) == ("b/cheap", "a/dear")


@pytest.mark.parametrize("alive", [None, set[str](), {"elsewhere"}])
def test_strategy_chooses_among_all_where_no_worker_is_known(alive: set[str] | None) -> None:
    assert routed(alive) == ("c/free", "a/dear")
    assert not any(found.why == NO_WORKER for found in explained(alive).values())


def test_explanation_says_that_no_worker_is_running() -> None:
    found = explained({"b"})
    assert (found["b/cheap"].why, found["b/cheap"].taken) == ("the best by cost", True)
    assert (found["c/free"].why, found["c/free"].taken) == (NO_WORKER, False)


def test_rules_do_not_mind_who_has_a_worker() -> None:
    assert routed({"b"}, generate(None)) == ("a/dear",)
    assert routed({"b"}, generate("cost", model="c/free")) == ("c/free",)


def test_job_that_only_a_model_without_a_worker_can_do_waits_for_it() -> None:
    known = made_of(model("a/blind"), model("c/sees", capabilities=["vision"]))
    picture = [{"role": "user", "content": [{"type": "image", "url": "u"}]}]
    job = Generate.model_validate({"workspace": "acme", "messages": picture, "strategy": "cost"})
    assert routes_for(job, config(), known, alive={"a"}, **EVERYWHERE) == ("c/sees",)
    with pytest.raises(InvalidJob):
        routes_for(job, config(), made_of(model("a/blind")), alive={"a"}, today=TODAY)


async def test_submitted_job_goes_to_a_provider_that_has_a_worker(
    penstock: Penstock, redis: ArqRedis
) -> None:
    own = await penstock.workspaces.get("acme")
    unhindered = routes_for(generate(), own, penstock.catalog)[0].partition("/")[0]
    candidates = explain_route(generate(), own, penstock.catalog).candidates
    others = {c.ref.partition("/")[0] for c in candidates if c.score is not None} - {unhindered}
    other = min(others)
    await seen(redis, other)
    assert (await penstock.submit(generate())).provider == other
