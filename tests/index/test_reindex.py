"""Reindexing: the ledger's jobs come back, but never beside a lease."""

from __future__ import annotations

from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_client.ledger import NewJob, StandingJob
from penstock_schemas.status import JobState
from penstock_worker.admission.index import ProviderIndex
from tests.index.looking import contents
from tests.ledger.making import new_job, new_jobs


def _standing(job: NewJob, *, fence: int | None = None, wait_ms: int = 0) -> StandingJob:
    return StandingJob(
        job_id=job.job_id,
        provider=job.provider,
        state=JobState.QUEUED if fence is None else JobState.RUNNING,
        fence=fence,
        flow=job.flow,
        entry=job.entry,
        wait_ms=wait_ms,
    )


async def test_reindex_queues_in_the_order_given(index: ProviderIndex) -> None:
    jobs = new_jobs(5)
    assert await index.reindex([_standing(job) for job in jobs]) == 5
    assert [each.job_id for each in (await index.claim(9)).leases] == [j.job_id for j in jobs]


async def test_reindex_twice_queues_once(redis: ArqRedis, index: ProviderIndex) -> None:
    standing = [_standing(job) for job in new_jobs(5)]
    await index.reindex(standing)
    await index.reindex(standing)
    (queue,) = (await contents(redis, index)).queues.values()
    assert len(queue) == 5


async def test_reindex_skips_what_is_leased(
    redis: ArqRedis, index: ProviderIndex, broker: Broker
) -> None:
    job = new_job()
    await broker.push([job])
    await index.claim(1)
    assert await index.reindex([_standing(job), _standing(new_job())]) == 1
    assert job.entry.pack() not in (await contents(redis, index)).queues[job.flow.name]


async def test_reindex_carries_the_token_of_a_lapsed_lease(index: ProviderIndex) -> None:
    lost, free = new_job(), new_job()
    await index.reindex([_standing(lost, fence=77)], lapsed=True)
    await index.reindex([_standing(free)])
    assert [each.lapsed for each in (await index.claim(2)).leases] == [77, None]


async def test_reindex_leaves_out_the_token_unless_the_lease_lapsed(index: ProviderIndex) -> None:
    await index.reindex([_standing(new_job(), fence=77)])
    assert (await index.claim(1)).leases[0].lapsed is None


async def test_reindex_lets_a_job_wait_for_its_time(index: ProviderIndex) -> None:
    later = _standing(new_job(), wait_ms=60_000)
    past = _standing(new_job(), wait_ms=0)
    await index.reindex([later, past])
    claimed = await index.claim(9)
    assert [each.job_id for each in claimed.leases] == [past.job_id]
    assert 55_000 < claimed.wait_ms <= 60_000
