"""Steering: what operators set reaches the index, holds claims back, and survives a rebuild."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from arq.connections import ArqRedis

from penstock_client import Penstock, Settings
from penstock_client.broker import Broker
from penstock_client.ledger import Ledger, NewJob, OperatorSettings, Pause
from penstock_schemas.catalog import catalog
from penstock_schemas.limit_policy import limit_policy
from penstock_schemas.limits import PauseTarget, limit_setting, limits_of_file, pause_target
from penstock_worker import steering as steering_module
from penstock_worker.admission.index import Drop, Limit, ProviderIndex
from penstock_worker.steering import AGAIN_S, IndexSteering, wanted_at
from tests.index.looking import until
from tests.ledger.making import new_jobs
from tests.worker.running import PROVIDER

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
NONE_SET = OperatorSettings(limits=(), pauses=(), weights={})


@pytest.fixture(autouse=True)
def any_number_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that nobody has set do not hold claims back."""
    monkeypatch.setattr(steering_module, "START_CALLS", 0)


@pytest.fixture
async def ledger(empty: Settings) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(empty)
    yield opened
    await opened.close()


@pytest.fixture
async def steering(ledger: Ledger, redis: ArqRedis, index: ProviderIndex) -> IndexSteering:
    """On an open index."""
    await index.finish_rebuild(await index.begin_rebuild("e1"))
    return IndexSteering(ledger, redis, file_limits=(), models=catalog())


def jobs(count: int, **changes: Any) -> list[NewJob]:
    return new_jobs(count, **{"provider": PROVIDER, "lane": 1, **changes})


async def claimed(index: ProviderIndex, slots: int = 100) -> int:
    return len((await index.claim(slots)).leases)


# What an index should hold.


def test_limits_of_the_ledger_go_before_the_files() -> None:
    file = limits_of_file(PROVIDER, {"requests_per_minute": 500, "concurrency": 20})
    own = limit_setting(PROVIDER, "provider", "requests", 100)
    other = limit_setting("openai", "provider", "tokens", 9)
    operators = OperatorSettings(limits=(own, other), pauses=(), weights={})
    wanted = wanted_at(PROVIDER, operators, file_limits=file, models=catalog())
    assert set(wanted.limits) == {
        Limit("provider", "requests", 60_000, 100),
        Limit("provider", "concurrency", 0, 20),
    }


def test_pauses_are_those_of_the_provider_and_of_every_one() -> None:
    def pause(provider: str, scope: str, reason: str) -> Pause:
        target = PauseTarget(provider=provider, scope=scope)
        return Pause(target=target, reason=reason, since=SINCE)

    pauses = (
        pause(PROVIDER, "lane:1", "own"),
        pause("*", "lane:1", "general"),
        pause("*", "tag:a", "tag"),
        pause("openai", "provider", "other"),
    )
    operators = OperatorSettings(limits=(), pauses=pauses, weights={})
    wanted = wanted_at(PROVIDER, operators, file_limits=(), models=catalog())
    assert wanted.pauses == {"lane:1": "own", "tag:a": "tag"}


def test_tuning_is_the_providers_policy() -> None:
    policy = limit_policy("openai")
    wanted = wanted_at("openai", NONE_SET, file_limits=(), models=catalog())
    assert wanted.tuning == {
        "counted": policy.counted,
        "open_ms": policy.open_s * 1000,
        "failures": policy.failures,
        "start": 0,
    }


@pytest.mark.parametrize(("provider", "start"), [("openai", 5), ("ollama", 0), ("unlisted", 5)])
def test_providers_begin_with_a_few_calls_unless_they_are_local(
    provider: str, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering_module, "START_CALLS", 5)
    wanted = wanted_at(provider, NONE_SET, file_limits=(), models=catalog())
    assert wanted.tuning["start"] == start


def test_groups_are_of_models_that_share_limits() -> None:
    policy = limit_policy("anthropic")
    wanted = wanted_at("anthropic", NONE_SET, file_limits=(), models=catalog())
    assert wanted.groups
    for model, group in wanted.groups.items():
        assert policy.group_of(model) == group != model


def test_credentials_are_those_at_the_provider() -> None:
    operators = OperatorSettings(
        limits=(), pauses=(), weights={}, credentials={PROVIDER: {"acme": "key-1"}, "other": {}}
    )
    found = [
        wanted_at(provider, operators, file_limits=(), models=catalog()).credentials
        for provider in (PROVIDER, "openai")
    ]
    assert found == [{"acme": "key-1"}, {}]


# What reaches the index.


