"""Poison pills: a job that took three workers down fails, says so, and can be tried once more."""

from __future__ import annotations

from arq.connections import ArqRedis

from penstock_client import ErrorKind, JobState, Penstock
from penstock_client.requeueing import EndedJobs
from penstock_schemas.status import AttemptState
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.simulator.server import Simulator
from tests.index.looking import lapse_all
from tests.worker.running import PROVIDER, attempts_of, start_and_vanish, tickets


async def test_poison_pill_is_listed_as_such_and_runs_again_when_requeued(
    penstock: Penstock,
    redis: ArqRedis,
    index: ProviderIndex,
    simulator: Simulator,
    work_for,
) -> None:
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    (handle,) = await penstock.submit_many(tickets(1))
    for _ in range(3):
        await start_and_vanish(index, penstock.ledger)
        await lapse_all(redis, index)
    await work_for(PROVIDER)
    failure = await handle.result(timeout_s=10)
    assert failure.error is not None
    assert failure.error.kind is ErrorKind.POISON
    (listed,) = await penstock.jobs("acme", state=JobState.FAILED)
    assert (listed.job_id, listed.last_error) == (handle.job_id, "poison")

    which = EndedJobs(workspace="acme", error=ErrorKind.POISON)
    (again,) = await penstock.requeue(await penstock.ended_jobs(which))
    success = await again.result(timeout_s=10)
    assert (success.ok, success.attempts) == (True, 5)
    assert simulator.stats()["calls"] == 1
    states = [attempt["state"] for attempt in await attempts_of(penstock, handle.job_id)]
    lost = [AttemptState.ABANDONED] * 3
    assert states == [*lost, AttemptState.RETURNED, AttemptState.SUCCEEDED]
    # Three calls that may have been paid and one that was.
    assert success.usage.input_tokens > failure.usage.input_tokens > 0
    assert success.cost_usd is not None
    assert success.cost_usd > 1  # as much as the lost calls may have cost
