"""Reconciling: each job goes where the ledger says it stands."""

from __future__ import annotations

from uuid import UUID

import pytest
from arq.connections import ArqRedis

from penstock_client.entries import Flow
from penstock_client.ledger import StandingJob
from penstock_schemas.status import JobState
from penstock_worker import reconcile
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.leases import LEASE_S
from tests.index.looking import contents, until
from tests.ledger.making import new_job
from tests.worker.running import PROVIDER


def _standing(
    state: JobState,
    *,
    provider: str = PROVIDER,
    fence: int | None = None,
    wait_ms: int = 0,
) -> StandingJob:
    job = new_job(provider=provider)
    return StandingJob(
        job_id=job.job_id,
        provider=provider,
        state=state,
        fence=fence,
        flow=Flow("acme", 0, "m"),
        entry=job.entry,
        wait_ms=wait_ms,
    )


async def _put(redis: ArqRedis, *jobs: StandingJob) -> None:
    await reconcile.put_in_place(lambda provider: ProviderIndex(redis, provider), jobs)


async def _queued(redis: ArqRedis, provider: str) -> set[UUID]:
    queues = (await contents(redis, ProviderIndex(redis, provider))).queues.values()
    return {UUID(bytes=entry[:16]) for queue in queues for entry in queue}


async def test_put_in_place_queues_each_job_at_its_provider(redis: ArqRedis) -> None:
    here, there = _standing(JobState.QUEUED), _standing(JobState.QUEUED, provider="anthropic")
    await _put(redis, here, there)
    assert await _queued(redis, PROVIDER) == {here.job_id}
    assert await _queued(redis, "anthropic") == {there.job_id}


@pytest.mark.parametrize(
    "state", [JobState.BLOCKED, *(state for state in JobState if state.is_terminal)]
)
async def test_put_in_place_leaves_out_what_must_not_start(
    redis: ArqRedis, index: ProviderIndex, state: JobState
) -> None:
    await _put(redis, _standing(state, fence=-1 if state.is_terminal else None))
    left = await contents(redis, index)
    assert (left.queues, left.due) == ({}, [])


async def test_put_in_place_gives_a_running_job_time_to_show_its_lease(
    redis: ArqRedis, index: ProviderIndex
) -> None:
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    await _put(redis, _standing(JobState.RUNNING, fence=5))
    claimed = await index.claim(1)
    assert claimed.leases == ()
    assert claimed.wait_ms > LEASE_S * 1000


async def test_put_in_place_tells_the_token_of_a_job_that_shows_no_lease(
    redis: ArqRedis, index: ProviderIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_DOUBT_MS", 50)
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    await _put(redis, _standing(JobState.RUNNING, fence=5))

    async def claimed() -> tuple[object, ...]:
        return (await index.claim(1)).leases

    (lease,) = await until(claimed)
    assert lease.lapsed == 5


async def test_put_in_place_lets_a_deferred_job_wait(redis: ArqRedis, index: ProviderIndex) -> None:
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    await _put(redis, _standing(JobState.DEFERRED, wait_ms=60_000))
    claimed = await index.claim(1)
    assert claimed.leases == ()
    assert 55_000 < claimed.wait_ms <= 60_000
