"""Diversion: what waits behind a shut gate goes on along its own routes, once, or stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_client import Penstock
from penstock_client.ledger import Ledger
from penstock_worker import diversion
from penstock_worker.attempts import open_attempts
from tests.index.looking import until
from tests.ledger.making import lease_of, row
from tests.worker.waiting import HERE, THERE, Waiting


async def test_diversion_moves_a_whole_queue_to_the_next_route_each_job_once(
    waiting: Waiting, steward: None
) -> None:
    jobs = {job.job_id for job in await waiting.add(500)}
    await waiting.shut()

    async def moved() -> bool:
        return len(await waiting.queued("openai")) >= 500 and not await waiting.queued("fireworks")

    await until(moved, within_s=20)
    assert sorted(await waiting.queued("openai")) == sorted(jobs)
    assert await waiting.placed("openai") == jobs


async def test_two_stewards_move_each_job_once(
    waiting: Waiting, penstock: Penstock, redis: ArqRedis
) -> None:
    jobs = await waiting.add(300)
    await waiting.shut()
    other = Waiting(penstock, redis)
    assert sum(await asyncio.gather(waiting.divert(), other.divert())) == 300
    assert sorted(await waiting.queued("openai")) == sorted(job.job_id for job in jobs)


async def test_diverted_job_has_the_new_route_and_queues_at_once(waiting: Waiting) -> None:
    (job,) = await waiting.add(max_queue_wait_s=60)
    await waiting.shut()
    before = await row(waiting.ledger.pool, job)
    assert await waiting.divert() == 1
    after = await row(waiting.ledger.pool, job)
    assert (after["provider"], after["model"], after["placement_version"]) == ("openai", "y", 1)
    assert (after["available_at"], after["fence"]) == (None, None)
    assert after["wait_until"] > before["wait_until"]
    index = waiting.index("openai")
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    (lease,) = (await index.claim(1)).leases
    (attempt,) = (
        await open_attempts(waiting.ledger, [lease], provider="openai", worker="w")
    ).attempts
    assert attempt.model == "y"


async def test_diversion_moves_what_a_claim_has_parked(waiting: Waiting) -> None:
    jobs = await waiting.add(3)
    await waiting.shut()
    index = waiting.index("fireworks")
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    assert (await index.claim(10)).leases == ()
    assert await waiting.divert() == 3
    assert await waiting.placed("openai") == {job.job_id for job in jobs}


@pytest.mark.parametrize("routes", [(HERE,), (HERE, "fireworks/shut-too")], ids=len)
async def test_jobs_without_another_open_route_stay(
    waiting: Waiting, routes: tuple[str, ...]
) -> None:
    jobs = {job.job_id for job in await waiting.add(3, routes)}
    await waiting.shut()
    await waiting.shut("model:shut-too")
    assert await waiting.divert() == 0
    assert set(await waiting.queued("fireworks")) == jobs
    assert await waiting.placed("fireworks") == jobs


async def test_jobs_do_not_go_back_to_an_earlier_route(waiting: Waiting) -> None:
    await waiting.add(routes=(THERE, HERE))
    await waiting.shut("model:y", at="openai")
    assert await waiting.divert() == 1
    await waiting.index("openai").restore("model:y")
    await waiting.shut()
    assert await waiting.divert() == 0


async def test_jobs_stay_while_the_other_gate_is_shut_too_and_go_once_it_opens(
    waiting: Waiting,
) -> None:
    await waiting.add(3)
    await waiting.shut()
    await waiting.shut("model:y", at="openai")
    assert await waiting.divert() == 0
    await waiting.index("openai").restore("model:y")
    assert await waiting.divert() == 3


async def test_jobs_go_to_a_third_route_when_the_second_is_shut(waiting: Waiting) -> None:
    await waiting.add(routes=(HERE, THERE, "anthropic/z"))
    await waiting.shut()
    await waiting.shut("model:y", at="openai")
    assert await waiting.divert() == 1
    assert len(await waiting.queued("anthropic")) == 1


async def test_jobs_do_not_go_where_an_operator_has_paused(waiting: Waiting) -> None:
    await waiting.add()
    await waiting.shut()
    await waiting.index("openai").set_pauses({"workspace:acme": "told"})
    assert await waiting.divert() == 0


async def test_jobs_do_not_go_where_nobody_works(waiting: Waiting) -> None:
    await waiting.add()
    await waiting.shut()
    await waiting.staff("fireworks")
    assert await waiting.divert() == 0
    await waiting.staff("openai")
    assert await waiting.divert() == 1


async def test_pause_is_no_reason_to_go(waiting: Waiting) -> None:
    await waiting.add()
    await waiting.index("fireworks").set_pauses({"model:x": "told"})
    assert await waiting.divert() == 0


async def test_gate_that_opens_within_a_second_is_no_reason_to_go(waiting: Waiting) -> None:
    await waiting.add()
    await waiting.shut(for_s=0.9)
    assert await waiting.divert() == 0


async def test_credential_gate_moves_only_those_who_use_the_credential(waiting: Waiting) -> None:
    await waiting.ledger.create_workspace("other", routing={}, monthly_tokens=None)
    await waiting.add()
    (other,) = await waiting.add(workspace="other")
    await waiting.index("fireworks").set_all("credentials", {"other": "own"})
    await waiting.shut("credential:own")
    assert await waiting.divert() == 1
    assert await waiting.placed("openai") == {other.job_id}


async def test_credential_that_is_shut_there_keeps_its_workspace_here(waiting: Waiting) -> None:
    await waiting.add()
    await waiting.index("openai").set_all("credentials", {"acme": "own"})
    await waiting.shut()
    await waiting.shut("access:own/y", at="openai")
    assert await waiting.divert() == 0


async def test_job_that_a_worker_holds_is_left_to_it(waiting: Waiting) -> None:
    (job,) = await waiting.add()
    await open_attempts(waiting.ledger, [lease_of(job, 1)], provider="fireworks", worker="w")
    await waiting.shut()
    assert await waiting.divert() == 0
    assert await waiting.placed("fireworks") == {job.job_id}


async def test_job_that_is_started_between_look_and_move_is_not_moved(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = await waiting.add()
    await waiting.shut()
    standing = Ledger.standing

    async def opened_first(self: Ledger, name: str, *args: Any) -> Any:
        if name == "divert":
            await open_attempts(self, [lease_of(job, 1)], provider="fireworks", worker="w")
        return await standing(self, name, *args)

    monkeypatch.setattr(Ledger, "standing", opened_first)
    assert await waiting.divert() == 0
    assert (await row(waiting.ledger.pool, job))["provider"] == "fireworks"


async def test_jobs_that_cannot_go_are_not_read_again_while_nothing_changes(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting.add(1200, (HERE,))
    await waiting.shut()
    read: list[int] = []
    fetch = Ledger.fetch

    async def counted(self: Ledger, name: str, *args: Any, **given: Any) -> Any:
        if name == "waiting_routes":
            read.append(len(args[1]))
        return await fetch(self, name, *args, **given)

    monkeypatch.setattr(Ledger, "fetch", counted)
    while not read or sum(read) < 1200:
        assert await waiting.divert() == 0
    read.clear()
    assert await waiting.divert() == 0
    assert read == []
    await waiting.add()
    assert await waiting.divert() == 1
    assert read == [1]


async def test_job_that_comes_back_to_its_place_is_moved_before_long(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diversion, "_RETURNED_S", -1)
    (returning,) = await waiting.add()
    await waiting.add(3, (HERE,))
    await waiting.shut()
    queue = f"{waiting.index('fireworks').keys.base}q:{returning.flow.name}"
    place = await waiting.redis.zscore(queue, returning.entry.pack())
    await waiting.redis.zrem(queue, returning.entry.pack())
    assert await waiting.divert() == 0
    await waiting.redis.zadd(queue, {returning.entry.pack(): place})
    assert await waiting.divert() == 1


async def test_job_that_comes_back_to_a_place_where_all_have_gone_is_moved_at_once(
    waiting: Waiting,
) -> None:
    first, second = await waiting.add(2)
    await waiting.shut()
    queue = f"{waiting.index('fireworks').keys.base}q:{first.flow.name}"
    place = await waiting.redis.zscore(queue, first.entry.pack())
    await waiting.redis.zrem(queue, first.entry.pack())
    assert await waiting.divert() == 1
    assert await waiting.placed("openai") == {second.job_id}
    await waiting.redis.zadd(queue, {first.entry.pack(): place})
    assert await waiting.divert() == 1
