"""The first use of a credential: one test for each key, whose outcome moves its gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_schemas.catalog import catalog
from penstock_schemas.limit_policy import limit_policy
from penstock_worker.admission.index import ProviderIndex
from penstock_worker.credentials import Access
from penstock_worker.first_use import tell_of_platform, try_credential
from penstock_worker.observing import Observer
from penstock_worker.providers.http import Sender
from penstock_worker.simulator.faults import Fault
from penstock_worker.simulator.server import Simulator
from penstock_worker.smoke import SmokeResult

PROVIDER = "openai"


class Trial:
    """A provider's index, and the first use of keys there."""

    def __init__(self, redis: ArqRedis, sender: Sender, simulator: Simulator) -> None:
        self._redis: Any = redis
        self._sender, self._simulator = sender, simulator
        self.index = ProviderIndex(redis, PROVIDER)

    async def use(self, key: str) -> SmokeResult | None:
        return await try_credential(
            self._redis,
            self.index,
            Observer(self.index, limit_policy(PROVIDER)),
            self._sender,
            catalog(),
            provider=catalog().provider(PROVIDER),
            access=Access(self._simulator.base_url(PROVIDER), key),
        )

    async def shut(self) -> set[bytes]:
        return set(await self._redis.hkeys(f"{self.index.keys.base}shut"))


@pytest.fixture
async def trial(redis: ArqRedis, simulator: Simulator) -> AsyncIterator[Trial]:
    async with Sender() as sender:
        yield Trial(redis, sender, simulator)


async def test_a_key_is_tested_once_however_many_workers_start(
    trial: Trial, simulator: Simulator
) -> None:
    results = [await trial.use("sk-one") for _ in range(3)]
    assert [result is None for result in results] == [False, True, True]
    assert simulator.stats()["calls"] == 1


async def test_another_key_is_tested_again(trial: Trial, simulator: Simulator) -> None:
    await trial.use("sk-one")
    await trial.use("sk-two")
    assert simulator.stats()["calls"] == 2


async def test_a_refused_key_shuts_the_credential_before_jobs_meet_it(
    trial: Trial, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="status", status=401))
    result = await trial.use("sk-wrong")
    assert result is not None and not result.ok
    assert await trial.shut() == {b"credential:platform"}


async def test_a_key_that_works_opens_what_an_earlier_one_had_shut(trial: Trial) -> None:
    await trial.index.shut("credential:platform", state="bad_key", reason="wrong", for_s=300)
    await trial.use("sk-right")
    assert await trial.shut() == set()


@pytest.mark.parametrize(
    ("told", "shut"),
    [
        ([False], {b"credential:platform"}),
        ([False, True], set()),
        ([True, False], set()),
        ([False, True, False], set()),
    ],
)
async def test_gate_is_shut_for_want_of_a_key_while_no_worker_has_one(
    trial: Trial, redis: ArqRedis, told: list[bool], shut: set[bytes]
) -> None:
    for has_key in told:
        await tell_of_platform(redis, trial.index, catalog().provider(PROVIDER), has_key=has_key)
    assert await trial.shut() == shut


async def test_a_worker_with_a_key_leaves_gates_that_are_shut_for_other_reasons(
    trial: Trial, redis: ArqRedis
) -> None:
    await trial.index.shut("credential:platform", state="bad_key", reason="wrong", for_s=300)
    await tell_of_platform(redis, trial.index, catalog().provider(PROVIDER), has_key=True)
    assert await trial.shut() == {b"credential:platform"}


async def test_a_provider_in_trouble_shuts_no_credential(
    trial: Trial, simulator: Simulator
) -> None:
    simulator.faults.add(Fault(kind="status", status=503))
    await trial.use("sk-right")
    assert await trial.shut() == set()
