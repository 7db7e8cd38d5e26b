"""Releases: a result is cached and announced, a job queues again, a stranger's lease is left."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_client.entries import Flow
from penstock_schemas.ids import Fence
from penstock_schemas.keys import done_channel
from penstock_worker.admission.index import (
    CACHED_RESULT_BYTES,
    RESULT_TTL_S,
    Again,
    Done,
    Drop,
    ProviderIndex,
    Release,
)
from penstock_worker.leases import Lease
from tests.index.looking import contents
from tests.ledger.making import PROVIDER, new_job, new_jobs


@pytest.fixture
async def lease(index: ProviderIndex, broker: Broker) -> Lease:
    """A lease on the first of three jobs."""
    await broker.push(new_jobs(3))
    return (await index.claim(1)).leases[0]


async def _message(redis: ArqRedis, channel: str, release: Release, index: ProviderIndex) -> bytes:
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(channel)
    await pubsub.get_message(timeout=1)  # the confirmation
    await index.release([release])
    async with asyncio.timeout(20):
        while (message := await pubsub.get_message(timeout=1)) is None:
            pass
    await pubsub.aclose()
    return message["data"]


async def test_done_caches_the_result_for_a_while(
    redis: ArqRedis, index: ProviderIndex, lease: Lease
) -> None:
    await index.release([Done(lease, "acme", b"body")])
    key = index.keys.result(str(lease.job_id))
    assert await redis.get(key) == b"body"
    assert RESULT_TTL_S - 5 < await redis.ttl(key) <= RESULT_TTL_S
    left = await contents(redis, index)
    assert (left.held, left.leases) == ({}, {})


async def test_done_tells_who_listens_to_the_workspace(
    redis: ArqRedis, index: ProviderIndex, lease: Lease
) -> None:
    told = await _message(redis, done_channel("acme"), Done(lease, "acme", b"body"), index)
    assert told.decode() == f"{PROVIDER} {lease.job_id}"


async def test_done_announces_what_is_too_large_to_cache(
    redis: ArqRedis, index: ProviderIndex, lease: Lease
) -> None:
    body = b"x" * (CACHED_RESULT_BYTES + 1)
    told = await _message(redis, done_channel("acme"), Done(lease, "acme", body), index)
    assert str(lease.job_id) in told.decode()
    assert await redis.get(index.keys.result(str(lease.job_id))) is None


async def test_again_queues_at_the_place_it_had(index: ProviderIndex, lease: Lease) -> None:
    await index.release([Again(lease, 0, lease.flow, lease.entry)])
    assert (await index.claim(1)).leases[0].job_id == lease.job_id


async def test_again_takes_its_new_flow_and_entry(index: ProviderIndex, lease: Lease) -> None:
    flow = Flow("acme", 0, "gpt-other")
    entry = replace(lease.entry, placement_version=3)
    await index.release([Again(lease, 0, flow, entry)])
    found = {each.job_id: each for each in (await index.claim(9)).leases}[lease.job_id]
    assert (found.flow, found.entry) == (flow, entry)


async def test_again_later_does_not_queue_yet(
    redis: ArqRedis, index: ProviderIndex, lease: Lease
) -> None:
    await index.release([Again(lease, 60_000, lease.flow, lease.entry)])
    left = await contents(redis, index)
    assert [item[:28] for item in left.due] == [lease.entry.pack()]
    assert lease.entry.pack() not in left.queues[lease.flow.name]
    assert left.held == {}


async def test_again_wakes_the_workers(redis: ArqRedis, index: ProviderIndex, lease: Lease) -> None:
    again = Again(lease, 0, lease.flow, lease.entry)
    assert await _message(redis, index.keys.wake, again, index) == b""


async def test_again_queues_what_lost_its_lease_with_the_index(
    redis: ArqRedis, index: ProviderIndex, lease: Lease
) -> None:
    await redis.delete(f"{index.keys.base}held", f"{index.keys.base}leases")
    await index.release([Again(lease, 0, lease.flow, lease.entry)])
    queued = (await contents(redis, index)).queues[lease.flow.name]
    assert queued.count(lease.entry.pack()) == 1


async def test_drop_gives_the_lease_back_and_nothing_else(
    redis: ArqRedis, index: ProviderIndex, lease: Lease
) -> None:
    await index.release([Drop(lease)])
    left = await contents(redis, index)
    assert (left.held, left.leases, left.due) == ({}, {}, [])
    assert lease.entry.pack() not in left.queues[lease.flow.name]


@pytest.mark.parametrize("how", ["done", "again", "drop"])
async def test_release_leaves_alone_what_somebody_else_holds(
    redis: ArqRedis, index: ProviderIndex, lease: Lease, how: str
) -> None:
    stranger = replace(lease, fence=Fence(lease.fence ^ 2))
    release: dict[str, Release] = {
        "done": Done(stranger, "acme", b"body"),
        "again": Again(stranger, 0, lease.flow, lease.entry),
        "drop": Drop(stranger),
    }
    before = await contents(redis, index)
    await index.release([release[how]])
    assert await contents(redis, index) == before


async def test_release_of_many_is_one_round_trip(
    redis: ArqRedis, index: ProviderIndex, broker: Broker
) -> None:
    await broker.push([new_job(f"w{n % 5}") for n in range(500)])
    leases = (await index.claim(500)).leases
    before = (await redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"]
    await index.release([Done(lease, lease.flow.workspace, b"body") for lease in leases])
    after = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert after - before <= 2  # a second one where the server did not know the script yet
    assert (await contents(redis, index)).held == {}
