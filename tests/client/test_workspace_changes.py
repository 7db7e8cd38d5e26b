"""Changes of workspaces and of their configurations: what they keep, refuse, and tell of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from penstock_client import (
    Classify,
    ConfigurationError,
    Penstock,
    Settings,
    UnknownConfiguration,
    UnknownModel,
    UnknownProvider,
    UnknownWorkspace,
)
from penstock_client.connections import redis_pool
from penstock_client.ledger import Configuration
from penstock_client.workspaces import CACHE_S, Workspaces, announcer
from penstock_schemas import workspaces as schemas
from penstock_schemas.catalog import catalog
from penstock_schemas.jobs import Envelope
from penstock_schemas.keys import CHANGED

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
async def other(penstock: Penstock) -> AsyncIterator[Penstock]:
    """Another process's client, which has read `acme`."""
    async with Penstock.connect(settings=penstock.settings) as client:
        await client._waiter._channels[CHANGED]  # it hears of changes from now on
        await client.workspaces.get("acme")
        yield client


async def execute(penstock: Penstock, statement: str) -> None:
    await penstock.ledger.pool.execute(statement)


# Workspaces.


async def test_change_keeps_what_it_does_not_name(penstock: Penstock) -> None:
    before = await penstock.workspaces.set("acme", weight=3, monthly_tokens=9_000)
    after = await penstock.workspaces.set("acme", budget_mode="hard", on_budget="wait")
    assert (after.weight, after.monthly_tokens) == (before.weight, before.monthly_tokens)
    assert (after.budget_mode, after.on_budget) == ("hard", "wait")


async def test_none_is_a_value_of_its_own(penstock: Penstock) -> None:
    await penstock.workspaces.set("acme", monthly_tokens=9_000, retention_days=30)
    kept = await penstock.workspaces.set("acme", monthly_tokens=None)
    assert (kept.monthly_tokens, kept.retention_days) == (None, 30)
    assert (await penstock.workspaces.set("acme", retention_days=None)).retention_days is None


async def test_routing_changes_one_capability_and_takes_it_out_again(penstock: Penstock) -> None:
    before = (await penstock.workspaces.get("acme")).routing
    models = ("openai/gpt-4o", "anthropic/claude-sonnet-4-6")
    changed = await penstock.workspaces.set("acme", routing={"reason": models})
    assert changed.routing == {**before, "reason": models}
    unset = await penstock.workspaces.set("acme", routing={"reason": None})
    assert unset.routing == {name: to for name, to in before.items() if name != "reason"}


async def test_one_model_is_stored_as_its_name(penstock: Penstock) -> None:
    await penstock.workspaces.set("acme", routing={"reason": "openai/gpt-4o"})
    query = "select routing ->> 'reason' from penstock.llm_configs where workspace_id = 'acme'"
    assert await penstock.ledger.pool.fetchval(query) == "openai/gpt-4o"


async def test_provider_is_switched_off_and_on(penstock: Penstock) -> None:
    off = await penstock.workspaces.set("acme", providers={"openai": False})
    assert (off.providers, off.disabled) == ({"openai": False}, {"openai"})
    on = await penstock.workspaces.set("acme", providers={"openai": True})
    assert on.disabled == frozenset()


async def test_time_zone_moves_the_ends_of_periods(penstock: Penstock) -> None:
    config = await penstock.workspaces.set("acme", time_zone="Europe/Berlin")
    (configuration,) = config.configurations.values()
    month, day = configuration.month_resets_at, configuration.day_resets_at
    assert month is not None and day is not None and month == config.budget_resets_at
    local = [moment.astimezone(BERLIN) for moment in (month, day)]
    assert [(moment.hour, moment.minute) for moment in local] == [(0, 0), (0, 0)]
    assert local[0].day == 1
    assert datetime.now(UTC) < day <= month


