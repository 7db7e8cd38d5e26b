"""Jobs that somebody else than their worker has ended, in the index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from arq.connections import ArqRedis

from penstock_client import Settings
from penstock_client.broker import Broker
from penstock_client.ending import Ended, tell
from penstock_client.ledger import NewJob, StandingJob
from penstock_schemas.ids import Fence, JobId, WorkspaceId
from penstock_schemas.keys import done_channel
from penstock_schemas.results import Result
from penstock_schemas.status import JobState
from penstock_worker.admission.index import Again, Done, Drop, Limit, ProviderIndex, Release
from penstock_worker.heartbeat import Heartbeat
from penstock_worker.leases import Held, Lease
from tests.index.looking import contents, lapse_all
from tests.ledger.making import PROVIDER, new_job, new_jobs


def end_of(job: NewJob, lease: Lease | None = None) -> Ended:
    """The end of a job, under its lease."""
    stood = StandingJob(
        job_id=job.job_id,
        provider=PROVIDER,
        state=JobState.CANCELLED,
        fence=lease.fence if lease else None,
        flow=job.flow,
        entry=job.entry,
        wait_ms=0,
    )
    job_id, workspace = JobId(str(job.job_id)), WorkspaceId(job.workspace)
    return Ended(stood, Result(job_id=job_id, workspace=workspace, status=JobState.CANCELLED))


@pytest.fixture
def stopped() -> list[Lease]:
    """The leases whose calls were stopped."""
    return []


@pytest.fixture
def heartbeat(settings: Settings, stopped: list[Lease]) -> Iterator[Heartbeat]:
    """A heartbeat whose thread does not run: the test calls it."""
    beat = Heartbeat(
        settings.require_redis(), provider=PROVIDER, worker="w", held=Held(), deadline_s=5
    )
    beat._stop_calls = stopped.extend
    yield beat
    beat._redis.close()


@pytest.fixture
async def job(broker: Broker) -> NewJob:
    """The only job."""
    pushed = new_job()
    await broker.push([pushed])
    return pushed


@pytest.fixture
async def lease(index: ProviderIndex, job: NewJob, heartbeat: Heartbeat) -> Lease:
    """A lease on it, in the hands of the heartbeat's worker."""
    (claimed,) = (await index.claim(1)).leases
    heartbeat._held[claimed.key] = claimed
    return claimed


def beat(heartbeat: Heartbeat) -> None:
    """Half a second of the heartbeat's thread."""
    if heartbeat._look()[1]:
        heartbeat._look_for_ended()


async def test_ended_job_leaves_its_queue(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, job: NewJob
) -> None:
    other = new_job()
    await broker.push([other])
    await tell(redis, [end_of(job)])
    assert [lease.job_id for lease in (await index.claim(5)).leases] == [other.job_id]


async def test_queue_that_is_left_empty_keeps_nobody(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, job: NewJob
) -> None:
    await tell(redis, [end_of(job)])
    assert (await index.claim(5)).leases == ()
    await broker.push(new_jobs(2))
    assert len((await index.claim(5)).leases) == 2


async def test_ended_jobs_result_is_cached_and_announced(
    redis: ArqRedis, index: ProviderIndex, job: NewJob
) -> None:
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(done_channel("acme"))
    await pubsub.get_message(timeout=1)  # the confirmation
    end = end_of(job)
    await tell(redis, [end])
    async with asyncio.timeout(20):
        while (message := await pubsub.get_message(timeout=1)) is None:
            pass
    await pubsub.aclose()
    assert message["data"] == f"{PROVIDER} {job.job_id}".encode()
    assert await redis.get(index.keys.result(str(job.job_id))) == end.result.encode()


async def test_ended_jobs_lease_is_stopped_once(
    redis: ArqRedis, heartbeat: Heartbeat, job: NewJob, lease: Lease, stopped: list[Lease]
) -> None:
    beat(heartbeat)
    assert stopped == []
    await tell(redis, [end_of(job, lease)])
    beat(heartbeat)
    beat(heartbeat)
    assert stopped == [lease]
    assert not lease.may_start()


async def test_anothers_lease_is_not_stopped(
    redis: ArqRedis, heartbeat: Heartbeat, job: NewJob, lease: Lease, stopped: list[Lease]
) -> None:
    await tell(redis, [end_of(job, replace(lease, fence=Fence(lease.fence ^ 2)))])
    beat(heartbeat)
    assert (stopped, lease.stopped) == ([], False)


@pytest.mark.parametrize("way", ["done", "drop", "again", "lapse"])
async def test_stop_ends_with_the_lease_and_gives_back_what_it_occupied_once(
    redis: ArqRedis,
    index: ProviderIndex,
    broker: Broker,
    job: NewJob,
    heartbeat: Heartbeat,
    stopped: list[Lease],
    way: str,
) -> None:
    await index.set_limits([Limit("provider", "concurrency", 0, 1)])
    (lease,) = (await index.claim(1)).leases
    await tell(redis, [end_of(job, lease)])
    releases: dict[str, Release] = {
        "done": Done(lease, "acme", b""),
        "drop": Drop(lease),
        "again": Again(lease, 0, lease.flow, lease.entry),
    }
    if way == "lapse":
        await lapse_all(redis, index)
        await index.claim(0)
    else:
        await index.release([releases[way]])
    await index.release([Drop(lease)])
    assert await redis.exists(index.keys.stopping) == 0
    assert await redis.hget(f"{index.keys.base}b:provider|concurrency/0", "used") == b"0"
    await broker.push([job])  # a new epoch of the same job
    (again,) = (await index.claim(1)).leases
    heartbeat._held[again.key] = again
    beat(heartbeat)
    assert (again.job_id, stopped) == (job.job_id, [])


async def test_ended_job_whose_lease_lapsed_is_not_claimed_again(
    redis: ArqRedis, index: ProviderIndex, job: NewJob, lease: Lease
) -> None:
    await lapse_all(redis, index)
    await index.claim(0)
    await tell(redis, [end_of(job, lease)])
    left = await contents(redis, index)
    assert (left.queues, left.lapsed, left.held) == ({}, {}, {})
    assert (await index.claim(1)).leases == ()
