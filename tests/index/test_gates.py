"""Breakers, credentials and pauses inside the claim: who is kept, for how long, and who tries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from arq.connections import ArqRedis

from penstock_client.broker import Broker
from penstock_worker.admission.index import Again, Done, ProviderIndex, Used, Verdict
from penstock_worker.leases import Lease
from tests.index.clocked import Clock, clocked_index
from tests.index.looking import lapse_all
from tests.ledger.making import MODEL, new_jobs

OPEN_MS, FAILURES, PROBES = 60_000, 5, 3


@pytest.fixture
async def timed(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> tuple[ProviderIndex, Clock]:
    return await clocked_index(redis, monkeypatch)


async def end(index: ProviderIndex, leases: Sequence[Lease], verdict: Verdict) -> None:
    """Give leases back: done when the provider works, queued again when it does not."""
    used = Used(10, 5, verdict)
    if verdict is Verdict.WORKS:
        await index.release([Done(lease, "acme", b"", used) for lease in leases])
    else:
        await index.release([Again(lease, 0, lease.flow, lease.entry, used) for lease in leases])


async def break_it(index: ProviderIndex) -> None:
    await end(index, (await index.claim(FAILURES)).leases, Verdict.FAILS)


async def test_breaker_opens_after_failures_in_a_row_and_says_until_when(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await broker.push(new_jobs(50))
    await end(index, (await index.claim(FAILURES - 1)).leases, Verdict.FAILS)
    (lease,) = (await index.claim(1)).leases
    await end(index, [lease], Verdict.FAILS)
    claimed = await index.claim(50)
    assert (claimed.leases, claimed.wait_ms) == ((), OPEN_MS)


async def test_breaker_counts_failures_in_a_row_only(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await broker.push(new_jobs(50))
    for verdict in (Verdict.FAILS, Verdict.WORKS, Verdict.FAILS):
        await end(index, (await index.claim(FAILURES - 1)).leases, verdict)
    assert len((await index.claim(5)).leases) == 5


async def test_breaker_opens_when_half_of_many_calls_fail(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await broker.push(new_jobs(100))
    for _ in range(2 * FAILURES):
        first, second = (await index.claim(2)).leases
        await end(index, [first], Verdict.WORKS)
        await end(index, [second], Verdict.FAILS)
    assert (await index.claim(5)).leases == ()


async def test_breaker_keeps_only_its_model(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await broker.push(new_jobs(20))
    await break_it(index)
    await broker.push(new_jobs(20, model="other"))
    assert {lease.flow.model for lease in (await index.claim(50)).leases} == {"other"}


async def test_half_open_lets_a_few_probes_through_and_no_more(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    for workspace in ("a", "b", "c"):
        await broker.push(new_jobs(20, workspace))
    await break_it(index)
    await clock.pass_ms(OPEN_MS)
    probes = [*(await index.claim(50)).leases, *(await index.claim(50)).leases]
    assert len(probes) == PROBES


async def test_a_probe_that_works_closes_the_breaker(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await broker.push(new_jobs(40))
    await break_it(index)
    await clock.pass_ms(OPEN_MS)
    await end(index, (await index.claim(50)).leases[:1], Verdict.WORKS)
    await clock.pass_ms(1)
    assert len((await index.claim(50)).leases) >= 30


async def test_a_probe_that_fails_opens_the_breaker_again(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await broker.push(new_jobs(40))
    await break_it(index)
    await clock.pass_ms(OPEN_MS)
    await end(index, (await index.claim(1)).leases, Verdict.FAILS)
    assert (await index.claim(50)).leases == ()
    await clock.pass_ms(OPEN_MS - 1)
    assert (await index.claim(50)).leases == ()


async def test_a_lost_probe_gives_its_place_back(
    timed: tuple[ProviderIndex, Clock], broker: Broker, redis: ArqRedis
) -> None:
    index, clock = timed
    await broker.push(new_jobs(40))
    await break_it(index)
    await clock.pass_ms(OPEN_MS)
    assert len((await index.claim(50)).leases) == PROBES
    await lapse_all(redis, index)
    assert len((await index.claim(50)).leases) == PROBES


async def test_calls_from_before_the_breaker_opened_do_not_count_after_it(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await broker.push(new_jobs(40))
    old = (await index.claim(10)).leases
    await break_it(index)
    await clock.pass_ms(OPEN_MS)
    await end(index, (await index.claim(50)).leases[:1], Verdict.WORKS)
    await end(index, old, Verdict.FAILS)
    await clock.pass_ms(1)
    assert len((await index.claim(5)).leases) == 5


async def test_a_shut_credential_keeps_its_own_workspace_only(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await index.set_all("credentials", {"own": "ws-own"})
    await index.shut("credential:ws-own", state="bad_key", reason="invalid_api_key", for_s=300)
    await broker.push(new_jobs(5, "own"))
    await broker.push(new_jobs(5, "other"))
    assert {lease.flow.workspace for lease in (await index.claim(50)).leases} == {"other"}


async def test_a_credential_is_tried_by_one_call_and_opens_with_its_answer(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.shut("credential:platform", state="quota_spent", reason="spent", for_s=60)
    await broker.push(new_jobs(20))
    assert (await index.claim(50)).leases == ()
    await clock.pass_ms(60_000)
    probes = (await index.claim(50)).leases
    assert len(probes) == 1
    await end(index, probes, Verdict.WORKS)
    await clock.pass_ms(1)
    assert len((await index.claim(50)).leases) == 19


async def test_an_operator_can_have_a_credential_tried_at_once(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, clock = timed
    await index.shut("credential:platform", state="bad_key", reason="wrong", for_s=300)
    await broker.push(new_jobs(20))
    await index.claim(50)
    await index.try_gate("credential:platform")
    await clock.pass_ms(1)
    assert len((await index.claim(50)).leases) == 1


async def test_access_that_is_shut_keeps_one_model_of_one_credential(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await index.shut(f"access:platform/{MODEL}", state="no_access", reason="no", for_s=300)
    await broker.push(new_jobs(5))
    await broker.push(new_jobs(5, model="other"))
    assert {lease.flow.model for lease in (await index.claim(50)).leases} == {"other"}


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ("provider", 0),
        ("workspace:acme", 10),
        ("lane:1", 10),
        (f"model:{MODEL}", 10),
        ("tag:nightly", 15),
    ],
)
async def test_a_pause_keeps_what_it_names_until_it_is_lifted(
    timed: tuple[ProviderIndex, Clock], broker: Broker, scope: str, left: int
) -> None:
    index, clock = timed
    await broker.push(new_jobs(5, lane=1))
    await broker.push(new_jobs(5, lane=1, limit_tag="nightly"))
    await broker.push(new_jobs(10, "other", model="other"))
    await index.set_pauses({scope: "maintenance"})
    first = (await index.claim(50)).leases
    assert len(first) == left
    await index.set_pauses({})
    await clock.pass_ms(1)
    assert len((await index.claim(50)).leases) == 20 - left


async def test_jobs_that_come_while_their_flow_waits_do_not_start(
    timed: tuple[ProviderIndex, Clock], broker: Broker
) -> None:
    index, _ = timed
    await broker.push(new_jobs(5))
    await index.set_pauses({"workspace:acme": ""})
    await index.claim(50)
    await broker.push(new_jobs(5))
    assert (await index.claim(50)).leases == ()