async def test_time_zone_keeps_what_is_used(penstock: Penstock) -> None:
    await execute(penstock, "update penstock.llm_configs set tokens_used_this_month = 70")
    await execute(penstock, "update penstock.llm_configurations set usd_today = 2")
    config = await penstock.workspaces.set("acme", time_zone="Asia/Tokyo")
    assert (config.tokens_used, config.configuration(None).usd_today) == (70, Decimal(2))


async def test_what_was_used_in_a_period_that_has_passed_reads_as_nothing(
    penstock: Penstock,
) -> None:
    await execute(
        penstock,
        "update penstock.llm_configs set tokens_used_this_month = 70, budget_reset_at = now()",
    )
    await execute(
        penstock,
        "update penstock.llm_configurations set usd_today = 2, usd_this_month = 3, usd_held = 0.5, "
        "day_resets_at = now(), month_resets_at = now() + interval '1 day'",
    )
    config = await penstock.workspaces.read("acme")
    found = config.configuration(None)
    assert (config.tokens_used, found.usd_today, found.usd_this_month) == (0, 0, 3)
    assert found.usd_held == Decimal("0.5")
    assert config.budget_resets_at > datetime.now(UTC)
    assert found.day_resets_at is not None and found.day_resets_at > datetime.now(UTC)


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"time_zone": "Mars/Base"}, ConfigurationError, "time_zone: must be a time zone"),
        ({"weight": 0}, ConfigurationError, "weight: "),
        ({"weight": None}, ConfigurationError, "weight: must be a number"),
        ({"budget_mode": "firm"}, ConfigurationError, "budget_mode: .*'soft' or 'hard'"),
        ({"retention_days": -1}, ConfigurationError, "retention_days: "),
        ({"wieght": 1}, ConfigurationError, "wieght: "),
        ({"routing": {"reason": "nonsense"}}, UnknownModel, "routing.reason: .*'nonsense'"),
        ({"routing": {"reason": ["no/such"]}}, UnknownProvider, "routing.reason: .*'no'"),
        ({"routing": {"reason": []}}, ConfigurationError, "routing.reason: "),
        ({"providers": {"nobody": False}}, UnknownProvider, "'nobody'"),
        ({"default_configuration": "gone"}, UnknownConfiguration, "has no 'gone', only default"),
    ],
)
async def test_change_that_cannot_be_names_the_field(
    penstock: Penstock, fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    before = await penstock.workspaces.get("acme")
    with pytest.raises(error, match=told) as caught:
        await penstock.workspaces.set("acme", **fields)
    assert "\n" not in str(caught.value)
    assert await penstock.workspaces.read("acme") == before


async def test_unknown_workspace_cannot_be_changed(penstock: Penstock) -> None:
    for change in (
        penstock.workspaces.set("nobody", weight=2),
        penstock.workspaces.set_configuration("nobody", "nightly"),
        penstock.workspaces.remove_configuration("nobody", "nightly"),
    ):
        with pytest.raises(UnknownWorkspace):
            await change


async def test_routing_does_not_grow_without_bounds(
    penstock: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_client.workspaces.MOST_NAMES", 5)
    with pytest.raises(ConfigurationError, match="routing: more than 5 names"):
        await penstock.workspaces.set("acme", routing=dict.fromkeys("ab", "openai/gpt-4o"))


async def test_workspaces_come_in_pages(penstock: Penstock) -> None:
    for name in ("beta", "zeta"):
        await penstock.workspaces.create(name)
    page = await penstock.workspaces.list(limit=2)
    rest = await penstock.workspaces.list(after=page[-1].workspace, limit=2)
    assert [each.workspace for each in (*page, *rest)] == ["acme", "beta", "zeta"]
    assert rest[0].monthly_tokens == schemas.NEW_MONTHLY_TOKENS


# Configurations.


async def test_workspace_has_a_default_configuration_that_says_nothing(penstock: Penstock) -> None:
    config = await penstock.workspaces.get("acme")
    (found,) = config.configurations.values()
    assert (found.name, found.temperature, found.max_tokens) == ("default", None, None)
    assert found.day_resets_at is not None


async def test_new_configuration_has_the_usual_sampling(penstock: Penstock) -> None:
    config = await penstock.workspaces.set_configuration("acme", "nightly", daily_usd="2.5")
    found = config.configuration("nightly")
    assert (found.temperature, found.max_tokens) == (pytest.approx(0.7), 4096)
    assert (found.daily_usd, found.monthly_usd) == (Decimal("2.5"), None)


async def test_configuration_changes_only_what_is_named(penstock: Penstock) -> None:
    given = {"primary": "openai/gpt-4o", "fallback": "openai/gpt-4o-mini", "temperature": None}
    await penstock.workspaces.set_configuration("acme", "nightly", **given)
    changed = {"monthly_usd": 100, "own_keys": False, "fallback": None}
    config = await penstock.workspaces.set_configuration("acme", "nightly", **changed)
    found = config.configuration("nightly")
    assert (found.primary, found.fallback, found.temperature) == ("openai/gpt-4o", None, None)
    assert (found.monthly_usd, found.own_keys, found.max_tokens) == (Decimal(100), False, 4096)


async def test_task_types_are_routed_and_taken_out_by_name(penstock: Penstock) -> None:
    both = {"triage": "openai/gpt-4o", "digest": "openai/gpt-4o-mini"}
    await penstock.workspaces.set_configuration("acme", "default", task_routing=both)
    less = {"triage": None}
    config = await penstock.workspaces.set_configuration("acme", "default", task_routing=less)
    assert config.configuration(None).task_routing == {"digest": "openai/gpt-4o-mini"}


@pytest.mark.parametrize("name", [schemas.KEY_CHECK, "", "Nightly", "a/b", "a b", "x" * 64])
async def test_configuration_has_a_plain_name_that_is_not_reserved(
    penstock: Penstock, name: str
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name"):
        await penstock.workspaces.set_configuration("acme", name)


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"primary": "nonsense"}, UnknownModel, "primary: .*'nonsense'"),
        ({"fallback": "no/such"}, UnknownProvider, "fallback: .*'no'"),
        ({"task_routing": {"x": "no/such"}}, UnknownProvider, "task_routing.x: "),
        ({"temperature": 3}, ConfigurationError, "temperature: "),
        ({"daily_usd": "much"}, ConfigurationError, "daily_usd: "),
        ({"monthly_usd": -1}, ConfigurationError, "monthly_usd: "),
    ],
)
async def test_configuration_that_cannot_be_names_the_field(
    penstock: Penstock, fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        await penstock.workspaces.set_configuration("acme", "nightly", **fields)
    assert "nightly" not in (await penstock.workspaces.read("acme")).configurations


async def test_configuration_is_removed_unless_it_is_the_default(penstock: Penstock) -> None:
    workspaces = penstock.workspaces
    await workspaces.set_configuration("acme", "nightly")
    await workspaces.set("acme", default_configuration="nightly")
    with pytest.raises(ConfigurationError, match="'nightly' is the default one"):
        await workspaces.remove_configuration("acme", "nightly")
    assert (
        "default" not in (await workspaces.remove_configuration("acme", "default")).configurations
    )
    with pytest.raises(UnknownConfiguration):
        await workspaces.remove_configuration("acme", "default")


# Jobs.


async def test_job_is_recorded_with_what_its_configuration_says(penstock: Penstock) -> None:
    fields = {"primary": "openai/gpt-4o-mini", "fallback": "openai/gpt-4o", "temperature": 0.25}
    await penstock.workspaces.set_configuration("acme", "nightly", **fields)
    fields = {"workspace": "acme", "text": "hi", "labels": ("a", "b")}
    handle = await penstock.submit(Classify(configuration="nightly", **fields))
    rows = await penstock.ledger.pool.fetch(
        "select j.configuration, j.model, p.body from penstock.jobs j "
        "join penstock.payloads p on p.job_id = j.id where j.id = $1",
        handle.job_id,
    )
    envelope = Envelope.decode(rows[0]["body"])
    assert (rows[0]["configuration"], rows[0]["model"]) == ("nightly", "gpt-4o-mini")
    assert envelope.routes == ("openai/gpt-4o-mini", "openai/gpt-4o")
    assert isinstance(envelope.job, Classify)
    assert (envelope.job.temperature, envelope.job.max_tokens) == (0.25, 4096)


async def test_job_without_a_configuration_takes_the_default_one(penstock: Penstock) -> None:
    await penstock.workspaces.set_configuration("acme", "nightly")
    await penstock.workspaces.set("acme", default_configuration="nightly")
    job = Classify(workspace="acme", text="hi", labels=("a", "b"))
    handle = await penstock.submit(job)
    query = "select configuration from penstock.jobs where id = $1"
    assert await penstock.ledger.pool.fetchval(query, handle.job_id) == "nightly"


async def test_job_with_an_unknown_configuration_is_refused(penstock: Penstock) -> None:
    job = Classify(workspace="acme", text="hi", labels=("a", "b"), configuration="nightly")
    with pytest.raises(UnknownConfiguration):
        await penstock.submit(job)


async def test_no_job_can_ask_to_run_as_a_test_of_a_key(penstock: Penstock) -> None:
    job = Classify(workspace="acme", text="hi", labels=("a", "b"), configuration=schemas.KEY_CHECK)
    with pytest.raises(UnknownConfiguration):
        await penstock.submit(job)


# Other processes.


async def weight_seen(client: Penstock, weight: float) -> None:
    async with asyncio.timeout(10):
        while (await client.workspaces.get("acme")).weight != weight:
            await asyncio.sleep(0.005)


async def test_change_is_seen_by_another_client_within_a_second(
    penstock: Penstock, other: Penstock
) -> None:
    await penstock.workspaces.set("acme", weight=7)
    await weight_seen(other, 7)


async def test_change_of_others_is_seen_once_told(penstock: Penstock, other: Penstock) -> None:
    await execute(penstock, "update penstock.llm_configs set weight = 5")
    assert (await other.workspaces.get("acme")).weight == 1
    await penstock.workspaces.changed("acme")
    await weight_seen(other, 5)


async def test_everything_is_read_again_after_a_reconnect(
    penstock: Penstock, other: Penstock
) -> None:
    await execute(penstock, "update penstock.llm_configs set weight = 5")  # its message was lost
    await other._waiter._pubsub.connection.disconnect()
    await weight_seen(other, 5)


async def test_five_minutes_stand_while_redis_is_away(empty: Settings) -> None:
    now_s = 0.0
    redis = redis_pool(empty.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    async with Penstock.connect(settings=empty) as penstock:
        here = Workspaces(penstock.ledger, catalog, on_changed=announcer(redis, catalog))
        there = Workspaces(penstock.ledger, catalog, clock=lambda: now_s)
        await here.create("acme")
        await there.get("acme")
        await here.set("acme", weight=4)
        assert (await here.get("acme")).weight == 4
        now_s = CACHE_S - 1
        assert (await there.get("acme")).weight == 1
        now_s = CACHE_S + 1
        assert (await there.get("acme")).weight == 4


async def test_change_that_comes_while_a_configuration_is_read_is_not_missed(
    penstock: Penstock,
) -> None:
    reading = asyncio.ensure_future(penstock.workspaces.read("acme"))
    await asyncio.sleep(0)
    penstock.workspaces.forget("acme")
    await reading
    await execute(penstock, "update penstock.llm_configs set weight = 6")
    assert (await penstock.workspaces.get("acme")).weight == 6


async def test_configurations_are_values(penstock: Penstock) -> None:
    found = (await penstock.workspaces.get("acme")).configuration(None)
    assert isinstance(found, Configuration) and not found.must_be_priced
