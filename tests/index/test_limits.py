"""Limits inside the claim: paced, all or nothing, corrected, shared, and never overrun."""

from __future__ import annotations

import pytest
from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_worker.admission.index import Done, Drop, Limit, ProviderIndex, Used, Verdict
from penstock_worker.leases import Lease
from tests.index.clocked import Clock, clocked_index
from tests.index.looking import lapse_all
from tests.ledger.making import new_job, new_jobs

MINUTE_MS, DAY_MS = 60_000, 86_400_000
BURST_MS = 300


@pytest.fixture
async def timed(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> tuple[ProviderIndex, Clock]:
    return await clocked_index(redis, monkeypatch)


async def claim_for(
    index: ProviderIndex, clock: Clock, span_ms: int, *, slots: int = 100
) -> list[tuple[int, Lease]]:
    """Claim whenever the index says that there may be something; when and what it gave."""
    given: list[tuple[int, Lease]] = []
    end = clock.ms + span_ms
    while clock.ms < end:
        claimed = await index.claim(slots)
        given += [(clock.ms, lease) for lease in claimed.leases]
        await index.release([Drop(lease) for lease in claimed.leases])
        wait_ms = 1000 if claimed.wait_ms is None else claimed.wait_ms
        await clock.pass_ms(max(1, min(wait_ms, end - clock.ms)))
    return given


async def test_a_rate_is_used_in_full_and_paced(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 1200)])
    await broker.push(new_jobs(300, lane=1))
    given = await claim_for(index, clock, 10_000)
    assert 198 <= len(given) <= 202
    in_each_second = [sum(at // 1000 == s for at, _ in given) for s in range(*_seconds(given))]
    assert max(in_each_second) <= 20 * (1 + BURST_MS / 1000) + 1


def _seconds(given: list[tuple[int, Lease]]) -> tuple[int, int]:
    return given[0][0] // 1000, given[-1][0] // 1000 + 1


async def test_a_claim_tells_when_the_next_job_may_start(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 60)])
    await broker.push(new_jobs(3, lane=1))
    await clock.pass_ms(1000)
    first = await index.claim(10)
    assert len(first.leases) == 1 and first.wait_ms is not None
    await clock.pass_ms(first.wait_ms - 1)
    assert (await index.claim(10)).leases == ()
    await clock.pass_ms(1)
    assert len((await index.claim(10)).leases) == 1


async def test_tokens_are_charged_by_the_estimate_and_corrected_by_what_was_used(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_all("tuning", {"counted": "sum"})
    await index.set_limits([Limit("provider", "tokens", MINUTE_MS, 6000)])  # 100 a second
    await broker.push(new_jobs(9, lane=1, input_tokens=300, output_tokens=700))
    await clock.pass_ms(1000)
    (lease,) = (await index.claim(10)).leases
    await index.release([Done(lease, "acme", b"", Used(60, 40, Verdict.WORKS))])
    await clock.pass_ms(1000 - BURST_MS)
    assert (await index.claim(10)).leases == ()
    await clock.pass_ms(2 * BURST_MS)
    assert len((await index.claim(10)).leases) == 1


async def test_what_never_went_out_is_not_charged(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 1)])
    await broker.push(new_jobs(2, lane=1))
    await clock.pass_ms(1000)
    (lease,) = (await index.claim(10)).leases
    await index.release([Drop(lease, Used(0, 0, Verdict.UNSENT))])
    await clock.pass_ms(1000)
    assert len((await index.claim(10)).leases) == 1


