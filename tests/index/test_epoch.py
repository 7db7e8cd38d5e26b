"""The epoch: an index that may have lost something stays closed until it is rebuilt."""

from __future__ import annotations

import os
import signal

import pytest
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from penstock_client.broker import Broker
from penstock_worker.admission.index import Claimed, ProviderIndex
from penstock_worker.embedded import EmbeddedStack
from tests.index.looking import until
from tests.ledger.making import PROVIDER, new_job, new_jobs


async def test_rebuild_under_way_is_joined(index: ProviderIndex) -> None:
    assert await index.begin_rebuild("mine") == "mine"
    assert await index.begin_rebuild("another") == "mine"
    assert await index.finish_rebuild("mine") == "open"


async def test_rebuild_that_was_overtaken_does_not_open(
    redis: ArqRedis, index: ProviderIndex
) -> None:
    await index.begin_rebuild("old")
    await redis.flushall()
    await index.begin_rebuild("new")
    assert await index.finish_rebuild("old") == "rebuilding"
    assert not (await index.claim(1)).open


async def test_check_closes_an_index_of_another_run(index: ProviderIndex) -> None:
    assert await index.check_server() == "open"
    assert await index.check_server("another run") == "stale"
    assert await index.state() == "stale"


async def test_check_tells_of_no_index_at_all(redis: ArqRedis, index: ProviderIndex) -> None:
    await redis.flushall()
    assert await index.check_server() == ""


async def test_unheld_are_those_without_a_lease(index: ProviderIndex, broker: Broker) -> None:
    leased, free = new_job(), new_job()
    await broker.push([leased])
    await index.claim(1)
    await broker.push([free])
    ids = [leased.job_id.bytes, free.job_id.bytes]
    assert await index.unheld(ids) == {free.job_id.bytes}


@pytest.mark.parametrize("settings", ["single"], indirect=True)
async def test_claim_after_a_restart_of_the_server_finds_the_index_closed(
    stack: EmbeddedStack, redis: ArqRedis, index: ProviderIndex, broker: Broker
) -> None:
    await broker.push(new_jobs(2))
    assert len((await index.claim(1)).leases) == 1
    run, pid = await index.server_run(), stack.pids["redis"]
    assert pid
    os.kill(pid, signal.SIGKILL)

    async def claimed() -> Claimed | None:
        try:
            return await index.claim(1) if await index.server_run() != run else None
        except (RedisError, OSError):
            return None

    first = await until(claimed, within_s=20)
    assert (first.open, first.leases) == (False, ())
    # A worker that starts now, with nothing in its hands, must find it closed as well.
    assert not (await ProviderIndex(redis, PROVIDER).claim(1)).open
    await index.finish_rebuild(await index.begin_rebuild("e2"))
    assert (await index.claim(1)).open


@pytest.mark.parametrize("jobs", [100_000])
async def test_queued_job_takes_at_most_150_bytes(
    redis: ArqRedis, index: ProviderIndex, broker: Broker, jobs: int
) -> None:
    batch = new_jobs(jobs)
    before = (await redis.info("memory"))["used_memory"]
    await broker.push(batch)
    after = (await redis.info("memory"))["used_memory"]
    assert await redis.zcard(f"{index.keys.base}q:{batch[0].flow.name}") == jobs
    assert (after - before) / jobs <= 150
