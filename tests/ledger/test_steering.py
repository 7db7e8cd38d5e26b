"""What operators set, in the ledger: limits, pauses, weights."""

from __future__ import annotations

import asyncpg
import pytest

from penstock_client.ledger import Ledger
from penstock_schemas.limits import PauseTarget, limit_setting

OPENAI = limit_setting("openai", "provider", "requests", 500)
ACME = limit_setting("openai", "workspace:acme", "tokens/day", 2_000_000)
MISTRAL = limit_setting("mistral", "provider", "concurrency", 5)
ALL = PauseTarget(provider="*", scope="provider")
BULK = PauseTarget(provider="openai", scope="lane:1")


async def test_limits_are_kept_as_they_were_set(ledger: Ledger) -> None:
    await ledger.steering.set_limits([OPENAI, ACME, MISTRAL])
    assert await ledger.steering.limits() == [MISTRAL, OPENAI, ACME]
    assert await ledger.steering.limits("openai") == [OPENAI, ACME]


async def test_limit_that_is_set_again_takes_the_new_amount(ledger: Ledger) -> None:
    await ledger.steering.set_limits([OPENAI, ACME])
    changed = limit_setting("openai", "provider", "requests", 7)
    await ledger.steering.set_limits([changed])
    assert await ledger.steering.limits() == [changed, ACME]


async def test_unset_lifts_all_limits_of_a_scope_and_no_others(ledger: Ledger) -> None:
    tokens = limit_setting("openai", "provider", "tokens", 9)
    await ledger.steering.set_limits([OPENAI, tokens, ACME, MISTRAL])
    lifted = await ledger.steering.unset_limits("openai", "provider")
    assert set(lifted) == {OPENAI, tokens}
    assert await ledger.steering.limits() == [MISTRAL, ACME]


async def test_unset_lifts_only_the_units_and_windows_that_are_named(ledger: Ledger) -> None:
    daily = limit_setting("openai", "provider", "requests/day", 9)
    tokens = limit_setting("openai", "provider", "tokens/day", 9)
    await ledger.steering.set_limits([OPENAI, daily, tokens])
    lifted = await ledger.steering.unset_limits(
        "openai", "provider", units=["requests"], windows_s=[86_400]
    )
    assert lifted == [daily]


async def test_unset_of_what_is_not_set_lifts_nothing(ledger: Ledger) -> None:
    assert await ledger.steering.unset_limits("openai", "provider") == []


async def test_pause_keeps_its_reason_and_since_when(ledger: Ledger) -> None:
    await ledger.steering.pause(ALL, reason="maintenance")
    (first,) = await ledger.steering.pauses()
    await ledger.steering.pause(ALL, reason="more maintenance")
    (again,) = await ledger.steering.pauses()
    assert (first.reason, again.reason) == ("maintenance", "more maintenance")
    assert first.since == again.since


async def test_resume_lifts_exactly_what_it_names(ledger: Ledger) -> None:
    await ledger.steering.pause(ALL, reason="")
    await ledger.steering.pause(BULK, reason="")
    assert not await ledger.steering.resume(PauseTarget(provider="*", scope="lane:1"))
    assert await ledger.steering.resume(BULK)
    assert [pause.target for pause in await ledger.steering.pauses()] == [ALL]


async def test_workspace_has_weight_one_until_another_is_set(ledger: Ledger) -> None:
    (before,) = await ledger.workspaces("acme")
    assert await ledger.change_workspace("acme", {"weight": 0.1})
    (after,) = await ledger.workspaces("acme")
    assert (before.weight, after.weight) == (1.0, 0.1)
    assert after.monthly_tokens is None


async def test_budget_changes_without_the_weight(ledger: Ledger) -> None:
    await ledger.change_workspace("acme", {"weight": 3})
    await ledger.change_workspace("acme", {"monthly_tokens": 9_000})
    (limited,) = await ledger.workspaces("acme")
    await ledger.change_workspace("acme", {"monthly_tokens": None})
    (unlimited,) = await ledger.workspaces("acme")
    assert [(each.weight, each.monthly_tokens) for each in (limited, unlimited)] == [
        (3, 9_000),
        (3, None),
    ]


async def test_unknown_workspace_is_not_changed(ledger: Ledger) -> None:
    assert not await ledger.change_workspace("nobody", {"weight": 2})


async def test_all_settings_come_at_once(ledger: Ledger) -> None:
    await ledger.create_workspace("usual", routing={}, monthly_tokens=None)
    await ledger.steering.set_limits([OPENAI])
    await ledger.steering.pause(BULK, reason="costs")
    await ledger.change_workspace("acme", {"weight": 2.5})
    found = await ledger.steering.all()
    assert found.limits == (OPENAI,)
    assert [(pause.target, pause.reason) for pause in found.pauses] == [(BULK, "costs")]
    assert found.weights == {"acme": 2.5}


@pytest.mark.parametrize("weight", [0.0, 1001.0])
async def test_database_refuses_a_weight_that_is_none(ledger: Ledger, weight: float) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await ledger.change_workspace("acme", {"weight": weight})
