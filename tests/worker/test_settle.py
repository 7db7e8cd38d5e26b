"""The settler: groups, what is refused, and servers that are away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from arq.connections import ArqRedis

from penstock_client import Settings
from penstock_client.broker import Broker
from penstock_client.ledger import Ledger, NewJob
from penstock_schemas.status import AttemptState, ErrorKind, JobState
from penstock_schemas.usage import NO_USAGE, Usage
from penstock_worker.admission.index import ProviderIndex, Used, Verdict
from penstock_worker.attempts import Attempt
from penstock_worker.settle import GROUP, Pending, Settler, used_by
from tests.index.looking import contents, until
from tests.ledger.making import new_job, new_jobs, settlement_of
from tests.worker.running import PROVIDER, Servers, start_and_vanish


@pytest.fixture
async def ledger(empty: Settings) -> AsyncIterator[Ledger]:
    """A ledger that has the workspace `acme`."""
    opened = await Ledger.connect(empty)
    await opened.create_workspace("acme", routing={}, monthly_tokens=None)
    yield opened
    await opened.close()


class Told:
    """What a settler told its worker."""

    def __init__(self) -> None:
        self.settled: list[UUID] = []
        self.rerouted: list[UUID] = []
        self.touched: set[str] = set()

    def on_settled(self, group: Sequence[Pending]) -> None:
        assert len(group) <= GROUP
        self.settled += [pending.settlement.job_id for pending in group]

    def reroute(self, job_ids: Sequence[UUID]) -> None:
        self.rerouted += job_ids

    async def after(self, workspaces: set[str]) -> None:
        self.touched |= workspaces


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def settler(ledger: Ledger, index: ProviderIndex, told: Told) -> AsyncIterator[Settler]:
    """A settler at work on an open index."""
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    running = Settler(
        ledger,
        index,
        on_settled=told.on_settled,
        reconcile=told.reroute,
        after=told.after,
        cache_reads_count=True,
    )
    running.start()
    yield running
    await running.drain(within_s=0.1)


async def _started(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, count: int
) -> list[tuple[NewJob, Attempt]]:
    jobs = new_jobs(count, provider=PROVIDER)
    await ledger.submit(jobs)
    await Broker(redis).push(jobs)
    by_id = {job.job_id: job for job in jobs}
    opened = await start_and_vanish(index, ledger, count)
    return [(by_id[attempt.lease.job_id], attempt) for attempt in opened]


def _pending(job: NewJob, attempt: Attempt, **changes: Any) -> Pending:
    return Pending(settlement_of(job, fence=attempt.lease.fence, **changes), attempt.lease)


async def test_settler_ends_jobs_and_gives_their_leases_back(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, settler: Settler, told: Told
) -> None:
    started = await _started(ledger, index, redis, GROUP + 50)
    for job, attempt in started:
        settler.put(_pending(job, attempt))
    await settler.drain(within_s=10)
    assert set(told.settled) == {job.job_id for job, _ in started}
    assert (await contents(redis, index)).held == {}
    found = await ledger.results(told.settled)
    assert {state for state, *_ in found.values()} == {JobState.SUCCEEDED}


async def test_settler_does_not_let_one_refused_settlement_keep_the_others(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, settler: Settler
) -> None:
    started = await _started(ledger, index, redis, 5)
    settler.put(_pending(*started[0]))  # alone in the first group; the others gather behind it
    for job, attempt in started[1:4]:
        settler.put(_pending(job, attempt))
    settler.put(_pending(*started[4], error_message="a\0b"))
    await settler.drain(within_s=10)
    found = await ledger.results([job.job_id for job, _ in started])
    states = [found[job.job_id][0] for job, _ in started]
    assert states == [JobState.SUCCEEDED] * 4 + [JobState.RUNNING]


async def test_settler_writes_settlements_of_one_job_one_after_another(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, settler: Settler, told: Told
) -> None:
    ((job, attempt),) = await _started(ledger, index, redis, 1)
    retry = {"attempt_state": AttemptState.FAILED, "state": JobState.QUEUED, "result": None}
    settler.put(_pending(job, attempt))
    settler.put(_pending(job, attempt, **retry))
    await settler.drain(within_s=10)
    assert told.settled == [job.job_id] * 2
    assert (await ledger.results([job.job_id]))[job.job_id][0] is JobState.SUCCEEDED


async def test_settler_hands_over_what_goes_to_another_provider(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, settler: Settler, told: Told
) -> None:
    ((job, attempt),) = await _started(ledger, index, redis, 1)
    moved = {"attempt_state": AttemptState.FAILED, "state": JobState.QUEUED, "result": None}
    settler.put(_pending(job, attempt, **moved, provider="anthropic"))
    await settler.drain(within_s=10)
    assert told.rerouted == [job.job_id]
    left = await contents(redis, index)
    assert (left.held, left.queues) == ({}, {})


async def test_settler_hands_over_a_job_that_was_started_anew_meanwhile(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, settler: Settler, told: Told
) -> None:
    ((job, attempt),) = await _started(ledger, index, redis, 1)
    await ledger.pool.execute("update penstock.jobs set state = 1, fence = null")
    failed = {"attempt_state": AttemptState.FAILED, "state": JobState.FAILED}
    settler.put(_pending(job, attempt, **failed, error_kind=ErrorKind.INVALID_REQUEST))
    await settler.drain(within_s=10)
    assert told.rerouted == [job.job_id]


async def test_settler_queues_a_retry_again(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, settler: Settler
) -> None:
    ((job, attempt),) = await _started(ledger, index, redis, 1)
    retry = {"attempt_state": AttemptState.FAILED, "state": JobState.QUEUED, "result": None}
    settler.put(_pending(job, attempt, **retry))
    await settler.drain(within_s=10)
    assert [lease.job_id for lease in (await index.claim(1)).leases] == [job.job_id]


async def test_settler_keeps_answers_in_redis_until_postgres_is_back(
    ledger: Ledger,
    index: ProviderIndex,
    redis: ArqRedis,
    settler: Settler,
    servers: Servers,
) -> None:
    ((job, attempt),) = await _started(ledger, index, redis, 1)
    await servers.stop_postgres()
    try:
        settler.put(_pending(job, attempt))
        await until(lambda: redis.xlen(index.keys.unsettled))
        assert not await settler_is_idle(settler)
    finally:
        await servers.start_postgres()

    async def settled() -> bool:
        return (await ledger.results([job.job_id]))[job.job_id][0] is JobState.SUCCEEDED

    await until(settled)

    async def forgotten() -> bool:
        return not await redis.xlen(index.keys.unsettled)

    await until(forgotten)


async def settler_is_idle(settler: Settler) -> bool:
    """Whether everything handed over is written."""
    return settler._idle.is_set()


async def test_settler_drain_stashes_what_it_cannot_write_in_time(
    ledger: Ledger, index: ProviderIndex, redis: ArqRedis, settler: Settler
) -> None:
    ((job, attempt),) = await _started(ledger, index, redis, 1)
    async with ledger.pool.acquire() as other, other.transaction():
        await other.execute("select from penstock.jobs for update")
        settler.put(_pending(job, attempt))
        await settler.drain(within_s=0.2)
        assert await redis.xlen(index.keys.unsettled) == 1


JOB = new_job()


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({"http_status": 200}, Used(6, 4, Verdict.WORKS)),
        (
            {"error_kind": ErrorKind.SERVER_ERROR, "http_status": 500, "usage": NO_USAGE},
            Used(0, 0, Verdict.FAILS),
        ),
        (  # the connection was refused
            {"error_kind": ErrorKind.CONNECT_ERROR, "attempt_state": AttemptState.RETURNED},
            Used(0, 0, Verdict.FAILS),
        ),
        (  # given back unsent, with the error of an earlier attempt
            {
                "error_kind": ErrorKind.CONNECT_ERROR,
                "attempt_state": AttemptState.RETURNED,
                "charge": False,
            },
            Used(0, 0, Verdict.UNSENT),
        ),
        (  # cut off because the worker stopped
            {
                "error_kind": ErrorKind.INTERRUPTED,
                "attempt_state": AttemptState.ABANDONED,
                "charge": False,
                "usage": Usage(input_tokens=9, output_tokens=9, estimated=True),
            },
            Used(None, 0, Verdict.NOTHING),
        ),
        (
            {"error_kind": ErrorKind.RATE_LIMITED, "http_status": 429, "usage": NO_USAGE},
            Used(0, 0, Verdict.NOTHING),
        ),
        (
            {"error_kind": ErrorKind.INVALID_REQUEST, "http_status": 400, "usage": NO_USAGE},
            Used(0, 0, Verdict.WORKS),
        ),
        (
            {"error_kind": ErrorKind.POISON, "attempt_state": AttemptState.RETURNED},
            Used(0, 0, Verdict.UNSENT),
        ),
    ],
)
def test_an_attempt_tells_what_it_used_and_whether_its_provider_works(
    changes: dict[str, Any], used: Used
) -> None:
    usage = {"usage": Usage(input_tokens=6, output_tokens=4)}
    settlement = settlement_of(JOB, **(usage | changes))
    assert used_by(settlement, cache_reads_count=True) == used


def test_cache_reads_are_left_out_where_limits_do_not_count_them() -> None:
    usage = Usage(input_tokens=100, output_tokens=4, cache_read_tokens=90)
    settlement = settlement_of(JOB, usage=usage, http_status=200)
    assert used_by(settlement, cache_reads_count=False).input_tokens == 10
