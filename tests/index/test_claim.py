"""Claims: in order, never twice, with what a lapsed lease leaves behind, and only when open."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from uuid import UUID

import pytest
from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_worker.admission.index import Again, Done, Drop, ProviderIndex
from penstock_worker.leases import Lease
from tests.index.looking import contents, lapse_all, until
from tests.ledger.making import new_job, new_jobs


async def test_claim_gives_jobs_of_a_flow_in_the_order_of_their_push(
    index: ProviderIndex, broker: Broker
) -> None:
    jobs = new_jobs(50)
    random.Random(1).shuffle(jobs)
    await broker.push(jobs[:20])
    await broker.push(jobs[20:])
    claimed = [lease for _ in range(6) for lease in (await index.claim(9)).leases]
    assert [lease.job_id for lease in claimed] == [job.job_id for job in jobs]


async def test_claim_gives_entry_and_flow_of_each_job(index: ProviderIndex, broker: Broker) -> None:
    jobs = [new_job("acme", lane=2, model="a|b"), new_job("other", input_tokens=2**31)]
    await broker.push(jobs)
    leases = (await index.claim(10)).leases
    assert {(lease.entry, lease.flow) for lease in leases} == {(j.entry, j.flow) for j in jobs}
    assert {(lease.lapsed, lease.epoch) for lease in leases} == {(None, "e1")}


async def test_claim_takes_no_more_than_its_slots(index: ProviderIndex, broker: Broker) -> None:
    await broker.push([*new_jobs(30), *new_jobs(30, "other")])
    assert len((await index.claim(7)).leases) == 7


async def test_push_again_keeps_the_place(index: ProviderIndex, broker: Broker) -> None:
    jobs = new_jobs(3)
    await broker.push(jobs)
    await broker.push(reversed(jobs))
    assert [lease.job_id for lease in (await index.claim(9)).leases] == [j.job_id for j in jobs]


async def test_push_of_what_is_leased_gives_no_second_lease(
    index: ProviderIndex, broker: Broker
) -> None:
    job = new_job()
    await broker.push([job])
    assert len((await index.claim(1)).leases) == 1
    await broker.push([job])
    assert (await index.claim(1)).leases == ()


async def test_claims_at_once_give_each_job_once(index: ProviderIndex, broker: Broker) -> None:
    jobs = [new_job(f"w{n % 7}", model=f"m{n % 3}", lane=n % 2) for n in range(3000)]
    await broker.push(jobs)
    given: list[UUID] = []

    async def claimer(seed: int) -> None:
        slots = random.Random(seed)
        while leases := (await index.claim(slots.randint(1, 40))).leases:
            given.extend(lease.job_id for lease in leases)

    await asyncio.gather(*(claimer(seed) for seed in range(12)))
    assert len(given) == len(set(given)) == len(jobs)


@pytest.mark.parametrize("seed", range(6))
async def test_index_loses_nothing_and_gives_nothing_twice(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, seed: int
) -> None:
    """Random pushes, claims, releases and lapses against a model of who holds what."""
    chance = random.Random(seed)
    held: dict[UUID, Lease] = {}
    known: set[UUID] = set()
    ended: set[UUID] = set()
    for _ in range(150):
        step = chance.random()
        if step < 0.3:
            jobs = [
                new_job(f"w{chance.randint(0, 3)}", lane=chance.randint(0, 2))
                for _ in range(chance.randint(1, 20))
            ]
            await broker.push(jobs)
            known |= {job.job_id for job in jobs}
        elif step < 0.7:
            leases = (await index.claim(chance.randint(1, 15))).leases
            taken = [lease.job_id for lease in leases]
            assert len(taken) == len(set(taken))
            assert not (set(taken) & (held.keys() | ended))
            held |= {lease.job_id: lease for lease in leases}
        elif step < 0.95:
            for job_id in chance.sample(sorted(held), min(len(held), 10)):
                lease = held.pop(job_id)
                how = chance.choice(("done", "drop", "again", "later"))
                if how == "done":
                    await index.release([Done(lease, "w", b"x")])
                    ended.add(job_id)
                elif how == "drop":
                    await index.release([Drop(lease)])
                    ended.add(job_id)
                else:
                    wait_ms = 3_600_000 if how == "later" else 0
                    await index.release([Again(lease, wait_ms, lease.flow, lease.entry)])
        else:
            await lapse_all(redis, index)
            held = {}
    left = await contents(redis, index)
    queued = [UUID(bytes=entry[:16]) for queue in left.queues.values() for entry in queue]
    due = [UUID(bytes=item[:16]) for item in left.due]
    leased = [UUID(bytes=key) for key in left.held]
    places = [*queued, *due, *leased]
    assert len(places) == len(set(places))
    assert set(places) == known - ended
    assert set(left.leases) == set(left.held)


async def test_lapsed_lease_comes_back_at_its_place_with_its_token(
    index: ProviderIndex, broker: Broker, short_lease: Callable[[float], None]
) -> None:
    jobs = new_jobs(3)
    await broker.push(jobs)
    short_lease(0.02)
    (lost,) = (await index.claim(1)).leases

    async def taken_back() -> tuple[Lease, ...]:
        leases = (await index.claim(3)).leases
        return leases if any(lease.job_id == lost.job_id for lease in leases) else ()

    short_lease(0.001)  # whatever is claimed too early lapses at once
    leases = await until(taken_back)
    assert leases[0].job_id == jobs[0].job_id
    assert leases[0].lapsed == lost.fence
    assert leases[0].fence != lost.fence


async def test_lapsed_token_is_told_once(
    redis: ArqRedis, index: ProviderIndex, broker: Broker
) -> None:
    await broker.push([new_job()])
    (first,) = (await index.claim(1)).leases
    await lapse_all(redis, index)
    (second,) = (await index.claim(1)).leases
    assert second.lapsed == first.fence
    await index.release([Again(second, 0, second.flow, second.entry)])
    assert (await index.claim(1)).leases[0].lapsed is None
    assert (await contents(redis, index)).lapsed == {}


async def test_claim_says_when_the_next_job_falls_due(index: ProviderIndex, broker: Broker) -> None:
    assert (await index.claim(1)).wait_ms is None
    await broker.push([new_job()])
    (lease,) = (await index.claim(1)).leases
    await index.release([Again(lease, 5000, lease.flow, lease.entry)])
    claimed = await index.claim(1)
    assert claimed.leases == ()
    assert 4000 < claimed.wait_ms <= 5000


async def test_due_jobs_come_back_in_time_and_at_their_place(
    index: ProviderIndex, broker: Broker
) -> None:
    jobs = new_jobs(2)
    await broker.push(jobs)
    (lease,) = (await index.claim(1)).leases
    loop = asyncio.get_running_loop()
    began = loop.time()
    await index.release([Again(lease, 150, lease.flow, lease.entry)])

    async def due() -> bool:
        return (await index.claim(0)).wait_ms is None

    await until(due, every_s=0.002)
    assert loop.time() - began >= 0.149
    assert [each.job_id for each in (await index.claim(2)).leases] == [job.job_id for job in jobs]


@pytest.mark.parametrize("state", ["", "rebuilding", "stale"])
async def test_claim_gives_nothing_while_the_index_is_not_open(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, state: str
) -> None:
    await broker.push([new_job()])
    if state:
        await redis.hset(index.keys.epoch, "state", state)
    else:
        await redis.delete(index.keys.epoch)
    claimed = await index.claim(1)
    assert (claimed.open, claimed.leases) == (False, ())
    assert len((await contents(redis, index)).queues) == 1