async def test_configured_limit_holds_claims_back(
    steering: IndexSteering, ledger: Ledger, index: ProviderIndex, redis: ArqRedis
) -> None:
    await ledger.steering.set_limits([limit_setting(PROVIDER, "provider", "requests", 60)])
    await steering.steer([PROVIDER])
    await Broker(redis).push(jobs(50))
    assert await claimed(index) <= 1


async def test_limit_that_is_unset_lets_all_go(
    steering: IndexSteering, ledger: Ledger, index: ProviderIndex, redis: ArqRedis
) -> None:
    await ledger.steering.set_limits([limit_setting(PROVIDER, "provider", "concurrency", 10)])
    await steering.steer([PROVIDER])
    await Broker(redis).push(jobs(50))
    before = await claimed(index)
    await ledger.steering.unset_limits(PROVIDER, "provider")
    await steering.steer([PROVIDER])
    assert (before, await claimed(index)) == (8, 42)  # a fifth is kept for interactive work


async def test_limit_of_a_workspace_is_no_others(
    steering: IndexSteering, ledger: Ledger, index: ProviderIndex, redis: ArqRedis
) -> None:
    await ledger.steering.set_limits([limit_setting(PROVIDER, "workspace:acme", "concurrency", 5)])
    await steering.steer([PROVIDER])
    await Broker(redis).push([*jobs(20), *jobs(20, workspace="other")])
    leases = (await index.claim(100)).leases
    assert Counter(lease.flow.workspace for lease in leases) == {"acme": 4, "other": 20}


PAUSES = {
    "provider": ({"provider": PROVIDER}, {}),
    "everything": ({}, {}),
    "workspace": ({"workspace": "acme"}, {"other": 5}),
    "lane": ({"provider": PROVIDER, "lane": "bulk"}, {"other": 5}),
}


@pytest.mark.parametrize(("named", "goes_on"), PAUSES.values(), ids=PAUSES)
async def test_pause_keeps_what_it_names_until_it_is_resumed(
    named: dict[str, str],
    goes_on: dict[str, int],
    steering: IndexSteering,
    ledger: Ledger,
    index: ProviderIndex,
    redis: ArqRedis,
) -> None:
    await ledger.steering.pause(pause_target(**named), reason="test")
    await steering.steer([PROVIDER])
    await Broker(redis).push([*jobs(5), *jobs(5, workspace="other", lane=0)])
    before = Counter(lease.flow.workspace for lease in (await index.claim(100)).leases)
    await ledger.steering.resume(pause_target(**named))
    await steering.steer([PROVIDER])
    after = Counter(lease.flow.workspace for lease in (await index.claim(100)).leases)
    assert (before, before + after) == (goes_on, {"acme": 5, "other": 5})


async def test_weight_changes_shares(
    steering: IndexSteering, ledger: Ledger, index: ProviderIndex, redis: ArqRedis
) -> None:
    await ledger.create_workspace("acme", routing={}, monthly_tokens=None)
    await ledger.change_workspace("acme", {"weight": 3})
    await steering.steer([PROVIDER])
    await Broker(redis).push([*jobs(100), *jobs(100, workspace="other")])
    leases = (await index.claim(80)).leases
    shares = Counter(lease.flow.workspace for lease in leases)
    assert 58 <= shares["acme"] <= 62


async def set_key(ledger: Ledger, fingerprint: str) -> None:
    await ledger.fetch("publish_sealing_key", "seal-1", b"", [])
    await ledger.fetch(
        "set_provider_key", "acme", PROVIDER, b"sealed", "seal-1", fingerprint, None, None
    )


async def test_own_keys_and_configurations_without_them_reach_the_index(
    steering: IndexSteering, ledger: Ledger, index: ProviderIndex, redis: ArqRedis
) -> None:
    await ledger.create_workspace("acme", routing={}, monthly_tokens=None)
    await steering.steer([PROVIDER])
    await set_key(ledger, "key-1")
    await ledger.pool.execute("update penstock.llm_configurations set own_keys = false")
    await steering.steer([PROVIDER])
    hgetall: Any = redis.hgetall
    credentials = await hgetall(f"{index.keys.base}credentials")
    assert credentials == {b"acme": b"key-1", b"acme/default": b"platform"}


async def test_flows_that_wait_at_a_credential_go_on_with_another_one(
    steering: IndexSteering, ledger: Ledger, index: ProviderIndex, redis: ArqRedis
) -> None:
    await ledger.create_workspace("acme", routing={}, monthly_tokens=None)
    await steering.steer([PROVIDER])
    await index.shut("credential:platform", state="bad_key", reason="", for_s=300)
    await Broker(redis).push(jobs(5))
    before = await claimed(index)
    await set_key(ledger, "key-1")
    await steering.steer([PROVIDER])
    assert (before, await claimed(index)) == (0, 5)


