"""Renewal: keeps what is held, reports what is lost, and re-asserts after a loss of the index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from arq.connections import ArqRedis

from penstock_client import Settings
from penstock_client.broker import Broker
from penstock_schemas.ids import Fence
from penstock_worker.admission.index import Done, ProviderIndex
from penstock_worker.heartbeat import Heartbeat
from penstock_worker.leases import LEASE_S, Held, Lease
from tests.index.looking import contents, lapse_all
from tests.ledger.making import PROVIDER, new_job


@pytest.fixture
def heartbeat(settings: Settings) -> Iterator[Heartbeat]:
    """A heartbeat whose thread does not run: the test calls it."""
    beat = Heartbeat(
        settings.require_redis(), provider=PROVIDER, worker="w", held=Held(), deadline_s=5
    )
    yield beat
    beat._redis.close()


@pytest.fixture
async def lease(index: ProviderIndex, broker: Broker, heartbeat: Heartbeat) -> Lease:
    """A lease on the only job, under epoch `e1`, in the hands of the heartbeat's worker."""
    await broker.push([new_job()])
    (lease,) = (await index.claim(1)).leases
    heartbeat._held[lease.key] = lease
    return lease


async def _expiry_ms(redis: ArqRedis, index: ProviderIndex, lease: Lease) -> float | None:
    return await redis.zscore(f"{index.keys.base}leases", lease.key)


async def test_renew_lengthens_the_lease(
    redis: ArqRedis, index: ProviderIndex, heartbeat: Heartbeat, lease: Lease
) -> None:
    base = index.keys.base
    await redis.zadd(f"{base}leases", {lease.key: 1})
    lease.expires_at = 0.0
    heartbeat._renew([lease], "e1")
    seconds, _ = await redis.time()
    assert (await _expiry_ms(redis, index, lease)) / 1000 >= seconds + LEASE_S - 2
    assert lease.may_start()


async def test_renew_says_that_the_worker_lives_even_when_it_holds_nothing(
    redis: ArqRedis, index: ProviderIndex, heartbeat: Heartbeat
) -> None:
    heartbeat._renew([], "e1")
    assert await redis.zrange(index.keys.workers, 0, -1) == [b"w"]


async def test_renew_reports_what_somebody_else_holds(
    redis: ArqRedis, index: ProviderIndex, heartbeat: Heartbeat, lease: Lease
) -> None:
    await lapse_all(redis, index)
    (taken,) = (await index.claim(1)).leases
    before = await _expiry_ms(redis, index, taken)
    heartbeat._renew([lease], "e1")
    assert lease.lost
    assert not lease.may_start()
    assert await _expiry_ms(redis, index, taken) == before


async def test_renew_does_not_report_what_was_given_back_meanwhile(
    index: ProviderIndex, heartbeat: Heartbeat, lease: Lease
) -> None:
    await index.release([Done(lease, "acme", b"body")])
    del heartbeat._held[lease.key]
    heartbeat._renew([lease], "e1")
    assert not lease.lost


async def test_renew_takes_back_a_lapsed_lease_that_nobody_claimed(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, heartbeat: Heartbeat, lease: Lease
) -> None:
    await lapse_all(redis, index)
    await index.claim(0)  # takes it back, gives it to nobody
    assert (await contents(redis, index)).queues
    heartbeat._renew([lease], "e1")
    assert not lease.lost
    left = await contents(redis, index)
    assert (left.queues, left.lapsed, set(left.held)) == ({}, {}, {lease.key})
    assert (await index.claim(1)).leases == ()


async def test_renew_does_not_take_back_what_was_claimed_and_ended_since(
    redis: ArqRedis, index: ProviderIndex, heartbeat: Heartbeat, lease: Lease
) -> None:
    await lapse_all(redis, index)
    (taken,) = (await index.claim(1)).leases
    await index.release([Done(taken, "acme", b"body")])
    heartbeat._renew([lease], "e1")
    assert lease.lost
    assert (await contents(redis, index)).held == {}


async def test_renew_shows_a_lease_again_after_a_loss_of_the_index(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, heartbeat: Heartbeat, lease: Lease
) -> None:
    await redis.flushall()
    await index.begin_rebuild("e2")
    await broker.push([replace(new_job(), job_id=lease.job_id)])
    heartbeat._renew([lease], "e2")
    assert not lease.lost
    assert await index.unheld([lease.key]) == set()
    await index.finish_rebuild("e2")
    assert (await index.claim(1)).leases == ()


async def test_renew_shows_no_lease_again_in_its_own_epoch(
    redis: ArqRedis, index: ProviderIndex, heartbeat: Heartbeat, lease: Lease
) -> None:
    await redis.delete(f"{index.keys.base}held", f"{index.keys.base}leases")
    heartbeat._renew([lease], "e1")
    assert lease.lost
    assert (await contents(redis, index)).held == {}


async def test_renew_leaves_a_strangers_lease_after_a_loss_of_the_index(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, heartbeat: Heartbeat, lease: Lease
) -> None:
    await index.finish_rebuild(await index.begin_rebuild("e2"))
    stranger = replace(lease, fence=Fence(lease.fence ^ 2))
    heartbeat._held[lease.key] = stranger
    heartbeat._renew([stranger], "e2")
    assert stranger.lost
    assert (await contents(redis, index)).held[lease.key].startswith(lease.token)


async def test_lease_shown_again_lapses_to_the_front_of_its_queue(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, heartbeat: Heartbeat, lease: Lease
) -> None:
    await redis.flushall()
    await index.finish_rebuild(await index.begin_rebuild("e2"))
    heartbeat._renew([lease], "e2")
    await broker.push([new_job()])
    await lapse_all(redis, index)
    again = (await index.claim(2)).leases
    assert (again[0].job_id, again[0].lapsed) == (lease.job_id, lease.fence)
    assert (again[0].flow, again[0].entry) == (lease.flow, lease.entry)