async def test_a_job_takes_all_its_limits_or_none(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits(
        [
            Limit("provider", "requests", MINUTE_MS, 60),
            Limit("workspace:slow", "concurrency", 0, 1),
        ]
    )
    await broker.push(new_jobs(3, "slow", lane=1))
    await clock.pass_ms(1000)
    assert len((await index.claim(10)).leases) == 1
    await clock.pass_ms(1500)
    assert (await index.claim(10)).leases == ()  # kept by its own limit: no request is spent on it
    await broker.push(new_jobs(1, "other", lane=1))
    assert [lease.flow.workspace for lease in (await index.claim(10)).leases] == ["other"]


async def test_a_limited_workspace_slows_nobody(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("workspace:slow", "requests", MINUTE_MS, 60)])
    await broker.push(new_jobs(500, "slow"))
    await broker.push(new_jobs(100, "quick"))
    await clock.pass_ms(1000)
    workspaces = [lease.flow.workspace for lease in (await index.claim(200)).leases]
    assert workspaces.count("quick") == 100 and workspaces.count("slow") <= 2


@pytest.mark.parametrize("way", ["done", "drop", "lapse"])
async def test_concurrency_comes_back_however_a_lease_ends(
    timed: tuple[ProviderIndex, Clock], broker: Broker, redis: ArqRedis, way: str
) -> None:
    index, clock = timed
    await index.set_limits([Limit("workspace:*", "concurrency", 0, 3)])
    await broker.push(new_jobs(9))
    first = (await index.claim(10)).leases
    assert len(first) == 3 and (await index.claim(10)).leases == ()
    if way == "lapse":
        await lapse_all(redis, index)
    else:
        done = [Done(lease, "acme", b"") if way == "done" else Drop(lease) for lease in first]
        await index.release(done)
    await clock.pass_ms(1)
    assert len((await index.claim(10)).leases) == 3


async def test_workers_are_woken_when_concurrency_comes_back_to_flows_that_wait(
    timed: tuple[ProviderIndex, Clock], broker: Broker, redis: ArqRedis
) -> None:
    index, _ = timed
    await index.set_limits([Limit("provider", "concurrency", 0, 1)])
    await broker.push(new_jobs(2))
    (lease,) = (await index.claim(10)).leases
    await index.claim(10)  # the flow waits from now on
    listening = redis.pubsub(ignore_subscribe_messages=True)
    await listening.subscribe(index.keys.wake)
    await listening.get_message(timeout=1)
    await index.release([Done(lease, "acme", b"")])
    message = await listening.get_message(timeout=2)
    await listening.aclose()
    assert message is not None


async def test_every_workspace_has_a_bucket_of_its_own_under_a_rule_for_all(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    limits = [
        Limit("workspace:*", "concurrency", 0, 2),
        Limit("workspace:big", "concurrency", 0, 5),
    ]
    await index.set_limits(limits)
    for workspace in ("a", "b", "big"):
        await broker.push(new_jobs(9, workspace))
    workspaces = [lease.flow.workspace for lease in (await index.claim(50)).leases]
    assert {w: workspaces.count(w) for w in set(workspaces)} == {"a": 2, "b": 2, "big": 5}


async def test_jobs_of_a_tag_share_its_limit_across_workspaces(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await index.set_limits([Limit("tag:nightly", "concurrency", 0, 4)])
    for workspace in ("a", "b"):
        await broker.push(new_jobs(9, workspace, limit_tag="nightly"))
        await broker.push(new_jobs(9, workspace))
    tags = [lease.flow.tag for lease in (await index.claim(50)).leases]
    assert (tags.count("nightly"), tags.count("")) == (4, 18)


async def test_models_of_a_group_share_its_limit(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await index.set_all("groups", {"sonnet-4": "sonnet", "sonnet-4-6": "sonnet"})
    await index.set_limits([Limit("group:platform/sonnet", "concurrency", 0, 3)])
    for model in ("sonnet-4", "sonnet-4-6", "opus"):
        await broker.push(new_jobs(5, model=model))
    models = [lease.flow.model for lease in (await index.claim(50)).leases]
    assert (len(models), models.count("opus")) == (8, 5)


async def test_a_days_limit_may_be_used_at_once_and_ends_with_the_day(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", DAY_MS, 50)])
    await broker.push(new_jobs(120, lane=1))
    claimed = await index.claim(100)
    assert len(claimed.leases) == 50
    assert claimed.wait_ms == DAY_MS - clock.ms % DAY_MS
    await clock.pass_ms(claimed.wait_ms)
    await index.release([Drop(lease) for lease in claimed.leases])
    assert len((await index.claim(100)).leases) == 50


async def test_interactive_work_finds_room_while_bulk_uses_a_limit_up(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 1200)])
    await broker.push(new_jobs(400, "big", lane=1))
    await claim_for(index, clock, 3_000)
    await broker.push(new_jobs(1, "small", lane=0))
    assert [lease.flow.workspace for lease in (await index.claim(10)).leases] == ["small"]


async def test_interactive_work_does_not_starve_bulk_beyond_its_reserve(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 1200)])
    await broker.push(new_jobs(900, "chatty", lane=0))
    await broker.push(new_jobs(900, "patient", lane=1))
    given = await claim_for(index, clock, 20_000)
    share = sum(lease.flow.workspace == "patient" for _, lease in given) / len(given)
    assert 0.35 <= share <= 0.55