# What is written when.


class Watched:
    """Counts what is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[str] = []
        for name in ("set_limits", "set_pauses", "set_all"):
            monkeypatch.setattr(ProviderIndex, name, self._counting(name))

    def _counting(self, name: str) -> Callable[..., Any]:
        original = getattr(ProviderIndex, name)

        async def counted(index: ProviderIndex, *args: Any) -> None:
            self.written.append(args[0] if name == "set_all" else name)
            await original(index, *args)

        return counted


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


async def test_what_has_not_changed_is_not_written_again(
    steering: IndexSteering, watched: Watched
) -> None:
    await steering.steer([PROVIDER])
    first = len(watched.written)
    await steering.steer([PROVIDER])
    assert (first, len(watched.written)) == (6, 6)


async def test_what_has_not_changed_is_not_read_again(
    steering: IndexSteering, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetch = ledger.fetch

    async def counted(name: str, *args: Any, **options: Any) -> Any:
        asked.append(name)
        return await fetch(name, *args, **options)

    monkeypatch.setattr(ledger, "fetch", counted)
    await steering.steer([PROVIDER])
    asked.clear()
    await steering.steer([PROVIDER])
    assert asked == ["steering_version"]


async def test_only_what_has_changed_is_written(
    steering: IndexSteering, ledger: Ledger, watched: Watched
) -> None:
    await steering.steer([PROVIDER])
    watched.written.clear()
    await ledger.steering.pause(pause_target(provider=PROVIDER), reason="")
    await steering.steer([PROVIDER])
    assert watched.written == ["set_pauses"]


async def test_all_is_written_again_after_a_minute(
    steering: IndexSteering, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await steering.steer([PROVIDER])
    watched.written.clear()
    later = time.monotonic() + AGAIN_S
    monkeypatch.setattr(steering, "_clock", lambda: later)
    await steering.steer([PROVIDER])
    assert len(watched.written) == 6


async def test_new_epoch_is_written_again(
    steering: IndexSteering, index: ProviderIndex, redis: ArqRedis, watched: Watched
) -> None:
    await steering.steer([PROVIDER])
    await redis.flushall()
    await index.begin_rebuild("e2")
    watched.written.clear()
    await steering.steer([PROVIDER])
    assert len(watched.written) == 6


async def test_what_failed_half_way_is_written_again_whole(
    steering: IndexSteering, ledger: Ledger, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    await steering.steer([PROVIDER])

    async def away(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(ProviderIndex, "set_pauses", away)
        await ledger.steering.pause(pause_target(provider=PROVIDER), reason="")
        with pytest.raises(ConnectionError):
            await steering.steer([PROVIDER])
    await ledger.steering.resume(pause_target(provider=PROVIDER))
    watched.written.clear()
    await steering.steer([PROVIDER])
    assert len(watched.written) == 6


async def test_index_that_does_not_exist_is_left_alone(
    steering: IndexSteering, redis: ArqRedis
) -> None:
    await redis.flushall()
    await steering.steer([PROVIDER])
    assert await redis.dbsize() == 0


# With a steward on duty.


async def _open(index: ProviderIndex) -> bool:
    return await index.state() == "open"


async def test_steward_puts_a_pause_in_force_within_two_seconds(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, steward: None
) -> None:
    await until(lambda: _open(index))
    await penstock.ledger.steering.pause(pause_target(provider=PROVIDER), reason="test")
    await until(lambda: redis.hexists(index.keys.base + "paused", "provider"), within_s=20)


async def test_rebuilt_index_never_opens_without_its_pauses_and_limits(
    penstock: Penstock, redis: ArqRedis, index: ProviderIndex, steward: None
) -> None:
    await penstock.ledger.steering.pause(pause_target(workspace="acme"), reason="test")
    await penstock.ledger.steering.set_limits(
        [limit_setting(PROVIDER, "workspace:other", "concurrency", 1)]
    )
    await until(lambda: redis.hexists(index.keys.base + "paused", "workspace:acme"))
    await redis.flushall()
    await until(lambda: _open(index))
    await Broker(redis).push([*jobs(5), *jobs(5, workspace="other")])
    leases = (await index.claim(100)).leases
    await index.release([Drop(lease) for lease in leases])
    assert [lease.flow.workspace for lease in leases] == ["other"]
