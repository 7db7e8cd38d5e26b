"""Budgets inside the claim: what was told of them a moment ago keeps jobs in the queue."""

from __future__ import annotations

from typing import Any

from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_client.gates import forget_rooms
from penstock_worker.admission.index import Done, IndexRoom, ProviderIndex, Used, Verdict
from tests.index.looking import lapse_all
from tests.ledger.making import MODEL, PROVIDER, new_job, new_jobs

LONG_MS = 60_000


def room(free: int, **changes: Any) -> IndexRoom:
    """A budget of tokens of `acme`; jobs of these tests take 15 of it."""
    fields: dict[str, Any] = {
        "name": "acme",
        "left": 1000,
        "free": free,
        "hard": False,
        "waits": False,
        "for_ms": LONG_MS,
        "prices": {},
    }
    return IndexRoom(**(fields | changes))


async def test_claim_takes_as_many_jobs_as_a_budget_has_room_for(
    index: ProviderIndex, broker: Broker
) -> None:
    await broker.push(new_jobs(10))
    await index.set_rooms([room(50)])
    assert len((await index.claim(10)).leases) == 3
    assert (await index.claim(10)).leases == ()


async def test_budget_of_one_workspace_keeps_no_other(index: ProviderIndex, broker: Broker) -> None:
    await broker.push([*new_jobs(5), *new_jobs(5, "other")])
    await index.set_rooms([room(0)])
    claimed = await index.claim(10)
    assert [lease.flow.workspace for lease in claimed.leases] == ["other"] * 5


async def test_told_room_wakes_the_jobs_that_wait_for_it(
    index: ProviderIndex, broker: Broker
) -> None:
    await broker.push(new_jobs(5))
    await index.set_rooms([room(0)])
    assert (await index.claim(10)).leases == ()
    await index.set_rooms([room(30)])
    assert len((await index.claim(10)).leases) == 2


async def test_told_room_lapses_and_the_ledger_is_asked(
    index: ProviderIndex, broker: Broker, redis: ArqRedis
) -> None:
    await broker.push(new_jobs(5))
    await index.set_rooms([room(0, for_ms=30)])
    claimed = await index.claim(10)
    assert claimed.leases == ()
    assert claimed.wait_ms is not None and claimed.wait_ms <= 30
    await redis.delete(f"{index.keys.base}room:acme")
    await redis.zadd(f"{index.keys.base}parked", {"room:acme": 1}, xx=True)
    assert len((await index.claim(10)).leases) == 5


async def test_changed_budget_is_asked_for_again_at_once(
    index: ProviderIndex, broker: Broker, redis: ArqRedis
) -> None:
    await broker.push(new_jobs(5))
    await index.set_rooms([room(0)])
    assert (await index.claim(10)).leases == ()
    await forget_rooms(redis, [PROVIDER], "acme", ["default"])
    assert len((await index.claim(10)).leases) == 5


async def test_job_that_can_find_no_room_goes_to_be_refused_unless_it_may_wait(
    index: ProviderIndex, broker: Broker
) -> None:
    await broker.push(new_jobs(3))
    await index.set_rooms([room(0, left=10, waits=True)])
    assert (await index.claim(10)).leases == ()
    await index.set_rooms([room(1, left=10)])
    assert len((await index.claim(10)).leases) == 3


async def test_hard_budget_counts_with_the_most_that_a_job_can_use(
    index: ProviderIndex, broker: Broker
) -> None:
    await broker.push(new_jobs(3))
    most = 4 * 10 + 64 + 5
    await index.set_rooms([room(2 * most - 1, hard=True)])
    assert len((await index.claim(10)).leases) == 1


async def test_money_is_counted_by_the_prices_of_the_model(
    index: ProviderIndex, broker: Broker
) -> None:
    await broker.push([*new_jobs(5), *new_jobs(5, model="unpriced")])
    money = room(3 * (10 * 7 + 5 * 9), name="acme/default", left=10**6, prices={MODEL: (7, 9)})
    await index.set_rooms([money])
    claimed = await index.claim(20)
    models = [lease.flow.model for lease in claimed.leases]
    assert (models.count(MODEL), models.count("unpriced")) == (3, 5)


async def test_tests_of_keys_pass_every_budget(index: ProviderIndex, broker: Broker) -> None:
    await broker.push([new_job(configuration="key-check")])
    await index.set_rooms([room(0, left=0, waits=True)])
    assert len((await index.claim(10)).leases) == 1


async def test_claim_tells_what_jobs_mostly_use_at_most_once_that_is_known(
    index: ProviderIndex, broker: Broker
) -> None:
    await broker.push(new_jobs(30, output_tokens=1000))
    first = (await index.claim(20)).leases
    assert {lease.likely for lease in first} == {None}
    answers = [10] * 18 + [60, 10]
    await index.release(
        [
            Done(lease, "acme", b"", Used(20, tokens, Verdict.WORKS))
            for lease, tokens in zip(first, answers, strict=True)
        ]
    )
    (known,) = (await index.claim(1)).leases
    assert known.likely == (20, 60)


async def test_long_answers_are_forgotten_slowly(index: ProviderIndex, broker: Broker) -> None:
    for tokens in (100, *[10] * 60):
        await broker.push([new_job(output_tokens=1000)])
        (lease,) = (await index.claim(1)).leases
        await index.release([Done(lease, "acme", b"", Used(20, tokens, Verdict.WORKS))])
    await broker.push([new_job(output_tokens=1000)])
    (known,) = (await index.claim(1)).leases
    assert known.likely is not None
    assert 15 <= known.likely[1] <= 50


async def test_lapsed_lease_does_not_draw_twice(
    index: ProviderIndex, broker: Broker, redis: ArqRedis
) -> None:
    await broker.push(new_jobs(2))
    await index.set_rooms([room(45)])
    assert len((await index.claim(10)).leases) == 2
    await lapse_all(redis, index)
    assert len((await index.claim(10)).leases) == 1
