"""The law of fair shares: between workspaces first, then between the flows of one.

Whoever always has work gets its share within a few jobs, whatever the others do. Shares are in
estimated tokens; `L` below is the largest job.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable

import pytest
from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_client.ledger import NewJob
from penstock_worker.admission.index import Drop, ProviderIndex
from penstock_worker.leases import Lease
from tests.ledger.making import new_job

L = 1000
Share = Callable[[Lease], object]


def _jobs(chance: random.Random, count: int, workspace: str, **changes: object) -> list[NewJob]:
    return [
        new_job(workspace, input_tokens=chance.randint(1, L - 1), output_tokens=1, **changes)
        for _ in range(count)
    ]


async def _serve(index: ProviderIndex, jobs: int, slots: int) -> list[Lease]:
    """Claim that many jobs, `slots` at a time."""
    served: list[Lease] = []
    while len(served) < jobs:
        leases = (await index.claim(min(slots, jobs - len(served)))).leases
        assert leases
        served += leases
        await index.release([Drop(lease) for lease in leases])
    return served


def _tokens(served: list[Lease], share: Share) -> dict[object, int]:
    totals: defaultdict[object, int] = defaultdict(int)
    for lease in served:
        totals[share(lease)] += lease.entry.input_tokens + lease.entry.output_tokens
    return totals


def _by_workspace(lease: Lease) -> str:
    return lease.flow.workspace


@pytest.mark.parametrize("slots", [1, 7, 100])
async def test_workspaces_with_work_get_equal_shares(
    index: ProviderIndex, broker: Broker, slots: int
) -> None:
    chance = random.Random(slots)
    sizes = {"small": 200, "large": 2000, "middle": 400}
    for workspace, size in sizes.items():
        await broker.push(_jobs(chance, size, workspace))
    shares = _tokens(await _serve(index, 450, slots), _by_workspace)
    assert max(shares.values()) - min(shares.values()) <= 2 * L


async def test_more_models_and_lanes_buy_no_more_turns(
    index: ProviderIndex, broker: Broker
) -> None:
    chance = random.Random(0)
    for flow in range(12):
        await broker.push(_jobs(chance, 60, "many", model=f"m{flow}", lane=flow % 3))
    await broker.push(_jobs(chance, 700, "one"))
    shares = _tokens(await _serve(index, 600, 5), _by_workspace)
    assert abs(shares["many"] - shares["one"]) <= 2 * L


async def test_flows_of_a_workspace_get_equal_shares(index: ProviderIndex, broker: Broker) -> None:
    chance = random.Random(0)
    for model, size in (("a", 900), ("b", 300), ("c", 300)):
        await broker.push(_jobs(chance, size, "acme", model=model))
    shares = _tokens(await _serve(index, 600, 3), lambda lease: lease.flow.model)
    assert max(shares.values()) - min(shares.values()) <= 2 * L


async def test_lanes_get_shares_by_weight(index: ProviderIndex, broker: Broker) -> None:
    chance = random.Random(0)
    for lane in (0, 1):
        await broker.push(_jobs(chance, 1500, "acme", lane=lane))
    served = await _serve(index, 1500, 4)
    shares = _tokens(served, lambda lease: lease.flow.lane)
    per_weight = [shares[0] / 8, shares[1] / 2]
    # One job moves a lane's pass by its tokens over its weight.
    assert max(per_weight) - min(per_weight) <= 2 * L / 2


async def test_background_waits_until_nothing_else_is_ready(
    index: ProviderIndex, broker: Broker
) -> None:
    chance = random.Random(0)
    await broker.push(_jobs(chance, 20, "acme", lane=2))
    await broker.push(_jobs(chance, 20, "other", lane=1))
    served = await _serve(index, 40, 4)
    assert [lease.flow.lane for lease in served] == [1] * 20 + [2] * 20


async def test_claim_keeps_slots_free_for_interactive_work(
    index: ProviderIndex, broker: Broker
) -> None:
    chance = random.Random(0)
    await broker.push(_jobs(chance, 20, "acme", lane=1))
    await broker.push(_jobs(chance, 20, "acme", lane=2))
    first = await index.claim(10, other_slots=3)
    await broker.push(_jobs(chance, 20, "other", lane=0))
    second = await index.claim(10, other_slots=0)
    assert [lease.flow.lane for lease in first.leases] == [1, 1, 1]
    assert [lease.flow.lane for lease in second.leases] == [0] * 10


async def test_lane_without_rivals_gets_everything(index: ProviderIndex, broker: Broker) -> None:
    await broker.push(_jobs(random.Random(0), 50, "acme", lane=2))
    assert len(await _serve(index, 50, 50)) == 50


@pytest.mark.parametrize("burst", [1, 3])
async def test_workspace_that_drains_and_comes_back_gets_no_more_than_its_share(
    index: ProviderIndex, broker: Broker, burst: int
) -> None:
    chance = random.Random(burst)
    await broker.push(_jobs(chance, 700, "stays"))
    shares: defaultdict[str, int] = defaultdict(int)
    waiting = 0
    for _ in range(600):
        if waiting == 0:
            await broker.push(_jobs(chance, burst, "returns"))
            waiting = burst
        (lease,) = await _serve(index, 1, 1)
        waiting -= lease.flow.workspace == "returns"
        shares[lease.flow.workspace] += lease.entry.input_tokens + lease.entry.output_tokens
    assert shares["returns"] <= shares["stays"] + 2 * L
    assert shares["returns"] >= 0.8 * shares["stays"], "and it is not starved either"


async def test_flow_that_drains_and_comes_back_gets_no_more_than_its_share(
    index: ProviderIndex, broker: Broker
) -> None:
    chance = random.Random(0)
    await broker.push(_jobs(chance, 700, "acme", model="stays"))
    shares: defaultdict[str, int] = defaultdict(int)
    waits = False
    for _ in range(600):
        if not waits:
            await broker.push(_jobs(chance, 1, "acme", model="returns"))
            waits = True
        (lease,) = await _serve(index, 1, 1)
        waits = lease.flow.model != "returns"
        shares[lease.flow.model] += lease.entry.input_tokens + lease.entry.output_tokens
    assert shares["returns"] <= shares["stays"] + 2 * L


@pytest.mark.parametrize("slots", [1, 10])
async def test_newcomer_gets_a_credit_of_one_claim_at_most(
    index: ProviderIndex, broker: Broker, slots: int
) -> None:
    chance = random.Random(0)
    await broker.push(_jobs(chance, 1000, "early"))
    await _serve(index, 500, slots)
    await broker.push(_jobs(chance, 500, "late"))
    shares = _tokens(await _serve(index, 300, 5), _by_workspace)
    assert -L <= shares["late"] - shares["early"] <= (slots + 1) * L


async def test_newcomer_waits_for_one_turn_at_most(index: ProviderIndex, broker: Broker) -> None:
    chance = random.Random(0)
    for n in range(20):
        await broker.push(_jobs(chance, 100, f"w{n}"))
    await _serve(index, 400, 10)
    await broker.push([new_job("late")])
    served = await _serve(index, 41, 1)  # all 20 others once, and some a second time
    assert "late" in {lease.flow.workspace for lease in served}


async def test_tags_of_the_idle_do_not_pile_up(
    redis: ArqRedis, index: ProviderIndex, broker: Broker
) -> None:
    chance = random.Random(0)
    for n in range(100):
        await broker.push([*_jobs(chance, 1, f"w{n}"), *_jobs(chance, 5, "busy")])
        await _serve(index, 6, 6)
    assert await redis.zcard(f"{index.keys.base}tags") < 10
