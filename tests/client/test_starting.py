"""When a waiting job may start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock_client.index_state import LimitState
from penstock_client.job_place import JobPlace
from penstock_client.starting import estimated_start

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY_S = 86_400


def place(**changes: Any) -> JobPlace:
    fields: dict[str, Any] = {
        "now": NOW,
        "index": "open",
        "credential": "platform",
        "leased_until": None,
        "rank": 10,
        "queued": 20,
        "turn": 0,
        "workspaces": 1,
        "workers": 1,
        "worker_seen": NOW,
        "running": 5,
        "claimed_a_second": 2.0,
    }
    return JobPlace(**(fields | changes))


def at_limit(unit: str, window_s: int, amount: int, **changes: Any) -> JobPlace:
    share = changes.pop("share", 1.0)
    limit = LimitState(
        provider="openai",
        scope="provider",
        unit=unit,
        window_s=window_s,
        amount=amount,
        source="learned",
        share=share,
        used=None,
        refused=0,
        refused_at=None,
        waiting=1,
    )
    gate = f"b:provider|{unit}/{window_s * 1000}|i"
    return place(**({"gate": gate, "until": NOW, "beside": 1, "limit": limit} | changes))


def waits_s(where: JobPlace) -> float | None:
    start = estimated_start(where, input_tokens=100, output_tokens=50)
    return None if start is None else (start - NOW).total_seconds()


def test_a_turn_comes_after_the_jobs_before_it_at_the_present_pace() -> None:
    assert waits_s(place()) == 5


def test_a_turn_is_shared_with_the_other_workspaces() -> None:
    assert waits_s(place(workspaces=3)) == 15


@pytest.mark.parametrize("changes", [{"workers": 0}, {"claimed_a_second": 0.0}, {"rank": None}])
def test_nothing_is_estimated_where_nothing_moves(changes: dict[str, Any]) -> None:
    assert waits_s(place(**changes)) is None


@pytest.mark.parametrize(
    ("unit", "amount", "expected_s"),
    [
        ("requests", 60, 10),
        ("input_tokens", 6000, 10),
        ("output_tokens", 6000, 5),
        ("tokens", 6000, 30),  # the last job was charged 300
    ],
)
def test_a_paced_limit_lets_the_jobs_before_it_go_first(
    unit: str, amount: int, expected_s: float
) -> None:
    assert waits_s(at_limit(unit, 60, amount, each=300.0)) == expected_s


def test_a_slowed_limit_takes_longer() -> None:
    assert waits_s(at_limit("requests", 60, 60, share=0.5)) == 20


def test_a_limit_shared_with_other_queues_takes_longer() -> None:
    assert waits_s(at_limit("requests", 60, 60, beside=4)) == 40


@pytest.mark.parametrize(("amount", "days"), [(1000, 0), (10, 1), (3, 3)])
def test_a_limit_by_the_day_serves_whole_days_at_once(amount: int, days: int) -> None:
    assert waits_s(at_limit("requests", DAY_S, amount)) == days * DAY_S


def test_a_limit_of_calls_at_the_same_time_has_no_known_end() -> None:
    assert waits_s(at_limit("concurrency", 0, 5)) is None


def test_a_gate_without_a_time_has_no_known_end() -> None:
    assert waits_s(place(gate="pause:provider")) is None


def test_a_breaker_opens_at_its_time_and_never_in_the_past() -> None:
    later = NOW + timedelta(seconds=30)
    assert waits_s(place(gate="gate:model:m", until=later)) == 30
    assert waits_s(place(gate="gate:model:m", until=NOW - timedelta(seconds=30))) == 0


def test_a_slow_start_says_nothing() -> None:
    assert waits_s(place(gate="b:start:platform/m|i", until=NOW)) is None


def test_a_start_beyond_a_year_says_nothing() -> None:
    assert waits_s(at_limit("tokens", 60, 1, rank=10**6, each=1e6)) is None
