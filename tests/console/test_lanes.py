"""Lanes as values: what a workspace is told of pauses, and how limits and calls are named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from penstock_client.index_state import LimitState
from penstock_gateway.console.lanes import overview_shown
from penstock_gateway.console.pulse import LiveJobs, Pulse

NAMES = {"openai": "OpenAI"}
PAUSED = (
    ("openai", "workspace:acme", "over budget"),
    ("openai", "workspace:other", "their contract ended"),
    ("openai", "tag:launch", "theirs"),
    ("*", "lane:1", "nights only"),
)
PULSE = Pulse(
    at=datetime(2026, 11, 21, tzinfo=UTC),
    redis=True,
    depths=None,
    gates=(),
    limits=(),
    today={},
    rates=None,
    errors=(),
    live={"openai": LiveJobs(waiting=2, running=1, oldest=None)},
    paused=PAUSED,
)


def limit(scope: str) -> LimitState:
    return LimitState(
        provider="openai", scope=scope, unit="requests", window_s=60, amount=100, source="learned",
        share=0.5, used=None, refused=0, refused_at=None, waiting=0, in_use=0.5,
    )  # fmt: skip


def test_workspace_is_told_of_no_other_workspaces_pause() -> None:
    (lane,) = overview_shown(PULSE, NAMES, "acme").lanes
    assert lane.pauses == (("workspace acme", "over budget"), ("lane bulk", "nights only"))


def test_administrator_is_told_of_all_pauses() -> None:
    (lane,) = overview_shown(PULSE, NAMES, None).lanes
    assert [scope for scope, _ in lane.pauses] == [
        "workspace acme", "workspace other", "tag launch", "lane bulk",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ("provider", "requests"),
        ("group:platform/gpt-4o", "gpt-4o requests"),
        ("group:key-1f/gpt-4o", "gpt-4o requests of key 1f"),
        ("credential:platform", "requests of the platform's key"),
        ("model:gpt-4o", "gpt-4o requests"),
        ("workspace:*", "requests of each workspace"),
        ("workspace:acme", "requests of workspace acme"),
    ],
)
def test_limit_is_named_for_what_shares_it(scope: str, named: str) -> None:
    (lane,) = overview_shown(replace(PULSE, limits=(limit(scope),)), NAMES, None).lanes
    assert [each.what for each in lane.limits] == [named]
