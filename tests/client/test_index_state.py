"""Reading what an index holds of limits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock_client.index_state import LimitState, buckets_of, state_of

NOW_S = 1_800_000_000
DAY_MS = 86_400_000


def only(word: str, *, waiting: int = 0, **fields: object) -> LimitState | None:
    (bucket,) = buckets_of("openai", {b"provider": word.encode()})
    stored = {name.encode(): str(value).encode() for name, value in fields.items()}
    return state_of(bucket, stored, waiting=waiting, now_ms=NOW_S * 1000)


def test_rules_name_a_bucket_for_each_word() -> None:
    rules = {b"workspace:acme": b"tokens/60000", b"provider": b"requests/60000 concurrency/0"}
    found = buckets_of("openai", rules)
    assert [bucket.key for bucket in found] == [
        "b:provider|requests/60000",
        "b:provider|concurrency/0",
        "b:workspace:acme|tokens/60000",
    ]


def test_learned_limit_has_its_share_and_refusals() -> None:
    state = only(
        "requests/60000",
        waiting=2,
        amount=500,
        source="learned",
        factor="0.9",
        refused=3,
        refused_at=NOW_S * 1000,
    )
    assert state == LimitState(
        provider="openai",
        scope="provider",
        unit="requests",
        window_s=60,
        amount=500,
        source="learned",
        share=0.9,
        used=None,
        refused=3,
        refused_at=datetime.fromtimestamp(NOW_S, UTC),
        waiting=2,
    )


def test_bucket_without_an_amount_is_no_limit() -> None:
    assert only("requests/60000", tat=5) is None


def test_concurrency_tells_how_many_occupy_it() -> None:
    state = only("concurrency/0", amount=5, source="configured", used=4)
    assert state is not None and (state.used, state.window_s) == (4, 0)


@pytest.mark.parametrize(("days_ago", "used"), [(0, 700), (1, 0)])
def test_daily_limit_tells_what_was_spent_of_this_day(days_ago: int, used: int) -> None:
    span = NOW_S * 1000 // DAY_MS - days_ago
    state = only(f"tokens/{DAY_MS}", amount=1000, source="configured", spent="700.0", span=span)
    assert state is not None and state.used == used
