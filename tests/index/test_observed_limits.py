"""Limits that move by what a provider says: headers, refusals, and room that nobody uses."""

from __future__ import annotations

from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_client.entries import Flow
from penstock_worker.admission.index import Drop, Limit, Observation, ProviderIndex
from tests.index.clocked import Clock, clocked_index
from tests.ledger.making import MODEL, new_jobs

MINUTE_MS = 60_000
FLOW = Flow("acme", 1, MODEL)
BUCKET = f"group:platform/{MODEL}|requests/{MINUTE_MS}"


@pytest.fixture
async def timed(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> tuple[ProviderIndex, Clock]:
    return await clocked_index(redis, monkeypatch)


def seen(**fields: Any) -> Observation:
    told: dict[str, Any] = {"flow": FLOW, "unit": "requests", "window_ms": MINUTE_MS}
    return Observation(**(told | fields))


async def state(redis: ArqRedis, index: ProviderIndex, bucket: str = BUCKET) -> dict[str, str]:
    client: Any = redis
    found: dict[bytes, bytes] = await client.hgetall(f"{index.keys.base}b:{bucket}")
    return {name.decode(): value.decode() for name, value in found.items()}


async def factor(redis: ArqRedis, index: ProviderIndex) -> float:
    return float((await state(redis, index)).get("factor", "1"))


async def make_wait(index: ProviderIndex, broker: Broker) -> None:
    """Queue more than the limit lets through, so that a flow waits for it."""
    await broker.push(new_jobs(100, lane=1))
    await index.release([Drop(lease) for lease in (await index.claim(100)).leases])


async def test_a_limit_is_learned_from_headers(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis, broker: Broker
) -> None:
    index, clock = timed
    await index.observe([seen(limit=60, used=1)])
    told = await state(redis, index)
    assert (told["amount"], told["source"]) == ("60", "learned")
    await broker.push(new_jobs(100, lane=1))
    await clock.pass_ms(1000)
    assert len((await index.claim(100)).leases) == 1


async def test_a_learned_limit_follows_its_headers(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis
) -> None:
    index, _ = timed
    await index.observe([seen(limit=60, used=1)])
    await index.observe([seen(limit=600, used=1)])
    assert (await state(redis, index))["amount"] == "600"


async def test_a_configured_limit_goes_before_headers(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis
) -> None:
    index, _ = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 30)])
    await index.observe([seen(limit=1200, used=1)])
    assert await state(redis, index) == {}
    configured = await state(redis, index, f"provider|requests/{MINUTE_MS}")
    assert configured["amount"] == "30"


async def test_a_refusal_takes_a_tenth_once_however_many_come_together(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis
) -> None:
    index, clock = timed
    await index.observe([seen(limit=1200, used=1)])
    for _ in range(5):
        await index.observe([seen(refusals=1)])
    assert await factor(redis, index) == pytest.approx(0.9)
    await clock.pass_ms(1001)
    await index.observe([seen(refusals=1)])
    assert await factor(redis, index) == pytest.approx(0.81)


async def test_a_refusal_closes_the_limit_for_as_long_as_the_provider_says(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.observe([seen(limit=1200, used=1)])
    await broker.push(new_jobs(10, lane=1))
    await clock.pass_ms(1000)
    await index.observe([seen(refusals=1, retry_ms=7000)])
    claimed = await index.claim(10)
    assert claimed.leases == () and claimed.wait_ms is not None
    assert 7000 <= claimed.wait_ms <= 7100


async def test_refusals_without_headers_find_the_limit_by_what_was_accepted(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis
) -> None:
    index, _ = timed
    await index.observe([seen(refusals=1, accepted=500)])
    told = await state(redis, index)
    assert (told["amount"], told["source"]) == ("500", "found")


async def test_somebody_else_on_the_limit_slows_us_by_what_they_take(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis
) -> None:
    index, clock = timed
    await index.observe([seen(limit=1200, used=10)])
    await clock.pass_ms(1001)
    await index.observe([seen(limit=1200, used=16)])  # rises by 6 of the 20 of a second
    assert await factor(redis, index) == pytest.approx(0.7, abs=0.01)


async def test_room_at_the_provider_is_taken_while_work_waits(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis, broker: Broker
) -> None:
    index, clock = timed
    await index.observe([seen(limit=1200, used=1)])
    await index.observe([seen(refusals=1)])
    await make_wait(index, broker)
    for _ in range(10):
        await clock.pass_ms(1001)
        await index.observe([seen(limit=1200, used=1)])
    assert 0.99 <= await factor(redis, index) <= 1.02


async def test_room_is_not_taken_when_no_work_waits_for_it(
    timed: tuple[ProviderIndex, Clock], redis: ArqRedis
) -> None:
    index, clock = timed
    await index.observe([seen(limit=1200, used=1)])
    await index.observe([seen(refusals=1)])
    for _ in range(10):
        await clock.pass_ms(1001)
        await index.observe([seen(limit=1200, used=1)])
    assert await factor(redis, index) == pytest.approx(0.9)