async def test_outputs_are_learned_so_that_limits_do_not_reserve_the_most(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_all("tuning", {"counted": "sum"})
    await broker.push(new_jobs(10, lane=1, input_tokens=100, output_tokens=10_000))
    for lease in (await index.claim(10)).leases:
        await index.release([Done(lease, "acme", b"", Used(200, 50, Verdict.WORKS))])
    await index.set_limits([Limit("provider", "tokens", MINUTE_MS, 60_000)])  # 250 each: 4 a second
    await broker.push(new_jobs(100, lane=1, input_tokens=100, output_tokens=10_000))
    given = await claim_for(index, clock, 10_000)
    assert 38 <= len(given) <= 43


async def test_unknown_limits_are_approached_with_a_few_calls_that_double(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_all("tuning", {"start": 8})
    await broker.push(new_jobs(300))
    sizes: list[int] = []
    for _ in range(4):
        leases = (await index.claim(300)).leases
        sizes.append(len(leases))
        answered = Used(10, 5, Verdict.WORKS)
        await index.release([Done(lease, "acme", b"", answered) for lease in leases])
        await clock.pass_ms(1)
    assert sizes == [8, 16, 32, 64]


async def test_lifted_limits_let_waiting_work_go(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 1)])
    await broker.push(new_jobs(30, lane=1))
    await claim_for(index, clock, 2_000)
    await index.set_limits([])
    await clock.pass_ms(1)
    assert len((await index.claim(100)).leases) >= 28


async def test_a_raised_or_lifted_rule_for_all_reaches_the_workspaces_that_wait(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("workspace:*", "requests", DAY_MS, 2)])
    await broker.push(new_jobs(10))
    assert len((await index.claim(20)).leases) == 2
    await index.set_limits([Limit("workspace:*", "requests", DAY_MS, 5)])
    await clock.pass_ms(1)
    assert len((await index.claim(20)).leases) == 3
    await index.set_limits([])
    await clock.pass_ms(1)
    assert len((await index.claim(20)).leases) == 5


async def test_a_backwards_clock_never_holds_a_limit_for_longer_than_two_windows(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_limits([Limit("provider", "requests", MINUTE_MS, 60)])
    await broker.push(new_jobs(30, lane=1))
    await claim_for(index, clock, 2_000)
    await clock.pass_ms(-3_600_000)
    await index.claim(10)
    await clock.pass_ms(2 * MINUTE_MS + 1000)
    assert len((await index.claim(10)).leases) >= 1


async def test_one_job_may_exceed_what_is_left_but_the_next_pays_for_it(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.set_all("tuning", {"counted": "sum"})
    await index.set_limits([Limit("provider", "tokens", MINUTE_MS, 6000)])
    await broker.push([new_job(lane=1, input_tokens=5000, output_tokens=0), *new_jobs(5, lane=1)])
    await clock.pass_ms(1000)
    claimed = await index.claim(10)
    assert len(claimed.leases) == 1 and claimed.wait_ms is not None
    assert claimed.wait_ms == pytest.approx(50_000, abs=500)
